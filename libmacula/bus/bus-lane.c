/* Requests of workloads, in one lane for each sender.
 *
 * Anybody on the machine may send requests, as many and as fast as he likes, and read none of the answers. What is
 * promised: the node's own requests (the administrator's, the services') do not wait for any of that. They are handled
 * when they come; a workload's request is put into its sender's lane, and after the others each lane in turn gives one.
 *
 * Three bounds keep the lanes from harm:
 * - what waits: a sender may have as much waiting as is still free, so one alone gets half and the next one always
 *   finds room. What is more is refused, or dropped when even refusals would be too much;
 * - what is being handled (BUS_WORKLOADS_MAX), so that slow procedures stay available to the node;
 * - what is under way: after some answers a PING is sent, and nothing more before its PONG. nats-server (2.9) lets
 * whoever sends to somebody that does not read wait 100 ms and more for each message and each such reader, all that
 * comes behind on the same connection with it. When a PONG is late, the next answer goes alone, and only after a pause
 * of many times that delay, so that an answer for the node seldom finds one before it, and never more than one;
 * - what is answered: BUS_LANE_RATE bytes a second. nats-server lets whoever sends to a client that has stopped reading
 *   wait (100 ms and more a message) when half of its max_pending is waiting for that client: a service that answered a
 *   flood as fast as it can would itself be stopped, and everybody else's answers with it, until the server's
 *   write_deadline ends that client. At this rate, of several services together, the deadline comes first.
 *
 * What is not promised: that workloads cannot disturb each other. A sender is a connection; he may have several. */
#include "bus-internal.h"

#include <malloc.h>
#include <string.h>

#include "log/mac-log.h"

#define LANES 64
#define WAITING_MAX 16384
#define WAITING_BYTES_MAX (16u << 20)
#define FLOOD_BYTES (1u << 20) /* after so many waited at once, the memory that is free again is given back */
#define REFILL_MS 20
#define WINDOW_MAX 64 /* answers under way at most: a PING with every so many */
#define LATE_MS 80    /* a PONG that takes longer has waited for somebody who does not read */
#define PAUSE_TIMES 3 /* so many times as long as it took is nothing sent */
#define PAUSE_MAX_MS 2000
#define PONG_TIMEOUT_MS 60000
/* One turn of the loop, so that what has come meanwhile, and the watchdog, is soon seen: so many requests, and none is
 * begun when the turn has taken so long. */
#define TURN_MAX 8
#define TURN_MS 20

typedef struct entry {
    struct entry *next;
    bus_source *source;
    bus_message *message;
} entry;

typedef struct lane {
    entry *first, *last;
    size_t count, bytes;
} lane;

struct bus_lanes {
    lane lanes[LANES];
    size_t count, bytes;
    size_t most;       /* bytes at once since the lanes were last empty */
    unsigned turn;     /* the lane that comes next */
    int64_t allowance; /* bytes that may be sent now; below 0 when the last answer was large */
    uint64_t refilled; /* uv_now() */
    uint64_t told;     /* uv_now() when dropped requests were logged; 0: never */
    uint64_t dropped;  /* since then */
    bool serving;
    unsigned window, sent; /* answers that may be under way, and that are since the last PING */
    mac_call *pong;        /* waits for it */
    uint64_t asked;        /* uv_now() when it was sent */
    uint64_t paused_until; /* uv_now() */
};

bool bus_lane_is_for(const bus_message *message) {
    return message->reply && mac_starts_with(message->reply, BUS_IMPORT_REPLY);
}

static bus_lanes *lanes_of(mac_bus *bus) {
    if (!bus->lanes) {
        bus->lanes = mac_calloc(1, sizeof *bus->lanes);
        bus->lanes->allowance = BUS_LANE_BURST;
        bus->lanes->window = WINDOW_MAX;
        bus->lanes->refilled = uv_now(bus->loop);
    }
    return bus->lanes;
}

