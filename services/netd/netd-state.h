/* What the kernel says of the network: a snapshot of links, addresses and routes. Pure.
 *
 * Ours is what carries our mark: routes and addresses by their protocol number NETD_PROTOCOL (RTA_PROTOCOL, and
 * IFA_PROTO, Linux 5.18), links by their alias NETD_ALIAS. So netd knows its own after a restart, too, and leaves alone
 * what others have made. */
#ifndef NETD_STATE_H
#define NETD_STATE_H

#include "netd-ip.h"

#define NETD_PROTOCOL 77
#define NETD_ALIAS "maculaos"
#define NETD_NAME_SIZE 16 /* of an interface, with NUL */

typedef struct netd_link {
    int index;
    char name[NETD_NAME_SIZE];
    char kind[16]; /* of IFLA_INFO_KIND; "" for hardware */
    bool loopback, ethernet, wifi, point_to_point;
    bool up, carrier, made;
    bool ra_address, ra_other; /* a router says that DHCPv6 has addresses; name servers and the like */
    bool unsettled;            /* the device manager has not given it its name yet */
    uint32_t mtu;
    uint8_t mac[6];
    bool has_mac;
    int master, parent; /* index; 0: none */
    unsigned vlan_id;
    uint64_t rx_bytes, rx_packets, rx_errors, tx_bytes, tx_packets, tx_errors;
} netd_link;

typedef struct netd_address {
    int index;
    netd_net net;
    bool made, tentative, duplicate, permanent;
    uint32_t valid_s; /* UINT32_MAX: for ever */
    uint8_t protocol; /* IFA_PROTO */
} netd_address;

typedef struct netd_route {
    int index;
    netd_net to;
    netd_ip via; /* family 0: on this link */
    netd_ip source;
    uint32_t metric;
    bool made;
    bool onlink;
    uint8_t protocol;
} netd_route;

typedef struct netd_state {
    netd_link *links;
    size_t link_count;
    netd_address *addresses;
    size_t address_count;
    netd_route *routes; /* of the main table */
    size_t route_count;
} netd_state;

void netd_state_deinit(netd_state *state);
netd_link *netd_state_add_link(netd_state *state);
netd_address *netd_state_add_address(netd_state *state);
netd_route *netd_state_add_route(netd_state *state);

netd_link *netd_state_link(const netd_state *state, int index);
netd_link *netd_state_named(const netd_state *state, const char *name);
/* NULL: index has no such address. */
netd_address *netd_state_address(const netd_state *state, int index, const netd_net *net);
/* The same network, gateway, interface and metric. */
bool netd_route_equal(const netd_route *a, const netd_route *b);
/* Wired Ethernet of the machine or its container: what gets DHCP by default. Its name begins with e, as the kernel's
 * (eth0) and udev's (enp1s0) do; the virtual ones of containers and Kubernetes are called otherwise. */
bool netd_link_is_wired(const netd_link *link);
/* The route that a packet to this address takes; NULL: none leads there. */
const netd_route *netd_state_way(const netd_state *state, const netd_ip *to);
/* "ethernet", "wifi", "loopback", "vlan" … */
const char *netd_link_kind_text(const netd_link *link);

#endif
