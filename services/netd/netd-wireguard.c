#include "netd-wireguard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "codec/mac-schema.h"

static const uint8_t no_key[MAC_X25519_SIZE];

const Macula__V1__SecuritySection__Wireguard *netd_wireguard_section(const Macula__V1__Document *document) {
    const Macula__V1__SecuritySection *security = document && document->maculaos ? document->maculaos->security : NULL;
    const Macula__V1__SecuritySection__Wireguard *section = security ? security->wireguard : NULL;
    return section && section->enabled ? section : NULL;
}

/* ---- life ---- */

netd_wireguard_peer *netd_wireguard_add_peer(netd_wireguard *wireguard) {
    wireguard->peers = mac_realloc(wireguard->peers, (wireguard->peer_count + 1) * sizeof *wireguard->peers);
    netd_wireguard_peer *peer = &wireguard->peers[wireguard->peer_count++];
    *peer = (netd_wireguard_peer){0};
    return peer;
}

void netd_wireguard_peer_add_allowed(netd_wireguard_peer *peer, const netd_net *net) {
    peer->allowed = mac_realloc(peer->allowed, (peer->allowed_count + 1) * sizeof *peer->allowed);
    peer->allowed[peer->allowed_count++] = *net;
}

static void peer_deinit(netd_wireguard_peer *peer) {
    free(peer->allowed);
    free(peer->name);
    free(peer->endpoint_text);
    free(peer->sealed);
    mac_wipe(peer, sizeof *peer);
}

void netd_wireguard_remove_peer(netd_wireguard *wireguard, size_t number) {
    netd_wireguard_peer *peer = &wireguard->peers[number];
    size_t after = --wireguard->peer_count - number;
    peer_deinit(peer);
    memmove(peer, peer + 1, after * sizeof *peer);
}

void netd_wireguard_free(netd_wireguard *wireguard) {
    if (!wireguard)
        return;
    for (size_t i = 0; i < wireguard->peer_count; i++)
        peer_deinit(&wireguard->peers[i]);
    free(wireguard->peers);
    mac_wipe(wireguard, sizeof *wireguard);
    free(wireguard);
}

static netd_wireguard_peer peer_copy(const netd_wireguard_peer *from) {
    netd_wireguard_peer copy = *from;
    copy.allowed = from->allowed_count ? mac_memdup(from->allowed, from->allowed_count * sizeof *from->allowed) : NULL;
    copy.name = mac_strdup(from->name);
    copy.endpoint_text = mac_strdup(from->endpoint_text);
    copy.sealed = mac_strdup(from->sealed);
    return copy;
}

netd_wireguard *netd_wireguard_copy(const netd_wireguard *from) {
    netd_wireguard *copy = mac_memdup(from, sizeof *from);
    copy->peers = mac_calloc(from->peer_count + 1, sizeof *copy->peers);
    for (size_t i = 0; i < from->peer_count; i++)
        copy->peers[i] = peer_copy(&from->peers[i]);
    return copy;
}

netd_wireguard_peer *netd_wireguard_peer_of(const netd_wireguard *wireguard,
                                            const uint8_t public_key[MAC_X25519_SIZE]) {
    for (size_t i = 0; wireguard && i < wireguard->peer_count; i++)
        if (memcmp(wireguard->peers[i].public_key, public_key, MAC_X25519_SIZE) == 0)
            return &wireguard->peers[i];
    return NULL;
}

/* ---- the configuration ---- */

int netd_endpoint_parse(const char *text, netd_endpoint *ret_endpoint, char **ret_host) {
    const char *colon = strrchr(text, ':');
    unsigned port;
    char end;
    if (!colon || colon == text || sscanf(colon + 1, "%5u%c", &port, &end) != 1 || port == 0 || port > 65535)
        return -EINVAL;
    bool bracketed = text[0] == '[' && colon[-1] == ']' && colon - text > 2;
    mac_autofree char *host =
        bracketed ? mac_strndup(text + 1, (size_t)(colon - text) - 2) : mac_strndup(text, (size_t)(colon - text));
    netd_endpoint endpoint = {.port = (uint16_t)port};
    bool is_address = netd_ip_parse(host, &endpoint.ip) == 0;
    if (!is_address && (bracketed || strpbrk(host, "[]")))
        return -EINVAL;
    *ret_endpoint = endpoint;
    if (is_address)
        return 0;
    *ret_host = mac_take(&host);
    return -EAGAIN;
}

