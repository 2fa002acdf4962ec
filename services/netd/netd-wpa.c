#include "netd-wpa.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "crypto/mac-crypto.h"

#define ANSWER_MS 10000u /* it answers from its own loop at once; more is no life */
#define REPLY_MAX 8192
#define COMMAND_MAX 1024

typedef struct asked {
    struct asked *next;
    void (*on_reply)(const char *reply, void *data);
    void *data;
    size_t length;
    char command[COMMAND_MAX]; /* may have a passphrase: wiped when it is freed */
} asked;

struct netd_wpa {
    netd_wpa_options options;
    int fd;
    uv_poll_t poll;
    uv_timer_t timer;
    asked *first; /* was sent when in_flight */
    bool in_flight, closed;
    const char *lost;
    unsigned handles;
};

static void asked_free(asked *request) {
    mac_wipe(request, sizeof *request);
    free(request);
}

static void on_timer(uv_timer_t *timer) {
    netd_wpa *wpa = timer->data;
    wpa->options.on_lost(wpa->lost ? wpa->lost : "it does not answer", wpa->options.data);
}

/* Told from the loop, so that nobody is closed under somebody who asks. */
static void lose(netd_wpa *wpa, const char *why) {
    if (wpa->lost || wpa->closed)
        return;
    wpa->lost = why;
    uv_poll_stop(&wpa->poll);
    uv_timer_start(&wpa->timer, on_timer, 0, 0);
}

static void send_next(netd_wpa *wpa) {
    if (wpa->in_flight || !wpa->first || wpa->lost)
        return;
    wpa->in_flight = true;
    if (send(wpa->fd, wpa->first->command, wpa->first->length, MSG_NOSIGNAL) < 0)
        lose(wpa, "its socket is closed");
    else
        uv_timer_start(&wpa->timer, on_timer, ANSWER_MS, 0);
}

static void take_reply(netd_wpa *wpa, const char *reply) {
    asked *request = wpa->first;
    if (!wpa->in_flight)
        return; /* of somebody who was not asked */
    wpa->in_flight = false;
    wpa->first = request->next;
    uv_timer_stop(&wpa->timer);
    if (request->on_reply)
        request->on_reply(reply, request->data);
    asked_free(request);
}

static void take_event(netd_wpa *wpa, const char *text) {
    const char *end = strchr(text, '>');
    if (end)
        wpa->options.on_event(end + 1, wpa->options.data);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    netd_wpa *wpa = poll->data;
    char data[REPLY_MAX];
    ssize_t length = -1;
    (void)events;
    while (!wpa->closed && !wpa->lost && (length = recv(wpa->fd, data, sizeof data - 1, MSG_DONTWAIT)) >= 0) {
        data[length] = '\0';
        if (*data == '<')
            take_event(wpa, data);
        else
            take_reply(wpa, data);
        if (!wpa->closed)
            send_next(wpa);
    }
    if (!wpa->closed && (status < 0 || (length < 0 && errno != EAGAIN && errno != EINTR)))
        lose(wpa, "its socket is closed");
}

void netd_wpa_ask(netd_wpa *wpa, void (*on_reply)(const char *reply, void *data), void *data, const char *format, ...) {
    asked *request = mac_calloc(1, sizeof *request);
    asked **last = &wpa->first;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(request->command, sizeof request->command, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof request->command) {
        asked_free(request); /* no command of netd is so long */
        return;
    }
    request->length = (size_t)length;
    request->on_reply = on_reply;
    request->data = data;
    while (*last)
        last = &(*last)->next;
    *last = request;
    send_next(wpa);
}

/* ---- life ---- */

/* A name of the abstract kind, which the kernel chooses; being connected, it hears nobody but wpa_supplicant. */
static int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mac_autofd fd = -1;
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address.sun_family) < 0)
        return -errno;
    mac_copy_text(address.sun_path, sizeof address.sun_path, path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    return mac_take_fd(&fd);
}

int netd_wpa_open(const netd_wpa_options *options, netd_wpa **ret_wpa) {
    int fd = connect_to(options->path);
    if (fd < 0)
        return fd;
    netd_wpa *wpa = mac_calloc(1, sizeof *wpa);
    *wpa = (netd_wpa){.options = *options, .fd = fd};
    wpa->options.path = NULL; /* the caller's */
    uv_poll_init(options->loop, &wpa->poll, fd);
    uv_timer_init(options->loop, &wpa->timer);
    wpa->poll.data = wpa->timer.data = wpa;
    wpa->handles = 2;
    uv_poll_start(&wpa->poll, UV_READABLE, on_readable);
    *ret_wpa = wpa;
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    netd_wpa *wpa = handle->data;
    if (--wpa->handles > 0)
        return;
    close(wpa->fd);
    while (wpa->first) {
        asked *request = wpa->first;
        wpa->first = request->next;
        asked_free(request);
    }
    free(wpa);
}

void netd_wpa_close(netd_wpa *wpa) {
    if (!wpa)
        return;
    wpa->closed = true;
    uv_close((uv_handle_t *)&wpa->poll, on_closed);
    uv_close((uv_handle_t *)&wpa->timer, on_closed);
}
