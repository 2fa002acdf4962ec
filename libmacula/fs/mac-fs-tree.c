/* Directories, removal and attributes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "fs/mac-fs-internal.h"

/* Makes one directory, with exactly this mode whatever the umask, durably. */
static int make_directory(mac_root *root, const char *path, mode_t mode) {
    char name[MAC_FS_NAME_SIZE];
    mac_autofd parent = -1;
    mac_autofd made = -1;
    int error = mac_fs_open_parent(root, path, O_RDONLY, name, &parent);
    if (error < 0)
        return error;
    if (mkdirat(parent, name, 0700) < 0)
        return -errno;
    made = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (made < 0 || fchmod(made, mode & 07777) < 0)
        return -errno;
    return mac_fs_sync(parent);
}

static int ensure_directory(mac_root *root, const char *path, mode_t mode) {
    mac_autofd fd = -1;
    int error = mac_fs_open(root, path, O_PATH | O_DIRECTORY, 0, &fd);
    if (error != -ENOENT)
        return error;
    error = make_directory(root, path, mode);
    if (error != -EEXIST)
        return error;
    /* Somebody was quicker, or it is a link that leads nowhere. */
    error = mac_fs_open(root, path, O_PATH | O_DIRECTORY, 0, &fd);
    return error == -ENOENT ? -EEXIST : error;
}

int mac_fs_mkdirs(mac_root *root, const char *path, mode_t mode) {
    if (path[0] != '/')
        return -EINVAL;
    mac_autofree char *whole = mac_strdup(path);
    for (size_t length = strlen(whole); length > 1 && whole[length - 1] == '/'; length--)
        whole[length - 1] = '\0';
    for (char *slash = whole + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        int error = ensure_directory(root, whole, 0755);
        if (error < 0)
            return error;
        *slash = '/';
    }
    return ensure_directory(root, whole, mode);
}

int mac_fs_chmod_chown(mac_root *root, const char *path, mac_fs_attributes attributes) {
    mac_autofd fd = -1;
    int error = mac_fs_open(root, path, O_PATH | O_NOFOLLOW, 0, &fd);
    if (error < 0)
        return error;
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (S_ISLNK(status.st_mode))
        return -ELOOP;
    uid_t uid = attributes.uid == status.st_uid ? (uid_t)-1 : attributes.uid;
    gid_t gid = attributes.gid == status.st_gid ? (gid_t)-1 : attributes.gid;
    if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
        return -errno;
    if (!attributes.mode)
        return 0;
    /* fchmod(2) refuses an O_PATH descriptor, and opening a device to change its mode could act on it. */
    char by_descriptor[32];
    snprintf(by_descriptor, sizeof(by_descriptor), "/proc/self/fd/%d", fd);
    if (chmod(by_descriptor, attributes.mode & 07777) < 0)
        return errno == ENOENT ? -ENOSYS : -errno; /* ENOENT: there is no /proc */
    return 0;
}

static int remove_file(mac_root *root, const char *path, bool durable) {
    char name[MAC_FS_NAME_SIZE];
    mac_autofd directory = -1;
    int error = mac_fs_open_parent(root, path, O_RDONLY, name, &directory);
    if (error < 0)
        return error;
    if (unlinkat(directory, name, 0) < 0)
        return -errno;
    return durable ? mac_fs_sync(directory) : 0;
}

int mac_fs_remove(mac_root *root, const char *path) {
    return remove_file(root, path, true);
}

int mac_fs_remove_relaxed(mac_root *root, const char *path) {
    return remove_file(root, path, false);
}

static int remove_entry(int parent, const char *name, unsigned depth);

static int remove_content(int fd, unsigned depth) {
    DIR *directory = fdopendir(fd);
    if (!directory) {
        int error = -errno;
        close(fd);
        return error;
    }
    int error = 0;
    struct dirent *entry;
    while (error == 0 && (errno = 0, (entry = readdir(directory)))) {
        if (mac_streq(entry->d_name, ".") || mac_streq(entry->d_name, ".."))
            continue;
        error = remove_entry(dirfd(directory), entry->d_name, depth);
        if (error == -ENOENT)
            error = 0; /* somebody else removes here too: fine */
    }
    if (error == 0)
        error = -errno;
    closedir(directory);
    return error;
}

static int remove_entry(int parent, const char *name, unsigned depth) {
    if (unlinkat(parent, name, 0) == 0)
        return 0;
    if (errno != EISDIR)
        return -errno;
    if (depth == MAC_FS_DEPTH_MAX)
        return -ELOOP;
    /* Not across a mount: whatever is mounted there is not part of the tree. */
    int fd = mac_fs_openat2(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_XDEV);
    if (fd < 0)
        return fd;
    int error = remove_content(fd, depth + 1);
    if (error < 0)
        return error;
    return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int mac_fs_remove_tree(mac_root *root, const char *path) {
    char name[MAC_FS_NAME_SIZE];
    mac_autofd directory = -1;
    int error = mac_fs_open_parent(root, path, O_RDONLY, name, &directory);
    if (error < 0)
        return error;
    error = remove_entry(directory, name, 0);
    if (error < 0)
        return error;
    return mac_fs_sync(directory);
}

/* A temporary that nobody holds a lock on was left behind. */
static int clean_entry(int directory, const char *name) {
    struct stat status;
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    mac_autofd fd = -1;
    if (S_ISREG(status.st_mode)) {
        fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
            return errno == ENOENT ? 0 : -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
            return 0;
    } else if (!S_ISLNK(status.st_mode)) {
        return 0; /* we make no others */
    }
    return unlinkat(directory, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int mac_fs_clean(mac_root *root, const char *path) {
    DIR *directory = NULL;
    int error = mac_fs_open_list(root, path, &directory);
    if (!directory)
        return error;
    struct dirent *entry;
    while (error == 0 && (errno = 0, (entry = readdir(directory))))
        if (mac_fs_is_temporary(entry->d_name))
            error = clean_entry(dirfd(directory), entry->d_name);
    if (error == 0)
        error = -errno;
    closedir(directory);
    return error;
}
