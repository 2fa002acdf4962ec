/* config schema: what keys there are, from the descriptors, their rules and comments. */
#include <string.h>

#include "cli-config.h"
#include "cli-output.h"
#include "codec/mac-codec.h"
#include "codec/mac-schema.h"
#include "codec/mac-tree.h"
#include "macula/v1/document.pb-c.h"

#define DOCUMENT macula__v1__document__descriptor
#define DEPTH_MAX 16

/* The value's field of a map entry, or the field itself. */
static const ProtobufCFieldDescriptor *value_field(const ProtobufCFieldDescriptor *field, bool *ret_map) {
    *ret_map = false;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label != PROTOBUF_C_LABEL_REPEATED)
        return field;
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    if (!mac_ends_with(entry->short_name, "Entry") || entry->n_fields != 2 || !mac_streq(entry->fields[0].name, "key"))
        return field;
    *ret_map = true;
    return &entry->fields[1];
}

static const char *scalar_word(const ProtobufCFieldDescriptor *field) {
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return "true or false";
    case PROTOBUF_C_TYPE_STRING:
        return "text";
    case PROTOBUF_C_TYPE_BYTES:
        return "base64";
    case PROTOBUF_C_TYPE_ENUM:
        return "one of";
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return "number";
    case PROTOBUF_C_TYPE_MESSAGE:
        return "section";
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return "whole number";
    }
    return "?";
}

/* The declared default as JSON; NULL if there is none. */
static json_t *default_of(const ProtobufCFieldDescriptor *field) {
    if (!field->default_value)
        return NULL;
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)field->default_value);
    case PROTOBUF_C_TYPE_STRING:
        return json_string((const char *)field->default_value);
    case PROTOBUF_C_TYPE_ENUM: {
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value(field->descriptor, *(const int *)field->default_value);
        return value ? json_string(value->name) : NULL;
    }
    case PROTOBUF_C_TYPE_FLOAT:
        return json_real((double)*(const float *)field->default_value);
    case PROTOBUF_C_TYPE_DOUBLE:
        return json_real(*(const double *)field->default_value);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)field->default_value);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_integer(*(const uint32_t *)field->default_value);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return json_integer(*(const int64_t *)field->default_value);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return json_integer((json_int_t) * (const uint64_t *)field->default_value);
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return NULL;
    }
    return NULL;
}

/* "list of text", "map of section", "one of stable, beta, nightly"; caller frees. */
static char *type_words(const ProtobufCFieldDescriptor *field) {
    bool map;
    const ProtobufCFieldDescriptor *value = value_field(field, &map);
    mac_autobuffer words = {0};
    if (map)
        mac_buffer_text(&words, "map of ");
    else if (field->label == PROTOBUF_C_LABEL_REPEATED)
        mac_buffer_text(&words, "list of ");
    mac_buffer_text(&words, scalar_word(value));
    if (value->type == PROTOBUF_C_TYPE_ENUM) {
        const ProtobufCEnumDescriptor *type = value->descriptor;
        for (unsigned i = 0; i < type->n_values; i++)
            mac_buffer_printf(&words, "%s%s", i ? ", " : " ", type->values[i].name);
    }
    return mac_buffer_take(&words);
}

static void key_line(const char *path, const ProtobufCFieldDescriptor *field) {
    mac_autofree char *words = type_words(field);
    json_t *value = default_of(field);
    mac_autofree char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    cli_print(CLI_BOLD, "%s", path);
    cli_print(CLI_DIM, "  %s%s%s\n", words, text ? ", default " : "", text ? text : "");
}

static void keys_print(const ProtobufCMessageDescriptor *type, const char *path, unsigned depth) {
    for (unsigned i = 0; i < type->n_fields && depth < DEPTH_MAX; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        bool map;
        const ProtobufCFieldDescriptor *value = value_field(field, &map);
        mac_autofree char *name = mac_path_key(path, field->name);
        key_line(name, field);
        if (value->type == PROTOBUF_C_TYPE_MESSAGE) {
            mac_autofree char *inside = map                                         ? mac_asprintf("%s.NAME", name)
                                        : field->label == PROTOBUF_C_LABEL_REPEATED ? mac_asprintf("%s[]", name)
                                                                                    : mac_strdup(name);
            keys_print(value->descriptor, inside, depth + 1);
        }
    }
}

