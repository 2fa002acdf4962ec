/* Tree → YAML text for a person: block style, keys in the order of the schema, quotes only where another reader of YAML
 * would take the text for something else. What is written here reads back as the same tree. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include <yaml.h>

#include "codec/codec-internal.h"

typedef struct emitter {
    yaml_emitter_t yaml;
    mac_buffer out;
} emitter;

static void emit_value(emitter *to, const json_t *value, const ProtobufCMessageDescriptor *owner,
                       const ProtobufCFieldDescriptor *field, bool is_item);

static int write_out(void *data, unsigned char *text, size_t size) {
    mac_buffer_append(data, text, size);
    return 1;
}

/* libyaml fails only when memory is out or the events do not match: neither can be mended here. */
static void emit(emitter *to, yaml_event_t *event, int initialised) {
    if (!initialised || !yaml_emitter_emit(&to->yaml, event))
        abort();
}

/* Text that YAML 1.1 or 1.2 reads as a number, date or sexagesimal. */
static bool is_like_number(const char *text) {
    const char *p = text + (*text == '-' || *text == '+');
    if (*p == '.' && (strncasecmp(p, ".inf", 5) == 0 || strncasecmp(p, ".nan", 5) == 0))
        return true;
    if (*p == '.' && isdigit((unsigned char)p[1]))
        p++;
    if (!isdigit((unsigned char)*p))
        return false;
    if (*p == '0' && p[1] && strchr("xXoObB", p[1]))
        return true;
    if (!p[strspn(p, "0123456789_:")] || !p[strspn(p, "0123456789-")])
        return true;
    const char *dot = strchr(p, '.');
    return !p[strspn(p, "0123456789_.eE+-")] && (!dot || !strchr(dot + 1, '.'));
}

static bool is_like_word(const char *text) {
    static const char *const words[] = {"",   "~",   "null", "true", "false", "yes", "no",
                                        "on", "off", "y",    "n",    "<<",    "="};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(words); i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

static void emit_scalar(emitter *to, const char *text, size_t length, yaml_scalar_style_t style) {
    yaml_event_t event;
    emit(to, &event,
         yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)length, 1, 1, style));
}

static void emit_text(emitter *to, const char *text, size_t length, bool is_key) {
    yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
    if (strchr(text, '\n') && !is_key)
        style = YAML_LITERAL_SCALAR_STYLE;
    else if (is_like_word(text) || is_like_number(text))
        style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    emit_scalar(to, text, length, style);
}

