/* DHCP for IPv4: one udhcpc a link, and the leases they have got.
 *
 * A lease outlives its client and netd itself: it is kept in /run/macula/net until it expires, so that neither a
 * restart of netd nor a short absence of the cable takes an address away. When the cable is back the client starts anew
 * and asks for the same address; until somebody answers, the old lease holds for its time. */
#ifndef NETD_DHCP_H
#define NETD_DHCP_H

#include "netd-lease.h"
#include "netd-sys.h"

#define NETD_DHCP_CLIENTS_MAX 64 /* links beyond get none; the log says so */

typedef struct netd_dhcp netd_dhcp;

typedef struct netd_dhcp_options {
    mac_root *root;
    uv_loop_t *loop;
    netd_sys *sys;
    /* A lease came, was renewed or was lost. name: of the wish. */
    void (*on_event)(const char *name, netd_lease_event event, bool changed, void *data);
    void *data;
} netd_dhcp_options;

/* NULL with *ret_error. */
netd_dhcp *netd_dhcp_new(const netd_dhcp_options *options, mac_error **ret_error);
/* Ends the clients; addresses stay. */
void netd_dhcp_free(netd_dhcp *dhcp);

/* A client shall run for this link, which the kernel now calls `interface`. hostname (may be NULL) is told to the
 * server. Does nothing when it runs. */
void netd_dhcp_want(netd_dhcp *dhcp, const char *name, const char *interface, const char *hostname);
/* No client yet, but a lease that was kept holds. */
void netd_dhcp_remember(netd_dhcp *dhcp, const char *name);
/* No client and no lease any more for links that were neither wanted nor remembered since netd_dhcp_begin. */
void netd_dhcp_begin(netd_dhcp *dhcp);
void netd_dhcp_commit(netd_dhcp *dhcp);
/* Starts the client anew: the cable is back, or somebody asked for it. -ENOENT: there is none. */
/* Forgets the lease, tells so, and asks for any. */
void netd_dhcp_give_up(netd_dhcp *dhcp, const char *name);
int netd_dhcp_renew(netd_dhcp *dhcp, const char *name) MAC_MUST_USE;
/* Whether a client was started for this link. */
bool netd_dhcp_has(const netd_dhcp *dhcp, const char *name);
/* NULL: none that still holds. */
const netd_lease *netd_dhcp_lease(const netd_dhcp *dhcp, const char *name);
size_t netd_dhcp_clients(const netd_dhcp *dhcp);

#endif
