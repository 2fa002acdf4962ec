/* netd-sys.h for every root that is not "/": a network in memory, with one wired interface that has a cable. */
#include "netd-sys.h"

#include <errno.h>
#include <string.h>

#define CALLS_MAX 1000 /* lines kept; the older half goes then */

typedef struct sys_record {
    netd_sys base;
    netd_state state;
    mac_strings calls;
    netd_wireguard *wireguard; /* the only one */
    int next_index;
    void (*on_change)(void *data);
    void *data;
    uv_timer_t later;
    bool has_timer;
} sys_record;

static int record_read(netd_sys *sys, netd_state *ret_state);

static sys_record *of(const netd_sys *sys) {
    return (sys_record *)mac_container_of(sys, sys_record, base);
}

static void note(sys_record *sys, char *line) {
    if (sys->calls.count >= CALLS_MAX) {
        mac_autostrings kept = {0};
        for (size_t i = CALLS_MAX / 2; i < sys->calls.count; i++)
            mac_strings_add(&kept, sys->calls.items[i]);
        mac_strings_deinit(&sys->calls);
        sys->calls = kept;
        kept = (mac_strings){0};
    }
    mac_strings_add(&sys->calls, line);
    free(line);
}

static void on_later(uv_timer_t *timer) {
    sys_record *sys = timer->data;
    sys->on_change(sys->data);
}

/* ---- changes of the network in memory ---- */

static void add_link(sys_record *sys, const netd_op *op) {
    netd_link *link = netd_state_add_link(&sys->state);
    link->index = ++sys->next_index;
    mac_copy_text(link->name, sizeof link->name, op->link->name);
    mac_copy_text(link->kind, sizeof link->kind, netd_kind_text(op->link->kind));
    link->ethernet = op->link->kind != NETD_WIREGUARD;
    link->made = true;
    link->mtu = 1500;
    link->parent = (int)op->number;
    link->vlan_id = op->link->vlan_id;
}

static void remove_of_link(sys_record *sys, int index) {
    netd_state *state = &sys->state;
    size_t kept = 0;
    for (size_t i = 0; i < state->link_count; i++)
        if (state->links[i].index != index)
            state->links[kept++] = state->links[i];
    state->link_count = kept;
    kept = 0;
    for (size_t i = 0; i < state->address_count; i++)
        if (state->addresses[i].index != index)
            state->addresses[kept++] = state->addresses[i];
    state->address_count = kept;
    kept = 0;
    for (size_t i = 0; i < state->route_count; i++)
        if (state->routes[i].index != index)
            state->routes[kept++] = state->routes[i];
    state->route_count = kept;
}

static int set_link(sys_record *sys, const netd_op *op) {
    netd_link *link = netd_state_link(&sys->state, op->index);
    if (!link)
        return -ENODEV;
    if (op->kind == NETD_LINK_DELETE)
        remove_of_link(sys, op->index);
    else if (op->kind == NETD_LINK_UP || op->kind == NETD_LINK_DOWN)
        link->up = link->carrier = op->kind == NETD_LINK_UP;
    else if (op->kind == NETD_LINK_MTU)
        link->mtu = op->number;
    else if (op->kind == NETD_LINK_MASTER)
        link->master = (int)op->number;
    else if (op->kind == NETD_LINK_MAC)
        memcpy(link->mac, op->mac, sizeof link->mac);
    return 0;
}

static int set_address(sys_record *sys, const netd_op *op) {
    netd_state *state = &sys->state;
    netd_address *address = netd_state_address(state, op->index, &op->address.net);
    if (op->kind == NETD_ADDRESS_ADD) {
        if (!address)
            address = netd_state_add_address(state);
        *address = op->address;
        address->made = true;
    } else if (address) {
        *address = state->addresses[--state->address_count];
    }
    return 0;
}

