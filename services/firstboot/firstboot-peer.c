#include "firstboot-peer.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef struct network {
    int family;
    uint8_t address[16];
    unsigned bits;
} network;

/* The address with IPv4 in IPv6 as IPv4. */
static network network_of(const struct sockaddr *from) {
    network to = {.family = from->sa_family};
    if (from->sa_family == AF_INET) {
        memcpy(to.address, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
        to.bits = 32;
    } else if (from->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(six);
        to.family = mapped ? AF_INET : AF_INET6;
        to.bits = mapped ? 32 : 128;
        memcpy(to.address, six->s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
    }
    return to;
}

static bool parse_network(const char *text, network *ret_network) {
    char address[INET6_ADDRSTRLEN + 1];
    const char *slash = strchr(text, '/');
    unsigned bits = 0;
    network to = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
    if (!slash || (size_t)(slash - text) >= sizeof address || sscanf(slash + 1, "%3u", &bits) != 1)
        return false;
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    if (inet_pton(to.family, address, to.address) != 1 || bits > (to.family == AF_INET ? 32u : 128u))
        return false;
    to.bits = bits;
    *ret_network = to;
    return true;
}

static bool contains(const network *outer, const network *address) {
    if (outer->family != address->family || memcmp(outer->address, address->address, outer->bits / 8) != 0)
        return false;
    unsigned rest = outer->bits % 8;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));
    return rest == 0 || ((outer->address[outer->bits / 8] ^ address->address[outer->bits / 8]) & mask) == 0;
}

static bool in_network(const char *text, const network *address) {
    network outer;
    return parse_network(text, &outer) && contains(&outer, address);
}

bool firstboot_peer_allowed(const struct sockaddr *address, char *const *networks, size_t count) {
    static const char *const near[] = {"127.0.0.0/8",    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
                                       "169.254.0.0/16", "::1/128",    "fc00::/7",      "fe80::/10"};
    network peer = network_of(address);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(near); i++)
        if (in_network(near[i], &peer))
            return true;
    for (size_t i = 0; i < count; i++)
        if (in_network(networks[i], &peer))
            return true;
    return false;
}

bool firstboot_peer_public(const struct sockaddr *address) {
    static const char *const inner[] = {"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "224.0.0.0/3"};
    network host = network_of(address);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(inner); i++)
        if (in_network(inner[i], &host))
            return false;
    return !firstboot_peer_allowed(address, NULL, 0) && (host.family == AF_INET || in_network("2000::/3", &host));
}

bool firstboot_peer_on_link(const struct sockaddr *address) {
    network peer = network_of(address);
    struct ifaddrs *list = NULL;
    bool found = in_network("fe80::/10", &peer);
    if (found || getifaddrs(&list) < 0)
        return found;
    for (const struct ifaddrs *entry = list; entry && !found; entry = entry->ifa_next) {
        if (!entry->ifa_addr || !entry->ifa_netmask || entry->ifa_addr->sa_family != peer.family)
            continue;
        network own = network_of(entry->ifa_addr), mask = network_of(entry->ifa_netmask);
        own.bits = 0;
        for (size_t i = 0; i < sizeof mask.address; i++)
            own.bits += (unsigned)__builtin_popcount(mask.address[i]);
        found = contains(&own, &peer);
    }
    freeifaddrs(list);
    return found;
}

void firstboot_peer_name(const struct sockaddr *address, bool on_link, char ret_name[FIRSTBOOT_PEER_SIZE]) {
    network peer = network_of(address);
    if (peer.family == AF_INET6 && !on_link)
        memset(peer.address + 8, 0, 8);
    if (!inet_ntop(peer.family, peer.address, ret_name, FIRSTBOOT_PEER_SIZE))
        snprintf(ret_name, FIRSTBOOT_PEER_SIZE, "unknown");
}

/* host or host:port without the port; brackets of IPv6 are taken off. */
static bool host_part(const char *host, char ret_name[256]) {
    const char *begin = host, *end = host + strcspn(host, ":");
    if (*host == '[') {
        begin = host + 1;
        end = strchr(host, ']');
    }
    const char *port = end && *host == '[' ? end + 1 : end;
    if (!end || end == begin || end - begin > 255 || (*port && *port != ':') ||
        (*port && strspn(port + 1, "0123456789") != strlen(port + 1)))
        return false;
    memcpy(ret_name, begin, (size_t)(end - begin));
    ret_name[end - begin] = '\0';
    return true;
}

/* Names that nobody gets in the DNS of the internet (RFC 6762 appendix G, RFC 8375, ICANN's .internal): a router's. */
static bool is_home_domain(const char *domain) {
    static const char *const domains[] = {"lan", "home", "home.arpa", "internal", "intranet", "corp", "localdomain"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(domains); i++)
        if (strcasecmp(domain, domains[i]) == 0)
            return true;
    return false;
}

static bool is_own_domain(const char *domain, const mac_strings *domains) {
    for (size_t i = 0; i < domains->count; i++)
        if (strcasecmp(domain, domains->items[i]) == 0)
            return true;
    return is_home_domain(domain);
}

bool firstboot_peer_host(const char *host, const char *hostname, const mac_strings *domains) {
    char name[256];
    uint8_t ignored[16];
    size_t own = strlen(hostname);
    if (!host || !host_part(host, name))
        return false;
    if (inet_pton(AF_INET, name, ignored) == 1 || inet_pton(AF_INET6, name, ignored) == 1)
        return true;
    size_t length = strlen(name);
    if (length > 0 && name[length - 1] == '.')
        name[--length] = '\0';
    if (strcasecmp(name, "localhost") == 0 || (length > 6 && strcasecmp(name + length - 6, ".local") == 0))
        return true;
    if (own == 0 || strncasecmp(name, hostname, own) != 0)
        return false;
    return name[own] == '\0' || (name[own] == '.' && is_own_domain(name + own + 1, domains));
}

bool firstboot_peer_origin(const char *origin, const char *host) {
    const char *at = strstr(origin, "://");
    return at && host && strncmp(origin, "http", 4) == 0 && strcasecmp(at + 3, host) == 0;
}
