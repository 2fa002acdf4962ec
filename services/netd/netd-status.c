#include "netd-status.h"

#include <stdio.h>
#include <string.h>

#include "netd-avahi.h"
#include "netd-claims.h"
#include "netd-filter.h"
#include "netd-gateways.h"
#include "netd-keeper.h"

static char *ip_text(const netd_ip *ip) {
    char text[NETD_IP_TEXT];
    return ip->family ? mac_strdup(netd_ip_format(ip, text)) : NULL;
}

static char *net_text(const netd_net *net) {
    char text[NETD_NET_TEXT];
    return mac_strdup(netd_net_format(net, text));
}

static char *name_of(const netd_state *state, int index) {
    const netd_link *link = index ? netd_state_link(state, index) : NULL;
    return link ? mac_strdup(link->name) : NULL;
}

/* Every message here is from malloc, as protobuf-c frees it. */
#define NEW(type, init)                                                                                                \
    ({                                                                                                                 \
        type *message_ = mac_malloc(sizeof(type));                                                                     \
        init(message_);                                                                                                \
        message_;                                                                                                      \
    })

/* ---- links ---- */

static Macula__V1__NetAddress__Origin origin_of(const netd_network *network, const netd_address *address) {
    const netd_wish_link *wish = netd_wish_of(netd_network_wish(network), address->index);
    const netd_lease *lease = wish ? netd_network_lease(network, wish) : NULL;
    if (netd_ip_is_link_local(&address->net.ip))
        return MACULA__V1__NET_ADDRESS__ORIGIN__link_local;
    if (lease && netd_net_equal(&lease->address, &address->net))
        return MACULA__V1__NET_ADDRESS__ORIGIN__dhcp;
    if (address->made && address->net.ip.family == AF_INET6 && address->valid_s != UINT32_MAX)
        return MACULA__V1__NET_ADDRESS__ORIGIN__dhcp;
    if (address->made)
        return MACULA__V1__NET_ADDRESS__ORIGIN__configured;
    if (address->net.ip.family == AF_INET6 && !address->permanent)
        return MACULA__V1__NET_ADDRESS__ORIGIN__advertised;
    return MACULA__V1__NET_ADDRESS__ORIGIN__other;
}

static void put_addresses(const netd_network *network, Macula__V1__NetLink *message, int index) {
    const netd_state *state = netd_network_state(network);
    message->addresses = mac_calloc(state->address_count + 1, sizeof *message->addresses);
    for (size_t i = 0; i < state->address_count; i++) {
        const netd_address *from = &state->addresses[i];
        if (from->index != index)
            continue;
        Macula__V1__NetAddress *address = NEW(Macula__V1__NetAddress, macula__v1__net_address__init);
        address->address = net_text(&from->net);
        address->has_origin = true;
        address->origin = origin_of(network, from);
        address->has_valid_s = from->valid_s != UINT32_MAX;
        address->valid_s = from->valid_s;
        address->has_duplicate = address->duplicate = from->duplicate;
        message->addresses[message->n_addresses++] = address;
    }
}

static Macula__V1__NetRoute *route_message(const netd_state *state, const netd_route *from) {
    Macula__V1__NetRoute *route = NEW(Macula__V1__NetRoute, macula__v1__net_route__init);
    route->to = net_text(&from->to);
    route->via = ip_text(&from->via);
    route->interface = name_of(state, from->index);
    route->has_metric = from->metric > 0;
    route->metric = from->metric;
    route->has_made = route->made = from->made;
    route->has_ipv6 = route->ipv6 = from->to.ip.family == AF_INET6;
    return route;
}

static Macula__V1__NetLease *lease_message(const netd_state *state, const netd_lease *from) {
    Macula__V1__NetLease *lease = NEW(Macula__V1__NetLease, macula__v1__net_lease__init);
    const netd_ip *gateway = netd_lease_gateway(from);
    lease->address = net_text(&from->address);
    lease->server = ip_text(&from->server);
    lease->gateway = gateway ? ip_text(gateway) : NULL;
    lease->dns = mac_calloc(from->dns_count + 1, sizeof *lease->dns);
    for (size_t i = 0; i < from->dns_count; i++)
        lease->dns[lease->n_dns++] = ip_text(&from->dns[i]);
    lease->search = mac_calloc(from->search_count + 1, sizeof *lease->search);
    for (size_t i = 0; i < from->search_count; i++)
        lease->search[lease->n_search++] = mac_strdup(from->search[i]);
    lease->routes = mac_calloc(from->route_count + 1, sizeof *lease->routes);
    for (size_t i = 0; i < from->route_count; i++)
        lease->routes[lease->n_routes++] = route_message(state, &from->routes[i]);
    lease->has_lease_s = from->lease_s != UINT32_MAX;
    lease->lease_s = from->lease_s;
    lease->has_obtained_ms = true;
    lease->obtained_ms = from->obtained_ms;
    lease->has_mtu = from->mtu > 0;
    lease->mtu = from->mtu;
    return lease;
}

