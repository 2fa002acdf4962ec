/* The trailer of a slot is read from a disk that anybody may have written. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "initrd-json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char value[24];
    if (initrd_json_value((const char *)data, size, "version", value, sizeof value) &&
        strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+:~") != strlen(value))
        abort();
    return 0;
}
