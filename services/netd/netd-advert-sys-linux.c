/* Options of router advertisements that the kernel hands on (RTM_NEWNDUSEROPT), and asking for advertisements. */
#include <linux/icmpv6.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netd-netlink-sys-linux.h"

#define ROUTER_ADVERTISEMENT 134
#define ROUTER_SOLICITATION 133
#define HOPS 255 /* RFC 4861, section 6.1.1: routers drop what has less */

struct netd_advert_watch {
    netd_netlink_watch *netlink;
    void (*on_options)(int index, const void *options, size_t length, void *data);
    void *data;
};

/* What was lost comes with the next advertisement. */
static void on_message(const struct nlmsghdr *message, void *data) {
    const netd_advert_watch *watch = data;
    struct nduseroptmsg header;
    if (!message || message->nlmsg_type != RTM_NEWNDUSEROPT || mnl_nlmsg_get_payload_len(message) < sizeof header)
        return;
    size_t length = mnl_nlmsg_get_payload_len(message);
    const uint8_t *payload = mnl_nlmsg_get_payload(message);
    memcpy(&header, payload, sizeof header);
    if (header.nduseropt_family != AF_INET6 || header.nduseropt_icmp_type != ROUTER_ADVERTISEMENT ||
        header.nduseropt_opts_len > length - sizeof header)
        return;
    watch->on_options(header.nduseropt_ifindex, payload + sizeof header, header.nduseropt_opts_len, watch->data);
}

void netd_advert_watch_free(netd_advert_watch *watch) {
    if (watch)
        netd_netlink_watch_free(watch->netlink);
    free(watch);
}

int netd_advert_watch_new(uv_loop_t *loop,
                          void (*on_options)(int index, const void *options, size_t length, void *data), void *data,
                          netd_advert_watch **ret_watch) {
    static const int group = RTNLGRP_ND_USEROPT;
    netd_advert_watch *watch = mac_calloc(1, sizeof *watch);
    *watch = (netd_advert_watch){.on_options = on_options, .data = data};
    *ret_watch = watch;
    return netd_netlink_watch_new(loop, NETLINK_ROUTE, &group, 1, NULL, on_message, watch, &watch->netlink);
}

void netd_advert_solicit(int index) {
    const struct icmp6hdr question = {.icmp6_type = ROUTER_SOLICITATION};
    static const int hops = HOPS;
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_scope_id = (uint32_t)index};
    to.sin6_addr.s6_addr[0] = 0xff; /* ff02::2, all routers of the link */
    to.sin6_addr.s6_addr[1] = 0x02;
    to.sin6_addr.s6_addr[15] = 0x02;
    mac_autofd fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6);
    if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops) < 0)
        return;
    (void)!sendto(fd, &question, sizeof question, 0, (const struct sockaddr *)&to, sizeof to);
}
