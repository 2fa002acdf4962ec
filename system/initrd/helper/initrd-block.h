/* Block devices as sysfs tells of them. */
#ifndef INITRD_BLOCK_H
#define INITRD_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "initrd-gpt.h"

typedef struct initrd_block {
    char name[64];                 /* sda2 */
    char disk[64];                 /* sda; the same as name for a whole disk */
    char part_name[80];            /* of the GPT; "" without one */
    char part_uuid[GPT_UUID_SIZE]; /* lower case; "" without one */
    unsigned number;               /* of the partition; 0 for a whole disk */
    uint64_t sectors;              /* of 512 bytes */
} initrd_block;

/* All of them, in no order. Caller frees. Returns their number, or a negative errno. */
int initrd_block_list(initrd_block **ret_blocks);

/* True when a name is safe to be evaluated by a shell and to be put into a path: what the kernel calls devices. */
bool initrd_block_plain(const char *name);

#endif
