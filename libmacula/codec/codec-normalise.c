/* A tree as somebody wrote it → the same tree in canonical form, checked against the message type and its rules.
 *
 * Everything wrong is reported, up to MAC_PROBLEMS_MAX errors: then the rest is not looked at, so that a hostile
 * document costs no more than an ordinary one. A value that was refused leaves a null behind, which keeps "missing"
 * from being said of it as well; such a tree is never returned. */
#include <errno.h>
#include <string.h>

#include "codec/codec-internal.h"

static json_t *normalise_message(codec_check *check, const codec_value *value, const ProtobufCMessageDescriptor *type);

MAC_PRINTF(5, 0)
static void report(const codec_check *check, mac_severity severity, const mac_place *place, const codec_step *step,
                   const char *format, va_list arguments) {
    mac_autofree char *path = codec_step_path(step);
    mac_autofree char *message = mac_vasprintf(format, arguments);
    mac_problems_add(check->problems, severity, place, path, "%s", message);
}

void codec_error(const codec_check *check, const codec_value *value, const char *format, ...) {
    const mac_mark *mark = codec_node_mark(value->node);
    va_list arguments;
    va_start(arguments, format);
    report(check, MAC_PROBLEM_ERROR, mark ? &mark->place : NULL, value->step, format, arguments);
    va_end(arguments);
}

/* As codec_error, but it is the key that is worth saying something about. */
MAC_PRINTF(4, 5)
static void report_key(const codec_check *check, mac_severity severity, const codec_value *value, const char *format,
                       ...) {
    va_list arguments;
    va_start(arguments, format);
    report(check, severity, codec_node_key_place(value->node), value->step, format, arguments);
    va_end(arguments);
}

static bool is_full(const codec_check *check) {
    return mac_problems_errors(check->problems) >= MAC_PROBLEMS_MAX;
}

static json_t *readable(const json_t *value) {
    return (json_t *)(uintptr_t)value;
}

static json_t *normalise_item(codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                              const Macula__V1__FieldRule *rule) {
    if (codec_is_message(field))
        return normalise_message(check, value, field->descriptor);
    return codec_scalar(check, value, field, rule);
}

/* Whether a value that is no list may stand for a list of one item. */
static bool is_single(const codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                      const Macula__V1__FieldRule *rule) {
    if (rule->single || json_is_array(value->json))
        return true;
    bool plain_item = !codec_is_message(field) || codec_shorthand(field->descriptor);
    bool is_written = check->marks || (check->flags & MAC_CODEC_WRITTEN);
    return is_written && plain_item && !json_is_object(value->json);
}

static json_t *normalise_list(codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                              const Macula__V1__FieldRule *rule) {
    if (!is_single(check, value, field, rule)) {
        mac_autofree char *found = codec_found(rule, value->json);
        codec_error(check, value, "expected a list, found %s", found);
        return NULL;
    }
    bool is_list = json_is_array(value->json);
    size_t count = is_list ? json_array_size(value->json) : 1;
    if (rule->max_items && count > rule->max_items) {
        codec_error(check, value, "%zu items are too many: expected at most %u", count, rule->max_items);
        return NULL;
    }
    /* The items of a list are replaced as a whole: within them nothing is a patch. */
    codec_check inside = *check;
    inside.flags &= ~(unsigned)MAC_CODEC_PATCH;
    inside.depth++;
    json_t *out = json_array();
    for (size_t i = 0; i < count && !is_full(check); i++) {
        codec_step step = {value->step, NULL, i};
        codec_value item = {&step, is_list ? json_array_get(value->json, i) : value->json,
                            is_list ? codec_node_item(check->marks, value->node, i) : value->node};
        json_t *canonical = NULL;
        if (json_is_null(item.json))
            codec_error(&inside, &item, "expected %s, found an empty item", codec_type_words(field));
        else
            canonical = normalise_item(&inside, &item, field, rule);
        json_array_append_new(out, canonical ? canonical : json_null());
    }
    return out;
}

