/* The life of a service.
 *
 *   starting → serving → stopping → closing → over
 *
 * starting: until the bus is connected for the first time; then READY=1. serving: the bus may come and go. stopping:
 * stop() was called and has not said mac_service_stopped(). closing: the bus drains, and when it is closed the object
 * is freed and our handles are closed; the loop then runs dry. Handles that somebody forgot do not hold the end up for
 * ever: after CLOSE_LIMIT_MS the loop is left as it is, and a warning says so. */
#include "service/mac-service.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crypto/mac-crypto.h"
#include "log/mac-log.h"
#include "service/mac-frugal.h"
#include "service/mac-notify.h"
#include "service/mac-service-options.h"
#include "service/mac-user.h"

#define IDENTITY "/var/lib/maculaos/identity"
#define SERVER_URL "/run/macula/server.url"
#define URL_MAX 512
#define CLOSE_LIMIT_MS 3000

typedef enum phase {
    PHASE_STARTING,
    PHASE_SERVING,
    PHASE_STOPPING,
    PHASE_CLOSING,
} phase;

struct mac_service {
    const mac_service_definition *definition;
    mac_service_options options;
    phase phase;
    int exit_code;
    uint64_t watchdog_us; /* 0: none */
    uv_loop_t loop;
    uv_signal_t term, interrupt;
    uv_timer_t watchdog;
    uv_timer_t limit;  /* on closing */
    uv_timer_t ending; /* mac_service_quit, at the next turn */
    mac_root *root;
    char *seed;
    char *server;
    mac_bus *bus;
    bool bus_was_up;
    bool bus_is_up;
    bool bus_told; /* that it is lost: said once, not at each attempt */
    void *object;
};

uv_loop_t *mac_service_loop(mac_service *service) {
    return &service->loop;
}

mac_bus *mac_service_bus(mac_service *service) {
    return service->bus;
}

mac_root *mac_service_root(mac_service *service) {
    return service->root;
}

const char *mac_service_realm(const mac_service *service) {
    return service->options.realm;
}

/* The one place where the phase changes. */
static void set_phase(mac_service *service, phase next) {
    static const char *const names[] = {"starting", "serving", "stopping", "closing"};
    mac_log_debug("phase", "from=%s to=%s", names[service->phase], names[next]);
    service->phase = next;
}

static void notify_status(const char *prefix, const char *status) {
    mac_autofree char *text = mac_asprintf("%sSTATUS=%s", prefix, status);
    for (char *p = text + strlen(prefix); *p; p++)
        if (*p == '\n')
            *p = ' ';
    mac_notify(text);
}

void mac_service_status(const char *status) {
    notify_status("", status);
}

/* ---- the end ---- */

