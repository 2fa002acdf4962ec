/* What is wrong with the network of a document beyond what the schema says. */
#include <string.h>

#include "netd-wireguard.h"
#include "netd-wish.h"

#define PATH "maculaos.network.interfaces."
#define IPV6_MTU_LEAST 1280u /* RFC 8200: below that the kernel has no IPv6 */

typedef struct checking {
    const netd_wish *wish;
    mac_problems *problems;
} checking;

static void problem(checking *c, const netd_wish_link *link, const char *key, const char *format, ...) MAC_PRINTF(4, 5);
static void problem(checking *c, const netd_wish_link *link, const char *key, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    mac_autofree char *text = mac_vasprintf(format, arguments);
    mac_autofree char *path = mac_asprintf(PATH "%s.%s", link->name, key);
    va_end(arguments);
    mac_problems_add(c->problems, MAC_PROBLEM_ERROR, NULL, path, "%s", text);
}

static void check_gateways(checking *c, const netd_wish_link *link) {
    char ip[NETD_IP_TEXT];
    bool seen4 = false, seen6 = false;
    for (size_t i = 0; i < link->route_count; i++) {
        const netd_route *route = &link->routes[i];
        bool reached = link->dhcp || !route->via.family || netd_ip_is_link_local(&route->via) || !link->address_count;
        const char *key = route->via.family == AF_INET6 ? "gateway6" : "gateway";
        if (route->to.prefix == 0 && !route->metric) {
            bool *seen = route->to.ip.family == AF_INET ? &seen4 : &seen6;
            if (*seen)
                problem(c, link, key, "two default gateways of one family; one expected, or routes with a metric each");
            *seen = true;
        }
        if (route->via.family && route->via.family != route->to.ip.family)
            problem(c, link, "routes", "a route to one family of addresses cannot go by %s of the other",
                    netd_ip_format(&route->via, ip));
        for (size_t a = 0; a < link->address_count; a++) {
            const netd_net *address = &link->addresses[a];
            bool alone =
                address->ip.family == route->via.family && address->prefix + 1u >= netd_family_bits(address->ip.family);
            reached |= alone || netd_net_contains(address, &route->via);
            if (netd_ip_equal(&address->ip, &route->via))
                problem(c, link, key, "%s is this interface's own address; the gateway's expected",
                        netd_ip_format(&route->via, ip));
        }
        if (!reached)
            problem(c, link, route->to.prefix ? "routes" : key,
                    "no address of this interface lies in one network with %s, so it cannot be reached; correct the "
                    "address, its prefix length, or the gateway",
                    netd_ip_format(&route->via, ip));
    }
}

/* The last address of an IPv4 network that has one. */
static bool is_broadcast(const netd_net *address) {
    if (address->ip.family != AF_INET || address->prefix >= 31)
        return false;
    for (unsigned bit = address->prefix; bit < 32; bit++)
        if (!(address->ip.bytes[bit / 8] & (0x80 >> bit % 8)))
            return false;
    return true;
}

static void check_addresses(checking *c, const netd_wish_link *link) {
    char net[NETD_NET_TEXT];
    for (size_t i = 0; i < link->address_count; i++) {
        const netd_net *address = &link->addresses[i];
        netd_net masked = netd_net_masked(address);
        if (address->prefix == 0)
            problem(c, link, "addresses",
                    "a prefix length of 0 is the whole world, not a network; such as /24 expected");
        else if (!netd_ip_is_host(&address->ip))
            problem(c, link, "addresses", "%s is no address that one machine can have", netd_net_format(address, net));
        else if (address->ip.family == AF_INET && address->prefix < 31 && netd_ip_equal(&masked.ip, &address->ip))
            problem(c, link, "addresses", "%s is the network itself; the address of this machine in it expected",
                    netd_net_format(address, net));
        else if (is_broadcast(address))
            problem(c, link, "addresses",
                    "%s is the broadcast address of its network; the address of this machine in it expected",
                    netd_net_format(address, net));
        if (address->ip.family == AF_INET6 && link->mtu && link->mtu < IPV6_MTU_LEAST)
            problem(c, link, "mtu", "IPv6 needs an MTU of at least %u, and %s is asked for", IPV6_MTU_LEAST,
                    netd_net_format(address, net));
        if (address->ip.family == AF_INET6 && !link->ipv6)
            problem(c, link, "ipv6", "IPv6 is switched off here, yet %s is asked for", netd_net_format(address, net));
        for (size_t other = 0; other < c->wish->link_count; other++)
            for (size_t a = 0; a < c->wish->links[other].address_count; a++)
                if (&c->wish->links[other].addresses[a] < address &&
                    netd_ip_equal(&c->wish->links[other].addresses[a].ip, &address->ip) &&
                    (link == &c->wish->links[other] || !netd_ip_is_link_local(&address->ip)))
                    problem(c, link, "addresses", "%s is given to %s, too", netd_net_format(address, net),
                            c->wish->links[other].name);
    }
}

