/* Why a version that was tried is back in its slot: what its own services have said, else what the initramfs has noted
 * at each of its starts (system/initrd/lib/trial.sh), else that it stopped without a trace. */
#ifndef UPGRADER_WHY_H
#define UPGRADER_WHY_H

#include "boot/mac-boot-running.h"
#include "boot/mac-boot-state.h"
#include "macula/v1/upgrade.pb-c.h"

typedef struct upgrader_why {
    Macula__V1__UpgradeOutcome__Cause cause;
    char *reason;
} upgrader_why;

/* `verity`: what was tried in `slot`, or an empty one where that is not known; a note of another version says nothing.
 * `started`: its services ran. */
upgrader_why upgrader_why_returned(const mac_boot_running *running, char slot, const mac_boot_verity *verity,
                                   bool started);
void upgrader_why_deinit(upgrader_why *why);
#define upgrader_autowhy __attribute__((cleanup(upgrader_why_deinit))) upgrader_why

#endif
