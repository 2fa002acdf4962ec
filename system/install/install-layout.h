/* Where what lies on a disk: the partitions that images/50-disk makes too, with the data partition to the disk's end.
 */
#ifndef INSTALL_LAYOUT_H
#define INSTALL_LAYOUT_H

#include "install-bytes.h"
#include "install-medium.h"

#define INSTALL_BIOS_START INSTALL_MIB
#define INSTALL_BIOS_SIZE INSTALL_MIB
#define INSTALL_HEAD INSTALL_MIB  /* before the first partition: boot sector, table */
#define INSTALL_TAIL (33u * 512u) /* after the last one: the table's second copy */
#define INSTALL_DATA_LEAST (256 * INSTALL_MIB)

enum { INSTALL_BIOS, INSTALL_ESP, INSTALL_SLOT_A, INSTALL_SLOT_B, INSTALL_DATA, INSTALL_PARTITIONS };

typedef struct install_layout {
    uint64_t disk; /* bytes */
    struct {
        const char *name;
        uint64_t start, size; /* bytes */
    } partition[INSTALL_PARTITIONS];
    uint8_t head[INSTALL_HEAD]; /* what stands there once the table is written */
    uint8_t tail[INSTALL_TAIL];
} install_layout;

/* The least size of a disk. A slot has room for the image and half as much again, and at least 512 MiB. */
uint64_t install_layout_needed(const install_medium *medium);
/* For a disk of that size, which is large enough. The table gets new identities; `scratch` is a directory to work in.
 */
mac_error *install_layout_make(const install_medium *medium, uint64_t disk, const char *scratch,
                               install_layout **ret_layout);

#endif
