/* Any answer, in pieces of any size, ends with the same outcome as in one; any URL is taken apart or refused. */
#include <stdlib.h>
#include <string.h>

#include "healthd-http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static healthd_http_progress feed(const char *text, size_t length, size_t piece, healthd_http *ret_http) {
    healthd_http_progress progress = HEALTHD_HTTP_MORE;
    *ret_http = (healthd_http){0};
    for (size_t at = 0; at < length && progress == HEALTHD_HTTP_MORE; at += piece)
        progress = healthd_http_feed(ret_http, text + at, length - at < piece ? length - at : piece);
    return progress;
}

static void try_url(const char *text) {
    mac_autofree char *host = NULL, *port = NULL, *path = NULL;
    if (healthd_http_url(text, &host, &port, &path))
        return;
    long number = strtol(port, NULL, 10);
    if (!*host || path[0] != '/' || strpbrk(path, " \r\n") || number < 1 || number > 65535)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    size_t piece = (size_t)data[0] % 64 + 1;
    mac_autofree char *text = mac_strndup((const char *)data + 1, size - 1);
    healthd_http whole, pieces;
    healthd_http_progress first = feed((const char *)data + 1, size - 1, size, &whole);
    healthd_http_progress second = feed((const char *)data + 1, size - 1, piece, &pieces);
    if (first != second || (first == HEALTHD_HTTP_DONE && whole.status != pieces.status))
        abort();
    if (first == HEALTHD_HTTP_DONE && (whole.status < 100 || whole.status > 599))
        abort();
    if (first == HEALTHD_HTTP_WRONG && !whole.wrong)
        abort();
    try_url(text);
    return 0;
}
