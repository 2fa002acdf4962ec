/* One schema, three encodings: protobuf, JSON and YAML, all from the protobuf-c descriptors.
 *
 * Documents pass through a *tree*: jansson values. YAML and JSON text become a tree; mac_codec_normalise checks a tree
 * against a message descriptor and its rules (proto/macula/v1/options.proto) and returns the same tree in canonical
 * form (snake_case keys, typed values); mac_codec_message packs a canonical tree to wire bytes and unpacks them, so
 * that protobuf-c owns every struct. Merging, paths and differences work on canonical trees.
 *
 * JSON mapping: field names as in the .proto (camelCase is read too); integers as numbers up to 2^53, beyond as strings
 * (both are read); enums by name; bytes as base64; maps as objects. Every official protobuf library reads it.
 *
 * Limits, refused with a problem that names them: MAC_CODEC_MAX_BYTES of text, MAC_CODEC_MAX_DEPTH levels, and for YAML
 * MAC_CODEC_MAX_NODES nodes after aliases are expanded. All text is valid UTF-8 without NUL. */
#ifndef MAC_CODEC_H
#define MAC_CODEC_H

#include <jansson.h>

#include "base/mac-base.h"
#include "base/mac-problem.h"

#define MAC_CODEC_MAX_BYTES (1u << 20)
#define MAC_CODEC_MAX_DEPTH 32u
#define MAC_CODEC_MAX_NODES 100000u

MAC_DEFINE_AUTOPTR(json_t, json_decref)

/* Where each value of a parsed YAML tree stands, by path. */
typedef struct mac_marks mac_marks;

typedef struct mac_mark {
    mac_place place;    /* start of the value; of one that an alias stands for, of the alias */
    size_t start, end;  /* bytes of the value in the text */
    bool plain;         /* a plain (unquoted) scalar */
    bool tagged_binary; /* !!binary: the tree holds its base64 text */
} mac_mark;

void mac_marks_free(mac_marks *marks);
MAC_DEFINE_AUTOPTR(mac_marks, mac_marks_free)
/* The mark of the value at a path as the source spells it; NULL if there is none. Lives as long as marks. */
const mac_mark *mac_marks_get(const mac_marks *marks, const char *path);
/* What stood at `from` is now found at `to`, both keys of mappings: for a caller that moves a value in the tree.
 * Missing parents of `to` are made, without places. Nothing happens when marks is NULL or has nothing at `from`. */
void mac_marks_move(mac_marks *marks, const char *from, const char *to);

enum {
    MAC_CODEC_PATCH = 1 << 0, /* normalise: null is allowed and kept (RFC 7396: removes the key); nothing is required */
    /* normalise: a JSON tree is read as a document that somebody wrote, which could as well be YAML: numbers and truth
     * values are text where the schema wants text, and one value stands for a list of it */
    MAC_CODEC_WRITTEN = 1 << 4,
    MAC_CODEC_DEFAULTS = 1 << 1,     /* tree: fields that are not set appear with their declared default */
    MAC_CODEC_MASK = 1 << 2,         /* tree: secret and hashed fields appear as MAC_CODEC_MASKED */
    MAC_CODEC_MASK_PRIVATE = 1 << 3, /* tree: private ones too, which not everybody may read */
};
#define MAC_CODEC_MASKED "********"

/* The mark of the value at a canonical path, however the source spells its keys (k3os for maculaos, camelCase, a plain
 * value for a message or list). Several paths have the same mark where the source uses an alias: the offsets then are
 * those of the value itself. NULL if the source does not have it. */
const mac_mark *mac_codec_mark(const ProtobufCMessageDescriptor *type, const mac_marks *marks, const char *path);

/* Text → tree. Problems go to `problems`; returns 0, or -EINVAL when the text cannot be parsed (then *ret_… untouched).
 * Scalars of YAML arrive as strings (null as JSON null) whose type the schema decides; their marks say whether they
 * were plain. `file` names the source in problems and marks. Duplicate keys are errors. An empty text is an empty
 * object. */
int mac_codec_parse_json(const char *file, const char *text, size_t length, mac_problems *problems,
                         json_t **ret_tree) MAC_MUST_USE;
int mac_codec_parse_yaml(const char *file, const char *text, size_t length, mac_problems *problems, json_t **ret_tree,
                         mac_marks **ret_marks) MAC_MUST_USE;
