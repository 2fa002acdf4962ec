/* HTTP(S) with libcurl, blocking: for worker programs only. Resident services start a worker instead, so that libcurl and
 * OpenSSL are not mapped where nothing is fetched. */
#ifndef MAC_HTTP_H
#define MAC_HTTP_H

#include "base/mac-problem.h"

typedef struct mac_http_options {
    const char *url;            /* http or https only; redirects stay within these, at most 5; https never leads to http */
    const char *ca_file;        /* besides the system's; may be NULL */
    const char *etag;           /* sent as If-None-Match; may be NULL */
    size_t limit;               /* largest body, -> EXHAUSTED */
    unsigned timeout_ms;        /* of the whole request */
    unsigned connect_timeout_ms;
    unsigned retries;           /* of connection failures and 5xx, with back-off and jitter */
} mac_http_options;

typedef struct mac_http_response {
    long status;
    char *body; /* NUL-terminated */
    size_t length;
    char *etag; /* may be NULL */
} mac_http_response;

/* NULL and a response (304 is one), or the error: UNAVAILABLE (name, connection, 5xx), NOT_FOUND, DENIED (401, 403), INVALID
 * (certificate, protocol), TIMED_OUT, EXHAUSTED. Proxies from the environment (http_proxy, https_proxy, no_proxy). */
mac_error *mac_http_get(const mac_http_options *options, mac_http_response *ret_response);
void mac_http_response_deinit(mac_http_response *response);

#endif
