#include "reset-remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH_MAX 64u       /* each level holds a descriptor; what lies deeper is moved aside first */
#define NUMBER_MAX 1000000u /* names tried in a directory; beyond, the entry is left */

/* ---- flags ---- */

void reset_unlock(int fd) {
    int flags = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)))
        return;
    flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
    (void)!ioctl(fd, FS_IOC_SETFLAGS, &flags); /* if not, what follows fails and says so */
}

void reset_unlock_entry(int directory, const char *name) {
    struct stat status;
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)))
        return;
    mac_autofd fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        reset_unlock(fd);
}

static bool is_forbidden(int error) {
    return error == EPERM || error == EACCES;
}

/* ---- moving ---- */

static int move_once(reset_removal *removal, int from, const char *name) {
    for (; removal->number < NUMBER_MAX; removal->number++) {
        mac_autofree char *to = mac_asprintf("%u.%.200s", removal->number, name);
        if (renameat2(from, name, removal->aside, to, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

int reset_move(reset_removal *removal, int from, const char *name) {
    int result = move_once(removal, from, name);
    if (result == 0 || !is_forbidden(-result))
        return result;
    reset_unlock_entry(from, name);
    return move_once(removal, from, name);
}

/* ---- removing ---- */

static bool leave(reset_removal *removal, int error) {
    removal->left++;
    if (!removal->why)
        removal->why = -error;
    return false;
}

/* 0 or an errno; EISDIR: it is a directory. */
static int remove_file(int directory, const char *name) {
    if (unlinkat(directory, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (!is_forbidden(errno))
        return errno;
    reset_unlock_entry(directory, name);
    return unlinkat(directory, name, 0) == 0 || errno == ENOENT ? 0 : errno;
}

/* Not across a mount: whatever is mounted there is not part of the tree. */
static int open_directory(int parent, const char *name) {
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV};
    return (int)syscall(SYS_openat2, parent, name, &how, sizeof how);
}

static bool remove_entry(reset_removal *removal, int parent, const char *name, unsigned depth);

/* Takes the descriptor. */
static bool remove_content(reset_removal *removal, int fd, unsigned depth) {
    DIR *directory = fdopendir(fd);
    if (!directory) {
        close(fd);
        return leave(removal, ENOMEM);
    }
    reset_unlock(fd);
    bool empty = true;
    for (struct dirent *entry; (errno = 0, (entry = readdir(directory)));)
        if (!mac_streq(entry->d_name, ".") && !mac_streq(entry->d_name, ".."))
            empty = remove_entry(removal, dirfd(directory), entry->d_name, depth) && empty;
    if (errno != 0)
        empty = leave(removal, errno);
    closedir(directory);
    return empty;
}

static bool remove_entry(reset_removal *removal, int parent, const char *name, unsigned depth) {
    int error = remove_file(parent, name);
    if (error == 0)
        return true;
    if (error != EISDIR)
        return leave(removal, error);
    if (depth >= DEPTH_MAX && reset_move(removal, parent, name) == 0) {
        removal->moved++;
        return true;
    }
    int fd = depth < DEPTH_MAX ? open_directory(parent, name) : (errno = ELOOP, -1);
    if (fd < 0)
        return leave(removal, errno);
    if (!remove_content(removal, fd, depth + 1))
        return false;
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || leave(removal, errno);
}

bool reset_remove_entry(reset_removal *removal, int directory, const char *name) {
    return remove_entry(removal, directory, name, 0);
}

/* What was too deep is at the top then: each pass removes DEPTH_MAX levels of it, so this ends. */
bool reset_remove_aside(reset_removal *removal) {
    do {
        int fd = openat(removal->aside, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        removal->moved = removal->left = 0;
        removal->why = 0;
        if (fd < 0)
            return leave(removal, errno);
        (void)!remove_content(removal, fd, 0);
    } while (removal->moved);
    return removal->left == 0;
}