static uint16_t keepalive_of(const char *text) {
    uint64_t ms = 0;
    if (!text || mac_value_duration(text, &ms) < 0)
        return 0;
    return ms > 65535000u ? 65535 : (uint16_t)((ms + 999) / 1000);
}

static void take_peer(netd_wireguard *wireguard, const Macula__V1__SecuritySection__Peer *from) {
    uint8_t key[MAC_X25519_SIZE];
    mac_autofree char *host = NULL;
    if (!from->public_key || mac_x25519_parse(from->public_key, key) < 0 || netd_wireguard_peer_of(wireguard, key))
        return;
    netd_wireguard_peer *peer = netd_wireguard_add_peer(wireguard);
    memcpy(peer->public_key, key, sizeof key);
    peer->name = mac_strdup(from->name);
    peer->sealed = mac_strdup(from->preshared_key);
    peer->endpoint_text = mac_strdup(from->endpoint);
    peer->keepalive_s = keepalive_of(from->keepalive);
    if (from->endpoint)
        (void)!netd_endpoint_parse(from->endpoint, &peer->endpoint, &host); /* a name is resolved later */
    for (size_t i = 0; i < from->n_allowed_ips; i++) {
        netd_net net;
        if (netd_net_parse(from->allowed_ips[i], &net) < 0)
            continue;
        net = netd_net_masked(&net);
        netd_wireguard_peer_add_allowed(peer, &net);
    }
}

netd_wireguard *netd_wireguard_make(const Macula__V1__SecuritySection__Wireguard *section) {
    netd_wireguard *wireguard = mac_calloc(1, sizeof *wireguard);
    wireguard->port = (uint16_t)section->port;
    for (size_t i = 0; i < section->n_peers; i++)
        take_peer(wireguard, section->peers[i]);
    return wireguard;
}

/* ---- comparing ---- */

static bool has_allowed(const netd_wireguard_peer *peer, const netd_net *net) {
    for (size_t i = 0; i < peer->allowed_count; i++)
        if (netd_net_equal(&peer->allowed[i], net))
            return true;
    return false;
}

bool netd_wireguard_peer_equal(const netd_wireguard_peer *wished, const netd_wireguard_peer *now) {
    if (wished->allowed_count != now->allowed_count || wished->keepalive_s != now->keepalive_s ||
        !mac_equal_constant_time(wished->preshared_key, now->preshared_key, MAC_X25519_SIZE))
        return false;
    for (size_t i = 0; i < wished->allowed_count; i++)
        if (!has_allowed(now, &wished->allowed[i]))
            return false;
    return true;
}

void netd_wireguard_compare(const netd_wireguard *wished, const netd_wireguard *now,
                            netd_wireguard_change *ret_change) {
    netd_wireguard_change change = {0};
    change.key = !now || !mac_equal_constant_time(wished->secret_key, now->secret_key, MAC_X25519_SIZE);
    change.port = !now || wished->port != now->port;
    change.remove = mac_calloc(now ? now->peer_count + 1 : 1, sizeof(const netd_wireguard_peer *));
    change.set = mac_calloc(wished->peer_count + 1, sizeof(const netd_wireguard_peer *));
    for (size_t i = 0; now && i < now->peer_count; i++)
        if (!netd_wireguard_peer_of(wished, now->peers[i].public_key))
            change.remove[change.remove_count++] = &now->peers[i];
    for (size_t i = 0; i < wished->peer_count; i++) {
        const netd_wireguard_peer *peer = &wished->peers[i], *there = netd_wireguard_peer_of(now, peer->public_key);
        bool lacks_endpoint = there && !there->endpoint.ip.family && peer->endpoint.ip.family;
        if (!there || lacks_endpoint || !netd_wireguard_peer_equal(peer, there))
            change.set[change.set_count++] = peer;
    }
    *ret_change = change;
}

