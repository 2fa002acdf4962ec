#include "test-bus-script.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define CLIENTS_MAX 64

typedef struct client {
    uv_tcp_t tcp;
    struct test_scripted *server;
    const test_script *script;
    mac_buffer heard;
    size_t seen; /* of it, whole lines */
    unsigned pings;
    char sid[24];
    bool closed;
} client;

struct test_scripted {
    uv_tcp_t tcp;
    uv_loop_t *loop;
    test_script script;
    char url[64];
    client *clients[CLIENTS_MAX];
    unsigned count, alive;
};

static void give_up(const char *what) {
    fprintf(stderr, "scripted server: %s\n", what);
    abort();
}

/* ---- saying ---- */

typedef struct saying {
    uv_write_t write;
    char *bytes;
} saying;

static void on_said(uv_write_t *write, int status) {
    saying *said = write->data;
    (void)status; /* the client has hung up: the test sees that */
    free(said->bytes);
    free(said);
}

static void say_bytes(client *to, const char *bytes, size_t length) {
    saying *said = mac_malloc(sizeof *said);
    said->bytes = mac_memdup(bytes, length ? length : 1);
    said->write.data = said;
    uv_buf_t buffer = uv_buf_init(said->bytes, (unsigned)length);
    if (uv_write(&said->write, (uv_stream_t *)&to->tcp, &buffer, 1, on_said) < 0)
        on_said(&said->write, 0);
}

static void say(client *to, const char *bytes, size_t length) {
    size_t piece = to->script->slowly ? 1 : length;
    for (size_t i = 0; i < length; i += piece)
        say_bytes(to, bytes + i, piece);
}

static void say_text(client *to, const char *text, const char *otherwise) {
    const char *said = text ? text : otherwise;
    say(to, said, strlen(said));
}

static void on_client_closed(uv_handle_t *handle) {
    client *gone = handle->data;
    gone->server->alive--;
}

static void hang_up(client *from) {
    if (!from->closed)
        uv_close((uv_handle_t *)&from->tcp, on_client_closed);
    from->closed = true;
}

/* Its bytes go out first. */
static void on_shutdown(uv_shutdown_t *request, int status) {
    (void)status;
    hang_up(request->data);
    free(request);
}

static void say_then(client *to) {
    const test_script *script = to->script;
    if (script->then && script->then_length) {
        say(to, script->then, script->then_length);
    } else if (script->then) {
        mac_autobuffer text = {0};
        const char *rest = script->then, *mark;
        for (; (mark = strstr(rest, "%S")) != NULL; rest = mark + 2) {
            mac_buffer_append(&text, rest, (size_t)(mark - rest));
            mac_buffer_text(&text, to->sid);
        }
        mac_buffer_text(&text, rest);
        say(to, text.data, text.length);
    }
    if (!script->ends)
        return;
    uv_shutdown_t *request = mac_malloc(sizeof *request);
    request->data = to;
    if (uv_shutdown(request, (uv_stream_t *)&to->tcp, on_shutdown) < 0)
        free(request);
}

/* ---- hearing ---- */

static void on_line(client *from, const char *line) {
    if (sscanf(line, "SUB x %23s", from->sid) == 1 || strcmp(line, "PING") != 0)
        return;
    from->pings++;
    if (from->pings == 1)
        say_text(from, from->script->knocked, "PONG\r\n");
    else if (from->pings == 2)
        say_text(from, from->script->opened, "PONG\r\n");
    else if (!from->script->mute)
        say_text(from, "PONG\r\n", NULL);
    if (from->pings == 2)
        say_then(from);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buffer) {
    (void)handle;
    *ret_buffer = uv_buf_init(mac_malloc(wanted), (unsigned)wanted);
}

static void on_heard(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer) {
    client *from = stream->data;
    if (length > 0)
        mac_buffer_append(&from->heard, buffer->base, (size_t)length);
    free(buffer->base);
    if (length < 0) {
        hang_up(from);
        return;
    }
    char *end;
    while (!from->closed && from->heard.data && (end = strstr(from->heard.data + from->seen, "\r\n")) != NULL) {
        mac_autofree char *line =
            mac_strndup(from->heard.data + from->seen, (size_t)(end - from->heard.data) - from->seen);
        from->seen = (size_t)(end - from->heard.data) + 2;
        on_line(from, line);
    }
}

static void on_connection(uv_stream_t *stream, int status) {
    static const test_script good = {0};
    test_scripted *server = stream->data;
    if (status < 0 || server->count == CLIENTS_MAX)
        give_up("too many connections");
    client *added = mac_calloc(1, sizeof *added);
    added->server = server;
    added->script = server->count == 0 ? &server->script : &good;
    server->clients[server->count++] = added;
    server->alive++;
    uv_tcp_init(server->loop, &added->tcp);
    added->tcp.data = added;
    if (uv_accept(stream, (uv_stream_t *)&added->tcp) < 0)
        give_up("accept");
    uv_tcp_nodelay(&added->tcp, 1);
    uv_read_start((uv_stream_t *)&added->tcp, on_alloc, on_heard);
    say_text(added, added->script->greeting, TEST_GREETING);
}

/* ---- life ---- */

test_scripted *test_scripted_new(uv_loop_t *loop, const test_script *script) {
    test_scripted *server = mac_calloc(1, sizeof *server);
    server->loop = loop;
    server->script = *script;
    struct sockaddr_in address;
    int length = sizeof address;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(loop, &server->tcp);
    server->tcp.data = server;
    if (uv_tcp_bind(&server->tcp, (struct sockaddr *)&address, 0) < 0 ||
        uv_listen((uv_stream_t *)&server->tcp, 16, on_connection) < 0 ||
        uv_tcp_getsockname(&server->tcp, (struct sockaddr *)&address, &length) < 0)
        give_up("listen");
    snprintf(server->url, sizeof server->url, "nats://127.0.0.1:%u", ntohs(address.sin_port));
    return server;
}

const char *test_scripted_url(const test_scripted *server) {
    return server->url;
}

const char *test_scripted_heard(const test_scripted *server) {
    const client *last = server->count ? server->clients[server->count - 1] : NULL;
    return last && last->heard.data ? last->heard.data : "";
}

unsigned test_scripted_connections(const test_scripted *server) {
    return server->count;
}

static void on_closed(uv_handle_t *handle) {
    *(bool *)handle->data = true;
}

void test_scripted_free(test_scripted *server) {
    bool closed = false;
    server->tcp.data = &closed;
    uv_close((uv_handle_t *)&server->tcp, on_closed);
    for (unsigned i = 0; i < server->count; i++)
        hang_up(server->clients[i]);
    while (!closed || server->alive > 0)
        uv_run(server->loop, UV_RUN_ONCE);
    for (unsigned i = 0; i < server->count; i++) {
        mac_buffer_deinit(&server->clients[i]->heard);
        free(server->clients[i]);
    }
    free(server);
}
