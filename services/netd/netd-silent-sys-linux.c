/* Neighbours that the kernel has asked in vain (RTM_NEWNEIGH with NUD_FAILED). A filter in the socket lets nothing else
 * through, so that a busy network wakes nobody. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/neighbour.h>
#include <string.h>
#include <sys/socket.h>

#include "netd-netlink-sys-linux.h"

#define STATE_OFFSET (NLMSG_HDRLEN + offsetof(struct ndmsg, ndm_state))

struct netd_silent_watch {
    struct mnl_socket *socket;
    uv_poll_t poll;
    bool has_poll;
    void (*on_silent)(int index, const netd_ip *ip, void *data);
    void *data;
};

static int on_attribute(const struct nlattr *attribute, void *data) {
    netd_ip *ip = data;
    if (mnl_attr_get_type(attribute) == NDA_DST && mnl_attr_get_payload_len(attribute) == netd_ip_length(ip))
        memcpy(ip->bytes, mnl_attr_get_payload(attribute), netd_ip_length(ip));
    return MNL_CB_OK;
}

static void read_message(const netd_silent_watch *watch, const struct nlmsghdr *message) {
    const struct ndmsg *info = mnl_nlmsg_get_payload(message);
    if (message->nlmsg_type != RTM_NEWNEIGH || mnl_nlmsg_get_payload_len(message) < sizeof *info ||
        !(info->ndm_state & NUD_FAILED) || !netd_family_bits(info->ndm_family))
        return;
    netd_ip ip = {.family = info->ndm_family};
    mnl_attr_parse(message, sizeof *info, on_attribute, &ip);
    watch->on_silent(info->ndm_ifindex, &ip, watch->data);
}

/* Only the kernel is believed. What was lost comes when it asks the next time. */
static void on_readable(uv_poll_t *poll, int status, int events) {
    const netd_silent_watch *watch = poll->data;
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
    netd_silent_watch *watch = handle->data;
    mnl_socket_close(watch->socket);
    free(watch);
}

void netd_silent_watch_free(netd_silent_watch *watch) {
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

/* Load the state (in the byte order of the network, as these programs do); all of the message, or nothing. */
static int open_socket(netd_silent_watch *watch) {
    static const int group = RTNLGRP_NEIGH;
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, STATE_OFFSET),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NUD_FAILED), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog filter = {.len = MAC_ARRAY_SIZE(program), .filter = program};
    watch->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!watch->socket || mnl_socket_bind(watch->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
        setsockopt(mnl_socket_get_fd(watch->socket), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0 ||
        mnl_socket_setsockopt(watch->socket, NETLINK_ADD_MEMBERSHIP, (void *)&group, sizeof group) < 0)
        return -errno;
    return 0;
}

int netd_silent_watch_new(uv_loop_t *loop, void (*on_silent)(int index, const netd_ip *ip, void *data), void *data,
                          netd_silent_watch **ret_watch) {
    netd_silent_watch *watch = mac_calloc(1, sizeof *watch);
    *watch = (netd_silent_watch){.on_silent = on_silent, .data = data};
    int r = open_socket(watch);
    if (r == 0)
        r = uv_poll_init(loop, &watch->poll, mnl_socket_get_fd(watch->socket));
    if (r < 0) {
        netd_silent_watch_free(watch);
        return r;
    }
    watch->has_poll = true;
    watch->poll.data = watch;
    *ret_watch = watch;
    return uv_poll_start(&watch->poll, UV_READABLE, on_readable);
}
