#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test-codec-support.h"

/* The raw tree of a text that is accepted. */
static json_t *parse(const char *text, size_t length, mac_marks **ret_marks) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    json_t *tree = NULL;
    if (mac_codec_parse_yaml("f", text, length, problems, &tree, ret_marks) < 0) {
        mac_autofree char *said = mac_problems_format(problems);
        fail_msg("%s", said);
    }
    return tree;
}

static void parses_to(const char *text, const char *expected_json) {
    mac_autoptr(json_t) tree = parse(text, strlen(text), NULL);
    trees_equal(tree, expected_json);
}

/* Everything that is said of a text that is refused; the caller's. */
static char *said_of(const char *text, size_t length) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    json_t *tree = NULL;
    mac_marks *marks = NULL;
    assert_int_equal(mac_codec_parse_yaml("f", text, length, problems, &tree, &marks), -22);
    assert_null(tree);
    assert_null(marks);
    return mac_problems_format(problems);
}

static void is_refused_at(const char *text, const char *expected_said) {
    mac_autofree char *said = said_of(text, strlen(text));
    mac_autofree char *wanted = mac_asprintf("%s\n", expected_said);
    assert_string_equal(said, wanted);
}

static void scalars_arrive_as_text_and_null_as_null(void **state) {
    (void)state;
    parses_to("a: 1\nb: true\nc: 'x'\nd: ~\ne:\nf: null\ng: \"null\"\nh: NULL\n",
              "{\"a\":\"1\",\"b\":\"true\",\"c\":\"x\",\"d\":null,\"e\":null,\"f\":null,\"g\":\"null\",\"h\":null}");
    parses_to("- a\n- [b, {c: d}]\n", "[\"a\",[\"b\",{\"c\":\"d\"}]]");
    parses_to("a: |\n  x\n  y\nb: >\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\\n\"}");
    parses_to("{\"a\": [1, \"b\"]}", "{\"a\":[\"1\",\"b\"]}");
}

static void an_empty_text_is_an_empty_object(void **state) {
    (void)state;
    parses_to("", "{}");
    parses_to("\n \n# only a comment\n", "{}");
    parses_to("---\n", "{}");
    parses_to("---\n...\n", "{}");
    parses_to("\xef\xbb\xbf", "{}");
}

static void a_byte_order_mark_is_passed_over(void **state) {
    (void)state;
    const char *text = "\xef\xbb\xbfhostname: \xc3\xa4\n";
    mac_autoptr(mac_marks) marks = NULL;
    mac_autoptr(json_t) tree = parse(text, strlen(text), &marks);
    assert_non_null(tree);
    trees_equal(tree, "{\"hostname\":\"\\u00e4\"}");
    const mac_mark *mark = mac_marks_get(marks, "hostname");
    assert_memory_equal(text + mark->start, "\xc3\xa4", mark->end - mark->start);
    assert_int_equal(mark->place.column, 11);
}

static void marks_are_at(const char *text, const mac_marks *marks, const char *path, unsigned line, unsigned column,
                         const char *value) {
    const mac_mark *mark = mac_marks_get(marks, path);
    if (!mark)
        fail_msg("no mark at %s", path);
    assert_string_equal(mark->place.file, "f");
    assert_int_equal(mark->place.line, line);
    assert_int_equal(mark->place.column, column);
    mac_autofree char *found = mac_strndup(text + mark->start, mark->end - mark->start);
    assert_string_equal(found, value);
}

static void every_value_knows_its_place(void **state) {
    (void)state;
    const char *text = "a: \"\xe2\x82\xac\" # \xe2\x82\xac\n"
                       "b:\n  - {x: 'q', \"y.z\": \xe2\x82\xac plain }\n  - !!str &n 5\n"
                       "c: |-\n  one\n  two\n\n# comment\n"
                       "d: > # folded\n  three\n"
                       "e: *n\n"
                       "f:\n";
    mac_autoptr(mac_marks) marks = NULL;
    mac_autoptr(json_t) tree = parse(text, strlen(text), &marks);
    assert_non_null(tree);
    marks_are_at(text, marks, "a", 1, 4, "\"\xe2\x82\xac\"");
    marks_are_at(text, marks, "b[0].x", 3, 9, "'q'");
    marks_are_at(text, marks, "b[0][\"y.z\"]", 3, 21, "\xe2\x82\xac plain");
    marks_are_at(text, marks, "b[0]", 3, 5, "{x: 'q', \"y.z\": \xe2\x82\xac plain }");
    marks_are_at(text, marks, "b[1]", 4, 5, "5");
    marks_are_at(text, marks, "c", 5, 4, "|-\n  one\n  two");
    marks_are_at(text, marks, "d", 10, 4, "> # folded\n  three");
    marks_are_at(text, marks, "e", 12, 4, "5"); /* the alias; the bytes are those of the value */
    marks_are_at(text, marks, "f", 13, 3, "");
    assert_true(mac_marks_get(marks, "b[0][\"y.z\"]")->plain);
    assert_false(mac_marks_get(marks, "b[0].x")->plain);
    assert_false(mac_marks_get(marks, "b[1]")->plain);
    assert_false(mac_marks_get(marks, "c")->plain);
    assert_null(mac_marks_get(marks, "b[2]"));
    assert_null(mac_marks_get(marks, "a.b"));
    assert_null(mac_marks_get(marks, "q"));
    assert_non_null(mac_marks_get(marks, ""));
}

