/* What the files of libmacula/codec share with each other and nobody else. */
#ifndef CODEC_INTERNAL_H
#define CODEC_INTERNAL_H

#include "codec/mac-codec.h"
#include "codec/mac-schema.h"
#include "codec/mac-tree.h"

#define CODEC_PATH_MAX 4096u               /* bytes of a path anybody may ask for */
#define CODEC_MAX_EXPANDED (4u << 20)      /* bytes of text of a YAML document after its aliases are expanded */
#define CODEC_MAX_MEMORY (16u << 20)       /* bytes of structs and text a message may become when it is unpacked */
#define CODEC_SEALED "sealed:v1:"          /* MAC_SEAL_PREFIX: how a sealed secret begins */
#define CODEC_EXACT_MAX ((int64_t)1 << 53) /* integers up to here are exact in every JSON reader */

/* Where in a document we are: a chain of stack frames, turned into text only when there is something to report. */
typedef struct codec_step {
    const struct codec_step *up;
    const char *key; /* NULL: index */
    size_t index;
} codec_step;

/* "write_files[0].path"; NULL is the whole document, "". Caller frees. */
char *codec_step_path(const codec_step *step);

/* One part of a path. */
typedef struct codec_segment {
    char *text;
    bool is_index; /* [digits] without quotes: a list item, unless it stands below a map */
    size_t index;
} codec_segment;

/* Takes the next part off *cursor: 1, 0 at the end, -EINVAL when it is malformed. ret_segment->text is the caller's. */
int codec_segment_next(const char **cursor, codec_segment *ret_segment) MAC_MUST_USE;

/* A map is a repeated message <Field>Entry {key = 1, value = 2} nested in its owner. */
bool codec_is_map(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field);
static inline const ProtobufCFieldDescriptor *codec_map_key(const ProtobufCFieldDescriptor *field) {
    return &((const ProtobufCMessageDescriptor *)field->descriptor)->fields[0];
}
static inline const ProtobufCFieldDescriptor *codec_map_value(const ProtobufCFieldDescriptor *field) {
    return &((const ProtobufCMessageDescriptor *)field->descriptor)->fields[1];
}
static inline bool codec_is_message(const ProtobufCFieldDescriptor *field) {
    return field->type == PROTOBUF_C_TYPE_MESSAGE;
}
static inline bool codec_is_list(const ProtobufCFieldDescriptor *field) {
    return field->label == PROTOBUF_C_LABEL_REPEATED;
}
/* The field a plain value in place of a message stands for, or NULL. */
const ProtobufCFieldDescriptor *codec_shorthand(const ProtobufCMessageDescriptor *type);

/* The field a person means by key: its name, its camelCase, with - for _, or an alias (*ret_alias). NULL if none. */
const ProtobufCFieldDescriptor *codec_field_find(const ProtobufCMessageDescriptor *type, const char *key,
                                                 bool *ret_alias);
/* Ends the sentence about an unknown key: `did you mean "hostname"?` or `known here: a, b`. Caller frees. */
char *codec_field_hint(const ProtobufCMessageDescriptor *type, const char *key);
const ProtobufCEnumValue *codec_enum_find(const ProtobufCEnumDescriptor *type, const char *word);
/* The nearest of count words when it is near enough to be a slip, else NULL. */
const char *codec_nearest(const char *word, const char *const *words, size_t count);
/* Damerau-Levenshtein distance (adjacent transpositions), at most limit + 1. */
unsigned codec_distance(const char *a, const char *b, unsigned limit);

/* Whether MAC_CODEC_MASK and MAC_CODEC_MASK_PRIVATE in flags hide a field from the reader. */
static inline bool codec_is_hidden(const Macula__V1__FieldRule *rule, unsigned flags) {
    return ((flags & MAC_CODEC_MASK) && (rule->secret || rule->hashed)) ||
           ((flags & MAC_CODEC_MASK_PRIVATE) && rule->private_);
}
/* Whether a field may hold a URL, whose login MAC_CODEC_MASK_PRIVATE hides. */
static inline bool codec_may_have_login(const Macula__V1__FieldRule *rule) {
    return rule->format == MACULA__V1__FIELD_RULE__FORMAT__url ||
           rule->format == MACULA__V1__FIELD_RULE__FORMAT__https_url ||
           rule->format == MACULA__V1__FIELD_RULE__FORMAT__ssh_key ||
           rule->format == MACULA__V1__FIELD_RULE__FORMAT__endpoint;
}
/* Whether a message must not quote this text of a field: it may be a secret. */
bool codec_text_is_hidden(const Macula__V1__FieldRule *rule, const char *text);
/* What stands at a field, for a message that others than its author may read too: of a field that can hold a secret no
 * more than its kind. Caller frees. */
