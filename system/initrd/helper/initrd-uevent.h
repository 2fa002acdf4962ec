/* What the kernel tells of devices that come: netlink, so nothing is asked again and again. */
#ifndef INITRD_UEVENT_H
#define INITRD_UEVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "initrd-modules.h"

/* To be opened before the devices that are there already are looked at: then none is missed. -errno on failure. */
int initrd_uevent_open(void);

/* Takes all messages that are there, waiting for the first until deadline_ms of initrd_now_ms (0: not at all). Modules
 * of the new devices are loaded. Returns true when something about block devices was among them, or may have been. */
bool initrd_uevent_take(int fd, int64_t deadline_ms, initrd_modules *modules);

#endif
