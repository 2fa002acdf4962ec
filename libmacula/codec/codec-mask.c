#include <string.h>

#include "codec/codec-internal.h"

static void mask_message(const ProtobufCMessageDescriptor *type, json_t *tree, unsigned flags, bool hidden);

/* The masked form of one value of a field that is no list (new), or NULL when it has none. A message is masked in
 * place. */
static json_t *mask_value(const ProtobufCFieldDescriptor *field, json_t *value) {
    if (codec_is_message(field)) {
        mask_message(field->descriptor, value, 0, true);
        return json_incref(value);
    }
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return json_string(MAC_CODEC_MASKED);
    if (field->type != PROTOBUF_C_TYPE_BYTES)
        return NULL;
    mac_autofree char *text = codec_base64_encode(MAC_CODEC_MASKED, strlen(MAC_CODEC_MASKED));
    return json_string(text);
}

/* The same for lists and maps, which become new ones. */
static json_t *mask_field(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field,
                          json_t *value) {
    if (json_is_null(value))
        return json_null();
    if (!codec_is_list(field))
        return mask_value(field, value);
    bool is_map = codec_is_map(type, field);
    json_t *out = is_map ? json_object() : json_array(), *item;
    size_t i;
    const char *key;
    json_array_foreach (value, i, item) {
        json_array_append_new(out, mask_value(field, item));
    }
    json_object_foreach (is_map ? value : NULL, key, item) {
        json_object_set_new(out, key, mask_value(codec_map_value(field), item));
    }
    if (json_array_size(out) + json_object_size(out) == 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

/* The value of a field (a text, or a list or map of texts) with URLs without their login (new). */
static json_t *hide_logins(const json_t *value) {
    json_t *copy = json_deep_copy(value), *item;
    size_t i;
    const char *key;
    if (json_is_string(value)) {
        mac_autofree char *shown = mac_hide_logins(json_string_value(value));
        json_decref(copy);
        return json_string(shown);
    }
    json_array_foreach (copy, i, item) {
        json_array_set_new(copy, i, hide_logins(item));
    }
    json_object_foreach (copy, key, item) {
        json_object_set_new(copy, key, hide_logins(item));
    }
    return copy;
}

/* Visits the messages below a field that is not hidden itself. */
static void descend(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field, json_t *value,
                    unsigned flags) {
    bool is_map = codec_is_map(type, field);
    const ProtobufCFieldDescriptor *inner = is_map ? codec_map_value(field) : field;
    json_t *item;
    size_t i;
    const char *key;
    if (!codec_is_message(inner))
        return;
    if (!codec_is_list(field))
        mask_message(inner->descriptor, value, flags, false);
    json_array_foreach (value, i, item) {
        mask_message(inner->descriptor, item, flags, false);
    }
    json_object_foreach (is_map ? value : NULL, key, item) {
        mask_message(inner->descriptor, item, flags, false);
    }
}

static void mask_message(const ProtobufCMessageDescriptor *type, json_t *tree, unsigned flags, bool hidden) {
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe (tree, next, key, value) {
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(type, key);
        const Macula__V1__FieldRule *rule = field ? mac_schema_rule(type, field) : NULL;
        if (!field)
            continue;
        if (!hidden && !codec_is_hidden(rule, flags)) {
            descend(type, field, value, flags);
            if ((flags & MAC_CODEC_MASK_PRIVATE) && codec_may_have_login(rule))
                json_object_set_new(tree, key, hide_logins(value));
            continue;
        }
        json_t *masked = mask_field(type, field, value);
        if (masked)
            json_object_set_new(tree, key, masked);
        else
            json_object_del(tree, key);
    }
}

void mac_codec_mask(const ProtobufCMessageDescriptor *type, json_t *tree, unsigned flags) {
    mask_message(type, tree, flags, false);
}
