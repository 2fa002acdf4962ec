#include "test-bus-transcript.h"

#include <inttypes.h>
#include <string.h>

static void put_headers(mac_buffer *out, const bus_message *message) {
    for (size_t i = 0; i < message->headers_length; i += strlen(message->headers + i) + 1)
        if (message->headers[i])
            mac_buffer_printf(out, " [%s]", message->headers + i);
}

static void put_message(mac_buffer *out, const bus_item *item) {
    const bus_message *message = &item->message;
    mac_autofree bus_message *copy = bus_message_copy(message); /* says the same */
    mac_buffer_printf(out, "%" PRIu64 " %s %s", item->sid, copy->subject, copy->reply ? copy->reply : "-");
    if (message->status)
        mac_buffer_printf(out, " status %u%s", message->status, bus_message_nobody(message) ? " nobody" : "");
    put_headers(out, copy);
    if (message->too_large)
        mac_buffer_printf(out, " too large: %zu", message->length);
    else
        mac_buffer_text(out, " = ");
    if (!message->too_large)
        mac_buffer_escaped(out, copy->data, copy->length);
    if (copy->data[message->too_large ? 0 : copy->length] || message->data[message->too_large ? 0 : message->length])
        abort();
}

static void put_item(mac_buffer *out, bus_op op, const bus_item *item) {
    static const char *const names[] = {
        [BUS_OP_MORE] = "more", [BUS_OP_SKIP] = "skip", [BUS_OP_MESSAGE] = "message", [BUS_OP_PING] = "ping",
        [BUS_OP_PONG] = "pong", [BUS_OP_INFO] = "info", [BUS_OP_ERROR] = "error",     [BUS_OP_BROKEN] = "broken"};
    mac_buffer_text(out, names[op]);
    mac_buffer_text(out, " ");
    if (op == BUS_OP_MESSAGE)
        put_message(out, item);
    else if (item->text)
        mac_buffer_text(out, item->text);
    mac_buffer_text(out, "\n");
}

char *test_transcript(const char *bytes, size_t length, size_t cut, size_t piece) {
    bus_protocol protocol = {0};
    mac_buffer out = {0};
    mac_buffer_text(&out, "");
    size_t fed = 0, used_up = 0;
    bool broken = false;
    char *there = mac_malloc(1);
    while (!broken && fed < length) {
        size_t next = fed < cut ? cut - fed : piece, held = fed - used_up;
        next = next < length - fed ? next : length - fed;
        char *more = mac_malloc(held + next ? held + next : 1);
        memcpy(more, there, held);
        memcpy(more + held, bytes + fed, next);
        free(there);
        there = more;
        fed += next;
        held += next;
        size_t at = 0, used;
        bus_item item;
        bus_op op;
        do {
            op = bus_protocol_next(&protocol, there + at, held - at, &used, &item);
            at += used;
            if (used > held || (op == BUS_OP_MORE) != (used == 0 && op != BUS_OP_BROKEN) ||
                (op == BUS_OP_MORE && protocol.needed <= held - at && held > at))
                abort();
            if (op != BUS_OP_MORE && op != BUS_OP_SKIP)
                put_item(&out, op, &item);
        } while (op != BUS_OP_MORE && op != BUS_OP_BROKEN);
        broken = op == BUS_OP_BROKEN;
        memmove(there, there + at, held - at);
        used_up += at;
    }
    free(there);
    return mac_buffer_take(&out);
}