bool netd_wireguard_change_is_empty(const netd_wireguard_change *change) {
    return !change->key && !change->port && !change->remove_count && !change->set_count;
}

void netd_wireguard_change_deinit(netd_wireguard_change *change) {
    free((void *)change->remove);
    free((void *)change->set);
    *change = (netd_wireguard_change){0};
}

void netd_wireguard_apply(netd_wireguard *target, const netd_wireguard *wished, const netd_wireguard_change *change) {
    if (change->key)
        memcpy(target->secret_key, wished->secret_key, MAC_X25519_SIZE);
    if (change->port)
        target->port = wished->port;
    for (size_t i = 0; i < change->remove_count + change->set_count; i++) {
        bool remove = i < change->remove_count;
        const netd_wireguard_peer *peer = remove ? change->remove[i] : change->set[i - change->remove_count];
        netd_wireguard_peer *there = netd_wireguard_peer_of(target, peer->public_key);
        netd_endpoint endpoint = there ? there->endpoint : (netd_endpoint){0};
        if (there)
            netd_wireguard_remove_peer(target, (size_t)(there - target->peers));
        if (remove)
            continue;
        netd_wireguard_peer *added = netd_wireguard_add_peer(target);
        *added = peer_copy(peer);
        if (!added->endpoint.ip.family)
            added->endpoint = endpoint;
    }
}

/* ---- for people ---- */

static Macula__V1__NetWireguardPeer *peer_message(const netd_wireguard_peer *now, const netd_wireguard_peer *wished) {
    Macula__V1__NetWireguardPeer *peer = mac_malloc(sizeof *peer);
    char text[NETD_NET_TEXT];
    macula__v1__net_wireguard_peer__init(peer);
    peer->name = wished ? mac_strdup(wished->name) : NULL;
    peer->public_key = mac_base64_encode(now->public_key, sizeof now->public_key);
    if (now->endpoint.ip.family)
        peer->endpoint = mac_asprintf(now->endpoint.ip.family == AF_INET6 ? "[%s]:%u" : "%s:%u",
                                      netd_ip_format(&now->endpoint.ip, text), now->endpoint.port);
    peer->allowed_ips = mac_calloc(now->allowed_count + 1, sizeof *peer->allowed_ips);
    for (size_t i = 0; i < now->allowed_count; i++)
        peer->allowed_ips[peer->n_allowed_ips++] = mac_strdup(netd_net_format(&now->allowed[i], text));
    peer->has_handshake_ms = now->handshake_s > 0;
    peer->handshake_ms = now->handshake_s * 1000;
    peer->has_rx_bytes = peer->has_tx_bytes = peer->has_preshared = true;
    peer->rx_bytes = now->rx_bytes;
    peer->tx_bytes = now->tx_bytes;
    peer->preshared = memcmp(now->preshared_key, no_key, sizeof no_key) != 0;
    return peer;
}

Macula__V1__NetWireguard *netd_wireguard_message(const netd_wireguard *now, const netd_wireguard *wished) {
    Macula__V1__NetWireguard *message = mac_malloc(sizeof *message);
    uint8_t public_key[MAC_X25519_SIZE];
    macula__v1__net_wireguard__init(message);
    if (memcmp(now->secret_key, no_key, sizeof no_key) != 0) {
        mac_x25519_public(now->secret_key, public_key);
        message->public_key = mac_base64_encode(public_key, sizeof public_key);
    }
    message->has_port = true;
    message->port = now->port;
    message->peers = mac_calloc(now->peer_count + 1, sizeof *message->peers);
    for (size_t i = 0; i < now->peer_count; i++)
        message->peers[message->n_peers++] =
            peer_message(&now->peers[i], netd_wireguard_peer_of(wished, now->peers[i].public_key));
    return message;
}
