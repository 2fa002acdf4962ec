/* Reading and writing at places of a disk or image, whole or with an error that names disk and byte. */
#ifndef INSTALL_BYTES_H
#define INSTALL_BYTES_H

#include "base/mac-problem.h"

#define INSTALL_MIB (1ull << 20)

/* `name` is what the error calls it. */
mac_error *install_read(int fd, const char *name, uint64_t offset, void *ret_data, size_t length);
mac_error *install_write(int fd, const char *name, uint64_t offset, const void *data, size_t length);
/* Makes a range read as zeros, by the disk's or file system's own means where it has some. */
mac_error *install_zero(int fd, const char *name, uint64_t offset, uint64_t length);
/* Says that a range holds nothing any more; best effort, its content is undefined then. */
void install_discard(int fd, uint64_t offset, uint64_t length);
/* Everything that was written is on the disk and no longer in memory, so that reading asks the disk. */
mac_error *install_flush(int fd, const char *name);

#endif
