#include "install-bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static mac_error *refused(int negative_errno, const char *name, const char *what, uint64_t offset) {
    if (negative_errno == -ENOSPC)
        return mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL, "%s: there is no room for what is to be written",
                             name);
    return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                         "%s cannot be %s at byte %llu (%s): the disk, its cable or its controller may be failing",
                         name, what, (unsigned long long)offset, strerror(-negative_errno));
}

mac_error *install_read(int fd, const char *name, uint64_t offset, void *ret_data, size_t length) {
    for (size_t done = 0; done < length;) {
        ssize_t got = pread(fd, (char *)ret_data + done, length - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return refused(got < 0 ? -errno : -EIO, name, "read", offset + done);
        done += (size_t)got;
    }
    return NULL;
}

mac_error *install_write(int fd, const char *name, uint64_t offset, const void *data, size_t length) {
    for (size_t done = 0; done < length;) {
        ssize_t put = pwrite(fd, (const char *)data + done, length - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return refused(put < 0 ? -errno : -EIO, name, "written", offset + done);
        done += (size_t)put;
    }
    return NULL;
}

static bool is_device(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISBLK(status.st_mode);
}

mac_error *install_zero(int fd, const char *name, uint64_t offset, uint64_t length) {
    static const char zeros[1 << 16];
    uint64_t range[2] = {offset, length};
    if (is_device(fd) ? ioctl(fd, BLKZEROOUT, range) == 0
                      : fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) == 0)
        return NULL;
    for (uint64_t done = 0; done < length;) {
        size_t part = length - done < sizeof zeros ? (size_t)(length - done) : sizeof zeros;
        mac_error *error = install_write(fd, name, offset + done, zeros, part);
        if (error)
            return error;
        done += part;
    }
    return NULL;
}

void install_discard(int fd, uint64_t offset, uint64_t length) {
    uint64_t range[2] = {offset, length};
    if (is_device(fd))
        (void)ioctl(fd, BLKDISCARD, range);
    else
        (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
}

mac_error *install_flush(int fd, const char *name) {
    if (fsync(fd) < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "%s does not take what was written: %s", name,
                             strerror(errno));
    if (is_device(fd))
        (void)ioctl(fd, BLKFLSBUF, 0);
    else
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    return NULL;
}
