#include "fs/mac-fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/mac-fs-internal.h"

/* RESOLVE_IN_ROOT answers EAGAIN when a rename elsewhere made a ".." ambiguous: so often it is tried again. */
#define OPEN_TRIES 64

struct mac_root {
    int fd;
    char *directory; /* "" for "/" */
};

int mac_fs_openat2(int directory, const char *path, int flags, mode_t mode, uint64_t resolve) {
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC), .resolve = resolve};
    if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)
        how.mode = mode & 07777; /* the kernel refuses a mode that nothing uses */
    for (unsigned try = 0; try < OPEN_TRIES; try++) {
        long fd = syscall(SYS_openat2, directory, path, &how, sizeof(how));
        if (fd >= 0)
            return (int)fd;
        if (errno != EINTR && errno != EAGAIN)
            return -errno;
    }
    return -EAGAIN;
}

/* Makes a directory of the host and its parents; only for the root itself, where no root confines us yet. */
static int make_host_directories(const char *directory) {
    mac_autofree char *path = mac_strdup(directory);
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int mac_root_open(const char *directory, bool create, mac_root **ret_root) {
    mac_autofree char *name = mac_strdup(directory ? directory : "/");
    for (size_t length = strlen(name); length > 0 && name[length - 1] == '/'; length--)
        name[length - 1] = '\0';
    if (create && name[0]) {
        int error = make_host_directories(name);
        if (error < 0)
            return error;
    }
    int fd = open(name[0] ? name : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    mac_root *root = mac_calloc(1, sizeof(*root));
    root->fd = fd;
    root->directory = mac_take(&name);
    *ret_root = root;
    return 0;
}

void mac_root_close(mac_root *root) {
    if (!root)
        return;
    close(root->fd);
    free(root->directory);
    free(root);
}

const char *mac_root_directory(const mac_root *root) {
    return root->directory;
}

bool mac_root_is_system(const mac_root *root) {
    return root->directory[0] == '\0';
}

char *mac_root_path(const mac_root *root, const char *path) {
    return mac_asprintf("%s%s", root->directory, path);
}

int mac_fs_open(mac_root *root, const char *path, int flags, mode_t mode, int *ret_fd) {
    if (path[0] != '/')
        return -EINVAL;
    int fd = mac_fs_openat2(root->fd, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    if (fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}

int mac_fs_open_parent(mac_root *root, const char *path, int flags, char ret_name[MAC_FS_NAME_SIZE], int *ret_fd) {
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    size_t length = end - start;
    if (start == 0 || length == 0)
        return -EINVAL;
    if (length >= MAC_FS_NAME_SIZE)
        return -ENAMETOOLONG;
    mac_autofree char *parent = mac_strndup(path, start);
    char name[MAC_FS_NAME_SIZE];
    memcpy(name, path + start, length);
    name[length] = '\0';
    if (mac_streq(name, ".") || mac_streq(name, ".."))
        return -EINVAL;
    int error = mac_fs_open(root, parent, flags | O_DIRECTORY, 0, ret_fd);
    if (error < 0)
        return error;
    memcpy(ret_name, name, length + 1);
    return 0;
}

int mac_fs_sync(int fd) {
    while (fsync(fd) < 0) {
        if (errno == EINVAL)
            return 0;
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}

/* Reads to the end, or one byte beyond the limit; st_size is only a hint (0 in /proc, and a file may grow meanwhile).
 */
static int read_all(int fd, size_t hint, size_t limit, mac_buffer *buffer) {
    size_t chunk = hint < limit ? hint : limit;
    if (chunk == 0 || chunk > 65536)
        chunk = chunk ? 65536 : 4096;
    mac_autofree char *part = mac_malloc(chunk + 1);
    for (;;) {
        ssize_t count = read(fd, part, chunk + 1);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        if (count == 0)
            return 0;
        if ((size_t)count > limit - buffer->length)
            return -EFBIG;
        mac_buffer_append(buffer, part, (size_t)count);
    }
}

int mac_fs_read(mac_root *root, const char *path, size_t limit, char **ret_data, size_t *ret_length) {
    mac_autofd fd = -1;
    /* O_NONBLOCK: a FIFO somebody put there must not hold us up; it is refused below. */
    int error = mac_fs_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd);
    if (error < 0)
        return error;
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    if (status.st_size > 0 && (uint64_t)status.st_size > limit)
        return -EFBIG;
    mac_autobuffer buffer = {0};
    error = read_all(fd, (size_t)status.st_size, limit, &buffer);
    if (error < 0)
        return error;
    size_t length = buffer.length;
    *ret_data = mac_buffer_take(&buffer);
    if (ret_length)
        *ret_length = length;
    return 0;
}

/* The entry itself, not what a link there leads to. */
static int open_entry(mac_root *root, const char *path, int *ret_fd) {
    return mac_fs_open(root, path, O_PATH | O_NOFOLLOW, 0, ret_fd);
}

int mac_fs_stat(mac_root *root, const char *path, struct stat *ret_stat) {
    mac_autofd fd = -1;
    int error = open_entry(root, path, &fd);
    if (error < 0)
        return error;
    return fstat(fd, ret_stat) < 0 ? -errno : 0;
}

int mac_fs_readlink(mac_root *root, const char *path, char **ret_target) {
    mac_autofd fd = -1;
    int error = open_entry(root, path, &fd);
    if (error < 0)
        return error;
    char target[4096];
    ssize_t length = readlinkat(fd, "", target, sizeof(target));
    if (length < 0)
        return errno == ENOENT ? -EINVAL : -errno; /* what readlinkat says of a
                                                      descriptor that is no link */
    if ((size_t)length == sizeof(target))
        return -ENAMETOOLONG;
    *ret_target = mac_strndup(target, (size_t)length);
    return 0;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int mac_fs_open_list(mac_root *root, const char *path, DIR **ret_directory) {
    mac_autofd fd = -1;
    int error = mac_fs_open(root, path, O_RDONLY | O_DIRECTORY, 0, &fd);
    if (error < 0)
        return error;
    DIR *directory = fdopendir(fd);
    if (!directory)
        return -errno;
    fd = -1; /* closedir closes it */
    *ret_directory = directory;
    return 0;
}

int mac_fs_list(mac_root *root, const char *path, mac_strings *ret_names) {
    DIR *directory = NULL;
    int error = mac_fs_open_list(root, path, &directory);
    if (!directory)
        return error;
    mac_autostrings names = {0};
    struct dirent *entry;
    while (errno = 0, (entry = readdir(directory)))
        if (entry->d_name[0] != '.')
            mac_strings_add(&names, entry->d_name);
    error = -errno;
    closedir(directory);
    if (error < 0)
        return error;
    if (names.count)
        qsort(names.items, names.count, sizeof(names.items[0]), by_bytes);
    *ret_names = names;
    names = (mac_strings){0};
    return 0;
}
