/* What makes one part of the configuration so on this machine: an applicator. One file each, confd-apply-<noun>.c.
 *
 * An applicator knows the present state (inspect), changes only what differs (apply), and notes what it changed so that the run can take
 * it back: before it touches a file it calls confd_run_save_file, before it changes kernel state confd_run_on_undo. When a later
 * applicator or service fails, the run undoes everything in reverse order. A power cut needs no journal: at the next start the current
 * generation is applied again, whole. */
#ifndef CONFD_APPLICATOR_H
#define CONFD_APPLICATOR_H

#include <uv.h>

#include "base/mac-problem.h"
#include "crypto/mac-crypto.h"
#include "fs/mac-fs.h"
#include "macula/v1/document.pb-c.h"

typedef struct confd_sys confd_sys;   /* confd-sys.h: the kernel and processes; a Linux and a recording implementation */
typedef struct confd_run confd_run;   /* one pass over the applicators */

enum confd_phase {
    CONFD_BOOT = 1 << 0,    /* early, without a bus or network */
    CONFD_RUNTIME = 1 << 1, /* every accepted change, and at confd's start */
};

typedef struct confd_context {
    mac_root *root;
    confd_sys *sys;
    uv_loop_t *loop;
    const mac_seal *seal;                 /* to unseal secrets; labels are canonical paths */
    const Macula__V1__Document *document; /* as it shall be: templates expanded, secrets sealed, passwords hashed */
    const Macula__V1__Document *previous; /* as it was; NULL at the first start */
    unsigned phase;                       /* one of confd_phase */
    bool first_boot;                      /* of this generation's run_cmd / boot_cmd: see confd-apply-commands.c */
} confd_context;

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
void confd_findings_add(confd_findings *findings, const char *path, const char *what, const char *expected, const char *found);
void confd_findings_deinit(confd_findings *findings);

typedef struct confd_applicator {
    const char *name;
    const char *const *paths; /* canonical paths of the keys it applies, ending with NULL */
    unsigned phases;
    /* Refuses what the schema cannot see. May be NULL. */
    void (*check)(const confd_context *context, mac_problems *problems);
    /* Compares the node with the document. Must not change anything. */
    int (*inspect)(const confd_context *context, confd_findings *findings);
    /* Makes it so. Ends with confd_run_done, now or later. */
    void (*apply)(confd_run *run, const confd_context *context);
} confd_applicator;

/* In the order in which they are applied; ends with NULL. */
extern const confd_applicator *const confd_applicators[];

/* ---- what apply may call ---- */
/* Says what was done ("write /etc/hostname"), for the answer. */
void confd_run_action(confd_run *run, const char *format, ...) MAC_PRINTF(2, 3);
void confd_run_note(confd_run *run, mac_severity severity, const char *path, const char *format, ...) MAC_PRINTF(4, 5);
void confd_run_reboot_required(confd_run *run);
/* Remembers content, mode and owner (or absence) of a file, to be put back by an undo. */
int confd_run_save_file(confd_run *run, const char *path) MAC_MUST_USE;
/* Remembers a function to be called by an undo; it owns data and is called with undo=false when the run is over and all is well. */
void confd_run_on_undo(confd_run *run, void (*callback)(const confd_context *context, void *data, bool undo), void *data);
/* The applicator is finished; error NULL: it is so. Takes the error. */
void confd_run_done(confd_run *run, mac_error *error);

/* ---- running them ---- */
/* Applies all applicators of context->phase whose inspect finds something (or that run commands). Everything in the context must outlive
 * the run. on_end once; the run then still holds its undo until confd_run_commit or confd_run_undo frees it. */
confd_run *confd_run_start(const confd_context *context, void (*on_end)(confd_run *run, const mac_error *error, void *data), void *data);
void confd_run_cancel(confd_run *run, const char *reason);
const mac_strings *confd_run_actions(const confd_run *run);
const mac_problems *confd_run_notes(const confd_run *run);
bool confd_run_needs_reboot(const confd_run *run);
void confd_run_commit(confd_run *run);
/* Puts back what was, synchronously, in reverse order; failures are added to problems. */
void confd_run_undo(confd_run *run, mac_problems *problems);

#endif
