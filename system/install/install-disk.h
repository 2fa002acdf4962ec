/* The disks of this machine, what is on them, and why one cannot be installed to.
 *
 * lsblk tells what there is; the last word has the kernel when the disk is opened for nobody else (O_EXCL): a disk with
 * anything mounted, in a RAID or held by another program cannot be opened, whatever was listed before. */
#ifndef INSTALL_DISK_H
#define INSTALL_DISK_H

#include <jansson.h>

#include "base/mac-problem.h"

typedef struct install_disk {
    char *path; /* "/dev/vda", or the path of an image */
    char *name; /* "vda", or the image's last component: what a person types to confirm */
    uint64_t size;
    char *model, *serial; /* NULL: not told */
    char *holds;          /* what is on it, for a person; NULL: nothing that is known */
    char *refusal;        /* why not; NULL: it can be installed to */
    bool image;
} install_disk;

typedef struct install_disks {
    install_disk *items;
    size_t count;
} install_disks;
#define install_autodisks __attribute__((cleanup(install_disks_deinit))) install_disks

/* All disks. `needed` bytes are the least; `medium` is the device that the installer runs from (NULL: none known). */
mac_error *install_disks_list(uint64_t needed, const char *medium, install_disks *ret_disks);
/* The same from lsblk's answer, for tests. */
mac_error *install_disks_parse(const char *json, uint64_t needed, const char *medium, install_disks *ret_disks);
void install_disks_deinit(install_disks *disks);

/* The disk that a text means: a path of a device (links are followed), its name, its serial number, or "auto": the only
 * one that can be installed to. An error when there is none, when there are several, or when it is refused. */
mac_error *install_disks_find(const install_disks *disks, const char *text, const install_disk **ret_disk);
/* A file in place of a disk, for --image; `size` 0: it is there, else it is made, or extended to that size. */
mac_error *install_disk_image(const char *path, uint64_t size, uint64_t needed, install_disk *ret_disk);
void install_disk_deinit(install_disk *disk);

/* Opens it for reading and writing. It is ours alone as long as *ret_claim is open, too (-1 for an image, whose one
 * descriptor is locked): nothing on it can be mounted then. */
mac_error *install_disk_open(const install_disk *disk, int *ret_fd, int *ret_claim);
/* Claims a disk again whose claim was closed. */
mac_error *install_disk_claim(const install_disk *disk, int *ret_claim);
/* The kernel is told to read the partition table anew; best effort. */
void install_disk_reread(int fd);

json_t *install_disk_json(const install_disk *disk);

#endif
