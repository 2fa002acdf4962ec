/* The watchdog: taken over from whoever fed it during the start, fed while all that is vital lives, handed over at the
 * end.
 *
 * A meal costs a round trip over the bus: who is fed has shown that our loop, nats-server and our connection live. So
 * nothing needs to be asked besides, and a node without a watchdog is not woken for it. What is vital and has failed
 * for HEALTHD_STARVE_MS ends the feeding, and the machine restarts when the time-out is over; after
 * HEALTHD_STARVE_TIMES such starts in a row it is fed all the same, so that a node that no restart heals stays
 * reachable. Each is counted in kept.json before it is made: what cannot be counted there is not done. Without any
 * device (and with the wish for software) the machine is restarted by way of init instead. */
#ifndef HEALTHD_WATCHDOG_H
#define HEALTHD_WATCHDOG_H

#include "healthd-manager.h"

#define HEALTHD_STARVE_MS 300000 /* so long may something vital be broken */
#define HEALTHD_STARVE_TIMES 3
#define HEALTHD_WELL_MS 600000   /* not `failed` for so long: earlier starts are forgotten */
#define HEALTHD_RETRY_MS 30000   /* until the device, or counting, is tried again */
#define HEALTHD_GOING_DOWN_S 180 /* the machine's time to go down once it was asked to */
/* There when init takes the system down, which ends the node first. */
#define HEALTHD_GOING_DOWN_FILE "/run/macula/going-down"

/* Makes it so as the plan says; also after each change of the configuration. */
void healthd_watchdog_apply(healthd_manager *manager);
/* Something vital has changed: looks whether it is still to be fed. */
void healthd_watchdog_consider(healthd_manager *manager);
/* The end of healthd: disarmed, or, when the machine goes down, armed for the last time. */
void healthd_watchdog_end(healthd_manager *manager);
void healthd_watchdog_fill(const healthd_manager *manager, Macula__V1__HealthWatchdog *ret_message);

#endif
