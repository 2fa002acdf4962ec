/* For LD_PRELOAD: a disk that fails. TEST_EIO is the operation (pwrite, pread, fsync), TEST_EIO_FILE the file; the
 * first 100 KiB are still good, and reads of more than TEST_EIO_MOST bytes, if that is set. Only in programs called
 * upgrader-worker. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(const char *operation, int fd) {
    const char *wanted = getenv("TEST_EIO"), *file = getenv("TEST_EIO_FILE");
    struct stat given, asked;
    if (!wanted || !file || strcmp(wanted, operation) != 0 ||
        strcmp(program_invocation_short_name, "upgrader-worker") != 0)
        return 0;
    return stat(file, &given) == 0 && fstat(fd, &asked) == 0 && given.st_ino == asked.st_ino &&
           given.st_dev == asked.st_dev;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
    if (offset >= 100 * 1024 && offset < (200 << 20) && fails("pwrite", fd)) {
        errno = EIO;
        return -1;
    }
    return real(fd, data, length, offset);
}

ssize_t pread(int fd, void *data, size_t length, off_t offset) {
    static ssize_t (*real)(int, void *, size_t, off_t);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pread64");
    const char *most = getenv("TEST_EIO_MOST");
    bool good = most && length > strtoul(most, NULL, 10);
    if (!good && offset >= 100 * 1024 && offset < (200 << 20) && fails("pread", fd)) {
        errno = EIO;
        return -1;
    }
    return real(fd, data, length, offset);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "fsync");
    if (fails("fsync", fd)) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}
