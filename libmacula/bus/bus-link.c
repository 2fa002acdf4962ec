/* The connection: made, confirmed, watched, lost, made again.
 *
 * cnats reconnects on a thread of its own, which would call the event-loop functions there. So its reconnecting and its
 * pings are off: a connection that ends is thrown away, and this file makes a new one and subscribes every source
 * again. That way calls that wait are told at once, and a server that was killed and started again is found by a retry
 * with back-off and jitter.
 *
 * natsConnection_Connect blocks: name look-up, TCP and the first exchange with the server happen on the loop's thread,
 * for at most BUS_CONNECT_TIMEOUT_MS. On a node the server is on the loopback, where this takes well under a
 * millisecond or is refused at once.
 *
 * CONNECTED is said when a message that was published after all subscriptions has come back through our own inbox. */
#include "bus-internal.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "crypto/mac-crypto.h"
#include "log/mac-log.h"

int RAND_bytes(unsigned char *data, int length);

static void attempt_later(mac_bus *bus);
static void keepalive_later(mac_bus *bus);

void bus_set_state(mac_bus *bus, mac_bus_state state, const mac_error *error) {
    bus->state = state;
    bus_turn_again(bus); /* who waits for it with UV_RUN_ONCE would sleep in the turn of the timer that told it */
    if (bus->on_state)
        bus->on_state(bus, state, error, bus->data);
}

/* ---- connecting ---- */

static natsStatus on_sign(char **error_text, unsigned char **ret_signature, int *ret_length, const char *nonce,
                          void *data) {
    mac_bus *bus = data;
    *ret_signature = malloc(64); /* freed by cnats */
    if (!*ret_signature)
        return NATS_NO_MEMORY;
    if (!nonce || !*nonce) { /* a server that knows no nkeys: it looks at no signature, but cnats wants to send one */
        memset(*ret_signature, 'x', 64);
        *ret_length = 64;
        return NATS_OK;
    }
    if (mac_nkey_sign(bus->seed, nonce, strlen(nonce), *ret_signature) < 0) {
        free(*ret_signature);
        *ret_signature = NULL;
        *error_text = strdup("the nkey seed is not valid");
        return NATS_ERR;
    }
    /* cnats takes a signature that starts with a zero byte, one in 256, for none and sends none: the server would
     * refuse a good key. Its next nonce gives another signature (of the same one, as of none, it would be the same for
     * ever). */
    bus->unlucky = (*ret_signature)[0] == 0;
    if (bus->unlucky) {
        free(*ret_signature);
        *ret_signature = NULL;
        return NATS_ERR;
    }
    *ret_length = 64;
    return NATS_OK;
}

static natsStatus set_key(mac_bus *bus, natsOptions *options) {
    if (!bus->seed)
        return NATS_OK;
    char public_key[MAC_NKEY_PUBLIC_SIZE];
    if (mac_nkey_public(bus->seed, public_key) < 0)
        return NATS_INVALID_ARG;
    return natsOptions_SetNKey(options, public_key, on_sign, bus);
}

static natsStatus set_options(mac_bus *bus, natsOptions *options) {
    natsStatus status = natsOptions_SetURL(options, bus->url);
    if (status == NATS_OK)
        status = natsOptions_SetName(options, bus->name);
    if (status == NATS_OK)
        status = natsOptions_SetTimeout(options, BUS_CONNECT_TIMEOUT_MS);
    if (status == NATS_OK)
        status = natsOptions_SetAllowReconnect(options, false);
    if (status == NATS_OK)
        status = natsOptions_SetPingInterval(options, 0); /* the timer of cnats is a thread; see on_timer */
    if (status == NATS_OK)
        status = natsOptions_SetSendAsap(options, true);
    if (status == NATS_OK)
        status = natsOptions_SetIgnoreDiscoveredServers(options, true);
    if (status == NATS_OK)
        status = natsOptions_SetErrorHandler(options, bus_violation_handler, (void *)bus->violation_number);
    if (status == NATS_OK)
        status = bus_wire_options(bus, options);
    if (status == NATS_OK)
        status = set_key(bus, options);
    return status;
}

/* RAND_bytes(3ssl): 1, or 0 when there is no randomness.
 *
 * cnats takes the seed of its message ids from it, nothing else of OpenSSL on a connection without TLS, as ours are.
 * That one call makes OpenSSL initialise itself: configuration file, providers, tables of error texts, generators; in
 * every process on the bus. It is answered here instead, by the same source OpenSSL would ask (getrandom(2)). The
 * dynamic linker finds this definition first because the program comes before its libraries. OpenSSL itself is bound to
 * its own (-Bsymbolic). */
__attribute__((visibility("default"), used)) int RAND_bytes(unsigned char *data, int length) {
    for (int done = 0; done < length;) {
        ssize_t n = getrandom(data + done, (size_t)(length - done), 0);
        if (n < 0 && errno != EINTR)
            return 0;
        done += n > 0 ? (int)n : 0;
    }
    return 1;
}

