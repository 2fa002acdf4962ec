#include "install-medium.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "codec/mac-codec.h"
#include "install-bytes.h"
#include "install-layout.h"

#define ESP_MAX (1ull << 30)
#define BLOCK 4096u
#define SECTOR 512u
/* Where boot.img and core.img say where the rest of GRUB is (grub-bios-setup writes the same). */
#define BOOT_KERNEL_SECTOR 0x5cu
#define BOOT_DRIVE_CHECK 0x66u
#define CORE_LIST_START 0x1f4u
#define CORE_LIST_LENGTH 0x1fcu

static mac_error *damaged(const install_medium *medium, const char *file, const char *what) {
    return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                         "%s/%s: %s; write the medium anew and compare its checksum", medium->directory, file, what);
}

static mac_error *file_open(const install_medium *medium, const char *file, int *ret_fd) {
    mac_autofree char *path = mac_asprintf("%s/%s", medium->directory, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL,
                             "%s: %s; start from the installation medium, or name the folder with its files (--medium)",
                             path, strerror(errno));
    *ret_fd = fd;
    return NULL;
}

static mac_error *file_read(const install_medium *medium, const char *file, size_t limit, uint8_t **ret_data,
                            size_t *ret_length) {
    mac_autofd fd = -1;
    struct stat status;
    mac_error *error = file_open(medium, file, &fd);
    if (error)
        return error;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size <= 0 || (uint64_t)status.st_size > limit)
        return damaged(medium, file, "its size is none that it can have");
    uint8_t *data = mac_malloc((size_t)status.st_size + 1);
    error = install_read(fd, file, 0, data, (size_t)status.st_size);
    if (error) {
        free(data);
        return error;
    }
    data[status.st_size] = 0;
    *ret_data = data;
    *ret_length = (size_t)status.st_size;
    return NULL;
}

/* ---- the slot ---- */

static mac_error *slot_describe(install_medium *medium) {
    mac_autofree uint8_t *text = NULL;
    size_t length = 0;
    struct stat status;
    mac_error *error = file_read(medium, "slot.json", MAC_BOOT_TRAILER - 1, &text, &length);
    if (!error)
        error = file_open(medium, "slot.img", &medium->slot_fd);
    if (error)
        return error;
    if (fstat(medium->slot_fd, &status) < 0)
        return damaged(medium, "slot.img", strerror(errno));
    memcpy(medium->trailer, text, length);
    error = mac_boot_slot_parse(medium->trailer, INT64_MAX, &medium->slot);
    if (error) {
        mac_error *full = damaged(medium, "slot.json", error->message);
        mac_error_free(error);
        return full;
    }
    if ((uint64_t)status.st_size != medium->slot.size)
        return damaged(medium, "slot.img", "it is not as long as slot.json says");
    mac_autoptr(json_t) tree = json_loadb((const char *)text, length, 0, NULL);
    const char *sha256 = json_string_value(json_object_get(tree, "sha256"));
    if (!sha256 || strlen(sha256) != 64 || strspn(sha256, "0123456789abcdef") != 64)
        return damaged(medium, "slot.json", "a sha256 expected");
    memcpy(medium->sha256, sha256, sizeof medium->sha256);
    return NULL;
}

/* ---- the ESP ---- */

static bool is_zero(const uint8_t *data, size_t length) {
    return data[0] == 0 && memcmp(data, data + 1, length - 1) == 0;
}

static mac_error *esp_inflate(install_medium *medium, gzFile gz) {
    uint8_t block[BLOCK];
    uint64_t size = 0;
    for (;;) {
        int got = gzread(gz, block, sizeof block);
        if (got < 0 || size > ESP_MAX)
            return damaged(medium, "esp.img.gz", "it cannot be inflated");
        if (got == 0)
            break;
        mac_error *error =
            is_zero(block, (size_t)got) ? NULL : install_write(medium->esp_fd, "memory", size, block, (size_t)got);
        if (error)
            return error;
        size += (size_t)got;
    }
    if (size == 0 || size % INSTALL_MIB || ftruncate(medium->esp_fd, (off_t)size) < 0)
        return damaged(medium, "esp.img.gz", "whole MiB expected");
    medium->esp_size = size;
    return NULL;
}

static mac_error *esp_load(install_medium *medium) {
    mac_autofd fd = -1;
    mac_error *error = file_open(medium, "esp.img.gz", &fd);
    if (error)
        return error;
    medium->esp_fd = memfd_create("esp", MFD_CLOEXEC);
    int copy = dup(fd);
    gzFile gz = medium->esp_fd < 0 || copy < 0 ? NULL : gzdopen(copy, "rb");
    if (!gz)
        return mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL, "there is no memory for the ESP");
    error = esp_inflate(medium, gz);
    int closed = gzclose(gz);
    return error ? error : closed == Z_OK ? NULL : damaged(medium, "esp.img.gz", "it is cut off");
}

