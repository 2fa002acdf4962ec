#include "firstboot-watch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is said does not matter, only that something was: all is read again then. Lost messages are no loss either. */
static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    firstboot_watch *watch = poll->data;
    char message[8192];
    while (recv(watch->fd, message, sizeof message, MSG_DONTWAIT) > 0 || errno == EINTR || errno == ENOBUFS)
        errno = 0;
    watch->on_change(watch->data);
}

int firstboot_watch_start(firstboot_watch *watch, uv_loop_t *loop, void (*on_change)(void *data), void *data) {
    struct sockaddr_nl address = {.nl_family = AF_NETLINK,
                                  .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    *watch = (firstboot_watch){.fd = -1, .on_change = on_change, .data = data};
    mac_autofd fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    watch->fd = mac_take_fd(&fd);
    uv_poll_init(loop, &watch->poll, watch->fd);
    watch->poll.data = watch;
    uv_poll_start(&watch->poll, UV_READABLE, on_readable);
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    firstboot_watch *watch = handle->data;
    close(watch->fd);
    watch->fd = -1;
    watch->on_closed(watch->data);
}

void firstboot_watch_stop(firstboot_watch *watch, void (*on_end)(void *data)) {
    watch->on_closed = on_end;
    if (watch->fd < 0)
        on_end(watch->data);
    else
        uv_close((uv_handle_t *)&watch->poll, on_closed);
}
