/* cnats on a libuv loop.
 *
 * cnats calls four functions of its user when it has connected (attach), starts or ends wanting to write (write), has
 * closed (read with "remove", then detach). Its own adapter for libuv arms the poll for writing at each message, which
 * costs two system calls and a turn of the loop, and in 3.4 closes the poll after the socket, so that a reused
 * descriptor loses its registration in epoll. Here a wish to write is a flag: everything that one turn of the loop has
 * published goes out with one send() before the loop sleeps, and the poll is closed while its descriptor is still open.
 * The price is that these functions must run on the loop's thread; they do, because cnats neither reconnects nor pings
 * by itself here (bus-link.c).
 *
 * Two write to the socket: cnats its subscriptions and PONGs, we our messages (bus-frame.c), which through cnats would
 * cost a dozen allocations each and a wake-up of its collector. Neither ever writes into the middle of the other's
 * bytes: what has been begun is finished first, then comes what cnats holds, so that a subscription is with the server
 * before the request whose answer it is for, then whole messages. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "bus-internal.h"

#define HANG_UP_READS 1024
#define KEPT_BYTES (16u << 10) /* a larger buffer is given back when it has been sent */

static void wire_free_if_done(bus_wire *wire) {
    if (!wire->closed || !wire->detached)
        return;
    mac_bus *bus = wire->bus;
    bus->wires--;
    mac_buffer_deinit(&wire->frames);
    mac_buffer_deinit(&wire->sending);
    free(wire);
    bus_free_if_done(bus);
}

static void on_poll_closed(uv_handle_t *handle) {
    bus_wire *wire = handle->data;
#if NATS_VERSION_NUMBER >= 0x030A00
    natsConnection_ProcessCloseEvent(&wire->socket); /* 3.4 has closed the socket itself */
#endif
    wire->closed = true;
    wire_free_if_done(wire);
}

static void on_poll(uv_poll_t *handle, int status, int events);

static void wire_stop(bus_wire *wire) {
    if (wire->stopped)
        return;
    wire->stopped = true;
    uv_close((uv_handle_t *)&wire->poll, on_poll_closed);
    bus_turn_again(wire->bus); /* the loop must not sleep before bus_link_look() has seen it */
}

static void poll_for(bus_wire *wire, int events) {
    if (!wire->stopped)
        uv_poll_start(&wire->poll, events, on_poll);
}

static void sending_done(bus_wire *wire) {
    wire->sent = wire->sending.length = 0;
    if (wire->sending.capacity > KEPT_BYTES)
        mac_buffer_deinit(&wire->sending);
}

/* False when the kernel takes no more. */
static bool send_messages(bus_wire *wire) {
    while (wire->sent < wire->sending.length) {
        ssize_t n =
            send(wire->socket, wire->sending.data + wire->sent, wire->sending.length - wire->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return false;
        if (n < 0) { /* the connection has ended: reading finds out why */
            shutdown(wire->socket, SHUT_RDWR);
            break;
        }
        wire->sent += (size_t)n;
    }
    sending_done(wire);
    return true;
}

/* Whether everything is with the kernel. */
static bool write_all(bus_wire *wire) {
    if (!send_messages(wire))
        return false;
    if (wire->wants_write)
        natsConnection_ProcessWriteEvent(wire->connection);
    if (wire->stopped || wire->wants_write)
        return false;
    mac_buffer empty = wire->sending;
    wire->sending = wire->frames;
    wire->frames = empty;
    return send_messages(wire);
}

static void wire_write(bus_wire *wire) {
    bool waits = !write_all(wire);
    if (wire->stopped || waits == wire->waits_writable)
        return;
    wire->waits_writable = waits;
    poll_for(wire, wire->waits_writable ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

static void on_poll(uv_poll_t *handle, int status, int events) {
    bus_wire *wire = handle->data;
    if (status < 0 || events & UV_READABLE) {
        wire->bus->readable = true;
        natsConnection_ProcessReadEvent(wire->connection); /* after an error too: it finds out which one */
    }
    if (!wire->stopped && events & UV_WRITABLE)
        wire_write(wire);
}

/* ---- called by cnats, with its lock held: nothing here may call it ---- */

static natsStatus on_attach(void **user_data, void *data, natsConnection *connection, natsSock socket) {
    mac_bus *bus = data;
    bus_wire *wire = mac_calloc(1, sizeof *wire);
    /* cnats leaves it open to programs that a service starts: such a one would keep the connection of a dead service
     * alive, and the server would go on sending requests to it. */
    fcntl(socket, F_SETFD, FD_CLOEXEC);
    if (uv_poll_init_socket(bus->loop, &wire->poll, socket) < 0) {
        free(wire);
        return NATS_ERR;
    }
    *wire = (bus_wire){.poll = wire->poll, .bus = bus, .connection = connection, .socket = socket};
    wire->poll.data = wire;
    bus->wires++;
    bus->wire = wire;
    poll_for(wire, UV_READABLE);
    *user_data = wire;
    return NATS_OK;
}

static natsStatus on_read(void *user_data, bool add) {
    if (!add)
        wire_stop(user_data);
    return NATS_OK;
}

static natsStatus on_write(void *user_data, bool add) {
    bus_wire *wire = user_data;
    wire->wants_write = add;
    return NATS_OK;
}

static natsStatus on_detach(void *user_data) {
    bus_wire *wire = user_data;
    wire_stop(wire);
    wire->detached = true;
    wire_free_if_done(wire);
    return NATS_OK;
}

natsStatus bus_wire_options(mac_bus *bus, natsOptions *options) {
    return natsOptions_SetEventLoop(options, bus, on_attach, on_read, on_write, on_detach);
}

void bus_wire_flush(mac_bus *bus) {
    bus->out_bytes = 0;
    bus_wire *wire = bus->wire;
    if (wire && (wire->wants_write || wire->frames.length) && !wire->waits_writable && !wire->stopped)
        wire_write(wire);
}

/* natsConnection_Close asks the server for a last PONG and waits 500 ms for it, which nobody can read while it waits.
 * When the socket has ended before, it closes at once. What was to be sent has been flushed by then. */
void bus_wire_hang_up(mac_bus *bus) {
    bus_wire *wire = bus->wire;
    if (!wire || wire->stopped)
        return;
    shutdown(wire->socket, SHUT_RDWR);
    /* What is still in the socket is read first: each turn takes a buffer of it, the last one finds the end. */
    for (unsigned turn = 0; !wire->stopped && turn < HANG_UP_READS; turn++)
        natsConnection_ProcessReadEvent(wire->connection);
}

size_t bus_wire_backlog(const bus_wire *wire) {
    if (!wire->waits_writable)
        return 0;
    int theirs = natsConnection_Buffered(wire->connection);
    return wire->frames.length + wire->sending.length - wire->sent + (theirs > 0 ? (size_t)theirs : 0);
}
