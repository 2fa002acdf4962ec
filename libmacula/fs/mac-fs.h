/* Files under a root directory (MACULA_ROOT), written so that a power cut leaves either the old or the new content.
 *
 * Every path is absolute as the node sees it ("/etc/hostname"; a relative one is -EINVAL) and is resolved beneath the
 * root with openat2(RESOLVE_IN_ROOT): neither ".." nor a symbolic link, absolute or relative, leads out of it. With the
 * root "/" it is the system itself. Links of /proc that are no paths (/proc/self/fd/3) are not followed (-ELOOP).
 * Linux 5.6 or newer is required: on older kernels every function that resolves a path returns -ENOSYS. All functions
 * return 0 or a negative errno; what they give back is untouched on failure. */
#ifndef MAC_FS_H
#define MAC_FS_H

#include <sys/stat.h>
#include <sys/types.h>

#include "base/mac-base.h"

typedef struct mac_root mac_root;

/* A tree deeper than this is not removed (-ELOOP): each level holds a descriptor open. */
#define MAC_FS_DEPTH_MAX 200

/* Opens (and with create makes, 0755, parents too) the root directory, a path of the host. NULL and "" mean "/". */
int mac_root_open(const char *directory, bool create, mac_root **ret_root) MAC_MUST_USE;
void mac_root_close(mac_root *root);
MAC_DEFINE_AUTOPTR(mac_root, mac_root_close)
/* The directory as given, without trailing slash ("" for "/"). */
const char *mac_root_directory(const mac_root *root);
bool mac_root_is_system(const mac_root *root);
/* The path as a program outside the root must spell it, for messages and for exec; caller frees. Not for opening. */
char *mac_root_path(const mac_root *root, const char *path);

/* Opens beneath the root; flags as open(2), O_CLOEXEC is added; mode counts only with O_CREAT. The last component is
 * followed, inside the root, unless flags say O_NOFOLLOW. */
int mac_fs_open(mac_root *root, const char *path, int flags, mode_t mode, int *ret_fd) MAC_MUST_USE;
/* Reads a whole regular file of at most `limit` bytes (-EFBIG beyond); *ret_data is NUL-terminated, caller frees;
 * ret_length may be NULL. A directory is -EISDIR, a FIFO or device -EINVAL, without waiting for anybody. */
int mac_fs_read(mac_root *root, const char *path, size_t limit, char **ret_data, size_t *ret_length) MAC_MUST_USE;

/* What a power cut may do to a file that has just been written. A process that is killed loses nothing in any case. */
typedef enum mac_fs_durability {
    MAC_FS_DURABLE, /* nothing: once the call has returned, the new content stays */
    MAC_FS_WHOLE,   /* bring the old content back, but never a part of either. For a file that is compared with what it
                       should be, and written again, at each start, and that holds what others wrote, too */
    MAC_FS_RELAXED, /* anything, to this file alone. For what is wholly made again at each start */
} mac_fs_durability;

typedef struct mac_fs_attributes {
    mode_t mode; /* exact, whatever the umask; 0: 0644 for a new file, unchanged for an old one */
    uid_t uid;   /* (uid_t)-1: unchanged */
    gid_t gid;   /* (gid_t)-1: unchanged */
    mac_fs_durability durability;
} mac_fs_attributes;
#define MAC_FS_KEEP_AS(how) ((mac_fs_attributes){.uid = (uid_t)-1, .gid = (gid_t)-1, .durability = (how)})
#define MAC_FS_PRIVATE_AS(how)                                                                                         \
    ((mac_fs_attributes){.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1, .durability = (how)})
#define MAC_FS_KEEP MAC_FS_KEEP_AS(MAC_FS_DURABLE)
#define MAC_FS_PRIVATE MAC_FS_PRIVATE_AS(MAC_FS_DURABLE)

/* Replaces a file: temporary beside it, write, owner and mode, fsync (unless relaxed), rename, fsync of the directory
 * (if durable). Parents must exist. A symbolic link at `path` is replaced, not followed; a directory (-EISDIR), device,
 * FIFO or socket (-EINVAL) is refused. On failure the old file is as it was and no temporary remains; only if the very
 * last step, the fsync of the directory, fails is the new file in place though an error is returned. Left-over
 * temporaries of a crash are removed by mac_fs_clean. Fault points: fs.write.temporary (written, not renamed),
 * fs.write.renamed (renamed, directory not synced). */
int mac_fs_write(mac_root *root, const char *path, const void *data, size_t length,
                 mac_fs_attributes attributes) MAC_MUST_USE;
/* The same for a file that must not be there yet: of several callers at once one succeeds, the others get -EEXIST and
 * find the file whole. */
int mac_fs_create(mac_root *root, const char *path, const void *data, size_t length,
                  mac_fs_attributes attributes) MAC_MUST_USE;
/* Writes to something that is not a regular file (/proc/sys/…, /sys/…) in one write(2); it must exist. Nothing is
 * synced. */
int mac_fs_write_direct(mac_root *root, const char *path, const void *data, size_t length) MAC_MUST_USE;
/* Makes a directory with this mode, whatever the umask, and its missing parents with 0755, durably; existing ones keep
 * their mode. -ENOTDIR when a file, -EEXIST when a link that leads nowhere is in the way. */
int mac_fs_mkdirs(mac_root *root, const char *path, mode_t mode) MAC_MUST_USE;
/* Makes a symbolic link, replacing a file or link at `path` atomically. The target is not checked. */
int mac_fs_symlink(mac_root *root, const char *target, const char *path) MAC_MUST_USE;
/* What a symbolic link says; caller frees. -EINVAL when it is none. */
int mac_fs_readlink(mac_root *root, const char *path, char **ret_target) MAC_MUST_USE;
int mac_fs_stat(mac_root *root, const char *path,
                struct stat *ret_stat) MAC_MUST_USE; /* does not follow the last link */
/* Changes what is not left open (mode 0, id -1) of a file or directory; a symbolic link is -ELOOP. */
int mac_fs_chmod_chown(mac_root *root, const char *path, mac_fs_attributes attributes) MAC_MUST_USE;
int mac_fs_remove(mac_root *root, const char *path) MAC_MUST_USE; /* a file or link; durable; -ENOENT if none */
/* The same for what was relaxed: a power cut may bring it back. */
int mac_fs_remove_relaxed(mac_root *root, const char *path) MAC_MUST_USE;
/* Sets room aside: a file (0600) with at least so many bytes allocated on the disk, made or made larger if it is not.
 * Who has to write although the disk is full removes it before (mac_fs_remove_relaxed). When there is not that much
 * room (-ENOSPC), the file is removed. */
int mac_fs_reserve(mac_root *root, const char *path, size_t bytes) MAC_MUST_USE;
/* A file, link or directory with all it holds; links are removed, not followed; -ENOENT if none. Stops with -EXDEV at a
 * mount, before what is mounted there is touched; what came earlier is gone then. */
int mac_fs_remove_tree(mac_root *root, const char *path) MAC_MUST_USE;
/* Names in a directory in byte order, without dot files; *ret_names is overwritten, caller frees with
 * mac_strings_deinit. */
int mac_fs_list(mac_root *root, const char *path, mac_strings *ret_names) MAC_MUST_USE;
/* Removes temporaries that a crash left in a directory; those another process is just writing stay. */
int mac_fs_clean(mac_root *root, const char *path) MAC_MUST_USE;

#endif
