/* Generations: every configuration that was accepted, with the texts it was made of, and which of them is in force.
 *
 * They live in SQLite (/var/lib/maculaos/generations/confd.db). Taking a new generation into force is one transaction:
 * the generation, the head, the event that tells of it and a *write intent* for each source file that has to change.
 * After the commit the files are written (each atomically, durably) and their intents deleted; a start finishes intents
 * that a crash left (a power cut may bring one back whose file was written: the same content is written again). So the
 * files on disk are those of the generation in force, and whatever differs at a start was edited by a person.
 *
 * The head says more than "current": a pending change has a previous generation that comes back, and `applying` is set
 * from the commit until every service has applied, so that a start knows that it must finish or take back. */
#ifndef CONFD_GENERATION_H
#define CONFD_GENERATION_H

#include <jansson.h>

#include "bus/mac-outbox.h"
#include "confd-sources.h"
#include "macula/v1/config.pb-c.h"
#include "macula/v1/node.pb-c.h"
#include "store/mac-store.h"

#define CONFD_STORE_DIR CONFD_STATE_DIR "/generations"
#define CONFD_STORE_FILE CONFD_STORE_DIR "/confd.db"
/* Room for what takes a change back: two texts of the largest size in the store, and beside their files. */
#define CONFD_RESERVE_FILE CONFD_STORE_DIR "/reserve"
#define CONFD_RESERVE_BYTES (4u << 20)

#define CONFD_KEEP_MIN 10               /* newest generations that are kept whatever their age */
#define CONFD_KEEP_MAX 50               /* newest generations that are kept at all */
#define CONFD_KEEP_MS (90LL * 86400000) /* age beyond which only CONFD_KEEP_MIN are kept */
#define CONFD_OUTCOMES_MAX 100          /* outcomes of jobs that are remembered */

typedef struct confd_head {
    uint64_t current;          /* 0: no generation yet */
    uint64_t previous;         /* before current; comes back when current fails or is not confirmed; 0: none */
    uint64_t last_good;        /* last that was applied and, where asked for, confirmed */
    bool pending;              /* current waits to be confirmed */
    uint64_t came_from;        /* while applying: the one before it, also when it is a way back; 0: none */
    bool applying;             /* current has been committed and not yet been applied by everybody */
    char *author;              /* of a pending change: who must confirm */
    int64_t deadline_ms;       /* of a pending change: Unix time, for people */
    uint64_t deadline_boot_ms; /* the same in CLOCK_BOOTTIME of the boot `boot_id`: what counts */
    char *boot_id;
    char *confirm_digest; /* of a pending change: SHA-256 of the token that confirms it, hex */
} confd_head;
void confd_head_deinit(confd_head *head);
#define confd_autohead __attribute__((cleanup(confd_head_deinit))) confd_head

typedef struct confd_generation {
    uint64_t number;
    Macula__V1__ConfigGeneration__State state;
    char *author;
    char *message;
    int64_t time_ms;
    char digest[65];
    char *job;             /* the caller's id; may be NULL */
    json_t *document;      /* canonical, not expanded, secrets sealed; NULL in lists */
    confd_sources sources; /* in lists: names only */
} confd_generation;
void confd_generation_free(confd_generation *generation);
MAC_DEFINE_AUTOPTR(confd_generation, confd_generation_free)

typedef struct confd_store confd_store;

/* Opens the store, making it if there is none. */
int confd_store_open(mac_root *root, confd_store **ret_store, mac_error **ret_error) MAC_MUST_USE;
void confd_store_close(confd_store *store);
MAC_DEFINE_AUTOPTR(confd_store, confd_store_close)
mac_store *confd_store_base(confd_store *store);
/* From now on events are published on this bus; before (and in the boot phase) they wait in the outbox. on_event is
 * called after each event that was stored: whoever knows when the bus comes back can see to it that the outbox is
 * kicked then. */
void confd_store_attach_bus(confd_store *store, mac_bus *bus, void (*on_event)(void *data), void *data);
mac_outbox *confd_store_outbox(confd_store *store);

/* All return 0 or a negative errno. */
int confd_store_head(confd_store *store, confd_head *ret_head) MAC_MUST_USE;
/* -ENOENT: no such generation (any more). */
int confd_store_load(confd_store *store, uint64_t number, confd_generation **ret_generation) MAC_MUST_USE;
/* Newest first, older than `before` (0: all); *ret_list of *ret_count, without documents. */
int confd_store_list(confd_store *store, unsigned limit, uint64_t before, confd_generation ***ret_list,
                     size_t *ret_count) MAC_MUST_USE;
