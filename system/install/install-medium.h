/* What is installed: the files that the medium brings in its folder /live. Everything is checked before a disk is
 * touched; what the slot's image holds is checked while it is copied, and again on the disk.
 *
 *   slot.img       the slot: file system and hash tree
 *   slot.json      what it is: {version, arch, size, data_blocks, root_hash, sha256}
 *   esp.img.gz     the ESP with GRUB, its menu and the files of the boot state
 *   bios-core.img  GRUB for the BIOS-boot partition; absent where the architecture has no BIOS
 *   boot.img       GRUB's boot sector */
#ifndef INSTALL_MEDIUM_H
#define INSTALL_MEDIUM_H

#include "boot/mac-boot.h"

#define INSTALL_MEDIUM "/run/live/live"
#define INSTALL_BOOT_CODE 440u

typedef struct install_medium {
    char *directory;
    mac_boot_slot slot;
    char sha256[65];
    uint8_t trailer[MAC_BOOT_TRAILER]; /* of the slot partition: the text of slot.json */
    int slot_fd;
    int esp_fd; /* a file in memory, inflated; what is zero takes no room */
    uint64_t esp_size;
    bool bios;
    uint8_t boot_code[INSTALL_BOOT_CODE];
    uint8_t *core; /* as it goes to its partition, patched for its place */
    size_t core_length;
} install_medium;

/* An error says which file is missing or damaged and what to do. */
mac_error *install_medium_open(const char *directory, install_medium **ret_medium);
void install_medium_close(install_medium *medium);
MAC_DEFINE_AUTOPTR(install_medium, install_medium_close)

/* Writes into the ESP's image what a new disk begins with: slot a active and verified, b empty, no tries, no mode. What
 * `settings` says is read by GRUB's menu as a script (/grub/local.cfg); NULL: nothing. */
mac_error *install_medium_prepare(install_medium *medium, const char *settings);

#endif