char *codec_found(const Macula__V1__FieldRule *rule, const json_t *value);
/* text between quotes for a message: control characters escaped, shortened when long. Caller frees. */
char *codec_quote(const char *text);
/* The kind of a JSON value in words: "the number 5", "the text \"x\"", "a list". Caller frees. */
char *codec_describe(const json_t *value);
/* The kind of a field's value in words: "a whole number", "text". */
const char *codec_type_words(const ProtobufCFieldDescriptor *field);

/* Takes out of a canonical message what was refused in it; false: what remains lacks something that is required. A
 * patch lacks nothing. */
bool codec_keep_rest(const ProtobufCMessageDescriptor *type, json_t *object, bool patch);

bool codec_is_cron(const char *text);
bool codec_is_window(const char *text);

char *codec_base64_encode(const void *data, size_t length);
/* RFC 4648, the standard or the URL-safe alphabet, with or without padding, white space between. -EINVAL otherwise. */
int codec_base64_decode(const char *text, size_t length, uint8_t **ret_data, size_t *ret_length) MAC_MUST_USE;

/* Shortest decimal text that reads back as the same number, always with a point or exponent; NaN, Infinity. */
#define CODEC_REAL_SIZE 40
void codec_real_text(double value, bool is_float, char text[CODEC_REAL_SIZE]);

/* Integers, floats and booleans from the text of a number. Base 10; with `yaml` also 0x and 0o. -EINVAL; -ERANGE. */
typedef struct codec_integer {
    bool negative; /* then magnitude is of the absolute value */
    uint64_t magnitude;
} codec_integer;
int codec_integer_parse(const char *text, bool yaml, codec_integer *ret_integer) MAC_MUST_USE;
/* Whether the integer fits the type of the field; *ret_bits are its two's complement bits. */
bool codec_integer_fits(ProtobufCType type, codec_integer integer, uint64_t *ret_bits);
unsigned codec_wire_type(ProtobufCType type); /* of one value */
json_t *codec_integer_json(ProtobufCType type, uint64_t bits);
int codec_real_parse(const char *text, bool yaml, double *ret_value) MAC_MUST_USE;

static inline bool codec_continues_character(char c) {
    return ((unsigned char)c & 0xc0) == 0x80;
}
/* Line and column of a byte. */
mac_place codec_place_at(const char *file, const char *text, size_t offset);
/* Whether line number `line` (from 0) or the one above it is indented with a tab: what libyaml then says helps nobody.
 */
bool codec_tab_near(const char *text, size_t length, size_t line);
/* Says which byte of a text is the first that no valid UTF-8 text has there; -EINVAL. */
int codec_refuse_encoding(const char *file, const char *text, size_t length, mac_problems *problems) MAC_MUST_USE;

/* The marks of a YAML text as a tree parallel to the values; node 0 is none. */
typedef struct codec_node codec_node;
const codec_node *codec_marks_root(const mac_marks *marks);
const codec_node *codec_node_key(const mac_marks *marks, const codec_node *node, const char *key);
const codec_node *codec_node_item(const mac_marks *marks, const codec_node *node, size_t index);
const mac_mark *codec_node_mark(const codec_node *node);
const mac_place *codec_node_key_place(const codec_node *node); /* where the key stands; the value's place in lists */

/* State of one normalisation. */
typedef struct codec_check {
    unsigned flags;
    const mac_marks *marks; /* NULL: the tree is JSON */
    mac_problems *problems;
    unsigned depth;
} codec_check;

/* A value on its way: where it stands and what was said of it. */
typedef struct codec_value {
    const codec_step *step;
    const json_t *json;
    const codec_node *node; /* NULL in JSON */
} codec_value;

void codec_error(const codec_check *check, const codec_value *value, const char *format, ...) MAC_PRINTF(3, 4);
/* One scalar in canonical form (new reference), or NULL after reporting why not. */
json_t *codec_scalar(const codec_check *check, const codec_value *value, const ProtobufCFieldDescriptor *field,
                     const Macula__V1__FieldRule *rule);
/* Whether a text obeys format, choices, lengths; reports if not. Returns the canonical text (borrowed), or NULL. */
const char *codec_text_check(const codec_check *check, const codec_value *value, const Macula__V1__FieldRule *rule,
                             Macula__V1__FieldRule__Format format, const char *text, size_t length);

/* Canonical tree → wire bytes appended to buffer. -EINVAL with a problem when the tree does not fit the type. */
int codec_pack_tree(const ProtobufCMessageDescriptor *type, const json_t *tree, mac_problems *problems,
                    mac_buffer *buffer) MAC_MUST_USE;
/* What protobuf-c does not check before it unpacks: UTF-8, depth, memory, enum values. */
int codec_scan(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t length,
               mac_problems *problems) MAC_MUST_USE;
/* Message → JSON text appended to the buffer. */
void codec_print(const ProtobufCMessage *message, unsigned flags, mac_buffer *buffer);

#endif