static void close_handle(uv_handle_t *handle) {
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void on_limit(uv_timer_t *timer) {
    mac_service *service = timer->data;
    mac_log_warning("handles are left open", "waited_ms=%d", CLOSE_LIMIT_MS);
    uv_stop(&service->loop);
}

static void on_bus_closed(void *data) {
    mac_service *service = data;
    service->bus = NULL;
    if (service->definition->free && service->object)
        service->definition->free(service->object);
    service->object = NULL;
    close_handle((uv_handle_t *)&service->term);
    close_handle((uv_handle_t *)&service->interrupt);
    close_handle((uv_handle_t *)&service->watchdog);
    close_handle((uv_handle_t *)&service->ending);
    uv_timer_start(&service->limit, on_limit, CLOSE_LIMIT_MS, 0);
    uv_unref((uv_handle_t *)&service->limit);
}

void mac_service_stopped(mac_service *service) {
    if (service->phase == PHASE_CLOSING)
        return;
    set_phase(service, PHASE_CLOSING);
    mac_bus_close(service->bus, on_bus_closed, service);
}

static void stop(mac_service *service) {
    if (service->phase >= PHASE_STOPPING)
        return;
    set_phase(service, PHASE_STOPPING);
    mac_notify("STOPPING=1\nSTATUS=ending");
    if (service->definition->stop && service->object)
        service->definition->stop(service, service->object);
    else
        mac_service_stopped(service);
}

static void on_signal(uv_signal_t *handle, int number) {
    mac_service *service = handle->data;
    if (service->phase >= PHASE_STOPPING) {
        mac_log_warning("ended at once by a second signal", "signal=%d", number);
        _exit(128 + number);
    }
    mac_log_info("asked to end", "signal=%d", number);
    stop(service);
}

static void on_ending(uv_timer_t *timer) {
    stop(timer->data);
}

/* Put off to the loop: who calls this may be a handler of the object that stop() ends, or start(). */
void mac_service_quit(mac_service *service, int exit_code) {
    if (service->phase >= PHASE_STOPPING)
        return;
    service->exit_code = exit_code;
    uv_timer_start(&service->ending, on_ending, 0, 0);
}

/* ---- the bus ---- */

static void tell_connected(mac_service *service, bool connected) {
    if (service->bus_is_up == connected || service->phase >= PHASE_STOPPING)
        return;
    service->bus_is_up = connected;
    if (service->definition->connected && service->object)
        service->definition->connected(service, service->object, connected);
}

static void bus_connected(mac_service *service) {
    bool first = !service->bus_was_up;
    service->bus_was_up = true;
    service->bus_told = false;
    if (service->phase >= PHASE_STOPPING)
        return;
    if (first)
        set_phase(service, PHASE_SERVING);
    mac_log_info(first ? "ready" : "the bus is back", "server=" MAC_LOG_Q("%s"), service->server);
    notify_status(first ? "READY=1\n" : "", "serving");
}

static void bus_waits(mac_service *service, const mac_error *error) {
    if (!error || service->bus_told || service->phase >= PHASE_STOPPING)
        return;
    service->bus_told = true;
    mac_log_warning("waiting for the bus", "server=" MAC_LOG_Q("%s") " reason=" MAC_LOG_Q("%s"), service->server,
                    error->message);
    mac_autofree char *status = mac_asprintf("waiting for the bus: %s", error->message);
    notify_status("", status);
}

static void on_bus_state(mac_bus *bus, mac_bus_state state, const mac_error *error, void *data) {
    (void)bus;
    mac_service *service = data;
    switch (state) {
    case MAC_BUS_CONNECTED:
        bus_connected(service);
        tell_connected(service, true);
        break;
    case MAC_BUS_CONNECTING:
        bus_waits(service, error);
        tell_connected(service, false);
        break;
    case MAC_BUS_CLOSED:
        break;
    }
}

/* The supervisor's file says where its server listens; a file that is missing or wrong is as good as none. */
static char *find_server(const mac_service *service) {
    if (service->options.server)
        return mac_strdup(service->options.server);
    mac_autofree char *text = NULL;
    size_t length;
    if (mac_fs_read(service->root, SERVER_URL, URL_MAX, &text, &length) < 0)
        return mac_strdup(MAC_SERVICE_SERVER);
    text[strcspn(text, " \t\r\n")] = '\0';
    return mac_strdup(*text ? text : MAC_SERVICE_SERVER);
}

static void make_bus(mac_service *service) {
    mac_autofree char *url = find_server(service);
    service->server = mac_bus_url_shown(url);
    service->bus = mac_bus_new(&(mac_bus_options){.loop = &service->loop,
                                                  .url = url,
                                                  .name = service->definition->name,
                                                  .realm = service->options.realm,
                                                  .seed = service->seed,
                                                  .on_state = on_bus_state,
                                                  .data = service});
}

/* ---- the beginning ---- */

static mac_error *load_identity(mac_service *service) {
    char public_key[MAC_NKEY_PUBLIC_SIZE];
    mac_autofree char *path = mac_asprintf(IDENTITY "/%s.nk", service->definition->name);
    int r = mac_fs_mkdirs(service->root, IDENTITY, 0700);
    if (r >= 0)
        r = mac_nkey_load(service->root, path, true, &service->seed, public_key);
    if (r >= 0)
        return NULL;
    mac_autofree char *shown = mac_root_path(service->root, path);
    if (r == -EINVAL || r == -EBADMSG || r == -EFBIG)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                             "%s: expected an nkey seed (SU…) of one line; restore the file from a backup, or remove "
                             "it to have a new one made and restart the node",
                             shown);
    return mac_error_from_errno(r, "%s: the key of the service cannot be read", shown);
}

