/* How a file is replaced. The content is written to a temporary in the same directory, synced, given its owner and
 * mode, renamed over the old file, and the directory is synced. A power cut at any moment leaves the old or the new
 * file, whole; the most it can leave besides is a temporary, named so that mac_fs_clean knows it. Each of the two syncs
 * waits for the disk, so files that are made again anyway do without (mac_fs_durability). Two writers do not
 * disturb each other: the last rename wins. A writer holds a lock (flock) on its temporary, so mac_fs_clean, run by
 * another service in the same directory, can tell a temporary that is being written from one that was left behind. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/mac-fault.h"
#include "fs/mac-fs-internal.h"

#define TEMPORARY_TRIES 100
#define RANDOM_LETTERS 6

/* ".hostname.4KQX2P~": a digit and five letters or digits, which no editor and hardly a person writes. */
static const char letters[] = "01234567ABCDEFGHJKLMNPQRSTUVWXYZ"; /* 32, so that every byte is used evenly */

void mac_fs_temporary_name(const char *name, char ret_temporary[MAC_FS_NAME_SIZE]) {
    uint8_t random[RANDOM_LETTERS];
    while (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        continue;
    char tail[RANDOM_LETTERS + 1] = {letters[random[0] % 8]};
    for (unsigned i = 1; i < RANDOM_LETTERS; i++)
        tail[i] = letters[random[i] % 32];
    /* A long name is shortened: the dots, the letters and the tilde must fit too. */
    snprintf(ret_temporary, MAC_FS_NAME_SIZE, ".%.*s.%s~", MAC_FS_NAME_SIZE - 1 - RANDOM_LETTERS - 3, name, tail);
}

bool mac_fs_is_temporary(const char *name) {
    size_t length = strlen(name);
    if (length < RANDOM_LETTERS + 4 || name[0] != '.' || name[length - 1] != '~')
        return false;
    const char *tail = name + length - 1 - RANDOM_LETTERS;
    return tail[-1] == '.' && tail[0] >= '0' && tail[0] <= '7' && strspn(tail, letters) == RANDOM_LETTERS;
}

/* Makes an empty temporary, 0600, locked. */
static int open_temporary(int directory, const char *name, char ret_temporary[MAC_FS_NAME_SIZE], int *ret_fd) {
    for (unsigned try = 0; try < TEMPORARY_TRIES; try++) {
        mac_fs_temporary_name(name, ret_temporary);
        int fd = openat(directory, ret_temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && (errno == EEXIST || errno == EINTR))
            continue;
        if (fd < 0)
            return -errno;
        /* mac_fs_clean may have come between; it removes under this lock, so afterwards we know. A file system without
         * locks has to do without. */
        struct stat status;
        (void)flock(fd, LOCK_EX);
        if (fstat(fd, &status) == 0 && status.st_nlink > 0) {
            *ret_fd = fd;
            return 0;
        }
        close(fd);
    }
    return -EEXIST;
}

static int write_all(int fd, const char *data, size_t length) {
    while (length > 0) {
        ssize_t count = write(fd, data, length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        data += count;
        length -= (size_t)count;
    }
    return 0;
}

/* The attributes that the new file shall have: what is left open comes from the old one, if that is a regular file. */
static int complete_attributes(int directory, const char *name, mac_fs_attributes *attributes) {
    struct stat old;
    if (fstatat(directory, name, &old, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT)
            return -errno;
        old.st_mode = S_IFLNK;
    }
    if (S_ISDIR(old.st_mode))
        return -EISDIR;
    if (S_ISREG(old.st_mode)) {
        if (!attributes->mode)
            attributes->mode = old.st_mode & 07777;
        if (attributes->uid == (uid_t)-1)
            attributes->uid = old.st_uid;
        if (attributes->gid == (gid_t)-1)
            attributes->gid = old.st_gid;
    } else if (!S_ISLNK(old.st_mode)) {
        return -EINVAL; /* a device, FIFO or socket is not ours to replace */
    }
    if (!attributes->mode)
        attributes->mode = 0644;
    return 0;
}

/* Owner first: chown(2) clears set-user-id bits. An owner that is already right needs no privilege. */
static int set_attributes(int fd, const mac_fs_attributes *attributes) {
    struct stat now;
    if (fstat(fd, &now) < 0)
        return -errno;
    uid_t uid = attributes->uid == now.st_uid ? (uid_t)-1 : attributes->uid;
    gid_t gid = attributes->gid == now.st_gid ? (gid_t)-1 : attributes->gid;
    if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(fd, uid, gid) < 0)
        return -errno;
    return fchmod(fd, attributes->mode & 07777) < 0 ? -errno : 0;
}

static int fill_temporary(int fd, const void *data, size_t length, const mac_fs_attributes *attributes) {
    int error = write_all(fd, data, length);
    if (error < 0)
        return error;
    error = set_attributes(fd, attributes);
    if (error < 0 || attributes->durability == MAC_FS_RELAXED)
        return error;
    return mac_fs_sync(fd);
}

static int write_file(mac_root *root, const char *path, const void *data, size_t length, mac_fs_attributes attributes,
                      unsigned rename_flags) {
    char name[MAC_FS_NAME_SIZE], temporary[MAC_FS_NAME_SIZE];
    mac_autofd directory = -1;
    mac_autofd fd = -1;
    int error = mac_fs_open_parent(root, path, O_RDONLY, name, &directory);
    if (error < 0)
        return error;
    error = complete_attributes(directory, name, &attributes);
    if (error < 0)
        return error;
    error = open_temporary(directory, name, temporary, &fd);
    if (error < 0)
        return error;
    error = fill_temporary(fd, data, length, &attributes);
    MAC_FAULT_POINT("fs.write.temporary");
    if (error == 0 && renameat2(directory, temporary, directory, name, rename_flags) < 0)
        error = -errno;
    if (error < 0) {
        (void)unlinkat(directory, temporary, 0);
        return error;
    }
    MAC_FAULT_POINT("fs.write.renamed");
    return attributes.durability == MAC_FS_DURABLE ? mac_fs_sync(directory) : 0;
}

int mac_fs_write(mac_root *root, const char *path, const void *data, size_t length, mac_fs_attributes attributes) {
    return write_file(root, path, data, length, attributes, 0);
}

int mac_fs_create(mac_root *root, const char *path, const void *data, size_t length, mac_fs_attributes attributes) {
    return write_file(root, path, data, length, attributes, RENAME_NOREPLACE);
}

int mac_fs_write_direct(mac_root *root, const char *path, const void *data, size_t length) {
    mac_autofd fd = -1;
    int error = mac_fs_open(root, path, O_WRONLY | O_TRUNC | O_NONBLOCK | O_NOCTTY, 0, &fd);
    if (error < 0)
        return error;
    ssize_t count;
    do
        count = write(fd, data, length);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return -errno;
    return (size_t)count == length ? 0 : -EIO;
}

int mac_fs_symlink(mac_root *root, const char *target, const char *path) {
    char name[MAC_FS_NAME_SIZE], temporary[MAC_FS_NAME_SIZE];
    mac_autofd directory = -1;
    int error = mac_fs_open_parent(root, path, O_RDONLY, name, &directory);
    if (error < 0)
        return error;
    for (unsigned try = 0; try < TEMPORARY_TRIES; try++) {
        mac_fs_temporary_name(name, temporary);
        if (symlinkat(target, directory, temporary) < 0) {
            if (errno == EEXIST)
                continue;
            return -errno;
        }
        MAC_FAULT_POINT("fs.symlink.temporary");
        if (renameat(directory, temporary, directory, name) == 0)
            return mac_fs_sync(directory);
        error = -errno;
        /* A link cannot be locked: mac_fs_clean of another service may have taken it for a left-over. */
        if (error != -ENOENT) {
            (void)unlinkat(directory, temporary, 0);
            return error;
        }
    }
    return -EEXIST;
}
