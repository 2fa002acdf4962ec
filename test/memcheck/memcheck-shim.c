/* Preloaded into programs that run under valgrind. That of Debian 12 does not know openat2(2), without which
 * libmacula/fs opens nothing, nor the calls for pidfds: so they are made by a helper that runs beside it, one for each
 * process, and the descriptor is handed over. Every other system call goes its usual way. */
#include "memcheck.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

long syscall(long number, ...);
int pidfd_open(pid_t pid, unsigned flags);

static int helper = -1;
static pid_t helper_of;

/* Not as our child: whoever waits for children shall not meet it. */
static int start_helper(void) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        if (fork() == 0) {
            unsetenv("LD_PRELOAD");
            dup2(ends[1], HELPER_FD); /* loses close-on-exec; the same number keeps it */
            fcntl(HELPER_FD, F_SETFD, 0);
            execl(getenv("MEMCHECK_HELPER"), "memcheck-helper", (char *)NULL);
        }
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    close(ends[1]);
    /* Out of the way of those who expect low numbers. */
    int high = fcntl(ends[0], F_DUPFD_CLOEXEC, 900);
    close(ends[0]);
    return high;
}

/* Asks with a descriptor (taken; -1: none). */
static long ask(question *asked, int from) {
    int answer = -EIO, fd = -1;
    ssize_t sent = -1;
    for (int i = 0; i < 2 && sent < 0; i++) { /* a program may have closed what it does not know */
        if (i == 1 || helper_of != getpid()) {
            if (i == 0 && helper >= 0)
                close(helper);
            helper = start_helper();
            helper_of = getpid();
        }
        sent = send_with(helper, asked, sizeof *asked, from);
    }
    if (from >= 0)
        close(from);
    if (sent < 0 || receive_with(helper, &answer, sizeof answer, &fd) != sizeof answer)
        answer = -EIO;
    if (answer < 0) {
        errno = -answer;
        return -1;
    }
    return fd >= 0 ? fd : 0;
}

static int copy_of(int fd) {
    return fd == AT_FDCWD ? open(".", O_PATH | O_CLOEXEC) : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static long ask_open(int directory, const char *path, const struct open_how *how) {
    question asked = {.number = SYS_openat2, .how = *how};
    if (strlen(path) >= sizeof asked.path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(asked.path, path);
    umask(asked.umask = umask(0));
    int from = copy_of(directory);
    return from < 0 ? -1 : ask(&asked, from);
}

int pidfd_open(pid_t pid, unsigned flags) {
    question asked = {.number = SYS_pidfd_open, .pid = pid, .flags = flags};
    return (int)ask(&asked, -1);
}

static long ask_signal(int pidfd, int signal) {
    question asked = {.number = SYS_pidfd_send_signal, .signal = signal};
    int from = copy_of(pidfd);
    return from < 0 ? -1 : ask(&asked, from);
}

long syscall(long number, ...) {
    static long (*real)(long, ...);
    va_list list;
    long a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_openat2)
        return ask_open((int)a[0], (const char *)a[1], (const struct open_how *)a[2]);
    if (number == SYS_pidfd_open)
        return pidfd_open((pid_t)a[0], (unsigned)a[1]);
    if (number == SYS_pidfd_send_signal)
        return ask_signal((int)a[0], (int)a[1]);
    if (!real)
        real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
