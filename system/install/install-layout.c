#include "install-layout.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "install-tools.h"

#define SLOT_LEAST (512 * INSTALL_MIB)
#define SLOT_STEP (64 * INSTALL_MIB)
#define TYPE_BIOS "21686148-6449-6E6F-744E-656564454649"
#define TYPE_ESP "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
#define TYPE_ROOT_AMD64 "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
#define TYPE_ROOT_ARM64 "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"
#define TYPE_LINUX "0FC63DAF-8483-4772-8E79-3D69D8477DE4"

static uint64_t slot_size(const install_medium *medium) {
    uint64_t wanted =
        (medium->slot.size + medium->slot.size / 2 + MAC_BOOT_TRAILER + SLOT_STEP - 1) / SLOT_STEP * SLOT_STEP;
    return wanted > SLOT_LEAST ? wanted : SLOT_LEAST;
}

uint64_t install_layout_needed(const install_medium *medium) {
    return INSTALL_HEAD + INSTALL_BIOS_SIZE + medium->esp_size + 2 * slot_size(medium) + INSTALL_DATA_LEAST +
           INSTALL_MIB;
}

static void place(install_layout *layout, const install_medium *medium) {
    static const char *const names[] = {"bios", "esp", "rootfs-A", "rootfs-B", "data"};
    uint64_t sizes[] = {INSTALL_BIOS_SIZE, medium->esp_size, slot_size(medium), slot_size(medium), 0};
    uint64_t at = INSTALL_BIOS_START;
    for (size_t i = 0; i < INSTALL_PARTITIONS; i++) {
        if (i == INSTALL_DATA)
            sizes[i] = (layout->disk - INSTALL_TAIL - at) / INSTALL_MIB * INSTALL_MIB;
        layout->partition[i].name = names[i];
        layout->partition[i].start = at;
        layout->partition[i].size = sizes[i];
        at += sizes[i];
    }
}

static char *script(const install_layout *layout, const char *arch) {
    const char *root = mac_streq(arch, "arm64") ? TYPE_ROOT_ARM64 : TYPE_ROOT_AMD64;
    const char *types[] = {TYPE_BIOS, TYPE_ESP, root, root, TYPE_LINUX};
    mac_buffer text = {0};
    mac_buffer_text(&text, "label: gpt\nunit: sectors\nfirst-lba: 2048\n");
    for (size_t i = 0; i < INSTALL_PARTITIONS; i++)
        mac_buffer_printf(&text, "start=%llu, size=%llu, type=%s, name=%s\n",
                          (unsigned long long)layout->partition[i].start / 512,
                          (unsigned long long)layout->partition[i].size / 512, types[i], layout->partition[i].name);
    return mac_buffer_take(&text);
}

/* sfdisk writes the table into a file that is as long as the disk and empty; from there it is taken. So the order in
 * which its parts reach the disk is ours, and nothing of it is there before the rest is. */
mac_error *install_layout_make(const install_medium *medium, uint64_t disk, const char *scratch,
                               install_layout **ret_layout) {
    mac_autofree install_layout *layout = mac_calloc(1, sizeof *layout);
    layout->disk = disk;
    place(layout, medium);
    mac_autofree char *path = mac_asprintf("%s/table", scratch), *text = script(layout, medium->slot.arch);
    mac_autofd fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)disk) < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "%s cannot be made: there is no room to work in",
                             path);
    mac_error *error =
        install_tool((const char *const[]){"sfdisk", "-q", "--no-reread", "--no-tell-kernel", path, NULL}, text);
    if (!error)
        error = install_read(fd, path, 0, layout->head, sizeof layout->head);
    if (!error)
        error = install_read(fd, path, disk - INSTALL_TAIL, layout->tail, sizeof layout->tail);
    unlink(path);
    if (error)
        return error;
    if (memcmp(layout->head + 512, "EFI PART", 8) != 0 || memcmp(layout->tail + INSTALL_TAIL - 512, "EFI PART", 8) != 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "sfdisk made no table");
    memcpy(layout->head, medium->boot_code, medium->bios ? INSTALL_BOOT_CODE : 0);
    *ret_layout = mac_take(&layout);
    return NULL;
}