/* ---- JSON Schema (draft 2020-12), for editors ---- */

static json_t *schema_of_message(const ProtobufCMessageDescriptor *type, unsigned depth);

static const char *schema_type_word(const ProtobufCFieldDescriptor *field) {
    if (field->type == PROTOBUF_C_TYPE_BOOL)
        return "boolean";
    if (field->type == PROTOBUF_C_TYPE_FLOAT || field->type == PROTOBUF_C_TYPE_DOUBLE)
        return "number";
    bool textual = field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES ||
                   field->type == PROTOBUF_C_TYPE_ENUM;
    return textual ? "string" : "integer";
}

static json_t *schema_of_value(const ProtobufCFieldDescriptor *value, const Macula__V1__FieldRule *rule,
                               unsigned depth) {
    if (value->type == PROTOBUF_C_TYPE_MESSAGE)
        return schema_of_message(value->descriptor, depth + 1);
    json_t *schema = json_object();
    /* A plain number is read as text where text is wanted: 30 is a duration. */
    if (value->type == PROTOBUF_C_TYPE_STRING)
        json_object_set_new(schema, "type", json_pack("[s, s]", "string", "number"));
    else
        json_object_set_new(schema, "type", json_string(schema_type_word(value)));
    if (value->type == PROTOBUF_C_TYPE_ENUM) {
        const ProtobufCEnumDescriptor *type = value->descriptor;
        json_t *words = json_array();
        for (unsigned i = 0; i < type->n_values; i++)
            json_array_append_new(words, json_string(type->values[i].name));
        json_object_set_new(schema, "enum", words);
    }
    if (rule->n_choice) {
        json_t *words = json_array();
        for (size_t i = 0; i < rule->n_choice; i++)
            json_array_append_new(words, json_string(rule->choice[i]));
        json_object_set_new(schema, "enum", words);
    }
    if (rule->has_min)
        json_object_set_new(schema, "minimum", json_integer(rule->min));
    if (rule->has_max)
        json_object_set_new(schema, "maximum", json_integer(rule->max));
    return schema;
}

static json_t *schema_of_field(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field,
                               unsigned depth) {
    bool map;
    const ProtobufCFieldDescriptor *value = value_field(field, &map);
    const Macula__V1__FieldRule *rule = mac_schema_rule(type, field);
    json_t *schema = schema_of_value(value, rule, depth);
    if (map)
        schema = json_pack("{s:s, s:o}", "type", "object", "additionalProperties", schema);
    else if (field->label == PROTOBUF_C_LABEL_REPEATED)
        schema = json_pack("{s:s, s:o}", "type", "array", "items", schema);
    const char *comment = mac_schema_field_comment(type, field);
    if (comment)
        json_object_set_new(schema, "description", json_string(comment));
    json_t *value_default = default_of(field);
    if (value_default)
        json_object_set_new(schema, "default", value_default);
    return schema;
}

static json_t *schema_of_message(const ProtobufCMessageDescriptor *type, unsigned depth) {
    json_t *properties = json_object(), *schema;
    const char *shorthand = NULL;
    for (unsigned i = 0; i < type->n_fields && depth < DEPTH_MAX; i++) {
        json_object_set_new(properties, type->fields[i].name, schema_of_field(type, &type->fields[i], depth));
        if (mac_schema_rule(type, &type->fields[i])->shorthand)
            shorthand = type->fields[i].name;
    }
    schema = json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties, "additionalProperties", false);
    return shorthand ? json_pack("{s:[o, {s:s}]}", "anyOf", schema, "type", "string") : schema;
}

/* ---- one key ---- */

static void rule_print(const Macula__V1__FieldRule *rule) {
    if (rule->has_min || rule->has_max)
        cli_print(CLI_PLAIN, "range    %lld to %lld\n", (long long)rule->min, (long long)rule->max);
    for (size_t i = 0; i < rule->n_choice; i++)
        cli_print(CLI_PLAIN, "%s%s%s", i ? ", " : "choices  ", rule->choice[i], i + 1 == rule->n_choice ? "\n" : "");
    for (size_t i = 0; i < rule->n_alias; i++)
        cli_print(CLI_PLAIN, "%s%s%s", i ? ", " : "also     ", rule->alias[i], i + 1 == rule->n_alias ? "\n" : "");
    if (rule->secret || rule->hashed)
        cli_print(CLI_PLAIN, "secret   shown as %s, kept %s\n", MAC_CODEC_MASKED,
                  rule->hashed ? "as a hash" : "sealed");
    if (rule->private_)
        cli_print(CLI_PLAIN, "private  may hold a token: only the administrator sees it, workloads see %s\n",
                  MAC_CODEC_MASKED);
    if (rule->example && *rule->example)
        cli_print(CLI_PLAIN, "example  %s\n", rule->example);
}

