/* The connection: made, confirmed, watched, lost, made again.
 *
 * A connection that ends is thrown away, calls that wait are told at once, and a new one is made, on which every source
 * is subscribed again. A server that was killed and started again is found by a retry with back-off and jitter.
 *
 * CONNECTED is said when the server has answered a PING that was sent after all subscriptions. A server that announces
 * its end (lame duck) is left when it ends: there is no other one on a node. */
#include "bus-internal.h"

#include <errno.h>
#include <string.h>

#include "crypto/mac-crypto.h"
#include "log/mac-log.h"

static void attempt_later(mac_bus *bus);
static void keepalive_later(mac_bus *bus);

void bus_set_state(mac_bus *bus, mac_bus_state state, const mac_error *error) {
    bus->state = state;
    bus_turn_again(bus); /* who waits for it with UV_RUN_ONCE would sleep in the turn of the timer that told it */
    if (bus->on_state)
        bus->on_state(bus, state, error, bus->data);
}

bool bus_link_is_open(const mac_bus *bus) {
    return bus->wire && bus->wire->phase == BUS_WIRE_OPEN;
}

/* ---- connecting ---- */

static void on_ready(const mac_answer *answer, void *data) {
    mac_bus *bus = data;
    bus->ready = NULL;
    if (answer->error) {
        if (bus_link_is_open(bus) && !bus->closing)
            bus_link_lose(
                bus, mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                                   "the server at %s accepted the connection but did not confirm the subscriptions: %s",
                                   bus->shown_url, answer->error->message));
        return;
    }
    bus->attempts = 0;
    keepalive_later(bus);
    bus_set_state(bus, MAC_BUS_CONNECTED, NULL);
}

static void on_timer(uv_timer_t *timer);

static void attempt(mac_bus *bus) {
    bus_connect_forget(bus);
    mac_error *error = bus_connect(bus);
    if (error)
        bus_link_lose(bus, error);
    else
        uv_timer_start(&bus->timer, on_timer, BUS_CONNECT_TIMEOUT_MS, 0);
}

/* The server has taken the key. */
static void opened(mac_bus *bus) {
    if (bus->closing)
        return;
    bus->wire->phase = BUS_WIRE_OPEN;
    bus->calls.pings = bus->calls.pongs = 0;
    uv_timer_stop(&bus->timer);
    bus_calls_connect(bus);
    bus_sources_connect(bus);
    bus->ready = bus_call_flush(bus, BUS_READY_TIMEOUT_MS, on_ready, bus);
}

/* ---- connected ---- */

static void on_alive(const mac_answer *answer, void *data) {
    mac_bus *bus = data;
    bus->ready = NULL;
    if (!answer->error)
        keepalive_later(bus);
    else if (answer->error->code == MACULA__V1__ERROR_CODE__TIMED_OUT)
        bus_link_lose(bus, mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                                         "the server at %s has not answered for %d s: the connection is given up",
                                         bus->shown_url, BUS_KEEPALIVE_ANSWER_MS / 1000));
}

static void on_timer(uv_timer_t *timer) {
    mac_bus *bus = timer->data;
    if (!bus->wire)
        attempt(bus);
    else if (!bus_link_is_open(bus))
        bus_link_lose(bus, mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                                         "the server at %s did not answer within %d s", bus->shown_url,
                                         BUS_CONNECT_TIMEOUT_MS / 1000));
    else if (!bus->ready)
        bus->ready = bus_call_flush(bus, BUS_KEEPALIVE_ANSWER_MS, on_alive, bus);
}

static void keepalive_later(mac_bus *bus) {
    uv_timer_start(&bus->timer, on_timer, BUS_KEEPALIVE_MS, 0);
}

/* ---- lost ---- */

static void attempt_later(mac_bus *bus) {
    uint64_t delay = BUS_RETRY_MIN_MS;
    for (unsigned i = 0; i < bus->attempts && delay < BUS_RETRY_MAX_MS; i++)
        delay *= 2;
    if (delay > BUS_RETRY_MAX_MS)
        delay = BUS_RETRY_MAX_MS;
    bus->attempts++;
    /* ± a quarter: the services of a node do not all come back in the same millisecond. */
    uint32_t random;
    mac_random(&random, sizeof random);
    uv_timer_start(&bus->timer, on_timer, delay * 3 / 4 + random % (delay / 2 + 1), 0);
}

void bus_link_drop(mac_bus *bus) {
    bus_wire_drop(bus);
    bus_connect_forget(bus);
    bus_sources_disconnect(bus);
    bus_calls_disconnect(bus);
}

