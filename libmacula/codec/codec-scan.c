/* Wire bytes are looked through before protobuf-c unpacks them: it takes any bytes as text, any number as an enum
 * value, and memory and stack as the sender likes. What is refused here: text that is no UTF-8 or holds a NUL, values
 * an enum does not have, what would be nested deeper than MAC_CODEC_MAX_DEPTH as JSON, and messages that would take
 * more than CODEC_MAX_MEMORY. Fields of a newer schema pass. */
#include <errno.h>
#include <string.h>

#include "codec/codec-internal.h"

#define UNKNOWN_FIELD_MEMORY 64u /* what protobuf-c keeps of a field it does not know, beside its bytes */

typedef struct scanner {
    mac_problems *problems;
    size_t memory;
} scanner;

typedef struct bytes {
    const uint8_t *at, *end;
} bytes;

static int scan_message(scanner *scan, const codec_step *step, const ProtobufCMessageDescriptor *type, bytes in,
                        unsigned depth);

static int refuse(const scanner *scan, const codec_step *step, const char *message) {
    mac_autofree char *path = codec_step_path(step);
    mac_problems_add(scan->problems, MAC_PROBLEM_ERROR, NULL, path, "%s", message);
    return -EINVAL;
}

static int refuse_malformed(const scanner *scan, const codec_step *step) {
    return refuse(scan, step, "this is no valid protobuf message of the expected type");
}

static bool take_varint(bytes *in, uint64_t *ret_value) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70 && in->at < in->end; shift += 7) {
        uint8_t byte = *in->at++;
        value |= (uint64_t)(byte & 0x7f) << (shift < 64 ? shift : 63);
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* The bytes of one value without its tag. For varints the value is in *ret_varint. */
static bool take_value(bytes *in, unsigned wire_type, bytes *ret_value, uint64_t *ret_varint) {
    uint64_t size;
    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return take_varint(in, ret_varint);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        size = 8;
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        size = 4;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!take_varint(in, &size))
            return false;
        break;
    default:
        return false;
    }
    if (size > (uint64_t)(in->end - in->at))
        return false;
    *ret_value = (bytes){in->at, in->at + size};
    in->at += size;
    return true;
}

static int scan_enum(scanner *scan, const codec_step *step, const ProtobufCFieldDescriptor *field, uint64_t value) {
    if (protobuf_c_enum_descriptor_get_value(field->descriptor, (int32_t)(uint32_t)value))
        return 0;
    return refuse(scan, step, "holds a value that its type does not have: the sender may be newer");
}

/* The items of a packed field. */
static int scan_packed(scanner *scan, const codec_step *step, const ProtobufCFieldDescriptor *field, bytes in) {
    while (in.at < in.end) {
        bytes value;
        uint64_t varint = 0;
        if (!take_value(&in, codec_wire_type(field->type), &value, &varint))
            return refuse_malformed(scan, step);
        scan->memory += 8;
        int r = field->type == PROTOBUF_C_TYPE_ENUM ? scan_enum(scan, step, field, varint) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

/* Lists count as a level, as they do in JSON; a map does by its entries being messages. */
static unsigned depth_below(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field,
                            unsigned depth) {
    return codec_is_list(field) && !codec_is_map(type, field) ? depth + 1 : depth;
}

static int scan_known(scanner *scan, const codec_step *step, const ProtobufCFieldDescriptor *field, bytes value,
                      uint64_t varint, unsigned depth) {
    size_t length = (size_t)(value.end - value.at);
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return scan_message(scan, step, field->descriptor, value, depth);
    case PROTOBUF_C_TYPE_ENUM:
        return scan_enum(scan, step, field, varint);
    case PROTOBUF_C_TYPE_STRING:
        if (!mac_utf8_valid((const char *)value.at, length))
            return refuse(scan, step, "holds text that is not valid UTF-8, or a NUL");
        scan->memory += length + 16;
        return 0;
    case PROTOBUF_C_TYPE_BYTES:
        scan->memory += length + 16;
        return 0;
    default:
        return 0;
    }
}

static int scan_field(scanner *scan, const codec_step *step, const ProtobufCMessageDescriptor *type, bytes *in,
                      unsigned depth) {
    uint64_t tag, varint = 0;
    bytes value = {in->at, in->at};
    if (!take_varint(in, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return refuse_malformed(scan, step);
    unsigned wire_type = tag & 7;
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
    codec_step below = {step, field ? field->name : "?", 0};
    if (!take_value(in, wire_type, &value, &varint))
        return refuse_malformed(scan, field ? &below : step);
    if (!field) {
        scan->memory += UNKNOWN_FIELD_MEMORY + (size_t)(value.end - value.at);
        return 0;
    }
    unsigned expected = codec_wire_type(field->type), inside = depth_below(type, field, depth);
    if (inside > MAC_CODEC_MAX_DEPTH)
        return refuse(scan, &below, "is nested too deeply: expected at most 32 levels");
    scan->memory += sizeof(void *);
    if (wire_type == expected)
        return scan_known(scan, &below, field, value, varint, inside);
    if (codec_is_list(field) && wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
        return scan_packed(scan, &below, field, value);
    return refuse_malformed(scan, &below);
}

static int scan_message(scanner *scan, const codec_step *step, const ProtobufCMessageDescriptor *type, bytes in,
                        unsigned depth) {
    if (depth == MAC_CODEC_MAX_DEPTH)
        return refuse(scan, step, "is nested too deeply: expected at most 32 levels");
    scan->memory += type->sizeof_message;
    while (in.at < in.end) {
        int r = scan_field(scan, step, type, &in, depth + 1);
        if (r < 0)
            return r;
        if (scan->memory > CODEC_MAX_MEMORY)
            return refuse(scan, step, "the message is too large: expected at most 16 MiB in memory");
    }
    return 0;
}

int codec_scan(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t length, mac_problems *problems) {
    scanner scan = {.problems = problems};
    return scan_message(&scan, NULL, type, (bytes){data, data + length}, 0);
}
