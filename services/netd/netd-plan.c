#include "netd-plan.h"

#include <string.h>

#define METRIC_FIRST 100u
#define METRIC_WIFI 600u
#define IPV6_MTU_LEAST 1280u

typedef struct planning {
    const netd_wish *wish;
    const netd_state *state;
    const netd_plan_more *more;
    netd_plan *plan;
} planning;

static netd_op *add_op(planning *p, netd_op_kind kind, int index) {
    netd_plan *plan = p->plan;
    plan->ops = mac_realloc(plan->ops, (plan->count + 1) * sizeof *plan->ops);
    netd_op *op = &plan->ops[plan->count++];
    *op = (netd_op){.kind = kind, .index = index};
    return op;
}

uint32_t netd_plan_metric(const netd_wish *wish, const netd_wish_link *link) {
    uint32_t metric = METRIC_FIRST;
    for (size_t i = 0; i < wish->link_count; i++)
        if (strcmp(wish->links[i].name, link->name) < 0)
            metric++;
    return mac_starts_with(link->name, "wl") ? metric + METRIC_WIFI : metric;
}

/* ---- links ---- */

static bool is_kind(const netd_link *link, netd_kind kind) {
    return kind == NETD_PLAIN || strcmp(link->kind, netd_kind_text(kind)) == 0;
}

static bool is_as_made(const planning *p, const netd_wish_link *wish, const netd_link *link) {
    const netd_link *parent = netd_state_named(p->state, wish->parent);
    if (!is_kind(link, wish->kind))
        return false;
    return wish->kind != NETD_VLAN || (link->vlan_id == wish->vlan_id && (!parent || parent->index == link->parent));
}

static void remove_unwished_links(planning *p) {
    for (size_t i = 0; i < p->state->link_count; i++) {
        const netd_link *link = &p->state->links[i];
        const netd_wish_link *wish = netd_wish_of(p->wish, link->index);
        if (link->made && (!wish || !is_as_made(p, wish, link)))
            add_op(p, NETD_LINK_DELETE, link->index);
    }
}

static void make_link(planning *p, const netd_wish_link *wish) {
    const netd_link *parent = wish->parent[0] ? netd_state_named(p->state, wish->parent) : NULL;
    if (wish->kind == NETD_PLAIN) {
        mac_strings_addf(&p->plan->notes, "%s: there is no such interface now", wish->name);
        return;
    }
    if (wish->kind == NETD_VLAN && !parent) {
        mac_strings_addf(&p->plan->notes, "%s: %s, which is to carry it, is not there now", wish->name, wish->parent);
        return;
    }
    netd_op *op = add_op(p, NETD_LINK_ADD, 0);
    op->link = wish;
    op->number = parent ? (uint32_t)parent->index : 0;
}

/* A port that is no longer wished leaves the master that netd made; one of others stays where it is. */
static void set_master(planning *p, const netd_wish_link *wish, const netd_link *link) {
    const netd_link *master = wish->master[0] ? netd_state_named(p->state, wish->master) : NULL;
    const netd_link *now = link->master ? netd_state_link(p->state, link->master) : NULL;
    if (wish->master[0] && !master)
        return; /* in the next round */
    if (master == now || (!master && now && !now->made))
        return;
    if (master && strcmp(master->kind, "bond") == 0 && link->up)
        add_op(p, NETD_LINK_DOWN, link->index); /* the bond driver wants it so */
    add_op(p, NETD_LINK_MASTER, link->index)->number = master ? (uint32_t)master->index : 0;
}

static bool held(const planning *p, const netd_wish_link *wish) {
    return p->more->held_down && p->more->held_down(wish, p->more->data);
}

static const netd_lease *lease_of(const planning *p, const netd_wish_link *wish) {
    return wish->dhcp && p->more->lease_of ? p->more->lease_of(wish, p->more->data) : NULL;
}

/* A server may not take IPv6 away from a link. */
static uint32_t leased_mtu(planning *p, const netd_wish_link *wish) {
    const netd_lease *lease = lease_of(p, wish);
    if (!lease || !lease->mtu || lease->mtu >= IPV6_MTU_LEAST || !wish->ipv6)
        return lease ? lease->mtu : 0;
    mac_strings_addf(&p->plan->notes,
                     "%s: the DHCP server asks for an MTU of %u, with which there is no IPv6; set mtu: %u "
                     "and ipv6: false to have it",
                     wish->name, lease->mtu, lease->mtu);
    return 0;
}

