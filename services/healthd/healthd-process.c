/* A process by its name, as the kernel knows it. It is looked for once; then a pidfd says when it ends, so that a check
 * costs nothing while all is well and sees the end at once. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "healthd-probe.h"

#define COMM_MAX 15 /* bytes that the kernel keeps of a name */
#define ARGUMENT_MAX 512

typedef struct process_watch {
    uv_poll_t poll;
    healthd_prober *prober;
    healthd_check *check; /* NULL: forgotten */
    int fd;
    pid_t pid;
} process_watch;

static ssize_t read_of(pid_t pid, const char *file, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    mac_autofd fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
    if (length >= 0)
        text[length] = '\0';
    return length;
}

static bool is_named(pid_t pid, const char *name) {
    char comm[COMM_MAX + 2], argument[ARGUMENT_MAX];
    if (read_of(pid, "comm", comm, sizeof comm) <= 0)
        return false;
    comm[strcspn(comm, "\n")] = '\0';
    if (strlen(name) <= COMM_MAX)
        return strcmp(comm, name) == 0;
    if (strncmp(comm, name, COMM_MAX) != 0 || read_of(pid, "cmdline", argument, sizeof argument) <= 0)
        return false;
    const char *slash = strrchr(argument, '/');
    return strcmp(slash ? slash + 1 : argument, name) == 0;
}

/* A descriptor of one that lives (not one that waits for its parent), or -1. */
static int open_living(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return -1;
    if (poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 0)
        return fd;
    close(fd);
    return -1;
}

static int find(const char *name, pid_t *ret_pid) {
    DIR *directory = opendir("/proc");
    int fd = -1;
    for (struct dirent *entry; fd < 0 && directory && (entry = readdir(directory));) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (!is_named(pid, name))
            continue;
        fd = open_living(pid);
        *ret_pid = pid;
    }
    if (directory)
        closedir(directory);
    return fd;
}

static void on_closed(uv_handle_t *handle) {
    process_watch *watch = handle->data;
    healthd_prober *prober = watch->prober;
    close(watch->fd);
    free(watch);
    if (--prober->alive == 0 && prober->ending)
        prober->on_idle(prober->data);
}

void healthd_process_forget(healthd_check *check) {
    process_watch *watch = check->watch;
    check->watch = NULL;
    if (!watch)
        return;
    watch->check = NULL;
    uv_close((uv_handle_t *)&watch->poll, on_closed);
}

static void on_ended(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    process_watch *watch = poll->data;
    healthd_check *check = watch->check;
    if (!check)
        return;
    healthd_process_forget(check);
    watch->prober->on_event(check, watch->prober->data);
}

static void watch_start(healthd_probe *probe, int fd, pid_t pid) {
    process_watch *watch = mac_calloc(1, sizeof *watch);
    *watch = (process_watch){.prober = probe->prober, .check = probe->check, .fd = fd, .pid = pid};
    if (uv_poll_init(probe->prober->loop, &watch->poll, fd) < 0) {
        close(fd);
        free(watch);
        return;
    }
    watch->poll.data = watch;
    uv_poll_start(&watch->poll, UV_READABLE, on_ended);
    probe->prober->alive++;
    probe->check->watch = watch;
}

bool healthd_process_is_watched(const healthd_check *check) {
    return check->watch != NULL;
}

void healthd_probe_process(healthd_probe *probe) {
    healthd_check *check = probe->check;
    process_watch *watch = check->watch;
    pid_t pid = watch ? watch->pid : 0;
    int fd = watch ? watch->fd : find(check->target, &pid);
    if (fd >= 0 && !watch)
        watch_start(probe, fd, pid);
    if (fd >= 0)
        healthd_probe_say(probe, true, "runs as process %d", (int)pid);
    else
        healthd_probe_say(probe, false, "no process of this name runs");
}
