/* Redirects are followed here and not by libcurl, because its rule "which protocols may a redirect lead to" does not
 * know where the redirect comes from: http → https → http must be refused at the second step. */
#include "http/mac-http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "http/mac-http-headers.h"
#include "http/mac-http-range.h"
#include "http/mac-http-url.h"

#define BACKOFF_FIRST_MS 200
#define BACKOFF_MAX_MS 10000
#define STREAM_BUFFER (256L << 10)
#define NO_LIMIT_MS (30u * 24 * 3600 * 1000)

#define INVALID MACULA__V1__ERROR_CODE__INVALID
#define UNSUPPORTED MACULA__V1__ERROR_CODE__UNSUPPORTED
#define UNAVAILABLE MACULA__V1__ERROR_CODE__UNAVAILABLE
#define DENIED MACULA__V1__ERROR_CODE__DENIED
#define NOT_FOUND MACULA__V1__ERROR_CODE__NOT_FOUND
#define TIMED_OUT MACULA__V1__ERROR_CODE__TIMED_OUT
#define EXHAUSTED MACULA__V1__ERROR_CODE__EXHAUSTED

typedef struct request {
    const mac_http_options *options;
    size_t limit;
    unsigned connect_timeout_ms;
    unsigned timeout_ms;
    uint64_t deadline_ms;
    CURL *curl;
    struct curl_slist *sent; /* headers */
    const void *post;        /* NULL: nothing is sent */
    size_t post_length;
    char *shown; /* the URL as it may appear in messages */
    char *host;
    /* of the answer that is coming in */
    mac_buffer body;
    mac_http_headers headers;
    bool too_large;
    bool stopped;           /* by on_body */
    const char *wrong_part; /* why the body is not what was asked for */
    long status;            /* of the status line that came last */
    uint64_t received;
    char reason[CURL_ERROR_SIZE];
} request;

/* ---- what comes in ---- */

/* Whether the answer is the part that was asked for. */
static bool check_part(request *r) {
    uint64_t first, last, total;
    const mac_http_options *o = r->options;
    if (r->status == 200)
        r->wrong_part = "all of it, though a part was asked for";
    else if (r->status != 206 || !mac_http_range_parse(r->headers.range, &first, &last, &total) || first != o->first ||
             last != o->first + o->length - 1 || (o->total && total != o->total))
        r->wrong_part = "another part than was asked for";
    return !r->wrong_part;
}

static size_t on_piece(request *r, const char *data, size_t length) {
    const mac_http_options *o = r->options;
    if (r->received == 0)
        curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &r->status);
    if (r->status < 200 || r->status >= 300)
        return length; /* the words of a redirect or refusal */
    if (r->received == 0 && o->length && !check_part(r))
        return CURL_WRITEFUNC_ERROR;
    uint64_t most = o->length ? o->length : o->limit;
    if (most && length > most - r->received) {
        r->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    r->received += length;
    r->stopped = !o->on_body(data, length, o->data);
    return r->stopped ? CURL_WRITEFUNC_ERROR : length;
}

static size_t on_body(char *data, size_t size, size_t count, void *user) {
    request *r = user;
    size_t length = size * count;
    if (r->options->on_body)
        return on_piece(r, data, length);
    if (length > r->limit - r->body.length) {
        r->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    mac_buffer_append(&r->body, data, length);
    return length;
}

static size_t on_header(char *data, size_t size, size_t count, void *user) {
    request *r = user;
    mac_http_headers_line(&r->headers, data, size * count);
    return size * count;
}

static void forget_answer(request *r) {
    mac_buffer_deinit(&r->body);
    mac_http_headers_deinit(&r->headers);
    r->too_large = r->stopped = false;
    r->wrong_part = NULL;
    r->received = 0;
    r->reason[0] = '\0';
}

/* ---- what went wrong ---- */

static mac_error *too_late(const request *r) {
    return mac_error_new(TIMED_OUT, NULL,
                         "%s: no complete answer within %u ms; check the connection to %s or allow more time", r->shown,
                         r->timeout_ms, r->host);
}

static mac_error *untrusted(const request *r) {
    return mac_error_new(INVALID, NULL,
                         "%s: the certificate of %s is not trusted (%s); check the node's clock and the name, and add "
                         "the server's CA if it has one of its own",
                         r->shown, r->host, *r->reason ? r->reason : "no reason given");
}

/* What we ended ourselves, or a proxy did before the server was reached; NULL: neither. */
static mac_error *ended_error(const request *r, CURLcode code) {
    if (r->stopped)
        return mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "%s: ended by the receiver", r->shown);
    if (r->wrong_part)
        return mac_error_new(UNSUPPORTED, NULL, "%s: %s sends %s", r->shown, r->host, r->wrong_part);
    if (r->too_large && r->options->on_body)
        return mac_error_new(EXHAUSTED, NULL, "%s: the answer is longer than was announced", r->shown);
    if (r->too_large || code == CURLE_FILESIZE_EXCEEDED)
        return mac_error_new(EXHAUSTED, NULL, "%s: the answer is larger than the %zu bytes allowed", r->shown,
                             r->limit);
    long connect_status = 0;
    curl_easy_getinfo(r->curl, CURLINFO_HTTP_CONNECTCODE, &connect_status);
    if (connect_status >= 400)
        return mac_error_new(connect_status == 407 ? DENIED : UNAVAILABLE, NULL,
                             "%s: the proxy does not connect to %s (HTTP %ld); check https_proxy and its credentials",
                             r->shown, r->host, connect_status);
    return NULL;
}

