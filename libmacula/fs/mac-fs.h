/* Files under a root directory (MACULA_ROOT), written so that a power cut leaves either the old or the new content.
 *
 * Every path is absolute as the node sees it ("/etc/hostname") and is resolved beneath the root with
 * openat2(RESOLVE_IN_ROOT): neither ".." nor a symbolic link, absolute or relative, leads out of it. With the root "/" it is
 * the system itself. All functions return 0 or a negative errno. */
#ifndef MAC_FS_H
#define MAC_FS_H

#include <sys/stat.h>
#include <sys/types.h>

#include "base/mac-base.h"

typedef struct mac_root mac_root;

/* Opens (and with create makes) the root directory. NULL means "/". */
int mac_root_open(const char *directory, bool create, mac_root **ret_root) MAC_MUST_USE;
void mac_root_close(mac_root *root);
MAC_DEFINE_AUTOPTR(mac_root, mac_root_close)
/* The directory as given, without trailing slash ("" for "/"). */
const char *mac_root_directory(const mac_root *root);
bool mac_root_is_system(const mac_root *root);
/* The path as a program outside the root must spell it, for messages and for exec; caller frees. Not for opening. */
char *mac_root_path(const mac_root *root, const char *path);

/* Opens beneath the root; flags as open(2), O_CLOEXEC is added. */
int mac_fs_open(mac_root *root, const char *path, int flags, mode_t mode, int *ret_fd) MAC_MUST_USE;
/* Reads a whole regular file of at most `limit` bytes (-EFBIG beyond); *ret_data is NUL-terminated, caller frees. */
int mac_fs_read(mac_root *root, const char *path, size_t limit, char **ret_data, size_t *ret_length) MAC_MUST_USE;

typedef struct mac_fs_attributes {
    mode_t mode; /* 0: 0644 for a new file, unchanged for an old one */
    uid_t uid;   /* (uid_t)-1: unchanged */
    gid_t gid;   /* (gid_t)-1: unchanged */
} mac_fs_attributes;
#define MAC_FS_KEEP ((mac_fs_attributes){.uid = (uid_t)-1, .gid = (gid_t)-1})
#define MAC_FS_PRIVATE ((mac_fs_attributes){.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1})

/* Replaces a file: temporary beside it, write, fsync, rename, fsync of the directory. Parents must exist. A symbolic link at
 * `path` is replaced, not followed. Left-over temporaries of a crash are removed by mac_fs_clean. */
int mac_fs_write(mac_root *root, const char *path, const void *data, size_t length, mac_fs_attributes attributes) MAC_MUST_USE;
/* Writes to something that is not a regular file (/proc/sys/…, /sys/…) in one write(2). */
int mac_fs_write_direct(mac_root *root, const char *path, const void *data, size_t length) MAC_MUST_USE;
/* Makes a directory and its parents; existing ones keep their mode. */
int mac_fs_mkdirs(mac_root *root, const char *path, mode_t mode) MAC_MUST_USE;
int mac_fs_symlink(mac_root *root, const char *target, const char *path) MAC_MUST_USE; /* replaces atomically */
int mac_fs_readlink(mac_root *root, const char *path, char **ret_target) MAC_MUST_USE;
int mac_fs_stat(mac_root *root, const char *path, struct stat *ret_stat) MAC_MUST_USE; /* does not follow the last link */
int mac_fs_chmod_chown(mac_root *root, const char *path, mac_fs_attributes attributes) MAC_MUST_USE;
int mac_fs_remove(mac_root *root, const char *path) MAC_MUST_USE; /* a file; durable; -ENOENT if none */
int mac_fs_remove_tree(mac_root *root, const char *path) MAC_MUST_USE;
/* Names in a directory in byte order, without dot files. */
int mac_fs_list(mac_root *root, const char *path, mac_strings *ret_names) MAC_MUST_USE;
/* Removes temporaries that a crash left in a directory. */
int mac_fs_clean(mac_root *root, const char *path) MAC_MUST_USE;

#endif
