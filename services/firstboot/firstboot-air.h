/* The Wi-Fi networks that this machine hears, as netd tells them: for the page and the terminal to choose from. */
#ifndef FIRSTBOOT_AIR_H
#define FIRSTBOOT_AIR_H

#include "bus/mac-bus.h"
#include "firstboot-facts.h"
#include "macula/v1/net.pb-c.h"

typedef struct firstboot_air {
    firstboot_facts *facts; /* what was heard goes there */
    mac_client net;
    bool asking, stopped;
    uint64_t heard_ms; /* when it was heard last; 0: never */
} firstboot_air;

void firstboot_air_init(firstboot_air *air, mac_bus *bus, firstboot_facts *facts);
/* Asks netd, where there is a Wi-Fi device and the last answer is older than ten seconds. */
void firstboot_air_look(firstboot_air *air);
/* What is answered from now on is not looked at. */
void firstboot_air_stop(firstboot_air *air);

#endif