static mac_error *broke_off(const request *r) {
    return mac_error_new(UNAVAILABLE, NULL, "%s: %s broke the connection off before the answer was complete", r->shown,
                         r->host);
}

/* libcurl has one code for a handshake that failed and for a connection that was lost meanwhile. Only of the former
 * does the TLS library itself have something to say; its words for an end without a farewell are the latter. */
static bool tls_refused(const request *r) {
    return strstr(r->reason, "routines:") && !strstr(r->reason, "unexpected eof");
}

static mac_error *no_tls(const request *r) {
    bool old = strstr(r->reason, "protocol version") || strstr(r->reason, "unsupported protocol");
    return mac_error_new(INVALID, NULL, "%s: no TLS connection with %s (%s); %s", r->shown, r->host, r->reason,
                         old ? "TLS 1.2 or later is needed" : "check that it serves https on this port, and how");
}

/* A connection that was not there, or not to its end: it may be the next time. NULL: another failure. */
static mac_error *connection_error(const request *r, CURLcode code) {
    switch ((int)code) {
    case CURLE_OPERATION_TIMEDOUT:
        if (r->received)
            return mac_error_new(UNAVAILABLE, NULL, "%s: %s sends nothing any more", r->shown, r->host);
        return mac_error_new(UNAVAILABLE, NULL, "%s: %s does not answer; check that it runs and is reachable", r->shown,
                             r->host);
    case CURLE_COULDNT_RESOLVE_HOST:
        return mac_error_new(UNAVAILABLE, NULL,
                             "%s: the name %s cannot be resolved; check the name and the node's name servers", r->shown,
                             r->host);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return mac_error_new(UNAVAILABLE, NULL,
                             "%s: the name of the proxy cannot be resolved; check http_proxy and https_proxy",
                             r->shown);
    case CURLE_COULDNT_CONNECT:
        return mac_error_new(UNAVAILABLE, NULL,
                             "%s: %s does not accept the connection; check that it runs and that no firewall is "
                             "between",
                             r->shown, r->host);
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return broke_off(r);
    case CURLE_SSL_CONNECT_ERROR:
        return tls_refused(r) ? NULL : broke_off(r);
    default:
        return NULL;
    }
}

/* The failure of a transfer; *ret_again: whether it may be gone the next time. */
static mac_error *transfer_error(const request *r, CURLcode code, bool *ret_again) {
    *ret_again = false;
    mac_error *error = ended_error(r, code);
    if (error)
        return error;
    if (code == CURLE_OPERATION_TIMEDOUT && mac_now_ms() + 1 >= r->deadline_ms)
        return too_late(r);
    error = connection_error(r, code);
    *ret_again = error != NULL;
    if (error)
        return error;
    switch ((int)code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        return untrusted(r);
    case CURLE_SSL_CACERT_BADFILE:
        return mac_error_new(INVALID, NULL, "%s: the CA file %s cannot be read; expected certificates in PEM form",
                             r->shown, r->options->ca_file ? r->options->ca_file : "of the system");
    case CURLE_SSL_CONNECT_ERROR:
        return no_tls(r);
    default:
        return mac_error_new(INVALID, NULL, "%s: %s", r->shown, curl_easy_strerror(code));
    }
}

/* GitHub says so with 403, where others say 429: docs.github.com, "Rate limits for the REST API". */
static bool is_too_often(const request *r) {
    struct curl_header *header;
    if (curl_easy_header(r->curl, "x-ratelimit-remaining", 0, CURLH_HEADER, -1, &header) == CURLHE_OK &&
        mac_streq(header->value, "0"))
        return true;
    return curl_easy_header(r->curl, "retry-after", 0, CURLH_HEADER, -1, &header) == CURLHE_OK;
}

