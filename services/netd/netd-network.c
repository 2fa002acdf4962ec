#include "netd-network.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log/mac-log.h"
#include "netd-guest.h"

#define ROUNDS_MAX 8         /* of plans until nothing is left; more would be two that undo each other */
#define SETTLE_MS 100u       /* between looks whether the device manager has named a new link */
#define SETTLE_MAX_MS 10000u /* then it is taken as it is */
#define AGAIN_MS 30000u      /* when something could not be done */

struct netd_network {
    netd_network_options options;
    netd_dhcp *dhcp;
    netd_dhcp6 *dhcp6;
    netd_tunnel *tunnel;
    netd_routers *routers;
    netd_wifi *wifi;
    netd_origins origins;
    netd_wish wish;
    netd_state state;
    netd_resolver resolver;
    mac_strings notes, held;
    char *hostname;
    uv_timer_t again;
    uint64_t unsettled_ms; /* since when a link waits for its name; 0: none */
    bool looking;
};

/* ---- what the plan asks for ---- */

static const netd_lease *lease_of(const netd_wish_link *link, void *data) {
    const netd_network *network = data;
    return link->dhcp ? netd_dhcp_lease(network->dhcp, link->name) : NULL;
}

static const netd_lease *lease6_of(const netd_wish_link *link, void *data) {
    const netd_network *network = data;
    return netd_dhcp6_lease(network->dhcp6, link->name);
}

static bool held_down(const netd_wish_link *link, void *data) {
    return netd_network_held(data, link->name);
}

/* ---- events ---- */

static void tell(netd_network *network, const char *topic, const char *what, const char *interface,
                 const char *subject) {
    network->options.on_event(&(netd_network_event){topic, what, interface, subject, NULL}, network->options.data);
}

static void tell_links(netd_network *network, const netd_state *before) {
    const netd_state *now = &network->state;
    for (size_t i = 0; i < network->wish.link_count; i++) {
        int index = network->wish.links[i].index;
        const netd_link *old = netd_state_link(before, index), *link = netd_state_link(now, index);
        if (!link)
            continue;
        if (!old)
            tell(network, "link", "appeared", link->name, NULL);
        if (old && strcmp(old->name, link->name) != 0)
            tell(network, "link", "renamed", link->name, old->name);
        if ((old && old->up) != link->up)
            tell(network, "link", link->up ? "up" : "down", link->name, NULL);
        if ((old && old->carrier) != link->carrier) {
            tell(network, "link", link->carrier ? "carrier" : "no_carrier", link->name, NULL);
            if (old && link->carrier && network->wish.links[i].dhcp)
                (void)!netd_dhcp_renew(network->dhcp, network->wish.links[i].name);
        }
    }
    for (size_t i = 0; i < before->link_count; i++)
        if (netd_wish_named(&network->wish, before->links[i].name) && !netd_state_link(now, before->links[i].index))
            tell(network, "link", "vanished", before->links[i].name, NULL);
}

static void tell_addresses(netd_network *network, const netd_state *a, const netd_state *b, const char *what) {
    char text[NETD_NET_TEXT];
    for (size_t i = 0; i < b->address_count; i++) {
        const netd_address *address = &b->addresses[i];
        const netd_link *link = netd_state_link(b, address->index);
        if (!link || !netd_wish_of(&network->wish, address->index) ||
            netd_state_address(a, address->index, &address->net))
            continue;
        tell(network, "address", what, link->name, netd_net_format(&address->net, text));
    }
}

static void tell_duplicates(netd_network *network, const netd_state *before) {
    char text[NETD_NET_TEXT];
    for (size_t i = 0; i < network->state.address_count; i++) {
        const netd_address *address = &network->state.addresses[i];
        const netd_address *old = netd_state_address(before, address->index, &address->net);
        const netd_link *link = netd_state_link(&network->state, address->index);
        if (link && address->duplicate && !(old && old->duplicate))
            tell(network, "conflict", "duplicate", link->name, netd_net_format(&address->net, text));
    }
}

