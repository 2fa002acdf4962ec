/* Requests that wait for an answer.
 *
 * One subscription, {inbox}.>, takes all answers. Each waiting call sits in a slot; the last two tokens of its reply
 * subject are the slot and a number of the call, so an answer that comes when its call has ended is recognised and
 * dropped. Slots are made when they are needed and used again last-in-first-out: a service has as many as it ever had
 * calls waiting. "No responders" (503) is the server's answer on the same way.
 *
 * A number is new for ever when the slot's last call ended without its answer, which may still come. Otherwise
 * SAME_NUMBERS of them are used in turn, so that the server finds the reply subject in its cache: a subject that it has
 * never seen costs it a tenth of a whole call.
 *
 * A flush is a PING: the server's PONGs come in the order of the PINGs, so the number of a PING finds its call.
 *
 * Deadlines: one list in their order and one timer for all. The timer is not touched when a call ends in time; it finds
 * nothing due then. */
#include "bus-internal.h"

#include <errno.h>
#include <string.h>

#define SAME_NUMBERS 8u

struct bus_slot {
    mac_bus *bus;
    bus_slot *next_idle;
    mac_call *call;
    uint64_t number; /* of its call, or of its last one */
    unsigned index;
};

struct mac_call {
    mac_bus *bus;
    mac_call *next, *previous;
    uint64_t number;   /* of the call, in the order they were started */
    uint64_t deadline; /* of uv_now() */
    bus_slot *slot;    /* NULL: a flush, or failed before it was sent */
    uint64_t ping;     /* of a flush; 0: it is none */
    mac_error *error;  /* failed before it was sent: why; told in the next turn of the loop, so that no callback comes
                          before the call has  returned */
    mac_answer_callback callback;
    void *data;
    bool many;
    bool answered;
    char subject[];
};

/* ---- deadlines ---- */

static void on_due(uv_timer_t *timer);

static void arm_timer(mac_bus *bus) {
    bus_calls *calls = &bus->calls;
    if (!calls->first || (calls->timer_due && calls->timer_due <= calls->first->deadline))
        return; /* it fires early enough */
    uint64_t now = uv_now(bus->loop);
    calls->timer_due = calls->first->deadline > now ? calls->first->deadline : now;
    uv_timer_start(&calls->timer, on_due, calls->timer_due - now, 0);
}

static void list_add(mac_call *call) {
    bus_calls *calls = &call->bus->calls;
    mac_call *after = calls->last;
    while (after && after->deadline > call->deadline)
        after = after->previous;
    call->previous = after;
    call->next = after ? after->next : calls->first;
    *(call->previous ? &call->previous->next : &calls->first) = call;
    *(call->next ? &call->next->previous : &calls->last) = call;
    arm_timer(call->bus);
}

static void list_remove(mac_call *call) {
    bus_calls *calls = &call->bus->calls;
    *(call->previous ? &call->previous->next : &calls->first) = call->next;
    *(call->next ? &call->next->previous : &calls->last) = call->previous;
}

/* ---- slots ---- */

/* NULL: all are in use. */
static bus_slot *slot_take(mac_bus *bus) {
    bus_calls *calls = &bus->calls;
    bus_slot *slot = calls->idle;
    if (slot) {
        calls->idle = slot->next_idle;
    } else {
        if (calls->slot_count == MAC_BUS_PENDING_MAX)
            return NULL;
        slot = mac_calloc(1, sizeof *slot);
        *slot = (bus_slot){.bus = bus, .index = calls->slot_count};
        calls->slots[calls->slot_count++] = slot;
    }
    slot->number = slot->number / SAME_NUMBERS * SAME_NUMBERS + (slot->number + 1) % SAME_NUMBERS;
    return slot;
}

static void slot_release(mac_call *call) {
    bus_slot *slot = call->slot;
    slot->call = NULL;
    if (!call->answered || call->many)
        slot->number += SAME_NUMBERS;
    slot->next_idle = call->bus->calls.idle;
    call->bus->calls.idle = slot;
}

/* ---- the end of a call ---- */

static void call_forget(mac_call *call) {
    list_remove(call);
    if (call->slot)
        slot_release(call);
}

static void call_free(mac_call *call) {
    mac_error_free(call->error);
    free(call);
}

void bus_call_discard(mac_call *call) {
    if (!call)
        return;
    call_forget(call);
    call_free(call);
}

static void call_end(mac_call *call, const mac_answer *answer) {
    mac_answer told = *answer;
    told.last = true;
    if (!told.subject)
        told.subject = call->subject;
    call_forget(call); /* before the callback, which may start the next one */
    call->callback(&told, call->data);
    call_free(call);
}

static void call_fail(mac_call *call, const mac_error *error) {
    mac_answer answer = {.error = error};
    call_end(call, &answer);
}

void mac_call_cancel(mac_call *call) {
    mac_autoptr(mac_error) error =
        mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "the call of %s was cancelled", call->subject);
    call_fail(call, error);
}

