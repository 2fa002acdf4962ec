/* The bus itself: its handles on the loop, its turn of the loop, its end. */
#include "bus-internal.h"

#include <string.h>

#include "crypto/mac-crypto.h"

/* ---- one turn of the loop ----
 * prepare: what callbacks of this turn have published goes out before the loop sleeps. poll: what has come is handed
 * over, and the answers go out at once. check: what more has come than was to be handed over, then the lanes. */

static void on_idle(uv_idle_t *idle) {
    (void)idle; /* its being active makes the loop poll without waiting */
}

void bus_turn_again(mac_bus *bus) {
    if (!uv_is_closing((uv_handle_t *)&bus->idle))
        uv_idle_start(&bus->idle, on_idle);
}

static void on_prepare(uv_prepare_t *prepare) {
    bus_wire_flush(prepare->data);
}

static void on_check(uv_check_t *check) {
    mac_bus *bus = check->data;
    uv_idle_stop(&bus->idle);
    if (bus->wire && (bus->waiting > 0 || bus_lanes_wait(bus))) {
        bool more = bus_sources_drain(bus);
        more = bus_lanes_serve(bus) || more;
        if (more)
            bus_turn_again(bus);
        bus_wire_flush(bus);
    }
    bus->turn++;
}

/* ---- making ---- */

/* The name is a token of subjects: what cannot be in one becomes "_". */
static char *name_token(const char *name) {
    char *token = mac_asprintf("%.*s", BUS_NAME_MAX, name && *name ? name : "client");
    for (char *c = token; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f || strchr(".*>", *c))
            *c = '_';
    return token;
}

static void init_handles(mac_bus *bus) {
    uv_prepare_init(bus->loop, &bus->prepare);
    uv_check_init(bus->loop, &bus->check);
    uv_idle_init(bus->loop, &bus->idle);
    uv_timer_init(bus->loop, &bus->timer);
    uv_timer_init(bus->loop, &bus->lane_timer);
    bus->prepare.data = bus->check.data = bus->idle.data = bus->timer.data = bus;
    bus->lane_timer.data = bus;
    uv_prepare_start(&bus->prepare, on_prepare);
    uv_check_start(&bus->check, on_check);
    /* What keeps the loop running is the socket, the next attempt and calls that wait. */
    uv_unref((uv_handle_t *)&bus->prepare);
    uv_unref((uv_handle_t *)&bus->check);
}

mac_bus *mac_bus_new(const mac_bus_options *options) {
    mac_bus *bus = mac_calloc(1, sizeof *bus);
    *bus = (mac_bus){.loop = options->loop,
                     .url = mac_strdup(options->url),
                     .shown_url = mac_bus_url_shown(options->url),
                     .name = name_token(options->name),
                     .realm = mac_strdup(options->realm),
                     .seed = mac_strdup(options->seed),
                     .once = options->once,
                     .on_state = options->on_state,
                     .data = options->data,
                     .state = MAC_BUS_CONNECTING,
                     .started_ms = mac_unix_ms()};
    bus_random_name(bus->nonce);
    bus->calls.plain_first = !options->seed || options->workload;
    init_handles(bus);
    bus_calls_init(bus);
    return bus;
}

void mac_bus_start(mac_bus *bus) {
    if (!bus->started && !bus->closing)
        bus_link_start(bus);
    bus->started = true;
}

mac_bus_state mac_bus_current_state(const mac_bus *bus) {
    return bus->state;
}

const char *mac_bus_realm(const mac_bus *bus) {
    return bus->realm;
}

const char *mac_bus_name(const mac_bus *bus) {
    return bus->name;
}

uv_loop_t *mac_bus_loop(mac_bus *bus) {
    return bus->loop;
}

void mac_bus_on_violation(mac_bus *bus,
                          void (*callback)(mac_bus *bus, const char *subject, const char *message, void *data),
                          void *data) {
    bus->on_violation = callback;
    bus->violation_data = data;
}