static bool same(const netd_state *a, const netd_state *b) {
    if (a->link_count != b->link_count || a->address_count != b->address_count || a->route_count != b->route_count)
        return false;
    for (size_t i = 0; i < a->link_count; i++) {
        const netd_link *x = &a->links[i], *y = &b->links[i];
        if (x->index != y->index || strcmp(x->name, y->name) != 0 || x->up != y->up || x->carrier != y->carrier ||
            x->master != y->master || x->mtu != y->mtu)
            return false;
    }
    for (size_t i = 0; i < a->address_count; i++)
        if (a->addresses[i].duplicate != b->addresses[i].duplicate ||
            a->addresses[i].tentative != b->addresses[i].tentative ||
            !netd_state_address(b, a->addresses[i].index, &a->addresses[i].net))
            return false;
    for (size_t i = 0; i < a->route_count; i++)
        if (!netd_route_equal(&a->routes[i], &b->routes[i]))
            return false;
    return true;
}

/* ---- making it so ---- */

static void set_parameters(netd_network *network) {
    for (size_t i = 0; i < network->wish.link_count; i++) {
        const netd_wish_link *wish = &network->wish.links[i];
        const netd_link *link = netd_state_link(&network->state, wish->index);
        bool gateway6 = false;
        if (!link)
            continue;
        for (size_t r = 0; r < wish->route_count; r++)
            gateway6 |= wish->routes[r].to.ip.family == AF_INET6 && wish->routes[r].to.prefix == 0;
        const struct {
            const char *key, *value;
        } parameters[] = {
            {"ipv6/conf/%s/disable_ipv6", wish->ipv6 && !wish->master[0] ? "0" : "1"},
            /* 2: also when the node forwards, as Kubernetes has it do. */
            {"ipv6/conf/%s/accept_ra", gateway6 ? "0" : "2"},
            {"ipv6/conf/%s/autoconf", netd_wish_has_fixed6(wish) ? "0" : "1"},
            /* Without a cable the next best route is taken at once. */
            {"ipv4/conf/%s/ignore_routes_with_linkdown", "1"},
            {"ipv6/conf/%s/ignore_routes_with_linkdown", "1"},
            /* Neighbours hear of a new address and do not keep an old machine's. */
            {"ipv4/conf/%s/arp_notify", "1"},
            /* Of two interfaces in one network neither answers for the other: DHCP would take its own address for
             * somebody else's and decline it. */
            {"ipv4/conf/%s/arp_ignore", "1"},
            /* Anybody in the network could draw traffic to himself with them. Of IPv4 it suffices that the interface
             * *or* all of them accept, of IPv6 only the interface counts: what the image says of all does nothing. */
            {"ipv4/conf/%s/accept_redirects", "0"},
            {"ipv6/conf/%s/accept_redirects", "0"},
            {"ipv4/conf/%s/send_redirects", "0"},
        };
        for (size_t p = 0; p < MAC_ARRAY_SIZE(parameters); p++) {
            mac_autobuffer key = {0};
            const char *name = strstr(parameters[p].key, "%s");
            mac_buffer_append(&key, parameters[p].key, (size_t)(name - parameters[p].key));
            mac_buffer_text(&key, link->name);
            mac_buffer_text(&key, name + 2);
            int r = netd_sys_sysctl(network->options.sys, key.data, parameters[p].value);
            if (r < 0 && r != -ENOENT)
                mac_strings_addf(&network->notes, "%s: net/%s cannot be set: %s", link->name, key.data, strerror(-r));
        }
    }
}

static void do_op(netd_network *network, const netd_op *op) {
    mac_autofree char *text = netd_op_text(op, &network->state);
    const netd_link *before = netd_state_link(&network->state, op->index);
    if (before && (op->kind == NETD_LINK_MTU || op->kind == NETD_LINK_MAC))
        netd_origins_note(&network->origins, before, op->kind == NETD_LINK_MTU ? op->number : 0,
                          op->kind == NETD_LINK_MAC ? op->mac : NULL);
    int r = netd_sys_do(network->options.sys, op);
    if (r == 0) {
        mac_log_info("network changed", "what=" MAC_LOG_Q("%s"), text);
        return;
    }
    const netd_link *link = netd_state_link(&network->state, op->index);
    mac_strings_addf(&network->notes, "%s: the kernel refuses to %s: %s", link ? link->name : op->link->name, text,
                     strerror(-r));
}

