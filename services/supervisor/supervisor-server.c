#include "supervisor-server.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "codec/mac-schema.h"
#include "log/mac-log.h"
#include "supervisor-port.h"

#define RELOAD_TIMEOUT_MS 5000
#define PORTS_FILE_MAX (64u << 10)

/* ---- port ---- */

static char *join(const char *host, uint16_t port) {
    return mac_asprintf(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

char *supervisor_server_listen(const supervisor_server *server, const Macula__V1__Document *document) {
    mac_autofree char *host = NULL;
    const char *configured = mac_nats_listen(document);
    uint16_t port;
    if (mac_nats_listen_split(configured, &host, &port) < 0)
        return mac_strdup(configured); /* the renderer says what is wrong with it */
    if (server->host->options.port)
        port = server->host->options.port;
    else if (server->free_port && strcmp(configured, mac_nats_listen(NULL)) == 0)
        port = server->free_port;
    return join(host, port);
}

mac_error *supervisor_server_choose(supervisor_server *server, const Macula__V1__Document *document) {
    server->free_port = 0;
    mac_autofree char *listen = supervisor_server_listen(server, document), *host = NULL;
    uint16_t port, bound;
    if (mac_nats_listen_split(listen, &host, &port) < 0)
        return NULL;
    int result = supervisor_port_try(host, port, &bound);
    if (result == 0)
        return NULL;
    bool asked = server->host->options.port || strcmp(mac_nats_listen(document), mac_nats_listen(NULL)) != 0;
    if (asked || supervisor_port_try(host, 0, &bound) < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                             "the bus cannot listen on %s (port taken?): %s; stop the program that does, or give "
                             "another port with --port",
                             listen, strerror(-result));
    server->free_port = bound;
    mac_log_warning("default port of the bus is taken, using another", "taken=%s port=%u", listen, bound);
    return NULL;
}

/* ---- file ---- */

static void set_address(supervisor_server *server, const char *listen) {
    mac_autofree char *host = NULL;
    uint16_t port;
    if (mac_nats_listen_split(listen, &host, &port) < 0)
        return;
    const char *reachable = strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : strcmp(host, "::") == 0 ? "::1" : host;
    mac_autofree char *address = join(reachable, port);
    free(server->listen);
    free(server->url);
    server->listen = mac_strdup(listen);
    server->url = mac_asprintf("nats://%s", address);
}

int supervisor_server_write(supervisor_server *server, const char *text, const char *listen) {
    /* Rendered anew at each start of the node: not worth waiting for the disk. */
    int result =
        mac_fs_write(server->host->root, SUPERVISOR_NATS_CONF, text, strlen(text), MAC_FS_PRIVATE_AS(MAC_FS_RELAXED));
    if (result == 0)
        set_address(server, listen);
    return result;
}

/* ---- memory ---- */

/* Half of the machine: the rest is for its services and workloads. Counted is what may be written to, stacks of its
 * threads included: some 120 MiB when it has nothing to do, 220 with 1,000 clients, 860 while 100 of those are 30 MB
 * behind. One that wants 2 GiB and more is being filled by somebody. */
#define MEMORY_IDLE (128ull << 20)
#define MEMORY_MIN (384ull << 20)
#define MEMORY_MAX (2048ull << 20)

uint64_t supervisor_server_memory(uint64_t machine, uint64_t streams) {
    uint64_t half = machine / 2;
    return (half < MEMORY_MIN ? MEMORY_MIN : half > MEMORY_MAX ? MEMORY_MAX : half) + streams;
}

void supervisor_server_limit(supervisor_server *server, const Macula__V1__Document *document) {
    static const Macula__V1__NatsSection__Jetstream defaults = MACULA__V1__NATS_SECTION__JETSTREAM__INIT;
    const Macula__V1__MaculaosSection *section = document ? document->maculaos : NULL;
    const Macula__V1__NatsSection__Jetstream *streams = section && section->nats ? section->nats->jetstream : NULL;
    uint64_t kept = 0;
    if (streams && streams->enabled && mac_value_size(streams->max_memory, &kept) < 0)
        (void)!mac_value_size(defaults.max_memory, &kept);
    server->task.data_max = supervisor_server_memory(uv_get_total_memory(), kept);
}

/* ---- readiness ---- */

static void look_at_ports(supervisor_server *server) {
    pid_t pid = server->task.unit.pid;
    if (server->task.unit.state != SUPERVISOR_STARTING || pid == 0)
        return;
    const char *base = strrchr(server->program, '/');
    mac_autofree char *path =
        mac_asprintf(SUPERVISOR_RUNTIME "/%s_%d.ports", base ? base + 1 : server->program, (int)pid);
    mac_autofree char *text = NULL;
    size_t length;
    if (mac_fs_read(server->host->root, path, PORTS_FILE_MAX, &text, &length) < 0)
        return;
    json_t *ports = json_loadb(text, length, 0, NULL); /* half of it: the next event brings the rest */
    bool listens = json_array_size(json_object_get(ports, "nats")) > 0;
    json_decref(ports);
    if (listens)
        supervisor_unit_said_ready(&server->task.unit);
}

static void on_runtime_event(uv_fs_event_t *watch, const char *name, int events, int status) {
    (void)events;
    (void)status;
    if (!name || mac_ends_with(name, ".ports"))
        look_at_ports(watch->data);
}

/* ---- process ---- */

static void answer_reload(supervisor_server *server, const char *refusal) {
    if (!server->reloading)
        return;
    server->reloading = false;
    uv_timer_stop(&server->reload_timer);
    server->hooks.reloaded(server, refusal, server->hooks.data);
}

static bool on_line(supervisor_task *task, const char *line, size_t length, void *data) {
    (void)task;
    supervisor_server *server = data;
    mac_autobuffer text = {0};
    mac_buffer_append(&text, line, length);
    free(server->last_line);
    server->last_line = mac_buffer_take(&text);
    if (strstr(server->last_line, "[INF] Reloaded server configuration"))
        answer_reload(server, NULL);
    const char *failed = strstr(server->last_line, "[ERR] Failed to reload");
    if (failed)
        answer_reload(server, failed + strlen("[ERR] "));
    /* Said of the user for those without credentials, who has no password. */
    return strstr(server->last_line, "[WRN] Plaintext passwords detected") == NULL;
}

static void on_changed(supervisor_task *task, supervisor_state from, void *data) {
    supervisor_server *server = data;
    if (task->unit.pid == 0)
        answer_reload(server, "the server ended while it was to reload its configuration");
    server->hooks.changed(server, from, server->hooks.data);
}

static int prepare(supervisor_task *task, char **ret_program, mac_strings *arguments, mac_strings *environment,
                   char **ret_message, void *data) {
    (void)ret_message;
    supervisor_server *server = data;
    mac_autofree char *conf = mac_root_path(server->host->root, SUPERVISOR_NATS_CONF);
    *ret_program = mac_strdup(server->program);
    mac_strings_add(arguments, server->program);
    mac_strings_add(arguments, "-c");
    mac_strings_add(arguments, conf);
    /* Go then collects its garbage in time: the limit is met by what is in use. */
    if (task->data_max)
        mac_strings_addf(environment, "GOMEMLIMIT=%llu", (unsigned long long)((task->data_max - MEMORY_IDLE) / 8 * 7));
    return 0;
}

static void on_reload_timeout(uv_timer_t *timer) {
    answer_reload(timer->data, "the server did not answer SIGHUP within 5 s");
}

void supervisor_server_reload(supervisor_server *server) {
    server->reloading = true;
    uv_timer_start(&server->reload_timer, on_reload_timeout, RELOAD_TIMEOUT_MS, 0);
    supervisor_process_kill(server->task.process, SIGHUP);
}

int supervisor_server_init(supervisor_server *server, supervisor_host *host, char *program,
                           const supervisor_server_hooks *hooks) {
    Macula__V1__Unit *file = mac_calloc(1, sizeof *file);
    supervisor_task_hooks task = {prepare, on_changed, on_line, server};
    supervisor_policy policy = host->options.policy;
    policy.quick_deaths = 0; /* without it there is no node: never given up */
    policy.backoff_max_ms = 5000;
    macula__v1__unit__init(file);
    file->files_max = 0;
    *server = (supervisor_server){.host = host, .program = program, .hooks = *hooks};
    supervisor_task_init(&server->task, host, SUPERVISOR_SERVER_NAME, file, policy, &task);
    supervisor_server_limit(server, NULL);
    server->task.death_signal = SIGTERM; /* it has streams to close */
    uv_timer_init(host->loop, &server->reload_timer);
    server->reload_timer.data = server;
    uv_fs_event_init(host->loop, &server->watch);
    server->watch.data = server;
    int result = uv_fs_event_start(&server->watch, on_runtime_event, host->runtime, 0);
    uv_unref((uv_handle_t *)&server->watch);
    return result;
}

/* ---- end ---- */

typedef struct closing {
    supervisor_server *server;
    unsigned left;
    void (*on_closed)(void *data);
    void *data;
} closing;

static void on_handle_closed(uv_handle_t *handle) {
    supervisor_server *server = handle->data;
    closing *state = server->hooks.data;
    if (--state->left > 0)
        return;
    supervisor_task_free(&server->task);
    free(server->program);
    free(server->listen);
    free(server->url);
    free(server->last_line);
    void (*on_closed)(void *data) = state->on_closed;
    void *data = state->data;
    free(state);
    on_closed(data);
}

static void on_task_closed(uv_handle_t *handle) {
    supervisor_task *task = handle->data;
    handle->data = mac_container_of(task, supervisor_server, task);
    on_handle_closed(handle);
}

void supervisor_server_close(supervisor_server *server, void (*on_closed)(void *data), void *data) {
    closing *state = mac_malloc(sizeof *state);
    *state = (closing){server, 3, on_closed, data};
    server->hooks.data = state; /* no hook is called any more */
    uv_close((uv_handle_t *)&server->watch, on_handle_closed);
    uv_close((uv_handle_t *)&server->reload_timer, on_handle_closed);
    supervisor_task_close(&server->task, on_task_closed);
}
