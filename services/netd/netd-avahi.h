/* The conversation with avahi-daemon: the node's own name in the local network, and the other nodes in it.
 *
 * Everything comes by signals: a node that announces itself is here when avahi has resolved it, one that says goodbye
 * or whose records have run out (two minutes after its power is gone) goes. avahi-daemon and D-Bus may come, go and
 * come again at any time. */
#ifndef NETD_AVAHI_H
#define NETD_AVAHI_H

#include <uv.h>

#include "netd-network.h"
#include "netd-peers.h"

typedef struct netd_avahi netd_avahi;

typedef struct netd_avahi_options {
    uv_loop_t *loop;
    const char *address; /* of the system's D-Bus */
    void (*on_event)(const netd_network_event *event, void *data);
    void *data;
} netd_avahi_options;

netd_avahi *netd_avahi_new(const netd_avahi_options *options);
void netd_avahi_free(netd_avahi *avahi);
/* The node is to be called so (its first label counts). NULL: as the kernel calls it. */
void netd_avahi_set_host(netd_avahi *avahi, const char *name);

const netd_peers *netd_avahi_peers(const netd_avahi *avahi);
/* Caller frees. avahi: NULL where there is none, as in a sandbox. */
Macula__V1__NetNaming *netd_avahi_naming(const netd_avahi *avahi);

#endif
