/* Message → JSON text, straight from the structs of protobuf-c. */
#include <inttypes.h>
#include <string.h>

#include "codec/codec-internal.h"

typedef struct printer {
    mac_buffer *out;
    unsigned flags;
    unsigned hidden; /* inside of something that flags hide */
    bool logins;     /* in a field whose URLs are shown without their login */
} printer;

/* Types whose defaults are being printed though the message is not there: a recursive type must not go on for ever. */
typedef struct chain {
    const struct chain *up;
    const ProtobufCMessageDescriptor *type;
} chain;

static void print_message(printer *to, const ProtobufCMessage *message, const ProtobufCMessageDescriptor *type,
                          const chain *defaults);

static const void *member_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field) {
    return (const char *)message + field->offset;
}

static size_t count_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field) {
    return *(const size_t *)(const void *)((const char *)message + field->quantifier_offset);
}

static size_t size_of(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    default:
        return 4;
    }
}

/* Whether a field that is no list is set. */
static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field) {
    const void *member = member_of(message, field);
    const char *quantifier = (const char *)message + field->quantifier_offset;
    bool is_pointer = field->type == PROTOBUF_C_TYPE_STRING || codec_is_message(field);
    const void *pointer = is_pointer ? *(const void *const *)member : NULL;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)(const void *)quantifier == field->id && (!is_pointer || pointer);
    if (is_pointer)
        return pointer && (field->label == PROTOBUF_C_LABEL_REQUIRED || pointer != field->default_value);
    return field->label == PROTOBUF_C_LABEL_REQUIRED || *(const protobuf_c_boolean *)(const void *)quantifier;
}

static void print_escaped(mac_buffer *out, const char *text, size_t length) {
    static const char short_forms[] = "btn\0fr"; /* 0x08 … 0x0d */
    size_t kept = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        mac_buffer_append(out, text + kept, i - kept);
        kept = i + 1;
        if (c >= 0x20)
            mac_buffer_append(out, (char[]){'\\', (char)c}, 2);
        else if (c >= 8 && c <= 13 && c != 11)
            mac_buffer_append(out, (char[]){'\\', short_forms[c - 8]}, 2);
        else
            mac_buffer_printf(out, "\\u%04x", c);
    }
    mac_buffer_append(out, text + kept, length - kept);
}

/* Text in quotes. A program may have put bytes into a message that are no text: each becomes U+FFFD. */
static void print_text(mac_buffer *out, const char *text) {
    size_t length = strlen(text);
    mac_buffer_append(out, "\"", 1);
    if (mac_utf8_valid(text, length)) {
        print_escaped(out, text, length);
    } else {
        for (size_t i = 0; i < length;) {
            size_t step = 1;
            while (step < 4 && i + step < length && ((unsigned char)text[i + step] & 0xc0) == 0x80)
                step++;
            if (mac_utf8_valid(text + i, step)) {
                print_escaped(out, text + i, step);
            } else {
                mac_buffer_text(out, "\xef\xbf\xbd");
                step = 1;
            }
            i += step;
        }
    }
    mac_buffer_append(out, "\"", 1);
}

static void print_integer(mac_buffer *out, bool is_signed, uint64_t bits) {
    char text[32];
    bool negative = is_signed && (int64_t)bits < 0;
    uint64_t magnitude = negative ? 0 - bits : bits;
    const char *quote = magnitude > (uint64_t)CODEC_EXACT_MAX ? "\"" : "";
    char *p = text + sizeof text;
    do
        *--p = (char)('0' + magnitude % 10);
    while (magnitude /= 10);
    if (negative)
        *--p = '-';
    mac_buffer_text(out, quote);
    mac_buffer_append(out, p, (size_t)(text + sizeof text - p));
    mac_buffer_text(out, quote);
}

static void print_real(mac_buffer *out, double value, bool is_float) {
    char text[CODEC_REAL_SIZE];
    codec_real_text(value, is_float, text);
    bool is_word = text[strcspn(text, "Ny")] != '\0'; /* NaN, Infinity */
    if (is_word)
        mac_buffer_printf(out, "\"%s\"", text);
    else
        mac_buffer_text(out, text);
}

