/* The schema against itself: every example and every default of the configuration is one that the codec accepts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mac-base.h"
#include "codec/mac-codec.h"
#include "codec/mac-schema.h"
#include "macula/v1/document.pb-c.h"

#define SEEN_MAX 256

typedef struct walk {
    const ProtobufCMessageDescriptor *seen[SEEN_MAX];
    size_t seen_count;
    size_t examples, defaults;
    mac_buffer wrong;
} walk;

static bool is_list(const ProtobufCFieldDescriptor *field) {
    return field->label == PROTOBUF_C_LABEL_REPEATED;
}

/* Text is quoted, all else stands as in a file. */
static char *yaml_line(const ProtobufCFieldDescriptor *field, const char *example) {
    if (field->type != PROTOBUF_C_TYPE_STRING || is_list(field))
        return mac_asprintf("%s: %s\n", field->name, example);
    mac_autoptr(json_t) text = json_string(example);
    mac_autofree char *quoted = json_dumps(text, JSON_ENCODE_ANY);
    return mac_asprintf("%s: %s\n", field->name, quoted);
}

static void check_example(walk *at, const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field,
                          const char *example) {
    mac_autofree char *yaml = yaml_line(field, example);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) tree = NULL;
    mac_autoptr(mac_marks) marks = NULL;
    mac_autoptr(json_t) canonical = NULL;
    at->examples++;
    /* As a part of a document: what else its group requires is not there. */
    if (mac_codec_parse_yaml("example", yaml, strlen(yaml), problems, &tree, &marks) == 0 &&
        mac_codec_normalise(type, tree, marks, MAC_CODEC_PATCH, problems, &canonical) == 0)
        return;
    mac_autofree char *text = mac_problems_format(problems);
    mac_buffer_printf(&at->wrong, "%s.%s, example %s:\n%s", type->name, field->name, example, text);
}

static void check_default(walk *at, const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) tree = json_object();
    mac_autoptr(json_t) canonical = NULL;
    at->defaults++;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        json_object_set_new(tree, field->name, json_string(field->default_value));
    else if (field->type == PROTOBUF_C_TYPE_UINT32)
        json_object_set_new(tree, field->name, json_integer(*(const uint32_t *)field->default_value));
    else
        return; /* truth values and words cannot be wrong */
    if (mac_codec_normalise(type, tree, NULL, MAC_CODEC_PATCH, problems, &canonical) == 0)
        return;
    mac_autofree char *text = mac_problems_format(problems);
    mac_buffer_printf(&at->wrong, "%s.%s, default:\n%s", type->name, field->name, text);
}

static void walk_message(walk *at, const ProtobufCMessageDescriptor *type) {
    for (size_t i = 0; i < at->seen_count; i++)
        if (at->seen[i] == type)
            return;
    assert_true(at->seen_count < SEEN_MAX);
    at->seen[at->seen_count++] = type;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        const char *example = mac_schema_field_example(type, field);
        if (example)
            check_example(at, type, field, example);
        if (field->default_value && !is_list(field))
            check_default(at, type, field);
        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            walk_message(at, field->descriptor);
    }
}

static void every_example_and_default_is_accepted(void **state) {
    (void)state;
    walk at = {0};
    walk_message(&at, &macula__v1__document__descriptor);
    assert_true(at.examples > 200);
    assert_true(at.defaults > 100);
    if (at.wrong.data)
        fail_msg("%s", at.wrong.data);
}

static void every_section_names_the_service_that_applies_it(void **state) {
    (void)state;
    const ProtobufCMessageDescriptor *document = &macula__v1__document__descriptor;
    const ProtobufCMessageDescriptor *section = &macula__v1__maculaos_section__descriptor;
    for (unsigned i = 0; i < document->n_fields; i++)
        if (!mac_streq(document->fields[i].name, "maculaos"))
            assert_non_null(mac_schema_service(document, document->fields[i].name));
    for (unsigned i = 0; i < section->n_fields; i++) {
        mac_autofree char *path = mac_asprintf("maculaos.%s", section->fields[i].name);
        if (!mac_schema_service(document, path))
            fail_msg("nobody applies %s", path);
    }
    assert_string_equal(mac_schema_service(document, "maculaos.security.firewall.enabled"), "netd");
    assert_string_equal(mac_schema_service(document, "maculaos.security.require_credentials"), "supervisor");
    assert_string_equal(mac_schema_service(document, "maculaos.network.interfaces.eth0.mtu"), "netd");
    assert_string_equal(mac_schema_service(document, "write_files[0].path"), "confd");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_example_and_default_is_accepted),
        cmocka_unit_test(every_section_names_the_service_that_applies_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
