#include "netd-state.h"

#include <string.h>

void netd_state_deinit(netd_state *state) {
    free(state->links);
    free(state->addresses);
    free(state->routes);
    *state = (netd_state){0};
}

/* Room for one more, in steps that double. */
static void *grow(void *items, size_t count, size_t size) {
    if (count && (count & (count - 1)))
        return items;
    return mac_realloc(items, (count ? count * 2 : 1) * size);
}

netd_link *netd_state_add_link(netd_state *state) {
    state->links = grow(state->links, state->link_count, sizeof *state->links);
    netd_link *link = &state->links[state->link_count++];
    *link = (netd_link){0};
    return link;
}

netd_address *netd_state_add_address(netd_state *state) {
    state->addresses = grow(state->addresses, state->address_count, sizeof *state->addresses);
    netd_address *address = &state->addresses[state->address_count++];
    *address = (netd_address){.valid_s = UINT32_MAX};
    return address;
}

netd_route *netd_state_add_route(netd_state *state) {
    state->routes = grow(state->routes, state->route_count, sizeof *state->routes);
    netd_route *route = &state->routes[state->route_count++];
    *route = (netd_route){0};
    return route;
}

netd_link *netd_state_link(const netd_state *state, int index) {
    for (size_t i = 0; i < state->link_count; i++)
        if (state->links[i].index == index)
            return &state->links[i];
    return NULL;
}

netd_link *netd_state_named(const netd_state *state, const char *name) {
    for (size_t i = 0; i < state->link_count; i++)
        if (strcmp(state->links[i].name, name) == 0)
            return &state->links[i];
    return NULL;
}

netd_address *netd_state_address(const netd_state *state, int index, const netd_net *net) {
    for (size_t i = 0; i < state->address_count; i++)
        if (state->addresses[i].index == index && netd_net_equal(&state->addresses[i].net, net))
            return &state->addresses[i];
    return NULL;
}

bool netd_route_equal(const netd_route *a, const netd_route *b) {
    return a->index == b->index && a->metric == b->metric && netd_net_equal(&a->to, &b->to) &&
           netd_ip_equal(&a->via, &b->via);
}

bool netd_link_is_wired(const netd_link *link) {
    bool plain = !link->kind[0] || strcmp(link->kind, "veth") == 0;
    return link->ethernet && !link->wifi && !link->loopback && plain && link->name[0] == 'e';
}

const netd_route *netd_state_way(const netd_state *state, const netd_ip *to) {
    const netd_route *best = NULL;
    for (size_t i = 0; i < state->route_count; i++) {
        const netd_route *route = &state->routes[i];
        if (netd_net_contains(&route->to, to) &&
            (!best || route->to.prefix > best->to.prefix ||
             (route->to.prefix == best->to.prefix && route->metric < best->metric)))
            best = route;
    }
    return best;
}

const char *netd_link_kind_text(const netd_link *link) {
    if (link->loopback)
        return "loopback";
    if (link->wifi)
        return "wifi";
    if (link->kind[0])
        return link->kind;
    return link->ethernet ? "ethernet" : "other";
}
