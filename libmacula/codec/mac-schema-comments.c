#include <string.h>

#include "codec/mac-schema.h"

#define SETS_MAX 8

static const mac_schema_comments *sets[SETS_MAX] = {&macula_schema_comments};
static size_t set_count = 1;

void mac_schema_add_comments(const mac_schema_comments *comments) {
    for (size_t i = 0; i < set_count; i++)
        if (sets[i] == comments)
            return;
    if (set_count == SETS_MAX)
        abort();
    sets[set_count++] = comments;
}

const mac_schema_comment *mac_schema_comment_find(const mac_schema_comments *comments, const char *full_name) {
    size_t low = 0, high = comments->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const mac_schema_comment *comment = &comments->comments[comments->by_name[middle]];
        int order = strcmp(full_name, comment->name);
        if (order == 0)
            return comment;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* What is said of `scope`, or of `scope.name`; never NULL. */
static const mac_schema_comment *find(const char *scope, const char *name) {
    static const mac_schema_comment nothing;
    mac_autofree char *full_name = name ? mac_asprintf("%s.%s", scope, name) : mac_strdup(scope);
    for (size_t i = 0; i < set_count; i++) {
        const mac_schema_comment *comment = mac_schema_comment_find(sets[i], full_name);
        if (comment)
            return comment;
    }
    return &nothing;
}

const char *mac_schema_message_comment(const ProtobufCMessageDescriptor *type) {
    return find(type->name, NULL)->text;
}

const char *mac_schema_field_comment(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field) {
    return find(type->name, field->name)->text;
}

const char *mac_schema_enum_comment(const ProtobufCEnumDescriptor *type) {
    return find(type->name, NULL)->text;
}

const char *mac_schema_value_comment(const ProtobufCEnumDescriptor *type, const char *value_name) {
    return find(type->name, value_name)->text;
}

const char *mac_schema_service_comment(const ProtobufCServiceDescriptor *service) {
    return find(service->name, NULL)->text;
}

const char *mac_schema_method_comment(const ProtobufCServiceDescriptor *service, const char *method_name) {
    return find(service->name, method_name)->text;
}

const char *mac_schema_field_example(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field) {
    return find(type->name, field->name)->example;
}
