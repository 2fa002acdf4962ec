#include "firstboot-listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE 128

static int bind_socket(int fd, uint16_t port, bool local, int family) {
    int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6) {
        struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
        if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0)
            return -errno;
        return bind(fd, (struct sockaddr *)&six, sizeof six) < 0 ? -errno : 0;
    }
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    four.sin_addr.s_addr = htonl(local ? INADDR_LOOPBACK : INADDR_ANY);
    return bind(fd, (struct sockaddr *)&four, sizeof four) < 0 ? -errno : 0;
}

static int open_socket(uint16_t port, bool local, int family, int *ret_fd) {
    mac_autofd fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int result = bind_socket(fd, port, local, family);
    if (result == 0 && listen(fd, QUEUE) < 0)
        result = -errno;
    if (result < 0)
        return result;
    *ret_fd = mac_take_fd(&fd);
    return 0;
}

int firstboot_listen(uint16_t port, bool local, int *ret_fd, uint16_t *ret_port) {
    int fd = -1;
    union {
        struct sockaddr any;
        struct sockaddr_in ip4;
        struct sockaddr_in6 ip6;
    } bound = {0};
    socklen_t size = sizeof bound;
    int result = local ? -EAFNOSUPPORT : open_socket(port, false, AF_INET6, &fd);
    if (result == -EAFNOSUPPORT || result == -EADDRNOTAVAIL)
        result = open_socket(port, local, AF_INET, &fd);
    if (result < 0)
        return result;
    if (getsockname(fd, &bound.any, &size) < 0) {
        result = -errno;
        close(fd);
        return result;
    }
    *ret_port = ntohs(bound.any.sa_family == AF_INET6 ? bound.ip6.sin6_port : bound.ip4.sin_port);
    *ret_fd = fd;
    return 0;
}
