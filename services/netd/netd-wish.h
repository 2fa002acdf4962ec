/* The network that the configuration asks for, worked out from the document and the links that are there. Pure. */
#ifndef NETD_WISH_H
#define NETD_WISH_H

#include "base/mac-problem.h"
#include "macula/v1/document.pb-c.h"
#include "netd-state.h"

typedef enum netd_kind {
    NETD_PLAIN, /* is there or is not: netd makes none */
    NETD_VLAN,
    NETD_BRIDGE,
    NETD_BOND,
    NETD_WIREGUARD,
} netd_kind;

typedef struct netd_wish_link {
    char name[NETD_NAME_SIZE]; /* as the configuration has it */
    netd_kind kind;
    bool by_default; /* the configuration does not name it: wired, or Wi-Fi that has a network; by DHCP */
    bool radio;      /* by default, for its Wi-Fi networks */
    bool dhcp, ipv6;
    uint32_t mtu; /* 0: as it is */
    uint8_t mac[6];
    bool has_mac;
    char master[NETD_NAME_SIZE]; /* "": none */
    char parent[NETD_NAME_SIZE]; /* of a VLAN */
    unsigned vlan_id;
    bool stp;
    unsigned bond_mode, miimon;
    char primary[NETD_NAME_SIZE];
    netd_net *addresses;
    size_t address_count;
    netd_route *routes; /* index 0; metric 0: by the order of the interface */
    size_t route_count;
    netd_ip *dns;
    size_t dns_count;
    int index; /* the link in the kernel that this is; 0: none. Filled by netd_wish_bind */
} netd_wish_link;

typedef struct netd_wish {
    netd_wish_link *links;
    size_t link_count;
    netd_ip *dns; /* when nothing else names a server */
    size_t dns_count;
    mac_strings search;
    mac_strings targets; /* probe_targets */
    mac_strings radios;  /* Wi-Fi interfaces that a network of the configuration is for */
    bool any_radio;      /* a network is for whichever there is */
    bool dhcp;           /* wired interfaces that are not named get DHCP */
    bool guest;          /* of a system of somebody else's: netd-guest.h */
} netd_wish;

/* What is wrong beyond what the schema says: an unknown port, a loop of bridges, a gateway that no address reaches, two
 * VLANs in one place. document may be NULL. */
void netd_wish_check(const Macula__V1__Document *document, mac_problems *problems);
/* Texts that the schema would not have let through are left out. */
void netd_wish_make(const Macula__V1__Document *document, netd_wish *ret_wish);
void netd_wish_deinit(netd_wish *wish);
/* Which link of the kernel is meant by each wish, and wishes by default for wired links that nothing names. A link that
 * was renamed keeps its wish: cutting a node off because of a name helps nobody. bound_before: the wish that was bound
 * last; the wish itself to look again. */
void netd_wish_bind(netd_wish *wish, const netd_wish *bound_before, const netd_state *state);
netd_wish_link *netd_wish_named(const netd_wish *wish, const char *name);
netd_wish_link *netd_wish_of(const netd_wish *wish, int index);
/* Whether it has a fixed IPv6 address: then nobody else is asked for one. */
bool netd_wish_has_fixed6(const netd_wish_link *link);
/* Whether the configuration has a Wi-Fi network for this interface. */
bool netd_wish_joins(const netd_wish *wish, const char *name);
const char *netd_kind_text(netd_kind kind); /* the kernel's word; "" for NETD_PLAIN */

#endif
