#include "codec/mac-schema.h"

#include <string.h>

#include "codec/codec-internal.h"

#define TABLES_MAX 8

static const mac_schema_table *tables[TABLES_MAX] = {&macula_schema_table};
static size_t table_count = 1;

/* Names are compared once a type, not once a value: every request looks the rules of its messages up. */
#define CACHE_SIZE 64
static _Thread_local struct {
    const ProtobufCMessageDescriptor *type;
    const mac_schema_message *message; /* NULL: no rules */
} cache[CACHE_SIZE];

static const Macula__V1__FieldRule no_rule = MACULA__V1__FIELD_RULE__INIT;

void mac_schema_add_table(const mac_schema_table *table) {
    for (size_t i = 0; i < table_count; i++)
        if (tables[i] == table)
            return;
    if (table_count == TABLES_MAX)
        abort();
    tables[table_count++] = table;
    memset(cache, 0, sizeof cache);
}

static int compare_name(const void *name, const void *message) {
    return strcmp(name, ((const mac_schema_message *)message)->name);
}

static const mac_schema_message *find_message(const ProtobufCMessageDescriptor *type) {
    for (size_t i = 0; i < table_count; i++) {
        const mac_schema_message *found =
            bsearch(type->name, tables[i]->messages, tables[i]->count, sizeof *found, compare_name);
        if (found)
            return found;
    }
    return NULL;
}

const Macula__V1__FieldRule *mac_schema_rule(const ProtobufCMessageDescriptor *type,
                                             const ProtobufCFieldDescriptor *field) {
    size_t slot = ((uintptr_t)type >> 5) % CACHE_SIZE;
    if (cache[slot].type != type) {
        cache[slot].type = type;
        cache[slot].message = find_message(type);
    }
    const mac_schema_message *message = cache[slot].message;
    size_t index = (size_t)(field - type->fields);
    if (!message || index >= message->count || !message->rules[index])
        return &no_rule;
    return message->rules[index];
}

/* Calls visit with the rule of every field that a canonical path passes, from the top. */
static void walk_rules(const ProtobufCMessageDescriptor *type, const char *path,
                       void (*visit)(const Macula__V1__FieldRule *rule, void *data), void *data) {
    const ProtobufCFieldDescriptor *field = NULL;
    bool inside = false; /* the last part was a list or map: the next one names one of its items */
    for (codec_segment segment; codec_segment_next(&path, &segment) > 0; free(segment.text)) {
        if (inside) {
            inside = false;
            continue;
        }
        field = type ? protobuf_c_message_descriptor_get_field_by_name(type, segment.text) : NULL;
        if (!field) {
            free(segment.text);
            return;
        }
        visit(mac_schema_rule(type, field), data);
        inside = codec_is_list(field);
        const ProtobufCFieldDescriptor *value = codec_is_map(type, field) ? codec_map_value(field) : field;
        type = codec_is_message(value) ? value->descriptor : NULL;
    }
}

static void keep_service(const Macula__V1__FieldRule *rule, void *data) {
    if (rule->service)
        *(const char **)data = rule->service;
}

const char *mac_schema_service(const ProtobufCMessageDescriptor *type, const char *path) {
    const char *service = NULL;
    walk_rules(type, path, keep_service, &service);
    return service;
}

static void keep_phases(const Macula__V1__FieldRule *rule, void *data) {
    if (rule->n_phase)
        *(const Macula__V1__FieldRule **)data = rule;
}

const Macula__V1__FieldRule__Phase *mac_schema_phases(const ProtobufCMessageDescriptor *type, const char *path,
                                                      size_t *ret_count) {
    const Macula__V1__FieldRule *rule = &no_rule;
    walk_rules(type, path, keep_phases, &rule);
    *ret_count = rule->n_phase;
    return rule->phase;
}
