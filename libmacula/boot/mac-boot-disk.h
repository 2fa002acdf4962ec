/* Partitions of the boot disk by name, as the kernel lists them in /sys; no command is run. Only the disk that holds
 * the given ESP is looked at, so another disk with the same names is no matter. */
#ifndef MAC_BOOT_DISK_H
#define MAC_BOOT_DISK_H

#include "fs/mac-fs.h"

typedef struct mac_boot_partition {
    char device[64]; /* "/dev/sda3" */
    uint64_t size;   /* bytes */
} mac_boot_partition;

/* The partition called `name` on the disk of the partition `esp` ("/dev/sda2"). -ENOENT: no such disk or name;
 * -ENOTUNIQ: two of that name on it; -EINVAL: `esp` is no device node's name. */
int mac_boot_disk_partition(mac_root *root, const char *esp, const char *name, mac_boot_partition *ret_partition);

#endif
