#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test-codec-support.h"

static json_t *finish(const ProtobufCMessageDescriptor *type, int r, const json_t *tree, const mac_marks *marks,
                      unsigned flags, mac_problems *problems, char **ret_said) {
    json_t *canonical = NULL;
    mac_schema_add_table(&test_codec_schema_table);
    if (r == 0)
        r = mac_codec_normalise(type, tree, marks, flags, problems, &canonical);
    assert_int_equal(r<0, mac_problems_errors(problems)> 0);
    *ret_said = mac_problems_format(problems);
    return canonical;
}

json_t *read_yaml(const ProtobufCMessageDescriptor *type, const char *text, size_t length, unsigned flags,
                  char **ret_said) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) tree = NULL;
    mac_autoptr(mac_marks) marks = NULL;
    int r = mac_codec_parse_yaml("f", text, length, problems, &tree, &marks);
    return finish(type, r, tree, marks, flags, problems, ret_said);
}

json_t *read_json(const ProtobufCMessageDescriptor *type, const char *text, size_t length, unsigned flags,
                  char **ret_said) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) tree = NULL;
    int r = mac_codec_parse_json("f", text, length, problems, &tree);
    return finish(type, r, tree, NULL, flags, problems, ret_said);
}

json_t *json_of(const char *text) {
    json_error_t error;
    json_t *tree = json_loads(text, JSON_DECODE_ANY, &error);
    if (!tree)
        fail_msg("%s: %s", text, error.text);
    return tree;
}

void trees_equal(const json_t *tree, const char *expected_json) {
    mac_autoptr(json_t) expected = json_of(expected_json);
    mac_autofree char *found = json_dumps(tree, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    mac_autofree char *wanted = json_dumps(expected, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    assert_string_equal(found, wanted);
}

static void becomes(char *said, json_t *tree, const char *expected_json) {
    mac_autofree char *owned = said;
    mac_autoptr(json_t) canonical = tree;
    assert_string_equal(owned, "");
    trees_equal(canonical, expected_json);
}

void yaml_becomes(const ProtobufCMessageDescriptor *type, const char *text, const char *expected_json) {
    char *said;
    json_t *tree = read_yaml(type, text, strlen(text), 0, &said);
    becomes(said, tree, expected_json);
}

void json_becomes(const ProtobufCMessageDescriptor *type, const char *text, const char *expected_json) {
    char *said;
    json_t *tree = read_json(type, text, strlen(text), 0, &said);
    becomes(said, tree, expected_json);
}

static void is_refused(char *said, json_t *tree, const char *expected_said) {
    mac_autofree char *owned = said;
    mac_autoptr(json_t) canonical = tree;
    assert_null(canonical);
    mac_autofree char *wanted = mac_asprintf("%s\n", expected_said);
    assert_string_equal(owned, wanted);
}

void yaml_is_refused(const ProtobufCMessageDescriptor *type, const char *text, const char *expected_said) {
    char *said;
    json_t *tree = read_yaml(type, text, strlen(text), 0, &said);
    is_refused(said, tree, expected_said);
}

void json_is_refused(const ProtobufCMessageDescriptor *type, const char *text, const char *expected_said) {
    char *said;
    json_t *tree = read_json(type, text, strlen(text), 0, &said);
    is_refused(said, tree, expected_said);
}
