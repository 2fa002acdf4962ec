/* A netlink socket that hears what the kernel says to groups. */
#include <errno.h>
#include <linux/filter.h>
#include <sys/socket.h>

#include "netd-netlink-sys-linux.h"

struct netd_netlink_watch {
    struct mnl_socket *socket;
    uv_poll_t poll;
    netd_netlink_callback on_message;
    void *data;
};

static void take(const netd_netlink_watch *watch, const char *data, int length) {
    const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)data;
    for (; mnl_nlmsg_ok(message, length); message = mnl_nlmsg_next(message, &length))
        watch->on_message(message, watch->data);
}

/* Only the kernel is believed: any process can send to a netlink socket. */
static void on_readable(uv_poll_t *poll, int status, int events) {
    const netd_netlink_watch *watch = poll->data;
    char buffer[8192] __attribute__((aligned(8)));
    (void)status;
    (void)events;
    for (;;) {
        struct sockaddr_nl from = {0};
        socklen_t size = sizeof from;
        ssize_t received = recvfrom(mnl_socket_get_fd(watch->socket), buffer, sizeof buffer, MSG_DONTWAIT,
                                    (struct sockaddr *)&from, &size);
        if (received < 0 && errno == ENOBUFS)
            watch->on_message(NULL, watch->data);
        else if (received <= 0)
            return;
        else if (from.nl_pid == 0)
            take(watch, buffer, (int)received);
    }
}

static void on_closed(uv_handle_t *handle) {
    netd_netlink_watch *watch = handle->data;
    mnl_socket_close(watch->socket);
    free(watch);
}

void netd_netlink_watch_free(netd_netlink_watch *watch) {
    if (watch)
        uv_close((uv_handle_t *)&watch->poll, on_closed);
}

static int prepare(struct mnl_socket *socket, const int *groups, size_t count, const struct sock_fprog *filter) {
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
        (filter && setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof *filter) < 0))
        return -errno;
    for (size_t i = 0; i < count; i++) {
        int group = groups[i];
        if (mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
            return -errno;
    }
    return 0;
}

int netd_netlink_watch_new(uv_loop_t *loop, int family, const int *groups, size_t count,
                           const struct sock_fprog *filter, netd_netlink_callback on_message, void *data,
                           netd_netlink_watch **ret_watch) {
    netd_netlink_watch *watch = mac_calloc(1, sizeof *watch);
    *watch = (netd_netlink_watch){.on_message = on_message, .data = data};
    watch->socket = mnl_socket_open2(family, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int r = watch->socket ? prepare(watch->socket, groups, count, filter) : -errno;
    if (r == 0)
        r = uv_poll_init(loop, &watch->poll, mnl_socket_get_fd(watch->socket));
    if (r < 0) {
        if (watch->socket)
            mnl_socket_close(watch->socket);
        free(watch);
        return r;
    }
    watch->poll.data = watch;
    *ret_watch = watch;
    return uv_poll_start(&watch->poll, UV_READABLE, on_readable);
}
