/* What a slot holds, as its own last 4096 bytes say: the JSON text of slot.json, padded with zeros. */
#ifndef MAC_BOOT_SLOT_H
#define MAC_BOOT_SLOT_H

#include "boot/mac-boot-state.h"

#define MAC_BOOT_TRAILER 4096u
#define MAC_BOOT_VERSION_MAX 64u

typedef struct mac_boot_slot {
    char version[MAC_BOOT_VERSION_MAX + 1];
    char arch[17];
    uint64_t size; /* bytes of the image with its hash tree; fits before the trailer */
    mac_boot_verity verity;
} mac_boot_slot;

/* Reads a trailer. `capacity` is the size of the slot. An error (INVALID) says what is wrong; NOT_FOUND: all zeros. */
mac_error *mac_boot_slot_parse(const uint8_t trailer[MAC_BOOT_TRAILER], uint64_t capacity, mac_boot_slot *ret_slot);
/* Reads the trailer of a slot: a partition or a file. The error names it. */
mac_error *mac_boot_slot_read(const char *path, mac_boot_slot *ret_slot);

#endif
