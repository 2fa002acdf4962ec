/* Any text as the header of an answer, line by line as libcurl hands it on: what is kept of it may be sent again, and a
 * Content-Range that is accepted is a part of its total. */
#include <stdlib.h>
#include <string.h>

#include "http/mac-http-headers.h"
#include "http/mac-http-range.h"

static void check_range(const char *text) {
    uint64_t first, last, total;
    if (mac_http_range_parse(text, &first, &last, &total) && (last < first || (total && last >= total)))
        abort();
}

/* A copy of its own: whoever reads past its end is seen. */
static void take_line(mac_http_headers *headers, const uint8_t *line, size_t length) {
    mac_autofree char *copy = mac_memdup(line, length);
    mac_http_headers_line(headers, copy, length);
    if (headers->etag && !mac_http_etag_is_valid(headers->etag))
        abort();
    if (strnlen(headers->range, sizeof headers->range) == sizeof headers->range)
        abort();
    check_range(headers->range);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mac_http_headers headers = {0};
    while (size) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) + 1 : size;
        take_line(&headers, data, length);
        data += length;
        size -= length;
    }
    mac_http_headers_deinit(&headers);
    return 0;
}
