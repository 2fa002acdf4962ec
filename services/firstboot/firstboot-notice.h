/* The event node.paired, so that no power cut can lose it: it is on disk before the node counts as configured, and
 * stays there until the bus has it. A start of a configured node that finds it tells of it (again): those who listen
 * hear it at least once, and know by its generation what they have heard before. */
#ifndef FIRSTBOOT_NOTICE_H
#define FIRSTBOOT_NOTICE_H

#include "bus/mac-bus.h"
#include "fs/mac-fs.h"
#include "macula/v1/firstboot.pb-c.h"

#define FIRSTBOOT_NOTICE "/var/lib/maculaos/firstboot/paired"

/* Makes it durable. */
int firstboot_notice_keep(mac_root *root, const Macula__V1__NodePairedEvent *event) MAC_MUST_USE;
/* Tells what is kept. on_end (may be NULL) comes once, when the bus has it or cannot have it now; then it stays for the
 * next start. false: nothing is kept, on_end does not come. Fault point firstboot.notice.told. */
bool firstboot_notice_tell(mac_root *root, mac_bus *bus, void (*on_end)(void *data), void *data);

#endif
