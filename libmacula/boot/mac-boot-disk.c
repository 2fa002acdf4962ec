#include "boot/mac-boot-disk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SYSFS_MAX 4096u

/* The value of PARTNAME= in a uevent text equals the name. */
static bool is_named(const char *uevent, const char *name) {
    const char *at = strstr(uevent, "PARTNAME=");
    if (!at || (at != uevent && at[-1] != '\n'))
        return false;
    at += strlen("PARTNAME=");
    size_t length = strcspn(at, "\n");
    return length == strlen(name) && strncmp(at, name, length) == 0;
}

/* Whether `partition` lies on the disk, has the name; and then its size. */
static bool matches(mac_root *root, const char *disk, const char *partition, const char *name, uint64_t *ret_size) {
    mac_autofree char *uevent = NULL, *sectors = NULL;
    mac_autofree char *uevent_path = mac_asprintf("/sys/class/block/%s/%s/uevent", disk, partition);
    mac_autofree char *size_path = mac_asprintf("/sys/class/block/%s/%s/size", disk, partition);
    if (mac_fs_read(root, uevent_path, SYSFS_MAX, &uevent, NULL) < 0 || !is_named(uevent, name) ||
        mac_fs_read(root, size_path, SYSFS_MAX, &sectors, NULL) < 0)
        return false;
    *ret_size = strtoull(sectors, NULL, 10) * 512; /* always 512, whatever the disk has */
    return true;
}

/* The name of the disk that a partition lies on: the directory above it in /sys. */
static int disk_of(mac_root *root, const char *partition, char **ret_disk) {
    mac_autofree char *link = mac_asprintf("/sys/class/block/%s", partition), *target = NULL;
    int result = mac_fs_readlink(root, link, &target);
    if (result < 0)
        return result == -EINVAL ? -ENOENT : result;
    char *last = strrchr(target, '/');
    if (!last)
        return -ENOENT;
    *last = '\0';
    char *parent = strrchr(target, '/');
    if (!parent || !parent[1] || strcmp(parent, "/block") == 0)
        return -ENOENT; /* a whole disk */
    *ret_disk = mac_strdup(parent + 1);
    return 0;
}

int mac_boot_disk_partition(mac_root *root, const char *esp, const char *name, mac_boot_partition *ret_partition) {
    mac_autofree char *disk = NULL;
    mac_autostrings names = {0};
    mac_boot_partition found = {.device = ""};
    const char *last = strrchr(esp, '/');
    if (!mac_starts_with(esp, "/dev/") || !last[1])
        return -EINVAL;
    int result = disk_of(root, last + 1, &disk);
    if (result < 0)
        return result;
    mac_autofree char *directory = mac_asprintf("/sys/class/block/%s", disk);
    result = mac_fs_list(root, directory, &names);
    if (result < 0)
        return result;
    for (size_t i = 0; i < names.count; i++) {
        uint64_t size;
        if (!mac_starts_with(names.items[i], disk) || !matches(root, disk, names.items[i], name, &size))
            continue;
        if (found.device[0])
            return -ENOTUNIQ;
        int length = snprintf(found.device, sizeof found.device, "/dev/%s", names.items[i]);
        if (length >= (int)sizeof found.device)
            return -ENAMETOOLONG;
        found.size = size;
    }
    if (!found.device[0])
        return -ENOENT;
    *ret_partition = found;
    return 0;
}
