#include "netd-change.h"

#include <string.h>

#include "codec/mac-codec.h"
#include "crypto/mac-crypto.h"
#include "flow/mac-flow.h"
#include "netd-filter.h"
#include "netd-login.h"
#include "netd-probe.h"

#define MEASURE_MS 3500 /* the kernel asks for a neighbour three times in three seconds */
#define PROVE_MS 18000  /* DHCP, router advertisements, spanning tree (MACULA_NETD_PROVE_MS) */
#define CONFIRM_MS 6000 /* the same when somebody will look for himself */
#define LOOK_MS 2000    /* of one look */
#define PAUSE_MS 200
#define HAD_MS 60000 /* that a network has which came back, until it reaches again what it did */

#define HOW_TO_INSIST "to try it all the same, and decide yourself: --confirm 120s"

struct netd_change {
    netd_manager *manager;
    Macula__V1__Document *document, *previous;
    char digest[65]; /* of the document, also after the manager has taken it */
    bool confirmed_later;
    bool taken;   /* the manager has the document, and previous is to come back if this fails */
    bool loading; /* the filter will call back */
    bool closed;  /* and then it is freed */
    netd_reach before;
    netd_probe *probe;
    mac_flow *flow;
    uint64_t turn, deadline_ms;
    uv_timer_t pause;
    char *warning;
    void (*on_end)(netd_change *change, const mac_error *error, const char *warning, void *data);
    void *data;
};

static void change_free(netd_change *change) {
    if (change->document)
        macula__v1__document__free_unpacked(change->document, NULL);
    if (change->previous)
        macula__v1__document__free_unpacked(change->previous, NULL);
    netd_reach_deinit(&change->before);
    free(change->warning);
    free(change);
}

/* ---- measure ---- */

static bool is_ours(const netd_state *state, const netd_ip *ip) {
    for (size_t i = 0; i < state->address_count; i++)
        if (netd_ip_equal(&state->addresses[i].net.ip, ip))
            return true;
    return false;
}

/* IPv4 addresses that this change gives to the node. The kernel looks after IPv6 ones itself. */
static void add_new_addresses(netd_change *change) {
    const netd_state *state = netd_network_state(change->manager->network);
    netd_wish wish;
    netd_wish_make(change->document, &wish);
    netd_wish_bind(&wish, netd_network_wish(change->manager->network), state);
    for (size_t i = 0; i < wish.link_count; i++) {
        const netd_link *link = netd_state_link(state, wish.links[i].index);
        for (size_t a = 0; link && link->carrier && a < wish.links[i].address_count; a++)
            if (wish.links[i].addresses[a].ip.family == AF_INET && !is_ours(state, &wish.links[i].addresses[a].ip))
                netd_probe_add(change->probe, NETD_PROBE_FREE, NULL, &wish.links[i].addresses[a].ip, link->index);
    }
    netd_wish_deinit(&wish);
}

static mac_error *find_duplicate(const netd_probe_item *items, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (items[i].kind == NETD_PROBE_FREE && !items[i].ok) {
            const uint8_t *mac = items[i].mac;
            return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "maculaos.network.interfaces",
                                 "%s is in use already, by the machine with the hardware address "
                                 "%02x:%02x:%02x:%02x:%02x:%02x; nothing was changed",
                                 items[i].name, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
        }
    return NULL;
}

static void on_measured(netd_probe *probe, const netd_probe_item *items, size_t count, void *data) {
    netd_change *change = data;
    (void)probe;
    change->probe = NULL;
    netd_reach_make(items, count, &change->before);
    if (mac_now_ms() < change->manager->had_until_ms)
        netd_reach_join(&change->before, &change->manager->had);
    mac_error *duplicate = find_duplicate(items, count);
    if (duplicate)
        mac_flow_fail(change->flow, duplicate);
    else
        mac_flow_next(change->flow);
}

static void add_logins(netd_change *change) {
    const netd_state *state = netd_network_state(change->manager->network);
    netd_login logins[NETD_LOGINS_MAX];
    size_t count = netd_logins(change->manager->sys, state, logins);
    for (size_t i = 0; i < count; i++)
        netd_probe_add_peer(change->probe, state, &logins[i].remote, logins[i].link);
}

static void measure(mac_flow *flow, void *data) {
    netd_change *change = data;
    (void)flow;
    const netd_network *network = change->manager->network;
    netd_network_look(change->manager->network);
    change->probe = netd_probe_new(change->manager->sys, change->manager->loop);
    netd_probe_add_network(change->probe, netd_network_state(network), netd_network_resolver(network),
                           &netd_network_wish(network)->targets);
    add_logins(change);
    add_new_addresses(change);
    netd_probe_start(change->probe, MEASURE_MS, on_measured, change);
}

