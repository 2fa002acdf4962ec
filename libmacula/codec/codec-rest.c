/* What remains of a canonical tree when what was refused in it is left out.
 *
 * A refused value is a null in the tree. Messages that then lack what they must have go as well, so that whoever looks
 * at the rest may rely on it. A list ends before the first item that went: the others keep their places. */
#include "codec/codec-internal.h"

static bool is_complete(const ProtobufCMessageDescriptor *type, const json_t *object) {
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->label != PROTOBUF_C_LABEL_REQUIRED && !mac_schema_rule(type, field)->required)
            continue;
        const json_t *value = json_object_get(object, field->name);
        if (!value || json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0))
            return false;
    }
    return true;
}

/* Whether one value of a field, an item of its list or of its map may stay. */
static bool keep_value(const ProtobufCFieldDescriptor *field, json_t *value, bool patch) {
    return !json_is_null(value) && (!codec_is_message(field) || codec_keep_rest(field->descriptor, value, patch));
}

static void keep_items(const ProtobufCFieldDescriptor *field, json_t *list) {
    size_t whole = 0;
    while (whole < json_array_size(list) && keep_value(field, json_array_get(list, whole), false))
        whole++;
    while (json_array_size(list) > whole)
        json_array_remove(list, json_array_size(list) - 1);
}

static void keep_entries(const ProtobufCFieldDescriptor *field, json_t *map, bool patch) {
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe (map, next, key, value)
        if (!keep_value(codec_map_value(field), value, patch))
            json_object_del(map, key);
}

bool codec_keep_rest(const ProtobufCMessageDescriptor *type, json_t *object, bool patch) {
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        json_t *value = json_object_get(object, field->name);
        if (json_is_array(value))
            keep_items(field, value);
        else if (json_is_object(value) && codec_is_list(field))
            keep_entries(field, value, patch);
        else if (value && !keep_value(field, value, patch))
            json_object_del(object, field->name);
    }
    return patch || is_complete(type, object);
}