/* The key of a map in canonical spelling (new), or NULL after reporting why not. */
static char *normalise_key(const codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                           const Macula__V1__FieldRule *rule, const char *key) {
    const ProtobufCFieldDescriptor *type = codec_map_key(field);
    mac_autofree char *quoted = codec_quote(key);
    codec_integer integer;
    uint64_t bits;
    if (type->type == PROTOBUF_C_TYPE_STRING) {
        const char *expected = mac_format_check(rule->key_format, key);
        if (!expected)
            return mac_strdup(key);
        report_key(check, MAC_PROBLEM_ERROR, value, "expected as key %s, found %s", expected, quoted);
        return NULL;
    }
    if (type->type == PROTOBUF_C_TYPE_BOOL && (mac_streq(key, "true") || mac_streq(key, "false")))
        return mac_strdup(key);
    if (type->type != PROTOBUF_C_TYPE_BOOL && codec_integer_parse(key, check->marks != NULL, &integer) == 0 &&
        codec_integer_fits(type->type, integer, &bits))
        return integer.negative ? mac_asprintf("-%llu", (unsigned long long)integer.magnitude)
                                : mac_asprintf("%llu", (unsigned long long)integer.magnitude);
    report_key(check, MAC_PROBLEM_ERROR, value, "expected as key %s, found %s", codec_type_words(type), quoted);
    return NULL;
}

static void normalise_entry(codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                            const Macula__V1__FieldRule *rule, const char *key, json_t *out) {
    mac_autofree char *canonical = normalise_key(check, value, field, rule, key);
    if (!canonical)
        return;
    if (json_object_get(out, canonical)) {
        report_key(check, MAC_PROBLEM_ERROR, value, "is the same key as another one: remove one of them");
        return;
    }
    json_t *item = NULL;
    if (!json_is_null(value->json))
        item = normalise_item(check, value, codec_map_value(field), rule);
    else if (!(check->flags & MAC_CODEC_PATCH))
        codec_error(check, value, "expected %s, found nothing", codec_type_words(codec_map_value(field)));
    json_object_set_new(out, canonical, item ? item : json_null());
}

static json_t *normalise_map(codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                             const Macula__V1__FieldRule *rule) {
    if (!json_is_object(value->json)) {
        mac_autofree char *found = codec_found(rule, value->json);
        codec_error(check, value, "expected keys with values, found %s", found);
        return NULL;
    }
    if (rule->max_items && json_object_size(value->json) > rule->max_items) {
        codec_error(check, value, "%zu keys are too many: expected at most %u", json_object_size(value->json),
                    rule->max_items);
        return NULL;
    }
    codec_check inside = *check;
    inside.depth++;
    json_t *out = json_object();
    const char *key;
    json_t *item;
    json_object_foreach (readable(value->json), key, item) {
        codec_step step = {value->step, key, 0};
        codec_value below = {&step, item, codec_node_key(check->marks, value->node, key)};
        if (is_full(check))
            break;
        normalise_entry(&inside, &below, field, rule, key, out);
    }
    return out;
}

static json_t *normalise_field(codec_check *check, const codec_value *value, const ProtobufCMessageDescriptor *type,
                               const ProtobufCFieldDescriptor *field) {
    const Macula__V1__FieldRule *rule = mac_schema_rule(type, field);
    if (codec_is_list(field) && check->depth >= MAC_CODEC_MAX_DEPTH) {
        codec_error(check, value, "is nested too deeply: expected at most 32 levels");
        return NULL;
    }
    if (codec_is_map(type, field))
        return normalise_map(check, value, field, rule);
    if (codec_is_list(field))
        return normalise_list(check, value, field, rule);
    return normalise_item(check, value, field, rule);
}

