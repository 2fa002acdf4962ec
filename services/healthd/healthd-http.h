/* The beginning of an HTTP/1 answer: its status. Everything behind the header is of no interest, so whoever reads stops
 * there, however long the answer is. Redirects are a status like others and are not followed. */
#ifndef HEALTHD_HTTP_H
#define HEALTHD_HTTP_H

#include "base/mac-base.h"

#define HEALTHD_HTTP_HEADER_MAX 16384 /* bytes of all headers, interim answers included; beyond: WRONG */

typedef enum healthd_http_progress {
    HEALTHD_HTTP_MORE,  /* the header has not ended */
    HEALTHD_HTTP_DONE,  /* status is known */
    HEALTHD_HTTP_WRONG, /* this is no HTTP; `wrong` says why */
} healthd_http_progress;

/* Initialise with {0}. */
typedef struct healthd_http {
    unsigned status;
    const char *wrong; /* a constant sentence */
    size_t seen;       /* bytes */
    size_t line_length;
    bool first_seen;
    bool ended;
    char line[64]; /* beginning of the line that is being read; only the first of an answer is looked at */
} healthd_http;

healthd_http_progress healthd_http_feed(healthd_http *http, const char *data, size_t length);

/* http://HOST[:PORT]/PATH in three; the host without brackets. "/" when there is no path; a fragment is left out, user
 * and password are refused. NULL or what is wrong, a constant. Results are the caller's to free. */
const char *healthd_http_url(const char *url, char **ret_host, char **ret_port, char **ret_path);

#endif
