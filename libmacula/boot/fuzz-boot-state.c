/* The blocks on the ESP, a slot's trailer and the FAT file system, from anywhere. What is accepted must be written
 * again as the same bytes. */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot-fat.h"
#include "boot/mac-boot-slot.h"

#define STATE_LENGTH 282u /* the bytes before the padding */
#define TRIES_LENGTH 83u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void try_block(const uint8_t *data, size_t length) {
    uint8_t again[MAC_BOOT_BLOCK];
    mac_boot_state state;
    mac_boot_tries tries;
    mac_error *error = mac_boot_state_decode(data, length, &state);
    if (!error && (mac_boot_state_encode(&state, again) || memcmp(again, data, STATE_LENGTH) != 0))
        abort();
    mac_error_free(error);
    error = mac_boot_tries_decode(data, length, &tries);
    if (!error) {
        mac_boot_tries_encode(&tries, again);
        if (memcmp(again, data, TRIES_LENGTH) != 0)
            abort();
    }
    mac_error_free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    static int memory = -1;
    uint8_t trailer[MAC_BOOT_TRAILER] = {0};
    mac_boot_slot slot;
    boot_fat_place place;
    try_block(data, length);
    memcpy(trailer, data, length < sizeof trailer ? length : sizeof trailer);
    mac_error_free(mac_boot_slot_parse(trailer, 1u << 20, &slot));
    if (memory < 0)
        memory = memfd_create("esp", MFD_CLOEXEC);
    if (ftruncate(memory, 0) < 0 || pwrite(memory, data, length, 0) != (ssize_t)length)
        return 0;
    mac_error_free(boot_fat_find(memory, "GRUB       ", "STATE-1    ", &place));
    return 0;
}
