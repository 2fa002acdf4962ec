/* How this node is called in the local network (mDNS), as netd tells: another machine may have the name it was given,
 * and a phone that is sent there finds that one. */
#ifndef FIRSTBOOT_NAMING_H
#define FIRSTBOOT_NAMING_H

#include "bus/mac-bus.h"
#include "macula/v1/net.pb-c.h"

typedef struct firstboot_naming {
    mac_client net;
    mac_subscription *events;
    char *host; /* edge-7.local; NULL: not known yet */
    bool none;  /* nobody here announces names */
    bool asking, again, stopped;
    void (*on_change)(void *data);
    void *data;
} firstboot_naming;

int firstboot_naming_init(firstboot_naming *naming, mac_bus *bus, const char *realm, void (*on_change)(void *data),
                          void *data) MAC_MUST_USE;
/* Asks netd; what it tells later is noticed without that. */
void firstboot_naming_look(firstboot_naming *naming);
/* What is answered from now on is not looked at. */
void firstboot_naming_stop(firstboot_naming *naming);
void firstboot_naming_deinit(firstboot_naming *naming);

#endif