static void marks_are_found_by_canonical_path(void **state) {
    (void)state;
    mac_schema_add_table(&test_codec_schema_table);
    const char *text = "host_name: a\nnet: {interfaces: {eth0.1: {mtu: 5}}}\npassword: geheim\nrunCmd: b\n"
                       "users:\n- {name: c, groups: d}\naddress: [e, f]\n";
    mac_autoptr(mac_marks) marks = NULL;
    mac_autoptr(json_t) tree = parse(text, strlen(text), &marks);
    assert_non_null(tree);
    static const char *const paths[][2] = {
        {"hostname", "a"},
        {"network.interfaces[\"eth0.1\"].mtu", "5"},
        {"password.value", "geheim"},
        {"run_cmd[0].command", "b"},
        {"users[0].groups[0]", "d"},
        {"address.parts[1]", "f"},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(paths); i++) {
        const mac_mark *mark = mac_codec_mark(CONFIG, marks, paths[i][0]);
        if (!mark)
            fail_msg("no mark at %s", paths[i][0]);
        mac_autofree char *found = mac_strndup(text + mark->start, mark->end - mark->start);
        assert_string_equal(found, paths[i][1]);
    }
    static const char *const absent[] = {"port", "users[1].name", "password.expires", "network.dhcp", "hostname.x"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(absent); i++)
        assert_null(mac_codec_mark(CONFIG, marks, absent[i]));
}

static void marks_move_with_what_is_moved(void **state) {
    (void)state;
    const char *text = "a: {b: 1}\nc: {d: 2}\n";
    mac_autoptr(mac_marks) marks = NULL;
    mac_autoptr(json_t) tree = parse(text, strlen(text), &marks);
    assert_non_null(tree);
    mac_marks_move(marks, "a.b", "c.e");
    mac_marks_move(marks, "c.d", "new.deep.d");
    mac_marks_move(marks, "nothing", "c.f");
    mac_marks_move(NULL, "a", "b");
    assert_null(mac_marks_get(marks, "a.b"));
    assert_null(mac_marks_get(marks, "c.f"));
    marks_are_at(text, marks, "c.e", 1, 8, "1");
    marks_are_at(text, marks, "new.deep.d", 2, 8, "2");
}

static void tags_decide_what_a_scalar_is(void **state) {
    (void)state;
    const char *text = "a: !!str 5\nb: !!int \"5\"\nc: !!binary Zm9v\nd: !!null x\n";
    mac_autoptr(mac_marks) marks = NULL;
    mac_autoptr(json_t) tree = parse(text, strlen(text), &marks);
    assert_non_null(tree);
    assert_false(mac_marks_get(marks, "a")->plain);
    assert_true(mac_marks_get(marks, "b")->plain);
    assert_true(mac_marks_get(marks, "c")->tagged_binary);
    is_refused_at("a: !foo x\n",
                  "f:1:4: a tag that is not known: expected !!str, !!int, !!float, !!bool, !!null or !!binary");
    is_refused_at("a: !foo {}\n", "f:1:4: a tag that is not known: expected none");
    is_refused_at("a: !!set {b}\n", "f:1:4: a tag that is not known: expected none");
}

