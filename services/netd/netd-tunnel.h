/* The node's WireGuard interface: its key, its peers' addresses, and that the kernel has them as configured.
 *
 * The link itself is made and removed by the plan, as every other. The secret key is made at the first use and stays in
 * /var/lib/maculaos/identity/wireguard.key (0600), or it is the file that the configuration names. An endpoint is told
 * to the kernel when the peer is new or its configured endpoint changes; from then on the kernel knows better, as peers
 * move. A name is resolved again when its peer has not been heard for three minutes. */
#ifndef NETD_TUNNEL_H
#define NETD_TUNNEL_H

#include "netd-sys.h"
#include "netd-wireguard.h"

typedef struct netd_tunnel netd_tunnel;

typedef struct netd_tunnel_options {
    mac_root *root;
    uv_loop_t *loop;
    netd_sys *sys;
    void (*on_change)(void *data); /* netd_tunnel_look has something to do */
    void *data;
} netd_tunnel_options;

netd_tunnel *netd_tunnel_new(const netd_tunnel_options *options);
void netd_tunnel_free(netd_tunnel *tunnel);
/* From now on this is wanted. */
void netd_tunnel_set(netd_tunnel *tunnel, const Macula__V1__Document *document);
/* Tells the kernel what differs. What cannot be done is added to notes. */
void netd_tunnel_look(netd_tunnel *tunnel, const netd_state *state, mac_strings *notes);
/* NULL: none is wanted, or its key cannot be had. */
const netd_wireguard *netd_tunnel_wished(const netd_tunnel *tunnel);

#endif
