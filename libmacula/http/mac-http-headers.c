#include "http/mac-http-headers.h"

#include <string.h>
#include <strings.h>

/* The value of a line if it has this name ("etag:"), without the space around it; NULL otherwise. */
static char *line_value(const char *line, size_t length, const char *name) {
    size_t begin = strlen(name), end = length;
    if (length <= begin || strncasecmp(line, name, begin) != 0)
        return NULL;
    while (begin < end && strchr(" \t", line[begin]))
        begin++;
    while (end > begin && strchr(" \t\r\n", line[end - 1]))
        end--;
    return mac_strndup(line + begin, end - begin);
}

void mac_http_headers_line(mac_http_headers *headers, const char *line, size_t length) {
    if (length > 5 && strncasecmp(line, "HTTP/", 5) == 0)
        headers->range[0] = '\0';
    mac_autofree char *etag = line_value(line, length, "etag:"), *range = line_value(line, length, "content-range:");
    if (etag) {
        free(headers->etag);
        headers->etag = mac_http_etag_is_valid(etag) ? mac_take(&etag) : NULL;
    }
    if (range && strlen(range) < sizeof headers->range)
        memcpy(headers->range, range, strlen(range) + 1);
}

void mac_http_headers_deinit(mac_http_headers *headers) {
    free(headers->etag);
    *headers = (mac_http_headers){0};
}

bool mac_http_etag_is_valid(const char *etag) {
    size_t length = strlen(etag);
    for (const char *p = etag; *p; p++)
        if ((unsigned char)*p < 0x21 || *p == 0x7f)
            return false;
    return length > 0 && length <= MAC_HTTP_ETAG_MAX;
}
