/* Options of router advertisements that the kernel hands on (RTM_NEWNDUSEROPT), and asking for advertisements. */
#include <errno.h>
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
    struct mnl_socket *socket;
    uv_poll_t poll;
    bool has_poll;
    void (*on_options)(int index, const void *options, size_t length, void *data);
    void *data;
};

static void read_message(const netd_advert_watch *watch, const struct nlmsghdr *message) {
    struct nduseroptmsg header;
    size_t length = mnl_nlmsg_get_payload_len(message);
    if (message->nlmsg_type != RTM_NEWNDUSEROPT || length < sizeof header)
        return;
    const uint8_t *payload = mnl_nlmsg_get_payload(message);
    memcpy(&header, payload, sizeof header);
    if (header.nduseropt_family != AF_INET6 || header.nduseropt_icmp_type != ROUTER_ADVERTISEMENT ||
        header.nduseropt_opts_len > length - sizeof header)
        return;
    watch->on_options(header.nduseropt_ifindex, payload + sizeof header, header.nduseropt_opts_len, watch->data);
}

/* Only the kernel is believed: any process can send to a netlink socket. What was lost comes with the next
 * advertisement. */
static void on_readable(uv_poll_t *poll, int status, int events) {
    const netd_advert_watch *watch = poll->data;
    char buffer[8192] __attribute__((aligned(8)));
    (void)status;
    (void)events;
    for (;;) {
        struct sockaddr_nl from = {0};
        socklen_t size = sizeof from;
        ssize_t received = recvfrom(mnl_socket_get_fd(watch->socket), buffer, sizeof buffer, MSG_DONTWAIT,
                                    (struct sockaddr *)&from, &size);
        if (received < 0 && errno == ENOBUFS)
            continue;
        if (received <= 0)
            return;
        int left = (int)received;
        const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
        for (; from.nl_pid == 0 && mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
            read_message(watch, message);
    }
}

static void on_closed(uv_handle_t *handle) {
    netd_advert_watch *watch = handle->data;
    mnl_socket_close(watch->socket);
    free(watch);
}

void netd_advert_watch_free(netd_advert_watch *watch) {
    if (!watch)
        return;
    if (watch->has_poll) {
        uv_close((uv_handle_t *)&watch->poll, on_closed);
        return;
    }
    if (watch->socket)
        mnl_socket_close(watch->socket);
    free(watch);
}

int netd_advert_watch_new(uv_loop_t *loop,
                          void (*on_options)(int index, const void *options, size_t length, void *data), void *data,
                          netd_advert_watch **ret_watch) {
    static const int group = RTNLGRP_ND_USEROPT;
    netd_advert_watch *watch = mac_calloc(1, sizeof *watch);
    *watch = (netd_advert_watch){.on_options = on_options, .data = data};
    watch->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int r = !watch->socket || mnl_socket_bind(watch->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
                    mnl_socket_setsockopt(watch->socket, NETLINK_ADD_MEMBERSHIP, (void *)&group, sizeof group) < 0
                ? -errno
                : uv_poll_init(loop, &watch->poll, mnl_socket_get_fd(watch->socket));
    if (r < 0) {
        netd_advert_watch_free(watch);
        return r;
    }
    watch->has_poll = true;
    watch->poll.data = watch;
    *ret_watch = watch;
    return uv_poll_start(&watch->poll, UV_READABLE, on_readable);
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
