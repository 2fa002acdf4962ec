/* Keeps the kernel's network as the configuration wants it: at the start, after each change of the configuration, and
 * whenever the kernel tells of a change.
 *
 * One mechanism for all of it: take a snapshot, work out a plan (netd-plan.h), carry it out, until nothing is left to
 * do. What cannot be done is noted and tried again when something changes, and every half minute. */
#ifndef NETD_NETWORK_H
#define NETD_NETWORK_H

#include "netd-dhcp.h"
#include "netd-dhcp6.h"
#include "netd-resolver.h"
#include "netd-routers.h"
#include "netd-tunnel.h"
#include "netd-wifi.h"

typedef struct netd_network netd_network;

typedef struct netd_network_event {
    const char *topic;     /* "link", "address", "lease" … */
    const char *what;      /* "up", "added" … */
    const char *interface; /* may be NULL */
    const char *subject;   /* may be NULL */
    const char *reason;    /* may be NULL */
} netd_network_event;

typedef struct netd_network_options {
    mac_root *root;
    uv_loop_t *loop;
    netd_sys *sys; /* outlives it */
    bool guest;    /* of a system of somebody else's: netd-guest.h */
    void (*on_event)(const netd_network_event *event, void *data);
    void (*on_change)(void *data); /* after each look at a network that was not as before */
    void *data;
} netd_network_options;

netd_network *netd_network_new(const netd_network_options *options, mac_error **ret_error);
void netd_network_free(netd_network *network);

/* From now on this is wanted; carried out before it returns, but for what takes its time (leases). NULL: the defaults.
 */
void netd_network_set(netd_network *network, const Macula__V1__Document *document);
/* Looks and mends now. */
void netd_network_look(netd_network *network);

const netd_state *netd_network_state(const netd_network *network);
const netd_wish *netd_network_wish(const netd_network *network);
const netd_resolver *netd_network_resolver(const netd_network *network);
/* Why something is not as wished, a line each. */
const mac_strings *netd_network_notes(const netd_network *network);
const netd_lease *netd_network_lease(const netd_network *network, const netd_wish_link *link);
const netd_lease *netd_network_lease6(const netd_network *network, const netd_wish_link *link);
/* NULL: no WireGuard interface is wanted. */
const netd_wireguard *netd_network_tunnel(const netd_network *network);
netd_wifi *netd_network_wifi(const netd_network *network);
netd_dhcp *netd_network_dhcp(const netd_network *network);
size_t netd_network_clients(const netd_network *network);

/* Held down until it is let up again. */
void netd_network_hold(netd_network *network, const char *name, bool down);
bool netd_network_held(const netd_network *network, const char *name);
/* The lease of this wish is of no use: its address goes, and DHCP is asked for another one. */
void netd_network_give_up_lease(netd_network *network, const char *name);

#endif
