#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test-codec-support.h"

typedef ProtobufCMessage message;
static void message_free(message *m) {
    protobuf_c_message_free_unpacked(m, NULL);
}
MAC_DEFINE_AUTOPTR(message, message_free)

static message *from_json(const ProtobufCMessageDescriptor *type, const char *text) {
    mac_schema_add_table(&test_codec_schema_table);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    message *made = NULL;
    if (mac_codec_from_json(type, text, strlen(text), problems, &made) < 0) {
        mac_autofree char *said = mac_problems_format(problems);
        fail_msg("%s: %s", text, said);
    }
    return made;
}

static void prints(const message *m, unsigned flags, const char *expected) {
    size_t length;
    mac_autofree char *text = mac_codec_to_json(m, flags, &length);
    assert_string_equal(text, expected);
    assert_int_equal(length, strlen(expected));
    mac_autoptr(json_t) tree = mac_codec_tree(m, flags);
    trees_equal(tree, expected);
}

/* The text is a message's own form already: it comes back as it is, also over the wire and as a copy. */
static void round_trips(const ProtobufCMessageDescriptor *type, const char *text) {
    mac_autoptr(message) made = from_json(type, text);
    prints(made, 0, text);
    mac_autoptr(message) copy = mac_codec_copy(made);
    prints(copy, 0, text);
    size_t length;
    mac_autofree void *wire = mac_codec_pack(made, &length);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(message) unpacked = NULL;
    assert_int_equal(mac_codec_unpack(type, wire, length, problems, &unpacked), 0);
    prints(unpacked, 0, text);
    mac_autofree char *yaml = NULL;
    mac_autoptr(json_t) tree = mac_codec_tree(made, 0);
    yaml = mac_codec_to_yaml(tree, type);
    yaml_becomes(type, yaml, text);
}

static void every_type_round_trips(void **state) {
    (void)state;
    round_trips(EVERYTHING, "{}");
    round_trips(EVERYTHING,
                "{\"int32_value\":-2147483648,\"sint32_value\":-2147483648,\"sfixed32_value\":-2147483648,"
                "\"int64_value\":\"-9223372036854775808\",\"sint64_value\":\"-9223372036854775808\","
                "\"sfixed64_value\":\"-9223372036854775808\",\"uint32_value\":4294967295,\"fixed32_value\":4294967295,"
                "\"uint64_value\":\"18446744073709551615\",\"fixed64_value\":\"18446744073709551615\","
                "\"float_value\":0.1,\"double_value\":0.1,\"bool_value\":false,\"color\":\"infra\",\"text\":\"\","
                "\"data\":\"\"}");
    round_trips(EVERYTHING,
                "{\"int64_value\":9007199254740992,\"sint64_value\":\"9007199254740993\","
                "\"sfixed64_value\":-9007199254740992,\"uint64_value\":9007199254740992,\"fixed64_value\":0}");
    round_trips(EVERYTHING, "{\"float_value\":\"NaN\",\"double_value\":\"-Infinity\"}");
    round_trips(EVERYTHING, "{\"float_value\":3.402823466e+38,\"double_value\":5e-324}");
    round_trips(EVERYTHING, "{\"float_value\":-0.0,\"double_value\":1.7976931348623157e+308}");
    round_trips(EVERYTHING,
                "{\"text\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\xc3\xa4\xf0\x9f\x98\x80/\",\"data\":\"AP+A\"}");
    round_trips(
        EVERYTHING,
        "{\"numbers\":[0,-1,2147483647],\"packed_numbers\":[1,-1,\"9223372036854775807\"],"
        "\"texts\":[\"\",\"a\"],\"blobs\":[\"\",\"Zg==\"],\"colors\":[\"red\",\"infra\"],"
        "\"doubles\":[1.5,\"NaN\"],\"floats\":[0.1],\"flags\":[true,false],\"packed_colors\":[\"infra\",\"off\"]}");
    round_trips(EVERYTHING, "{\"child\":{},\"children\":[{},{\"child\":{\"text\":\"a\"}}]}");
    round_trips(EVERYTHING, "{\"labels\":{\"\":\"\",\"a.b\":\"c\"},\"weights\":{\"-1\":0.5,\"2147483647\":1.0},"
                            "\"branches\":{\"false\":{},\"true\":{\"text\":\"a\"}},"
                            "\"palette\":{\"0\":\"red\",\"18446744073709551615\":\"off\"},\"files\":{\"a\":\"Zg==\"}}");
    round_trips(EVERYTHING, "{\"name\":\"\"}");
    round_trips(EVERYTHING, "{\"number\":0}");
    round_trips(EVERYTHING, "{\"part\":{\"part\":{}}}");
    round_trips(EVERYTHING, "{\"blob\":\"\"}");
}