/* One round; whether anything was tried. */
static bool round_once(netd_network *network) {
    netd_plan plan;
    const netd_plan_more more = {lease_of, lease6_of, held_down, network, &network->origins};
    set_parameters(network);
    netd_plan_make(&network->wish, &network->state, &more, &plan);
    for (size_t i = 0; i < plan.notes.count; i++)
        mac_strings_add(&network->notes, plan.notes.items[i]);
    for (size_t i = 0; i < plan.count; i++)
        do_op(network, &plan.ops[i]);
    bool any = plan.count > 0;
    netd_plan_deinit(&plan);
    return any;
}

/* A link that waits for its name is not there yet, for a while. */
static void leave_unsettled(netd_network *network, netd_state *state) {
    size_t kept = 0, waiting = 0;
    for (size_t i = 0; i < state->link_count; i++)
        waiting += state->links[i].unsettled;
    if (!waiting)
        network->unsettled_ms = 0;
    else if (!network->unsettled_ms)
        network->unsettled_ms = mac_now_ms();
    if (!waiting || mac_now_ms() > network->unsettled_ms + SETTLE_MAX_MS)
        return;
    for (size_t i = 0; i < state->link_count; i++)
        if (!state->links[i].unsettled)
            state->links[kept++] = state->links[i];
    state->link_count = kept;
}

/* The snapshot of before goes to *before the first time. */
static bool read_state(netd_network *network, netd_state *before) {
    netd_state state;
    int r = netd_sys_read(network->options.sys, &state);
    if (r < 0) {
        mac_strings_addf(&network->notes, "the kernel's network cannot be read: %s", strerror(-r));
        return false;
    }
    leave_unsettled(network, &state);
    if (before)
        *before = network->state;
    else
        netd_state_deinit(&network->state);
    network->state = state;
    netd_wish_bind(&network->wish, &network->wish, &network->state);
    for (size_t i = 0; i < network->wish.link_count; i++)
        if (network->wish.links[i].dhcp && network->wish.links[i].index)
            netd_dhcp_remember(network->dhcp, network->wish.links[i].name); /* before a plan takes addresses away */
    return true;
}

static void want_clients(netd_network *network) {
    netd_dhcp_begin(network->dhcp);
    for (size_t i = 0; i < network->wish.link_count; i++) {
        const netd_wish_link *wish = &network->wish.links[i];
        const netd_link *link = netd_state_link(&network->state, wish->index);
        /* Without a cable a new client would only wait longer and longer; one that is there keeps its lease. */
        if (link && wish->dhcp && !netd_network_held(network, wish->name) &&
            (link->carrier || netd_dhcp_has(network->dhcp, wish->name)))
            netd_dhcp_want(network->dhcp, wish->name, link->name, network->hostname);
        else if (link && wish->dhcp)
            netd_dhcp_remember(network->dhcp, wish->name);
    }
    netd_dhcp_commit(network->dhcp);
}

/* What routers say of links whose IPv6 addresses nobody has fixed. */
static void want_clients6(netd_network *network) {
    netd_dhcp6_begin(network->dhcp6);
    for (size_t i = 0; i < network->wish.link_count; i++) {
        const netd_wish_link *wish = &network->wish.links[i];
        const netd_link *link = netd_state_link(&network->state, wish->index);
        if (link && link->has_mac && wish->ipv6 && !wish->master[0] && !netd_wish_has_fixed6(wish) &&
            (link->ra_address || link->ra_other) && !netd_network_held(network, wish->name))
            netd_dhcp6_want(network->dhcp6, wish->name, link->index, link->mac, link->ra_address, link->carrier);
    }
    netd_dhcp6_commit(network->dhcp6);
}

static void write_resolver(netd_network *network) {
    bool changed = false;
    netd_resolver_deinit(&network->resolver);
    netd_resolver_make(&network->wish, lease_of, lease6_of, network, netd_routers_adverts(network->routers),
                       &network->state, &network->resolver);
    int r = netd_guest_may_write(&network->wish, &network->resolver)
                ? netd_resolver_write(&network->resolver, network->options.root, &changed)
                : 0;
    if (r < 0)
        mac_strings_addf(&network->notes, "/etc/resolv.conf cannot be written: %s", strerror(-r));
    else if (changed)
        mac_log_info("name servers changed", "count=%zu", network->resolver.server_count);
}

static void on_again(uv_timer_t *timer) {
    netd_network_look(timer->data);
}

