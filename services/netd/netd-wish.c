#include "netd-wish.h"

#include <stdio.h>
#include <string.h>

#include "codec/mac-codec.h"
#include "codec/mac-schema.h"
#include "netd-wireguard.h"

typedef Macula__V1__NetworkSection__Interface interface_config;

const char *netd_kind_text(netd_kind kind) {
    switch (kind) {
    case NETD_PLAIN:
        return "";
    case NETD_VLAN:
        return "vlan";
    case NETD_BRIDGE:
        return "bridge";
    case NETD_BOND:
        return "bond";
    case NETD_WIREGUARD:
        return "wireguard";
    }
    return "";
}

static void set_name(char target[NETD_NAME_SIZE], const char *name) {
    if (name)
        mac_copy_text(target, NETD_NAME_SIZE, name);
}

/* A link of the wish; the pointer is good until the next one is added. */
static netd_wish_link *add_link(netd_wish *wish, const char *name) {
    wish->links = mac_realloc(wish->links, (wish->link_count + 1) * sizeof *wish->links);
    netd_wish_link *link = &wish->links[wish->link_count++];
    *link = (netd_wish_link){.ipv6 = true};
    set_name(link->name, name);
    return link;
}

static netd_wish_link *find_or_add(netd_wish *wish, const char *name) {
    netd_wish_link *link = netd_wish_named(wish, name);
    return link ? link : add_link(wish, name);
}

static netd_route *add_route(netd_wish_link *link) {
    link->routes = mac_realloc(link->routes, (link->route_count + 1) * sizeof *link->routes);
    netd_route *route = &link->routes[link->route_count++];
    *route = (netd_route){0};
    return route;
}

static void add_gateway(netd_wish_link *link, const char *text) {
    netd_ip via;
    if (!text || netd_ip_parse(text, &via) < 0)
        return;
    netd_route *route = add_route(link);
    route->to = netd_net_default(via.family);
    route->via = via;
}

static void parse_ips(char **texts, size_t count, netd_ip **ret_ips, size_t *ret_count) {
    *ret_ips = mac_calloc(count ? count : 1, sizeof **ret_ips);
    for (size_t i = 0; i < count; i++)
        if (netd_ip_parse(texts[i], &(*ret_ips)[*ret_count]) == 0)
            (*ret_count)++;
}

static void take_routes(netd_wish_link *link, const interface_config *config) {
    add_gateway(link, config->gateway);
    add_gateway(link, config->gateway6);
    for (size_t i = 0; i < config->n_routes; i++) {
        const Macula__V1__NetworkSection__Route *from = config->routes[i];
        netd_route made = {.metric = from->metric};
        if (netd_net_parse(from->to, &made.to) < 0 || (from->via && netd_ip_parse(from->via, &made.via) < 0))
            continue;
        if (strcmp(from->to, "default") == 0 && made.via.family)
            made.to = netd_net_default(made.via.family);
        made.to = netd_net_masked(&made.to);
        *add_route(link) = made;
    }
}

static void take_plain(netd_wish_link *link, const interface_config *config) {
    link->dhcp = config->dhcp;
    link->ipv6 = config->ipv6;
    link->mtu = config->mtu;
    unsigned byte[6];
    if (config->mac && sscanf(config->mac, "%2x:%2x:%2x:%2x:%2x:%2x", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4],
                              &byte[5]) == 6) {
        link->has_mac = true;
        for (size_t i = 0; i < 6; i++)
            link->mac[i] = (uint8_t)byte[i];
    }
    link->addresses = mac_calloc(config->n_addresses ? config->n_addresses : 1, sizeof *link->addresses);
    for (size_t i = 0; i < config->n_addresses; i++)
        if (netd_net_parse(config->addresses[i], &link->addresses[link->address_count]) == 0)
            link->address_count++;
    parse_ips(config->dns, config->n_dns, &link->dns, &link->dns_count);
    take_routes(link, config);
}

/* The kernel's numbers (BOND_MODE_…) are others than the schema's. */
static unsigned bond_mode(Macula__V1__NetworkSection__Bond__Mode mode) {
    static const unsigned kernel[] = {1, 4, 0, 2, 3, 5, 6};
    return (unsigned)mode < MAC_ARRAY_SIZE(kernel) ? kernel[mode] : 1;
}