/* "users[].name", as the list of keys has it, as a path of the first item, and back. Caller frees. */
static char *replaced(const char *text, const char *from, const char *to) {
    mac_autobuffer out = {0};
    for (const char *at; (at = strstr(text, from)) != NULL; text = at + strlen(from)) {
        mac_buffer_append(&out, text, (size_t)(at - text));
        mac_buffer_text(&out, to);
    }
    mac_buffer_text(&out, text);
    return mac_buffer_take(&out);
}

/* The message that a field belongs to, found again by walking the canonical path. */
static const ProtobufCMessageDescriptor *owner_of(const char *path) {
    const ProtobufCMessageDescriptor *type = &DOCUMENT;
    mac_autofree char *copy = replaced(path, "[]", "[0]");
    char *dot = strrchr(copy, '.');
    if (!dot)
        return type;
    *dot = '\0';
    mac_autofree char *canonical = NULL;
    const ProtobufCFieldDescriptor *field = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    if (mac_path_resolve(type, copy, problems, &canonical, &field) < 0 || !field)
        return type;
    bool map;
    const ProtobufCFieldDescriptor *value = value_field(field, &map);
    return value->type == PROTOBUF_C_TYPE_MESSAGE ? value->descriptor : type;
}

static int key_explain(const char *path, const ProtobufCFieldDescriptor *field) {
    if (!field) {
        keys_print(&DOCUMENT, "", 0);
        return CLI_OK;
    }
    const ProtobufCMessageDescriptor *type = owner_of(path);
    const char *comment = mac_schema_field_comment(type, field), *service = mac_schema_service(&DOCUMENT, path);
    key_line(path, field);
    if (comment)
        cli_print_text(comment);
    rule_print(mac_schema_rule(type, field));
    if (service)
        cli_print(CLI_PLAIN, "applied by %s\n", service);
    bool map;
    const ProtobufCFieldDescriptor *value = value_field(field, &map);
    if (value->type == PROTOBUF_C_TYPE_MESSAGE) {
        cli_print(CLI_PLAIN, "\n");
        keys_print(value->descriptor, path, 0);
    }
    return CLI_OK;
}

static int json_schema_print(const char *path, const ProtobufCFieldDescriptor *field) {
    json_t *schema;
    bool map;
    if (!field)
        schema = schema_of_message(&DOCUMENT, 0);
    else if (mac_ends_with(path, "[]")) /* one item */
        schema = schema_of_value(value_field(field, &map), mac_schema_rule(owner_of(path), field), 0);
    else
        schema = schema_of_field(owner_of(path), field, 0);
    json_object_set_new(schema, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
    mac_autofree char *title = mac_asprintf(field ? "MaculaOS configuration: %s" : "MaculaOS configuration", path);
    json_object_set_new(schema, "title", json_string(title));
    mac_autofree char *text = json_dumps(schema, JSON_INDENT(1));
    cli_print_text(text);
    json_decref(schema);
    return CLI_OK;
}

int cli_config_schema(cli_invocation *invocation) {
    const char *given = cli_argument(invocation, 0);
    mac_autofree char *of_item = replaced(given ? given : "", "[]", "[0]"), *canonical = NULL;
    const ProtobufCFieldDescriptor *field = NULL;
    mac_problems *problems = mac_problems_new();
    if (mac_path_resolve(&DOCUMENT, of_item, problems, &canonical, &field) < 0)
        return cli_fail(mac_error_from_problems(problems));
    mac_problems_free(problems);
    mac_autofree char *path = replaced(canonical, "[0]", "[]");
    bool json = mac_streq(cli_option_value(invocation, "form"), "json-schema") || cli_output_json();
    return json ? json_schema_print(path, field) : key_explain(path, field);
}