static void text_has_whatever_length(void **state) {
    (void)state;
    for (size_t length = 120; length < 140; length++) {
        mac_autofree char *body = mac_calloc(1, length + 1);
        memset(body, 'x', length);
        mac_autofree char *text = mac_asprintf("{\"child\":{\"child\":{\"text\":\"%s\"}}}", body);
        round_trips(EVERYTHING, text);
    }
}

static void defaults_appear_where_nothing_is_set(void **state) {
    (void)state;
    const ProtobufCMessageDescriptor *type = &macula__test__defaults__descriptor;
    mac_autoptr(message) empty = from_json(type, "{}");
    prints(empty, 0, "{}");
    prints(empty, MAC_CODEC_DEFAULTS,
           "{\"text\":\"a \\\"b\\\" "
           "${X}\",\"data\":\"eAB5\",\"flag\":true,\"number\":-7,\"real\":2.5,\"color\":\"blue_green\","
           "\"inner\":{\"port\":8080}}");
    mac_autoptr(message) set =
        from_json(type, "{\"text\":\"\",\"flag\":false,\"number\":0,\"inner\":{\"note\":\"n\"},\"list\":[{}]}");
    prints(set, 0, "{\"text\":\"\",\"flag\":false,\"number\":0,\"inner\":{\"note\":\"n\"},\"list\":[{}]}");
    prints(set, MAC_CODEC_DEFAULTS,
           "{\"text\":\"\",\"data\":\"eAB5\",\"flag\":false,\"number\":0,\"real\":2.5,\"color\":\"blue_green\","
           "\"inner\":{\"port\":8080,\"note\":\"n\"},\"list\":[{\"port\":8080}]}");
    /* A value that is the default, but said, stays said. */
    mac_autoptr(message) said = from_json(type, "{\"text\":\"a \\\"b\\\" ${X}\",\"number\":-7}");
    prints(said, 0, "{\"text\":\"a \\\"b\\\" ${X}\",\"number\":-7}");
}

static void secrets_are_masked_and_stay_of_their_type(void **state) {
    (void)state;
    static const char text[] = "{\"users\":[{\"name\":\"a\",\"password\":\"p\",\"groups\":[\"g\"]}],\"password\":{"
                               "\"value\":\"v\",\"expires\":true},"
                               "\"seed\":\"Zg==\",\"tokens\":{\"a\":\"b\"},\"keys\":[\"k\",\"l\"],\"vault\":{\"text\":"
                               "\"t\",\"number\":5,\"list\":[\"x\"]}}";
    static const char masked[] =
        "{\"users\":[{\"name\":\"a\",\"password\":\"********\",\"groups\":[\"g\"]}],\"password\":{\"value\":\"********"
        "\",\"expires\":true},"
        "\"seed\":\"KioqKioqKio=\",\"tokens\":{\"a\":\"********\"},\"keys\":[\"********\",\"********\"],"
        "\"vault\":{\"text\":\"********\",\"list\":[\"********\"]}}";
    mac_autoptr(message) made = from_json(CONFIG, text);
    prints(made, MAC_CODEC_MASK, masked);
    mac_autoptr(json_t) tree = mac_codec_tree(made, 0);
    mac_codec_mask(CONFIG, tree, MAC_CODEC_MASK);
    trees_equal(tree, masked);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(message) again = NULL;
    assert_int_equal(mac_codec_message(CONFIG, tree, problems, &again), 0);
    mac_autoptr(json_t) patch = json_of("{\"keys\":null,\"vault\":{\"number\":5},\"nested\":{\"keys\":[\"a\"],"
                                        "\"network\":{\"interfaces\":{\"e\":{}}}}}");
    mac_codec_mask(CONFIG, patch, MAC_CODEC_MASK);
    trees_equal(
        patch,
        "{\"keys\":null,\"vault\":{},\"nested\":{\"keys\":[\"********\"],\"network\":{\"interfaces\":{\"e\":{}}}}}");
}