static void print_enum(mac_buffer *out, const ProtobufCFieldDescriptor *field, int32_t number) {
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(field->descriptor, number);
    if (value)
        mac_buffer_printf(out, "\"%s\"", value->name);
    else
        mac_buffer_printf(out, "%d", (int)number);
}

static void print_bytes(mac_buffer *out, const void *data, size_t length) {
    mac_autofree char *text = codec_base64_encode(data, length);
    mac_buffer_append(out, "\"", 1);
    mac_buffer_text(out, text);
    mac_buffer_append(out, "\"", 1);
}

static void print_hidden(printer *to, const ProtobufCFieldDescriptor *field) {
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        print_bytes(to->out, MAC_CODEC_MASKED, strlen(MAC_CODEC_MASKED));
    else
        print_text(to->out, MAC_CODEC_MASKED);
}

/* One scalar at `member`. */
/* A text, or a URL whose login is not shown. */
static void print_url(mac_buffer *out, const char *text, bool hide_login) {
    mac_autofree char *shown = hide_login && strchr(text, '@') ? mac_hide_logins(text) : NULL;
    print_text(out, shown ? shown : text);
}

static void print_scalar(printer *to, const ProtobufCFieldDescriptor *field, const void *member) {
    const ProtobufCBinaryData *binary = member;
    const char *text;
    mac_buffer *out = to->out;
    if (to->hidden) {
        print_hidden(to, field);
        return;
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        /* The default of a text field is the text itself, not a pointer to it. */
        text = member == field->default_value ? member : *(const char *const *)member;
        print_url(out, text ? text : "", to->logins);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        print_bytes(out, binary->data, binary->len);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        mac_buffer_text(out, *(const protobuf_c_boolean *)member ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        print_enum(out, field, *(const int32_t *)member);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        print_real(out, (double)*(const float *)member, true);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        print_real(out, *(const double *)member, false);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        print_integer(out, false, *(const uint32_t *)member);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        print_integer(out, false, *(const uint64_t *)member);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        print_integer(out, true, *(const uint64_t *)member);
        break;
    default:
        print_integer(out, true, (uint64_t) * (const int32_t *)member);
        break;
    }
}

static void print_value(printer *to, const ProtobufCFieldDescriptor *field, const void *member) {
    if (codec_is_message(field))
        print_message(to, *(const ProtobufCMessage *const *)member, field->descriptor, NULL);
    else
        print_scalar(to, field, member);
}

static void print_key(mac_buffer *out, const ProtobufCFieldDescriptor *key, const ProtobufCMessage *entry) {
    mac_autobuffer text = {0};
    printer plain = {.out = &text};
    print_scalar(&plain, key, member_of(entry, key));
    bool is_quoted = text.data[0] == '"'; /* text, and integers beyond 2^53 */
    mac_buffer_printf(out, is_quoted ? "%s" : "\"%s\"", text.data);
}

/* The value of a map entry: also when the entry does not say it, as other programs may leave defaults out. */
static void print_entry(printer *to, const ProtobufCFieldDescriptor *field, const ProtobufCMessage *entry) {
    const ProtobufCFieldDescriptor *value = codec_map_value(field);
    print_key(to->out, codec_map_key(field), entry);
    mac_buffer_append(to->out, ":", 1);
    if (codec_is_message(value) && !is_set(entry, value))
        mac_buffer_text(to->out, "{}");
    else
        print_value(to, value, member_of(entry, value));
}

static void print_list(printer *to, const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message) {
    const char *items = *(const char *const *)member_of(message, field);
    mac_buffer_append(to->out, "[", 1);
    for (size_t i = 0, count = count_of(message, field); i < count; i++) {
        if (i)
            mac_buffer_append(to->out, ",", 1);
        print_value(to, field, items + i * size_of(field->type));
    }
    mac_buffer_append(to->out, "]", 1);
}

/* Of entries with the same key the last one counts; JSON may have each key once. */
static void print_map(printer *to, const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message) {
    const ProtobufCMessage *const *entries = *(const ProtobufCMessage *const *const *)member_of(message, field);
    size_t count = count_of(message, field);
    mac_autoptr(json_t) last = json_object();
    for (size_t i = 0; i < count && count > 1; i++) {
        mac_autobuffer key = {0};
        print_key(&key, codec_map_key(field), entries[i]);
        json_object_set_new(last, key.data, json_integer((json_int_t)i));
    }
    bool first = true;
    mac_buffer_append(to->out, "{", 1);
    for (size_t i = 0; i < count; i++) {
        mac_autobuffer key = {0};
        if (count > 1)
            print_key(&key, codec_map_key(field), entries[i]);
        if (count > 1 && json_integer_value(json_object_get(last, key.data)) != (json_int_t)i)
            continue;
        if (!first)
            mac_buffer_append(to->out, ",", 1);
        first = false;
        print_entry(to, field, entries[i]);
    }
    mac_buffer_append(to->out, "}", 1);
}

/* Whether a message that is not there has something to show: a declared default in it or below. */
static bool has_defaults(const ProtobufCMessageDescriptor *type, const chain *up) {
    for (const chain *above = up; above; above = above->up)
        if (above->type == type)
            return false;
    chain here = {up, type};
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (codec_is_list(field) || (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
            continue;
        if (field->default_value || (codec_is_message(field) && has_defaults(field->descriptor, &here)))
            return true;
    }
    return false;
}

/* What of a hidden message is shown at all: numbers and words cannot be masked and are left out. */
static bool is_maskable(const ProtobufCFieldDescriptor *field) {
    return field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES || codec_is_message(field);
}

typedef enum source {
    SOURCE_NONE,
    SOURCE_MESSAGE,
    SOURCE_DEFAULT,
} source;

static source source_of(const printer *to, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                        const ProtobufCMessageDescriptor *type, const chain *defaults) {
    const ProtobufCFieldDescriptor *value = field;
    if (codec_is_list(field)) {
        if (!message || !count_of(message, field))
            return SOURCE_NONE;
        if (codec_is_map(type, field))
            value = codec_map_value(field);
        return to->hidden && !is_maskable(value) ? SOURCE_NONE : SOURCE_MESSAGE;
    }
    if (to->hidden && !is_maskable(field))
        return SOURCE_NONE;
    if (message && is_set(message, field))
        return SOURCE_MESSAGE;
    if (!(to->flags & MAC_CODEC_DEFAULTS) || (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
        return SOURCE_NONE;
    if (codec_is_message(field))
        return has_defaults(field->descriptor, defaults) ? SOURCE_DEFAULT : SOURCE_NONE;
    return field->default_value ? SOURCE_DEFAULT : SOURCE_NONE;
}

static void print_field(printer *to, const ProtobufCMessage *message, const ProtobufCMessageDescriptor *type,
                        const ProtobufCFieldDescriptor *field, source from, const chain *defaults) {
    if (codec_is_map(type, field))
        print_map(to, field, message);
    else if (codec_is_list(field))
        print_list(to, field, message);
    else if (from == SOURCE_MESSAGE)
        print_value(to, field, member_of(message, field));
    else if (codec_is_message(field))
        print_message(to, NULL, field->descriptor, defaults);
    else
        print_scalar(to, field, field->default_value);
}

/* message NULL: the declared defaults of the type alone. */
static void print_message(printer *to, const ProtobufCMessage *message, const ProtobufCMessageDescriptor *type,
                          const chain *defaults) {
    const unsigned masks = MAC_CODEC_MASK | MAC_CODEC_MASK_PRIVATE;
    chain here = {defaults, type};
    bool first = true;
    mac_buffer_append(to->out, "{", 1);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        const Macula__V1__FieldRule *rule = to->flags & masks ? mac_schema_rule(type, field) : NULL;
        bool hide = rule && codec_is_hidden(rule, to->flags);
        to->hidden += hide;
        to->logins = rule && (to->flags & MAC_CODEC_MASK_PRIVATE) && codec_may_have_login(rule);
        source from = source_of(to, message, field, type, &here);
        if (from != SOURCE_NONE) {
            mac_buffer_text(to->out, first ? "\"" : ",\"");
            mac_buffer_text(to->out, field->name);
            mac_buffer_append(to->out, "\":", 2);
            first = false;
            print_field(to, message, type, field, from, &here);
        }
        to->hidden -= hide;
    }
    mac_buffer_append(to->out, "}", 1);
}

void codec_print(const ProtobufCMessage *message, unsigned flags, mac_buffer *buffer) {
    printer to = {.out = buffer, .flags = flags};
    print_message(&to, message, message->descriptor, NULL);
}