/* MTU and hardware address, or what they were before anybody asked for others. */
static void set_properties(planning *p, const netd_wish_link *wish, const netd_link *link) {
    const netd_origin *origin = p->more->origins ? netd_origins_of(p->more->origins, link->index) : NULL;
    uint32_t leased = leased_mtu(p, wish);
    uint32_t mtu = wish->mtu ? wish->mtu : leased ? leased : origin ? origin->mtu : 0;
    const uint8_t *mac = wish->has_mac ? wish->mac : origin && origin->has_mac ? origin->mac : NULL;
    if (mtu && mtu != link->mtu)
        add_op(p, NETD_LINK_MTU, link->index)->number = mtu;
    if (mac && link->has_mac && memcmp(mac, link->mac, 6) != 0)
        memcpy(add_op(p, NETD_LINK_MAC, link->index)->mac, mac, 6);
}

static void set_link(planning *p, const netd_wish_link *wish) {
    const netd_link *link = netd_state_link(p->state, wish->index);
    if (!link) {
        make_link(p, wish);
        return;
    }
    if (!is_as_made(p, wish, link)) {
        if (!link->made)
            mac_strings_addf(&p->plan->notes, "%s: is there already, made by somebody else, and is no %s", wish->name,
                             netd_kind_text(wish->kind));
        return;
    }
    set_properties(p, wish, link);
    set_master(p, wish, link);
    if (!link->up && !held(p, wish))
        add_op(p, NETD_LINK_UP, link->index);
    else if (link->up && held(p, wish))
        add_op(p, NETD_LINK_DOWN, link->index);
}

/* ---- addresses ---- */

static const netd_lease *lease6_of(const planning *p, const netd_wish_link *wish) {
    return p->more->lease6_of ? p->more->lease6_of(wish, p->more->data) : NULL;
}

/* Of a netd before this one: DHCPv6 says soon whether it holds, and if not, the kernel knows when it is over. */
static bool is_earlier_lease6(const planning *p, const netd_address *address) {
    const netd_link *link = netd_state_link(p->state, address->index);
    return link && link->ra_address && address->net.ip.family == AF_INET6 && address->net.prefix == 128 &&
           address->valid_s != UINT32_MAX;
}

static bool is_wished_address(const planning *p, const netd_address *address) {
    const netd_wish_link *wish = netd_wish_of(p->wish, address->index);
    if (!wish || wish->master[0])
        return false;
    for (size_t i = 0; i < wish->address_count; i++)
        if (netd_net_equal(&wish->addresses[i], &address->net))
            return true;
    const netd_lease *lease = lease_of(p, wish), *lease6 = lease6_of(p, wish);
    if (!lease6 && !netd_wish_has_fixed6(wish) && is_earlier_lease6(p, address))
        return true;
    return (lease && netd_net_equal(&lease->address, &address->net)) ||
           (lease6 && netd_net_equal(&lease6->address, &address->net));
}

static void wish_address(planning *p, const netd_wish_link *wish, const netd_net *net, uint32_t valid_s) {
    if (netd_state_address(p->state, wish->index, net))
        return;
    netd_op *op = add_op(p, NETD_ADDRESS_ADD, wish->index);
    op->address = (netd_address){.index = wish->index, .net = *net, .valid_s = valid_s, .made = true};
}

/* Without carrier the kernel takes addresses as well; on a link that is down IPv6 ones vanish again. */
static bool can_have_addresses(const planning *p, const netd_wish_link *wish) {
    const netd_link *link = netd_state_link(p->state, wish->index);
    return link && link->up && !wish->master[0] && is_as_made(p, wish, link);
}

static void set_addresses(planning *p) {
    for (size_t i = 0; i < p->state->address_count; i++)
        if (p->state->addresses[i].made && !is_wished_address(p, &p->state->addresses[i])) {
            netd_op *op = add_op(p, NETD_ADDRESS_DELETE, p->state->addresses[i].index);
            op->address = p->state->addresses[i];
        }
    for (size_t i = 0; i < p->wish->link_count; i++) {
        const netd_wish_link *wish = &p->wish->links[i];
        if (!can_have_addresses(p, wish))
            continue;
        for (size_t a = 0; a < wish->address_count; a++)
            wish_address(p, wish, &wish->addresses[a], UINT32_MAX);
        const netd_lease *lease = lease_of(p, wish);
        if (lease)
            wish_address(p, wish, &lease->address, lease->lease_s);
        const netd_lease *lease6 = lease6_of(p, wish);
        if (lease6 && lease6->address.ip.family)
            wish_address(p, wish, &lease6->address, lease6->lease_s);
    }
}

/* ---- routes ---- */

/* A route as the kernel will have it. A gateway outside of the link's networks is taken for on the link, which is how
 * clouds with /32 addresses mean it. */
static netd_route complete(const planning *p, const netd_wish_link *wish, const netd_route *from) {
    netd_route route = *from;
    const netd_lease *lease = lease_of(p, wish);
    route.index = wish->index;
    route.made = true;
    if (!route.metric)
        route.metric = netd_plan_metric(p->wish, wish);
    route.onlink = route.via.family != 0;
    for (size_t i = 0; i < wish->address_count; i++)
        if (netd_net_contains(&wish->addresses[i], &route.via))
            route.onlink = false;
    if (lease && netd_net_contains(&lease->address, &route.via))
        route.onlink = false;
    if (netd_ip_is_link_local(&route.via))
        route.onlink = false;
    return route;
}

