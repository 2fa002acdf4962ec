#include <string.h>

#include "netd-probe.h"

static void add_gateway(netd_reach *reach, const char *link, uint8_t family) {
    for (size_t i = 0; i < reach->gateway_count; i++)
        if (reach->gateways[i].family == family && strcmp(reach->gateways[i].link, link) == 0)
            return;
    if (reach->gateway_count == NETD_REACH_MAX)
        return;
    struct netd_reach_gateway *made = &reach->gateways[reach->gateway_count++];
    made->family = family;
    mac_copy_text(made->link, sizeof made->link, link);
}

static bool has_gateway(const netd_reach *reach, const char *link, uint8_t family) {
    for (size_t i = 0; i < reach->gateway_count; i++)
        if (reach->gateways[i].family == family && strcmp(reach->gateways[i].link, link) == 0)
            return true;
    return false;
}

static bool has_peer(const netd_reach *reach, const netd_ip *ip) {
    for (size_t i = 0; i < reach->peer_count; i++)
        if (netd_ip_equal(&reach->peers[i].ip, ip))
            return true;
    return false;
}

static void add_peer(netd_reach *reach, const netd_ip *ip, int link) {
    if (!has_peer(reach, ip) && reach->peer_count < NETD_REACH_MAX)
        reach->peers[reach->peer_count++] = (struct netd_reach_peer){*ip, link};
}

static void add_text(mac_strings *to, const char *text) {
    if (!mac_strings_contain(to, text))
        mac_strings_add(to, text);
}

static void take_gateway(netd_reach *reach, const netd_probe_item *item) {
    bool four = item->ip.family == AF_INET;
    *(four ? &reach->gateway4 : &reach->gateway6) = true;
    *(four ? &reach->first4 : &reach->first6) |= item->first;
    add_gateway(reach, item->link, item->ip.family);
}

void netd_reach_make(const netd_probe_item *items, size_t count, netd_reach *ret_reach) {
    netd_reach reach = {0};
    for (size_t i = 0; i < count; i++) {
        if (!items[i].ok)
            continue;
        switch (items[i].kind) {
        case NETD_PROBE_GATEWAY:
            take_gateway(&reach, &items[i]);
            break;
        case NETD_PROBE_DNS:
            reach.dns = true;
            add_text(&reach.servers, items[i].name);
            break;
        case NETD_PROBE_TARGET:
            add_text(&reach.targets, items[i].name);
            break;
        case NETD_PROBE_PEER:
            add_peer(&reach, &items[i].ip, items[i].index);
            break;
        case NETD_PROBE_TCP:
        case NETD_PROBE_INTERNET:
        case NETD_PROBE_FREE:
            break;
        }
    }
    *ret_reach = reach;
}

void netd_reach_deinit(netd_reach *reach) {
    mac_strings_deinit(&reach->servers);
    mac_strings_deinit(&reach->targets);
    *reach = (netd_reach){0};
}

void netd_reach_join(netd_reach *to, const netd_reach *more) {
    to->gateway4 |= more->gateway4;
    to->gateway6 |= more->gateway6;
    to->first4 |= more->first4;
    to->first6 |= more->first6;
    to->dns |= more->dns;
    for (size_t i = 0; i < more->gateway_count; i++)
        add_gateway(to, more->gateways[i].link, more->gateways[i].family);
    for (size_t i = 0; i < more->peer_count; i++)
        add_peer(to, &more->peers[i].ip, more->peers[i].link);
    for (size_t i = 0; i < more->servers.count; i++)
        add_text(&to->servers, more->servers.items[i]);
    for (size_t i = 0; i < more->targets.count; i++)
        add_text(&to->targets, more->targets.items[i]);
}

/* ---- what is lost ---- */

static bool is_wished(const netd_wish *wish, const char *name, uint8_t family) {
    const netd_wish_link *link = netd_wish_named(wish, name);
    if (!link || link->master[0])
        return false;
    for (size_t i = 0; i < link->route_count; i++)
        if (link->routes[i].to.prefix == 0 && link->routes[i].to.ip.family == family)
            return true;
    return family == AF_INET ? link->dhcp : link->ipv6;
}

/* The gateways of one family, of which there is still one that answers. */
static void lose_some(const netd_reach *before, const netd_reach *now, const netd_wish *wish, uint8_t family,
                      mac_strings *lost) {
    bool four = family == AF_INET;
    const char *version = four ? "IPv4" : "IPv6";
    size_t count = lost->count;
    for (size_t i = 0; i < before->gateway_count; i++) {
        const char *link = before->gateways[i].link;
        if (before->gateways[i].family != family || has_gateway(now, link, family) || !is_wished(wish, link, family))
            continue;
        mac_autofree char *text = mac_asprintf("the %s gateway of %s", version, link);
        mac_strings_add(lost, text);
    }
    if (lost->count == count && (four ? before->first4 && !now->first4 : before->first6 && !now->first6)) {
        mac_autofree char *text = mac_asprintf("the %s gateway that comes first", version);
        mac_strings_add(lost, text);
    }
}

static void lose_servers(const netd_reach *before, const netd_reach *now, const netd_resolver *resolver,
                         mac_strings *lost) {
    char ip[NETD_IP_TEXT];
    for (size_t i = 0; i < resolver->server_count; i++) {
        const char *server = netd_ip_format(&resolver->servers[i], ip);
        if (!mac_strings_contain(&before->servers, server) || mac_strings_contain(&now->servers, server))
            continue;
        mac_autofree char *text = mac_asprintf("the name server %s", server);
        mac_strings_add(lost, text);
    }
}

static void lose_peers(const netd_reach *before, const netd_reach *now, mac_strings *lost) {
    char ip[NETD_IP_TEXT];
    for (size_t i = 0; i < before->peer_count; i++)
        if (!has_peer(now, &before->peers[i].ip)) {
            mac_autofree char *text = mac_asprintf("%s (logged in over SSH)", netd_ip_format(&before->peers[i].ip, ip));
            mac_strings_add(lost, text);
        }
}

char *netd_reach_lost(const netd_reach *before, const netd_reach *now, const netd_wish *wish,
                      const netd_resolver *resolver) {
    mac_autostrings lost = {0};
    mac_autobuffer text = {0};
    if (before->gateway4 && !now->gateway4)
        mac_strings_add(&lost, "the IPv4 gateway");
    else
        lose_some(before, now, wish, AF_INET, &lost);
    if (before->gateway6 && !now->gateway6)
        mac_strings_add(&lost, "the IPv6 gateway");
    else
        lose_some(before, now, wish, AF_INET6, &lost);
    if (before->dns && !now->dns)
        mac_strings_add(&lost, NETD_REACH_DNS);
    else
        lose_servers(before, now, resolver, &lost);
    for (size_t i = 0; i < before->targets.count; i++)
        if (!mac_strings_contain(&now->targets, before->targets.items[i]))
            mac_strings_add(&lost, before->targets.items[i]);
    lose_peers(before, now, &lost);
    if (!lost.count)
        return NULL;
    for (size_t i = 0; i < lost.count; i++)
        mac_buffer_printf(&text, "%s%s", i == 0 ? "" : i + 1 == lost.count ? " and " : ", ", lost.items[i]);
    return mac_buffer_take(&text);
}
