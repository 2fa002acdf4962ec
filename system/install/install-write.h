/* Writing a disk, in an order that leaves no half installation that starts: first everything by which a machine could
 * start from it is erased, then all parts are written and verified by reading them back from the disk, then the second
 * copy of the partition table, its entries, its header, each on the disk before the next, and the boot sector last.
 * That one sector makes the disk bootable, for BIOS (its code) and for UEFI (without it the table does not count).
 *
 * So a power cut at any moment leaves a disk that nothing starts from, or a whole installation; the installer can
 * simply be run again. What was on the disk before is lost from the first step on. */
#ifndef INSTALL_WRITE_H
#define INSTALL_WRITE_H

#include "install-disk.h"
#include "install-layout.h"
#include "install-medium.h"

typedef struct install_job {
    int fd;    /* of the disk */
    int claim; /* that it is ours alone; opened anew on the way, so it is the caller's to close */
    const install_disk *disk;
    install_medium *medium;
    const install_layout *layout;
    const char *staging; /* directory: what the data partition holds at first */
} install_job;

/* Fault points: install.begin, install.erased, install.slot.half, install.slot, install.esp, install.bios,
 * install.data, install.verified, install.table.backup, install.table.entries, install.table.header, install.done.
 * CANCELLED: Ctrl-C, and the disk is not bootable now. */
mac_error *install_write_disk(install_job *job);

/* Ctrl-C and the like stop the writing at the next piece. */
void install_write_stop(void);

#endif