static void aliases_are_copied(void **state) {
    (void)state;
    parses_to("a: &x {b: [1]}\nc: *x\nd: [*x, *x]\n",
              "{\"a\":{\"b\":[\"1\"]},\"c\":{\"b\":[\"1\"]},\"d\":[{\"b\":[\"1\"]},{\"b\":[\"1\"]}]}");
    parses_to("a: &x 1\nb: &x 2\nc: *x\n", "{\"a\":\"1\",\"b\":\"2\",\"c\":\"2\"}");
    is_refused_at("a: *x\n", "f:1:4: no anchor of this name stands above the alias");
    is_refused_at("a: *x\nb: &x 1\n", "f:1:4: no anchor of this name stands above the alias");
}

static void cycles_are_refused(void **state) {
    (void)state;
    is_refused_at("a: &x [*x]\n", "f:1:8: an alias to what it stands in: that would never end");
    is_refused_at("&x a: {b: &y {c: *y}}\n", "f:1:18: an alias to what it stands in: that would never end");
    is_refused_at("a: 1\nb: &x\n  c: {d: *x}\n", "f:3:10: an alias to what it stands in: that would never end");
}

static void merge_keys_add_what_is_not_said(void **state) {
    (void)state;
    parses_to("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: {c: 3, <<: *x}\n",
              "{\"a\":{\"b\":\"1\",\"c\":\"2\"},\"d\":{\"b\":\"1\",\"c\":\"3\"},\"e\":{\"b\":\"1\",\"c\":\"3\"}}");
    parses_to("- &x {a: 1, b: 1}\n- &y {b: 2, c: 2}\n- {<<: [*y, *x], d: 3}\n- {<<: {e: 4}}\n",
              "[{\"a\":\"1\",\"b\":\"1\"},{\"b\":\"2\",\"c\":\"2\"},{\"a\":\"1\",\"b\":\"2\",\"c\":\"2\",\"d\":\"3\"},{"
              "\"e\":\"4\"}]");
    parses_to("- &x {a: {b: 1}}\n- &y {<<: *x}\n- {<<: *y}\n",
              "[{\"a\":{\"b\":\"1\"}},{\"a\":{\"b\":\"1\"}},{\"a\":{\"b\":\"1\"}}]");
    parses_to("{\"<<\": 5}", "{\"<<\":\"5\"}");
    is_refused_at("<<: 5\n", "f:2:1: << merges mappings: expected an alias to a mapping or a list of such");
    is_refused_at("a: &x {b: 1}\nc:\n  <<: *x\n  <<: *x\n",
                  "f:4:3: the key \"<<\" stands already in line 3, column 3: remove one of them");
}

static void duplicate_keys_name_both_places(void **state) {
    (void)state;
    is_refused_at("a: 1\nb: {c: 1, d: 2, c: 3}\na: 2\n",
                  "f:2:17: the key \"c\" stands already in line 2, column 5: remove one of them\n"
                  "f:3:1: the key \"a\" stands already in line 1, column 1: remove one of them");
    is_refused_at("a: 1\n\"a\": 2\n", "f:2:1: the key \"a\" stands already in line 1, column 1: remove one of them");
}

static void a_text_with_duplicate_keys_can_be_looked_at(void **state) {
    (void)state;
    static const char text[] = "a: 1\nb: {c: 1, c: 2}\n", wrong[] = "a: 1\na: 2\nb: [\n";
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) tree = NULL;
    mac_autoptr(mac_marks) marks = NULL;
    assert_int_equal(mac_codec_read_yaml("f", text, strlen(text), problems, &tree, &marks), MAC_CODEC_DUPLICATES);
    mac_autofree char *found = json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(found, "{\"a\":\"1\",\"b\":{\"c\":\"1\"}}");
    assert_int_equal(mac_marks_get(marks, "b.c")->place.column, 8);
    json_t *none = NULL;
    assert_int_equal(mac_codec_read_yaml("f", wrong, strlen(wrong), problems, &none, NULL), -EINVAL);
    assert_null(none);
}

static void keys_are_text(void **state) {
    (void)state;
    parses_to("1: a\ntrue: b\n", "{\"1\":\"a\",\"true\":\"b\"}");
    is_refused_at("? [a]\n: b\n", "f:1:3: a key must be text");
    is_refused_at("~: b\n", "f:1:1: a key must be text");
    is_refused_at("&x a: 1\n*x : b\n", "f:2:1: a key must be text");
}

