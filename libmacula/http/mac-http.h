/* HTTP(S) with libcurl, blocking: for worker programs only. Resident services start a worker instead, so that libcurl
 * and OpenSSL are not mapped where nothing is fetched.
 *
 * Certificates and host names are always verified (TLS 1.2 at least); there is no way to turn that off. Bodies are
 * taken as they are: no compression is asked for, so a body can be no larger than what was sent. Error texts name host
 * and path and what to do; user name, password and query of a URL never appear in them. No signals, one thread. */
#ifndef MAC_HTTP_H
#define MAC_HTTP_H

#include "base/mac-problem.h"

#define MAC_HTTP_LIMIT (1u << 20)         /* bytes, when limit is 0 */
#define MAC_HTTP_TIMEOUT_MS 60000         /* when timeout_ms is 0 */
#define MAC_HTTP_CONNECT_TIMEOUT_MS 10000 /* when connect_timeout_ms is 0 */
#define MAC_HTTP_REDIRECTS_MAX 5
#define MAC_HTTP_STALL_MS 30000

typedef struct mac_http_options {
    const char *url;     /* http or https only; redirects stay within these, at most 5; https never leads to http */
    const char *ca_file; /* PEM, host path; besides the system's; may be NULL */
    const char *etag;    /* sent as If-None-Match; may be NULL */
    size_t limit;        /* largest body, -> EXHAUSTED */
    unsigned timeout_ms; /* of everything: redirects, retries and the waiting between */
    unsigned connect_timeout_ms;
    unsigned retries; /* of connection failures, broken bodies and 5xx, with back-off and jitter */
    /* For large bodies, which are not to be kept in memory. Called with each piece of a body that is what was asked
     * for; false ends the transfer (CANCELLED). A transfer that broke off is not tried again here: whoever gets the
     * pieces knows how far it came. Without a timeout_ms there is no time limit then, only stall_ms. */
    bool (*on_body)(const void *data, size_t length, void *data_of_caller);
    void *data;
    uint64_t first, length; /* only this part of the body; length 0: all. UNSUPPORTED: the server does not
                             * send parts, or not the one that was asked for; nothing of it came */
    uint64_t total;         /* what the whole body must have, to be sure of a part; 0: any */
    uint64_t bandwidth;     /* bytes a second; 0: no limit */
    unsigned stall_ms;      /* nothing came for so long: UNAVAILABLE; whole seconds; 0: 30 s with on_body */
} mac_http_options;

typedef struct mac_http_response {
    long status;
    char *body; /* NUL-terminated */
    size_t length;
    char *etag; /* may be NULL */
} mac_http_response;

/* NULL and a response (304 is one: its body is empty), or the error: UNAVAILABLE (name, connection, 429, 5xx),
 * NOT_FOUND (404, 410), DENIED (401, 403, 407), INVALID (URL, certificate, redirect, other answers), TIMED_OUT,
 * EXHAUSTED (limit), UNSUPPORTED (a part was asked for). A connection that is lost while TLS is agreed on is
 * UNAVAILABLE like any other. Proxies from the environment (http_proxy, https_proxy, no_proxy). */
mac_error *mac_http_get(const mac_http_options *options, mac_http_response *ret_response);

/* Posts a body and takes the answer. An answer of the 4xx is a response, too, with its body, but for 407 and 429:
 * whoever asks knows what a refusal says. Redirects are not followed. Connection failures and 5xx are tried again as
 * above, so the server must take the same request twice for one. */
mac_error *mac_http_post(const mac_http_options *options, const char *content_type, const void *body, size_t length,
                         mac_http_response *ret_response);
void mac_http_response_deinit(mac_http_response *response);

#endif
