/* Makes the openat2(2) calls of one process until that is gone: see openat2-shim.c. */
#include "openat2.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    question asked;
    int directory;
    setsid(); /* a signal for the tests' process group is not for us */
    while (receive_with(HELPER_FD, &asked, sizeof asked, &directory) == sizeof asked) {
        umask(asked.umask);
        int fd = (int)syscall(SYS_openat2, directory, asked.path, &asked.how, sizeof asked.how);
        int answer = fd < 0 ? -errno : 0;
        if (send_with(HELPER_FD, &answer, sizeof answer, fd) < 0)
            return 1;
        if (fd >= 0)
            close(fd);
        close(directory);
    }
    return 0;
}
