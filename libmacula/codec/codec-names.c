/* What people write and what they mean by it: spellings of keys and words, and the nearest known one to a slip. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "codec/codec-internal.h"

#define WORD_MAX 64u /* longer words are not compared: they are no slip */

/* The name with every _x as X is how the protobuf JSON mapping spells a field. */
static bool is_camel_of(const char *key, const char *name) {
    bool upper = false;
    for (; *name; name++) {
        if (*name == '_') {
            upper = true;
            continue;
        }
        char expected = upper ? (char)toupper((unsigned char)*name) : *name;
        upper = false;
        if (*key++ != expected)
            return false;
    }
    return !*key;
}

/* Equal when - and _ are the same. */
static bool is_same_word(const char *a, const char *b) {
    for (; *a && *b; a++, b++)
        if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_')))
            return false;
    return *a == *b;
}

bool codec_is_map(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field) {
    if (!codec_is_list(field) || !codec_is_message(field))
        return false;
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    if (entry->n_fields != 2 || entry->fields[0].id != 1 || entry->fields[1].id != 2 ||
        !mac_ends_with(entry->short_name, "Entry") || !mac_streq(entry->fields[0].name, "key") ||
        !mac_streq(entry->fields[1].name, "value"))
        return false;
    size_t scope = strlen(type->name);
    return strncmp(entry->name, type->name, scope) == 0 && entry->name[scope] == '.' &&
           mac_streq(entry->name + scope + 1, entry->short_name);
}

const ProtobufCFieldDescriptor *codec_shorthand(const ProtobufCMessageDescriptor *type) {
    for (unsigned i = 0; i < type->n_fields; i++)
        if (mac_schema_rule(type, &type->fields[i])->shorthand)
            return &type->fields[i];
    return NULL;
}

static bool is_alias(const Macula__V1__FieldRule *rule, const char *key) {
    for (size_t i = 0; i < rule->n_alias; i++)
        if (is_same_word(key, rule->alias[i]) || is_camel_of(key, rule->alias[i]))
            return true;
    return false;
}

const ProtobufCFieldDescriptor *codec_field_find(const ProtobufCMessageDescriptor *type, const char *key,
                                                 bool *ret_alias) {
    *ret_alias = false;
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(type, key);
    if (field)
        return field;
    for (unsigned i = 0; i < type->n_fields; i++)
        if (is_camel_of(key, type->fields[i].name) || is_same_word(key, type->fields[i].name))
            return &type->fields[i];
    for (unsigned i = 0; i < type->n_fields; i++)
        if (is_alias(mac_schema_rule(type, &type->fields[i]), key)) {
            *ret_alias = true;
            return &type->fields[i];
        }
    return NULL;
}

const ProtobufCFieldDescriptor *mac_codec_field(const ProtobufCMessageDescriptor *type, const char *key) {
    bool alias;
    return codec_field_find(type, key, &alias);
}

static int fold(char c) {
    return c == '-' ? '_' : tolower((unsigned char)c);
}

unsigned codec_distance(const char *a, const char *b, unsigned limit) {
    size_t rows = strlen(a), columns = strlen(b);
    if (rows > WORD_MAX || columns > WORD_MAX || rows > columns + limit || columns > rows + limit)
        return limit + 1;
    unsigned d[3][WORD_MAX + 2]; /* this row, the one before, the one before that: i % 3 */
    for (size_t j = 0; j <= columns; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= rows; i++) {
        unsigned *row = d[i % 3], *above = d[(i - 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= columns; j++) {
            int x = fold(a[i - 1]), y = fold(b[j - 1]);
            unsigned best = above[j - 1] + (x != y);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            bool swapped = i > 1 && j > 1 && fold(a[i - 2]) == y && x == fold(b[j - 2]);
            if (swapped && d[(i - 2) % 3][j - 2] + 1 < best)
                best = d[(i - 2) % 3][j - 2] + 1;
            row[j] = best;
        }
    }
    unsigned distance = d[rows % 3][columns];
    return distance > limit ? limit + 1 : distance;
}

/* How far a word of this length may be from the one that was meant. */
static unsigned slip_limit(const char *word) {
    size_t length = strlen(word);
    return length < 3 ? 0 : length < 6 ? 1 : length < 10 ? 2 : 3;
}

const char *codec_nearest(const char *word, const char *const *words, size_t count) {
    unsigned best = slip_limit(word) + 1;
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        unsigned distance = codec_distance(word, words[i], best);
        if (distance < best) {
            best = distance;
            nearest = words[i];
        }
    }
    return nearest;
}

