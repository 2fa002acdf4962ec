/* A request, from its arrival to its one answer.
 *
 * Requests live in a pool that is used first-in-first-out, so that the second answer of a handler finds a request that
 * is marked free (and asserts, or is ignored in a release build) rather than freed memory. */
#include "bus-internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "codec/mac-codec.h"
#include "log/mac-log.h"

/* ---- the pool ---- */

mac_request *bus_request_new(mac_bus *bus, const bus_message *message, bus_method *method) {
    bus_requests *requests = &bus->requests;
    mac_request *request = requests->pool_first;
    if (request) {
        requests->pool_first = request->next;
        if (!requests->pool_first)
            requests->pool_last = NULL;
    } else {
        request = mac_malloc(sizeof *request);
    }
    *request = (mac_request){.state = BUS_REQUEST_OPEN,
                             .bus = bus,
                             .next = requests->open,
                             .message = bus_message_copy(message),
                             .method = method,
                             .started = uv_hrtime()};
    if (request->next)
        request->next->previous = request;
    requests->open = request;
    request->content_type = bus_header_get(request->message, BUS_CONTENT_TYPE);
    request->is_protobuf = bus_is_protobuf(request->content_type);
    request->workload = bus_lane_is_for(message);
    return request;
}

static void request_deinit(mac_request *request) {
    free(mac_take(&request->message));
    if (request->input)
        protobuf_c_message_free_unpacked(mac_take(&request->input), NULL);
    free(mac_take(&request->caller));
}

static void unlink_open(bus_requests *requests, mac_request *request) {
    if (request->previous)
        request->previous->next = request->next;
    else
        requests->open = request->next;
    if (request->next)
        request->next->previous = request->previous;
    if (!request->in_flight)
        return;
    requests->in_flight--;
    requests->workloads -= request->workload;
    if (request->workload && bus_lanes_wait(request->bus))
        bus_turn_again(request->bus); /* the lanes may have waited for this */
}

static void to_pool(mac_request *request) {
    bus_requests *requests = &request->bus->requests;
    unlink_open(requests, request);
    request_deinit(request);
    request->state = BUS_REQUEST_FREE;
    request->next = request->previous = NULL;
    *(requests->pool_last ? &requests->pool_last->next : &requests->pool_first) = request;
    requests->pool_last = request;
}

/* ---- the answer ---- */

/* Whether the handler may answer now. */
static bool may_answer(mac_request *request) {
    if (request->state == BUS_REQUEST_OPEN)
        return true;
    if (request->state == BUS_REQUEST_ORPHAN) {
        request_deinit(request);
        free(request);
        return false;
    }
    assert(false && "a handler answered twice");
    return false;
}

/* Whether the service has failed. What the caller did wrong, and that there was nothing to do, are answers like others:
 * they say nothing of how the service is. */
static bool is_failure(Macula__V1__ErrorCode outcome) {
    switch (outcome) {
    case MACULA__V1__ERROR_CODE__UNAVAILABLE:
    case MACULA__V1__ERROR_CODE__TIMED_OUT:
    case MACULA__V1__ERROR_CODE__EXHAUSTED:
    case MACULA__V1__ERROR_CODE__ROLLED_BACK:
    case MACULA__V1__ERROR_CODE__INTERNAL:
        return true;
    case MACULA__V1__ERROR_CODE__OK:
    case MACULA__V1__ERROR_CODE__INVALID:
    case MACULA__V1__ERROR_CODE__NOT_FOUND:
    case MACULA__V1__ERROR_CODE__CONFLICT:
    case MACULA__V1__ERROR_CODE__DENIED:
    case MACULA__V1__ERROR_CODE__REJECTED:
    case MACULA__V1__ERROR_CODE__CANCELLED:
    case MACULA__V1__ERROR_CODE__NOTHING_TO_DO:
    case MACULA__V1__ERROR_CODE__UNSUPPORTED:
    case _MACULA__V1__ERROR_CODE_IS_INT_SIZE:
        break;
    }
    return false;
}

static void count(mac_request *request, Macula__V1__ErrorCode outcome, const char *why) {
    bus_method *method = request->method;
    if (!method)
        return;
    method->requests++;
    method->nanoseconds += uv_hrtime() - request->started;
    if (!is_failure(outcome))
        return;
    method->errors++;
    char line[BUS_HEADER_TEXT_MAX + 1];
    bus_header_text(why, line);
    free(method->last_error);
    method->last_error = mac_asprintf("%u:%s", mac_error_http(outcome), line);
}