static int set_route(sys_record *sys, const netd_op *op) {
    netd_state *state = &sys->state;
    if (op->kind == NETD_ROUTE_ADD) {
        *netd_state_add_route(state) = op->route;
        return 0;
    }
    for (size_t i = 0; i < state->route_count; i++)
        if (netd_route_equal(&state->routes[i], &op->route)) {
            state->routes[i] = state->routes[--state->route_count];
            break;
        }
    return 0;
}

static int record_apply(netd_sys *base, const netd_op *op) {
    sys_record *sys = of(base);
    note(sys, netd_op_text(op, &sys->state));
    if (sys->has_timer)
        uv_timer_start(&sys->later, on_later, 0, 0);
    switch (op->kind) {
    case NETD_LINK_ADD:
        add_link(sys, op);
        return 0;
    case NETD_LINK_DELETE:
    case NETD_LINK_UP:
    case NETD_LINK_DOWN:
    case NETD_LINK_MTU:
    case NETD_LINK_MAC:
    case NETD_LINK_MASTER:
        return set_link(sys, op);
    case NETD_ADDRESS_ADD:
    case NETD_ADDRESS_DELETE:
        return set_address(sys, op);
    case NETD_ROUTE_ADD:
    case NETD_ROUTE_DELETE:
        return set_route(sys, op);
    }
    return -EINVAL;
}

/* ---- the rest ---- */

static int record_read(netd_sys *base, netd_state *ret_state) {
    const netd_state *from = &of(base)->state;
    netd_state copy = {0};
    for (size_t i = 0; i < from->link_count; i++)
        *netd_state_add_link(&copy) = from->links[i];
    for (size_t i = 0; i < from->address_count; i++)
        *netd_state_add_address(&copy) = from->addresses[i];
    for (size_t i = 0; i < from->route_count; i++)
        *netd_state_add_route(&copy) = from->routes[i];
    *ret_state = copy;
    return 0;
}

static int record_watch(netd_sys *base, void (*on_change)(void *data), void *data) {
    sys_record *sys = of(base);
    sys->on_change = on_change;
    sys->data = data;
    sys->has_timer = true;
    sys->later.data = sys;
    return uv_timer_init(base->loop, &sys->later);
}

static int record_watch_adverts(netd_sys *base,
                                void (*on_options)(int index, const void *options, size_t length, void *data),
                                void *data) {
    (void)base;
    (void)on_options;
    (void)data;
    return 0;
}

static void record_solicit(netd_sys *base, int index) {
    note(of(base), mac_asprintf("solicit %d", index));
}

static int record_watch_silent(netd_sys *base, void (*on_silent)(int index, const netd_ip *ip, void *data),
                               void *data) {
    (void)base;
    (void)on_silent;
    (void)data;
    return 0;
}

static int record_watch_claims(netd_sys *base,
                               void (*on_claim)(int index, const netd_ip *ip, const uint8_t mac[6], void *data),
                               void *data) {
    (void)base;
    (void)on_claim;
    (void)data;
    return 0;
}

static int record_claims_of(netd_sys *base, const netd_ip *ips, size_t count) {
    (void)base;
    (void)ips;
    (void)count;
    return 0;
}

static int record_announce(netd_sys *base, int index, const uint8_t mac[6], const netd_ip *ip) {
    char text[NETD_IP_TEXT];
    (void)mac;
    note(of(base), mac_asprintf("announce %s on %d", netd_ip_format(ip, text), index));
    return 0;
}

static int record_sysctl(netd_sys *base, const char *key, const char *value) {
    mac_autofree char *line = mac_asprintf("sysctl %s=%s", key, value);
    if (!mac_strings_contain(&of(base)->calls, line))
        note(of(base), mac_take(&line));
    return 0;
}

static int record_neighbour_ask(netd_sys *base, int index, const netd_ip *ip) {
    (void)base;
    (void)index;
    (void)ip;
    return 0;
}

static netd_neighbour record_neighbour(netd_sys *base, int index, const netd_ip *ip, uint8_t ret_mac[6]) {
    (void)base;
    (void)index;
    (void)ip;
    memset(ret_mac, 0, 6);
    return NETD_NEIGHBOUR_ANSWERS;
}