static mac_error *open_root(mac_service *service) {
    int r = mac_root_open(service->options.root, true, &service->root);
    return r < 0 ? mac_error_from_errno(r, "%s: the root directory cannot be opened (--root, MACULA_ROOT)",
                                        service->options.root ? service->options.root : "/")
                 : NULL;
}

static void log_refusal(const mac_error *error) {
    mac_log_error("cannot run", "reason=" MAC_LOG_Q("%s") "%s%s", error->message, error->path ? " path=" : "",
                  error->path ? error->path : "");
    notify_status("", error->message);
}

/* Everything before the bus, in the order the header gives. */
static mac_error *prepare(mac_service *service) {
    mac_error *error = open_root(service);
    if (!error && !service->options.boot)
        error = load_identity(service);
    if (!error && service->options.user)
        error = mac_user_become(service->options.user);
    return error;
}

static void ping_watchdog(uv_timer_t *timer) {
    (void)timer;
    mac_notify("WATCHDOG=1");
}

/* sd_watchdog_enabled(3): WATCHDOG_PID, if set, says whom it is meant for. */
static uint64_t watchdog_interval(void) {
    const char *text = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!text || (pid && strtoll(pid, NULL, 10) != getpid()))
        return 0;
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    return errno || *end || text[0] == '-' ? 0 : value;
}

static void start_handles(mac_service *service) {
    uv_loop_t *loop = &service->loop;
    uv_signal_init(loop, &service->term);
    uv_signal_init(loop, &service->interrupt);
    uv_timer_init(loop, &service->watchdog);
    uv_timer_init(loop, &service->limit);
    uv_timer_init(loop, &service->ending);
    service->term.data = service->interrupt.data = service->ending.data = service->limit.data = service;
    uv_signal_start(&service->term, on_signal, SIGTERM);
    uv_signal_start(&service->interrupt, on_signal, SIGINT);
    uint64_t half_ms = service->watchdog_us / 2000;
    if (service->watchdog_us) {
        uv_timer_start(&service->watchdog, ping_watchdog, 0, half_ms ? half_ms : 1);
        uv_unref((uv_handle_t *)&service->watchdog);
    }
}

static void run_with_bus(mac_service *service) {
    start_handles(service);
    make_bus(service);
    notify_status("", "starting");
    mac_error *error = service->definition->start(service, &service->object);
    if (error) {
        log_refusal(error);
        mac_error_free(error);
        service->exit_code = 1;
        mac_service_stopped(service);
    } else {
        mac_bus_start(service->bus);
    }
    uv_run(&service->loop, UV_RUN_DEFAULT);
    close_handle((uv_handle_t *)&service->limit);
    uv_run(&service->loop, UV_RUN_NOWAIT);
}

static void service_deinit(mac_service *service) {
    if (uv_loop_close(&service->loop) < 0)
        mac_log_debug("the loop still has handles", NULL);
    mac_nkey_seed_free(service->seed);
    free(service->server);
    mac_root_close(service->root);
    mac_notify_end();
}

int mac_service_main(int argc, char **argv, const mac_service_definition *definition) {
    mac_service service = {.definition = definition};
    switch (mac_service_parse(argc, argv, definition, &service.options)) {
    case MAC_SERVICE_SAID:
        return 0;
    case MAC_SERVICE_WRONG:
        return 2;
    case MAC_SERVICE_RUN:
        break;
    }
    mac_log_init(definition->name);
    mac_log_level level;
    if (service.options.log_level && mac_log_level_parse(service.options.log_level, &level) == 0)
        mac_log_set_level(level);
    mac_frugal();
    signal(SIGPIPE, SIG_IGN);
    service.watchdog_us = watchdog_interval();
    mac_notify_adopt();
    uv_loop_init(&service.loop);

    mac_autoptr(mac_error) error = prepare(&service);
    if (error) {
        log_refusal(error);
        service.exit_code = 1;
    } else if (service.options.boot) {
        service.exit_code = definition->boot(&service);
    } else {
        run_with_bus(&service);
    }
    service_deinit(&service);
    return service.exit_code;
}
