/* Any bytes as SHA256SUMS.txt: what is accepted is a list of plain names. */
#include <stdlib.h>

#include "release/mac-release.h"
#include "release/mac-sums.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mac_sums *sums = NULL;
    mac_error *error = mac_sums_parse((const char *)data, size, &sums);
    if (!error) {
        const char *digest = mac_sums_get(sums, MAC_RELEASE_MANIFEST);
        if (mac_sums_count(sums) == 0 || (digest && !mac_release_digest_valid(digest)))
            abort();
    }
    mac_sums_free(sums);
    mac_error_free(error);
    return 0;
}
