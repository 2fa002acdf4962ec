#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test-codec-support.h"

static void is_refused_with(const char *text, size_t length, const char *expected_said) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    json_t *tree = NULL;
    assert_int_equal(mac_codec_parse_json("f", text, length, problems, &tree), -22);
    assert_null(tree);
    mac_autofree char *said = mac_problems_format(problems);
    mac_autofree char *wanted = mac_asprintf("%s\n", expected_said);
    assert_string_equal(said, wanted);
}
#define IS_REFUSED(text, said) is_refused_with(text, sizeof(text) - 1, said)

static void parses_to(const char *text, const char *expected_json) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) tree = NULL;
    assert_int_equal(mac_codec_parse_json("f", text, strlen(text), problems, &tree), 0);
    trees_equal(tree, expected_json);
}

static void json_is_read(void **state) {
    (void)state;
    parses_to("{\"a\":[1,2.5,\"x\",true,null,{}]}", "{\"a\":[1,2.5,\"x\",true,null,{}]}");
    parses_to("", "{}");
    parses_to(" \r\n\t", "{}");
    parses_to("\xef\xbb\xbf{}", "{}");
    parses_to("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"{\"}",
              "{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"{\"}");
    parses_to("{\"a\":18446744073709551615,\"b\":\"9999999999999999999\",\"c\":9223372036854775807}",
              "{\"a\":\"18446744073709551615\",\"b\":\"9999999999999999999\",\"c\":9223372036854775807}");
}

static void what_is_no_json_is_refused_with_its_place(void **state) {
    (void)state;
    IS_REFUSED("{\"a\":tru}", "f:1:8: this is no valid JSON: invalid token");
    IS_REFUSED("{\"a\":1,\n\"b\"}", "f:2:4: this is no valid JSON: ':' expected near '}'");
    IS_REFUSED("{\"a\":1}x", "f:1:8: this is no valid JSON: end of file expected");
    IS_REFUSED("{\"a\":1,\"a\":2}", "f:1:10: this is no valid JSON: duplicate object key near '\"a\"'");
    IS_REFUSED("{\"a\":\"abc", "f:1:9: this is no valid JSON: premature end of input");
    IS_REFUSED("{\"a\":\"\\u0000\"}", "f:1:13: text cannot hold the character NUL");
    IS_REFUSED("{\"a\":\"\\ud800\"}", "f:1:13: this is no valid JSON: invalid Unicode '\\uD800'");
    IS_REFUSED("{\"a\":\"\xff\"}", "f:1:6: this is no valid JSON: unable to decode byte 0xff");
    IS_REFUSED("{\"a\":\0}", "f:1:6: this is no valid JSON: invalid token near end of file");
    IS_REFUSED("{\"a\":1e400}", "f:1:10: a number is too large: expected at most 64 bits");
    IS_REFUSED("{\"a\":-9223372036854775809}", "f:1:25: a number is too large: expected at most 64 bits");
    IS_REFUSED("{\"a\":18446744073709551616}", "f:1:25: a number is too large: expected at most 64 bits");
    IS_REFUSED("{'a':1}", "f:1:2: this is no valid JSON: string or '}' expected near '''");
}

static void nest(mac_buffer *text, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        mac_buffer_text(text, i % 2 ? "[" : "{\"a\":");
    mac_buffer_text(text, "1");
    for (unsigned i = n; i-- > 0;)
        mac_buffer_text(text, i % 2 ? "]" : "}");
}

static void size_and_depth_are_limited(void **state) {
    (void)state;
    mac_autobuffer fits = {0}, deep = {0}, bomb = {0};
    nest(&fits, 32);
    nest(&deep, 33);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) tree = NULL;
    assert_int_equal(mac_codec_parse_json("f", fits.data, fits.length, problems, &tree), 0);
    is_refused_with(deep.data, deep.length, "f: the document is nested too deeply: expected at most 32 levels");
    for (unsigned i = 0; i < 100000; i++)
        mac_buffer_text(&bomb, "[");
    is_refused_with(bomb.data, bomb.length, "f: the document is nested too deeply: expected at most 32 levels");
    size_t length = MAC_CODEC_MAX_BYTES;
    mac_autofree char *large = mac_malloc(length + 1);
    memset(large, ' ', length + 1);
    mac_autoptr(json_t) empty = NULL;
    assert_int_equal(mac_codec_parse_json("f", large, length, problems, &empty), 0);
    is_refused_with(large, length + 1, "f: the document is too large: expected at most 1 MiB");
}

static void base64_comes_in_four_forms(void **state) {
    (void)state;
    static const char *const texts[][2] = {{"", ""},
                                           {"Zg==", "f"},
                                           {"Zg", "f"},
                                           {"Zm8=", "fo"},
                                           {"Zm9v", "foo"},
                                           {" Z\nm9 v\t", "foo"},
                                           {"-_-_", "\xfb\xff\xbf"},
                                           {"+/+/", "\xfb\xff\xbf"}};
    static const char *const wrong[] = {
        "Z", "Zg=", "Zg===", "=", "====", "Z=g=", "Zm9vZ", "Zm9v=", "Zm9v====", "Zä==", "Zg==Zg=="};
    uint8_t *data;
    size_t length;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(texts); i++) {
        assert_int_equal(codec_base64_decode(texts[i][0], strlen(texts[i][0]), &data, &length), 0);
        assert_int_equal(length, strlen(texts[i][1]));
        assert_memory_equal(data, texts[i][1], length);
        free(data);
    }
    for (size_t i = 0; i < MAC_ARRAY_SIZE(wrong); i++)
        if (codec_base64_decode(wrong[i], strlen(wrong[i]), &data, &length) == 0)
            fail_msg("\"%s\" is no base64", wrong[i]);
    assert_int_equal(codec_base64_decode("Zg\0=", 4, &data, &length), -22);
}