static void call_due(mac_call *call) {
    mac_autoptr(mac_error) error = mac_take(&call->error);
    if (!error)
        error = mac_error_new(MACULA__V1__ERROR_CODE__TIMED_OUT, NULL, "%s did not answer in time", call->subject);
    call_fail(call, error);
}

static void on_due(uv_timer_t *timer) {
    mac_bus *bus = timer->data;
    bus->calls.timer_due = 0;
    bus_turn_again(bus); /* as in bus_set_state */
    uint64_t now = uv_now(bus->loop);
    while (bus->calls.first && bus->calls.first->deadline <= now)
        call_due(bus->calls.first);
    arm_timer(bus);
}

void bus_calls_end(mac_bus *bus, const mac_error *error) {
    /* Callbacks may cancel other calls and start new ones; those are told of their own failure later. */
    uint64_t until = bus->calls.number;
    for (mac_call *call = bus->calls.first; call;) {
        if (call->number > until) {
            call = call->next;
            continue;
        }
        mac_autoptr(mac_error) own = mac_take(&call->error);
        call_fail(call, own ? own : error);
        call = bus->calls.first;
    }
}

bool bus_calls_refuse(mac_bus *bus, const char *subject) {
    for (mac_call *call = bus->calls.first; call; call = call->next) {
        if (!call->slot || call->answered || strcmp(call->subject, subject) != 0)
            continue;
        mac_autoptr(mac_error) error =
            mac_error_new(MACULA__V1__ERROR_CODE__DENIED, NULL,
                          "%s is not allowed for this connection: run as root or give --key", call->subject);
        call_fail(call, error);
        return true;
    }
    return false;
}

/* ---- answers ---- */

static void on_answer(mac_call *call, const bus_message *message) {
    const char *code = bus_header_get(message, BUS_ERROR_CODE), *text = bus_header_get(message, BUS_ERROR);
    bool is_protobuf = bus_is_protobuf(bus_header_get(message, BUS_CONTENT_TYPE));
    mac_answer answer = {
        .data = message->data, .length = message->length, .is_json = !is_protobuf, .subject = message->subject};
    mac_autoptr(mac_error) error = NULL;
    if (message->too_large) {
        error = mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                              "the answer of %s has %zu bytes: at most %u are read", call->subject, message->length,
                              MAC_BUS_PAYLOAD_MAX);
        answer.length = 0;
    } else if (code || text) {
        error = bus_decode_error(code, text, is_protobuf, answer.data, answer.length);
    }
    answer.error = error;
    call->answered = true;
    if (call->many)
        call->callback(&answer, call->data); /* may cancel the call */
    else
        call_end(call, &answer);
}

static void on_nobody(mac_call *call) {
    if (call->answered)
        return; /* forged: who is answered is served */
    mac_autoptr(mac_error) error =
        mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "nobody serves %s now", call->subject);
    call->answered = true; /* by the server: nothing else is under way */
    mac_answer answer = {.error = error, .unserved = true};
    call_end(call, &answer);
}

/* The call that a subject {inbox}.{slot}.{number} is for; NULL: none that waits. */
static mac_call *find_call(const mac_bus *bus, const char *subject) {
    const char *at = subject + strlen(bus->calls.inbox) + 1; /* the server has matched what stands before */
    char *end;
    uint64_t index = strtoull(at, &end, 10);
    if (end == at || *end != '.' || index >= bus->calls.slot_count)
        return NULL;
    const bus_slot *slot = bus->calls.slots[index];
    uint64_t number = strtoull(end + 1, &end, 10);
    return *end == '\0' && number == slot->number ? slot->call : NULL;
}

static void on_inbox(bus_source *source, const bus_message *message, void *data) {
    const mac_bus *bus = data;
    (void)source;
    if (!mac_starts_with(message->subject, bus->calls.inbox) || !message->subject[strlen(bus->calls.inbox)])
        return;
    mac_call *call = find_call(bus, message->subject);
    if (!call)
        return;
    if (bus_message_nobody(message))
        on_nobody(call);
    else
        on_answer(call, message);
}

void bus_calls_pong(mac_bus *bus) {
    if (bus->calls.pongs == bus->calls.pings)
        return; /* nobody has asked */
    uint64_t number = ++bus->calls.pongs;
    mac_call *call = bus->calls.first;
    while (call && call->ping != number)
        call = call->next;
    if (!call)
        return; /* it has ended meanwhile */
    mac_answer answer = {.data = "", .is_json = true};
    call_end(call, &answer);
}

/* ---- starting a call ---- */

static mac_call *call_new(mac_bus *bus, const char *subject, bool many, mac_answer_callback callback, void *data) {
    size_t length = strlen(subject) + 1;
    mac_call *call = mac_malloc(sizeof *call + length);
    *call = (mac_call){.bus = bus, .number = ++bus->calls.number, .callback = callback, .data = data, .many = many};
    memcpy(call->subject, subject, length);
    return call;
}

static mac_call *call_fail_later(mac_call *call, mac_error *error) {
    call->error = error;
    call->deadline = uv_now(call->bus->loop);
    list_add(call);
    return call;
}

