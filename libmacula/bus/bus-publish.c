/* Sending, events, subscriptions. */
#include "bus-internal.h"

#include <errno.h>
#include <string.h>

#include "codec/mac-codec.h"

/* A subject goes into the protocol as it is: what is not one token after the other would be another command. */
static bool subject_sound(const char *subject) {
    if (!subject)
        return false;
    unsigned char before = '.';
    for (const unsigned char *c = (const unsigned char *)subject; *c; before = *c++)
        if (*c <= ' ' || *c == 0x7f || (*c == '.' && before == '.'))
            return false;
    return before != '.';
}

static int publish(mac_bus *bus, const char *subject, const char *reply, const void *data, size_t length,
                   const bus_header *headers, size_t header_count) {
    mac_buffer *out = &bus->wire->out;
    size_t before = out->length;
    size_t bounded = bus_frame_append(out, subject, reply, data, length, headers, header_count);
    if (bounded > bus->wire->max_payload) {
        out->length = before;
        return -EMSGSIZE;
    }
    bus->out_bytes += bounded;
    bus->sent_bytes += out->length - before;
    return 0;
}

/* Whether anything can be sent now. */
static int check_wire(const mac_bus *bus) {
    if (!bus_link_is_open(bus))
        return -ENOTCONN;
    return bus_wire_backlog(bus->wire) > BUS_OUT_MAX_BYTES ? -ENOBUFS : 0;
}

int bus_send_unserved(mac_bus *bus, const char *reply) {
    static const char status[] = "NATS/1.0 503\r\n\r\n";
    int r = subject_sound(reply) ? check_wire(bus) : -EINVAL;
    if (r < 0)
        return r;
    size_t length = sizeof status - 1, before = bus->wire->out.length;
    mac_buffer_printf(&bus->wire->out, "HPUB %s %zu %zu\r\n%s\r\n", reply, length, length, status);
    bus->out_bytes += length;
    bus->sent_bytes += bus->wire->out.length - before;
    return 0;
}

int bus_send(mac_bus *bus, const char *subject, const char *reply, const void *data, size_t length,
             const bus_header *headers, size_t header_count) {
    if (!subject_sound(subject) || (reply && !subject_sound(reply)))
        return -EINVAL;
    if (length > MAC_BUS_PAYLOAD_MAX)
        return -EMSGSIZE;
    int r = check_wire(bus);
    if (r < 0)
        return r;
    r = publish(bus, subject, reply, data, length, headers, header_count);
    if (bus->out_bytes > BUS_OUT_FLUSH_BYTES)
        bus_wire_flush(bus);
    return r;
}

const void *bus_pack(mac_bus *bus, const ProtobufCMessage *message, size_t *ret_length) {
    size_t length = protobuf_c_message_get_packed_size(message);
    if (length > bus->scratch.capacity) {
        bus->scratch.data = mac_realloc(bus->scratch.data, length);
        bus->scratch.capacity = length;
    }
    *ret_length = protobuf_c_message_pack(message, (uint8_t *)bus->scratch.data);
    return bus->scratch.data ? bus->scratch.data : "";
}

/* ---- events ---- */

int mac_bus_publish_raw(mac_bus *bus, const char *subject, const void *data, size_t length, const char *content_type) {
    const bus_header header = {BUS_CONTENT_TYPE, content_type};
    return bus_send(bus, subject, NULL, data, length, &header, content_type ? 1 : 0);
}

int mac_bus_publish(mac_bus *bus, const char *topic, const ProtobufCMessage *event) {
    if (!bus_link_is_open(bus))
        return -ENOTCONN;
    mac_autofree char *subject = mac_asprintf("macula.pub.%s.%s", bus->realm, topic);
    size_t length;
    const void *packed = bus_pack(bus, event, &length);
    int r = mac_bus_publish_raw(bus, subject, packed, length, BUS_PROTOBUF);
    if (r < 0)
        return r;
    mac_autofree char *readable = mac_asprintf("macula.sub.%s.%s", bus->realm, topic);
    mac_autofree char *json = mac_codec_to_json(event, MAC_CODEC_MASK, &length);
    return mac_bus_publish_raw(bus, readable, json, length, BUS_JSON);
}

/* ---- subscriptions ---- */

struct mac_subscription {
    mac_bus *bus; /* NULL: closed meanwhile */
    mac_subscription *next, *previous;
    bus_source *source;
    void (*callback)(const mac_event *event, void *data);
    void *data;
    bool kept; /* somebody holds it and will unsubscribe */
};

static void on_event(bus_source *source, const bus_message *message, void *data) {
    mac_subscription *subscription = data;
    if (message->too_large) {
        bus_source_dropped(source);
        return;
    }
    if (source->bus->closing)
        return;
    mac_autofree char *caller =
        bus_caller(bus_header_get(message, BUS_REQUEST_INFO), bus_header_get(message, BUS_CALLER), message->reply);
    mac_event event = {.subject = message->subject,
                       .data = message->data,
                       .length = message->length,
                       .is_protobuf = bus_is_protobuf(bus_header_get(message, BUS_CONTENT_TYPE)),
                       .reply = message->reply,
                       .caller = caller};
    subscription->callback(&event, subscription->data); /* may end the subscription */
}

static void unlink_subscription(mac_subscription *subscription) {
    if (subscription->next)
        subscription->next->previous = subscription->previous;
    if (subscription->previous)
        subscription->previous->next = subscription->next;
    else
        subscription->bus->subscriptions = subscription->next;
}

int mac_bus_subscribe(mac_bus *bus, const char *subject, void (*callback)(const mac_event *event, void *data),
                      void *data, mac_subscription **ret_subscription) {
    if (!subject_sound(subject))
        return -EINVAL;
    mac_subscription *subscription = mac_calloc(1, sizeof *subscription);
    *subscription = (mac_subscription){
        .bus = bus, .next = bus->subscriptions, .callback = callback, .data = data, .kept = ret_subscription != NULL};
    if (subscription->next)
        subscription->next->previous = subscription;
    bus->subscriptions = subscription;
    subscription->source = bus_source_new(bus, subject, NULL, on_event, subscription);
    if (ret_subscription)
        *ret_subscription = subscription;
    return 0;
}

void mac_bus_unsubscribe(mac_subscription *subscription) {
    if (!subscription)
        return;
    if (subscription->bus) {
        unlink_subscription(subscription);
        bus_source_free(subscription->source);
    }
    free(subscription);
}

void bus_subscriptions_deinit(mac_bus *bus) {
    mac_subscription *next;
    for (mac_subscription *subscription = mac_take(&bus->subscriptions); subscription; subscription = next) {
        next = subscription->next;
        bus_source_free(subscription->source);
        subscription->bus = NULL;
        if (!subscription->kept)
            free(subscription);
    }
}
