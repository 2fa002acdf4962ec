/* What a DHCP client was given, and the strict reading of it. Pure.
 *
 * udhcpc runs maculaos' netd-dhcp-event with the lease in its environment; that sends the variables on as one datagram
 * of NUL-terminated KEY=value texts. Everything in it comes from whoever answers first in the local network: what is
 * not exactly an address, number or name of the expected form is left out, and an event without a usable address is no
 * lease. */
#ifndef NETD_LEASE_H
#define NETD_LEASE_H

#include "netd-state.h"

#define NETD_LEASE_DNS_MAX 6
#define NETD_LEASE_ROUTES_MAX 32
#define NETD_LEASE_SEARCH_MAX 6
#define NETD_LEASE_DATAGRAM_MAX 16384

typedef enum netd_lease_event {
    NETD_LEASE_DECONFIG, /* the client starts, or its lease is over */
    NETD_LEASE_BOUND,
    NETD_LEASE_RENEW,
    NETD_LEASE_FAIL, /* nobody answered */
    NETD_LEASE_NAK,  /* the server took it back; the client starts anew */
} netd_lease_event;

typedef struct netd_lease {
    netd_net address;
    netd_ip server;
    netd_ip dns[NETD_LEASE_DNS_MAX];
    size_t dns_count;
    netd_route routes[NETD_LEASE_ROUTES_MAX]; /* the default gateway among them */
    size_t route_count;
    char search[NETD_LEASE_SEARCH_MAX][254];
    size_t search_count;
    uint32_t lease_s; /* UINT32_MAX: for ever */
    uint32_t mtu;     /* 0: not said */
    int64_t obtained_ms;
} netd_lease;

typedef struct netd_lease_message {
    netd_lease_event event;
    char interface[NETD_NAME_SIZE];
    netd_lease lease; /* of BOUND and RENEW */
} netd_lease_message;

/* -EBADMSG: it is no such datagram, or the lease cannot be used; *ret_reason then says why, a constant text. */
int netd_lease_parse(const char *data, size_t length, netd_lease_message *ret_message,
                     const char **ret_reason) MAC_MUST_USE;
/* The first default gateway; NULL: none. */
const netd_ip *netd_lease_gateway(const netd_lease *lease);
bool netd_lease_equal(const netd_lease *a, const netd_lease *b); /* but for the times */

#endif
