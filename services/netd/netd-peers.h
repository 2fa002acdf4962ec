/* The nodes that announce themselves in the local network. Pure: what avahi-daemon tells goes in, peers come out.
 *
 * An item is one announcement: a service name on one interface and by one protocol (IPv4, IPv6). It is heard first and
 * resolved then (host, address, TXT). Items of the same node are shown as one peer. Anybody can announce anything, so
 * the table has a bound: when it is full the oldest item that is not resolved makes room, otherwise the new one is
 * left out. */
#ifndef NETD_PEERS_H
#define NETD_PEERS_H

#include "macula/v1/net.pb-c.h"
#include "netd-state.h"
#include "netd-txt.h"

#define NETD_PEER_ITEMS_MAX 512

typedef struct netd_peer_item {
    unsigned id;             /* never given again */
    int interface, protocol; /* as avahi counts */
    char *name, *domain;     /* of the service, as they came */
    bool local;              /* this node's own */
    bool asked;              /* for a resolver */
    char *resolver;          /* D-Bus path; NULL: none yet */
    bool resolved;
    char *host;
    netd_ip address; /* family 0: none */
    uint16_t port;
    netd_txt txt;
    int64_t since_ms; /* Unix time; when it was resolved first */
} netd_peer_item;

typedef struct netd_peers {
    netd_peer_item *items[NETD_PEER_ITEMS_MAX]; /* oldest first */
    size_t count;
    unsigned next_id;
    bool was_full;
} netd_peers;

/* A new item; NULL: it is there already, or there is no room. ret_displaced: the item that made room, to be freed with
 * netd_peer_item_free; NULL: none had to. */
netd_peer_item *netd_peers_add(netd_peers *peers, int interface, int protocol, const char *name, const char *domain,
                               netd_peer_item **ret_displaced);
netd_peer_item *netd_peers_find(const netd_peers *peers, int interface, int protocol, const char *name,
                                const char *domain);
netd_peer_item *netd_peers_of_id(const netd_peers *peers, unsigned id);
netd_peer_item *netd_peers_of_resolver(const netd_peers *peers, const char *resolver);
/* Takes it out; the caller frees it. */
void netd_peers_take(netd_peers *peers, const netd_peer_item *item);
void netd_peer_item_free(netd_peer_item *item);
void netd_peers_deinit(netd_peers *peers);

/* What an item turned out to be. */
void netd_peer_item_resolve(netd_peer_item *item, const char *host, const netd_ip *address, uint16_t port,
                            netd_txt *txt);
/* Whether another resolved item of the same node is there. */
bool netd_peers_is_known(const netd_peers *peers, const netd_peer_item *item);
/* As a person may see it: what cannot be shown is \xNN. Caller frees. */
char *netd_peer_shown(const char *text);
/* Peers by name. state: names of interfaces. Caller frees the messages and the list. */
Macula__V1__NetPeer **netd_peers_list(const netd_peers *peers, const netd_state *state, size_t *ret_count);

#endif
