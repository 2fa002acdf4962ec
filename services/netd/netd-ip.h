/* IPv4 and IPv6 addresses and networks: texts in both directions, comparison. Pure. */
#ifndef NETD_IP_H
#define NETD_IP_H

#include <netinet/in.h>

#include "base/mac-base.h"

typedef struct netd_ip {
    uint8_t family; /* AF_INET, AF_INET6; 0: none */
    uint8_t bytes[16];
} netd_ip;

typedef struct netd_net {
    netd_ip ip;
    uint8_t prefix;
} netd_net;

#define NETD_IP_TEXT INET6_ADDRSTRLEN
#define NETD_NET_TEXT (INET6_ADDRSTRLEN + 4)

/* Exactly what inet_pton(3) takes; nothing around it. -EINVAL. */
int netd_ip_parse(const char *text, netd_ip *ret_ip) MAC_MUST_USE;
/* address/prefix; without a prefix the whole address. "default" is 0.0.0.0/0 (see netd_net_default for IPv6). */
int netd_net_parse(const char *text, netd_net *ret_net) MAC_MUST_USE;
/* 255.255.255.0 → 24; -EINVAL when bits are missing in between. */
int netd_mask_prefix(const char *text, uint8_t *ret_prefix) MAC_MUST_USE;

unsigned netd_ip_length(const netd_ip *ip); /* 4, 16, or 0 */
unsigned netd_family_bits(uint8_t family);  /* 32, 128 */
bool netd_ip_equal(const netd_ip *a, const netd_ip *b);
bool netd_net_equal(const netd_net *a, const netd_net *b);
/* Whether the address lies in the network. */
bool netd_net_contains(const netd_net *net, const netd_ip *ip);
/* The network of an address: host bits cleared. */
netd_net netd_net_masked(const netd_net *net);
netd_net netd_net_default(uint8_t family);
bool netd_ip_is_link_local(const netd_ip *ip);
/* Can be the address of one machine: not unspecified, loopback, multicast or broadcast. */
bool netd_ip_is_host(const netd_ip *ip);

const char *netd_ip_format(const netd_ip *ip, char ret_text[NETD_IP_TEXT]);
/* A network of prefix 0 is "default". */
const char *netd_net_format(const netd_net *net, char ret_text[NETD_NET_TEXT]);

#endif
