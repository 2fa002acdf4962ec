/* What the files of libmacula/fs share; nobody else includes it. */
#ifndef MAC_FS_INTERNAL_H
#define MAC_FS_INTERNAL_H

#include <dirent.h>

#include "fs/mac-fs.h"

/* The longest name of a directory entry (NAME_MAX) and a NUL. */
#define MAC_FS_NAME_SIZE 256

/* openat2(2); flags get O_CLOEXEC, an interrupted or raced look-up is tried again. The descriptor or a negative errno.
 */
int mac_fs_openat2(int directory, const char *path, int flags, mode_t mode, uint64_t resolve);

/* The directory that holds the last component of `path`, opened with O_RDONLY or O_PATH in `flags`, and that
 * component's name. -EINVAL when there is none ("/", "..", a relative path). The name is never a path, so an *at call
 * on it stays in the directory. */
int mac_fs_open_parent(mac_root *root, const char *path, int flags, char ret_name[MAC_FS_NAME_SIZE], int *ret_fd);

/* A directory to be read; the caller closes it. */
int mac_fs_open_list(mac_root *root, const char *path, DIR **ret_directory);

/* Makes a name for a temporary of `name`; recognises one. */
void mac_fs_temporary_name(const char *name, char ret_temporary[MAC_FS_NAME_SIZE]);
bool mac_fs_is_temporary(const char *name);

/* fsync(2), again when interrupted. File systems that cannot sync a directory (EINVAL) are taken as durable. */
int mac_fs_sync(int fd);

#endif