/* ---- the end ----
 * 1. calls end with CANCELLED, requests that wait for a handler are answered; 2. a flush: when it comes back, the
 * server has everything; 3. the connection is closed; 4. when every handle is closed, the socket's included, the
 * memory goes. */

static void bus_free(mac_bus *bus) {
    bus_lanes_deinit(bus);
    bus_services_deinit(bus);
    bus_absents_deinit(bus);
    bus_micro_deinit(bus);
    bus_subscriptions_deinit(bus);
    bus_calls_deinit(bus);
    bus_sources_deinit(bus);
    bus_requests_deinit(bus);
    mac_buffer_deinit(&bus->scratch);
    mac_buffer_deinit(&bus->subject);
    if (bus->seed)
        mac_wipe(bus->seed, strlen(bus->seed));
    free(bus->seed);
    free(bus->url);
    free(bus->shown_url);
    free(bus->name);
    free(bus->realm);
    free(bus);
}

void bus_free_if_done(mac_bus *bus) {
    if (!bus->closed_link || bus->handles > 0 || bus->wires > 0)
        return;
    void (*on_closed)(void *data) = bus->on_closed;
    void *data = bus->closed_data;
    if (bus->on_state && !bus->told_closed)
        bus->on_state(bus, MAC_BUS_CLOSED, NULL, bus->data);
    bus_free(bus);
    if (on_closed)
        on_closed(data);
}

static void on_handle_closed(uv_handle_t *handle) {
    mac_bus *bus = handle->data;
    bus->handles--;
    bus_free_if_done(bus);
}

static void close_handles(mac_bus *bus) {
    uv_handle_t *handles[] = {(uv_handle_t *)&bus->prepare,    (uv_handle_t *)&bus->check,
                              (uv_handle_t *)&bus->idle,       (uv_handle_t *)&bus->timer,
                              (uv_handle_t *)&bus->lane_timer, (uv_handle_t *)&bus->calls.timer};
    bus->handles = MAC_ARRAY_SIZE(handles);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(handles); i++)
        uv_close(handles[i], on_handle_closed);
}

static void close_link(mac_bus *bus) {
    bus_link_drop(bus);
    mac_autoptr(mac_error) error = mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "the bus is closed");
    bus_calls_end(bus, error); /* started by callbacks of the others */
    bus->closed_link = true;
    close_handles(bus);
}

static void on_flushed(const mac_answer *answer, void *data) {
    (void)answer; /* it has come, or there is nothing that could still be done */
    mac_bus *bus = data;
    bus->ready = NULL;
    if (!bus->closed_link)
        close_link(bus);
}

void bus_watch(mac_bus *bus, bus_watcher *watcher) {
    if (bus->closing) {
        watcher->on_close(watcher->data);
        return;
    }
    watcher->next = bus->watchers;
    bus->watchers = watcher;
}

void bus_unwatch(mac_bus *bus, bus_watcher *watcher) {
    bus_watcher **link = &bus->watchers;
    while (*link && *link != watcher)
        link = &(*link)->next;
    if (*link)
        *link = watcher->next;
}

void mac_bus_close(mac_bus *bus, void (*on_closed)(void *data), void *data) {
    if (!bus || bus->closing)
        return;
    bus->closing = true;
    bus->on_closed = on_closed;
    bus->closed_data = data;
    bus->told_closed = bus->state == MAC_BUS_CLOSED; /* given up before */
    bus->state = MAC_BUS_CLOSED;
    bus->ready = NULL;
    uv_timer_stop(&bus->timer);
    mac_autoptr(mac_error) error = mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "the bus is closing");
    bus_calls_end(bus, error);
    bus_requests_abandon(bus);
    while (bus->watchers) {
        bus_watcher *watcher = bus->watchers;
        bus->watchers = watcher->next;
        watcher->on_close(watcher->data);
    }
    bus->ready = bus_call_flush(bus, BUS_CLOSE_TIMEOUT_MS, on_flushed, bus);
}
