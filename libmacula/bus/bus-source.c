/* Subscriptions. A source is what the bus wants to hear; the number that the server knows it by (its sid) comes and
 * goes with the connection.
 *
 * A message is handed over as soon as it has come, out of the buffer it was read into. Draining is fair all the same:
 * one turn of the loop hands over at most BUS_DRAIN_MAX messages of each source. What is more waits in the source's
 * queue, so a flooded subscription delays the others by a bounded time, and is handed over in the next turns, which do
 * not wait for I/O meanwhile. What does not fit into the queue is dropped and counted. */
#include "bus-internal.h"

#include <assert.h>
#include <inttypes.h>

#include "log/mac-log.h"

/* ---- sids ----
 * The lower bits are an index, the upper ones make each of them new: a message for a subscription that has ended is not
 * taken for one of its successor. */

#define SID_BITS 20
#define SID_INDEX ((UINT64_C(1) << SID_BITS) - 1)

static size_t free_index(mac_bus *bus) {
    for (size_t i = 0; i < bus->by_sid_size; i++)
        if (!bus->by_sid[i])
            return i;
    size_t index = bus->by_sid_size, size = index ? index * 2 : 16;
    bus->by_sid = mac_realloc(bus->by_sid, size * sizeof(bus_source *));
    for (size_t i = index; i < size; i++)
        bus->by_sid[i] = NULL;
    bus->by_sid_size = size;
    return index;
}

static void source_connect(bus_source *source) {
    mac_bus *bus = source->bus;
    size_t index = free_index(bus);
    assert(index <= SID_INDEX);
    bus->by_sid[index] = source;
    source->sid = ++bus->sids << SID_BITS | index;
    bus_wire_say(bus->wire, "SUB %s %s%s%" PRIu64, source->subject, source->queue ? source->queue : "",
                 source->queue ? " " : "", source->sid);
}

static bus_source *find(const mac_bus *bus, uint64_t sid) {
    size_t index = sid & SID_INDEX;
    bus_source *source = index < bus->by_sid_size ? bus->by_sid[index] : NULL;
    return source && source->sid == sid ? source : NULL;
}

/* ---- the queue of a source ---- */

static void queue_add(bus_source *source, const bus_message *message) {
    size_t bytes = bus_message_size(message);
    if (source->queued >= BUS_QUEUE_MAX_MESSAGES || source->queued_bytes + bytes > MAC_BUS_QUEUE_MAX_BYTES) {
        bus_source_dropped(source);
        return;
    }
    bus_queued *added = mac_malloc(sizeof *added);
    *added = (bus_queued){.message = bus_message_copy(message)};
    *(source->last ? &source->last->next : &source->first) = added;
    source->last = added;
    source->queued++;
    source->queued_bytes += bytes;
    source->bus->waiting++;
}

/* Caller frees. */
static bus_message *queue_take(bus_source *source) {
    mac_autofree bus_queued *first = source->first;
    source->first = first->next;
    if (!source->first)
        source->last = NULL;
    source->queued--;
    source->queued_bytes -= bus_message_size(first->message);
    source->bus->waiting--;
    return first->message;
}

/* Said once in a while: a flood of messages is not to be a flood of lines. */
void bus_source_dropped(bus_source *source) {
    uint64_t now = uv_now(source->bus->loop);
    source->dropped++;
    if (source->told_dropped && now - source->told_dropped < BUS_DROPPED_TOLD_MS)
        return;
    source->told_dropped = now ? now : 1;
    mac_log_warning("messages dropped: they came faster than they were handled, or were too large",
                    "subject=%s dropped=%" PRIu64, source->subject, source->dropped);
}

/* ---- life ---- */

bus_source *bus_source_new(mac_bus *bus, const char *subject, const char *queue, bus_source_callback callback,
                           void *data) {
    bus_source *source = mac_calloc(1, sizeof *source);
    *source = (bus_source){.bus = bus,
                           .previous = bus->last_source,
                           .subject = mac_strdup(subject),
                           .queue = mac_strdup(queue),
                           .callback = callback,
                           .data = data};
    if (bus->last_source)
        bus->last_source->next = source;
    else
        bus->sources = source;
    bus->last_source = source;
    if (bus_link_is_open(bus))
        source_connect(source);
    return source;
}