void confd_generation_list_free(confd_generation **list, size_t count);
/* The generation that was in force when another came; where that is not known (any more), the newest one before it, if
 * possible none that was taken back. 0: none. */
uint64_t confd_store_before(confd_store *store, uint64_t number);
/* The number the next generation will have. */
uint64_t confd_store_next_number(confd_store *store);

typedef struct confd_commit {
    const confd_sources *sources; /* protected texts */
    const json_t *document;
    const char *digest;
    const char *author;
    const char *message;
    const char *job;              /* may be NULL */
    const confd_sources *on_disk; /* what the files hold now, as read; what differs in them is written (NULL: the texts
                                     of the generation in force are on disk) */
    bool taken_back;              /* the generation that is replaced becomes `reverted` (a rollback), else `past` */
    unsigned confirm_s;           /* 0: none needed */
    const char *boot_id;          /* with confirm_s */
    const char *confirm_digest;   /* with confirm_s */
    uint64_t now_boot_ms;
    Macula__V1__ConfigEvent *event; /* config.changed; number, revision and time are filled in; may be NULL */
} confd_commit;

/* Makes a new generation and the head current = it, applying. *ret_number is its number. */
int confd_store_commit(confd_store *store, const confd_commit *commit, uint64_t *ret_number) MAC_MUST_USE;
/* Everybody has applied the generation in force; without a pending confirmation it is the last good one. Deletes in the
 * same transaction what need not be kept any more. */
int confd_store_applied(confd_store *store, int64_t now_ms) MAC_MUST_USE;
/* The author has confirmed. */
int confd_store_confirm(confd_store *store, Macula__V1__ConfigEvent *event) MAC_MUST_USE;
/* The head goes back to `previous`; the current generation becomes `reverted`; source files go back as well. `on_disk`
 * as in confd_commit. */
int confd_store_revert(confd_store *store, const confd_sources *on_disk, Macula__V1__ConfigEvent *event) MAC_MUST_USE;
/* An event of its own, without a change: config.rejected, config.drift. */
int confd_store_event(confd_store *store, const char *topic, Macula__V1__ConfigEvent *event) MAC_MUST_USE;
/* The same of the node, with a message of its own. */
int confd_store_tell(confd_store *store, const char *topic, const ProtobufCMessage *event) MAC_MUST_USE;
uint64_t confd_store_revision(confd_store *store);

/* Sets room aside on the store's disk so that a change can be taken back when the disk gets full meanwhile. -ENOSPC:
 * there is none, so nothing is to be begun. Released by whoever goes back; made again by the next change. */
int confd_store_reserve(mac_root *root) MAC_MUST_USE;
void confd_store_release_reserve(mac_root *root);
/* Writes the files that intents ask for (0600) and deletes the intents; also after a crash. */
int confd_store_write_sources(confd_store *store, mac_root *root) MAC_MUST_USE;

/* What a request with a job id was answered, so that a repeated one is answered the same. data is a packed
 * ConfigOutcome, or a packed Error. */
int confd_store_set_outcome(confd_store *store, const char *job, bool is_error, const void *data,
                            size_t length) MAC_MUST_USE;
int confd_store_outcome(confd_store *store, const char *job, bool *ret_is_error, void **ret_data,
                        size_t *ret_length) MAC_MUST_USE;
/* Digest of the request with a job's id, so that the id is not answered for another request. -ENOENT: not known. */
int confd_store_set_job_request(confd_store *store, const char *job, const char *digest) MAC_MUST_USE;
int confd_store_job_request(confd_store *store, const char *job, char **ret_digest) MAC_MUST_USE;
/* Number of the generation that a job made; 0: none. */
uint64_t confd_store_job_generation(confd_store *store, const char *job);

/* Why the node goes down, and when (CLOCK_BOOTTIME of the boot boot_id), with the event node.stopping; and the last
 * such record (-ENOENT: none). */
int confd_store_set_power(confd_store *store, const Macula__V1__PowerRecord *record, uint64_t due_boot_ms,
                          const char *boot_id) MAC_MUST_USE;
int confd_store_power(confd_store *store, Macula__V1__PowerRecord **ret_record) MAC_MUST_USE;
/* When the node goes down in the boot boot_id; -ENOENT: nothing waits. */
int confd_store_power_due(confd_store *store, const char *boot_id, uint64_t *ret_due_boot_ms) MAC_MUST_USE;
/* It has been carried out. The record stays. */
int confd_store_power_done(confd_store *store) MAC_MUST_USE;
/* It has been cancelled: with the event node.staying, which says by whom. The record goes, too. */
int confd_store_cancel_power(confd_store *store, const Macula__V1__PowerRecord *record) MAC_MUST_USE;

#endif
