#include "codec/mac-codec.h"

#include <errno.h>

#include "codec/codec-internal.h"

static int unpack(const ProtobufCMessageDescriptor *type, const void *data, size_t length, mac_problems *problems,
                  ProtobufCMessage **ret_message) {
    ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, length, data);
    if (!message) {
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, NULL,
                         "this is no valid %s message, or a required field is missing", type->short_name);
        return -EINVAL;
    }
    *ret_message = message;
    return 0;
}

int mac_codec_message(const ProtobufCMessageDescriptor *type, const json_t *tree, mac_problems *problems,
                      ProtobufCMessage **ret_message) {
    mac_autobuffer wire = {0};
    int r = codec_pack_tree(type, tree, problems, &wire);
    return r < 0 ? r : unpack(type, wire.data ? wire.data : "", wire.length, problems, ret_message);
}

int mac_codec_from_json(const ProtobufCMessageDescriptor *type, const char *text, size_t length, mac_problems *problems,
                        ProtobufCMessage **ret_message) {
    mac_autoptr(json_t) tree = NULL, *canonical = NULL;
    int r = mac_codec_parse_json(NULL, text, length, problems, &tree);
    if (r == 0)
        r = mac_codec_normalise(type, tree, NULL, 0, problems, &canonical);
    return r < 0 ? r : mac_codec_message(type, canonical, problems, ret_message);
}

int mac_codec_unpack(const ProtobufCMessageDescriptor *type, const void *data, size_t length, mac_problems *problems,
                     ProtobufCMessage **ret_message) {
    if (length > MAC_CODEC_MAX_BYTES) {
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, NULL, "the message is too large: expected at most 1 MiB");
        return -EINVAL;
    }
    int r = codec_scan(type, length ? data : (const void *)"", length, problems);
    return r < 0 ? r : unpack(type, length ? data : "", length, problems, ret_message);
}

char *mac_codec_to_json(const ProtobufCMessage *message, unsigned flags, size_t *ret_length) {
    mac_buffer text = {0};
    codec_print(message, flags, &text);
    if (ret_length)
        *ret_length = text.length;
    return mac_buffer_take(&text);
}

json_t *mac_codec_tree(const ProtobufCMessage *message, unsigned flags) {
    mac_autobuffer text = {0};
    codec_print(message, flags, &text);
    json_t *tree = json_loadb(text.data, text.length, 0, NULL);
    if (!tree)
        abort(); /* what codec_print writes is JSON, or there is a bug in it */
    return tree;
}

void *mac_codec_pack(const ProtobufCMessage *message, size_t *ret_length) {
    uint8_t *data = mac_malloc(protobuf_c_message_get_packed_size(message));
    *ret_length = protobuf_c_message_pack(message, data);
    return data;
}

ProtobufCMessage *mac_codec_copy(const ProtobufCMessage *message) {
    size_t length;
    mac_autofree void *data = mac_codec_pack(message, &length);
    return protobuf_c_message_unpack(message->descriptor, NULL, length, data);
}
