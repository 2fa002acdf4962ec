/* The label of a file system, FAT, ISO 9660 or ext4, read from its own bytes: nothing has to be mounted to ask. */
#ifndef INITRD_LABEL_H
#define INITRD_LABEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INITRD_LABEL_SIZE 33 /* the longest, of ISO 9660, and its end */

/* Reads exactly so many bytes; false when they are not there. */
typedef bool (*initrd_label_reader)(void *closure, uint64_t offset, void *ret_data, size_t length);

/* The label without the spaces at its end, and what mounts it: "vfat", "iso9660" or "ext4" (which ext2 and ext3 are,
 * too). NULL when it is none of them, or damaged; ret_label is then untouched. Of the two places that FAT has for a
 * label, the one in its root directory counts. */
const char *initrd_label_read(initrd_label_reader reader, void *closure, char ret_label[INITRD_LABEL_SIZE]);

/* How many blocks an ext4 has, and how many one of its groups. False when it is none. */
bool initrd_label_ext4_size(initrd_label_reader reader, void *closure, uint64_t *ret_blocks, uint64_t *ret_group);

#endif
