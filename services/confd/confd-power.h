/* The time until the node goes down on request. What waits is in the store: a restart of confd goes on with it, a
 * restart of the machine has done it. */
#ifndef CONFD_POWER_H
#define CONFD_POWER_H

#include "confd-manager.h"

/* The answer must be on its way before the machine is: at least so long. */
#define CONFD_POWER_GRACE_MS 500

/* Starts the timer for what waits in the store, if anything does; at a start, and after each change of it. */
void confd_power_arm(confd_manager *manager);
/* The same without the store, at once: for a disk that takes nothing any more. The action as in a PowerRecord. */
void confd_power_unrecorded(confd_manager *manager, const char *action);
/* What waits, with the time as due_ms; NULL: nothing. Caller frees. */
Macula__V1__PowerRecord *confd_power_next(const confd_manager *manager);

#endif