static mac_error *state_write(mac_boot_esp *esp, mac_boot_file file, const mac_boot_verity *verity, uint32_t seq) {
    uint8_t block[MAC_BOOT_BLOCK];
    mac_boot_state state = mac_boot_state_initial();
    state.seq = seq;
    state.verity[0] = *verity;
    mac_error *error = mac_boot_state_encode(&state, block);
    return error ? error : mac_boot_esp_write(esp, file, block);
}

static mac_error *settings_write(mac_boot_esp *esp, const char *settings) {
    uint8_t block[MAC_BOOT_BLOCK];
    int length = snprintf((char *)block, sizeof block, "# Settings of this machine, written when it was installed.\n%s",
                          settings ? settings : "");
    if (length < 0 || (size_t)length >= sizeof block)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "the settings for the boot menu are too long");
    memset(block + length, '#', sizeof block - (size_t)length);
    block[sizeof block - 1] = '\n';
    return mac_boot_esp_write(esp, MAC_BOOT_SETTINGS, block);
}

mac_error *install_medium_prepare(install_medium *medium, const char *settings) {
    mac_autoptr(mac_boot_esp) esp = NULL;
    uint8_t block[MAC_BOOT_BLOCK];
    mac_boot_tries tries = {0};
    mac_autofree char *path = mac_asprintf("/proc/self/fd/%d", medium->esp_fd);
    mac_error *error = mac_boot_esp_open(path, &esp);
    if (!error)
        error = state_write(esp, MAC_BOOT_STATE_1, &medium->slot.verity, 1);
    if (!error)
        error = state_write(esp, MAC_BOOT_STATE_2, &medium->slot.verity, 2);
    mac_boot_tries_encode(&tries, block);
    if (!error)
        error = mac_boot_esp_write(esp, MAC_BOOT_TRIES_FILE, block);
    if (!error)
        error = settings_write(esp, settings);
    if (!error)
        return NULL;
    mac_error *full = damaged(medium, "esp.img.gz", error->message);
    mac_error_free(error);
    return full;
}

/* ---- GRUB for BIOS ---- */

static void put_le(uint8_t *at, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static mac_error *bios_load(install_medium *medium) {
    mac_autofree uint8_t *boot = NULL;
    size_t length = 0;
    mac_autofree char *path = mac_asprintf("%s/bios-core.img", medium->directory);
    if (access(path, F_OK) < 0)
        return NULL;
    mac_error *error = file_read(medium, "boot.img", SECTOR, &boot, &length);
    if (!error)
        error = file_read(medium, "bios-core.img", INSTALL_BIOS_SIZE - SECTOR, &medium->core, &medium->core_length);
    if (error)
        return error;
    if (length != SECTOR || medium->core_length <= SECTOR)
        return damaged(medium, "boot.img", "GRUB's boot sector and core image expected");
    size_t whole = (medium->core_length + SECTOR - 1) / SECTOR * SECTOR;
    medium->core = mac_realloc(medium->core, whole);
    memset(medium->core + medium->core_length, 0, whole - medium->core_length);
    medium->core_length = whole;
    uint64_t sector = INSTALL_BIOS_START / SECTOR;
    put_le(boot + BOOT_KERNEL_SECTOR, sector, 8);
    memset(boot + BOOT_DRIVE_CHECK, 0x90, 2); /* start from the disk that the firmware names */
    put_le(medium->core + CORE_LIST_START, sector + 1, 8);
    put_le(medium->core + CORE_LIST_LENGTH, whole / SECTOR - 1, 2);
    memcpy(medium->boot_code, boot, INSTALL_BOOT_CODE);
    medium->bios = true;
    return NULL;
}

mac_error *install_medium_open(const char *directory, install_medium **ret_medium) {
    mac_autoptr(install_medium) medium = mac_calloc(1, sizeof *medium);
    medium->directory = mac_strdup(directory);
    medium->slot_fd = medium->esp_fd = -1;
    mac_error *error = slot_describe(medium);
    if (!error)
        error = esp_load(medium);
    if (!error)
        error = bios_load(medium);
    if (!error)
        *ret_medium = mac_take(&medium);
    return error;
}

void install_medium_close(install_medium *medium) {
    if (!medium)
        return;
    if (medium->slot_fd >= 0)
        close(medium->slot_fd);
    if (medium->esp_fd >= 0)
        close(medium->esp_fd);
    free(medium->core);
    free(medium->directory);
    free(medium);
}