static void syntax_errors_say_where(void **state) {
    (void)state;
    is_refused_at("a: [1, 2\nb: c\n",
                  "f:2:2: this is no valid YAML: did not find expected ',' or ']' while parsing a flow sequence");
    is_refused_at("a: b\n\tc: d\n", "f:2:1: a line here is indented with a tab: YAML wants spaces");
    is_refused_at("a:\n\tb: c\n", "f:2:1: a line here is indented with a tab: YAML wants spaces");
    is_refused_at("a: b\n---\nc: d\n", "f:2:1: a second document begins here: expected one in a file");
    is_refused_at("a: \"\\0\"\n", "f:1:4: text cannot hold the character NUL");
    is_refused_at("a: b\nc: \x01\n", "f:2:4: control characters are not allowed (U+0001)");
}

static void text_that_is_no_utf_8_is_refused(void **state) {
    (void)state;
    is_refused_at("\xc3\xa4: \xff\n", "f:1:4: byte 4 (0xff) is no UTF-8 text: save the file as UTF-8");
    is_refused_at("a: x\nb: \xc3\n", "f:2:4: byte 8 (0xc3) is no UTF-8 text: save the file as UTF-8");
    is_refused_at("a: \xed\xa0\x80", "f:1:4: byte 3 (0xed) is no UTF-8 text: save the file as UTF-8");
    mac_autofree char *nul = said_of("a: b\0c\n", 7);
    assert_string_equal(nul, "f:1:5: byte 4 is a NUL: expected a text file in UTF-8\n");
    mac_autofree char *utf16 = said_of("\xff\xfe"
                                       "a\0",
                                       4);
    assert_string_equal(utf16, "f:1:1: byte 0 (0xff) is no UTF-8 text: save the file as UTF-8\n");
}

static void a_few_tag_directives_are_read_and_many_refused(void **state) {
    (void)state;
    parses_to("%TAG !a! tag:yaml.org,2002:\n---\nb: !a!str c\n", "{\"b\":\"c\"}");
    mac_autobuffer text = {0};
    for (unsigned i = 0; i < 65; i++)
        mac_buffer_printf(&text, "%%TAG !t%u! tag:x,2000:\n", i);
    mac_buffer_text(&text, "---\na: b\n");
    mac_autofree char *said = said_of(text.data, text.length);
    assert_string_equal(said,
                        "f: there are too many %TAG directives: expected none, !!str and its like need no directive\n");
    parses_to("a: |\n  %TAG\n", "{\"a\":\"%TAG\\n\"}");
}

