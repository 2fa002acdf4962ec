/* Notices that another machine claims an IPv4 address of this node, after it was found free (RFC 5227, section 2.4).
 *
 * The address is announced again, at most every ten seconds, so that neighbours keep to this node. A lease that is
 * claimed a second time within ten seconds is given back, and DHCP asked for another address; a fixed address stays,
 * because the configuration says it. The kernel does all of this for IPv6 before an address is used, and nothing
 * later. */
#ifndef NETD_CLAIMS_H
#define NETD_CLAIMS_H

#include "netd-network.h"

typedef struct netd_claims netd_claims;

typedef struct netd_claims_options {
    uv_loop_t *loop;
    netd_sys *sys;
    netd_network *network; /* all three outlive it */
    void (*on_event)(const netd_network_event *event, void *data);
    void *data;
} netd_claims_options;

/* NULL with *ret_error: the kernel does not tell. */
netd_claims *netd_claims_new(const netd_claims_options *options, mac_error **ret_error);
void netd_claims_free(netd_claims *claims);
/* The network has changed: other addresses are this node's. */
void netd_claims_look(netd_claims *claims);
/* Whether another machine has claimed this address in the last minute. */
bool netd_claims_has(const netd_claims *claims, int index, const netd_ip *ip);
/* A line for each. */
void netd_claims_note(const netd_claims *claims, mac_strings *notes);

#endif
