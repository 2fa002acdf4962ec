/* The three files of the boot state on the ESP: read, and overwritten where they lie.
 *
 * On a machine the ESP is its partition: the bytes of the files are found on the FAT file system and read and written
 * directly (O_DIRECT, then a flush of the disk), sector by sector, without a mount. Nothing else on the ESP is ever
 * written: no directory, no table, no time stamp. So a full ESP is no matter, and files cannot grow, appear or vanish.
 * Under a root directory the ESP is a directory with the same three files, written with pwrite and fsync.
 *
 * The files must have been made by who made the disk. Every function answers NULL or an error that names the place. */
#ifndef MAC_BOOT_ESP_H
#define MAC_BOOT_ESP_H

#include "boot/mac-boot-state.h"

/* Another writer is waited for so long; it holds the lock for one write of the disk. */
#define MAC_BOOT_LOCK_MS 10000u

typedef struct mac_boot_esp mac_boot_esp;

typedef enum mac_boot_file {
    MAC_BOOT_STATE_1,
    MAC_BOOT_STATE_2,
    MAC_BOOT_TRIES_FILE,
    MAC_BOOT_SETTINGS, /* local.cfg, a script that the menu runs: written once, when a disk is installed */
} mac_boot_file;

/* Opens an ESP: a block device, the image of a partition in a file, or a directory. Nothing is changed. */
mac_error *mac_boot_esp_open(const char *path, mac_boot_esp **ret_esp);
void mac_boot_esp_close(mac_boot_esp *esp); /* gives up the lock too */
MAC_DEFINE_AUTOPTR(mac_boot_esp, mac_boot_esp_close)
/* The path it was opened with. */
const char *mac_boot_esp_path(const mac_boot_esp *esp);
/* "/grub/state-1" … */
const char *mac_boot_esp_file_name(mac_boot_file file);

/* Of several processes one holds it. TIMED_OUT after MAC_BOOT_LOCK_MS. A dead process holds nothing. */
mac_error *mac_boot_esp_lock(mac_boot_esp *esp);
void mac_boot_esp_unlock(mac_boot_esp *esp);

/* Reads what is on the disk now, not what a cache has. NOT_FOUND, or INVALID when the file has another size. */
mac_error *mac_boot_esp_read(mac_boot_esp *esp, mac_boot_file file, uint8_t ret_block[MAC_BOOT_BLOCK]);
/* Overwrites the sectors that differ, the one with the fields last; waits for the disk; reads back and compares. Only
 * with NULL is the block durable. Fault points: boot.write.begin, boot.write.written, boot.write.synced. */
mac_error *mac_boot_esp_write(mac_boot_esp *esp, mac_boot_file file, const uint8_t block[MAC_BOOT_BLOCK]);

#endif
