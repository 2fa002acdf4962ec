/* A label is read from whatever somebody plugs in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "initrd-label.h"

typedef struct bytes {
    const uint8_t *data;
    size_t size;
} bytes;

static bool read_bytes(void *closure, uint64_t offset, void *ret_data, size_t length) {
    const bytes *all = closure;
    if (offset > all->size || length > all->size - offset)
        return false;
    memcpy(ret_data, all->data + offset, length);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char label[INITRD_LABEL_SIZE];
    bytes all = {data, size};
    if (initrd_label_read(read_bytes, &all, label) && strlen(label) >= sizeof label)
        abort();
    return 0;
}
