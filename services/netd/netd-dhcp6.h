/* DHCPv6 clients, one a link that a router says has a server: for an address (the flag M of its advertisements), or
 * for name servers and domains alone (O).
 *
 * Debian has no client that is kept and leaves the link to others (docs/dependencies.md). This one takes the first
 * server that answers, keeps the address for its time, and asks again before it is over. Addresses are the plan's
 * business, duplicates the kernel's. */
#ifndef NETD_DHCP6_H
#define NETD_DHCP6_H

#include <uv.h>

#include "netd-dhcp6-message.h"

#define NETD_DHCP6_CLIENTS_MAX 32

typedef struct netd_dhcp6 netd_dhcp6;

typedef struct netd_dhcp6_options {
    uv_loop_t *loop;
    /* changed: the lease is another one, or gone. */
    void (*on_event)(const char *name, netd_lease_event event, bool changed, void *data);
    void *data;
} netd_dhcp6_options;

netd_dhcp6 *netd_dhcp6_new(const netd_dhcp6_options *options);
void netd_dhcp6_free(netd_dhcp6 *dhcp6);
/* Between begin and commit is said what is wanted; the others end and lose their leases. name: of the wish. */
void netd_dhcp6_begin(netd_dhcp6 *dhcp6);
void netd_dhcp6_want(netd_dhcp6 *dhcp6, const char *name, int index, const uint8_t mac[6], bool address, bool carrier);
void netd_dhcp6_commit(netd_dhcp6 *dhcp6);
/* NULL: none. Without an address (family 0) it is for name servers alone. */
const netd_lease *netd_dhcp6_lease(const netd_dhcp6 *dhcp6, const char *name);

#endif