static void account(mac_request *request, Macula__V1__ErrorCode outcome, const char *why) {
    count(request, outcome, why);
    const bus_method *method = request->method;
    if (method && method->control)
        bus_audit(request->bus, method->owner->name, method->procedure, mac_request_caller(request), request->input,
                  false, outcome);
}

static void finish(mac_request *request, Macula__V1__ErrorCode outcome, const char *why) {
    account(request, outcome, why);
    to_pool(request);
}

/* The body is in the caller's encoding. */
static int reply(mac_request *request, const void *data, size_t length, const char *error_code,
                 const char *error_text) {
    const bus_header headers[] = {{BUS_CONTENT_TYPE, request->is_protobuf ? BUS_PROTOBUF : BUS_JSON},
                                  {BUS_ERROR_CODE, error_code},
                                  {BUS_ERROR, error_text}};
    mac_bus *bus = request->bus;
    size_t before = bus->sent_bytes;
    int r = bus_send(bus, request->message->reply, NULL, data, length, headers, error_code ? 3 : 1);
    if (request->workload && !bus_lane_serving(bus))
        bus_lane_sent(bus, bus->sent_bytes - before);
    return r;
}

static int reply_message(mac_request *request, const ProtobufCMessage *message, const char *error_code,
                         const char *error_text) {
    size_t length;
    if (request->is_protobuf) {
        const void *packed = bus_pack(request->bus, message, &length);
        return reply(request, packed, length, error_code, error_text);
    }
    mac_autofree char *json = mac_codec_to_json(message, 0, &length);
    return reply(request, json, length, error_code, error_text);
}

static const char *error_text(const mac_error *error) {
    return error->message ? error->message : mac_error_name(error->code);
}

/* Said once in a while: many cannot be sent at a time. */
static void log_unsent(const mac_request *request, int r) {
    if (r >= 0 || r == -ENOTCONN) /* without a connection nobody waits any more */
        return;
    bus_requests *requests = &request->bus->requests;
    uint64_t now = uv_now(request->bus->loop);
    requests->unsent++;
    if (requests->told_unsent && now - requests->told_unsent < BUS_DROPPED_TOLD_MS)
        return;
    mac_log_warning("answers could not be sent", "count=%llu last=%s error=" MAC_LOG_Q("%s"),
                    (unsigned long long)requests->unsent, mac_request_subject(request), strerror(-r));
    requests->told_unsent = now ? now : 1;
    requests->unsent = 0;
}

static void send_error(mac_request *request, const mac_error *error) {
    Macula__V1__Error *wire = mac_error_to_wire(error);
    char code[12], line[BUS_HEADER_TEXT_MAX + 1];
    snprintf(code, sizeof code, "%u", mac_error_http(error->code));
    bus_header_text(error_text(error), line);
    int r = reply_message(request, &wire->base, code, line);
    if (r == -EMSGSIZE) /* too many details */
        r = reply(request, "", 0, code, line);
    macula__v1__error__free_unpacked(wire, NULL);
    log_unsent(request, r);
}

void mac_request_fail_error(mac_request *request, mac_error *error) {
    mac_autoptr(mac_error) owned = error;
    if (!may_answer(request))
        return;
    send_error(request, owned);
    finish(request, owned->code, error_text(owned));
}

void mac_request_fail(mac_request *request, Macula__V1__ErrorCode code, const char *path, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    mac_autofree char *text = mac_vasprintf(format, arguments);
    va_end(arguments);
    mac_request_fail_error(request, mac_error_new(code, path, "%s", text));
}

void mac_request_answer(mac_request *request, const ProtobufCMessage *message) {
    if (!may_answer(request))
        return;
    int r = reply_message(request, message, NULL, NULL);
    if (r == -EMSGSIZE) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                         "the answer of %s is larger than the server's max_payload: ask for less",
                         mac_request_procedure(request));
        return;
    }
    log_unsent(request, r);
    finish(request, MACULA__V1__ERROR_CODE__OK, NULL);
}

/* What handlers call through protobuf-c. */
static void closure(const ProtobufCMessage *message, void *closure_data) {
    mac_request *request = closure_data;
    if (message)
        mac_request_answer(request, message);
    else
        mac_request_fail(request, MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                         "%s ended without an answer: this is a bug of the service",
                         request->state == BUS_REQUEST_OPEN ? mac_request_procedure(request) : "the procedure");
}

