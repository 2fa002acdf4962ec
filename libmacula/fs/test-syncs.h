/* How often the test program waits for the disk: its fsync and fdatasync stand before those of the C library, for the
 * libraries that it is linked with, too. Include it in exactly one file of a test. */
#ifndef TEST_SYNCS_H
#define TEST_SYNCS_H

#include <sys/syscall.h>
#include <unistd.h>

static unsigned test_syncs;

int fsync(int fd) {
    test_syncs++;
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    test_syncs++;
    return (int)syscall(SYS_fdatasync, fd);
}

/* Since this was asked last. */
static inline unsigned test_syncs_taken(void) {
    unsigned taken = test_syncs;
    test_syncs = 0;
    return taken;
}

#endif
