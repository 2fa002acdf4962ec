/* watchdog, feed, run.
 *
 * Armed here, before anything of the slot runs, and left running: the system's own feeder opens it later. A slot that
 * hangs on the way is restarted by the hardware, and the boot loader counts the try. */
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "initrd.h"

#define WATCHDOGS_MAX 8
#define FEED_S 5

/* Real ones before softdog, which dies with the kernel that it watches. "" when there is none. */
static void choose(char ret_device[32], char ret_identity[64]) {
    ret_device[0] = '\0';
    for (int i = 0; i < WATCHDOGS_MAX; i++) {
        char path[64], identity[64];
        snprintf(path, sizeof path, "/sys/class/watchdog/watchdog%d/identity", i);
        if (initrd_read(path, identity, sizeof identity) <= 0)
            continue;
        bool soft = strstr(identity, "Software") != NULL;
        if (*ret_device && soft)
            continue;
        snprintf(ret_device, 32, "/dev/watchdog%d", i);
        snprintf(ret_identity, 64, "%s", identity);
        if (!soft)
            return;
    }
}

int initrd_watchdog(int argc, char **argv) {
    char device[32], identity[64] = "";
    uint64_t seconds;
    if (argc != 2 || !initrd_number(argv[1], 3600, &seconds))
        return 2;
    choose(device, identity);
    if (!*device)
        return 1; /* most machines have none: not worth a word */
    int fd = open(device, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        initrd_say("%s (%s) cannot be armed: %s", device, identity, strerror(errno));
        return 1;
    }
    int timeout = (int)seconds;
    if (ioctl(fd, WDIOC_SETTIMEOUT, &timeout) < 0)
        initrd_say("%s (%s) keeps its own time-out: %s", device, identity, strerror(errno));
    ioctl(fd, WDIOC_KEEPALIVE, 0);
    close(fd); /* without the magic letter: it goes on counting */
    printf("watchdog=%s\n", device);
    return 0;
}

/* Longer than any machine runs. */
#define ENDLESS_S (INT64_MAX / 2000)

/* The exit code of a command that runs while the watchdog is fed; -1: it could not be started. After so long it is fed
 * no more, or, where it is to be killed, the command's session is. */
static int run_fed(char **command, uint64_t seconds, bool kills, bool *ret_killed) {
    char device[32], identity[64];
    choose(device, identity);
    sigset_t ends, before;
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ends, &before); /* before there is a child: one that ends at once is not missed */
    pid_t child = fork();
    if (child < 0)
        return -1;
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        if (kills)
            setsid();
        execvp(command[0], command);
        initrd_say("%s cannot be run: %s", command[0], strerror(errno));
        _exit(127);
    }
    int fd = *device ? open(device, O_WRONLY | O_CLOEXEC) : -1, status = 0;
    int64_t until = initrd_now_ms() + (int64_t)seconds * 1000;
    while (waitpid(child, &status, WNOHANG) == 0) {
        int64_t left = until - initrd_now_ms();
        if (left <= 0 && kills && !*ret_killed) {
            *ret_killed = true;
            kill(-child, SIGKILL);
        }
        if (fd >= 0 && left > 0)
            ioctl(fd, WDIOC_KEEPALIVE, 0);
        int64_t wait_ms = kills && left > 0 && left < FEED_S * 1000 ? left : FEED_S * 1000;
        sigtimedwait(&ends, NULL, &(struct timespec){.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000});
    }
    if (fd >= 0)
        close(fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int initrd_feed(int argc, char **argv) {
    uint64_t seconds;
    bool killed = false;
    if (argc < 3 || !initrd_number(argv[1], 86400, &seconds))
        return 2;
    int code = run_fed(argv + 2, seconds ? seconds : ENDLESS_S, false, &killed);
    return code < 0 ? 1 : code;
}

int initrd_run(int argc, char **argv) {
    uint64_t seconds;
    bool killed = false;
    if (argc < 3 || !initrd_number(argv[1], 86400, &seconds))
        return 2;
    int code = run_fed(argv + 2, seconds, true, &killed);
    return killed ? 124 : code < 0 ? 1 : code;
}
