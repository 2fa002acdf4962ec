#include "firstboot-air.h"

#include "log/mac-log.h"

#define FRESH_MS 10000u
#define LIMIT_MS 25000u /* a radio looks through all its channels, and may have to be woken first */

static void on_scanned(const Macula__V1__NetScan *scan, void *data) {
    firstboot_air *air = data;
    air->asking = false;
    if (air->stopped)
        return;
    if (!scan) {
        mac_log_info("no Wi-Fi networks were found", "reason=" MAC_LOG_Q("%s"), mac_client_error(&air->net)->message);
        return;
    }
    air->heard_ms = mac_now_ms();
    firstboot_facts_hear_none(air->facts);
    for (size_t i = 0; i < scan->n_networks; i++)
        if (scan->networks[i]->name)
            firstboot_facts_hear(air->facts, scan->networks[i]->name, scan->networks[i]->signal_dbm,
                                 scan->networks[i]->secured);
}

void firstboot_air_init(firstboot_air *air, mac_bus *bus, firstboot_facts *facts) {
    *air = (firstboot_air){.facts = facts};
    mac_client_init(&air->net, bus, &macula__v1__net_control__descriptor, NULL);
    air->net.deadline_ms = LIMIT_MS;
}

void firstboot_air_look(firstboot_air *air) {
    Macula__V1__NetInterfaceRequest request = MACULA__V1__NET_INTERFACE_REQUEST__INIT;
    bool fresh = air->heard_ms && mac_now_ms() < air->heard_ms + FRESH_MS;
    if (!air->facts->wireless || air->asking || air->stopped || fresh)
        return;
    air->asking = true;
    macula__v1__net_control__scan(&air->net.base, &request, on_scanned, air);
}

void firstboot_air_stop(firstboot_air *air) {
    air->stopped = true;
}