static Macula__V1__NetCounters *counters_message(const netd_link *link) {
    Macula__V1__NetCounters *counters = NEW(Macula__V1__NetCounters, macula__v1__net_counters__init);
    counters->has_rx_bytes = counters->has_rx_packets = counters->has_rx_errors = true;
    counters->has_tx_bytes = counters->has_tx_packets = counters->has_tx_errors = true;
    counters->rx_bytes = link->rx_bytes;
    counters->rx_packets = link->rx_packets;
    counters->rx_errors = link->rx_errors;
    counters->tx_bytes = link->tx_bytes;
    counters->tx_packets = link->tx_packets;
    counters->tx_errors = link->tx_errors;
    return counters;
}

static void put_wish(const netd_network *network, Macula__V1__NetLink *message, const netd_link *link) {
    const netd_wish_link *wish = netd_wish_of(netd_network_wish(network), link->index);
    const netd_lease *lease = wish ? netd_network_lease(network, wish) : NULL;
    message->has_managed = true;
    message->managed = wish != NULL;
    if (wish && strcmp(wish->name, link->name) != 0)
        message->configured_as = mac_strdup(wish->name);
    message->has_held_down = message->held_down = wish && netd_network_held(network, wish->name);
    if (lease)
        message->lease = lease_message(netd_network_state(network), lease);
}

static void put_claims(const netd_manager *manager, const netd_link *link, Macula__V1__NetLink *message) {
    for (size_t i = 0; i < message->n_addresses; i++) {
        netd_net net;
        if (netd_net_parse(message->addresses[i]->address, &net) == 0 &&
            netd_claims_has(manager->claims, link->index, &net.ip))
            message->addresses[i]->has_duplicate = message->addresses[i]->duplicate = true;
    }
}

/* Nothing of a radio's own is in a snapshot of the kernel. */
static void put_wifi(const netd_manager *manager, const netd_link *link, Macula__V1__NetLink *message) {
    if (link->wifi)
        message->wifi = netd_wifi_message(netd_network_wifi(manager->network), link->name);
}

/* NULL: it is none of netd's, or the kernel does not say. */
static Macula__V1__NetWireguard *tunnel_message(const netd_manager *manager, const netd_link *link) {
    netd_wireguard *now = NULL;
    if (!link->made || strcmp(link->kind, "wireguard") != 0 ||
        netd_sys_wireguard_read(manager->sys, link->index, &now) < 0)
        return NULL;
    Macula__V1__NetWireguard *message = netd_wireguard_message(now, netd_network_tunnel(manager->network));
    netd_wireguard_free(now);
    return message;
}

static Macula__V1__NetLink *link_message(const netd_network *network, const netd_link *link) {
    const netd_state *state = netd_network_state(network);
    Macula__V1__NetLink *message = NEW(Macula__V1__NetLink, macula__v1__net_link__init);
    message->name = mac_strdup(link->name);
    message->has_index = message->has_made = message->has_up = message->has_carrier = message->has_mtu = true;
    message->index = (uint32_t)link->index;
    message->kind = mac_strdup(netd_link_kind_text(link));
    message->made = link->made;
    message->up = link->up;
    message->carrier = link->carrier;
    message->mtu = link->mtu;
    if (link->has_mac)
        message->mac = mac_asprintf("%02x:%02x:%02x:%02x:%02x:%02x", link->mac[0], link->mac[1], link->mac[2],
                                    link->mac[3], link->mac[4], link->mac[5]);
    message->master = name_of(state, link->master);
    if (strcmp(link->kind, "vlan") == 0) {
        message->parent = name_of(state, link->parent);
        message->has_vlan_id = true;
        message->vlan_id = link->vlan_id;
    }
    put_wish(network, message, link);
    put_addresses(network, message, link->index);
    message->counters = counters_message(link);
    return message;
}

/* ---- the whole ---- */

static Macula__V1__NetResolver *resolver_message(const netd_resolver *from) {
    Macula__V1__NetResolver *resolver = NEW(Macula__V1__NetResolver, macula__v1__net_resolver__init);
    resolver->servers = mac_calloc(from->server_count + 1, sizeof *resolver->servers);
    for (size_t i = 0; i < from->server_count; i++)
        resolver->servers[resolver->n_servers++] = netd_resolver_server(from, i);
    resolver->search = mac_calloc(from->search.count + 1, sizeof *resolver->search);
    for (size_t i = 0; i < from->search.count; i++)
        resolver->search[resolver->n_search++] = mac_strdup(from->search.items[i]);
    return resolver;
}