/* Starts cnats' own threads, once. Its collector frees every message that is destroyed, and is woken for each: as a
 * batch thread (sched(7)) it does not interrupt the loop for that, but runs when the loop sleeps. Threads inherit the
 * policy of the one that starts them. They take no signals: a process-wide one goes to the loop's thread, which knows
 * what to do with it. They end when the program does, so that leak checkers see a clean process. */
static void open_library(void) {
    static bool opened;
    if (opened)
        return;
    opened = true;
    struct sched_param parameters = {0};
    int policy = sched_getscheduler(0);
    bool changed = policy == SCHED_OTHER && sched_setscheduler(0, SCHED_BATCH, &parameters) == 0;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    (void)nats_Open(-1); /* a failure shows when connecting */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (changed)
        (void)!sched_setscheduler(0, policy, &parameters);
    atexit(nats_Close);
}

static natsStatus connect_once(mac_bus *bus) {
    bus->unlucky = false;
    natsOptions *options = NULL;
    natsStatus status = natsOptions_Create(&options);
    if (status == NATS_OK)
        status = set_options(bus, options);
    if (status == NATS_OK)
        status = natsConnection_Connect(&bus->connection, options);
    natsOptions_Destroy(options);
    if (status != NATS_OK)
        bus->connection = NULL;
    return status;
}

static natsStatus connect_now(mac_bus *bus) {
    open_library();
    natsStatus status = connect_once(bus);
    for (unsigned i = 1; bus->unlucky && i < BUS_UNLUCKY_MAX; i++)
        status = connect_once(bus);
    return status;
}

static mac_error *connect_error(const mac_bus *bus, natsStatus status) {
    if (bus->unlucky)
        return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                             "cannot connect to %s: no usable signature came of %d challenges; try again",
                             bus->shown_url, BUS_UNLUCKY_MAX);
    const char *text = nats_GetLastError(NULL);
    bool unauthorized = status == NATS_CONNECTION_AUTH_FAILED || (text && strcasestr(text, "authorization"));
    if (unauthorized)
        return mac_error_new(
            MACULA__V1__ERROR_CODE__DENIED, NULL,
            bus->seed ? "the server at %s does not know this key: use a key of this node (run as root, or give --key)"
                      : "the server at %s asks for a key: run as root, or give --key",
            bus->shown_url);
    if (status == NATS_NO_SERVER || status == NATS_IO_ERROR)
        return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "no server at %s: is the node running?",
                             bus->shown_url);
    if (status == NATS_TIMEOUT)
        return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "the server at %s did not answer within %d s",
                             bus->shown_url, BUS_CONNECT_TIMEOUT_MS / 1000);
    if (status == NATS_INVALID_ARG && bus->seed)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "the key is not the seed of a NATS user (SU…)");
    return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "cannot connect to %s: %s", bus->shown_url,
                         text && *text ? text : natsStatus_GetText(status));
}

static void on_ready(const mac_answer *answer, void *data) {
    mac_bus *bus = data;
    bus->ready = NULL;
    if (answer->error) {
        if (bus->connection && !bus->closing)
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

static void attempt(mac_bus *bus) {
    natsStatus status = connect_now(bus);
    if (status == NATS_OK)
        status = bus_sources_connect(bus);
    if (status != NATS_OK) {
        bus_link_lose(bus, connect_error(bus, status));
        return;
    }
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
    if (!bus->connection)
        attempt(bus);
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
    bus_sources_disconnect(bus);
    bus_calls_disconnect(bus);
    bus_wire_hang_up(bus);
    if (bus->connection) {
        natsConnection_Close(bus->connection);
        natsConnection_Destroy(bus->connection);
    }
    bus->connection = NULL;
    bus->wire = NULL; /* frees itself when uv has closed it */
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

void bus_link_look(mac_bus *bus) {
    if (!bus->wire || !bus->wire->stopped)
        return;
    const char *text = NULL;
    natsStatus status = natsConnection_GetLastError(bus->connection, &text);
    bool denied = status == NATS_CONNECTION_AUTH_FAILED || (text && strcasestr(text, "authorization"));
    bool said = text && *text && status != NATS_CONNECTION_CLOSED && status != NATS_OK;
    bus_link_lose(bus, mac_error_new(denied ? MACULA__V1__ERROR_CODE__DENIED : MACULA__V1__ERROR_CODE__UNAVAILABLE,
                                     NULL, "the connection to the server at %s was lost%s%s", bus->shown_url,
                                     said ? ": " : "", said ? text : ""));
}

void bus_link_inbox_refused(mac_bus *bus, const char *message) {
    if (bus->state == MAC_BUS_CONNECTED || !bus->connection || bus->closing)
        return;
    if (bus->calls.plain_inbox == bus->calls.plain_first) { /* the first kind that was tried */
        bus_call_discard(mac_take(&bus->ready));            /* the only one: callers wait for CONNECTED */
        bus_calls_disconnect(bus);
        bus->calls.plain_inbox = !bus->calls.plain_inbox;
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
