/* Any text as a Content-Range: what is accepted is a part of its total. */
#include <stdlib.h>

#include "http/mac-http-range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mac_autofree char *text = mac_strndup((const char *)data, size);
    uint64_t first, last, total;
    if (mac_http_range_parse(text, &first, &last, &total) && (last < first || (total && last >= total)))
        abort();
    return 0;
}
