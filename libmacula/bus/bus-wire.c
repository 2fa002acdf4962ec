/* The socket of a connection on a libuv loop.
 *
 * Out: everything that one turn of the loop says, messages and commands in the order they were said in, goes out with
 * one send(), after what came in has been handled or before the loop sleeps. The poll asks for "writable" only while
 * the kernel takes no more.
 *
 * In: one recv() as a rule; what has come is taken apart where it lies and handed over at once. The buffer is larger
 * only while a message comes that needs it. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus-internal.h"

#define IN_BYTES (32u << 10)
#define READS_MAX 8            /* in one turn of the loop */
#define KEPT_BYTES (16u << 10) /* a larger buffer is given back when it has been sent */

static void on_poll(uv_poll_t *handle, int status, int events);

static void poll_for(bus_wire *wire, int events) {
    if (!wire->stopped)
        uv_poll_start(&wire->poll, events, on_poll);
}

/* ---- out ---- */

void bus_wire_say(bus_wire *wire, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    mac_autofree char *text = mac_vasprintf(format, arguments);
    va_end(arguments);
    mac_buffer_text(&wire->out, text);
    mac_buffer_text(&wire->out, "\r\n");
}

static void all_sent(bus_wire *wire) {
    wire->sent = wire->out.length = 0;
    if (wire->out.capacity > KEPT_BYTES)
        mac_buffer_deinit(&wire->out);
}

/* What is with the kernel makes room for what comes behind the rest. */
static void forget_sent(bus_wire *wire) {
    if (wire->sent < wire->out.length / 2)
        return;
    wire->out.length -= wire->sent;
    memmove(wire->out.data, wire->out.data + wire->sent, wire->out.length);
    wire->sent = 0;
}

/* False when the kernel takes no more. */
static bool send_all(bus_wire *wire) {
    while (wire->sent < wire->out.length) {
        ssize_t n = send(wire->socket, wire->out.data + wire->sent, wire->out.length - wire->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            forget_sent(wire);
            return false;
        }
        if (n < 0) { /* the connection has ended: reading finds out why */
            shutdown(wire->socket, SHUT_RDWR);
            break;
        }
        wire->sent += (size_t)n;
    }
    all_sent(wire);
    return true;
}

static void wire_write(bus_wire *wire) {
    bool waits = !send_all(wire);
    if (waits == wire->waits_writable)
        return;
    wire->waits_writable = waits;
    poll_for(wire, waits ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

void bus_wire_flush(mac_bus *bus) {
    bus->out_bytes = 0;
    bus_wire *wire = bus->wire;
    if (wire && wire->out.length && !wire->waits_writable)
        wire_write(wire);
}

size_t bus_wire_backlog(const bus_wire *wire) {
    return wire->waits_writable ? wire->out.length - wire->sent : 0;
}

/* ---- in ---- */

static void resize(bus_wire *wire, size_t capacity) {
    wire->in = mac_realloc(wire->in, capacity);
    wire->capacity = capacity;
}

/* Room for what the next item needs, and for at least one byte. */
static void make_room(bus_wire *wire) {
    size_t held = wire->to - wire->from;
    size_t wanted = wire->protocol.needed > held ? wire->protocol.needed : held + 1;
    if (wire->capacity - wire->from < wanted || wire->to == wire->capacity || held == 0) {
        if (held)
            memmove(wire->in, wire->in + wire->from, held);
        wire->from = 0;
        wire->to = held;
    }
    if (wire->capacity < wanted)
        resize(wire, wanted > IN_BYTES ? wanted + IN_BYTES : IN_BYTES);
    else if (held == 0 && wire->capacity > IN_BYTES && wanted <= IN_BYTES)
        resize(wire, IN_BYTES);
}

static void take_apart(bus_wire *wire) {
    while (!wire->stopped) {
        size_t used;
        bus_item item;
        bus_op op = bus_protocol_next(&wire->protocol, wire->in + wire->from, wire->to - wire->from, &used, &item);
        if (op == BUS_OP_MORE)
            break;
        wire->from += used;
        if (op != BUS_OP_SKIP)
            bus_link_handle(wire, op, &item); /* may end the connection */
    }
}

/* Returns whether there may be more to read. */
static bool read_some(bus_wire *wire) {
    make_room(wire);
    size_t room = wire->capacity - wire->to;
    ssize_t n = recv(wire->socket, wire->in + wire->to, room, 0);
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
        return errno == EINTR;
    if (n <= 0) {
        bus_link_ended(wire->bus, n < 0 ? errno : 0);
        return false;
    }
    wire->to += (size_t)n;
    take_apart(wire);
    return (size_t)n == room;
}

static void on_poll(uv_poll_t *handle, int status, int events) {
    bus_wire *wire = handle->data;
    if (status < 0 || events & UV_READABLE) { /* after an error too: it finds out which one */
        bool more = true;
        for (unsigned i = 0; i < READS_MAX && more && !wire->stopped; i++)
            more = read_some(wire);
    }
    if (wire->stopped)
        return;
    if (events & UV_WRITABLE)
        wire_write(wire);
    bus_wire_flush(wire->bus);
}

/* ---- life ---- */

int bus_wire_new(mac_bus *bus, int socket) {
    bus_wire *wire = mac_calloc(1, sizeof *wire);
    int r = uv_poll_init_socket(bus->loop, &wire->poll, socket);
    if (r < 0) {
        free(wire);
        return r;
    }
    wire->bus = bus;
    wire->socket = socket;
    wire->poll.data = wire;
    bus->wires++;
    bus->wire = wire;
    poll_for(wire, UV_READABLE);
    return 0;
}

static void on_poll_closed(uv_handle_t *handle) {
    bus_wire *wire = handle->data;
    mac_bus *bus = wire->bus;
    mac_buffer_deinit(&wire->out);
    free(wire->in);
    free(wire);
    bus->wires--;
    bus_free_if_done(bus);
}

void bus_wire_drop(mac_bus *bus) {
    bus_wire *wire = mac_take(&bus->wire);
    if (!wire)
        return;
    wire->stopped = true; /* whoever is reading from it sees that, and its memory stays until the next turn */
    uv_close((uv_handle_t *)&wire->poll, on_poll_closed);
    close(wire->socket); /* the poll has forgotten it already */
}
