#include "netd-peers.h"

#include <string.h>

static bool is_item(const netd_peer_item *item, int interface, int protocol, const char *name, const char *domain) {
    return item->interface == interface && item->protocol == protocol && strcmp(item->name, name) == 0 &&
           strcmp(item->domain, domain) == 0;
}

netd_peer_item *netd_peers_find(const netd_peers *peers, int interface, int protocol, const char *name,
                                const char *domain) {
    for (size_t i = 0; i < peers->count; i++)
        if (is_item(peers->items[i], interface, protocol, name, domain))
            return peers->items[i];
    return NULL;
}

netd_peer_item *netd_peers_of_id(const netd_peers *peers, unsigned id) {
    for (size_t i = 0; i < peers->count; i++)
        if (peers->items[i]->id == id)
            return peers->items[i];
    return NULL;
}

netd_peer_item *netd_peers_of_resolver(const netd_peers *peers, const char *resolver) {
    for (size_t i = 0; i < peers->count; i++)
        if (mac_streq(peers->items[i]->resolver, resolver))
            return peers->items[i];
    return NULL;
}

void netd_peers_take(netd_peers *peers, const netd_peer_item *item) {
    size_t kept = 0;
    for (size_t i = 0; i < peers->count; i++)
        if (peers->items[i] != item)
            peers->items[kept++] = peers->items[i];
    peers->count = kept;
}

static netd_peer_item *make_room(netd_peers *peers) {
    for (size_t i = 0; i < peers->count; i++) {
        netd_peer_item *item = peers->items[i];
        if (item->resolved || item->local)
            continue;
        netd_peers_take(peers, item);
        return item;
    }
    return NULL;
}

netd_peer_item *netd_peers_add(netd_peers *peers, int interface, int protocol, const char *name, const char *domain,
                               netd_peer_item **ret_displaced) {
    *ret_displaced = NULL;
    if (netd_peers_find(peers, interface, protocol, name, domain))
        return NULL;
    if (peers->count == NETD_PEER_ITEMS_MAX) {
        peers->was_full = true;
        *ret_displaced = make_room(peers);
    }
    if (peers->count == NETD_PEER_ITEMS_MAX)
        return NULL;
    netd_peer_item *item = mac_calloc(1, sizeof *item);
    *item = (netd_peer_item){.id = ++peers->next_id,
                             .interface = interface,
                             .protocol = protocol,
                             .name = mac_strdup(name),
                             .domain = mac_strdup(domain)};
    peers->items[peers->count++] = item;
    return item;
}

void netd_peer_item_free(netd_peer_item *item) {
    if (!item)
        return;
    free(item->name);
    free(item->domain);
    free(item->resolver);
    free(item->host);
    netd_txt_deinit(&item->txt);
    free(item);
}

void netd_peers_deinit(netd_peers *peers) {
    for (size_t i = 0; i < peers->count; i++)
        netd_peer_item_free(peers->items[i]);
    *peers = (netd_peers){.next_id = peers->next_id};
}

void netd_peer_item_resolve(netd_peer_item *item, const char *host, const netd_ip *address, uint16_t port,
                            netd_txt *txt) {
    if (!item->resolved)
        item->since_ms = mac_unix_ms();
    item->resolved = true;
    free(item->host);
    item->host = mac_strdup(host);
    item->address = *address;
    item->port = port;
    netd_txt_deinit(&item->txt);
    item->txt = *txt;
    *txt = (netd_txt){0};
}

/* ---- items as peers ---- */

/* On two links two nodes may have the same name. */
static bool is_same_node(const netd_peer_item *a, const netd_peer_item *b) {
    return a->local == b->local && strcmp(a->name, b->name) == 0 && mac_streq(a->host, b->host) &&
           mac_streq(a->txt.node_id, b->txt.node_id);
}

bool netd_peers_is_known(const netd_peers *peers, const netd_peer_item *item) {
    for (size_t i = 0; i < peers->count; i++)
        if (peers->items[i] != item && peers->items[i]->resolved && is_same_node(peers->items[i], item))
            return true;
    return false;
}

char *netd_peer_shown(const char *text) {
    mac_autobuffer shown = {0};
    mac_buffer_escaped(&shown, text, strlen(text));
    return mac_buffer_take(&shown);
}

static void add_address(Macula__V1__NetPeer *peer, const netd_ip *ip) {
    char text[NETD_IP_TEXT];
    if (!netd_ip_is_host(ip)) /* none, or the loopback of this very machine */
        return;
    netd_ip_format(ip, text);
    for (size_t i = 0; i < peer->n_addresses; i++)
        if (strcmp(peer->addresses[i], text) == 0)
            return;
    peer->addresses = mac_realloc(peer->addresses, (peer->n_addresses + 1) * sizeof *peer->addresses);
    peer->addresses[peer->n_addresses++] = mac_strdup(text);
}

static Macula__V1__NetPeer *peer_message(const netd_peers *peers, const netd_peer_item *first,
                                         const netd_state *state) {
    Macula__V1__NetPeer *peer = mac_malloc(sizeof *peer);
    const netd_link *link = netd_state_link(state, first->interface);
    macula__v1__net_peer__init(peer);
    peer->name = netd_peer_shown(first->name);
    peer->host = netd_peer_shown(first->host);
    peer->has_port = peer->has_since_ms = true;
    peer->port = first->port;
    peer->version = mac_strdup(first->txt.version);
    peer->role = mac_strdup(first->txt.role);
    peer->realm = mac_strdup(first->txt.realm);
    peer->node_id = mac_strdup(first->txt.node_id);
    peer->since_ms = first->since_ms;
    peer->has_self = peer->self = first->local;
    for (size_t family = 0; family < 2; family++) /* IPv4 first: a link-local IPv6 address says little to people */
        for (size_t i = 0; i < peers->count; i++) {
            const netd_peer_item *item = peers->items[i];
            if (item->resolved && is_same_node(item, first) && item->address.family == (family ? AF_INET6 : AF_INET))
                add_address(peer, &item->address);
            if (item->resolved && is_same_node(item, first) && item->since_ms < peer->since_ms)
                peer->since_ms = item->since_ms;
            const netd_link *better = netd_state_link(state, item->interface);
            if (item->resolved && is_same_node(item, first) && better && link && link->loopback)
                link = better;
        }
    peer->interface = link ? mac_strdup(link->name) : NULL;
    return peer;
}

static int compare(const void *a, const void *b) {
    return strcmp((*(Macula__V1__NetPeer *const *)a)->name, (*(Macula__V1__NetPeer *const *)b)->name);
}

Macula__V1__NetPeer **netd_peers_list(const netd_peers *peers, const netd_state *state, size_t *ret_count) {
    Macula__V1__NetPeer **list = mac_calloc(peers->count + 1, sizeof(Macula__V1__NetPeer *));
    size_t count = 0;
    for (size_t i = 0; i < peers->count; i++) {
        bool shown = !peers->items[i]->resolved;
        for (size_t earlier = 0; earlier < i && !shown; earlier++)
            shown = peers->items[earlier]->resolved && is_same_node(peers->items[earlier], peers->items[i]);
        if (!shown)
            list[count++] = peer_message(peers, peers->items[i], state);
    }
    qsort(list, count, sizeof *list, compare);
    *ret_count = count;
    return list;
}
