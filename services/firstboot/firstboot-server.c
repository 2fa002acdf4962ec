#include "firstboot-server.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "crypto/mac-crypto.h"
#include "firstboot-form.h"
#include "firstboot-listen.h"
#include "firstboot-texts.h"
#include "log/mac-log.h"

#define SPARE 16      /* connections that were cut off and that MHD has not looked at since */
#define SWEEP_MS 1000 /* between looks for connections that take too long, while there are any */

typedef struct connection {
    struct connection *next, **self; /* the newest first */
    struct MHD_Connection *handle;
    char peer[FIRSTBOOT_PEER_SIZE];
    uint64_t since_ms;
    bool asked; /* its headers are there */
    bool cut;   /* it ends as soon as MHD looks at it */
} connection;

/* One request: what has come of its body. */
typedef struct exchange {
    mac_buffer body;
    bool too_large;
} exchange;

struct firstboot_server {
    firstboot_server_options options;
    struct MHD_Daemon *daemon;
    uint16_t port;
    uv_poll_t poll;
    uv_timer_t due, sweep;
    unsigned handles;
    connection *connections;
};

/* ---- the loop ---- */

static void run(firstboot_server *server);

static void on_due(uv_timer_t *timer) {
    run(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    run(poll->data);
}

static void run(firstboot_server *server) {
    MHD_UNSIGNED_LONG_LONG wait = 0;
    MHD_run(server->daemon);
    if (MHD_get_timeout(server->daemon, &wait) == MHD_YES)
        uv_timer_start(&server->due, on_due, wait, 0);
    else
        uv_timer_stop(&server->due);
}

/* ---- connections ---- */

static void cut_off(connection *one) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(one->handle, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info)
        shutdown(info->connect_fd, SHUT_RDWR);
    one->cut = true;
}

/* MHD's own time-out starts anew with each byte; this one does not. */
static void on_sweep(uv_timer_t *timer) {
    firstboot_server *server = timer->data;
    uint64_t now = mac_now_ms();
    for (connection *one = server->connections; one; one = one->next)
        if (now >= one->since_ms + (one->asked ? FIRSTBOOT_CONNECTION_MS : FIRSTBOOT_HEADERS_MS))
            cut_off(one);
    run(server);
    if (!server->connections)
        uv_timer_stop(timer);
}

/* Of those that are open, how many the peer of this one has. */
static unsigned count_peer(const firstboot_server *server, const connection *of) {
    unsigned count = 0;
    for (const connection *one = server->connections; one; one = one->next)
        count += !one->cut && mac_streq(one->peer, of->peer);
    return count;
}

/* When all places are taken, the peer that has most of them loses its oldest. A browser's connection is served and gone
 * long before that comes to it; who holds many, or one for long, is cut off first. */
static void make_room(firstboot_server *server) {
    unsigned open = 0, most = 0;
    connection *loser = NULL;
    for (connection *one = server->connections; one; one = one->next) {
        unsigned count = one->cut ? 0 : count_peer(server, one);
        open += !one->cut;
        if (count > 0 && count >= most) {
            loser = one;
            most = count;
        }
    }
    if (open > FIRSTBOOT_CONNECTIONS)
        cut_off(loser);
}

