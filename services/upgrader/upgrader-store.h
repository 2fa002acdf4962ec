/* What the upgrader remembers, in /var/lib/maculaos/upgrade/upgrade.db: the job, the boot record, how upgrades ended,
 * versions that failed, what was seen last. Both versions of the system use the same file. */
#ifndef UPGRADER_STORE_H
#define UPGRADER_STORE_H

#include "bus/mac-outbox.h"
#include "fs/mac-fs.h"
#include "macula/v1/upgrade-work.pb-c.h"
#include "macula/v1/upgrade.pb-c.h"

#define UPGRADER_STATE_DIR "/var/lib/maculaos/upgrade"
#define UPGRADER_STORE_FILE UPGRADER_STATE_DIR "/upgrade.db"
#define UPGRADER_JOBS_MAX 50u     /* kept; the oldest go */
#define UPGRADER_HISTORY_MAX 500u /* likewise */
#define UPGRADER_REFUSED_MAX 50u  /* likewise */

/* Room for the end of a trial, while there is one; whoever finds the disk full gives it back and tries again. */
#define UPGRADER_RESERVE_FILE UPGRADER_STATE_DIR "/reserve"
#define UPGRADER_RESERVE_BYTES (1u << 20) /* a few transactions, and the note of the reason */

typedef struct upgrader_store upgrader_store;

int upgrader_store_reserve(mac_root *root) MAC_MUST_USE;
void upgrader_store_release_reserve(mac_root *root);

int upgrader_store_open(mac_root *root, upgrader_store **ret_store, mac_error **ret_error) MAC_MUST_USE;
void upgrader_store_close(upgrader_store *store);
void upgrader_store_attach_bus(upgrader_store *store, mac_bus *bus);
/* Publishes what waits; cheap when nothing does. */
void upgrader_store_kick(upgrader_store *store);
size_t upgrader_store_waiting(upgrader_store *store);
uint64_t upgrader_store_revision(upgrader_store *store); /* of the last event */

/* One transaction around several of the following; end commits when result is 0, else rolls back; returns what came of
 * it. */
int upgrader_store_begin(upgrader_store *store) MAC_MUST_USE;
int upgrader_store_end(upgrader_store *store, int result) MAC_MUST_USE;

/* Messages kept by name; put NULL removes. get: NULL when there is none; the caller frees it. */
#define UPGRADER_TRIAL "trial"             /* UpgradeTrialRecord */
#define UPGRADER_FOUND "found"             /* UpgradeFound of the last look */
#define UPGRADER_READY "ready"             /* UpgradeFound of what the other slot holds, verified, not activated */
#define UPGRADER_AUTO_FAILED "auto_failed" /* UpgradeFound that the policy could not apply */
int upgrader_store_put(upgrader_store *store, const char *name, const ProtobufCMessage *message) MAC_MUST_USE;
ProtobufCMessage *upgrader_store_get(upgrader_store *store, const char *name, const ProtobufCMessageDescriptor *type);

/* Numbers kept by name; 0 when there is none. */
#define UPGRADER_CHECKED "checked_ms"
#define UPGRADER_PACE "pace"                /* bytes a second of the last download from the configured source */
#define UPGRADER_AUTO_AGAIN "auto_again_ms" /* Unix time from which on the policy tries UPGRADER_AUTO_FAILED again */
int upgrader_store_set_number(upgrader_store *store, const char *name, uint64_t value) MAC_MUST_USE;
uint64_t upgrader_store_number(upgrader_store *store, const char *name);

/* Jobs by their id. last: the newest; NULL when there is none. */
int upgrader_store_put_job(upgrader_store *store, const Macula__V1__UpgradeJobRecord *record) MAC_MUST_USE;
Macula__V1__UpgradeJobRecord *upgrader_store_job(upgrader_store *store, const char *id);
Macula__V1__UpgradeJobRecord *upgrader_store_last_job(upgrader_store *store);

/* Gives the outcome its number and time. */
int upgrader_store_add_outcome(upgrader_store *store, Macula__V1__UpgradeOutcome *outcome) MAC_MUST_USE;
/* Newest first, those with a smaller number than `before` (0: all); free each and the list. */
Macula__V1__UpgradeOutcome **upgrader_store_history(upgrader_store *store, size_t limit, uint64_t before,
                                                    size_t *ret_count);
void upgrader_outcomes_free(Macula__V1__UpgradeOutcome **outcomes, size_t count);

/* `refused` needs its version; its time becomes now. */
int upgrader_store_refuse(upgrader_store *store, Macula__V1__UpgradeRefused *refused) MAC_MUST_USE;
int upgrader_store_forgive(upgrader_store *store, const char *version) MAC_MUST_USE;
/* Newest first. */
Macula__V1__UpgradeRefused **upgrader_store_refused(upgrader_store *store, size_t *ret_count);
void upgrader_refused_free(Macula__V1__UpgradeRefused **refused, size_t count);
/* Why a version is refused, or NULL. Caller frees. */
char *upgrader_store_refusal(upgrader_store *store, const char *version);

/* Adds an event upgrade.{what}; fills in revision and time. */
int upgrader_store_event(upgrader_store *store, const char *what, Macula__V1__UpgradeEvent *event) MAC_MUST_USE;

#endif
