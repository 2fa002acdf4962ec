/* Canonical tree → wire bytes (https://protobuf.dev/programming-guides/encoding/), fields in the order of their
 * numbers. protobuf-c then unpacks them: so it owns every struct, and nobody here knows its layout. */
#include <errno.h>
#include <string.h>

#include "codec/codec-internal.h"

typedef struct packer {
    mac_buffer *out;
    mac_problems *problems;
    unsigned depth;
    size_t memory; /* what the message will take when it is unpacked */
} packer;

static int pack_message(packer *to, const codec_step *step, const ProtobufCMessageDescriptor *type, const json_t *tree);

static int refuse(packer *to, const codec_step *step, const char *message) {
    mac_autofree char *path = codec_step_path(step);
    mac_problems_add(to->problems, MAC_PROBLEM_ERROR, NULL, path, "%s", message);
    return -EINVAL;
}

static size_t varint(uint64_t value, uint8_t bytes[10]) {
    size_t count = 0;
    do {
        bytes[count++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value);
    return count;
}

static void put_varint(mac_buffer *out, uint64_t value) {
    uint8_t bytes[10];
    mac_buffer_append(out, bytes, varint(value, bytes));
}

static void put_fixed(mac_buffer *out, uint64_t value, size_t size) {
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    mac_buffer_append(out, bytes, size);
}

static void put_bytes(mac_buffer *out, const void *data, size_t length) {
    put_varint(out, length);
    mac_buffer_append(out, data, length);
}

/* Puts the length of what was appended since `start` before it. */
static void put_length_before(mac_buffer *out, size_t start) {
    uint8_t bytes[10];
    size_t length = out->length - start, count = varint(length, bytes);
    mac_buffer_append(out, bytes, count); /* makes room */
    memmove(out->data + start + count, out->data + start, length);
    memcpy(out->data + start, bytes, count);
}

static void put_tag(mac_buffer *out, uint32_t id, unsigned type) {
    put_varint(out, (uint64_t)id << 3 | type);
}

/* The two's complement bits of an integer field. */
static int integer_bits(const ProtobufCFieldDescriptor *field, const json_t *value, uint64_t *ret_bits) {
    codec_integer integer;
    if (json_is_integer(value)) {
        json_int_t number = json_integer_value(value);
        integer = (codec_integer){number < 0, number < 0 ? 0 - (uint64_t)number : (uint64_t)number};
    } else if (!json_is_string(value) || codec_integer_parse(json_string_value(value), false, &integer) < 0) {
        return -EINVAL;
    }
    return codec_integer_fits(field->type, integer, ret_bits) ? 0 : -EINVAL;
}

static int put_integer(mac_buffer *out, const ProtobufCFieldDescriptor *field, const json_t *value) {
    uint64_t bits;
    if (integer_bits(field, value, &bits) < 0)
        return -EINVAL;
    switch (field->type) {
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
        put_fixed(out, bits, 4);
        return 0;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        put_fixed(out, bits, 8);
        return 0;
    case PROTOBUF_C_TYPE_SINT32: /* zigzag; 32 and 64 bits give the same varint */
    case PROTOBUF_C_TYPE_SINT64:
        put_varint(out, bits << 1 ^ (0 - (bits >> 63)));
        return 0;
    default:
        put_varint(out, bits);
        return 0;
    }
}

static int put_real(mac_buffer *out, const ProtobufCFieldDescriptor *field, const json_t *value) {
    double number = json_number_value(value);
    uint64_t bits = 0;
    if (!json_is_number(value) &&
        (!json_is_string(value) || codec_real_parse(json_string_value(value), false, &number) < 0))
        return -EINVAL;
    if (field->type == PROTOBUF_C_TYPE_FLOAT) {
        float single = (float)number;
        memcpy(&bits, &single, sizeof single);
        if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
            bits >>= 32;
        put_fixed(out, bits, 4);
        return 0;
    }
    memcpy(&bits, &number, sizeof number);
    put_fixed(out, bits, 8);
    return 0;
}

static int put_scalar(mac_buffer *out, const ProtobufCFieldDescriptor *field, const json_t *value) {
    const ProtobufCEnumValue *item;
    mac_autofree uint8_t *data = NULL;
    size_t length;
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(value))
            return -EINVAL;
        put_varint(out, json_is_true(value));
        return 0;
    case PROTOBUF_C_TYPE_ENUM:
        item = json_is_string(value) ? codec_enum_find(field->descriptor, json_string_value(value)) : NULL;
        if (!item)
            return -EINVAL;
        put_varint(out, (uint64_t)(int64_t)item->value);
        return 0;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return put_real(out, field, value);
    case PROTOBUF_C_TYPE_STRING:
        if (!json_is_string(value) || memchr(json_string_value(value), '\0', json_string_length(value)))
            return -EINVAL;
        put_bytes(out, json_string_value(value), json_string_length(value));
        return 0;
    case PROTOBUF_C_TYPE_BYTES:
        if (!json_is_string(value) ||
            codec_base64_decode(json_string_value(value), json_string_length(value), &data, &length) < 0)
            return -EINVAL;
        put_bytes(out, data, length);
        return 0;
    default:
        return put_integer(out, field, value);
    }
}