static void put_notes(Macula__V1__NetStatus *status, const netd_manager *manager) {
    const mac_strings *notes = netd_network_notes(manager->network);
    const char *reason = netd_keeper_reason(manager->keeper);
    mac_autostrings gateways = {0};
    netd_gateways_note(manager->gateways, &gateways);
    netd_claims_note(manager->claims, &gateways);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    if (reason)
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, "maculaos.network", "%s", reason);
    for (size_t i = 0; i < notes->count; i++)
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, NULL, "%s", notes->items[i]);
    for (size_t i = 0; i < manager->left_alone.count; i++)
        mac_problems_add(problems, MAC_PROBLEM_NOTE, NULL, NULL, "%s", manager->left_alone.items[i]);
    for (size_t i = 0; i < gateways.count; i++)
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, NULL, "%s", gateways.items[i]);
    status->notes = mac_problems_to_list(problems, &status->n_notes);
}

typedef struct counting {
    const netd_manager *manager;
    Macula__V1__NetFirewall *firewall;
} counting;

static void on_counter(const char *name, uint64_t packets, uint64_t bytes, void *data) {
    counting *target = data;
    char *shown = netd_firewall_counter_name(target->manager->document, name);
    Macula__V1__NetFirewall *firewall = target->firewall;
    if (!shown)
        return;
    Macula__V1__NetCounter *counter = NEW(Macula__V1__NetCounter, macula__v1__net_counter__init);
    counter->name = shown;
    counter->has_packets = counter->has_bytes = true;
    counter->packets = packets;
    counter->bytes = bytes;
    firewall->counters = mac_realloc(firewall->counters, (firewall->n_counters + 1) * sizeof *firewall->counters);
    firewall->counters[firewall->n_counters++] = counter;
}

static Macula__V1__NetFirewall *firewall_message(const netd_manager *manager) {
    Macula__V1__NetFirewall *firewall = NEW(Macula__V1__NetFirewall, macula__v1__net_firewall__init);
    const char *problem = netd_filter_problem(manager->filter);
    const netd_firewall_facts facts = netd_filter_facts(manager->filter);
    counting target = {manager, firewall};
    netd_filter_look(manager->filter);
    firewall->has_state = true;
    firewall->state = problem                                            ? MACULA__V1__NET_FIREWALL__STATE__failed
                      : netd_firewall_enabled(manager->document, &facts) ? MACULA__V1__NET_FIREWALL__STATE__loaded
                                                                         : MACULA__V1__NET_FIREWALL__STATE__off;
    firewall->problem = mac_strdup(problem);
    (void)!netd_sys_counters(manager->sys, on_counter, &target); /* without the table there are none */
    return firewall;
}

static void put_history(const netd_manager *manager, Macula__V1__NetStatus *status) {
    status->working = mac_calloc(NETD_KEPT_MAX, sizeof *status->working);
    status->n_working = netd_keeper_working(manager->keeper, status->working);
    if (!manager->returned_why)
        return;
    status->last_return = NEW(Macula__V1__NetReturn, macula__v1__net_return__init);
    status->last_return->has_time_ms = true;
    status->last_return->time_ms = manager->returned_ms;
    status->last_return->reason = mac_strdup(manager->returned_why);
}

Macula__V1__NetStatus *netd_status_make(const netd_manager *manager) {
    const netd_network *network = manager->network;
    const netd_state *state = netd_network_state(network);
    Macula__V1__NetStatus *status = NEW(Macula__V1__NetStatus, macula__v1__net_status__init);
    status->links = mac_calloc(state->link_count + 1, sizeof *status->links);
    for (size_t i = 0; i < state->link_count; i++) {
        Macula__V1__NetLink *link = link_message(network, &state->links[i]);
        link->wireguard = tunnel_message(manager, &state->links[i]);
        put_wifi(manager, &state->links[i], link);
        put_claims(manager, &state->links[i], link);
        status->links[status->n_links++] = link;
    }
    status->routes = mac_calloc(state->route_count + 1, sizeof *status->routes);
    for (size_t i = 0; i < state->route_count; i++)
        status->routes[status->n_routes++] = route_message(state, &state->routes[i]);
    status->resolver = resolver_message(netd_network_resolver(network));
    put_notes(status, manager);
    status->firewall = firewall_message(manager);
    status->naming = netd_avahi_naming(manager->avahi);
    put_history(manager, status);
    status->kernel = mac_strdup(netd_sys_is_recording(manager->sys) ? "recording" : "linux");
    status->has_dhcp_clients = true;
    status->dhcp_clients = (uint32_t)netd_network_clients(network);
    return status;
}

void netd_status_free(Macula__V1__NetStatus *status) {
    macula__v1__net_status__free_unpacked(status, NULL);
}