static bool is_wished_route(const planning *p, const netd_route *route) {
    const netd_wish_link *wish = netd_wish_of(p->wish, route->index);
    if (!wish || wish->master[0])
        return false;
    const netd_lease *lease = lease_of(p, wish);
    for (size_t i = 0; i < wish->route_count + (lease ? lease->route_count : 0); i++) {
        const netd_route *from = i < wish->route_count ? &wish->routes[i] : &lease->routes[i - wish->route_count];
        netd_route wished = complete(p, wish, from);
        if (netd_route_equal(&wished, route))
            return true;
    }
    return false;
}

static void wish_route(planning *p, const netd_wish_link *wish, const netd_route *from, const netd_ip *source) {
    netd_route route = complete(p, wish, from);
    if (source)
        route.source = *source; /* so that it goes with the address when the lease is over */
    for (size_t i = 0; i < p->state->route_count; i++)
        if (netd_route_equal(&p->state->routes[i], &route))
            return;
    add_op(p, NETD_ROUTE_ADD, wish->index)->route = route;
}

static void set_routes(planning *p) {
    for (size_t i = 0; i < p->state->route_count; i++)
        if (p->state->routes[i].made && !is_wished_route(p, &p->state->routes[i]))
            add_op(p, NETD_ROUTE_DELETE, p->state->routes[i].index)->route = p->state->routes[i];
    for (size_t i = 0; i < p->wish->link_count; i++) {
        const netd_wish_link *wish = &p->wish->links[i];
        if (!can_have_addresses(p, wish))
            continue;
        for (size_t r = 0; r < wish->route_count; r++)
            wish_route(p, wish, &wish->routes[r], NULL);
        const netd_lease *lease = lease_of(p, wish);
        const netd_address *leased = lease ? netd_state_address(p->state, wish->index, &lease->address) : NULL;
        for (size_t r = 0; leased && r < lease->route_count; r++)
            wish_route(p, wish, &lease->routes[r], &lease->address.ip);
    }
}

void netd_plan_make(const netd_wish *wish, const netd_state *state, const netd_plan_more *more, netd_plan *ret_plan) {
    *ret_plan = (netd_plan){0};
    planning p = {wish, state, more, ret_plan};
    remove_unwished_links(&p);
    for (size_t i = 0; i < wish->link_count; i++)
        set_link(&p, &wish->links[i]);
    set_addresses(&p);
    set_routes(&p);
}

void netd_plan_deinit(netd_plan *plan) {
    free(plan->ops);
    mac_strings_deinit(&plan->notes);
    *plan = (netd_plan){0};
}

char *netd_op_text(const netd_op *op, const netd_state *state) {
    char net[NETD_NET_TEXT], via[NETD_IP_TEXT];
    const netd_link *link = netd_state_link(state, op->index);
    const char *name = link ? link->name : op->link ? op->link->name : "?";
    switch (op->kind) {
    case NETD_LINK_ADD:
        return mac_asprintf("make %s %s", op->link ? netd_kind_text(op->link->kind) : "link", name);
    case NETD_LINK_DELETE:
        return mac_asprintf("remove %s", name);
    case NETD_LINK_UP:
        return mac_asprintf("bring %s up", name);
    case NETD_LINK_DOWN:
        return mac_asprintf("take %s down", name);
    case NETD_LINK_MTU:
        return mac_asprintf("set the MTU of %s to %u", name, op->number);
    case NETD_LINK_MAC:
        return mac_asprintf("set the hardware address of %s", name);
    case NETD_LINK_MASTER: {
        const netd_link *master = netd_state_link(state, (int)op->number);
        return master ? mac_asprintf("make %s a port of %s", name, master->name)
                      : mac_asprintf("make %s a port of nothing", name);
    }
    case NETD_ADDRESS_ADD:
    case NETD_ADDRESS_DELETE:
        return mac_asprintf("%s address %s %s %s", op->kind == NETD_ADDRESS_ADD ? "add" : "remove",
                            netd_net_format(&op->address.net, net), op->kind == NETD_ADDRESS_ADD ? "to" : "from", name);
    case NETD_ROUTE_ADD:
    case NETD_ROUTE_DELETE:
        return mac_asprintf("%s route %s via %s on %s", op->kind == NETD_ROUTE_ADD ? "add" : "remove",
                            netd_net_format(&op->route.to, net),
                            op->route.via.family ? netd_ip_format(&op->route.via, via) : "the link", name);
    }
    return mac_strdup("?");
}
