#include "initrd-uevent.h"

#include <errno.h>
#include <limits.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "initrd.h"

/* Room for the storm that loading a host controller with many disks makes. */
#define RECEIVE_BYTES (4 << 20)

int initrd_uevent_open(void) {
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    if (fd < 0)
        return -errno;
    int size = RECEIVE_BYTES;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int result = -errno;
    close(fd);
    return result;
}

/* A message is "add@/devices/…", then NAME=VALUE, each ended by a zero. */
static bool take_message(const char *text, size_t length, initrd_modules *modules) {
    bool block = false;
    for (const char *item = text, *end = text + length; item < end; item += strlen(item) + 1) {
        if (strncmp(item, "MODALIAS=", 9) == 0)
            initrd_modules_device(modules, item + 9);
        else if (strcmp(item, "SUBSYSTEM=block") == 0)
            block = true;
    }
    return block;
}

bool initrd_uevent_take(int fd, int64_t deadline_ms, initrd_modules *modules) {
    bool block = false;
    for (;;) {
        char text[8192];
        struct sockaddr_nl from;
        socklen_t size = sizeof from;
        ssize_t length = recvfrom(fd, text, sizeof text - 1, 0, (struct sockaddr *)&from, &size);
        if (length > 0 && from.nl_pid == 0) { /* the kernel itself */
            text[length] = '\0';
            block |= take_message(text, (size_t)length, modules);
            deadline_ms = 0; /* what follows at once belongs to it */
            continue;
        }
        if (length >= 0 || errno == EINTR)
            continue;
        if (errno == ENOBUFS) { /* messages were lost: look at everything again */
            initrd_modules_coldplug(modules);
            return true;
        }
        int64_t left = deadline_ms - initrd_now_ms();
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (deadline_ms == 0 || left <= 0 || poll(&wait, 1, left < INT_MAX ? (int)left : INT_MAX) <= 0)
            return block;
    }
}
