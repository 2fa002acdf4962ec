/* What makes one part of the configuration so on this machine: an applicator. One file each, confd-apply-<noun>.c.
 *
 * An applicator knows the present state (inspect), changes only what differs (apply), and notes what it changed so that
 * the run can take it back: before it touches a file it calls confd_run_save_file (or one of the confd_run_write_…
 * helpers, which do), before it changes kernel state confd_run_on_undo. When a later applicator or service fails, the
 * run undoes everything in reverse order. A power cut needs no journal: at the next start the current generation is
 * applied again, whole.
 *
 * In the phase CONFD_RUNTIME the first failing applicator ends the run, because somebody is there to be told and the
 * previous generation can come back. In the phase CONFD_BOOT a failure is kept as a note of severity error and the run
 * goes on: a node that boots with one setting missing can be reached and mended, one that stops cannot. */
#ifndef CONFD_APPLICATOR_H
#define CONFD_APPLICATOR_H

#include <uv.h>

#include "base/mac-problem.h"
#include "crypto/mac-crypto.h"
#include "fs/mac-fs.h"
#include "macula/v1/document.pb-c.h"

typedef struct confd_sys confd_sys; /* confd-sys.h: the kernel and processes; a Linux and a recording implementation */
typedef struct confd_run confd_run; /* one pass over the applicators */

/* Where applicators keep what they must know later: manifests, saved originals, numbers of users. */
#define CONFD_APPLIED_DIR "/var/lib/maculaos/applied"
/* The same for what is forgotten at a reboot. */
#define CONFD_APPLIED_RUN_DIR "/run/macula/applied"
/* The user that people log in as. */
#define CONFD_LOGIN_USER "macula"
/* The largest file that a run can put back, so the largest it replaces. */
#define CONFD_SAVE_MAX (8u << 20)

enum confd_phase {
    CONFD_BOOT = 1 << 0,    /* early, without a bus or network */
    CONFD_RUNTIME = 1 << 1, /* every accepted change, and at confd's start */
};

typedef struct confd_context {
    mac_root *root;
    confd_sys *sys;
    uv_loop_t *loop;
    const mac_seal *seal;                 /* to unseal secrets (confd_unseal). NULL: there are none sealed */
    const Macula__V1__Document *document; /* as it shall be: templates expanded, secrets sealed, passwords hashed */
    const Macula__V1__Document *previous; /* as it was; NULL at the first start */
    unsigned phase;                       /* one of confd_phase */
} confd_context;

/* The section `maculaos` of a document; one with nothing but defaults when it has none. Never NULL. */
const Macula__V1__MaculaosSection *confd_section(const Macula__V1__Document *document);

/* One thing that is not as the document says. */
typedef struct confd_finding {
    char *path;     /* key of the configuration */
    char *what;     /* "/etc/hostname", "sysctl vm.swappiness" */
    char *expected; /* never a secret: "(set)" stands for one */
    char *found;
} confd_finding;

typedef struct confd_findings {
    confd_finding *items;
    size_t count;
} confd_findings;

/* Copies everything; long values are shortened. */
void confd_findings_add(confd_findings *findings, const char *path, const char *what, const char *expected,
                        const char *found);
void confd_findings_deinit(confd_findings *findings);
#define confd_autofindings __attribute__((cleanup(confd_findings_deinit))) confd_findings

typedef struct confd_applicator {
    const char *name;
    const char *const *paths; /* canonical paths of the keys it applies, ending with NULL */
    unsigned phases;
    /* Refuses what the schema cannot see. May be NULL. */
    void (*check)(const confd_context *context, mac_problems *problems);
    /* Compares the node with the document; 0 or a negative errno. Must not change anything. */
    int (*inspect)(const confd_context *context, confd_findings *findings);
    /* Adds what apply would do besides mending findings ("run command 1 of run_cmd", "fetch github:NAME"). May be NULL.
     */
    void (*plan)(const confd_context *context, mac_strings *actions);
    /* Makes it so. Ends with confd_run_done, now or later. Called only when inspect or plan found something. */
    void (*apply)(confd_run *run, const confd_context *context);
} confd_applicator;

/* In the order in which they are applied; ends with NULL. */
extern const confd_applicator *const confd_applicators[];

/* ---- over all applicators ---- */
/* Every applicator's check, whatever its phase. */
void confd_check_all(const confd_context *context, mac_problems *problems);
/* The same of a document alone. */
void confd_check_document(mac_root *root, const Macula__V1__Document *document, mac_problems *problems);
/* Drift: everything that is not as the document says. What cannot be read becomes a warning in `problems`. */
void confd_inspect_all(const confd_context *context, confd_findings *findings, mac_problems *problems);
/* Dry run: what confd_run_start would do, as sentences; touches nothing. */
void confd_plan_all(const confd_context *context, mac_strings *actions, mac_problems *problems);