/* ---- apply ---- */

static void apply(mac_flow *flow, void *data) {
    netd_change *change = data;
    change->taken = true;
    netd_manager_take(change->manager, mac_take(&change->document));
    mac_flow_next(flow);
}

static void on_firewall(const char *problem, void *data) {
    netd_change *change = data;
    change->loading = false;
    if (change->closed)
        change_free(change);
    else if (!change->flow || mac_flow_turn(change->flow) != change->turn)
        return;
    else if (problem)
        mac_flow_fail(change->flow, mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "maculaos.security.firewall",
                                                  "the firewall could not be loaded: %s", problem));
    else
        mac_flow_next(change->flow);
}

/* Taking the document has begun it; here its end is waited for. */
static void load_firewall(mac_flow *flow, void *data) {
    netd_change *change = data;
    change->turn = mac_flow_turn(flow);
    change->loading = true;
    netd_filter_set(change->manager->filter, change->manager->document, on_firewall, change);
}

/* Once: by the flow's way back, or by a cancellation, which does not wait for that. */
static void put_back(netd_change *change) {
    if (!change->taken)
        return;
    change->taken = false;
    netd_manager_take(change->manager, mac_take(&change->previous));
}

static void undo_apply(mac_flow *flow, void *data) {
    put_back(data);
    mac_flow_next(flow);
}

/* ---- prove ---- */

static const netd_address *find_refused_address(const netd_state *state) {
    for (size_t i = 0; i < state->address_count; i++)
        if (state->addresses[i].made && state->addresses[i].duplicate)
            return &state->addresses[i];
    return NULL;
}

static void prove(mac_flow *flow, void *data);

static void on_pause(uv_timer_t *timer) {
    netd_change *change = timer->data;
    if (change->flow && mac_flow_turn(change->flow) == change->turn)
        prove(change->flow, change);
}

static mac_error *lost_error(const netd_change *change, const char *what) {
    bool names_none = netd_network_resolver(change->manager->network)->server_count == 0;
    if (names_none && strcmp(what, NETD_REACH_DNS) == 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "maculaos.dns_nameservers",
                             "with this network the node could not resolve names any more: the configuration names no "
                             "name server, and no DHCP server or router did within the time; so the previous network "
                             "is back; name one; " HOW_TO_INSIST);
    return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "maculaos.network",
                         "with this network the node no longer reaches %s, so the previous one is back; " HOW_TO_INSIST,
                         what);
}

static void lost(netd_change *change, const char *what) {
    if (change->confirmed_later) {
        change->warning =
            mac_asprintf("%s cannot be reached any more; the change goes back unless it is confirmed", what);
        mac_flow_next(change->flow);
        return;
    }
    mac_flow_fail(change->flow, lost_error(change, what));
}

static void on_proved(netd_probe *probe, const netd_probe_item *items, size_t count, void *data) {
    netd_change *change = data;
    const netd_network *network = change->manager->network;
    netd_reach now;
    char text[NETD_NET_TEXT];
    (void)probe;
    change->probe = NULL;
    netd_reach_make(items, count, &now);
    mac_autofree char *what =
        netd_reach_lost(&change->before, &now, netd_network_wish(network), netd_network_resolver(network));
    netd_reach_deinit(&now);
    const netd_address *refused = find_refused_address(netd_network_state(change->manager->network));
    if (refused)
        mac_flow_fail(change->flow,
                      mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "maculaos.network.interfaces",
                                    "%s is in use already by another machine; the previous network is back",
                                    netd_net_format(&refused->net, text)));
    else if (!what)
        mac_flow_next(change->flow);
    else if (mac_now_ms() > change->deadline_ms)
        lost(change, what);
    else
        uv_timer_start(&change->pause, on_pause, PAUSE_MS, 0);
}

static bool is_tentative(const netd_state *state) {
    for (size_t i = 0; i < state->address_count; i++)
        if (state->addresses[i].made && state->addresses[i].tentative)
            return true;
    return false;
}

