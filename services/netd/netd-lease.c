#include "netd-lease.h"

#include <errno.h>
#include <string.h>

#include "codec/mac-schema.h"

#define LEASE_LEAST_S 60 /* a server that wants to be asked all the time is not let */
#define MTU_LEAST 576
#define MTU_MOST 9216

/* ---- the datagram ---- */

/* Value of a key; NULL: not there, or not text. */
static const char *find(const char *data, size_t length, const char *key) {
    size_t key_length = strlen(key);
    for (const char *at = data; at < data + length; at += strlen(at) + 1)
        if (strncmp(at, key, key_length) == 0 && at[key_length] == '=')
            return at + key_length + 1;
    return NULL;
}

/* The next word of a list that spaces part; false at the end. A word that does not fit is given as "". */
static bool next_word(const char **at, char *word, size_t size) {
    *at += strspn(*at, " \t");
    size_t length = strcspn(*at, " \t");
    if (!length)
        return false;
    size_t kept = length < size ? length : 0;
    memcpy(word, *at, kept);
    word[kept] = '\0';
    *at += length;
    return true;
}

static bool parse_number(const char *text, uint32_t *ret_value) {
    uint64_t value = 0;
    if (!text || !*text || strlen(text) > 10)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *ret_value = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
    return true;
}

static bool parse_event(const char *text, netd_lease_event *ret_event) {
    static const char *const names[] = {"deconfig", "bound", "renew", "leasefail", "nak"};
    for (size_t i = 0; text && i < MAC_ARRAY_SIZE(names); i++)
        if (strcmp(names[i], text) == 0) {
            *ret_event = (netd_lease_event)i;
            return true;
        }
    return false;
}

/* ---- the lease ---- */

static bool parse_ip4(const char *text, netd_ip *ret_ip) {
    netd_ip ip;
    if (netd_ip_parse(text, &ip) < 0 || ip.family != AF_INET || !netd_ip_is_host(&ip))
        return false;
    *ret_ip = ip;
    return true;
}

static void take_dns(netd_lease *lease, const char *list) {
    char word[64];
    while (list && lease->dns_count < NETD_LEASE_DNS_MAX && next_word(&list, word, sizeof word))
        if (parse_ip4(word, &lease->dns[lease->dns_count]))
            lease->dns_count++;
}

static void take_search(netd_lease *lease, const char *list) {
    char word[254];
    while (list && lease->search_count < NETD_LEASE_SEARCH_MAX && next_word(&list, word, sizeof word))
        if (*word && !mac_format_check(MACULA__V1__FIELD_RULE__FORMAT__domain, word))
            mac_copy_text(lease->search[lease->search_count++], sizeof *lease->search, word);
}

static void add_route(netd_lease *lease, const netd_net *to, const netd_ip *via) {
    if (lease->route_count == NETD_LEASE_ROUTES_MAX)
        return;
    netd_net masked = netd_net_masked(to);
    lease->routes[lease->route_count++] = (netd_route){.to = masked, .via = *via};
}

/* RFC 3442: "network/prefix gateway network/prefix gateway …"; 0.0.0.0 as gateway: on this link. */
static void take_static_routes(netd_lease *lease, const char *list) {
    char network[64], gateway[64];
    while (list && next_word(&list, network, sizeof network) && next_word(&list, gateway, sizeof gateway)) {
        netd_net to;
        netd_ip via = {0};
        if (!*network || !strchr(network, '/') || netd_net_parse(network, &to) < 0 || to.ip.family != AF_INET ||
            (strcmp(gateway, "0.0.0.0") != 0 && !parse_ip4(gateway, &via)) || (to.prefix == 0 && !via.family))
            continue;
        add_route(lease, &to, &via);
    }
}

/* With classless routes the option router is ignored (RFC 3442). */
static void take_routes(netd_lease *lease, const char *routes, const char *router) {
    char word[64];
    netd_ip via;
    take_static_routes(lease, routes);
    if (lease->route_count == 0 && router && next_word(&router, word, sizeof word) && parse_ip4(word, &via)) {
        netd_net everywhere = netd_net_default(AF_INET);
        add_route(lease, &everywhere, &via);
    }
}

static const char *take_lease(const char *data, size_t length, netd_lease *lease) {
    const char *mask = find(data, length, "subnet"), *bits = find(data, length, "mask");
    uint32_t prefix = 24;
    if (!parse_ip4(find(data, length, "ip"), &lease->address.ip))
        return "it has no usable address";
    if (bits && (!parse_number(bits, &prefix) || prefix == 0 || prefix > 32))
        return "its prefix length is none";
    lease->address.prefix = (uint8_t)prefix;
    if (!bits && mask && (netd_mask_prefix(mask, &lease->address.prefix) < 0 || lease->address.prefix == 0))
        return "its netmask is none";
    if (!parse_number(find(data, length, "lease"), &lease->lease_s))
        lease->lease_s = 3600;
    if (lease->lease_s < LEASE_LEAST_S)
        lease->lease_s = LEASE_LEAST_S;
    if (!parse_number(find(data, length, "mtu"), &lease->mtu) || lease->mtu < MTU_LEAST || lease->mtu > MTU_MOST)
        lease->mtu = 0;
    parse_ip4(find(data, length, "serverid"), &lease->server);
    take_dns(lease, find(data, length, "dns"));
    take_search(lease, find(data, length, "search"));
    if (!lease->search_count)
        take_search(lease, find(data, length, "domain"));
    take_routes(lease, find(data, length, "staticroutes"), find(data, length, "router"));
    return NULL;
}

int netd_lease_parse(const char *data, size_t length, netd_lease_message *ret_message, const char **ret_reason) {
    netd_lease_message message = {0};
    if (!length || length > NETD_LEASE_DATAGRAM_MAX || data[length - 1] != '\0') {
        *ret_reason = "it is not a list of texts";
        return -EBADMSG;
    }
    const char *interface = find(data, length, "interface");
    if (!interface || mac_format_check(MACULA__V1__FIELD_RULE__FORMAT__interface_name, interface)) {
        *ret_reason = "it names no interface";
        return -EBADMSG;
    }
    mac_copy_text(message.interface, sizeof message.interface, interface);
    if (!parse_event(find(data, length, "event"), &message.event)) {
        *ret_reason = "it names no event";
        return -EBADMSG;
    }
    if (message.event == NETD_LEASE_BOUND || message.event == NETD_LEASE_RENEW)
        *ret_reason = take_lease(data, length, &message.lease);
    else
        *ret_reason = NULL;
    if (*ret_reason)
        return -EBADMSG;
    *ret_message = message;
    return 0;
}

const netd_ip *netd_lease_gateway(const netd_lease *lease) {
    for (size_t i = 0; i < lease->route_count; i++)
        if (lease->routes[i].to.prefix == 0)
            return &lease->routes[i].via;
    return NULL;
}

bool netd_lease_equal(const netd_lease *a, const netd_lease *b) {
    if (!netd_net_equal(&a->address, &b->address) || a->dns_count != b->dns_count || a->route_count != b->route_count ||
        a->search_count != b->search_count || a->mtu != b->mtu)
        return false;
    for (size_t i = 0; i < a->dns_count; i++)
        if (!netd_ip_equal(&a->dns[i], &b->dns[i]))
            return false;
    for (size_t i = 0; i < a->route_count; i++)
        if (!netd_route_equal(&a->routes[i], &b->routes[i]))
            return false;
    for (size_t i = 0; i < a->search_count; i++)
        if (strcmp(a->search[i], b->search[i]) != 0)
            return false;
    return true;
}