/* By the number that the server gives each connection. It writes the report itself: in the texts that it quotes from
 * the client a quotation mark has a backslash before it. */
static lane *lane_of(bus_lanes *lanes, const bus_message *message) {
    const char *key = "\"id\":", *info = bus_header_get(message, BUS_REQUEST_INFO);
    const char *id = info ? strstr(info, key) : NULL;
    return &lanes->lanes[id ? strtoull(id + strlen(key), NULL, 10) % LANES : 0];
}

static size_t bytes_of(const bus_message *message) {
    return sizeof(entry) + bus_message_size(message);
}

static void refill(mac_bus *bus) {
    bus_lanes *lanes = bus->lanes;
    uint64_t now = uv_now(bus->loop), passed = now - lanes->refilled;
    lanes->refilled = now;
    if (passed > 1000)
        passed = 1000;
    lanes->allowance += (int64_t)(passed * BUS_LANE_RATE / 1000);
    if (lanes->allowance > BUS_LANE_BURST)
        lanes->allowance = BUS_LANE_BURST;
}

void bus_lane_sent(mac_bus *bus, size_t length) {
    if (bus->lanes)
        bus->lanes->allowance -= (int64_t)length;
}

/* ---- what is under way ---- */

static void on_pong(const mac_answer *answer, void *data) {
    mac_bus *bus = data;
    bus_lanes *lanes = bus->lanes;
    uint64_t now = mac_now_ms(), took = now - lanes->asked;
    lanes->pong = NULL;
    lanes->sent = 0;
    if (answer->error)
        return; /* the connection has gone, and what was under way on it */
    if (took < LATE_MS) {
        lanes->window = lanes->window * 2 < WINDOW_MAX ? lanes->window * 2 : WINDOW_MAX;
        lanes->paused_until = 0;
    } else {
        uint64_t pause = took * PAUSE_TIMES < PAUSE_MAX_MS ? took * PAUSE_TIMES : PAUSE_MAX_MS;
        lanes->window = 1;
        lanes->paused_until = now + pause;
    }
    bus_turn_again(bus);
}

/* An answer has been sent. */
static void count_answer(mac_bus *bus) {
    bus_lanes *lanes = bus->lanes;
    if (++lanes->sent < lanes->window || lanes->pong || !bus_link_is_open(bus))
        return;
    lanes->asked = mac_now_ms();
    lanes->pong = bus_call_flush(bus, PONG_TIMEOUT_MS, on_pong, bus);
}

/* Whether another answer may be sent now. */
static bool may_send(const bus_lanes *lanes) {
    return lanes->allowance > 0 && !lanes->pong && (!lanes->paused_until || mac_now_ms() >= lanes->paused_until);
}

bool bus_lane_serving(const mac_bus *bus) {
    return bus->lanes && bus->lanes->serving;
}

/* ---- in ---- */

static void drop(bus_lanes *lanes, bus_source *source, const bus_message *message) {
    mac_bus *bus = source->bus;
    uint64_t now = uv_now(bus->loop);
    lanes->dropped++;
    if (!lanes->told || now - lanes->told >= BUS_DROPPED_TOLD_MS) {
        const char *info = bus_header_get(message, BUS_REQUEST_INFO);
        mac_autofree char *caller = info ? bus_caller_from_info(info) : NULL;
        mac_log_warning("requests of workloads dropped: they come faster than they may be answered",
                        "dropped=%llu last=" MAC_LOG_Q("%s"), (unsigned long long)lanes->dropped,
                        caller ? caller : "workload");
        lanes->told = now ? now : 1;
        lanes->dropped = 0;
    }
}

