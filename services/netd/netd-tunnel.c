#include "netd-tunnel.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "log/mac-log.h"

#define KEY_FILE "/var/lib/maculaos/identity/wireguard.key"
#define SEAL_FILE "/var/lib/maculaos/identity/seal.key"
#define PRESHARED_LABEL "maculaos.security.wireguard.peers[].preshared_key"
#define LOOK_MS 60000u /* at peers whose endpoint is a name */
#define RESOLVE_MS 120000u

typedef struct resolving {
    uv_getaddrinfo_t request;
    netd_tunnel *tunnel; /* NULL: nobody waits for it any more */
    uint8_t public_key[MAC_X25519_SIZE];
    uint16_t port;
    struct resolving *next;
} resolving;

/* What is known of a peer of the configuration beyond its wish. */
typedef struct tunnel_peer {
    bool tell_endpoint, is_name, unresolved;
    uint64_t resolved_ms; /* when it was last asked for; 0: never */
} tunnel_peer;

struct netd_tunnel {
    netd_tunnel_options options;
    char name[NETD_NAME_SIZE];
    netd_wireguard *wished;
    tunnel_peer *peers; /* as many as wished has */
    mac_strings problems;
    uv_timer_t timer;
    resolving *requests;
};

/* ---- secrets ---- */

static int load_key(netd_tunnel *tunnel, const char *file) {
    const char *path = file ? file : KEY_FILE;
    int r = mac_x25519_load(tunnel->options.root, path, !file, tunnel->wished->secret_key);
    if (r < 0)
        mac_strings_addf(&tunnel->problems, "%s: its key %s cannot be used: %s", tunnel->name, path,
                         r == -EBADMSG ? "32 bytes in base64 expected, as `wg genkey` writes them" : strerror(-r));
    return r;
}

static int open_preshared(const mac_seal *seal, netd_wireguard_peer *peer) {
    char *plain = NULL;
    if (!peer->sealed)
        return 0;
    if (!mac_starts_with(peer->sealed, MAC_SEAL_PREFIX))
        return mac_x25519_parse(peer->sealed, peer->preshared_key);
    int r = seal ? mac_unseal_text(seal, PRESHARED_LABEL, peer->sealed, &plain, NULL) : -ENOKEY;
    if (r < 0)
        return r;
    r = mac_x25519_parse(plain, peer->preshared_key);
    mac_wipe(plain, strlen(plain));
    free(plain);
    return r;
}

/* A peer whose preshared key cannot be had is left out: without it the tunnel would be another than was asked for. */
static void open_all_preshared(netd_tunnel *tunnel) {
    mac_autoptr(mac_seal) seal = NULL;
    netd_wireguard *wished = tunnel->wished;
    /* Whether it can be opened matters only where a peer has a sealed key, and is told there. */
    (void)!mac_seal_open_key(tunnel->options.root, SEAL_FILE, false, &seal);
    for (size_t i = 0; i < wished->peer_count;) {
        int r = open_preshared(seal, &wished->peers[i]);
        if (r == 0) {
            i++;
            continue;
        }
        mac_strings_addf(&tunnel->problems, "%s: the preshared key of peer %s cannot be opened (%s): set it anew",
                         tunnel->name, wished->peers[i].name ? wished->peers[i].name : "without a name", strerror(-r));
        netd_wireguard_remove_peer(wished, i);
    }
}

/* ---- endpoints ---- */

static tunnel_peer *peer_of(netd_tunnel *tunnel, const uint8_t *public_key, netd_wireguard_peer **ret_wished) {
    netd_wireguard_peer *wished = netd_wireguard_peer_of(tunnel->wished, public_key);
    if (!wished)
        return NULL;
    *ret_wished = wished;
    return &tunnel->peers[wished - tunnel->wished->peers];
}

static void forget_request(resolving *request) {
    resolving **at = &request->tunnel->requests;
    while (*at != request)
        at = &(*at)->next;
    *at = request->next;
}