void bus_request_drop(mac_request *request, Macula__V1__ErrorCode outcome, const char *why) {
    finish(request, outcome, why);
}

/* ---- the way to the handler ---- */

bool bus_request_accept_reply(mac_request *request) {
    const char *reply_to = request->message->reply;
    if (reply_to && mac_bus_is_inbox(reply_to))
        return true;
    if (!reply_to || !*reply_to) {
        bus_request_drop(request, MACULA__V1__ERROR_CODE__INVALID,
                         "the request names no reply subject: nothing was done");
        return false;
    }
    if (!request->bus->requests.reply_trick_logged)
        mac_log_warning("a request was refused because its answer would go to something else than an inbox (said once)",
                        "subject=%s reply=" MAC_LOG_Q("%s"), mac_request_subject(request), reply_to);
    request->bus->requests.reply_trick_logged = true;
    bus_request_drop(request, MACULA__V1__ERROR_CODE__DENIED, "the reply subject is not an inbox: nothing was done");
    return false;
}

bool bus_request_take_on(mac_request *request) {
    mac_bus *bus = request->bus;
    if (bus->closing) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "%s is stopping", bus->name);
        return false;
    }
    if (bus->requests.in_flight >= MAC_BUS_INFLIGHT_MAX) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                         "%s handles %d requests already: try again later", bus->name, MAC_BUS_INFLIGHT_MAX);
        return false;
    }
    request->in_flight = true;
    bus->requests.in_flight++;
    bus->requests.workloads += request->workload;
    return true;
}

void bus_request_invoke(mac_request *request) {
    const bus_method *method = request->method;
    /* 1. take it on */
    if (!bus_request_take_on(request))
        return;
    /* 2. read it */
    mac_error *error = NULL;
    if (bus_decode_request(method->descriptor->input, request->content_type, request->message->data,
                           request->message->length, &request->is_protobuf, &request->input, &error) < 0) {
        mac_request_fail_error(request, error);
        return;
    }
    /* 3. hand it over; the handler answers now or later */
    method->service->invoke(method->service, method->index, request->input, closure, request);
}

/* ---- what a handler may ask ---- */

mac_request *mac_request_from(void *closure_data) {
    return closure_data;
}

const ProtobufCMessage *mac_request_input(const mac_request *request) {
    return request->input;
}

mac_bus *mac_request_bus(const mac_request *request) {
    return request->bus;
}

const char *mac_request_caller(const mac_request *request) {
    if (!request->caller) {
        mac_request *mutable = (mac_request *)request; /* found out when first asked */
        mutable->caller = bus_caller(bus_header_get(request->message, BUS_REQUEST_INFO),
                                     bus_header_get(request->message, BUS_CALLER), request->message->reply);
    }
    return request->caller;
}

bool mac_request_is_workload(const mac_request *request) {
    /* The server's reply subject says so, too, where its report cannot be read. */
    return bus_lane_is_for(request->message) || bus_is_workload(bus_header_get(request->message, BUS_REQUEST_INFO));
}

const char *mac_request_procedure(const mac_request *request) {
    return request->method ? request->method->procedure : mac_request_subject(request);
}

const void *mac_request_body(const mac_request *request, size_t *ret_length) {
    *ret_length = request->message->length;
    return request->message->data;
}

const char *mac_request_subject(const mac_request *request) {
    return request->message->subject;
}

/* ---- the end of the bus ---- */

void bus_requests_abandon(mac_bus *bus) {
    mac_autoptr(mac_error) error =
        mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "%s stopped before it had an answer", bus->name);
    for (mac_request *next, *request = bus->requests.open; request; request = next) {
        next = request->next;
        send_error(request, error);
        account(request, error->code, error->message);
        unlink_open(&bus->requests, request);
        /* Its handler still holds it, and the input: the handler's answer frees it. */
        (void)mac_request_caller(request);
        request->state = BUS_REQUEST_ORPHAN;
        request->bus = NULL;
        request->method = NULL;
    }
}

void bus_requests_deinit(mac_bus *bus) {
    mac_request *next;
    for (mac_request *request = mac_take(&bus->requests.pool_first); request; request = next) {
        next = request->next;
        free(request);
    }
}
