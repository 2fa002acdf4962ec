#include <string.h>

#include "netd-probe.h"

void netd_reach_make(const netd_probe_item *items, size_t count, netd_reach *ret_reach) {
    netd_reach reach = {0};
    for (size_t i = 0; i < count; i++) {
        if (!items[i].ok)
            continue;
        switch (items[i].kind) {
        case NETD_PROBE_GATEWAY:
            *(items[i].ip.family == AF_INET ? &reach.gateway4 : &reach.gateway6) = true;
            break;
        case NETD_PROBE_DNS:
            reach.dns = true;
            break;
        case NETD_PROBE_TARGET:
            mac_strings_add(&reach.targets, items[i].name);
            break;
        case NETD_PROBE_TCP:
        case NETD_PROBE_FREE:
            break;
        }
    }
    *ret_reach = reach;
}

void netd_reach_deinit(netd_reach *reach) {
    mac_strings_deinit(&reach->targets);
    *reach = (netd_reach){0};
}

void netd_reach_join(netd_reach *to, const netd_reach *more) {
    to->gateway4 |= more->gateway4;
    to->gateway6 |= more->gateway6;
    to->dns |= more->dns;
    for (size_t i = 0; i < more->targets.count; i++)
        if (!mac_strings_contain(&to->targets, more->targets.items[i]))
            mac_strings_add(&to->targets, more->targets.items[i]);
}

char *netd_reach_lost(const netd_reach *before, const netd_reach *now) {
    mac_autostrings lost = {0};
    mac_autobuffer text = {0};
    if (before->gateway4 && !now->gateway4)
        mac_strings_add(&lost, "the IPv4 gateway");
    if (before->gateway6 && !now->gateway6)
        mac_strings_add(&lost, "the IPv6 gateway");
    if (before->dns && !now->dns)
        mac_strings_add(&lost, NETD_REACH_DNS);
    for (size_t i = 0; i < before->targets.count; i++)
        if (!mac_strings_contain(&now->targets, before->targets.items[i]))
            mac_strings_add(&lost, before->targets.items[i]);
    if (!lost.count)
        return NULL;
    for (size_t i = 0; i < lost.count; i++)
        mac_buffer_printf(&text, "%s%s", i == 0 ? "" : i + 1 == lost.count ? " and " : ", ", lost.items[i]);
    return mac_buffer_take(&text);
}
