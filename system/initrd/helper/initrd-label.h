/* The label of a file system, FAT or ISO 9660, read from its own bytes: nothing has to be mounted to ask. */
#ifndef INITRD_LABEL_H
#define INITRD_LABEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INITRD_LABEL_SIZE 33 /* the longest, of ISO 9660, and its end */

/* Reads exactly so many bytes; false when they are not there. */
typedef bool (*initrd_label_reader)(void *closure, uint64_t offset, void *ret_data, size_t length);

/* The label without the spaces at its end, and what mounts it: "vfat" or "iso9660". NULL when it is neither, or
 * damaged; ret_label is then untouched. Of the two places that FAT has for a label, the one in its root directory
 * counts. */
const char *initrd_label_read(initrd_label_reader reader, void *closure, char ret_label[INITRD_LABEL_SIZE]);

#endif