/* One value with its tag. */
static int pack_item(packer *to, const codec_step *step, const ProtobufCFieldDescriptor *field, const json_t *value) {
    put_tag(to->out, field->id, codec_wire_type(field->type));
    to->memory += sizeof(void *);
    if (codec_is_message(field)) {
        size_t start = to->out->length;
        int r = pack_message(to, step, field->descriptor, value);
        if (r == 0)
            put_length_before(to->out, start);
        return r;
    }
    if (put_scalar(to->out, field, value) < 0) {
        mac_autofree char *message = mac_asprintf("expected %s in canonical form", codec_type_words(field));
        return refuse(to, step, message);
    }
    if (json_is_string(value))
        to->memory += json_string_length(value);
    return 0;
}

static int put_map_key(mac_buffer *out, const ProtobufCFieldDescriptor *field, const char *key) {
    mac_autoptr(json_t) text =
        field->type == PROTOBUF_C_TYPE_BOOL ? json_boolean(mac_streq(key, "true")) : json_string(key);
    put_tag(out, field->id, codec_wire_type(field->type));
    return put_scalar(out, field, text);
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of a map in the order of their bytes (new; they stay the map's). */
static const char **sorted_keys(const json_t *map) {
    const char **keys = mac_calloc(json_object_size(map) + 1, sizeof *keys), *key;
    size_t count = 0;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)map, key, value)
        keys[count++] = key;
    qsort(keys, count, sizeof *keys, compare_keys);
    return keys;
}

static int pack_entry(packer *to, const codec_step *step, const ProtobufCFieldDescriptor *field, const char *key,
                      const json_t *value) {
    codec_step below = {step, key, 0};
    put_tag(to->out, field->id, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
    size_t start = to->out->length;
    to->memory += ((const ProtobufCMessageDescriptor *)field->descriptor)->sizeof_message + strlen(key);
    if (put_map_key(to->out, codec_map_key(field), key) < 0)
        return refuse(to, &below, "expected a map key in canonical form");
    int r = pack_item(to, &below, codec_map_value(field), value);
    if (r == 0)
        put_length_before(to->out, start);
    return r;
}

/* In one order, whatever the tree has: what is made from the message shall not depend on how the text was written. */
static int pack_map(packer *to, const codec_step *step, const ProtobufCFieldDescriptor *field, const json_t *map) {
    if (!json_is_object(map))
        return refuse(to, step, "expected a map in canonical form");
    mac_autofree const char **keys = sorted_keys(map);
    int r = 0;
    for (size_t i = 0; r == 0 && keys[i]; i++)
        r = pack_entry(to, step, field, keys[i], json_object_get(map, keys[i]));
    return r;
}

/* Numbers of a packed field stand behind one tag. */
static int pack_packed(packer *to, const codec_step *step, const ProtobufCFieldDescriptor *field, const json_t *list) {
    put_tag(to->out, field->id, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);
    size_t start = to->out->length;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (put_scalar(to->out, field, json_array_get(list, i)) < 0)
            return refuse(to, step, "expected a list in canonical form");
    to->memory += 8 * json_array_size(list);
    put_length_before(to->out, start);
    return 0;
}

static int pack_list(packer *to, const codec_step *step, const ProtobufCFieldDescriptor *field, const json_t *list) {
    if (!json_is_array(list))
        return refuse(to, step, "expected a list in canonical form");
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_PACKED) && json_array_size(list))
        return pack_packed(to, step, field, list);
    for (size_t i = 0; i < json_array_size(list); i++) {
        codec_step below = {step, NULL, i};
        int r = pack_item(to, &below, field, json_array_get(list, i));
        if (r < 0)
            return r;
    }
    return 0;
}

static int pack_fields(packer *to, const codec_step *step, const ProtobufCMessageDescriptor *type, const json_t *tree) {
    size_t left = json_object_size(tree);
    for (unsigned i = 0; i < type->n_fields && left; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        const json_t *value = json_object_get(tree, field->name);
        codec_step below = {step, field->name, 0};
        int r = 0;
        if (!value)
            continue;
        left--;
        if (json_is_null(value))
            continue;
        if (codec_is_map(type, field))
            r = pack_map(to, &below, field, value);
        else if (codec_is_list(field))
            r = pack_list(to, &below, field, value);
        else
            r = pack_item(to, &below, field, value);
        if (r < 0)
            return r;
    }
    return left ? refuse(to, step, "holds a key that its type does not have") : 0;
}

static int pack_message(packer *to, const codec_step *step, const ProtobufCMessageDescriptor *type,
                        const json_t *tree) {
    if (!json_is_object(tree))
        return refuse(to, step, "expected a group of keys in canonical form");
    if (to->depth == MAC_CODEC_MAX_DEPTH)
        return refuse(to, step, "is nested too deeply: expected at most 32 levels");
    to->memory += type->sizeof_message;
    if (to->memory > CODEC_MAX_MEMORY)
        return refuse(to, step, "the message is too large: expected at most 16 MiB in memory");
    to->depth++;
    int r = pack_fields(to, step, type, tree);
    to->depth--;
    return r;
}

int codec_pack_tree(const ProtobufCMessageDescriptor *type, const json_t *tree, mac_problems *problems,
                    mac_buffer *buffer) {
    packer to = {.out = buffer, .problems = problems};
    return pack_message(&to, NULL, type, tree);
}
