/* Files that hold one secret; shared by the nkeys and the sealing key, nobody else includes it. */
#ifndef MAC_KEYFILE_H
#define MAC_KEYFILE_H

#include "fs/mac-fs.h"

/* No key of ours is longer. */
#define MAC_KEYFILE_LIMIT 4096

/* Reads a key file. When it is missing and `make` is not NULL, its directory is made (0700) and `make` fills a buffer,
 * which is written 0600 and durably; of several processes that do so at once all read the one that won. A file that
 * others may read is made 0600 where we are allowed to. *ret_data is NUL-terminated; wipe and free it. */
int mac_keyfile_load(mac_root *root, const char *path, void (*make)(mac_buffer *buffer), char **ret_data,
                     size_t *ret_length) MAC_MUST_USE;

#endif
