/* Verbs for the tests of the codec. Include after cmocka.h. */
#ifndef TEST_CODEC_SUPPORT_H
#define TEST_CODEC_SUPPORT_H

#include <string.h>

#include "codec/codec-internal.h"
#include "test-codec.pb-c.h"

extern const mac_schema_table test_codec_schema_table;
extern const mac_schema_comments test_codec_schema_comments;

#define CONFIG (&macula__test__config__descriptor)
#define EVERYTHING (&macula__test__everything__descriptor)

/* Text → canonical tree, or NULL; what was said is in *ret_said (the caller's). */
json_t *read_yaml(const ProtobufCMessageDescriptor *type, const char *text, size_t length, unsigned flags,
                  char **ret_said);
json_t *read_json(const ProtobufCMessageDescriptor *type, const char *text, size_t length, unsigned flags,
                  char **ret_said);

/* The text is accepted, without a word, and becomes this tree. */
void yaml_becomes(const ProtobufCMessageDescriptor *type, const char *text, const char *expected_json);
void json_becomes(const ProtobufCMessageDescriptor *type, const char *text, const char *expected_json);
/* The text is refused, and every one of the lines (joined by \n) is said. */
void yaml_is_refused(const ProtobufCMessageDescriptor *type, const char *text, const char *expected_said);
void json_is_refused(const ProtobufCMessageDescriptor *type, const char *text, const char *expected_said);
/* The two are the same JSON value. */
void trees_equal(const json_t *tree, const char *expected_json);
json_t *json_of(const char *text);

#endif
