/* Subscriptions. A source is what the bus wants to hear; its natsSubscription comes and goes with the connection.
 *
 * Draining is fair: one turn of the loop takes at most BUS_DRAIN_MAX messages of each source, so a flooded subscription
 * delays the others by a bounded time, and whatever remains is taken in the next turn, which then does not wait for
 * I/O. */
#include "bus-internal.h"

#include "log/mac-log.h"

static natsStatus source_connect(bus_source *source) {
    mac_bus *bus = source->bus;
    natsStatus status = source->queue ? natsConnection_QueueSubscribeSync(&source->handle, bus->connection,
                                                                          source->subject, source->queue)
                                      : natsConnection_SubscribeSync(&source->handle, bus->connection, source->subject);
    if (status == NATS_OK)
        natsSubscription_SetPendingLimits(source->handle, BUS_QUEUE_MAX_MESSAGES, MAC_BUS_QUEUE_MAX_BYTES);
    return status;
}

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
    if (bus->connection)
        (void)source_connect(source); /* fails only when the connection has just gone; the next one subscribes it */
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

/* What is still queued is freed here: left to the subscription, which a late report of dropped messages may hold on
 * another thread, it could outlive the collector at the end of the program. */
static void source_disconnect(bus_source *source) {
    if (!source->handle)
        return;
    natsStatus status;
    do {
        natsMsg *message = NULL;
        status = natsSubscription_NextMsg(&message, source->handle, 0);
        natsMsg_Destroy(message);
    } while (status == NATS_OK || status == NATS_SLOW_CONSUMER || status == NATS_NO_RESPONDERS);
    natsSubscription_Destroy(source->handle); /* unsubscribes, if the connection lives */
    source->handle = NULL;
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

natsStatus bus_sources_connect(mac_bus *bus) {
    bus->received = bus->waiting = 0;
    for (bus_source *source = bus->sources; source; source = source->next) {
        if (source->dead || source->handle)
            continue;
        natsStatus status = source_connect(source);
        if (status != NATS_OK)
            return status;
    }
    return NATS_OK;
}

void bus_sources_disconnect(mac_bus *bus) {
    for (bus_source *source = bus->sources; source; source = source->next)
        source_disconnect(source);
    bus_lanes_clear(bus);
}

/* cnats has dropped messages since it was last asked. Said once in a while: a flood of messages is not to be a flood of
 * lines. */
static void tell_dropped(bus_source *source) {
    uint64_t now = uv_now(source->bus->loop);
    if (source->told_dropped && now - source->told_dropped < BUS_DROPPED_TOLD_MS)
        return;
    source->told_dropped = now ? now : 1;
    int64_t dropped = 0;
    (void)natsSubscription_GetDropped(source->handle, &dropped);
    mac_log_warning("messages dropped: they came faster than they were handled", "subject=%s dropped=%lld",
                    source->subject, (long long)dropped);
}

static int source_queued(bus_source *source) {
    int queued = 0;
    if (!source->handle || natsSubscription_GetPending(source->handle, &queued, NULL) != NATS_OK)
        return 0;
    return queued;
}

/* Returns whether more is queued. What is only put into a lane costs nothing to speak of: all of it is taken, or it
 * would stand before what the node itself asks for. */
static bool source_drain(bus_source *source) {
    int queued = source_queued(source), budget = BUS_DRAIN_MAX;
    while (queued > 0 && budget > 0 && source->handle) {
        queued--;
        natsMsg *message = NULL;
        natsStatus status = natsSubscription_NextMsg(&message, source->handle, 0);
        if (status == NATS_SLOW_CONSUMER) { /* said once before the next message */
            tell_dropped(source);
            status = natsSubscription_NextMsg(&message, source->handle, 0);
        }
        if (source->bus->waiting > 0)
            source->bus->waiting--;
        if (status == NATS_OK && source->serves && bus_lane_is_for(message)) {
            bus_lane_add(source, message);
            continue;
        }
        if (status != NATS_OK && status != NATS_NO_RESPONDERS)
            break;
        source->callback(source, message, source->data);
        budget--;
    }
    return source->handle && queued > 0; /* nothing is read from the socket meanwhile */
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

/* How many messages can be queued, of all sources together: asking each of them costs a lock of cnats each. Messages
 * that are dropped, or for subscriptions that have ended, make the number too large, never too small. */
static void count_waiting(mac_bus *bus) {
    uint64_t received = 0;
    if ((bus->statistics || natsStatistics_Create(&bus->statistics) == NATS_OK) &&
        natsConnection_GetStats(bus->connection, bus->statistics) == NATS_OK &&
        natsStatistics_GetCounts(bus->statistics, &received, NULL, NULL, NULL, NULL) == NATS_OK) {
        bus->waiting += received - bus->received;
        bus->received = received;
    } else {
        bus->waiting = UINT64_MAX / 2; /* all are asked */
    }
}

/* The one that had a message has the next one too, as a rule: it is asked first. */
static void move_to_front(bus_source *source) {
    mac_bus *bus = source->bus;
    if (!source->previous)
        return;
    source->previous->next = source->next;
    *(source->next ? &source->next->previous : &bus->last_source) = source->previous;
    source->previous = NULL;
    source->next = bus->sources;
    bus->sources->previous = source;
    bus->sources = source;
}

bool bus_sources_drain(mac_bus *bus) {
    bool more = false;
    bus_source *last = NULL;
    count_waiting(bus);
    bus->draining = true;
    for (bus_source *source = bus->sources; source && bus->waiting > 0; source = source->next) {
        uint64_t before = bus->waiting;
        if (source_drain(source))
            more = true;
        if (bus->waiting != before)
            last = source;
    }
    bus->draining = false;
    if (!more)
        bus->waiting = 0;
    if (last)
        move_to_front(last);
    if (bus->sweep)
        sweep(bus);
    return more;
}

void bus_sources_deinit(mac_bus *bus) {
    natsStatistics_Destroy(bus->statistics);
    while (bus->sources) {
        source_disconnect(bus->sources);
        source_destroy(bus->sources);
    }
}
