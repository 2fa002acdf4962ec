/* Inside libmacula/boot: where on a FAT32 partition the bytes of a small file lie. Reads only.
 *
 * The boot state is overwritten where it lies, on the partition itself, without mounting it: a mount for writing
 * changes the boot sector (the "dirty" flag), the directory and the FSINFO sector each time, three more places where a
 * power cut can do harm, and needs a kernel module in the initramfs. So we follow BPB, directory and cluster chain as
 * GRUB does. Everything read is hostile until checked: each number is bounded by the size of the partition, each chain
 * by a limit. */
#ifndef BOOT_FAT_H
#define BOOT_FAT_H

#include "boot/mac-boot-state.h"

#define BOOT_FAT_CHAIN_MAX 4096u /* clusters of a directory; longer is taken for a loop */
#define BOOT_FAT_FILES 3u

typedef struct boot_fat_place {
    uint64_t sector[MAC_BOOT_BLOCK / MAC_BOOT_SECTOR]; /* byte offset on the partition of each 512 bytes of the file */
} boot_fat_place;

/* Finds a file of exactly 1024 bytes in a directory of the root directory; names in their 8.3 form of 11 characters
 * ("STATE-1    "). An error (INVALID, NOT_FOUND) says what is wrong, without the name of the device. */
mac_error *boot_fat_find(int fd, const char *directory, const char *file, boot_fat_place *ret_place);

#endif