static void take_kind(netd_wish_link *link, const interface_config *config) {
    if (config->vlan) {
        link->kind = NETD_VLAN;
        set_name(link->parent, config->vlan->parent);
        link->vlan_id = config->vlan->id;
    } else if (config->bridge) {
        link->kind = NETD_BRIDGE;
        link->stp = config->bridge->stp;
    } else if (config->bond) {
        uint64_t ms = 100;
        if (config->bond->miimon && mac_value_duration(config->bond->miimon, &ms) < 0)
            ms = 100;
        link->kind = NETD_BOND;
        link->bond_mode = bond_mode(config->bond->mode);
        link->miimon = ms > 60000 ? 60000 : (unsigned)ms;
        set_name(link->primary, config->bond->primary);
    }
}

static void take_ports(netd_wish *wish, const char *master, char **ports, size_t count) {
    for (size_t i = 0; i < count; i++) {
        netd_wish_link *port = find_or_add(wish, ports[i]);
        set_name(port->master, master);
        port->dhcp = false; /* addresses belong to the master */
        port->address_count = port->route_count = 0;
    }
}

static bool is_within(const netd_wish_link *link, const netd_net *net) {
    for (size_t i = 0; i < link->address_count; i++)
        if (link->addresses[i].prefix <= net->prefix && netd_net_contains(&link->addresses[i], &net->ip))
            return true;
    return false;
}

/* The WireGuard interface, and routes to what is behind its peers: but for everything (0.0.0.0/0), which is left to
 * routes that the configuration names. */
static void take_tunnel(netd_wish *wish, const Macula__V1__Document *document) {
    const Macula__V1__SecuritySection__Wireguard *section = netd_wireguard_section(document);
    if (!section || netd_wish_named(wish, section->mesh_interface))
        return;
    netd_wireguard *wanted = netd_wireguard_make(section);
    netd_wish_link *link = add_link(wish, section->mesh_interface);
    link->kind = NETD_WIREGUARD;
    link->mtu = section->mtu;
    link->addresses = mac_calloc(section->n_addresses + 1, sizeof *link->addresses);
    for (size_t i = 0; i < section->n_addresses; i++)
        if (netd_net_parse(section->addresses[i], &link->addresses[link->address_count]) == 0)
            link->address_count++;
    for (size_t p = 0; p < wanted->peer_count; p++)
        for (size_t i = 0; i < wanted->peers[p].allowed_count; i++) {
            const netd_net *net = &wanted->peers[p].allowed[i];
            if (net->prefix && !is_within(link, net))
                add_route(link)->to = *net;
        }
    netd_wireguard_free(wanted);
}

static void take_wifi(netd_wish *wish, const Macula__V1__MaculaosSection *section) {
    for (size_t i = 0; i < section->n_wifi; i++)
        if (section->wifi[i]->interface && *section->wifi[i]->interface)
            mac_strings_add(&wish->radios, section->wifi[i]->interface);
        else
            wish->any_radio = true;
}

void netd_wish_make(const Macula__V1__Document *document, netd_wish *ret_wish) {
    netd_wish wish = {.dhcp = true};
    const Macula__V1__MaculaosSection *section = document ? document->maculaos : NULL;
    const Macula__V1__NetworkSection *network = section ? section->network : NULL;
    for (size_t i = 0; network && i < network->n_interfaces; i++) {
        const interface_config *config = network->interfaces[i]->value;
        netd_wish_link *link = find_or_add(&wish, network->interfaces[i]->key);
        if (config) {
            take_plain(link, config);
            take_kind(link, config);
        }
    }
    for (size_t i = 0; network && i < network->n_interfaces; i++) {
        const interface_config *config = network->interfaces[i]->value;
        const char *name = network->interfaces[i]->key;
        if (config && config->bridge)
            take_ports(&wish, name, config->bridge->interfaces, config->bridge->n_interfaces);
        else if (config && config->bond)
            take_ports(&wish, name, config->bond->interfaces, config->bond->n_interfaces);
    }
    take_tunnel(&wish, document);
    for (size_t i = 0; network && i < network->n_dns_search; i++)
        mac_strings_add(&wish.search, network->dns_search[i]);
    for (size_t i = 0; network && i < network->n_probe_targets; i++)
        mac_strings_add(&wish.targets, network->probe_targets[i]);
    if (network)
        wish.dhcp = network->dhcp;
    if (section)
        take_wifi(&wish, section);
    if (section)
        parse_ips(section->dns_nameservers, section->n_dns_nameservers, &wish.dns, &wish.dns_count);
    *ret_wish = wish;
}