/* Only requests are refused: a question to all services is not answered by one of them with an error. */
static void refuse(bus_lanes *lanes, bus_source *source, const bus_message *message) {
    mac_bus *bus = source->bus;
    refill(bus);
    if (!may_send(lanes) || !source->queue) {
        drop(lanes, source, message);
        return;
    }
    size_t before = bus->sent_bytes;
    mac_request *request = bus_request_new(bus, message, NULL);
    lanes->serving = true;
    mac_request_fail(request, MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                     "too many requests of this connection wait already: wait for their answers");
    lanes->serving = false;
    bus_lane_sent(bus, bus->sent_bytes - before);
    count_answer(bus);
}

void bus_lane_add(bus_source *source, const bus_message *message) {
    bus_lanes *lanes = lanes_of(source->bus);
    lane *to = lane_of(lanes, message);
    size_t bytes = bytes_of(message);
    if (to->count >= WAITING_MAX - lanes->count || to->bytes + bytes > WAITING_BYTES_MAX - lanes->bytes) {
        refuse(lanes, source, message);
        return;
    }
    entry *added = mac_malloc(sizeof *added);
    *added = (entry){.source = source, .message = bus_message_copy(message)};
    *(to->last ? &to->last->next : &to->first) = added;
    to->last = added;
    to->count++;
    to->bytes += bytes;
    lanes->count++;
    lanes->bytes += bytes;
    if (lanes->bytes > lanes->most)
        lanes->most = lanes->bytes;
}

/* ---- out ---- */

/* The first of the next lane that has one; something waits. */
static entry take_next(bus_lanes *lanes) {
    while (!lanes->lanes[lanes->turn % LANES].first)
        lanes->turn++;
    lane *from = &lanes->lanes[lanes->turn++ % LANES];
    mac_autofree entry *first = from->first;
    size_t bytes = bytes_of(first->message);
    from->first = first->next;
    if (!from->first)
        from->last = NULL;
    from->count--;
    from->bytes -= bytes;
    lanes->count--;
    lanes->bytes -= bytes;
    return *first;
}

/* What a flood took is held by the allocator in many small pieces, and without this it stays there. */
static void end_flood(bus_lanes *lanes) {
    if (lanes->most >= FLOOD_BYTES)
        malloc_trim(0);
    lanes->most = 0;
}

/* Whether a request may be handed over now. */
static bool may_serve(const mac_bus *bus) {
    return bus->lanes->count > 0 && may_send(bus->lanes) && bus->requests.workloads < BUS_WORKLOADS_MAX &&
           bus_wire_backlog(bus->wire) == 0;
}

bool bus_lanes_serve(mac_bus *bus) {
    bus_lanes *lanes = bus->lanes;
    if (!lanes || lanes->count == 0 || !bus->wire)
        return false;
    refill(bus);
    lanes->serving = true;
    uint64_t ends = mac_now_ms() + TURN_MS;
    for (unsigned i = 0; i < TURN_MAX && may_serve(bus) && (i == 0 || mac_now_ms() < ends); i++) {
        entry next = take_next(lanes);
        mac_autofree bus_message *message = next.message;
        size_t before = bus->sent_bytes;
        next.source->callback(next.source, message, next.source->data);
        bus_lane_sent(bus, bus->sent_bytes - before);
        if (!bus->wire)
            break; /* the callback has closed the bus */
        count_answer(bus);
    }
    lanes->serving = false;
    if (lanes->count == 0)
        end_flood(lanes);
    if (lanes->count > 0 && bus->wire && !may_serve(bus))
        uv_timer_start(&bus->lane_timer, bus_lane_on_timer, REFILL_MS, 0);
    return bus->wire && may_serve(bus);
}

void bus_lane_on_timer(uv_timer_t *timer) {
    bus_turn_again(timer->data);
}

bool bus_lanes_wait(const mac_bus *bus) {
    return bus->lanes && bus->lanes->count > 0;
}

void bus_lanes_clear(mac_bus *bus) {
    while (bus_lanes_wait(bus))
        free(take_next(bus->lanes).message);
}

void bus_lanes_deinit(mac_bus *bus) {
    bus_lanes_clear(bus);
    free(mac_take(&bus->lanes));
}
