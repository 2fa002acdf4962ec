/* Notices that a default gateway has stopped answering, and that it answers again.
 *
 * The kernel finds out by itself whenever something is sent through the gateway, and tells; nothing is sent for this
 * while it answers. From then on it is asked every few seconds. The network is left as it is: the gateway may come back
 * at any moment, and a second one takes over only when the cable is out (netd-plan.h, netd-keeper.h). */
#ifndef NETD_GATEWAYS_H
#define NETD_GATEWAYS_H

#include "netd-network.h"

typedef struct netd_gateways netd_gateways;

typedef struct netd_gateways_options {
    uv_loop_t *loop;
    netd_sys *sys;
    netd_network *network; /* all three outlive it */
    void (*on_event)(const netd_network_event *event, void *data);
    void *data;
} netd_gateways_options;

/* NULL with *ret_error: the kernel does not tell. */
netd_gateways *netd_gateways_new(const netd_gateways_options *options, mac_error **ret_error);
void netd_gateways_free(netd_gateways *gateways);
/* A line for each that does not answer. */
void netd_gateways_note(const netd_gateways *gateways, mac_strings *notes);

#endif