static void take_answer(netd_tunnel *tunnel, const resolving *request, const struct addrinfo *found) {
    netd_wireguard_peer *wished;
    tunnel_peer *peer = peer_of(tunnel, request->public_key, &wished);
    if (!peer)
        return;
    peer->unresolved = !found;
    if (!found)
        return;
    netd_endpoint endpoint = {.ip.family = (uint8_t)found->ai_family, .port = request->port};
    if (found->ai_family == AF_INET)
        memcpy(endpoint.ip.bytes, &((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_addr, 4);
    else
        memcpy(endpoint.ip.bytes, &((const struct sockaddr_in6 *)(const void *)found->ai_addr)->sin6_addr, 16);
    if (!netd_ip_equal(&endpoint.ip, &wished->endpoint.ip))
        peer->tell_endpoint = true;
    wished->endpoint = endpoint;
}

static void on_resolved(uv_getaddrinfo_t *handle, int status, struct addrinfo *found) {
    resolving *request = handle->data;
    netd_tunnel *tunnel = request->tunnel;
    if (tunnel) {
        forget_request(request);
        take_answer(tunnel, request, status == 0 ? found : NULL);
        tunnel->options.on_change(tunnel->options.data);
    }
    if (found)
        uv_freeaddrinfo(found);
    free(request);
}

static bool is_being_resolved(const netd_tunnel *tunnel, const uint8_t *public_key) {
    for (const resolving *at = tunnel->requests; at; at = at->next)
        if (memcmp(at->public_key, public_key, MAC_X25519_SIZE) == 0)
            return true;
    return false;
}

static void resolve(netd_tunnel *tunnel, const netd_wireguard_peer *wished, tunnel_peer *peer) {
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG};
    mac_autofree char *host = NULL;
    netd_endpoint endpoint;
    if (netd_endpoint_parse(wished->endpoint_text, &endpoint, &host) != -EAGAIN ||
        is_being_resolved(tunnel, wished->public_key))
        return;
    resolving *request = mac_calloc(1, sizeof *request);
    request->request.data = request;
    request->tunnel = tunnel;
    request->port = endpoint.port;
    memcpy(request->public_key, wished->public_key, MAC_X25519_SIZE);
    peer->resolved_ms = mac_now_ms();
    if (uv_getaddrinfo(tunnel->options.loop, &request->request, on_resolved, host, NULL, &hints) < 0) {
        peer->unresolved = true;
        free(request);
        return;
    }
    request->next = tunnel->requests;
    tunnel->requests = request;
}

/* Names are asked for at first, while they cannot be resolved, and when their peer has fallen silent. */
static void resolve_what_is_due(netd_tunnel *tunnel, const netd_wireguard *now) {
    for (size_t i = 0; i < tunnel->wished->peer_count; i++) {
        const netd_wireguard_peer *wished = &tunnel->wished->peers[i];
        const netd_wireguard_peer *there = netd_wireguard_peer_of(now, wished->public_key);
        tunnel_peer *peer = &tunnel->peers[i];
        uint64_t wait = peer->unresolved ? LOOK_MS / 2 : RESOLVE_MS;
        bool silent = !there || time(NULL) - there->handshake_s > NETD_WIREGUARD_SILENT_S;
        bool due = !peer->resolved_ms || (silent && mac_now_ms() - peer->resolved_ms >= wait);
        if (peer->is_name && due)
            resolve(tunnel, wished, peer);
    }
}

/* ---- the kernel ---- */

/* The wish as it is to be told now: endpoints that the kernel knows better are left out. */
static netd_wireguard *told_now(const netd_tunnel *tunnel, const netd_wireguard *now) {
    netd_wireguard *told = netd_wireguard_copy(tunnel->wished);
    for (size_t i = 0; i < told->peer_count; i++) {
        const netd_wireguard_peer *there = netd_wireguard_peer_of(now, told->peers[i].public_key);
        if (there && there->endpoint.ip.family && !tunnel->peers[i].tell_endpoint)
            told->peers[i].endpoint = (netd_endpoint){0};
    }
    return told;
}

/* Peers that are as wished but for the endpoint that is to be told. */
static void add_told_endpoints(const netd_tunnel *tunnel, const netd_wireguard *told, const netd_wireguard *now,
                               netd_wireguard_change *change) {
    for (size_t i = 0; i < told->peer_count; i++) {
        bool is_set = false;
        for (size_t s = 0; s < change->set_count; s++)
            is_set |= change->set[s] == &told->peers[i];
        if (!is_set && tunnel->peers[i].tell_endpoint && told->peers[i].endpoint.ip.family &&
            netd_wireguard_peer_of(now, told->peers[i].public_key))
            change->set[change->set_count++] = &told->peers[i];
    }
}

static int tell_kernel(netd_tunnel *tunnel, int index, const netd_wireguard *now) {
    netd_wireguard *told = told_now(tunnel, now);
    netd_wireguard_change change;
    netd_wireguard_compare(told, now, &change);
    add_told_endpoints(tunnel, told, now, &change);
    int r = netd_wireguard_change_is_empty(&change)
                ? 0
                : netd_sys_wireguard_write(tunnel->options.sys, index, told, &change);
    if (r == 0 && !netd_wireguard_change_is_empty(&change))
        mac_log_info("tunnel changed", "interface=%s key=%s port=%u peers_set=%zu peers_removed=%zu", tunnel->name,
                     change.key ? "set" : "same", told->port, change.set_count, change.remove_count);
    for (size_t i = 0; r == 0 && i < tunnel->wished->peer_count; i++)
        if (tunnel->wished->peers[i].endpoint.ip.family)
            tunnel->peers[i].tell_endpoint = false;
    netd_wireguard_change_deinit(&change);
    netd_wireguard_free(told);
    return r;
}

static void note_problems(const netd_tunnel *tunnel, mac_strings *notes) {
    for (size_t i = 0; i < tunnel->problems.count; i++)
        mac_strings_add(notes, tunnel->problems.items[i]);
    for (size_t i = 0; tunnel->wished && i < tunnel->wished->peer_count; i++)
        if (tunnel->peers[i].unresolved)
            mac_strings_addf(notes, "%s: %s cannot be resolved", tunnel->name, tunnel->wished->peers[i].endpoint_text);
}

void netd_tunnel_look(netd_tunnel *tunnel, const netd_state *state, mac_strings *notes) {
    const netd_link *link = tunnel->wished ? netd_state_named(state, tunnel->name) : NULL;
    netd_wireguard *now = NULL;
    note_problems(tunnel, notes);
    if (!link || !link->made || strcmp(link->kind, "wireguard") != 0)
        return;
    int r = netd_sys_wireguard_read(tunnel->options.sys, link->index, &now);
    if (r == 0) {
        resolve_what_is_due(tunnel, now);
        r = tell_kernel(tunnel, link->index, now);
    }
    if (r < 0)
        mac_strings_addf(notes, "%s: the kernel does not take its key and peers: %s", tunnel->name, strerror(-r));
    netd_wireguard_free(now);
}

/* ---- from outside ---- */

static void on_timer(uv_timer_t *timer) {
    netd_tunnel *tunnel = timer->data;
    tunnel->options.on_change(tunnel->options.data);
}

static void take_peers(netd_tunnel *tunnel, const netd_wireguard *before) {
    bool has_names = false;
    tunnel->peers = mac_calloc(tunnel->wished->peer_count + 1, sizeof *tunnel->peers);
    for (size_t i = 0; i < tunnel->wished->peer_count; i++) {
        const netd_wireguard_peer *wished = &tunnel->wished->peers[i];
        const netd_wireguard_peer *old = netd_wireguard_peer_of(before, wished->public_key);
        tunnel->peers[i].tell_endpoint = old && !mac_streq(old->endpoint_text, wished->endpoint_text);
        tunnel->peers[i].is_name = wished->endpoint_text && !wished->endpoint.ip.family;
        has_names |= tunnel->peers[i].is_name;
    }
    if (has_names)
        uv_timer_start(&tunnel->timer, on_timer, LOOK_MS, LOOK_MS);
}

static void drop_requests(netd_tunnel *tunnel) {
    for (resolving *at = tunnel->requests; at; at = at->next)
        at->tunnel = NULL;
    tunnel->requests = NULL;
}

void netd_tunnel_set(netd_tunnel *tunnel, const Macula__V1__Document *document) {
    const Macula__V1__SecuritySection__Wireguard *section = netd_wireguard_section(document);
    netd_wireguard *before = mac_take(&tunnel->wished);
    drop_requests(tunnel);
    uv_timer_stop(&tunnel->timer);
    mac_strings_deinit(&tunnel->problems);
    tunnel->problems = (mac_strings){0};
    free(mac_take(&tunnel->peers));
    if (section) {
        snprintf(tunnel->name, sizeof tunnel->name, "%s", section->mesh_interface);
        tunnel->wished = netd_wireguard_make(section);
        open_all_preshared(tunnel);
        take_peers(tunnel, before);
        if (load_key(tunnel, section->private_key_file) < 0) {
            netd_wireguard_free(mac_take(&tunnel->wished));
            uv_timer_stop(&tunnel->timer);
        }
    }
    netd_wireguard_free(before);
}

const netd_wireguard *netd_tunnel_wished(const netd_tunnel *tunnel) {
    return tunnel->wished;
}

netd_tunnel *netd_tunnel_new(const netd_tunnel_options *options) {
    netd_tunnel *tunnel = mac_calloc(1, sizeof *tunnel);
    tunnel->options = *options;
    uv_timer_init(options->loop, &tunnel->timer);
    tunnel->timer.data = tunnel;
    return tunnel;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void netd_tunnel_free(netd_tunnel *tunnel) {
    if (!tunnel)
        return;
    drop_requests(tunnel);
    netd_wireguard_free(tunnel->wished);
    free(tunnel->peers);
    mac_strings_deinit(&tunnel->problems);
    uv_close((uv_handle_t *)&tunnel->timer, on_closed);
}