/* ---- what apply may call ---- */
/* Says what was done ("write /etc/hostname"), for the answer. */
void confd_run_action(confd_run *run, const char *format, ...) MAC_PRINTF(2, 3);
void confd_run_note(confd_run *run, mac_severity severity, const char *path, const char *format, ...) MAC_PRINTF(4, 5);
/* For what goes on after a failure (in the phase boot one bad item must not keep the others away): the first error is
 * the one that counts, a later one becomes a note. Takes both. */
mac_error *confd_run_keep_first(confd_run *run, mac_error *first, mac_error *error);
void confd_run_reboot_required(confd_run *run);
/* Remembers content, mode and owner (or target of a symbolic link, or absence) of a file, to be put back by an undo.
 * -EFBIG beyond CONFD_SAVE_MAX; -EISDIR, -EINVAL for what is neither a regular file nor a symbolic link. */
int confd_run_save_file(confd_run *run, const char *path) MAC_MUST_USE;
/* Makes a directory and its parents; those that were made are removed again by an undo when they are empty. */
int confd_run_make_dirs(confd_run *run, const char *path, mode_t mode) MAC_MUST_USE;
/* Save, make the parents (0755), write, and say so as an action unless `quiet`. Does nothing when content, mode and
 * owner are so already. NULL on success, else the error for confd_run_done. */
enum { CONFD_QUIET = 1 << 0 };
mac_error *confd_run_write_file(confd_run *run, const char *path, const void *data, size_t length,
                                mac_fs_attributes attributes, unsigned flags) MAC_MUST_USE;
mac_error *confd_run_symlink(confd_run *run, const char *target, const char *path) MAC_MUST_USE;
/* Also succeeds when there is no such file. */
mac_error *confd_run_remove_file(confd_run *run, const char *path, unsigned flags) MAC_MUST_USE;
/* Remembers a function to be called by an undo; it owns data and is called with undo=false when the run is over and all
 * is well. */
void confd_run_on_undo(confd_run *run, void (*callback)(const confd_context *context, void *data, bool undo),
                       void *data);
/* What stops the asynchronous work that the applicator waits for; it must still end with confd_run_done. Forgotten at
 * confd_run_done. */
void confd_run_on_cancel(confd_run *run, void (*callback)(void *data), void *data);
/* The applicator is finished; error NULL: it is so. Takes the error. */
void confd_run_done(confd_run *run, mac_error *error);
/* The plain text of a secret of the document; `path` is its canonical path. Wipe it with confd_secret_free. */
mac_error *confd_unseal(const confd_context *context, const char *path, const char *text,
                        char **ret_plain) MAC_MUST_USE;
void confd_secret_free(char *plain);

/* ---- running them ---- */
/* Applies, from the next turn of the loop, all applicators of context->phase whose inspect or plan finds something.
 * Everything in the context must outlive the run. on_end once; the run then still holds its undo until confd_run_commit
 * or confd_run_undo frees it (both may be called within on_end). A failed or cancelled run undoes nothing by itself. */
confd_run *confd_run_start(const confd_context *context,
                           void (*on_end)(confd_run *run, const mac_error *error, void *data), void *data);
/* The same with a table of one's own, which ends with NULL and outlives the run. */
confd_run *confd_run_start_some(const confd_context *context, const confd_applicator *const *applicators,
                                void (*on_end)(confd_run *run, const mac_error *error, void *data), void *data);
/* on_end still comes, with CANCELLED. */
void confd_run_cancel(confd_run *run, const char *reason);
/* The following live until commit or undo. */
const mac_strings *confd_run_actions(const confd_run *run);
const mac_problems *confd_run_notes(const confd_run *run);
bool confd_run_needs_reboot(const confd_run *run);
void confd_run_commit(confd_run *run);
/* Puts back what was, synchronously, in reverse order; failures are added to problems. The loop must be run once more
 * before it is closed. */
void confd_run_undo(confd_run *run, mac_problems *problems);

/* ---- ssh keys from elsewhere ---- */
/* Fetches every github: and https source of the document again and, when something is new, writes the key files. To be
 * called from time to time, sooner while `confd_ssh_keys_missing` says so; not while a run is under way. on_end comes
 * later, once; then the refresh is freed: changed says whether a file was written, notes has a line for each source
 * that could not be fetched. Returns NULL (and calls nothing) when the document names no such source or the worker
 * cannot be started. The context is copied; what it points to must outlive the refresh. */
typedef struct confd_ssh_refresh confd_ssh_refresh;
confd_ssh_refresh *confd_ssh_keys_refresh(const confd_context *context,
                                          void (*on_end)(bool changed, const mac_problems *notes, void *data),
                                          void *data);
/* on_end still comes. */
void confd_ssh_keys_refresh_cancel(confd_ssh_refresh *refresh);
/* Whether a source of the document has never been fetched. */
bool confd_ssh_keys_missing(const confd_context *context);

#endif
