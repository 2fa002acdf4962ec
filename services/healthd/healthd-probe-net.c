/* tcp and http: on the loop, without threads for what is an address already. Each address of a name is tried in turn,
 * within the one time-out of the look. */
#include <stdio.h>
#include <string.h>

#include "healthd-http.h"
#include "healthd-probe.h"

#define ADDRESSES_MAX 6
#define CHUNK 2048

typedef struct net {
    healthd_probe *probe;
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    uv_getaddrinfo_t resolve;
    struct sockaddr_storage addresses[ADDRESSES_MAX];
    size_t count, next;
    bool open, resolving;
    int refusal;   /* of the address tried last */
    char *request; /* NULL: tcp; belongs to the write until the handle is closed */
    healthd_http http;
    char chunk[CHUNK];
} net;

static void connect_next(net *n);

/* ---- closing: an attempt, or all of it ---- */

static void on_closed(uv_handle_t *handle) {
    net *n = handle->data;
    n->open = false;
    if (!n->probe->said && n->next < n->count) {
        connect_next(n);
        return;
    }
    if (!n->probe->said)
        healthd_probe_say(n->probe, false, "no connection: %s", uv_strerror(n->refusal));
    free(mac_take(&n->request));
    healthd_probe_release(n->probe);
}

static void close_attempt(net *n) {
    if (n->open && !uv_is_closing((uv_handle_t *)&n->tcp))
        uv_close((uv_handle_t *)&n->tcp, on_closed);
}

static void stop(healthd_probe *probe) {
    net *n = probe->work;
    if (n->resolving)
        uv_cancel((uv_req_t *)&n->resolve); /* one that runs cannot be; it comes back by itself */
    close_attempt(n);
}

/* ---- http ---- */

static void on_allocate(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buffer) {
    (void)wanted;
    net *n = handle->data;
    *ret_buffer = uv_buf_init(n->chunk, sizeof n->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer) {
    net *n = stream->data;
    if (n->probe->said)
        return;
    if (length < 0) {
        healthd_probe_say(n->probe, false, "the connection ended before an answer (%s)",
                          length == UV_EOF ? "closed" : uv_strerror((int)length));
        return;
    }
    switch (healthd_http_feed(&n->http, buffer->base, (size_t)length)) {
    case HEALTHD_HTTP_MORE:
        break;
    case HEALTHD_HTTP_DONE:
        healthd_probe_say(n->probe, n->http.status < 400, "answered with status %u", n->http.status);
        break;
    case HEALTHD_HTTP_WRONG:
        healthd_probe_say(n->probe, false, "%s", n->http.wrong);
        break;
    }
}

static void on_written(uv_write_t *write, int status) {
    net *n = write->data;
    if (status < 0 && status != UV_ECANCELED)
        healthd_probe_say(n->probe, false, "the question was not taken (%s)", uv_strerror(status));
}

static void ask(net *n) {
    uv_buf_t buffer = uv_buf_init(n->request, (unsigned)strlen(n->request));
    n->write.data = n;
    int result = uv_read_start((uv_stream_t *)&n->tcp, on_allocate, on_read);
    if (result == 0)
        result = uv_write(&n->write, (uv_stream_t *)&n->tcp, &buffer, 1, on_written);
    if (result < 0)
        healthd_probe_say(n->probe, false, "the question was not sent (%s)", uv_strerror(result));
}

/* ---- connecting ---- */

static void on_connected(uv_connect_t *connect, int status) {
    net *n = connect->data;
    if (n->probe->said)
        return;
    if (status < 0) {
        n->refusal = status;
        close_attempt(n); /* then the next address */
    } else if (n->request) {
        n->next = n->count; /* who was reached is who answers */
        ask(n);
    } else {
        healthd_probe_say(n->probe, true, "accepts connections");
    }
}

static void connect_next(net *n) {
    const struct sockaddr *address = (const struct sockaddr *)&n->addresses[n->next++];
    n->http = (healthd_http){0};
    int result = uv_tcp_init(n->probe->prober->loop, &n->tcp);
    n->tcp.data = n->connect.data = n;
    n->open = true;
    if (result == 0)
        result = uv_tcp_connect(&n->connect, &n->tcp, address, on_connected);
    if (result < 0) {
        n->refusal = result;
        close_attempt(n);
    }
}

/* ---- names ---- */

static void add_address(net *n, const struct sockaddr *address) {
    size_t length = address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (n->count < ADDRESSES_MAX)
        memcpy(&n->addresses[n->count++], address, length);
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *list) {
    net *n = resolve->data;
    n->resolving = false;
    for (const struct addrinfo *item = list; item; item = item->ai_next)
        if (item->ai_family == AF_INET || item->ai_family == AF_INET6)
            add_address(n, item->ai_addr);
    uv_freeaddrinfo(list);
    if (!n->probe->said && n->count) {
        connect_next(n);
        return;
    }
    healthd_probe_say(n->probe, false, "the name of the host is not known: %s",
                      uv_strerror(status < 0 ? status : UV_EAI_NODATA));
    free(mac_take(&n->request));
    healthd_probe_release(n->probe);
}

/* Addresses are taken as they are; "localhost" is what it always is; other names are asked for. */
static int find(net *n, const char *host, const char *port) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    int number = (int)strtol(port, NULL, 10);
    bool local = strcmp(host, "localhost") == 0;
    if (uv_ip4_addr(local ? "127.0.0.1" : host, number, &v4) == 0)
        add_address(n, (const struct sockaddr *)&v4);
    if (uv_ip6_addr(local ? "::1" : host, number, &v6) == 0)
        add_address(n, (const struct sockaddr *)&v6);
    if (n->count)
        return 0;
    n->resolve.data = n;
    n->resolving = true;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    return uv_getaddrinfo(n->probe->prober->loop, &n->resolve, on_resolved, host, port, &hints);
}

/* Takes the request. */
static void begin(healthd_probe *probe, const char *host, const char *port, char *request) {
    net *n = mac_calloc(1, sizeof *n);
    n->probe = probe;
    n->request = request;
    probe->work = n;
    probe->stop = stop;
    probe->parts++;
    int result = find(n, host, port);
    if (result == 0 && n->count) {
        connect_next(n);
    } else if (result < 0) {
        n->resolving = false;
        healthd_probe_say(probe, false, "the name of the host cannot be looked up: %s", uv_strerror(result));
        free(mac_take(&n->request));
        healthd_probe_release(probe);
    }
}

void healthd_probe_tcp(healthd_probe *probe) {
    const char *address = probe->check->target;
    const char *colon = strrchr(address, ':');
    if (!colon) {
        healthd_probe_say(probe, false, "the address has no port");
        return;
    }
    bool bracket = address[0] == '[' && colon > address + 1 && colon[-1] == ']';
    mac_autofree char *host = mac_strndup(address + bracket, (size_t)(colon - address) - (bracket ? 2 : 0));
    begin(probe, host, colon + 1, NULL);
}

void healthd_probe_http(healthd_probe *probe) {
    mac_autofree char *host = NULL, *port = NULL, *path = NULL;
    const char *wrong = healthd_http_url(probe->check->target, &host, &port, &path);
    if (wrong) {
        healthd_probe_say(probe, false, "%s", wrong);
        return;
    }
    bool six = strchr(host, ':') != NULL;
    begin(probe, host, port,
          mac_asprintf("GET %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUser-Agent: MaculaOS-health\r\nAccept: */*\r\n"
                       "Connection: close\r\n\r\n",
                       path, six ? "[" : "", host, six ? "]" : "", port));
}