/* Like mac_codec_parse_yaml, for whoever wants to find every mistake at once: a text whose only mistakes so far are
 * keys that stand twice gives MAC_CODEC_DUPLICATES, and the tree as if the first of them were the only one. Such a tree
 * is for looking at, not for use. */
#define MAC_CODEC_DUPLICATES 1
int mac_codec_read_yaml(const char *file, const char *text, size_t length, mac_problems *problems, json_t **ret_tree,
                        mac_marks **ret_marks) MAC_MUST_USE;

/* Like mac_codec_parse_json, for MAC_CODEC_WRITTEN: numbers with a fraction or exponent arrive as text, as written. */
int mac_codec_read_json(const char *file, const char *text, size_t length, mac_problems *problems,
                        json_t **ret_tree) MAC_MUST_USE;

/* The field that a key of a message means, in every spelling that is read; NULL if there is none. Costs next to
 * nothing: for whoever looks at many keys (mac_path_resolve says what was meant instead, which takes its time). */
const ProtobufCFieldDescriptor *mac_codec_field(const ProtobufCMessageDescriptor *type, const char *key);

/* Checks a tree against a message and its rules and returns it in canonical form. marks may be NULL (JSON). Every error
 * is reported: unknown key with the nearest known one, wrong type with what was found, out of range, missing required.
 * Deprecated spellings are warnings. !!binary is for fields of bytes and for text that has a field `encoding` beside
 * it, which then becomes "b64". Returns 0, or -EINVAL when there is at least one error. */
int mac_codec_normalise(const ProtobufCMessageDescriptor *type, const json_t *tree, const mac_marks *marks,
                        unsigned flags, mac_problems *problems, json_t **ret_tree) MAC_MUST_USE;

/* The same for whoever wants to find every mistake at once: when something is refused, it returns MAC_CODEC_PARTLY and
 * the tree without that (and without the messages that then lack what is required, and the items of a list from the
 * first such one on). Such a tree is for looking at, not for use. -EINVAL: nothing remains. */
#define MAC_CODEC_PARTLY 1
int mac_codec_normalise_rest(const ProtobufCMessageDescriptor *type, const json_t *tree, const mac_marks *marks,
                             unsigned flags, mac_problems *problems, json_t **ret_tree) MAC_MUST_USE;

/* Canonical tree → message. Free with protobuf_c_message_free_unpacked(message, NULL). The entries of a map come in the
 * order of the bytes of their keys, whatever order the tree has. */
int mac_codec_message(const ProtobufCMessageDescriptor *type, const json_t *tree, mac_problems *problems,
                      ProtobufCMessage **ret_message) MAC_MUST_USE;

/* JSON text → message in one go: parse, normalise, pack, unpack. */
int mac_codec_from_json(const ProtobufCMessageDescriptor *type, const char *text, size_t length, mac_problems *problems,
                        ProtobufCMessage **ret_message) MAC_MUST_USE;

/* Wire bytes → message, with what protobuf-c does not check: UTF-8, depth, size, enum values it does not know. */
int mac_codec_unpack(const ProtobufCMessageDescriptor *type, const void *data, size_t length, mac_problems *problems,
                     ProtobufCMessage **ret_message) MAC_MUST_USE;

/* Message → canonical tree (new reference) / JSON text (caller frees). flags: MAC_CODEC_DEFAULTS, MAC_CODEC_MASK,
 * MAC_CODEC_MASK_PRIVATE. */
json_t *mac_codec_tree(const ProtobufCMessage *message, unsigned flags);
char *mac_codec_to_json(const ProtobufCMessage *message, unsigned flags, size_t *ret_length);
/* Message → wire bytes; caller frees. */
void *mac_codec_pack(const ProtobufCMessage *message, size_t *ret_length);
/* A deep copy of any message; NULL when it lacks a required field. */
ProtobufCMessage *mac_codec_copy(const ProtobufCMessage *message);

/* Tree → YAML text for a person (block style, keys in schema order where type is given). Caller frees. */
char *mac_codec_to_yaml(const json_t *tree, const ProtobufCMessageDescriptor *type);

/* Replaces in a canonical tree every value that flags (MAC_CODEC_MASK, MAC_CODEC_MASK_PRIVATE) hide by MAC_CODEC_MASKED
 * (bytes by its base64). Of a message, list or map that is hidden as a whole every text is replaced, and what is no
 * text left out. */
void mac_codec_mask(const ProtobufCMessageDescriptor *type, json_t *tree, unsigned flags);

#endif