static int record_run(netd_sys *base, const mac_command_options *options, mac_command **ret_command) {
    mac_autobuffer line = {0};
    mac_buffer_text(&line, "run");
    for (size_t i = 0; options->argv[i]; i++)
        mac_buffer_printf(&line, " %s", options->argv[i]);
    note(of(base), mac_buffer_take(&line));
    *ret_command = NULL;
    return -ENOSYS; /* whoever asked goes on without it */
}

static int record_counters(netd_sys *base,
                           void (*on_counter)(const char *name, uint64_t packets, uint64_t bytes, void *data),
                           void *data) {
    (void)base;
    (void)on_counter;
    (void)data;
    return 0;
}

static int record_watch_table(netd_sys *base, void (*on_table)(void *data), void *data) {
    (void)base;
    (void)on_table;
    (void)data;
    return 0;
}

static bool record_has_table(netd_sys *base) {
    (void)base;
    return true;
}

static int record_sessions(netd_sys *base, uint16_t port,
                           void (*on_session)(const netd_ip *remote, const netd_ip *local, void *data), void *data) {
    (void)base;
    (void)port;
    (void)on_session;
    (void)data;
    return 0;
}

static int record_wireguard_read(netd_sys *base, int index, netd_wireguard **ret_wireguard) {
    const sys_record *sys = of(base);
    (void)index;
    *ret_wireguard = sys->wireguard ? netd_wireguard_copy(sys->wireguard) : mac_calloc(1, sizeof **ret_wireguard);
    return 0;
}

static int record_wireguard_write(netd_sys *base, int index, const netd_wireguard *wished,
                                  const netd_wireguard_change *change) {
    sys_record *sys = of(base);
    (void)index;
    if (!sys->wireguard)
        sys->wireguard = mac_calloc(1, sizeof *sys->wireguard);
    netd_wireguard_apply(sys->wireguard, wished, change);
    note(sys, mac_asprintf("tunnel: port %u, %zu peers set, %zu removed", wished->port, change->set_count,
                           change->remove_count));
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    sys_record *sys = handle->data;
    netd_wireguard_free(sys->wireguard);
    netd_state_deinit(&sys->state);
    mac_strings_deinit(&sys->calls);
    free(sys);
}

static void record_free(netd_sys *base) {
    sys_record *sys = of(base);
    if (sys->has_timer) {
        uv_close((uv_handle_t *)&sys->later, on_closed);
        return;
    }
    netd_wireguard_free(sys->wireguard);
    netd_state_deinit(&sys->state);
    mac_strings_deinit(&sys->calls);
    free(sys);
}

static const netd_sys_ops record_ops = {
    record_read,     record_apply,          record_watch,           record_watch_adverts,
    record_solicit,  record_watch_silent,   record_watch_claims,    record_claims_of,
    record_announce, record_sysctl,         record_neighbour_ask,   record_neighbour,
    record_run,      record_counters,       record_has_table,       record_watch_table,
    record_sessions, record_wireguard_read, record_wireguard_write, record_free};

const mac_strings *netd_sys_record_calls(const netd_sys *sys) {
    return sys->ops == &record_ops ? &of(sys)->calls : NULL;
}

netd_sys *netd_sys_record_new(void) {
    static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    sys_record *sys = mac_calloc(1, sizeof *sys);
    sys->base.ops = &record_ops;
    netd_link *loopback = netd_state_add_link(&sys->state);
    *loopback = (netd_link){.index = 1, .name = "lo", .loopback = true, .up = true, .carrier = true, .mtu = 65536};
    netd_link *wired = netd_state_add_link(&sys->state);
    *wired = (netd_link){.index = 2, .name = "eth0", .ethernet = true, .has_mac = true, .mtu = 1500};
    memcpy(wired->mac, mac, sizeof mac);
    sys->next_index = 2;
    return &sys->base;
}