static void log_new_notes(const mac_strings *before, const mac_strings *now) {
    for (size_t i = 0; i < now->count; i++)
        if (!mac_strings_contain(before, now->items[i]))
            mac_log_warning("the network is not as configured", "reason=" MAC_LOG_Q("%s"), now->items[i]);
}

/* Plans until nothing is left; false when the kernel cannot be read. */
static bool mend(netd_network *network, netd_state *ret_before) {
    bool read = false, left = true;
    for (unsigned rounds = 0; left && rounds < ROUNDS_MAX; rounds++) {
        mac_strings_deinit(&network->notes);
        network->notes = (mac_strings){0};
        if (!read_state(network, read ? NULL : ret_before))
            return read;
        read = true;
        left = round_once(network);
    }
    return true;
}

void netd_network_look(netd_network *network) {
    netd_state before = {0};
    mac_strings notes = network->notes;
    if (network->looking)
        return;
    network->looking = true;
    network->notes = (mac_strings){0};
    if (mend(network, &before)) {
        netd_tunnel_look(network->tunnel, &network->state, &network->notes);
        netd_wifi_look(network->wifi, &network->wish, &network->state, &network->notes);
        netd_routers_look(network->routers, &network->wish, &network->state);
        want_clients(network);
        want_clients6(network);
        write_resolver(network);
        tell_links(network, &before);
        tell_addresses(network, &before, &network->state, "added");
        tell_addresses(network, &network->state, &before, "removed");
        tell_duplicates(network, &before);
    }
    log_new_notes(&notes, &network->notes);
    network->looking = false;
    bool unsettled = network->unsettled_ms && mac_now_ms() <= network->unsettled_ms + SETTLE_MAX_MS;
    if (unsettled || network->notes.count)
        uv_timer_start(&network->again, on_again, unsettled ? SETTLE_MS : AGAIN_MS, 0);
    if (!same(&before, &network->state))
        network->options.on_change(network->options.data);
    netd_state_deinit(&before);
    mac_strings_deinit(&notes);
}

static void on_kernel(void *data) {
    netd_network_look(data);
}

/* ---- leases ---- */

/* A renewed lease has the same address for longer: the kernel is told. */
static void prolong(netd_network *network, const netd_wish_link *wish, const netd_lease *lease) {
    netd_op op = {.kind = NETD_ADDRESS_ADD, .index = wish->index};
    op.address = (netd_address){.index = wish->index, .net = lease->address, .valid_s = lease->lease_s, .made = true};
    if (wish->index && netd_state_address(&network->state, wish->index, &lease->address))
        do_op(network, &op);
}

static void on_lease(const char *name, netd_lease_event event, bool changed, void *data) {
    static const char *const words[] = {"lost", "bound", "renewed", "no_answer", "refused"};
    netd_network *network = data;
    const netd_wish_link *wish = netd_wish_named(&network->wish, name);
    const netd_lease *lease = netd_dhcp_lease(network->dhcp, name);
    char text[NETD_NET_TEXT];
    if (!wish)
        return;
    if (event != NETD_LEASE_RENEW || changed)
        tell(network, "lease", words[event], name, lease ? netd_net_format(&lease->address, text) : NULL);
    if (lease && (event == NETD_LEASE_BOUND || event == NETD_LEASE_RENEW))
        prolong(network, wish, lease);
    if (changed)
        netd_network_look(network);
}

static void on_lease6(const char *name, netd_lease_event event, bool changed, void *data) {
    netd_network *network = data;
    const netd_wish_link *wish = netd_wish_named(&network->wish, name);
    const netd_lease *lease = netd_dhcp6_lease(network->dhcp6, name);
    char text[NETD_NET_TEXT];
    bool address = lease && lease->address.ip.family;
    if (wish && changed)
        tell(network, "lease", event == NETD_LEASE_DECONFIG ? "lost" : "bound", name,
             address ? netd_net_format(&lease->address, text) : NULL);
    if (wish && address)
        prolong(network, wish, lease);
    if (wish && changed && !network->looking)
        netd_network_look(network);
}

static void on_wifi(const char *what, const char *interface, const char *subject, const char *reason, void *data) {
    netd_network *network = data;
    network->options.on_event(&(netd_network_event){"wifi", what, interface, subject, reason}, network->options.data);
    if (!network->looking)
        netd_network_look(network); /* notes say it, too */
}