static void emit_string(emitter *to, const json_t *value, const ProtobufCFieldDescriptor *field) {
    const char *text = json_string_value(value);
    bool is_text = !field || field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES ||
                   field->type == PROTOBUF_C_TYPE_ENUM || codec_is_message(field);
    if (is_text)
        emit_text(to, text, json_string_length(value), false);
    else if (mac_streq(text, "NaN"))
        emit_scalar(to, ".nan", 4, YAML_PLAIN_SCALAR_STYLE);
    else if (mac_ends_with(text, "Infinity"))
        emit_scalar(to, *text == '-' ? "-.inf" : ".inf", *text == '-' ? 5 : 4, YAML_PLAIN_SCALAR_STYLE);
    else
        emit_scalar(to, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
}

static void emit_list(emitter *to, const json_t *list, const ProtobufCMessageDescriptor *owner,
                      const ProtobufCFieldDescriptor *field) {
    yaml_event_t event;
    emit(to, &event, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
    for (size_t i = 0; i < json_array_size(list); i++)
        emit_value(to, json_array_get(list, i), owner, field, true);
    emit(to, &event, yaml_sequence_end_event_initialize(&event));
}

static void emit_pair(emitter *to, const char *key, const json_t *value, const ProtobufCMessageDescriptor *owner,
                      const ProtobufCFieldDescriptor *field, bool is_item) {
    emit_text(to, key, strlen(key), true);
    emit_value(to, value, owner, field, is_item);
}

/* A map, whose entries all have the field `value`, or a group of keys of which nothing is known (NULL). */
static void emit_map(emitter *to, const json_t *map, const ProtobufCMessageDescriptor *owner,
                     const ProtobufCFieldDescriptor *value) {
    const char *key;
    json_t *item;
    json_object_foreach ((json_t *)(uintptr_t)map, key, item) {
        emit_pair(to, key, item, owner, value, true);
    }
}

static void emit_message(emitter *to, const json_t *tree, const ProtobufCMessageDescriptor *type) {
    const char *key;
    json_t *item;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const json_t *value = json_object_get(tree, type->fields[i].name);
        if (value)
            emit_pair(to, type->fields[i].name, value, type, &type->fields[i], false);
    }
    json_object_foreach ((json_t *)(uintptr_t)tree, key, item) {
        if (!protobuf_c_message_descriptor_get_field_by_name(type, key))
            emit_pair(to, key, item, NULL, NULL, false);
    }
}

/* Of which kind the object is follows from its field. */
static void emit_object(emitter *to, const json_t *object, const ProtobufCMessageDescriptor *owner,
                        const ProtobufCFieldDescriptor *field, bool is_item) {
    yaml_event_t event;
    emit(to, &event, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
    if (field && !is_item && codec_is_map(owner, field))
        emit_map(to, object, field->descriptor, codec_map_value(field));
    else if (field && codec_is_message(field))
        emit_message(to, object, field->descriptor);
    else
        emit_map(to, object, NULL, NULL);
    emit(to, &event, yaml_mapping_end_event_initialize(&event));
}

/* owner is the message type the field belongs to; field NULL: nothing is known. is_item: one of a list or map. */
static void emit_value(emitter *to, const json_t *value, const ProtobufCMessageDescriptor *owner,
                       const ProtobufCFieldDescriptor *field, bool is_item) {
    char text[CODEC_REAL_SIZE];
    mac_autofree char *integer = NULL;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        emit_object(to, value, owner, field, is_item);
        break;
    case JSON_ARRAY:
        emit_list(to, value, owner, field);
        break;
    case JSON_STRING:
        emit_string(to, value, field);
        break;
    case JSON_INTEGER:
        integer = mac_asprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
        emit_scalar(to, integer, strlen(integer), YAML_PLAIN_SCALAR_STYLE);
        break;
    case JSON_REAL:
        codec_real_text(json_real_value(value), field && field->type == PROTOBUF_C_TYPE_FLOAT, text);
        emit_scalar(to, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
        break;
    case JSON_TRUE:
        emit_scalar(to, "true", 4, YAML_PLAIN_SCALAR_STYLE);
        break;
    case JSON_FALSE:
        emit_scalar(to, "false", 5, YAML_PLAIN_SCALAR_STYLE);
        break;
    case JSON_NULL:
        emit_scalar(to, "null", 4, YAML_PLAIN_SCALAR_STYLE);
        break;
    }
}

static void emit_root(emitter *to, const json_t *tree, const ProtobufCMessageDescriptor *type) {
    yaml_event_t event;
    if (!type || !json_is_object(tree)) {
        emit_value(to, tree, NULL, NULL, false);
        return;
    }
    emit(to, &event, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
    emit_message(to, tree, type);
    emit(to, &event, yaml_mapping_end_event_initialize(&event));
}

char *mac_codec_to_yaml(const json_t *tree, const ProtobufCMessageDescriptor *type) {
    emitter to = {.out = {0}};
    yaml_event_t event;
    if (!yaml_emitter_initialize(&to.yaml))
        abort();
    yaml_emitter_set_output(&to.yaml, write_out, &to.out);
    yaml_emitter_set_unicode(&to.yaml, 1);
    yaml_emitter_set_width(&to.yaml, -1);
    emit(&to, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
    emit(&to, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
    emit_root(&to, tree, type);
    emit(&to, &event, yaml_document_end_event_initialize(&event, 1));
    emit(&to, &event, yaml_stream_end_event_initialize(&event));
    yaml_emitter_delete(&to.yaml);
    return mac_buffer_take(&to.out);
}
