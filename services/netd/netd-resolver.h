/* /etc/resolv.conf: which name servers are asked. Pure but for the writing. */
#ifndef NETD_RESOLVER_H
#define NETD_RESOLVER_H

#include "fs/mac-fs.h"
#include "netd-advert.h"
#include "netd-lease.h"
#include "netd-wish.h"

#define NETD_RESOLVER_SERVERS_MAX 3 /* what the C library reads (MAXNS) */
#define NETD_RESOLVER_SEARCH_MAX 6

typedef struct netd_resolver {
    netd_ip servers[NETD_RESOLVER_SERVERS_MAX];
    int scopes[NETD_RESOLVER_SERVERS_MAX];                 /* of fe80::…: the link; 0: any */
    char links[NETD_RESOLVER_SERVERS_MAX][NETD_NAME_SIZE]; /* and its name */
    size_t server_count;
    mac_strings search;
} netd_resolver;

/* Servers of the interfaces in the order of the wish, fixed ones before those of DHCP, those before what routers
 * advertise (adverts may be NULL); when there are none, the configuration's general ones. Without state, links have no
 * names, and fe80:: servers are left out. */
/* lease6_of (may be NULL): of DHCPv6. */
void netd_resolver_make(const netd_wish *wish, const netd_lease *(*lease_of)(const netd_wish_link *link, void *data),
                        const netd_lease *(*lease6_of)(const netd_wish_link *link, void *data), void *data,
                        const netd_adverts *adverts, const netd_state *state, netd_resolver *ret_resolver);
void netd_resolver_deinit(netd_resolver *resolver);
/* One of the servers as resolv.conf has it: fe80::1%eth0. Caller frees. */
char *netd_resolver_server(const netd_resolver *resolver, size_t number);
char *netd_resolver_text(const netd_resolver *resolver);
/* Replaces the file when it says something else. ret_changed: whether it did. */
int netd_resolver_write(const netd_resolver *resolver, mac_root *root, bool *ret_changed) MAC_MUST_USE;

#endif
