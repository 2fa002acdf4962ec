/* What has to be done so that the kernel's network is the wished one. Pure.
 *
 * A plan is worked out from a fresh snapshot and may name only links that are there. Whoever carries it out takes
 * another snapshot and plans again, until nothing is left: so a new bridge gets its ports in the second round, and a
 * half-done plan (netd killed, an interface gone) is simply continued. Only what netd made is removed. */
#ifndef NETD_PLAN_H
#define NETD_PLAN_H

#include "netd-lease.h"
#include "netd-origins.h"
#include "netd-wish.h"

typedef enum netd_op_kind {
    NETD_LINK_ADD,
    NETD_LINK_DELETE,
    NETD_LINK_UP,
    NETD_LINK_DOWN,
    NETD_LINK_MTU,
    NETD_LINK_MAC,
    NETD_LINK_MASTER, /* number: index of the master, 0: none */
    NETD_ADDRESS_ADD,
    NETD_ADDRESS_DELETE,
    NETD_ROUTE_ADD,
    NETD_ROUTE_DELETE,
} netd_op_kind;

typedef struct netd_op {
    netd_op_kind kind;
    int index;                  /* the link; 0 for LINK_ADD */
    const netd_wish_link *link; /* of LINK_ADD; lives as long as the wish */
    uint32_t number;            /* MTU, master; of LINK_ADD: index of the parent */
    uint8_t mac[6];             /* of LINK_MAC */
    netd_address address;
    netd_route route;
} netd_op;

/* What netd_plan needs beside wish and snapshot. */
typedef struct netd_plan_more {
    /* The lease that is in force on a wished link; NULL: none. */
    const netd_lease *(*lease_of)(const netd_wish_link *link, void *data);
    /* The same of DHCPv6; its address has family 0 when it is for name servers alone. */
    const netd_lease *(*lease6_of)(const netd_wish_link *link, void *data);
    bool (*held_down)(const netd_wish_link *link, void *data);
    void *data;
    const netd_origins *origins; /* what links were like before; NULL: not known */
} netd_plan_more;

typedef struct netd_plan {
    netd_op *ops;
    size_t count;
    mac_strings notes; /* what cannot be had now: "br0: eth7, which is to be its port, is not there" */
} netd_plan;

void netd_plan_make(const netd_wish *wish, const netd_state *state, const netd_plan_more *more, netd_plan *ret_plan);
void netd_plan_deinit(netd_plan *plan);
/* One operation as a line for logs: "add address 192.168.7.2/24 to eth0". Caller frees. */
char *netd_op_text(const netd_op *op, const netd_state *state);
/* Metric of routes through a link that say none themselves: lower for links that come earlier in byte order. */
uint32_t netd_plan_metric(const netd_wish *wish, const netd_wish_link *link);

#endif
