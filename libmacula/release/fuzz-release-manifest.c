/* Any bytes as a manifest: what is accepted has only plain names and known architectures, and can be found again. */
#include <stdlib.h>

#include "release/mac-release.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mac_release release = {.sequence = 0};
    mac_error *error = mac_release_parse((const char *)data, size, &release);
    for (size_t i = 0; !error && i < release.image_count; i++) {
        const mac_release_image *image = &release.images[i];
        if (mac_release_find(&release, image->arch) != image || !mac_release_name_valid(image->slot) ||
            !mac_release_digest_valid(image->sha256) || (image->index[0] && !mac_release_name_valid(image->index)))
            abort();
        if (mac_semver_compare(release.version, release.version) != 0)
            abort();
    }
    mac_error_free(error);
    return 0;
}