static mac_error *not_sent(const mac_bus *bus, const char *subject, int r) {
    switch (-r) {
    case ENOTCONN:
        return mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL,
                             "not connected to the server at %s: is the node running?", bus->shown_url);
    case EMSGSIZE:
        return mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                             "the request for %s is too large: at most %u bytes", subject, MAC_BUS_PAYLOAD_MAX);
    case ENOBUFS:
        return mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL, "the server at %s takes messages too slowly",
                             bus->shown_url);
    case EBUSY:
        return mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                             "%d calls wait for an answer already: try again later", MAC_BUS_PENDING_MAX);
    default:
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "“%s” is not a subject", subject);
    }
}

/* The request has been sent (r is 0) or not. */
static mac_call *started(mac_call *call, int r, unsigned deadline_ms) {
    if (r < 0) {
        slot_release(call);
        call->slot = NULL;
        return call_fail_later(call, not_sent(call->bus, call->subject, r));
    }
    call->deadline = uv_now(call->bus->loop) + (deadline_ms ? deadline_ms : MAC_BUS_DEADLINE_MS);
    call->slot->call = call;
    list_add(call);
    return call;
}

/* {inbox}.{slot}.{number}; the name of the inbox is bounded, see name_token() */
static void reply_subject(const bus_slot *slot, char ret_subject[BUS_REPLY_MAX]) {
    char *to = stpcpy(ret_subject, slot->bus->calls.inbox);
    *to++ = '.';
    to = bus_put_number(to, slot->index);
    *to++ = '.';
    bus_put_number(to, slot->number);
}

mac_call *mac_bus_request(mac_bus *bus, const char *subject, const void *body, size_t length, bool is_protobuf,
                          bool many, unsigned deadline_ms, mac_answer_callback callback, void *data) {
    mac_call *call = call_new(bus, subject, many, callback, data);
    bool connected = bus->state == MAC_BUS_CONNECTED && bus_link_is_open(bus);
    call->slot = connected ? slot_take(bus) : NULL;
    if (!call->slot)
        return call_fail_later(call, not_sent(bus, subject, connected ? -EBUSY : -ENOTCONN));
    char reply[BUS_REPLY_MAX];
    reply_subject(call->slot, reply);
    const bus_header headers[] = {{BUS_CONTENT_TYPE, BUS_PROTOBUF}, {BUS_CALLER, bus->name}};
    size_t first = is_protobuf ? 0 : 1, end = bus->calls.plain_inbox ? 2 : 1; /* _SVC.{name}. says the name already */
    return started(call, bus_send(bus, subject, reply, body, length, headers + first, end - first), deadline_ms);
}

mac_call *bus_call_flush(mac_bus *bus, unsigned deadline_ms, mac_answer_callback callback, void *data) {
    mac_call *call = call_new(bus, "flush", false, callback, data);
    if (!bus_link_is_open(bus))
        return call_fail_later(call, not_sent(bus, call->subject, -ENOTCONN));
    if (bus->calls.pings - bus->calls.pongs >= MAC_BUS_PENDING_MAX)
        return call_fail_later(call, not_sent(bus, call->subject, -EBUSY));
    call->ping = ++bus->calls.pings;
    bus_wire_say(bus->wire, "PING");
    call->deadline = uv_now(bus->loop) + deadline_ms;
    list_add(call);
    return call;
}

mac_call *mac_bus_flush(mac_bus *bus, mac_answer_callback callback, void *data) {
    if (bus->state != MAC_BUS_CONNECTED)
        return call_fail_later(call_new(bus, "flush", false, callback, data), not_sent(bus, "flush", -ENOTCONN));
    return bus_call_flush(bus, MAC_BUS_DEADLINE_MS, callback, data);
}

mac_call *mac_bus_pause(mac_bus *bus, unsigned ms, mac_answer_callback callback, void *data) {
    mac_call *call = call_new(bus, "pause", false, callback, data);
    call->deadline = uv_now(bus->loop) + ms;
    list_add(call);
    return call;
}

/* ---- life ---- */

void bus_calls_init(mac_bus *bus) {
    bus->calls.plain_inbox = bus->calls.plain_first;
    uv_timer_init(bus->loop, &bus->calls.timer);
    bus->calls.timer.data = bus;
}

void bus_calls_connect(mac_bus *bus) {
    bus_calls *calls = &bus->calls;
    calls->inbox = mac_asprintf("%s.%s.%s", calls->plain_inbox ? "_INBOX" : "_SVC", bus->name, bus->nonce);
    mac_autofree char *all = mac_asprintf("%s.>", calls->inbox);
    calls->source = bus_source_new(bus, all, NULL, on_inbox, bus);
}

void bus_calls_disconnect(mac_bus *bus) {
    bus_source_free(mac_take(&bus->calls.source));
    free(mac_take(&bus->calls.inbox)); /* the next connection may need the other kind */
}

void bus_calls_deinit(mac_bus *bus) {
    bus_calls_disconnect(bus);
    for (unsigned i = 0; i < bus->calls.slot_count; i++)
        free(bus->calls.slots[i]);
}
