/* Room set aside: a file of allocated blocks that nobody reads. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fs/mac-fs.h"

static bool holds(int fd, size_t bytes) {
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_size >= (off_t)bytes && (uint64_t)st.st_blocks * 512 >= bytes;
}

static int allocate(int fd, size_t bytes) {
    int error;
    do
        error = posix_fallocate(fd, 0, (off_t)bytes);
    while (error == EINTR);
    return -error;
}

int mac_fs_reserve(mac_root *root, const char *path, size_t bytes) {
    mac_autofd fd = -1;
    int result = mac_fs_open(root, path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600, &fd);
    if (result == 0 && !holds(fd, bytes))
        result = allocate(fd, bytes);
    if (result < 0 && fd >= 0)
        (void)!mac_fs_remove_relaxed(root, path); /* a part of it would only make the disk fuller */
    return result;
}