static mac_error *status_error(const request *r, long status, bool *ret_again) {
    *ret_again = status >= 500;
    if (status == 416 && r->options->length)
        return mac_error_new(UNSUPPORTED, NULL, "%s: %s does not have the part that was asked for (HTTP 416)", r->shown,
                             r->host);
    if (status == 404 || status == 410)
        return mac_error_new(NOT_FOUND, NULL, "%s: %s has no such thing (HTTP %ld); check the path", r->shown, r->host,
                             status);
    if (status == 403 && is_too_often(r))
        return mac_error_new(UNAVAILABLE, NULL,
                             "%s: %s has been asked too often from this network (HTTP 403); try again later, or give a "
                             "login that may ask more often",
                             r->shown, r->host);
    if (status == 401 || status == 403)
        return mac_error_new(DENIED, NULL, "%s: %s refuses access (HTTP %ld); check the credentials", r->shown, r->host,
                             status);
    if (status == 407)
        return mac_error_new(DENIED, NULL,
                             "%s: the proxy refuses access (HTTP 407); check its credentials in "
                             "http_proxy and https_proxy",
                             r->shown);
    if (status >= 500 || status == 429)
        return mac_error_new(UNAVAILABLE, NULL, "%s: %s cannot answer now (HTTP %ld); try again later", r->shown,
                             r->host, status);
    return mac_error_new(INVALID, NULL, "%s: expected the content, found HTTP %ld", r->shown, status);
}

/* ---- one request ---- */

static unsigned time_left(const request *r) {
    uint64_t now = mac_now_ms();
    return now < r->deadline_ms ? (unsigned)(r->deadline_ms - now) : 0;
}

/* libcurl takes up to a hundred buffers before it looks at the limit: what comes at once is a quarter of a second's
 * worth. */
static long stream_buffer(uint64_t bandwidth) {
    uint64_t size = bandwidth ? bandwidth / 400 : STREAM_BUFFER;
    return size > STREAM_BUFFER ? STREAM_BUFFER : size < 1024 ? 1024 : (long)size;
}

static void set_up_stream(request *r) {
    const mac_http_options *o = r->options;
    unsigned stall_ms = o->stall_ms ? o->stall_ms : MAC_HTTP_STALL_MS;
    curl_easy_setopt(r->curl, CURLOPT_BUFFERSIZE, stream_buffer(o->bandwidth));
    curl_easy_setopt(r->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(r->curl, CURLOPT_LOW_SPEED_TIME, (long)((stall_ms + 999) / 1000));
    if (o->bandwidth)
        curl_easy_setopt(r->curl, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)o->bandwidth);
    if (o->length) {
        char range[48];
        snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)o->first,
                 (unsigned long long)(o->first + o->length - 1));
        curl_easy_setopt(r->curl, CURLOPT_RANGE, range);
    }
}

static void set_up(request *r) {
    CURL *curl = r->curl;
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    /* libcurl reads the system's directory of certificates besides this file. */
    if (r->options->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, r->options->ca_file);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "maculaos/" MACULA_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)r->connect_timeout_ms);
    if (r->options->on_body)
        set_up_stream(r);
    else
        curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)r->limit);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, r->sent);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, r->reason);
    if (r->post) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->post_length);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->post);
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, r);
}

/* NULL and the status, or the error. */
static mac_error *fetch_once(request *r, const char *url, long *ret_status, bool *ret_again) {
    forget_answer(r);
    unsigned left = time_left(r);
    *ret_again = false;
    if (left == 0)
        return too_late(r);
    curl_easy_setopt(r->curl, CURLOPT_URL, url);
    curl_easy_setopt(r->curl, CURLOPT_TIMEOUT_MS, (long)left);
    CURLcode code = curl_easy_perform(r->curl);
    if (code != CURLE_OK)
        return transfer_error(r, code, ret_again);
    curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, ret_status);
    return NULL;
}

static mac_error *show(request *r, const char *url, const char **ret_scheme) {
    free(mac_take(&r->shown));
    free(mac_take(&r->host));
    return mac_http_url_parse(url, &r->shown, &r->host, ret_scheme);
}

/* Where a redirect leads; takes care that it may. *url is replaced. */
static mac_error *follow(request *r, long status, char **url) {
    char *target = NULL;
    curl_easy_getinfo(r->curl, CURLINFO_REDIRECT_URL, &target);
    if (!target)
        return mac_error_new(INVALID, NULL, "%s: expected a redirect, found HTTP %ld without a place to go", r->shown,
                             status);
    const char *from = NULL, *to = NULL;
    mac_autofree char *shown = mac_strdup(r->shown);
    mac_autoptr(mac_error) first = show(r, *url, &from);
    mac_autoptr(mac_error) error = show(r, target, &to);
    if (first || error)
        return mac_error_new(INVALID, NULL, "%s: redirects to where http and https do not lead: %s", shown,
                             (first ? first : error)->message);
    if (mac_streq(from, "https") && mac_streq(to, "http"))
        return mac_error_new(INVALID, NULL,
                             "%s: redirects from https to http (%s), which nobody could trust; correct "
                             "the server or the URL",
                             shown, r->shown);
    free(*url);
    *url = mac_strdup(target);
    return NULL;
}

