/* What lsblk says is partly what whoever made a disk wrote on it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "install-disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mac_autofree char *text = mac_strndup((const char *)data, size);
    install_disks disks = {0};
    mac_error *error = install_disks_parse(text, 1u << 30, "/dev/sda", &disks);
    mac_error_free(error);
    for (size_t i = 0; i < disks.count; i++)
        json_decref(install_disk_json(&disks.items[i]));
    install_disks_deinit(&disks);
    return 0;
}