static void alias_bombs_do_not_go_off(void **state) {
    (void)state;
    mac_autobuffer bomb = {0};
    mac_buffer_text(&bomb, "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for (int i = 1; i < 12; i++)
        mac_buffer_printf(&bomb, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1,
                          i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    mac_autofree char *said = said_of(bomb.data, bomb.length);
    assert_non_null(strstr(said, "expected at most 100000 values with all aliases expanded"));
    mac_autobuffer merges = {0};
    mac_buffer_text(&merges, "a0: &a0 {x: 1}\n");
    for (int i = 1; i < 30; i++)
        mac_buffer_printf(&merges, "a%d: &a%d {x%d: *a%d, <<: *a%d}\n", i, i, i, i - 1, i - 1);
    mac_autofree char *said_merges = said_of(merges.data, merges.length);
    assert_non_null(strstr(said_merges, "expected at most"));
    mac_autobuffer text = {0};
    mac_buffer_text(&text, "- &a ");
    for (int i = 0; i < 50000; i++)
        mac_buffer_text(&text, "xxxxxxxxxx");
    for (int i = 0; i < 20; i++)
        mac_buffer_text(&text, "\n- *a");
    mac_autofree char *said_text = said_of(text.data, text.length);
    assert_non_null(strstr(said_text, "expected at most 4 MiB of text with all aliases expanded"));
}

/* n mappings, one in the other. */
static void nested(mac_buffer *text, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        mac_buffer_text(text, i % 2 ? "[" : "{a: ");
    mac_buffer_text(text, "1");
    for (unsigned i = n; i-- > 0;)
        mac_buffer_text(text, i % 2 ? "]" : "}");
}

static void thirty_two_levels_are_enough(void **state) {
    (void)state;
    mac_autobuffer fits = {0}, too_deep = {0};
    nested(&fits, 32);
    nested(&too_deep, 33);
    mac_autoptr(json_t) tree = parse(fits.data, fits.length, NULL);
    assert_non_null(tree);
    mac_autofree char *said = said_of(too_deep.data, too_deep.length);
    assert_non_null(strstr(said, "f:1:81: the document is nested too deeply: expected at most 32 levels"));
}

static void one_mebibyte_is_enough(void **state) {
    (void)state;
    size_t length = MAC_CODEC_MAX_BYTES;
    mac_autofree char *text = mac_malloc(length + 1);
    memset(text, 'x', length + 1);
    memcpy(text, "a: ", 3);
    mac_autoptr(json_t) tree = parse(text, length, NULL);
    assert_int_equal(json_string_length(json_object_get(tree, "a")), length - 3);
    mac_autofree char *said = said_of(text, length + 1);
    assert_string_equal(said, "f: the document is too large: expected at most 1 MiB\n");
}

/* 100000 keys in one mapping take no time that grows with their square. */
static void wide_documents_are_read(void **state) {
    (void)state;
    mac_autobuffer text = {0};
    for (unsigned i = 0; i < 90000; i++)
        mac_buffer_printf(&text, "k%u:\n", i);
    mac_autoptr(json_t) tree = parse(text.data, text.length, NULL);
    assert_int_equal(json_object_size(tree), 90000);
    mac_autofree char *said = NULL;
    mac_autoptr(json_t) canonical = read_yaml(CONFIG, text.data, text.length, 0, &said);
    assert_null(canonical);
}

static void becomes_yaml(const char *json, const char *expected_yaml) {
    mac_autoptr(json_t) tree = json_of(json);
    mac_autofree char *yaml = mac_codec_to_yaml(tree, EVERYTHING);
    assert_string_equal(yaml, expected_yaml);
}

static void yaml_for_people_is_plain_where_it_can_be(void **state) {
    (void)state;
    becomes_yaml("{}", "{}\n");
    becomes_yaml("{\"texts\":[\"a b\",\"yes\",\"5\",\"0x1\",\"1:30\",\"10.0.0.1\",\"2020-01-01\",\"\",\"a\\nb\\n\",\"- "
                 "x\",\"1.5\","
                 "\".5\",\"~\",\"\\u20ac\"]}",
                 "texts:\n- a b\n- \"yes\"\n- \"5\"\n- \"0x1\"\n- \"1:30\"\n- 10.0.0.1\n- \"2020-01-01\"\n- \"\"\n- "
                 "|\n  a\n  b\n"
                 "- '- x'\n- \"1.5\"\n- \".5\"\n- \"~\"\n- \xe2\x82\xac\n");
    becomes_yaml(
        "{\"labels\":{\"on\":\"x\",\"a\":\"b\"},\"int32_value\":1,\"color\":\"off\",\"double_value\":\"-Infinity\","
        "\"int64_value\":\"9223372036854775807\",\"float_value\":0.1,\"bool_value\":true}",
        "int32_value: 1\nint64_value: 9223372036854775807\nfloat_value: 0.1\ndouble_value: -.inf\nbool_value: true\n"
        "color: \"off\"\nlabels:\n  \"on\": x\n  a: b\n");
    mac_autoptr(json_t) untyped = json_of("{\"b\":{\"a\":[1,[2]]},\"a\":null}");
    mac_autofree char *yaml = mac_codec_to_yaml(untyped, NULL);
    assert_string_equal(yaml, "b:\n  a:\n  - 1\n  - - 2\na: null\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_arrive_as_text_and_null_as_null),
        cmocka_unit_test(an_empty_text_is_an_empty_object),
        cmocka_unit_test(a_byte_order_mark_is_passed_over),
        cmocka_unit_test(every_value_knows_its_place),
        cmocka_unit_test(marks_are_found_by_canonical_path),
        cmocka_unit_test(marks_move_with_what_is_moved),
        cmocka_unit_test(tags_decide_what_a_scalar_is),
        cmocka_unit_test(aliases_are_copied),
        cmocka_unit_test(cycles_are_refused),
        cmocka_unit_test(merge_keys_add_what_is_not_said),
        cmocka_unit_test(duplicate_keys_name_both_places),
        cmocka_unit_test(a_text_with_duplicate_keys_can_be_looked_at),
        cmocka_unit_test(keys_are_text),
        cmocka_unit_test(syntax_errors_say_where),
        cmocka_unit_test(text_that_is_no_utf_8_is_refused),
        cmocka_unit_test(a_few_tag_directives_are_read_and_many_refused),
        cmocka_unit_test(alias_bombs_do_not_go_off),
        cmocka_unit_test(thirty_two_levels_are_enough),
        cmocka_unit_test(one_mebibyte_is_enough),
        cmocka_unit_test(wide_documents_are_read),
        cmocka_unit_test(yaml_for_people_is_plain_where_it_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