static void what_is_private_is_masked_for_those_who_may_not_see_it(void **state) {
    (void)state;
    static const char text[] = "{\"keys\":[\"k\"],\"environment\":{\"A\":\"b\"},\"arguments\":[\"c\",\"d\"]}";
    static const char for_some[] =
        "{\"keys\":[\"********\"],\"environment\":{\"A\":\"b\"},\"arguments\":[\"c\",\"d\"]}";
    static const char for_all[] =
        "{\"keys\":[\"********\"],\"environment\":{\"A\":\"********\"},\"arguments\":[\"********\",\"********\"]}";
    mac_autoptr(message) made = from_json(CONFIG, text);
    prints(made, MAC_CODEC_MASK, for_some);
    prints(made, MAC_CODEC_MASK | MAC_CODEC_MASK_PRIVATE, for_all);
    mac_autoptr(json_t) tree = mac_codec_tree(made, 0);
    mac_codec_mask(CONFIG, tree, MAC_CODEC_MASK);
    trees_equal(tree, for_some);
    mac_codec_mask(CONFIG, tree, MAC_CODEC_MASK | MAC_CODEC_MASK_PRIVATE);
    trees_equal(tree, for_all);
}

static void unpack_is_refused(const char *bytes, size_t length, const char *expected_said) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    message *made = NULL;
    assert_int_equal(mac_codec_unpack(EVERYTHING, bytes, length, problems, &made), -22);
    assert_null(made);
    mac_autofree char *said = mac_problems_format(problems);
    mac_autofree char *wanted = mac_asprintf("%s\n", expected_said);
    assert_string_equal(said, wanted);
}
#define UNPACK_IS_REFUSED(bytes, said) unpack_is_refused(bytes, sizeof(bytes) - 1, said)