bus_source *bus_source_new_serving(mac_bus *bus, const char *subject, const char *queue, bus_source_callback callback,
                                   void *data) {
    bus_source *source = bus_source_new(bus, subject, queue, callback, data);
    source->serves = true;
    return source;
}

static void source_destroy(bus_source *source) {
    mac_bus *bus = source->bus;
    if (source->previous)
        source->previous->next = source->next;
    else
        bus->sources = source->next;
    if (source->next)
        source->next->previous = source->previous;
    else
        bus->last_source = source->previous;
    free(source->subject);
    free(source->queue);
    free(source);
}

static void source_disconnect(bus_source *source) {
    mac_bus *bus = source->bus;
    while (source->first)
        free(queue_take(source));
    if (!source->sid)
        return;
    bus->by_sid[source->sid & SID_INDEX] = NULL;
    if (bus_link_is_open(bus) && !source->ended)
        bus_wire_say(bus->wire, "UNSUB %" PRIu64, source->sid);
    source->sid = 0;
}

void bus_source_end(bus_source *source) {
    if (source->sid && bus_link_is_open(source->bus))
        bus_wire_say(source->bus->wire, "UNSUB %" PRIu64, source->sid);
    source->ended = true;
}

void bus_source_free(bus_source *source) {
    if (!source)
        return;
    source_disconnect(source);
    if (source->serves)
        bus_lanes_clear(source->bus); /* with what waits there for it; the others' time is over, too: the bus closes */
    source->dead = true;
    if (source->bus->draining)
        source->bus->sweep = true;
    else
        source_destroy(source);
}

void bus_sources_connect(mac_bus *bus) {
    for (bus_source *source = bus->sources; source; source = source->next)
        if (!source->dead && !source->ended && !source->sid)
            source_connect(source);
}

void bus_sources_disconnect(mac_bus *bus) {
    for (bus_source *source = bus->sources; source; source = source->next)
        source_disconnect(source);
    bus->sids = 0;
    bus_lanes_clear(bus);
}

/* ---- handing over ---- */

/* Whether this turn of the loop may hand over one more. */
static bool has_turn(bus_source *source) {
    if (source->turn != source->bus->turn) {
        source->turn = source->bus->turn;
        source->taken = 0;
    }
    return source->taken < BUS_DRAIN_MAX;
}

static void hand_over(bus_source *source, const bus_message *message) {
    source->taken++;
    source->callback(source, message, source->data); /* the source may be gone after this */
}

void bus_source_deliver(mac_bus *bus, uint64_t sid, const bus_message *message) {
    bus_source *source = find(bus, sid);
    if (!source)
        return; /* the server did not know yet that the subscription had ended */
    /* What is only put into a lane costs nothing to speak of: all of it is taken, or it would stand before what the
     * node itself asks for. */
    if (source->serves && bus_lane_is_for(message))
        bus_lane_add(source, message);
    else if (!source->first && has_turn(source))
        hand_over(source, message);
    else
        queue_add(source, message);
}

static void source_drain(bus_source *source) {
    while (source->first && has_turn(source)) {
        mac_autofree bus_message *message = queue_take(source);
        hand_over(source, message);
    }
}

static void sweep(mac_bus *bus) {
    bus->sweep = false;
    bus_source *next;
    for (bus_source *source = bus->sources; source; source = next) {
        next = source->next;
        if (source->dead)
            source_destroy(source);
    }
}

bool bus_sources_drain(mac_bus *bus) {
    bus->draining = true;
    for (bus_source *source = bus->sources; source && bus->waiting > 0; source = source->next)
        source_drain(source);
    bus->draining = false;
    if (bus->sweep)
        sweep(bus);
    return bus->waiting > 0;
}

void bus_sources_deinit(mac_bus *bus) {
    while (bus->sources) {
        source_disconnect(bus->sources);
        source_destroy(bus->sources);
    }
    free(bus->by_sid);
}