/* ---- asked from outside ---- */

void netd_network_set(netd_network *network, const Macula__V1__Document *document) {
    netd_wish before = network->wish;
    netd_wish_make(document, &network->wish);
    netd_guest_limit(network->options.guest, document, &network->wish);
    netd_wish_bind(&network->wish, &before, &network->state);
    netd_wish_deinit(&before);
    netd_tunnel_set(network->tunnel, document);
    netd_wifi_set(network->wifi, document);
    free(network->hostname);
    network->hostname = mac_strdup(document ? document->hostname : NULL);
    netd_network_look(network);
}

void netd_network_hold(netd_network *network, const char *name, bool down) {
    mac_strings held = {0};
    for (size_t i = 0; i < network->held.count; i++)
        if (strcmp(network->held.items[i], name) != 0)
            mac_strings_add(&held, network->held.items[i]);
    if (down)
        mac_strings_add(&held, name);
    mac_strings_deinit(&network->held);
    network->held = held;
    netd_network_look(network);
}

bool netd_network_held(const netd_network *network, const char *name) {
    return mac_strings_contain(&network->held, name);
}

void netd_network_give_up_lease(netd_network *network, const char *name) {
    netd_dhcp_give_up(network->dhcp, name);
}

const netd_state *netd_network_state(const netd_network *network) {
    return &network->state;
}

const netd_wish *netd_network_wish(const netd_network *network) {
    return &network->wish;
}

const netd_resolver *netd_network_resolver(const netd_network *network) {
    return &network->resolver;
}

const mac_strings *netd_network_notes(const netd_network *network) {
    return &network->notes;
}

const netd_lease *netd_network_lease(const netd_network *network, const netd_wish_link *link) {
    return lease_of(link, (void *)network);
}

const netd_lease *netd_network_lease6(const netd_network *network, const netd_wish_link *link) {
    return lease6_of(link, (void *)network);
}

netd_dhcp *netd_network_dhcp(const netd_network *network) {
    return network->dhcp;
}

size_t netd_network_clients(const netd_network *network) {
    return netd_dhcp_clients(network->dhcp);
}

const netd_wireguard *netd_network_tunnel(const netd_network *network) {
    return netd_tunnel_wished(network->tunnel);
}

netd_wifi *netd_network_wifi(const netd_network *network) {
    return network->wifi;
}

/* ---- life ---- */

netd_network *netd_network_new(const netd_network_options *options, mac_error **ret_error) {
    netd_network *network = mac_calloc(1, sizeof *network);
    network->options = *options;
    netd_origins_init(&network->origins, options->root);
    network->dhcp =
        netd_dhcp_new(&(netd_dhcp_options){options->root, options->loop, options->sys, on_lease, network}, ret_error);
    if (network->dhcp)
        network->routers = netd_routers_new(options->sys, on_kernel, network, ret_error);
    int r = network->routers ? netd_sys_watch(options->sys, on_kernel, network) : 0;
    if (r < 0)
        *ret_error = mac_error_from_errno(r, "the kernel does not tell of changes of the network");
    if (!network->routers || r < 0) {
        netd_dhcp_free(network->dhcp);
        netd_routers_free(network->routers);
        free(network);
        return NULL;
    }
    network->tunnel =
        netd_tunnel_new(&(netd_tunnel_options){options->root, options->loop, options->sys, on_kernel, network});
    network->dhcp6 = netd_dhcp6_new(&(netd_dhcp6_options){options->loop, on_lease6, network});
    network->wifi = netd_wifi_new(&(netd_wifi_options){options->root, options->loop, options->sys, on_wifi, network});
    uv_timer_init(options->loop, &network->again);
    network->again.data = network;
    return network;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void netd_network_free(netd_network *network) {
    if (!network)
        return;
    netd_dhcp_free(network->dhcp);
    netd_dhcp6_free(network->dhcp6);
    netd_tunnel_free(network->tunnel);
    netd_routers_free(network->routers);
    netd_wifi_free(network->wifi);
    netd_wish_deinit(&network->wish);
    netd_state_deinit(&network->state);
    netd_resolver_deinit(&network->resolver);
    mac_strings_deinit(&network->notes);
    mac_strings_deinit(&network->held);
    free(network->hostname);
    uv_close((uv_handle_t *)&network->again, on_closed);
}