static void unpacking_checks_what_protobuf_c_does_not(void **state) {
    (void)state;
    static const char malformed[] = "this is no valid protobuf message of the expected type";
    UNPACK_IS_REFUSED("\x7a\x01\xff", "text: holds text that is not valid UTF-8, or a NUL");
    UNPACK_IS_REFUSED("\x7a\x03"
                      "a\0b",
                      "text: holds text that is not valid UTF-8, or a NUL");
    UNPACK_IS_REFUSED("\xc2\x01\x03\x0a\x01\xff", "labels.key: holds text that is not valid UTF-8, or a NUL");
    UNPACK_IS_REFUSED("\x70\x05", "color: holds a value that its type does not have: the sender may be newer");
    UNPACK_IS_REFUSED("\x9a\x02\x02\x00\x05",
                      "packed_colors: holds a value that its type does not have: the sender may be newer");
    UNPACK_IS_REFUSED("\x7a\x05"
                      "a",
                      "text: this is no valid protobuf message of the expected type");
    UNPACK_IS_REFUSED("\x08", "int32_value: this is no valid protobuf message of the expected type");
    UNPACK_IS_REFUSED("\x0d\x01\x02\x03\x04", "int32_value: this is no valid protobuf message of the expected type");
    UNPACK_IS_REFUSED("\x00\x01", malformed);
    UNPACK_IS_REFUSED("\x80", malformed);
    UNPACK_IS_REFUSED("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                      "int32_value: this is no valid protobuf message of the expected type");
    UNPACK_IS_REFUSED("\x0b", "int32_value: this is no valid protobuf message of the expected type");
}

/* n children, one in the other; the innermost is empty. */
static size_t nest(uint8_t *out, unsigned n) {
    size_t length = 0;
    for (unsigned i = 0; i < n; i++) {
        uint8_t prefix[4] = {0x8a, 0x01, (uint8_t)(length & 0x7f), 0};
        size_t size = 3;
        if (length > 0x7f) {
            prefix[2] |= 0x80;
            prefix[size++] = (uint8_t)(length >> 7);
        }
        memmove(out + size, out, length);
        memcpy(out, prefix, size);
        length += size;
    }
    return length;
}

static void unpacking_has_limits(void **state) {
    (void)state;
    uint8_t deep[256];
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(message) made = NULL;
    assert_int_equal(mac_codec_unpack(EVERYTHING, deep, nest(deep, 31), problems, &made), 0);
    mac_autofree char *json = mac_codec_to_json(made, 0, NULL);
    mac_autoptr(message) again = from_json(EVERYTHING, json);
    prints(again, 0, json);
    message *refused = NULL;
    assert_int_equal(mac_codec_unpack(EVERYTHING, deep, nest(deep, 32), problems, &refused), -22);
    size_t length = MAC_CODEC_MAX_BYTES + 1;
    mac_autofree uint8_t *large = mac_calloc(1, length);
    assert_int_equal(mac_codec_unpack(EVERYTHING, large, length, problems, &refused), -22);
    /* Half a million empty messages in a megabyte: each would be a struct of many hundred bytes. */
    for (size_t i = 0; i + 2 < length; i += 3)
        memcpy(large + i, "\xba\x01\x00", 3);
    assert_int_equal(mac_codec_unpack(EVERYTHING, large, length / 3 * 3, problems, &refused), -22);
    mac_autofree char *said = mac_problems_format(problems);
    assert_non_null(strstr(said, "is nested too deeply: expected at most 32 levels"));
    assert_non_null(strstr(said, "the message is too large: expected at most 1 MiB\n"));
    assert_non_null(strstr(said, "the message is too large: expected at most 16 MiB in memory"));
    mac_autobuffer text = {0};
    mac_buffer_text(&text, "{\"children\":[{}");
    for (unsigned i = 0; i < 100000; i++)
        mac_buffer_text(&text, ",{}");
    mac_buffer_text(&text, "]}");
    assert_int_equal(mac_codec_from_json(EVERYTHING, text.data, text.length, problems, &refused), -22);
    assert_null(refused);
}

static void fields_of_a_newer_schema_pass(void **state) {
    (void)state;
    static const char wire[] = "\xf2\x3f\x02hi\x08\x05\xf8\x3f\x01\xf1\x3f"
                               "12345678\xf5\x3f"
                               "1234";
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(message) made = NULL;
    assert_int_equal(mac_codec_unpack(EVERYTHING, wire, sizeof wire - 1, problems, &made), 0);
    prints(made, 0, "{\"int32_value\":5}");
    mac_autoptr(message) empty = NULL;
    assert_int_equal(mac_codec_unpack(EVERYTHING, NULL, 0, problems, &empty), 0);
    prints(empty, 0, "{}");
}

static void of_a_map_s_equal_keys_the_last_counts(void **state) {
    (void)state;
    static const char wire[] = "\xc2\x01\x06\x0a\x01"
                               "a\x12\x01"
                               "1\xc2\x01\x06\x0a\x01"
                               "b\x12\x01"
                               "2\xc2\x01\x06\x0a\x01"
                               "a\x12\x01"
                               "3";
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(message) made = NULL;
    assert_int_equal(mac_codec_unpack(EVERYTHING, wire, sizeof wire - 1, problems, &made), 0);
    prints(made, 0, "{\"labels\":{\"b\":\"2\",\"a\":\"3\"}}");
    static const char bare[] = "\xc2\x01\x00\xd2\x01\x02\x08\x01";
    mac_autoptr(message) without = NULL;
    assert_int_equal(mac_codec_unpack(EVERYTHING, bare, sizeof bare - 1, problems, &without), 0);
    prints(without, 0, "{\"labels\":{\"\":\"\"},\"branches\":{\"true\":{}}}");
}

static void a_missing_required_field_makes_no_message(void **state) {
    (void)state;
    const ProtobufCMessageDescriptor *type = &macula__test__strict__descriptor;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    message *made = NULL;
    assert_int_equal(mac_codec_unpack(type, "", 0, problems, &made), -22);
    mac_autoptr(json_t) tree = json_of("{\"name\":\"a\",\"below\":{}}");
    assert_int_equal(mac_codec_message(type, tree, problems, &made), -22);
    assert_null(made);
    mac_autofree char *said = mac_problems_format(problems);
    assert_non_null(strstr(said, "this is no valid Strict message, or a required field is missing"));
}

static void a_tree_that_is_not_canonical_makes_no_message(void **state) {
    (void)state;
    static const char *const trees[] = {
        "{\"hostName\":\"a\"}",   "{\"port\":\"x\"}",
        "{\"port\":-1}",          "{\"users\":{}}",
        "{\"network\":[]}",       "{\"tokens\":[]}",
        "{\"hostname\":5}",       "{\"enabled\":1}",
        "{\"strategy\":1}",       "{\"seed\":\"%\"}",
        "{\"ratio\":\"x\"}",      "{\"modules\":[5]}",
        "{\"tokens\":{\"a\":5}}", "[]",
        "{\"users\":[null]}",
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(trees); i++) {
        mac_autoptr(mac_problems) problems = mac_problems_new();
        mac_autoptr(json_t) tree = json_of(trees[i]);
        message *made = NULL;
        if (mac_codec_message(CONFIG, tree, problems, &made) == 0)
            fail_msg("%s made a message", trees[i]);
        assert_int_equal(mac_problems_errors(problems), 1);
    }
}

/* A program may put into a struct what no document could hold: the JSON is JSON all the same. */
static void what_a_program_puts_into_a_struct_is_printed_safely(void **state) {
    (void)state;
    Macula__Test__Everything m = MACULA__TEST__EVERYTHING__INIT;
    m.text = (char[]){"a\xff"
                      "b\xc3"};
    m.has_color = 1;
    m.color = (Macula__Test__Everything__Color)99;
    prints(&m.base, 0,
           "{\"color\":99,\"text\":\"a\xef\xbf\xbd"
           "b\xef\xbf\xbd\"}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_round_trips),
        cmocka_unit_test(text_has_whatever_length),
        cmocka_unit_test(defaults_appear_where_nothing_is_set),
        cmocka_unit_test(secrets_are_masked_and_stay_of_their_type),
        cmocka_unit_test(what_is_private_is_masked_for_those_who_may_not_see_it),
        cmocka_unit_test(unpacking_checks_what_protobuf_c_does_not),
        cmocka_unit_test(unpacking_has_limits),
        cmocka_unit_test(fields_of_a_newer_schema_pass),
        cmocka_unit_test(of_a_map_s_equal_keys_the_last_counts),
        cmocka_unit_test(a_missing_required_field_makes_no_message),
        cmocka_unit_test(a_tree_that_is_not_canonical_makes_no_message),
        cmocka_unit_test(what_a_program_puts_into_a_struct_is_printed_safely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