void bus_link_lose(mac_bus *bus, mac_error *reason) {
    mac_autoptr(mac_error) error = reason;
    bus_link_drop(bus);
    bus->ready = NULL;
    mac_autoptr(mac_error) told =
        mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                      "%s (the request may or may not have been carried out)", error->message);
    bus_calls_end(bus, told);
    if (bus->closing)
        return;
    if (bus->once) {
        uv_timer_stop(&bus->timer);
        bus_set_state(bus, MAC_BUS_CLOSED, error);
        return;
    }
    attempt_later(bus);
    bus_set_state(bus, MAC_BUS_CONNECTING, error);
}

/* Why a connection has ended, in the words that fit its age. */
static void lose_because(mac_bus *bus, const char *why) {
    bool was_open = bus_link_is_open(bus);
    bus_link_lose(
        bus, mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                           was_open ? "the connection to the server at %s was lost: %s" : "cannot connect to %s: %s",
                           bus->shown_url, why));
}

void bus_link_ended(mac_bus *bus, int error) {
    if (bus->wire->phase == BUS_WIRE_GREETING && error) {
        bus_wire_drop(bus);
        mac_error *refused = bus_connect(bus); /* at its next address */
        if (refused)
            bus_link_lose(bus, refused);
        return;
    }
    lose_because(bus, error ? strerror(error) : "the server has ended it");
}

/* ---- what the server says ---- */

static void refused(mac_bus *bus) {
    bus_link_lose(bus, mac_error_new(MACULA__V1__ERROR_CODE__DENIED, NULL,
                                     bus->seed ? "the server at %s does not know this key: use a key of this node "
                                                 "(run as root, or give --key)"
                                               : "the server at %s asks for a key: run as root, or give --key",
                                     bus->shown_url));
}

/* What it says of one subject leaves the connection alone; of everything else it is the last word. */
static void on_error(mac_bus *bus, const char *text) {
    if (bus_violation_handle(bus, text))
        return;
    if (strcasestr(text, "invalid") && strcasestr(text, "subject")) {
        mac_log_warning("the server found a subject that is none", "text=" MAC_LOG_Q("%s"), text);
        return;
    }
    if (strcasestr(text, "authorization") && bus->state != MAC_BUS_CONNECTED)
        refused(bus);
    else if (strcasestr(text, "authorization"))
        bus_link_lose(bus, mac_error_new(MACULA__V1__ERROR_CODE__DENIED, NULL,
                                         "the connection to the server at %s was lost: %s", bus->shown_url, text));
    else
        lose_because(bus, text);
}

static void on_info(bus_wire *wire, const char *text) {
    mac_error *error = bus_connect_greet(wire, text);
    if (error)
        bus_link_lose(wire->bus, error);
}

void bus_link_handle(bus_wire *wire, bus_op op, const bus_item *item) {
    mac_bus *bus = wire->bus;
    if (wire->phase == BUS_WIRE_GREETING && op != BUS_OP_INFO && op != BUS_OP_ERROR && op != BUS_OP_BROKEN) {
        lose_because(bus, "it did not greet as a NATS server does");
        return;
    }
    switch (op) {
    case BUS_OP_MORE:
    case BUS_OP_SKIP:
        break;
    case BUS_OP_MESSAGE:
        bus_source_deliver(bus, item->sid, &item->message);
        break;
    case BUS_OP_PING:
        bus_wire_say(wire, "PONG");
        break;
    case BUS_OP_PONG:
        if (wire->phase == BUS_WIRE_KNOCKING)
            opened(bus);
        else
            bus_calls_pong(bus);
        break;
    case BUS_OP_INFO:
        on_info(wire, item->text);
        break;
    case BUS_OP_ERROR:
        on_error(bus, item->text);
        break;
    case BUS_OP_BROKEN:
        lose_because(bus, item->text);
        break;
    }
}

/* ---- the inbox ---- */

void bus_link_inbox_refused(mac_bus *bus, const char *message) {
    if (bus->state == MAC_BUS_CONNECTED || !bus_link_is_open(bus) || bus->closing)
        return;
    if (bus->calls.plain_inbox == bus->calls.plain_first) { /* the first kind that was tried */
        bus_call_discard(mac_take(&bus->ready));            /* the only one: callers wait for CONNECTED */
        bus_calls_disconnect(bus);
        bus->calls.plain_inbox = !bus->calls.plain_inbox;
        bus_calls_connect(bus);
        bus->ready = bus_call_flush(bus, BUS_READY_TIMEOUT_MS, on_ready, bus);
        return;
    }
    bus_link_lose(
        bus, mac_error_new(MACULA__V1__ERROR_CODE__DENIED, NULL,
                           "the server at %s lets this connection subscribe no inbox, so no answer would arrive: %s",
                           bus->shown_url, message));
}

void bus_link_start(mac_bus *bus) {
    uv_timer_start(&bus->timer, on_timer, 0, 0);
}
