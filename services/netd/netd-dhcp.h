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

/* What has come of starting a client anew. */
typedef enum netd_dhcp_answer {
    NETD_DHCP_LEASE,  /* a lease, which is in force */
    NETD_DHCP_SILENT, /* no server has answered; it is asked again by and by */
    NETD_DHCP_ENDED,  /* no client is wanted for this link any more */
    NETD_DHCP_BROKEN, /* the client cannot be started; the log says why */
} netd_dhcp_answer;

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
/* Forgets the lease, tells so, and asks for any. */
void netd_dhcp_give_up(netd_dhcp *dhcp, const char *name);
/* Starts the client anew: the cable is back, or somebody asked for it. -ENOENT: there is none. */
int netd_dhcp_renew(netd_dhcp *dhcp, const char *name) MAC_MUST_USE;
/* on_answer comes once for each client that netd_dhcp_renew has started anew (several times in between: once for all),
 * after on_event, from the loop or from within netd_dhcp_renew. NULL: to nobody. */
void netd_dhcp_watch_answers(netd_dhcp *dhcp, void (*on_answer)(const char *name, netd_dhcp_answer answer, void *data),
                             void *data);
/* Whether a server has refused (NAK) what the client asked for since it was started anew. */
bool netd_dhcp_is_refused(const netd_dhcp *dhcp, const char *name);
/* Whether a client was started for this link. */
bool netd_dhcp_has(const netd_dhcp *dhcp, const char *name);
/* NULL: none that still holds. */
const netd_lease *netd_dhcp_lease(const netd_dhcp *dhcp, const char *name);
size_t netd_dhcp_clients(const netd_dhcp *dhcp);

#endif