/* At most one field of a oneof. */
static void check_oneof(const codec_check *check, const codec_value *value, const ProtobufCMessageDescriptor *type,
                        const ProtobufCFieldDescriptor *field, const json_t *out) {
    if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) || json_is_null(value->json))
        return;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *other = &type->fields[i];
        const json_t *set = json_object_get(out, other->name);
        bool same_oneof = other != field && (other->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
                          other->quantifier_offset == field->quantifier_offset;
        if (same_oneof && set && !json_is_null(set))
            report_key(check, MAC_PROBLEM_ERROR, value, "cannot stand beside \"%s\": remove one of them", other->name);
    }
}

/* Whether `encoding` beside !!binary only says that the bytes are packed, as cloud-init has it; else they are base64
 * once more. */
static bool is_packed_only(const json_t *encoding) {
    const char *word = json_string_value(encoding);
    return mac_streq(word, "gzip") || mac_streq(word, "gz");
}

/* !!binary for text: allowed where a field `encoding` beside it says what the text is. The text becomes base64, which
 * is also how packed bytes are written. */
static json_t *binary_text(codec_check *check, const codec_value *value, const ProtobufCMessageDescriptor *type,
                           const codec_value *owner, json_t *out) {
    const ProtobufCFieldDescriptor *encoding = protobuf_c_message_descriptor_get_field_by_name(type, "encoding");
    mac_autofree uint8_t *data = NULL;
    size_t length;
    if (!encoding || encoding->type != PROTOBUF_C_TYPE_STRING) {
        codec_error(check, value, "expected text, found !!binary data");
        return NULL;
    }
    const json_t *said = json_object_get(owner->json, "encoding");
    if (said && !is_packed_only(said)) {
        codec_error(check, value,
                    "is encoded twice: remove !!binary or the key \"encoding\" (only gzip may stand beside !!binary)");
        return NULL;
    }
    if (codec_base64_decode(json_string_value(value->json), json_string_length(value->json), &data, &length) < 0) {
        codec_error(check, value, "expected !!binary data in base64");
        return NULL;
    }
    mac_autofree char *text = codec_base64_encode(data, length);
    if (!said)
        json_object_set_new(out, "encoding", json_string("b64"));
    return json_string(text);
}

static void known_key(codec_check *check, const codec_value *owner, const codec_value *value,
                      const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field, json_t *out) {
    const mac_mark *mark = codec_node_mark(value->node);
    json_t *canonical = NULL;
    if (json_is_null(value->json) && !(check->flags & MAC_CODEC_PATCH))
        return;
    size_t errors = mac_problems_errors(check->problems);
    if (mac_schema_rule(type, field)->read_only)
        report_key(check, MAC_PROBLEM_ERROR, value, "cannot be set: remove it");
    check_oneof(check, value, type, field, out);
    bool refused = mac_problems_errors(check->problems) > errors;
    if (mark && mark->tagged_binary && field->type == PROTOBUF_C_TYPE_STRING && !codec_is_list(field))
        canonical = binary_text(check, value, type, owner, out);
    else if (!json_is_null(value->json))
        canonical = normalise_field(check, value, type, field);
    json_object_set_new(out, field->name, canonical && !refused ? canonical : json_null());
    if (refused)
        json_decref(canonical);
}

/* Most aliases are as good as the name itself; a few are read only because old files have them. */
static bool is_deprecated(const Macula__V1__FieldRule *rule, const char *key) {
    for (size_t i = 0; i < rule->n_deprecated_alias; i++)
        if (mac_streq(rule->deprecated_alias[i], key))
            return true;
    return false;
}

static void normalise_pair(codec_check *check, const codec_value *owner, const ProtobufCMessageDescriptor *type,
                           const char *key, const json_t *json, json_t *out) {
    bool alias;
    const ProtobufCFieldDescriptor *field = codec_field_find(type, key, &alias);
    codec_step step = {owner->step, field ? field->name : key, 0};
    codec_value value = {&step, json, codec_node_key(check->marks, owner->node, key)};
    if (!field) {
        mac_autofree char *hint = codec_field_hint(type, key);
        report_key(check, MAC_PROBLEM_ERROR, &value, "unknown key; %s", hint);
        return;
    }
    if (alias && is_deprecated(mac_schema_rule(type, field), key))
        report_key(check, MAC_PROBLEM_WARNING, &value, "\"%s\" is an old spelling: write \"%s\"", key, field->name);
    else if (field->flags & PROTOBUF_C_FIELD_FLAG_DEPRECATED)
        report_key(check, MAC_PROBLEM_WARNING, &value, "is deprecated");
    if (json_object_get(out, field->name))
        report_key(check, MAC_PROBLEM_ERROR, &value, "\"%s\" is the same key as another one here: remove one of them",
                   key);
    else
        known_key(check, owner, &value, type, field, out);
}