static void add_connection(firstboot_server *server, struct MHD_Connection *handle, void **context) {
    connection *one = mac_malloc(sizeof *one);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    *one = (connection){.next = server->connections, .handle = handle, .since_ms = mac_now_ms()};
    if (info && info->client_addr)
        firstboot_peer_name(info->client_addr, true, one->peer);
    one->self = &server->connections;
    if (one->next)
        one->next->self = &one->next;
    server->connections = one;
    *context = one;
    make_room(server);
    if (!uv_is_active((uv_handle_t *)&server->sweep))
        uv_timer_start(&server->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

static void on_connection(void *data, struct MHD_Connection *handle, void **context,
                          enum MHD_ConnectionNotificationCode code) {
    firstboot_server *server = data;
    connection *one = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        add_connection(server, handle, context);
    } else if (one) {
        *one->self = one->next;
        if (one->next)
            one->next->self = one->self;
        free(one);
        *context = NULL;
    }
}

/* ---- one request ---- */

static enum MHD_Result send_answer(struct MHD_Connection *handle, firstboot_answer_page *answer) {
    struct MHD_Response *response =
        answer->fixed ? MHD_create_response_from_buffer(answer->fixed_length, (void *)(uintptr_t)answer->fixed,
                                                        MHD_RESPMEM_PERSISTENT)
                      : MHD_create_response_from_buffer(answer->body.length, answer->body.data, MHD_RESPMEM_MUST_COPY);
    static const char *const headers[][2] = {
        {"Connection", "close"},
        {"Cache-Control", "no-store"},
        {"Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
                                    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    if (!response)
        return MHD_NO;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(headers); i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    MHD_add_response_header(response, "Content-Type", answer->type ? answer->type : "text/html; charset=utf-8");
    if (answer->location)
        MHD_add_response_header(response, "Location", answer->location);
    if (answer->cookie)
        MHD_add_response_header(response, "Set-Cookie", answer->cookie);
    if (answer->retry_s > 0) {
        mac_autofree char *seconds = mac_asprintf("%u", answer->retry_s);
        MHD_add_response_header(response, "Retry-After", seconds);
    }
    enum MHD_Result result = MHD_queue_response(handle, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* Before anything of the request counts. */
static enum MHD_Result refuse(struct MHD_Connection *handle, unsigned status, const char *text) {
    firstboot_answer_page answer = {
        .status = status, .type = "text/plain; charset=utf-8", .fixed = text, .fixed_length = strlen(text)};
    return send_answer(handle, &answer);
}

typedef struct counted {
    unsigned lengths, hosts, encodings;
} counted;

static enum MHD_Result count_header(void *data, enum MHD_ValueKind kind, const char *name, const char *value) {
    (void)kind;
    (void)value;
    counted *found = data;
    found->lengths += strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
    found->hosts += strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0;
    found->encodings += strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;
    return MHD_YES;
}

static const char *header(struct MHD_Connection *handle, const char *name) {
    return MHD_lookup_connection_value(handle, MHD_HEADER_KIND, name);
}

/* NULL, or what is wrong with the headers; then *ret_status. */
static const char *check_headers(struct MHD_Connection *handle, unsigned *ret_status) {
    counted found = {0};
    MHD_get_connection_values(handle, MHD_HEADER_KIND, count_header, &found);
    const char *length = header(handle, MHD_HTTP_HEADER_CONTENT_LENGTH);
    *ret_status = MHD_HTTP_BAD_REQUEST;
    if (found.lengths > 1 || found.hosts != 1 || found.encodings > 0)
        return T(HEADERS);
    if (length && (strlen(length) > 9 || strspn(length, "0123456789") != strlen(length) ||
                   strtoul(length, NULL, 10) > FIRSTBOOT_FORM_MAX)) {
        *ret_status = MHD_HTTP_CONTENT_TOO_LARGE;
        return T(TOO_LARGE);
    }
    return NULL;
}

static enum MHD_Result answer(firstboot_server *server, struct MHD_Connection *handle, const char *url,
                              const char *method, const exchange *one) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    firstboot_request request = {
        .method = method,
        .path = url,
        .code = MHD_lookup_connection_value(handle, MHD_GET_ARGUMENT_KIND, "code"),
        .host = header(handle, MHD_HTTP_HEADER_HOST),
        .origin = header(handle, MHD_HTTP_HEADER_ORIGIN),
        .cookie = MHD_lookup_connection_value(handle, MHD_COOKIE_KIND, "macula_setup"),
        .content_type = header(handle, MHD_HTTP_HEADER_CONTENT_TYPE),
        .body = one->body.data ? one->body.data : "",
        .length = one->body.length,
        .outside = true,
    };
    if (info && info->client_addr) {
        firstboot_peer_name(info->client_addr, firstboot_peer_on_link(info->client_addr), request.peer);
        request.outside =
            !firstboot_peer_allowed(info->client_addr, server->options.networks, server->options.network_count);
    }
    firstboot_answer_page page = {.status = MHD_HTTP_OK};
    server->options.handle(&request, &page, server->options.data);
    enum MHD_Result result = send_answer(handle, &page);
    mac_buffer_deinit(&page.body);
    free(page.cookie);
    return result;
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *handle, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **context) {
    (void)version;
    exchange *one = *context;
    if (!one) {
        unsigned status = 0;
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        if (info && info->socket_context)
            ((connection *)info->socket_context)->asked = true;
        const char *wrong = check_headers(handle, &status);
        if (wrong)
            return refuse(handle, status, wrong);
        *context = mac_calloc(1, sizeof *one);
        return MHD_YES;
    }
    if (*upload_size > 0) {
        if (one->body.length + *upload_size > FIRSTBOOT_FORM_MAX)
            one->too_large = true;
        else
            mac_buffer_append(&one->body, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    if (one->too_large)
        return refuse(handle, MHD_HTTP_CONTENT_TOO_LARGE, T(TOO_LARGE));
    return answer(data, handle, url, method, one);
}

static void on_completed(void *data, struct MHD_Connection *handle, void **context,
                         enum MHD_RequestTerminationCode code) {
    (void)data;
    (void)handle;
    (void)code;
    exchange *one = *context;
    if (!one)
        return;
    mac_wipe(one->body.data, one->body.length);
    mac_buffer_deinit(&one->body);
    free(one);
    *context = NULL;
}

/* MHD's own decoding, but for %00: texts here end at a NUL, so what follows it would count for nothing. */
static size_t on_unescape(void *data, struct MHD_Connection *handle, char *text) {
    (void)data;
    (void)handle;
    for (char *nul = strstr(text, "%00"); nul; nul = strstr(nul, "%00"))
        nul[2] = '1';
    return MHD_http_unescape(text);
}

/* MHD would write to standard error. */
MAC_PRINTF(2, 0)
static void on_log(void *data, const char *format, va_list arguments) {
    (void)data;
    mac_autofree char *text = mac_vasprintf(format, arguments);
    text[strcspn(text, "\n")] = '\0';
    mac_log_debug("web server", "text=" MAC_LOG_Q("%s"), text);
}

/* ---- beginning and end ---- */

static struct MHD_Daemon *start_daemon(firstboot_server *server, int fd) {
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, server, /* log first: others may log */
        MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)(FIRSTBOOT_CONNECTIONS + SPARE), MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)FIRSTBOOT_CONNECTIONS_PEER, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(FIRSTBOOT_CONNECTION_MS / 1000),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)FIRSTBOOT_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL, MHD_OPTION_END);
}

mac_error *firstboot_server_start(const firstboot_server_options *options, firstboot_server **ret_server) {
    firstboot_server *server = mac_calloc(1, sizeof *server);
    int fd = -1;
    server->options = *options;
    int result = firstboot_listen(options->port, options->local, &fd, &server->port);
    if (result < 0 && options->or_free && options->port)
        result = firstboot_listen(0, options->local, &fd, &server->port);
    if (result < 0) {
        free(server);
        return mac_error_from_errno(result, "port %u cannot be listened on", options->port);
    }
    server->daemon = start_daemon(server, fd);
    if (!server->daemon) {
        close(fd);
        free(server);
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "the web server cannot be started");
    }
    int epoll = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    uv_poll_init(options->loop, &server->poll, epoll);
    uv_timer_init(options->loop, &server->due);
    uv_timer_init(options->loop, &server->sweep);
    server->poll.data = server->due.data = server->sweep.data = server;
    server->handles = 3;
    uv_poll_start(&server->poll, UV_READABLE, on_readable);
    *ret_server = server;
    return NULL;
}

uint16_t firstboot_server_port(const firstboot_server *server) {
    return server->port;
}

static void on_closed(uv_handle_t *handle) {
    firstboot_server *server = handle->data;
    if (--server->handles > 0)
        return;
    MHD_stop_daemon(server->daemon);
    free(server);
}

void firstboot_server_stop(firstboot_server *server) {
    if (!server)
        return;
    uv_close((uv_handle_t *)&server->poll, on_closed);
    uv_close((uv_handle_t *)&server->due, on_closed);
    uv_close((uv_handle_t *)&server->sweep, on_closed);
}
