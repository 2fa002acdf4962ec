/* Makes the system calls that valgrind does not know for one process, until that is gone: see memcheck-shim.c. */
#include "memcheck.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Negative errno; *ret_fd is what was opened. */
static int make(const question *asked, int fd, int *ret_fd) {
    switch (asked->number) {
    case SYS_openat2:
        umask(asked->umask);
        *ret_fd = (int)syscall(SYS_openat2, fd, asked->path, &asked->how, sizeof asked->how);
        return *ret_fd < 0 ? -errno : 0;
    case SYS_pidfd_open:
        *ret_fd = (int)syscall(SYS_pidfd_open, asked->pid, asked->flags);
        return *ret_fd < 0 ? -errno : 0;
    case SYS_pidfd_send_signal:
        return syscall(SYS_pidfd_send_signal, fd, asked->signal, NULL, 0) < 0 ? -errno : 0;
    }
    return -ENOSYS;
}

int main(void) {
    question asked;
    int came;
    setsid(); /* a signal for the tests' process group is not for us */
    while (receive_with(HELPER_FD, &asked, sizeof asked, &came) == sizeof asked) {
        int fd = -1, answer = make(&asked, came, &fd);
        if (send_with(HELPER_FD, &answer, sizeof answer, fd) < 0)
            return 1;
        if (fd >= 0)
            close(fd);
        if (came >= 0)
            close(came);
    }
    return 0;
}
