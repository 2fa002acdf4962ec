/* A change that comes back unless its author confirms it in time.
 *
 * The marker is in the store's head. While confd runs, a timer of the loop (monotonic: no jump of the clock makes it
 * longer) brings the previous generation back. After a restart of confd within the same boot the rest of the time is
 * known from CLOCK_BOOTTIME; after a reboot or power cut nothing proves that time is left, and the previous generation
 * comes back at once (confd-start.c). */
#ifndef CONFD_PENDING_H
#define CONFD_PENDING_H

#include "confd-manager.h"

#define CONFD_CONFIRM_MAX_S 86400u

/* Whether the head's pending change may still wait: same boot, time left. ret_left_ms may be NULL. */
bool confd_pending_valid(const confd_head *head, const char *boot_id, uint64_t now_boot_ms, uint64_t *ret_left_ms);
/* Starts the timer if the head says that something is pending, else stops it. */
void confd_pending_arm(confd_manager *manager);
void confd_pending_disarm(confd_manager *manager);
/* Brings the previous generation back now. NULL, or why it cannot. on_end (may be NULL) once, later. */
mac_error *confd_pending_revert(confd_manager *manager, const char *author, const char *reason,
                                void (*on_end)(confd_change *change, const mac_error *error, void *data), void *data);
/* The author says yes, which the token proves (NULL: it gave none). */
mac_error *confd_pending_confirm(confd_manager *manager, const char *author, const char *token, uint64_t generation);

#endif
