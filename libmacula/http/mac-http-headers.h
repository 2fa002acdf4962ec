/* Inside mac_http: what the lines of an answer's header say. They come from outside; a line need not end with a NUL. */
#ifndef MAC_HTTP_HEADERS_H
#define MAC_HTTP_HEADERS_H

#include "base/mac-base.h"

#define MAC_HTTP_ETAG_MAX 256
#define MAC_HTTP_RANGE_MAX 80

/* All zero: nothing was said yet. */
typedef struct mac_http_headers {
    char *etag;                     /* mac_http_etag_is_valid; NULL: none */
    char range[MAC_HTTP_RANGE_MAX]; /* Content-Range; "": none */
} mac_http_headers;

/* Takes a line, with its end; what is too long or cannot be is passed over. A status line begins anew: what an earlier
 * answer (a redirect's, a proxy's) said of its part does not count. */
void mac_http_headers_line(mac_http_headers *headers, const char *line, size_t length);
void mac_http_headers_deinit(mac_http_headers *headers);

/* Whether it may be sent (RFC 9110 section 8.8.3); above all: no line breaks. */
bool mac_http_etag_is_valid(const char *etag);

#endif
