#include "service/mac-notify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "log/mac-log.h"
#include "service/mac-service.h"

#define INTERRUPTIONS_MAX 100

static struct {
    char address[sizeof((struct sockaddr_un *)0)->sun_path + 1];
    bool adopted;
    int fd;
} notify = {.fd = -1};

static bool make_address(const char *text, struct sockaddr_un *ret_address, socklen_t *ret_length) {
    size_t length = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || length < 2 || length > sizeof ret_address->sun_path)
        return false;
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret_address->sun_path, text, length);
    if (text[0] == '@')
        ret_address->sun_path[0] = '\0';
    *ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

static int connect_to(const char *text) {
    struct sockaddr_un address;
    socklen_t length;
    if (!text || !make_address(text, &address, &length))
        return -1;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    struct timeval limit = {.tv_sec = 1};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, length) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void mac_notify_adopt(void) {
    const char *text = getenv("NOTIFY_SOCKET");
    notify.adopted = true;
    notify.address[0] = '\0';
    if (text)
        snprintf(notify.address, sizeof notify.address, "%s", text);
    notify.fd = connect_to(text);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void mac_notify_end(void) {
    if (notify.fd >= 0)
        close(notify.fd);
    notify.fd = -1;
    notify.adopted = false;
}

/* Where the supervisor's queue is full, sending waits, and a signal such as the end of a child ends the waiting. */
static bool tell(const char *state) {
    ssize_t sent = -1;
    for (unsigned i = 0; i < INTERRUPTIONS_MAX && sent < 0 && (i == 0 || errno == EINTR); i++)
        sent = send(notify.fd, state, strlen(state), MSG_NOSIGNAL);
    return sent >= 0;
}

void mac_notify(const char *state) {
    const char *address = notify.adopted ? notify.address : getenv("NOTIFY_SOCKET");
    if (!address || !*address)
        return;
    if (notify.fd >= 0 && tell(state))
        return;
    /* Not connected yet, or the supervisor was started anew and has another socket under the old name. */
    if (notify.fd >= 0)
        close(notify.fd);
    notify.fd = connect_to(address);
    if (notify.fd < 0 || !tell(state))
        mac_log_warning("the supervisor cannot be told", "what=" MAC_LOG_Q("%s") " error=%s", state, strerror(errno));
    if (!notify.adopted && notify.fd >= 0) {
        close(notify.fd);
        notify.fd = -1;
    }
}
