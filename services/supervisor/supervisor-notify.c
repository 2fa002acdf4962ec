#include "supervisor-notify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BURST 64 /* messages read in one turn of the loop */

struct supervisor_notify {
    uv_poll_t poll;
    int fd;
    char address[64];
    supervisor_notify_callback callback;
    void *data;
};

static char *status_text(const char *text, size_t length) {
    if (!mac_utf8_valid(text, length))
        return NULL;
    char *status = mac_strndup(text, length);
    for (char *c = status; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    return status;
}

static bool is(const char *line, size_t length, const char *what) {
    return length == strlen(what) && memcmp(line, what, length) == 0;
}

void supervisor_notification_parse(const char *text, size_t length, supervisor_notification *ret_notification) {
    static const char status[] = "STATUS=";
    supervisor_notification found = {0};
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        size_t line = end ? (size_t)(end - text) : length;
        found.ready |= is(text, line, "READY=1");
        found.stopping |= is(text, line, "STOPPING=1");
        found.alive |= is(text, line, "WATCHDOG=1");
        if (line >= strlen(status) && memcmp(text, status, strlen(status)) == 0) {
            free(found.status);
            found.status = status_text(text + strlen(status), line - strlen(status));
        }
        text += line + (end != NULL);
        length -= line + (end != NULL);
    }
    *ret_notification = found;
}

static bool receive(supervisor_notify *notify) {
    char text[SUPERVISOR_NOTIFY_MAX];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec part = {text, sizeof text};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(notify->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0)
        return errno == EINTR;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS ||
        (message.msg_flags & MSG_TRUNC))
        return true;
    struct ucred sender;
    memcpy(&sender, CMSG_DATA(header), sizeof sender);
    supervisor_notification notification;
    supervisor_notification_parse(text, (size_t)got, &notification);
    notify->callback(sender.pid, &notification, notify->data);
    free(notification.status);
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)events;
    for (unsigned i = 0; status == 0 && i < BURST && receive(poll->data); i++)
        ;
}

static int bind_abstract(supervisor_notify *notify) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint64_t chance;
    int on = 1;
    if (getrandom(&chance, sizeof chance, 0) != (ssize_t)sizeof chance)
        return -EIO;
    snprintf(notify->address, sizeof notify->address, "@macula-supervisor/%d/%016llx", (int)getpid(),
             (unsigned long long)chance);
    size_t length = strlen(notify->address);
    memcpy(address.sun_path, notify->address, length);
    address.sun_path[0] = '\0';
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (notify->fd < 0)
        return -errno;
    if (setsockopt(notify->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 ||
        bind(notify->fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) <
            0) {
        int result = -errno;
        close(notify->fd);
        return result;
    }
    return 0;
}

int supervisor_notify_new(uv_loop_t *loop, supervisor_notify_callback callback, void *data,
                          supervisor_notify **ret_notify) {
    supervisor_notify *notify = mac_calloc(1, sizeof *notify);
    int result = bind_abstract(notify);
    if (result < 0) {
        free(notify);
        return result;
    }
    notify->callback = callback;
    notify->data = data;
    uv_poll_init(loop, &notify->poll, notify->fd);
    notify->poll.data = notify;
    uv_poll_start(&notify->poll, UV_READABLE, on_readable);
    uv_unref((uv_handle_t *)&notify->poll);
    *ret_notify = notify;
    return 0;
}

const char *supervisor_notify_address(const supervisor_notify *notify) {
    return notify->address;
}

static void on_poll_closed(uv_handle_t *handle) {
    supervisor_notify *notify = handle->data;
    close(notify->fd);
    free(notify);
}

void supervisor_notify_close(supervisor_notify *notify) {
    if (notify)
        uv_close((uv_handle_t *)&notify->poll, on_poll_closed);
}
