/* A WireGuard interface: what the configuration wants of it, and what the kernel has. Pure.
 *
 * The two have one form, so that they can be compared. Keys are wiped when they are let go of, and nothing here turns
 * a secret one into text. */
#ifndef NETD_WIREGUARD_H
#define NETD_WIREGUARD_H

#include "base/mac-problem.h"
#include "crypto/mac-crypto.h"
#include "macula/v1/document.pb-c.h"
#include "macula/v1/net.pb-c.h"
#include "netd-ip.h"

#define NETD_WIREGUARD_SILENT_S 180 /* a handshake is at most that old while a peer is there */

typedef struct netd_endpoint {
    netd_ip ip; /* family 0: not known */
    uint16_t port;
} netd_endpoint;

typedef struct netd_wireguard_peer {
    uint8_t public_key[MAC_X25519_SIZE], preshared_key[MAC_X25519_SIZE]; /* preshared: zeros are none */
    netd_net *allowed;
    size_t allowed_count;
    uint16_t keepalive_s; /* 0: never */
    netd_endpoint endpoint;
    /* Of the configuration only: */
    char *name, *endpoint_text, *sealed; /* sealed: the preshared key as the document has it */
    /* Of the kernel only: */
    int64_t handshake_s; /* Unix time; 0: never */
    uint64_t rx_bytes, tx_bytes;
} netd_wireguard_peer;

typedef struct netd_wireguard {
    uint8_t secret_key[MAC_X25519_SIZE];
    uint16_t port;
    netd_wireguard_peer *peers;
    size_t peer_count;
} netd_wireguard;

/* The section that is in force; NULL: there is to be no such interface. */
const Macula__V1__SecuritySection__Wireguard *netd_wireguard_section(const Macula__V1__Document *document);
/* What a section wants, without its secrets. */
netd_wireguard *netd_wireguard_make(const Macula__V1__SecuritySection__Wireguard *section);
netd_wireguard *netd_wireguard_copy(const netd_wireguard *from);
void netd_wireguard_free(netd_wireguard *wireguard);
/* A peer to be filled; the pointer is good until the next one is added. */
netd_wireguard_peer *netd_wireguard_add_peer(netd_wireguard *wireguard);
void netd_wireguard_remove_peer(netd_wireguard *wireguard, size_t number);
void netd_wireguard_peer_add_allowed(netd_wireguard_peer *peer, const netd_net *net);
netd_wireguard_peer *netd_wireguard_peer_of(const netd_wireguard *wireguard, const uint8_t public_key[MAC_X25519_SIZE]);

/* host:port, [address]:port. 0 with *ret_endpoint; -EAGAIN when the host is a name, which is then *ret_host (caller
 * frees); -EINVAL. */
int netd_endpoint_parse(const char *text, netd_endpoint *ret_endpoint, char **ret_host) MAC_MUST_USE;

/* Whether the kernel's peer is as wished, but for the endpoint, which moves by itself. */
bool netd_wireguard_peer_equal(const netd_wireguard_peer *wished, const netd_wireguard_peer *now);
/* What has to be said to the kernel so that `now` becomes `wished`: key and port when they differ (the flags), peers to
 * be removed and peers to be set, with the endpoint where it is known and to be told. Both may be NULL. */
typedef struct netd_wireguard_change {
    bool key, port;
    const netd_wireguard_peer **remove, **set;
    size_t remove_count, set_count;
} netd_wireguard_change;
void netd_wireguard_compare(const netd_wireguard *wished, const netd_wireguard *now, netd_wireguard_change *ret_change);
bool netd_wireguard_change_is_empty(const netd_wireguard_change *change);
void netd_wireguard_change_deinit(netd_wireguard_change *change);
/* What the kernel does with a change: an endpoint that is not told stays. */
void netd_wireguard_apply(netd_wireguard *target, const netd_wireguard *wished, const netd_wireguard_change *change);

/* What contradicts itself. */
void netd_wireguard_check(const Macula__V1__Document *document, mac_problems *problems);
/* For the status. wished (may be NULL): names of peers. Caller frees. */
Macula__V1__NetWireguard *netd_wireguard_message(const netd_wireguard *now, const netd_wireguard *wished);

#endif