void netd_wish_deinit(netd_wish *wish) {
    for (size_t i = 0; i < wish->link_count; i++) {
        free(wish->links[i].addresses);
        free(wish->links[i].routes);
        free(wish->links[i].dns);
    }
    free(wish->links);
    free(wish->dns);
    mac_strings_deinit(&wish->search);
    mac_strings_deinit(&wish->targets);
    mac_strings_deinit(&wish->radios);
    *wish = (netd_wish){0};
}

netd_wish_link *netd_wish_named(const netd_wish *wish, const char *name) {
    for (size_t i = 0; i < wish->link_count; i++)
        if (strcmp(wish->links[i].name, name) == 0)
            return &wish->links[i];
    return NULL;
}

netd_wish_link *netd_wish_of(const netd_wish *wish, int index) {
    for (size_t i = 0; i < wish->link_count; i++)
        if (index && wish->links[i].index == index)
            return &wish->links[i];
    return NULL;
}

bool netd_wish_has_fixed6(const netd_wish_link *link) {
    for (size_t i = 0; i < link->address_count; i++)
        if (link->addresses[i].ip.family == AF_INET6)
            return true;
    return false;
}

bool netd_wish_joins(const netd_wish *wish, const char *name) {
    return wish->any_radio || mac_strings_contain(&wish->radios, name);
}

/* The link that this wish was bound to, if it lives on under a name that no wish has. */
static int renamed_index(const netd_wish *wish, const netd_wish *before, const char *name, const netd_state *state) {
    const netd_wish_link *old = netd_wish_named(before, name);
    const netd_link *link = old && old->index ? netd_state_link(state, old->index) : NULL;
    return link && !netd_wish_named(wish, link->name) ? link->index : 0;
}

/* Earlier wishes by default stay, so that one whose link was renamed does, too. */
static void keep_defaults(netd_wish *wish, const netd_wish *before) {
    for (size_t i = 0; wish->dhcp && before != wish && i < before->link_count; i++)
        if (before->links[i].by_default && !before->links[i].radio && !netd_wish_named(wish, before->links[i].name)) {
            netd_wish_link *link = add_link(wish, before->links[i].name);
            link->by_default = link->dhcp = true;
        }
}

static void drop_vanished_defaults(netd_wish *wish) {
    size_t kept = 0;
    for (size_t i = 0; i < wish->link_count; i++)
        if (wish->links[i].index || !wish->links[i].by_default)
            wish->links[kept++] = wish->links[i]; /* a wish by default owns nothing */
    wish->link_count = kept;
}

void netd_wish_bind(netd_wish *wish, const netd_wish *bound_before, const netd_state *state) {
    keep_defaults(wish, bound_before);
    for (size_t i = 0; i < wish->link_count; i++) {
        const netd_link *link = netd_state_named(state, wish->links[i].name);
        wish->links[i].index = link ? link->index : renamed_index(wish, bound_before, wish->links[i].name, state);
    }
    drop_vanished_defaults(wish);
    for (size_t i = 0; i < state->link_count; i++) {
        const netd_link *link = &state->links[i];
        bool radio = link->wifi && netd_wish_joins(wish, link->name);
        if (!(radio || (wish->dhcp && netd_link_is_wired(link))) || netd_wish_of(wish, link->index) || link->master)
            continue;
        netd_wish_link *made = add_link(wish, link->name);
        made->by_default = made->dhcp = true;
        made->radio = radio;
        made->index = link->index;
    }
}