/* The key one level further down: modules was meant as maculaos.modules. */
static char *hint_below(const ProtobufCMessageDescriptor *type, const char *key) {
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        bool alias;
        const ProtobufCFieldDescriptor *below = NULL;
        if (codec_is_message(field) && !codec_is_list(field))
            below = codec_field_find(field->descriptor, key, &alias);
        if (below)
            return mac_asprintf("did you mean \"%s.%s\"?", field->name, below->name);
    }
    return NULL;
}

char *codec_field_hint(const ProtobufCMessageDescriptor *type, const char *key) {
    const char **names = mac_calloc(type->n_fields, sizeof *names);
    for (unsigned i = 0; i < type->n_fields; i++)
        names[i] = type->fields[i].name;
    const char *nearest = codec_nearest(key, names, type->n_fields);
    free(names);
    if (nearest)
        return mac_asprintf("did you mean \"%s\"?", nearest);
    char *below = hint_below(type, key);
    if (below)
        return below;
    mac_autobuffer text = {0};
    mac_buffer_text(&text, type->n_fields ? "known here: " : "no key is known here");
    for (unsigned i = 0; i < type->n_fields && i < 12; i++)
        mac_buffer_printf(&text, "%s%s", i ? ", " : "", type->fields[i].name);
    if (type->n_fields > 12)
        mac_buffer_printf(&text, " and %u more", type->n_fields - 12);
    return mac_buffer_take(&text);
}

const ProtobufCEnumValue *codec_enum_find(const ProtobufCEnumDescriptor *type, const char *word) {
    const ProtobufCEnumValue *exact = protobuf_c_enum_descriptor_get_value_by_name(type, word);
    if (exact)
        return exact;
    for (unsigned i = 0; i < type->n_value_names; i++)
        if (is_same_word(word, type->values_by_name[i].name))
            return &type->values[type->values_by_name[i].index];
    return NULL;
}

char *codec_quote(const char *text) {
    mac_autobuffer out = {0};
    mac_buffer_text(&out, "\"");
    size_t shown = 0;
    for (const char *p = text; *p; p++) {
        bool starts_character = ((unsigned char)*p & 0xc0) != 0x80;
        if (starts_character && shown++ >= 60) {
            mac_buffer_text(&out, "…");
            break;
        }
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            mac_buffer_printf(&out, "\\x%02x", (unsigned char)*p);
        else
            mac_buffer_append(&out, p, 1);
    }
    mac_buffer_text(&out, "\"");
    return mac_buffer_take(&out);
}

char *codec_describe(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_STRING: {
        mac_autofree char *quoted = codec_quote(json_string_value(value));
        return mac_asprintf("the text %s", quoted);
    }
    case JSON_INTEGER:
        return mac_asprintf("the number %" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL:
        return mac_asprintf("the number %g", json_real_value(value));
    case JSON_TRUE:
        return mac_strdup("true");
    case JSON_FALSE:
        return mac_strdup("false");
    case JSON_NULL:
        return mac_strdup("null");
    case JSON_ARRAY:
        return mac_strdup("a list");
    case JSON_OBJECT:
        return mac_strdup("a group of keys");
    }
    return mac_strdup("nothing");
}

bool codec_text_is_hidden(const Macula__V1__FieldRule *rule, const char *text) {
    return codec_is_hidden(rule, MAC_CODEC_MASK | MAC_CODEC_MASK_PRIVATE) ||
           (codec_may_have_login(rule) && text && strchr(text, '@'));
}

char *codec_found(const Macula__V1__FieldRule *rule, const json_t *value) {
    bool hide = codec_text_is_hidden(rule, json_string_value(value));
    if (hide && !json_is_array(value) && !json_is_object(value))
        return mac_asprintf("something else (not shown: it %s)",
                            rule->secret || rule->hashed ? "is secret" : "may hold a secret");
    return codec_describe(value);
}

const char *codec_type_words(const ProtobufCFieldDescriptor *field) {
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return "a whole number, not negative";
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return "a whole number";
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return "a number";
    case PROTOBUF_C_TYPE_BOOL:
        return "true or false";
    case PROTOBUF_C_TYPE_ENUM:
        return "a word";
    case PROTOBUF_C_TYPE_STRING:
        return "text";
    case PROTOBUF_C_TYPE_BYTES:
        return "bytes in base64";
    case PROTOBUF_C_TYPE_MESSAGE:
        return "a group of keys";
    }
    return "nothing";
}