static void check_required(const codec_check *check, const codec_value *value, const ProtobufCMessageDescriptor *type,
                           const json_t *out) {
    if (check->flags & MAC_CODEC_PATCH)
        return;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->label != PROTOBUF_C_LABEL_REQUIRED && !mac_schema_rule(type, field)->required)
            continue;
        const json_t *set = json_object_get(out, field->name);
        bool is_empty_list = json_is_array(set) && json_array_size(set) == 0;
        if (!set || is_empty_list)
            codec_error(check, value, "the key \"%s\" is missing: expected %s", field->name,
                        codec_is_list(field) ? "at least one item" : codec_type_words(field));
    }
}

/* A plain value in place of the message, or what else is no mapping. */
static json_t *normalise_shorthand(codec_check *check, const codec_value *value,
                                   const ProtobufCMessageDescriptor *type) {
    const ProtobufCFieldDescriptor *field = codec_shorthand(type);
    if (!field || (json_is_array(value->json) && !codec_is_list(field))) {
        /* What stands here instead of a message of secrets may be one. */
        mac_autofree char *found = json_is_string(value->json) ? mac_strdup("text") : codec_describe(value->json);
        codec_error(check, value, "expected a group of keys, found %s", found);
        return NULL;
    }
    json_t *out = json_object();
    known_key(check, value, value, type, field, out);
    check_required(check, value, type, out);
    return out;
}

static json_t *normalise_message(codec_check *check, const codec_value *value, const ProtobufCMessageDescriptor *type) {
    if (check->depth >= MAC_CODEC_MAX_DEPTH) {
        codec_error(check, value, "is nested too deeply: expected at most 32 levels");
        return NULL;
    }
    codec_check inside = *check;
    inside.depth++;
    if (!json_is_object(value->json))
        return normalise_shorthand(&inside, value, type);
    json_t *out = json_object();
    const char *key;
    json_t *item;
    json_object_foreach (readable(value->json), key, item) {
        if (is_full(check))
            break;
        normalise_pair(&inside, value, type, key, item, out);
    }
    if (!is_full(check))
        check_required(check, value, type, out);
    return out;
}

int mac_codec_normalise_rest(const ProtobufCMessageDescriptor *type, const json_t *tree, const mac_marks *marks,
                             unsigned flags, mac_problems *problems, json_t **ret_tree) {
    codec_check check = {.flags = flags, .marks = marks, .problems = mac_problems_new()};
    codec_value value = {NULL, tree, codec_marks_root(marks)};
    mac_autoptr(json_t) canonical = normalise_message(&check, &value, type);
    bool failed = mac_problems_errors(check.problems) > 0;
    mac_problems_join(problems, check.problems);
    mac_problems_free(check.problems);
    if (!canonical || (failed && !codec_keep_rest(type, canonical, flags & MAC_CODEC_PATCH)))
        return -EINVAL;
    *ret_tree = mac_take(&canonical);
    return failed ? MAC_CODEC_PARTLY : 0;
}

int mac_codec_normalise(const ProtobufCMessageDescriptor *type, const json_t *tree, const mac_marks *marks,
                        unsigned flags, mac_problems *problems, json_t **ret_tree) {
    mac_autoptr(json_t) canonical = NULL;
    if (mac_codec_normalise_rest(type, tree, marks, flags, problems, &canonical) != 0)
        return -EINVAL;
    *ret_tree = mac_take(&canonical);
    return 0;
}