static void distances_count_slips(void **state) {
    (void)state;
    assert_int_equal(codec_distance("hostname", "hostname", 3), 0);
    assert_int_equal(codec_distance("host-name", "host_name", 3), 0);
    assert_int_equal(codec_distance("hsotname", "hostname", 3), 1);
    assert_int_equal(codec_distance("hostnme", "hostname", 3), 1);
    assert_int_equal(codec_distance("hostnamee", "hostname", 3), 1);
    assert_int_equal(codec_distance("kitten", "sitting", 3), 3);
    assert_int_equal(codec_distance("kitten", "sitting", 2), 3);
    assert_int_equal(codec_distance("", "abc", 3), 3);
    assert_int_equal(codec_distance("a", "abcdefgh", 3), 4);
}

/* JSON that somebody wrote as a document. */
static void written_becomes(const char *text, unsigned flags, const char *expected_json, const char *expected_said) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) tree = NULL, *canonical = NULL;
    assert_int_equal(mac_codec_read_json("f", text, strlen(text), problems, &tree), 0);
    (void)!mac_codec_normalise(CONFIG, tree, NULL, flags, problems, &canonical);
    mac_autofree char *said = mac_problems_format(problems);
    assert_string_equal(said, expected_said);
    if (expected_json)
        trees_equal(canonical, expected_json);
}

static void a_written_document_may_have_numbers_for_text(void **state) {
    (void)state;
    written_becomes("{\"hostname\":5,\"environment\":{\"A\":true},\"modules\":\"one\",\"sysctls\":"
                    "{\"a.b\":-1,\"a.c\":1.10,\"a.d\":1e3,\"a.e\":18446744073709551615}}",
                    MAC_CODEC_WRITTEN,
                    "{\"hostname\":\"5\",\"environment\":{\"A\":\"true\"},\"modules\":[\"one\"],\"sysctls\":"
                    "{\"a.b\":\"-1\",\"a.c\":\"1.10\",\"a.d\":\"1e3\",\"a.e\":\"18446744073709551615\"}}",
                    "");
    written_becomes("{\"hostname\":5}", 0, NULL, "hostname: expected text, found the number 5\n");
    written_becomes("{\"port\":true}", MAC_CODEC_WRITTEN, NULL,
                    "port: expected a whole number, not negative, found true\n");
    written_becomes("{\"ratio\":0.25,\"port\":80}", MAC_CODEC_WRITTEN, "{\"ratio\":0.25,\"port\":80}", "");
    written_becomes("{\"hostname\":{}}", MAC_CODEC_WRITTEN, NULL, "hostname: expected text, found a group of keys\n");
}

static void quotes_do_not_make_json_of_what_is_none(void **state) {
    (void)state;
    static const char *const texts[] = {"{\"a\":1.2.3}", "{\"a\":01.5}", "{\"a\":-e}", "{\"a\":1.}"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(texts); i++) {
        mac_autoptr(mac_problems) problems = mac_problems_new();
        json_t *tree = NULL;
        assert_int_equal(mac_codec_read_json("f", texts[i], strlen(texts[i]), problems, &tree), -22);
        assert_null(tree);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_read),
        cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(size_and_depth_are_limited),
        cmocka_unit_test(base64_comes_in_four_forms),
        cmocka_unit_test(distances_count_slips),
        cmocka_unit_test(a_written_document_may_have_numbers_for_text),
        cmocka_unit_test(quotes_do_not_make_json_of_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
