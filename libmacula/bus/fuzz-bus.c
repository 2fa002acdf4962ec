/* What comes over the bus before a handler sees it: the method of a subject, bodies in both encodings, errors of
 * strangers, what the server tells of a client and of refusals. An input is lines: what it is and which message, a
 * subject, a header, then the body. */
#include <string.h>

#include "bus-internal.h"
#include "codec/mac-codec.h"
#include "macula/v1/audit.pb-c.h"
#include "macula/v1/config.pb-c.h"
#include "macula/v1/discover.pb-c.h"
#include "macula/v1/node.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const types[] = {
    &macula__v1__config_apply_request__descriptor, &macula__v1__config_set_request__descriptor,
    &macula__v1__participant_request__descriptor,  &macula__v1__power_request__descriptor,
    &macula__v1__audit_event__descriptor,          &macula__v1__discover_answer__descriptor,
};

/* Cuts the next line off; caller frees. */
static char *next_line(const char **text, size_t *length) {
    const char *end = memchr(*text, '\n', *length);
    size_t line = end ? (size_t)(end - *text) : *length;
    char *copy = mac_strndup(*text, line);
    *text += end ? line + 1 : line;
    *length -= end ? line + 1 : line;
    return copy;
}

/* Whatever was understood can be sent back, and is understood again. */
static void send_back(const ProtobufCMessage *message) {
    size_t length;
    mac_autofree char *json = mac_codec_to_json(message, 0, &length);
    mac_autofree void *packed = mac_codec_pack(message, &length);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    ProtobufCMessage *again = NULL;
    if (!json || mac_codec_unpack(message->descriptor, packed ? packed : "", length, problems, &again) < 0)
        abort();
    protobuf_c_message_free_unpacked(again, NULL);
}

static void request(const ProtobufCMessageDescriptor *type, const char *subject, const char *header, const char *body,
                    size_t length) {
    bool is_protobuf;
    ProtobufCMessage *message = NULL;
    mac_autoptr(mac_error) error = NULL;
    (void)bus_method_part(subject, "macula.rpc.io.macula.config");
    (void)mac_bus_is_inbox(subject);
    if (bus_decode_request(type, header, body, length, &is_protobuf, &message, &error) == 0) {
        if (error || !message || message->descriptor != type)
            abort();
        send_back(message);
        protobuf_c_message_free_unpacked(message, NULL);
        return;
    }
    if (!error || !error->message)
        abort();
    char line[BUS_HEADER_TEXT_MAX + 1];
    bus_header_text(error->message, line);
    if (strpbrk(line, "\r\n") || !mac_utf8_valid(line, strlen(line)))
        abort();
}

static void strangers_error(const char *code, const char *text, const char *body, size_t length, bool is_protobuf) {
    mac_autoptr(mac_error) error = bus_decode_error(code, text, is_protobuf, body, length);
    if (!error)
        abort();
    Macula__V1__Error *wire = mac_error_to_wire(error);
    macula__v1__error__free_unpacked(wire, NULL);
}

static void caller(const char *said, const char *reply, const char *info) {
    mac_autofree char *imported = bus_caller(info, said, reply), *own = bus_caller(NULL, said, reply);
    /* Only the server can make somebody a workload, and nobody else. */
    if (!mac_starts_with(imported, "workload") || mac_starts_with(own, "workload "))
        abort();
}

static void violation(const char *text) {
    bool publish;
    char *subject = NULL;
    if (!bus_violation_parse(text, &publish, &subject))
        return;
    if (!*subject)
        abort();
    free(subject);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    size_t length = size;
    mac_autofree char *what = next_line(&text, &length), *subject = next_line(&text, &length),
                      *header = next_line(&text, &length), *body = mac_strndup(text, length);
    switch (what[0]) {
    case 'r':
        request(types[(unsigned char)what[1] % MAC_ARRAY_SIZE(types)], subject, header, text, length);
        break;
    case 'e':
        strangers_error(header, subject, text, length, what[1] == 'p');
        break;
    case 'c':
        caller(header, subject, body);
        break;
    case 'v':
        violation(body);
        break;
    case 'm':
        (void)mac_bus_subject_matches(subject, header);
        break;
    }
    return 0;
}