static void prove(mac_flow *flow, void *data) {
    netd_change *change = data;
    const netd_network *network = change->manager->network;
    if (netd_sys_is_recording(change->manager->sys)) { /* of a network in memory nothing can get lost */
        mac_flow_next(flow);
        return;
    }
    if (!change->deadline_ms) {
        const char *given = getenv("MACULA_NETD_PROVE_MS");
        unsigned long ms = given ? strtoul(given, NULL, 10) : PROVE_MS;
        change->deadline_ms = mac_now_ms() + (change->confirmed_later && ms > CONFIRM_MS ? CONFIRM_MS : ms);
    }
    change->turn = mac_flow_turn(flow);
    netd_network_look(change->manager->network);
    if (is_tentative(netd_network_state(network)) && mac_now_ms() < change->deadline_ms) {
        uv_timer_start(&change->pause, on_pause, PAUSE_MS, 0);
        return;
    }
    change->probe = netd_probe_new(change->manager->sys, change->manager->loop);
    /* Targets are those of before: what the node had. */
    netd_probe_add_network(change->probe, netd_network_state(network), netd_network_resolver(network),
                           &change->before.targets);
    for (size_t i = 0; i < change->before.peer_count; i++)
        netd_probe_add_peer(change->probe, netd_network_state(network), &change->before.peers[i].ip,
                            change->before.peers[i].link);
    netd_probe_start(change->probe, LOOK_MS, on_proved, change);
}

/* ---- life ---- */

static void on_closed(uv_handle_t *handle) {
    netd_change *change = handle->data;
    change->closed = true;
    if (!change->loading)
        change_free(change);
}

/* What the network had before the change. When it comes back it may need a moment to have it again (DHCP), and another
 * change in that moment must not take it for one that has nothing to lose. */
static void remember(netd_manager *manager, const netd_reach *before, bool is_back) {
    if (!is_back || mac_now_ms() >= manager->had_until_ms)
        netd_reach_deinit(&manager->had);
    netd_reach_join(&manager->had, before);
    manager->had_until_ms = is_back ? mac_now_ms() + HAD_MS : 0;
}

void netd_change_undone(netd_manager *manager) {
    manager->had_until_ms = mac_now_ms() + HAD_MS;
}

/* Once; a cancelled change is over before its flow is. */
static void tell_end(netd_change *change, const mac_error *error) {
    if (!change->on_end)
        return;
    remember(change->manager, &change->before, error != NULL);
    change->on_end(change, error, change->warning, change->data);
    change->on_end = NULL;
}

static void on_flow_end(mac_flow *flow, const mac_error *error, void *data) {
    netd_change *change = data;
    (void)flow;
    change->flow = NULL;
    netd_probe_cancel(mac_take(&change->probe));
    tell_end(change, error);
    uv_close((uv_handle_t *)&change->pause, on_closed);
}

static void digest_of(const Macula__V1__Document *document, char ret_digest[65]) {
    size_t length = 0;
    mac_autofree void *packed = mac_codec_pack(&document->base, &length);
    mac_sha256_hex(packed, length, ret_digest);
}

bool netd_change_is_to(const netd_change *change, const Macula__V1__Document *document) {
    char digest[65];
    digest_of(document, digest);
    return change->flow && !mac_flow_undoing(change->flow) && strcmp(change->digest, digest) == 0;
}

netd_change *netd_change_start(netd_manager *manager, Macula__V1__Document *document, bool confirmed_later,
                               void (*on_end)(netd_change *change, const mac_error *error, const char *warning,
                                              void *data),
                               void *data) {
    static const mac_step steps[] = {
        {"measure", measure, NULL, 0, false},
        {"apply", apply, undo_apply, 0, false},
        {"load the firewall", load_firewall, NULL, 0, false},
        {"prove", prove, NULL, 0, false},
        {0},
    };
    netd_change *change = mac_calloc(1, sizeof *change);
    *change = (netd_change){
        .manager = manager, .document = document, .confirmed_later = confirmed_later, .on_end = on_end, .data = data};
    digest_of(document, change->digest);
    if (manager->document)
        change->previous = (Macula__V1__Document *)mac_codec_copy(&manager->document->base);
    uv_timer_init(manager->loop, &change->pause);
    change->pause.data = change;
    change->flow = mac_flow_start(manager->loop, steps, change, NULL, on_flow_end);
    return change;
}

void netd_change_cancel(netd_change *change, const char *reason) {
    netd_probe_cancel(mac_take(&change->probe));
    uv_timer_stop(&change->pause);
    put_back(change);
    mac_flow_cancel(change->flow, reason); /* its end, some turns of the loop later, only frees */
    mac_error *error = mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "%s", reason);
    tell_end(change, error);
    mac_error_free(error);
}