static bool is_redirect(long status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static mac_error *fetch(request *r, long *ret_status, bool *ret_again) {
    mac_autofree char *url = mac_strdup(r->options->url);
    const char *scheme;
    mac_error *error = show(r, url, &scheme);
    *ret_again = false;
    for (unsigned hops = 0; !error; hops++) {
        long status = 0;
        error = fetch_once(r, url, &status, ret_again);
        if (error)
            break;
        if (r->post || !is_redirect(status)) {
            *ret_status = status;
            if (r->post && status >= 400 && status < 500 && status != 407 && status != 429)
                return NULL;
            return status == 304 || (status >= 200 && status < 300) ? NULL : status_error(r, status, ret_again);
        }
        if (hops == MAC_HTTP_REDIRECTS_MAX)
            return mac_error_new(INVALID, NULL, "%s: redirects more than %d times", r->shown, MAC_HTTP_REDIRECTS_MAX);
        error = follow(r, status, &url);
    }
    return error;
}

/* Doubles each time; half of it is chance, so that a fleet does not come back at one moment. */
static unsigned backoff_ms(unsigned attempt) {
    unsigned ms = attempt < 6 ? BACKOFF_FIRST_MS << attempt : BACKOFF_MAX_MS;
    uint32_t chance = 0;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) < 0)
        chance = (uint32_t)mac_now_ms();
    return ms / 2 + chance % (ms / 2 + 1);
}

/* Whether there was time for it. */
static bool wait_for(const request *r, unsigned ms) {
    if (ms >= time_left(r))
        return false;
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
    return true;
}

static mac_error *fetch_with_retries(request *r, mac_http_response *ret_response) {
    for (unsigned attempt = 0;; attempt++) {
        bool again = false;
        long status = 0;
        mac_error *error = fetch(r, &status, &again);
        if (!error) {
            if (status == 304)
                mac_buffer_deinit(&r->body);
            ret_response->status = status;
            ret_response->length = r->body.length;
            ret_response->body = mac_buffer_take(&r->body);
            ret_response->etag = mac_take(&r->headers.etag);
            return NULL;
        }
        if (!again || r->received || attempt >= r->options->retries || !wait_for(r, backoff_ms(attempt)))
            return error;
        mac_error_free(error);
    }
}

/* headers are taken. */
static mac_error *perform(const mac_http_options *options, struct curl_slist *headers, const void *post, size_t length,
                          mac_http_response *ret_response) {
    static bool initialised;
    if (!initialised && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "libcurl cannot be initialised");
    initialised = true;
    request r = {.options = options,
                 .sent = headers,
                 .post = post,
                 .post_length = length,
                 .limit = options->limit ? options->limit : MAC_HTTP_LIMIT,
                 .timeout_ms = options->timeout_ms ? options->timeout_ms
                               : options->on_body  ? NO_LIMIT_MS
                                                   : MAC_HTTP_TIMEOUT_MS,
                 .connect_timeout_ms =
                     options->connect_timeout_ms ? options->connect_timeout_ms : MAC_HTTP_CONNECT_TIMEOUT_MS};
    r.deadline_ms = mac_now_ms() + r.timeout_ms;
    /* One handle for all requests of the process: it keeps the connections. */
    static CURL *curl;
    if (curl)
        curl_easy_reset(curl);
    else
        curl = curl_easy_init();
    r.curl = curl;
    if (!r.curl)
        abort();
    set_up(&r);
    mac_error *error = fetch_with_retries(&r, ret_response);
    forget_answer(&r);
    curl_slist_free_all(r.sent);
    free(r.shown);
    free(r.host);
    return error;
}

mac_error *mac_http_get(const mac_http_options *options, mac_http_response *ret_response) {
    struct curl_slist *headers = NULL;
    if (options->etag && !mac_http_etag_is_valid(options->etag))
        return mac_error_new(INVALID, NULL, "the entity tag to compare with is none: expected visible characters");
    if (options->etag) {
        mac_autofree char *header = mac_asprintf("If-None-Match: %s", options->etag);
        headers = curl_slist_append(NULL, header);
    }
    return perform(options, headers, NULL, 0, ret_response);
}

mac_error *mac_http_post(const mac_http_options *options, const char *content_type, const void *body, size_t length,
                         mac_http_response *ret_response) {
    mac_autofree char *header = mac_asprintf("Content-Type: %s", content_type);
    struct curl_slist *headers = curl_slist_append(NULL, header);
    headers = curl_slist_append(headers, "Expect:"); /* no waiting for "100 Continue" */
    return perform(options, headers, body, length, ret_response);
}

void mac_http_response_deinit(mac_http_response *response) {
    free(response->body);
    free(response->etag);
    *response = (mac_http_response){0};
}
