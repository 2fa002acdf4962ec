#include "netd-ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int netd_ip_parse(const char *text, netd_ip *ret_ip) {
    netd_ip ip = {0};
    if (!text)
        return -EINVAL;
    ip.family = strchr(text, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(ip.family, text, ip.bytes) != 1)
        return -EINVAL;
    *ret_ip = ip;
    return 0;
}

static int parse_prefix(const char *text, unsigned most, uint8_t *ret_prefix) {
    unsigned value = 0;
    if (!*text || strlen(text) > 3 || (text[0] == '0' && text[1]))
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        value = value * 10 + (unsigned)(*text - '0');
    }
    if (value > most)
        return -EINVAL;
    *ret_prefix = (uint8_t)value;
    return 0;
}

int netd_net_parse(const char *text, netd_net *ret_net) {
    char address[NETD_IP_TEXT];
    netd_net net = {0};
    if (!text)
        return -EINVAL;
    if (strcmp(text, "default") == 0) {
        *ret_net = netd_net_default(AF_INET);
        return 0;
    }
    size_t length = strcspn(text, "/");
    if (length >= sizeof address)
        return -EINVAL;
    memcpy(address, text, length);
    address[length] = '\0';
    int r = netd_ip_parse(address, &net.ip);
    if (r < 0)
        return r;
    net.prefix = (uint8_t)netd_family_bits(net.ip.family);
    if (text[length])
        r = parse_prefix(text + length + 1, net.prefix, &net.prefix);
    if (r == 0)
        *ret_net = net;
    return r;
}

int netd_mask_prefix(const char *text, uint8_t *ret_prefix) {
    netd_ip ip;
    if (netd_ip_parse(text, &ip) < 0 || ip.family != AF_INET)
        return -EINVAL;
    uint32_t mask =
        (uint32_t)ip.bytes[0] << 24 | (uint32_t)ip.bytes[1] << 16 | (uint32_t)ip.bytes[2] << 8 | ip.bytes[3];
    uint32_t rest = ~mask;
    if (rest & (rest + 1))
        return -EINVAL;
    *ret_prefix = (uint8_t)__builtin_popcount(mask);
    return 0;
}

unsigned netd_family_bits(uint8_t family) {
    return family == AF_INET ? 32 : family == AF_INET6 ? 128 : 0;
}

unsigned netd_ip_length(const netd_ip *ip) {
    return netd_family_bits(ip->family) / 8;
}

bool netd_ip_equal(const netd_ip *a, const netd_ip *b) {
    return a->family == b->family && memcmp(a->bytes, b->bytes, netd_ip_length(a)) == 0;
}

bool netd_net_equal(const netd_net *a, const netd_net *b) {
    return a->prefix == b->prefix && netd_ip_equal(&a->ip, &b->ip);
}

netd_net netd_net_masked(const netd_net *net) {
    netd_net masked = *net;
    for (unsigned bit = net->prefix; bit < netd_family_bits(net->ip.family); bit++)
        masked.ip.bytes[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
    return masked;
}

bool netd_net_contains(const netd_net *net, const netd_ip *ip) {
    if (net->ip.family != ip->family)
        return false;
    netd_net a = netd_net_masked(net), b = netd_net_masked(&(netd_net){*ip, net->prefix});
    return netd_ip_equal(&a.ip, &b.ip);
}

netd_net netd_net_default(uint8_t family) {
    return (netd_net){.ip.family = family};
}

bool netd_ip_is_link_local(const netd_ip *ip) {
    if (ip->family == AF_INET)
        return ip->bytes[0] == 169 && ip->bytes[1] == 254;
    return ip->family == AF_INET6 && ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

bool netd_ip_is_host(const netd_ip *ip) {
    static const uint8_t loopback[16] = {[15] = 1}, none[16] = {0};
    if (ip->family == AF_INET)
        return ip->bytes[0] != 0 && ip->bytes[0] != 127 && ip->bytes[0] < 224;
    return ip->family == AF_INET6 && ip->bytes[0] != 0xff && memcmp(ip->bytes, loopback, 16) != 0 &&
           memcmp(ip->bytes, none, 16) != 0;
}

const char *netd_ip_format(const netd_ip *ip, char ret_text[NETD_IP_TEXT]) {
    if (!ip->family || !inet_ntop(ip->family, ip->bytes, ret_text, NETD_IP_TEXT))
        mac_copy_text(ret_text, NETD_IP_TEXT, "none");
    return ret_text;
}

const char *netd_net_format(const netd_net *net, char ret_text[NETD_NET_TEXT]) {
    char address[NETD_IP_TEXT];
    if (net->prefix == 0)
        mac_copy_text(ret_text, NETD_NET_TEXT, "default");
    else
        snprintf(ret_text, NETD_NET_TEXT, "%s/%u", netd_ip_format(&net->ip, address), net->prefix);
    return ret_text;
}