/* Follows masters and parents from link; more steps than links is a loop. */
static void check_loop(checking *c, const netd_wish_link *link) {
    const netd_wish_link *at = link;
    for (size_t steps = 0; at && steps <= c->wish->link_count; steps++) {
        const char *next = at->kind == NETD_VLAN ? at->parent : at->master;
        at = next[0] ? netd_wish_named(c->wish, next) : NULL;
        if (at == link) {
            problem(c, link, link->kind == NETD_VLAN ? "vlan.parent" : "bridge.interfaces", "%s would carry itself",
                    link->name);
            return;
        }
    }
}

/* This machine itself may be one: a resolver of the user's own. */
static bool can_be_server(const netd_ip *ip) {
    static const uint8_t loopback[16] = {[15] = 1};
    return netd_ip_is_host(ip) ||
           (ip->family == AF_INET ? ip->bytes[0] == 127 : memcmp(ip->bytes, loopback, sizeof loopback) == 0);
}

static void check_servers(mac_problems *problems, const char *path, const netd_ip *servers, size_t count) {
    char ip[NETD_IP_TEXT];
    for (size_t i = 0; i < count; i++)
        if (!can_be_server(&servers[i]))
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path,
                             "%s is no address that one machine can have; a name server's expected",
                             netd_ip_format(&servers[i], ip));
}

static void check_vlan(checking *c, const netd_wish_link *link) {
    for (const netd_wish_link *other = c->wish->links; other < link; other++)
        if (other->kind == NETD_VLAN && other->vlan_id == link->vlan_id && strcmp(other->parent, link->parent) == 0)
            problem(c, link, "vlan.id", "VLAN %u of %s is %s already", link->vlan_id, link->parent, other->name);
}

/* What the interfaces themselves say, before ports are taken out of it. */
static void check_config(checking *c, const Macula__V1__NetworkSection *network) {
    for (size_t i = 0; i < network->n_interfaces; i++) {
        const Macula__V1__NetworkSection__Interface *config = network->interfaces[i]->value;
        const netd_wish_link *link = netd_wish_named(c->wish, network->interfaces[i]->key);
        if (!config || !link)
            continue;
        if ((config->vlan != NULL) + (config->bridge != NULL) + (config->bond != NULL) > 1)
            problem(c, link, "vlan", "an interface is one of vlan, bridge and bond");
        if (link->master[0] && (config->dhcp || config->n_addresses || config->gateway || config->gateway6))
            problem(c, link, config->dhcp ? "dhcp" : "addresses", "%s is a part of %s, so addresses belong there",
                    link->name, link->master);
        if (strcmp(link->name, "lo") == 0)
            problem(c, link, "dhcp", "lo is the kernel's own; give addresses to another interface");
    }
}

static void check_ports(checking *c, const char *master, char **ports, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const netd_wish_link *port = netd_wish_named(c->wish, ports[i]);
        if (port && strcmp(port->master, master) != 0)
            problem(c, port, "dhcp", "a part of both %s and %s", port->master, master);
    }
}

/* What the schema takes and netd does not do. */
static void note_without_effect(const Macula__V1__MaculaosSection *section, mac_problems *problems) {
    static const char text[] = "has no effect yet: netd does not do it";
    if (section->network && section->network->cellular && section->network->cellular->enabled)
        mac_problems_add(problems, MAC_PROBLEM_NOTE, NULL, "maculaos.network.cellular", "%s", text);
}

static void check_network(const Macula__V1__NetworkSection *network, const netd_wish *wish, mac_problems *problems) {
    checking c = {wish, problems};
    check_config(&c, network);
    for (size_t i = 0; i < network->n_interfaces; i++) {
        const Macula__V1__NetworkSection__Interface *config = network->interfaces[i]->value;
        if (config && config->bridge)
            check_ports(&c, network->interfaces[i]->key, config->bridge->interfaces, config->bridge->n_interfaces);
        if (config && config->bond)
            check_ports(&c, network->interfaces[i]->key, config->bond->interfaces, config->bond->n_interfaces);
    }
    for (size_t i = 0; i < wish->link_count; i++) {
        check_addresses(&c, &wish->links[i]);
        check_gateways(&c, &wish->links[i]);
        check_loop(&c, &wish->links[i]);
        mac_autofree char *path = mac_asprintf(PATH "%s.dns", wish->links[i].name);
        check_servers(problems, path, wish->links[i].dns, wish->links[i].dns_count);
        if (wish->links[i].kind == NETD_VLAN)
            check_vlan(&c, &wish->links[i]);
    }
}

void netd_wish_check(const Macula__V1__Document *document, mac_problems *problems) {
    const Macula__V1__NetworkSection *network = document && document->maculaos ? document->maculaos->network : NULL;
    netd_wish wish;
    if (document && document->maculaos)
        note_without_effect(document->maculaos, problems);
    netd_wireguard_check(document, problems);
    netd_wish_make(document, &wish);
    check_servers(problems, "maculaos.dns_nameservers", wish.dns, wish.dns_count);
    if (network)
        check_network(network, &wish, problems);
    netd_wish_deinit(&wish);
}
