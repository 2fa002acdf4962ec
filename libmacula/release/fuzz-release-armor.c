/* Any bytes as a file of keys. */
#include <stdlib.h>

#include "release/mac-armor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mac_autobuffer keyring = {0};
    mac_error *error = mac_armor_keys(data, size, &keyring);
    if (!error && keyring.length == 0)
        abort();
    mac_error_free(error);
    return 0;
}
