#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test-codec-support.h"

static void warns(const char *text, const char *expected_json, const char *expected_said) {
    char *said;
    mac_autoptr(json_t) tree = read_yaml(CONFIG, text, strlen(text), 0, &said);
    mac_autofree char *owned = said;
    mac_autofree char *wanted = mac_asprintf("%s\n", expected_said);
    assert_string_equal(owned, wanted);
    trees_equal(tree, expected_json);
}

static void keys_are_read_in_every_spelling(void **state) {
    (void)state;
    yaml_becomes(CONFIG, "node_name: a\n", "{\"hostname\":\"a\"}");
    yaml_becomes(CONFIG, "nodeName: a\n", "{\"hostname\":\"a\"}");
    yaml_becomes(CONFIG, "run-cmd: [a]\nsysctl: {a.b: 1}\n",
                 "{\"run_cmd\":[{\"command\":\"a\"}],\"sysctls\":{\"a.b\":\"1\"}}");
    json_becomes(CONFIG, "{\"runCmd\":[{\"command\":\"a\"}]}", "{\"run_cmd\":[{\"command\":\"a\"}]}");
    warns("host_name: a\n", "{\"hostname\":\"a\"}",
          "f:1:1: warning: hostname: \"host_name\" is an old spelling: write \"hostname\"");
    warns("old: x\n", "{\"old\":\"x\"}", "f:1:1: warning: old: is deprecated");
    yaml_is_refused(CONFIG, "hostname: a\nnode_name: b\n",
                    "f:2:1: hostname: \"node_name\" is the same key as another one here: remove one of them");
    json_is_refused(CONFIG, "{\"run_cmd\":[],\"runCmd\":[]}",
                    "run_cmd: \"runCmd\" is the same key as another one here: remove one of them");
}

static void unknown_keys_name_the_nearest_one(void **state) {
    (void)state;
    yaml_is_refused(CONFIG, "hostnme: a\n", "f:1:1: hostnme: unknown key; did you mean \"hostname\"?");
    yaml_is_refused(CONFIG, "hsotname: a\n", "f:1:1: hsotname: unknown key; did you mean \"hostname\"?");
    yaml_is_refused(CONFIG, "network: {dhcpp: on}\n", "f:1:11: network.dhcpp: unknown key; did you mean \"dhcp\"?");
    yaml_is_refused(CONFIG, "interfaces: {}\n", "f:1:1: interfaces: unknown key; did you mean \"network.interfaces\"?");
    yaml_is_refused(CONFIG, "vault: {zzz: 1}\n", "f:1:9: vault.zzz: unknown key; known here: text, number, list");
    yaml_is_refused(CONFIG, "\"a\\nb\": 1\nvault: {}\n",
                    "f:1:1: [\"a\nb\"]: unknown key; known here: hostname, network, users, sysctls, modules, password, "
                    "enabled, port, timeout, strategy, files, serial and 14 more");
    json_is_refused(CONFIG, "{\"users\":[{\"name\":\"a\",\"groups\":[\"b\"],\"nmae\":\"c\"}]}",
                    "users[0].nmae: unknown key; did you mean \"name\"?");
}

static void all_problems_are_said_at_once(void **state) {
    (void)state;
    yaml_is_refused(
        CONFIG, "hostnme: a\nport: x\nusers:\n- name: b\n- groups: c\n  name: D\n",
        "f:1:1: hostnme: unknown key; did you mean \"hostname\"?\n"
        "f:2:7: port: expected a whole number, not negative, found \"x\"\n"
        "f:4:3: users[0]: the key \"groups\" is missing: expected at least one item\n"
        "f:6:9: users[1].name: expected a user name: lower-case letters, digits, _ and -, at most 32, found \"D\"");
}

static void yaml_text_becomes_what_the_schema_says(void **state) {
    (void)state;
    yaml_becomes(CONFIG, "hostname: 123\ntokens: {a: true, b: 1.50, c: '', d: 007}\n",
                 "{\"hostname\":\"123\",\"tokens\":{\"a\":\"true\",\"b\":\"1.50\",\"c\":\"\",\"d\":\"007\"}}");
    yaml_becomes(CONFIG, "enabled: yes\n", "{\"enabled\":true}");
    yaml_becomes(CONFIG, "enabled: Off\n", "{\"enabled\":false}");
    yaml_becomes(EVERYTHING, "int32_value: -0x10\nuint32_value: 0o644\nint64_value: +5\ndouble_value: 1e3\n",
                 "{\"int32_value\":-16,\"uint32_value\":420,\"int64_value\":5,\"double_value\":1000.0}");
    yaml_becomes(EVERYTHING, "doubles: [.nan, .inf, -.INF, .5, 5., -0.0, Infinity]\n",
                 "{\"doubles\":[\"NaN\",\"Infinity\",\"-Infinity\",0.5,5.0,-0.0,\"Infinity\"]}");
    yaml_becomes(EVERYTHING, "uint64_value: 18446744073709551615\nsint64_value: \"-9223372036854775808\"\n",
                 "{\"uint64_value\":\"18446744073709551615\",\"sint64_value\":\"-9223372036854775808\"}");
    yaml_becomes(CONFIG, "timeout: 30\n", "{\"timeout\":\"30\"}");
    yaml_becomes(CONFIG, "timeout: never\n", "{\"timeout\":\"never\"}");
    yaml_becomes(CONFIG, "hostname:\nnetwork: ~\nusers: null\n", "{}");
    yaml_becomes(EVERYTHING, "data: !!binary |\n  Zm9v\n  YmE=\nblobs: [Zm8, \"_-8=\"]\n",
                 "{\"data\":\"Zm9vYmE=\",\"blobs\":[\"Zm8=\",\"/+8=\"]}");
}

static void wrong_types_say_what_was_expected_and_found(void **state) {
    (void)state;
    yaml_is_refused(
        CONFIG, "port: \"80\"\n",
        "f:1:7: port: expected a whole number, not negative, found \"80\" in quotes: write it without the quotes");
    yaml_is_refused(CONFIG, "enabled: 'yes'\n",
                    "f:1:10: enabled: expected true or false, found \"yes\" in quotes: write it without the quotes");
    yaml_is_refused(CONFIG, "ratio: '0.5'\n",
                    "f:1:8: ratio: expected a number, found \"0.5\" in quotes: write it without the quotes");
    yaml_is_refused(CONFIG, "port: 0644\n",
                    "f:1:7: port: 0644 is octal to some readers and decimal to others: write 0o644 or 644");
    yaml_is_refused(CONFIG, "port: 1.5\n", "f:1:7: port: expected a whole number, not negative, found \"1.5\"");
    yaml_is_refused(CONFIG, "port: -1\n",
                    "f:1:7: port: \"-1\" does not fit: expected a whole number, not negative of 32 bits");
    yaml_is_refused(CONFIG, "enabled: 1\n", "f:1:10: enabled: expected true or false, found \"1\"");
    yaml_is_refused(CONFIG, "network: [a]\n", "f:1:10: network: expected a group of keys, found a list");
    yaml_is_refused(CONFIG, "modules: {a: b}\n", "f:1:10: modules: expected a list, found a group of keys");
    yaml_is_refused(CONFIG, "sysctls: [a]\n", "f:1:10: sysctls: expected keys with values, found a list");
    yaml_is_refused(CONFIG, "hostname: [a]\n", "f:1:11: hostname: expected text, found a list");
    yaml_is_refused(CONFIG, "modules: [a, , b]\n",
                    "f:1:14: this is no valid YAML: did not find expected node content while "
                    "parsing a flow node");
    yaml_is_refused(CONFIG, "modules: [a, ~]\n", "f:1:14: modules[1]: expected text, found an empty item");
    yaml_is_refused(CONFIG, "tokens: {a: }\n", "f:1:13: tokens.a: expected text, found nothing");
    yaml_is_refused(CONFIG, "- a\n", "f:1:1: expected a group of keys, found a list");
    yaml_is_refused(CONFIG, "hello\n", "f:1:1: expected a group of keys, found text");
    json_is_refused(CONFIG, "{\"hostname\":5}", "hostname: expected text, found the number 5");
    json_is_refused(CONFIG, "{\"enabled\":\"true\"}", "enabled: expected true or false, found the text \"true\"");
    json_is_refused(CONFIG, "{\"port\":true}", "port: expected a whole number, not negative, found true");
    json_is_refused(CONFIG, "{\"modules\":\"a\"}", "modules: expected a list, found the text \"a\"");
    json_is_refused(CONFIG, "{\"network\":5}", "network: expected a group of keys, found the number 5");
    json_is_refused(CONFIG, "{\"modules\":[null]}", "modules[0]: expected text, found an empty item");
    json_is_refused(CONFIG, "{\"tokens\":{\"a\":null}}", "tokens.a: expected text, found nothing");
}

static void json_numbers_come_in_every_form_of_the_mapping(void **state) {
    (void)state;
    json_becomes(EVERYTHING,
                 "{\"int32_value\":\"-5\",\"uint32_value\":3.0,\"int64_value\":1e3,\"float_value\":\"0.1\","
                 "\"double_value\":5,\"color\":-5,\"uint64_value\":18446744073709551615}",
                 "{\"int32_value\":-5,\"uint32_value\":3,\"int64_value\":1000,\"float_value\":0.1,\"double_value\":5.0,"
                 "\"color\":\"infra\",\"uint64_value\":\"18446744073709551615\"}");
    json_becomes(EVERYTHING,
                 "{\"int64_value\":9007199254740992,\"sint64_value\":9007199254740993,\"double_value\":\"NaN\"}",
                 "{\"int64_value\":9007199254740992,\"sint64_value\":\"9007199254740993\",\"double_value\":\"NaN\"}");
    json_is_refused(EVERYTHING, "{\"int32_value\":2147483648}",
                    "int32_value: the number 2147483648 does not fit: expected a whole number of 32 bits");
    json_is_refused(EVERYTHING, "{\"int64_value\":9223372036854775808}",
                    "int64_value: the text \"9223372036854775808\" does not fit: expected a whole number of 64 bits");
    json_is_refused(EVERYTHING, "{\"int64_value\":99999999999999999999}",
                    "f:1:35: a number is too large: expected at most 64 bits");
    json_is_refused(EVERYTHING, "{\"uint64_value\":1.5}",
                    "uint64_value: expected a whole number, not negative, found the number 1.5");
    json_is_refused(
        EVERYTHING, "{\"uint64_value\":1.8446744073709552e19}",
        "uint64_value: the number 1.84467e+19 does not fit: expected a whole number, not negative of 64 bits");
    json_is_refused(EVERYTHING, "{\"float_value\":1e39}",
                    "float_value: the number 1e+39 is too large: expected at most 3.40282e+38");
    json_is_refused(EVERYTHING, "{\"double_value\":\"0x5\"}",
                    "double_value: expected a number, found the text \"0x5\"");
    json_is_refused(EVERYTHING, "{\"int32_value\":\" 5\"}",
                    "int32_value: expected a whole number, found the text \" 5\"");
    json_is_refused(EVERYTHING, "{\"data\":\"a\"}", "data: expected bytes in base64, found the text \"a\"");
    json_is_refused(EVERYTHING, "{\"data\":\"Zg==Zg==\"}",
                    "data: expected bytes in base64, found the text \"Zg==Zg==\"");
}

static void enums_are_words(void **state) {
    (void)state;
    yaml_becomes(CONFIG, "strategy: blue-green\n", "{\"strategy\":\"blue_green\"}");
    yaml_becomes(EVERYTHING, "color: off\ncolors: [red, \"blue-green\"]\n",
                 "{\"color\":\"off\",\"colors\":[\"red\",\"blue_green\"]}");
    json_becomes(CONFIG, "{\"strategy\":1}", "{\"strategy\":\"blue_green\"}");
    yaml_is_refused(
        CONFIG, "strategy: rollin\n",
        "f:1:11: strategy: expected one of rolling, blue_green, found \"rollin\"; did you mean \"rolling\"?");
    yaml_is_refused(CONFIG, "strategy: 1\n", "f:1:11: strategy: expected one of rolling, blue_green, found \"1\"");
    json_is_refused(CONFIG, "{\"strategy\":7}", "strategy: expected one of rolling, blue_green, found the number 7");
}

static void rules_bound_values(void **state) {
    (void)state;
    yaml_is_refused(CONFIG, "port: 0\n", "f:1:7: port: expected a number from 1 to 65535, found \"0\"");
    yaml_is_refused(CONFIG, "port: 65536\n", "f:1:7: port: expected a number from 1 to 65535, found \"65536\"");
    yaml_becomes(CONFIG, "port: 1\noffset: -10\nratio: 1\n", "{\"port\":1,\"offset\":-10,\"ratio\":1.0}");
    yaml_is_refused(CONFIG, "offset: -11\n", "f:1:9: offset: expected a number from -10 to -1 s, found \"-11\"");
    yaml_is_refused(CONFIG, "offset: 0\n", "f:1:9: offset: expected a number from -10 to -1 s, found \"0\"");
    yaml_is_refused(CONFIG, "ratio: -0.1\n", "f:1:8: ratio: expected a number of at least 0, found \"-0.1\"");
    yaml_is_refused(CONFIG, "ratio: .nan\n", "f:1:8: ratio: expected a number of at least 0, found \".nan\"");
    yaml_is_refused(CONFIG, "code: ab\n", "f:1:7: code: 2 bytes are too short: expected at least 3");
    yaml_is_refused(CONFIG, "code: abcdef\n", "f:1:7: code: 6 bytes are too long: expected at most 5");
    yaml_becomes(CONFIG, "code: x\n", "{\"code\":\"x\"}");
    yaml_is_refused(CONFIG, "timeout: soon\n",
                    "f:1:10: timeout: expected a duration such as 30s, 5m, 2h, found \"soon\"");
    yaml_is_refused(CONFIG, "network: {dns: [1.2.3.4, x]}\n",
                    "f:1:26: network.dns[1]: expected an IPv4 or IPv6 address, found \"x\"");
    yaml_is_refused(
        CONFIG, "channel: stabel\n",
        "f:1:10: channel: expected one of stable, beta, self-hosted, found \"stabel\"; did you mean \"stable\"?");
    yaml_becomes(CONFIG, "channel: self_hosted\n", "{\"channel\":\"self-hosted\"}");
    yaml_is_refused(CONFIG, "serial: x\n", "f:1:1: serial: cannot be set: remove it");
    yaml_is_refused(CONFIG, "sysctls: {a.b: 1, a.c: 1, a.d: 1, a.e: 1, a.f: 1}\n",
                    "f:1:10: sysctls: 5 keys are too many: expected at most 4");
    yaml_is_refused(CONFIG, "users: [a, b, c, d]\n", "f:1:8: users: 4 items are too many: expected at most 3");
}

static void map_keys_are_checked(void **state) {
    (void)state;
    yaml_is_refused(CONFIG, "sysctls: {a: 1}\n",
                    "f:1:11: sysctls.a: expected as key a kernel parameter such as net.ipv4.ip_forward, found \"a\"");
    yaml_is_refused(
        CONFIG, "network:\n  interfaces:\n    a/b: {}\n",
        "f:3:5: network.interfaces.a/b: expected as key the name of an interface such as eth0, at most 15 characters, "
        "found \"a/b\"");
    json_becomes(
        EVERYTHING,
        "{\"weights\":{\"-5\":1},\"branches\":{\"true\":{}},\"palette\":{\"18446744073709551615\":\"red\"}}",
        "{\"weights\":{\"-5\":1.0},\"branches\":{\"true\":{}},\"palette\":{\"18446744073709551615\":\"red\"}}");
    yaml_is_refused(EVERYTHING, "weights: {0x10: 1, 16: 2}\n",
                    "f:1:20: weights.16: is the same key as another one: remove one of them");
    json_is_refused(EVERYTHING, "{\"weights\":{\"a\":1}}", "weights.a: expected as key a whole number, found \"a\"");
    json_is_refused(EVERYTHING, "{\"branches\":{\"yes\":{}}}",
                    "branches.yes: expected as key true or false, found \"yes\"");
    json_is_refused(EVERYTHING, "{\"weights\":{\"2147483648\":1}}",
                    "weights.2147483648: expected as key a whole number, found \"2147483648\"");
}

static void plain_values_stand_for_messages_and_lists(void **state) {
    (void)state;
    yaml_becomes(CONFIG, "password: abc\n", "{\"password\":{\"value\":\"abc\"}}");
    json_becomes(CONFIG, "{\"password\":\"abc\"}", "{\"password\":{\"value\":\"abc\"}}");
    yaml_becomes(CONFIG, "address: [a, b]\n", "{\"address\":{\"parts\":[\"a\",\"b\"]}}");
    yaml_becomes(CONFIG, "address: a\n", "{\"address\":{\"parts\":[\"a\"]}}");
    yaml_becomes(CONFIG, "modules: a\n", "{\"modules\":[\"a\"]}");
    yaml_becomes(CONFIG, "run_cmd: a\n", "{\"run_cmd\":[{\"command\":\"a\"}]}");
    yaml_becomes(CONFIG, "run_cmd: {command: a}\n", "{\"run_cmd\":[{\"command\":\"a\"}]}");
    yaml_becomes(CONFIG, "run_cmd: [a, {command: b, timeout: 5s}]\n",
                 "{\"run_cmd\":[{\"command\":\"a\"},{\"command\":\"b\",\"timeout\":\"5s\"}]}");
    json_becomes(CONFIG, "{\"run_cmd\":\"a\"}", "{\"run_cmd\":[{\"command\":\"a\"}]}");
    yaml_is_refused(CONFIG, "users: bob\n", "f:1:8: users: expected a list, found the text \"bob\"");
    yaml_is_refused(CONFIG, "password: [a]\n", "f:1:11: password: expected a group of keys, found a list");
}

static void templates_are_checked_as_what_they_become(void **state) {
    (void)state;
    yaml_becomes(CONFIG, "hostname: \"edge-${RANDOM_SUFFIX}\"\n", "{\"hostname\":\"edge-${RANDOM_SUFFIX}\"}");
    yaml_becomes(CONFIG, "hostname: ${ARCH}-${NODE_ID}\n", "{\"hostname\":\"${ARCH}-${NODE_ID}\"}");
    yaml_becomes(CONFIG, "tokens: {a: \"${ANY}\"}\n", "{\"tokens\":{\"a\":\"${ANY}\"}}");
    yaml_is_refused(CONFIG, "hostname: a-${FOO}\n",
                    "f:1:11: hostname: \"${FOO}\" is not known: expected ${RANDOM_SUFFIX}, "
                    "${ARCH}, ${NODE_ID} or ${HOSTNAME}");
    yaml_is_refused(CONFIG, "hostname: a-${ARCH\n",
                    "f:1:11: hostname: \"${ARCH\" is not known: expected ${RANDOM_SUFFIX}, "
                    "${ARCH}, ${NODE_ID} or ${HOSTNAME}");
    yaml_is_refused(CONFIG, "hostname: a_${ARCH}\n",
                    "f:1:11: hostname: expected a host name: letters, digits and -, at most 63, not localhost, such as "
                    "edge-7, found \"a_${ARCH}\"");
}

#define TWICE                                                                                                          \
    "f:3:12: files[0].content: is encoded twice: remove !!binary or the key \"encoding\" (only gzip may stand beside " \
    "!!binary)"
static void binary_text_says_its_encoding(void **state) {
    (void)state;
    yaml_becomes(CONFIG, "files:\n- path: /a\n  content: !!binary |\n    Zm9v\n    YmFy\n",
                 "{\"files\":[{\"path\":\"/a\",\"content\":\"Zm9vYmFy\",\"encoding\":\"b64\"}]}");
    yaml_becomes(CONFIG, "files:\n- {encoding: gzip, path: /a, content: !!binary H4sI}\n",
                 "{\"files\":[{\"path\":\"/a\",\"content\":\"H4sI\",\"encoding\":\"gzip\"}]}");
    yaml_becomes(CONFIG, "files:\n- {path: /a, content: !!binary H4sI, encoding: gz}\n",
                 "{\"files\":[{\"path\":\"/a\",\"content\":\"H4sI\",\"encoding\":\"gz\"}]}");
    yaml_is_refused(CONFIG, "files:\n- path: /a\n  content: !!binary Zm9v\n  encoding: gz+b64\n", TWICE);
    yaml_is_refused(CONFIG, "files:\n- path: /a\n  content: !!binary Zm9v\n  encoding: b64\n", TWICE);
    yaml_is_refused(CONFIG, "files:\n- path: /a\n  content: !!binary \"%\"\n",
                    "f:3:12: files[0].content: expected !!binary data in base64");
    yaml_is_refused(CONFIG, "hostname: !!binary Zm9v\n", "f:1:11: hostname: expected text, found !!binary data");
}

static void a_oneof_has_one_value(void **state) {
    (void)state;
    json_becomes(EVERYTHING, "{\"name\":null,\"number\":3}", "{\"number\":3}");
    json_is_refused(EVERYTHING, "{\"name\":\"a\",\"number\":3}",
                    "number: cannot stand beside \"name\": remove one of them");
    yaml_is_refused(EVERYTHING, "part: {}\nblob: Zg==\n",
                    "f:2:1: blob: cannot stand beside \"part\": remove one of them");
}

static void required_fields_are_missed(void **state) {
    (void)state;
    yaml_is_refused(CONFIG, "files: [{content: a}]\n", "f:1:9: files[0]: the key \"path\" is missing: expected text");
    yaml_is_refused(CONFIG, "users: [{name: a, groups: []}]\n",
                    "f:1:9: users[0]: the key \"groups\" is missing: expected at least one item");
    yaml_is_refused(CONFIG, "files: [{path: ~}]\n", "f:1:9: files[0]: the key \"path\" is missing: expected text");
    json_is_refused(&macula__test__strict__descriptor, "{\"below\":{}}",
                    "below: the key \"name\" is missing: expected text\nthe key \"name\" is missing: expected text");
}

static void patches_keep_nulls_and_require_nothing(void **state) {
    (void)state;
    static const char text[] =
        "{\"hostname\":null,\"network\":{\"interfaces\":{\"eth0\":null,\"eth1\":{\"mtu\":null}}},"
        "\"password\":{\"expires\":true},\"users\":[{\"name\":\"a\",\"password\":null,\"groups\":[\"b\"]}]}";
    char *said;
    mac_autoptr(json_t) tree = read_json(CONFIG, text, strlen(text), MAC_CODEC_PATCH, &said);
    mac_autofree char *owned = said;
    assert_string_equal(owned, "");
    trees_equal(tree, "{\"hostname\":null,\"network\":{\"interfaces\":{\"eth0\":null,\"eth1\":{\"mtu\":null}}},"
                      "\"password\":{\"expires\":true},\"users\":[{\"name\":\"a\",\"groups\":[\"b\"]}]}");
    static const char item[] = "{\"users\":[{\"groups\":[\"b\"]}],\"modules\":[null],\"serial\":null}";
    mac_autoptr(json_t) refused = read_json(CONFIG, item, strlen(item), MAC_CODEC_PATCH, &said);
    mac_autofree char *owned_too = said;
    assert_null(refused);
    assert_string_equal(owned_too,
                        "users[0]: the key \"name\" is missing: expected text\n"
                        "modules[0]: expected text, found an empty item\nserial: cannot be set: remove it\n");
}

/* No part of a secret is in what is said of it, whatever is wrong with it. */
static void secrets_are_not_said(void **state) {
    (void)state;
    static const char *const texts[] = {
        "password: \"Sesam 1!\"\n",
        "password: {value: \"Sesam 1!\"}\n",
        "password: {value: [Sesam]}\n",
        "password: {value: {Sesam: 1}}\n",
        "seed: Sesam1\xc3\xa4\n",
        "seed: [Sesam]\n",
        "tokens: Sesam\n",
        "keys: {a: Sesam}\n",
        "vault: Sesam\n",
        "users: [{name: a, groups: b, password: [Sesam]}]\n",
        "password: \"Sesam\n",
        "password: Sesam: 1\n",
        "tokens: {a: [Sesam]}\n",
        "hostname: !Sesam a\n",
        "environment: Sesam\n",
        "environment: {A: [Sesam]}\n",
        "environment: {A: \"${Sesam\"}\n",
        "arguments: Sesam!\n",
        "arguments: [[Sesam]]\n",
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(texts); i++) {
        char *said;
        mac_autoptr(json_t) tree = read_yaml(CONFIG, texts[i], strlen(texts[i]), 0, &said);
        mac_autofree char *owned = said;
        assert_null(tree);
        if (strstr(owned, "Sesam") && !strstr(owned, "Sesam: unknown key"))
            fail_msg("%s says %s", texts[i], owned);
    }
    static const char *const jsons[] = {"{\"password\":\"Sesam",
                                        "{\"password\":\"Sesam\" \"Sesam\"}",
                                        "{\"keys\":\"Sesam\"}",
                                        "{\"password\":{\"value\":true,\"x\":1}}",
                                        "{\"seed\":\"Sesam!\"}",
                                        "{\"arguments\":[Sesam]}",
                                        "{\"password\": {\"value\": Sesam}}"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(jsons); i++) {
        char *said;
        mac_autoptr(json_t) tree = read_json(CONFIG, jsons[i], strlen(jsons[i]), 0, &said);
        mac_autofree char *owned = said;
        assert_null(tree);
        assert_null(strstr(owned, "Sesam"));
    }
}

static void depth_counts_what_plain_values_stand_for(void **state) {
    (void)state;
    mac_autobuffer text = {0};
    for (int i = 0; i < 31; i++)
        mac_buffer_text(&text, "{\"nested\":");
    mac_buffer_text(&text, "{\"password\":\"a\"}");
    for (int i = 0; i < 31; i++)
        mac_buffer_text(&text, "}");
    char *said;
    mac_autoptr(json_t) tree = read_json(CONFIG, text.data, text.length, 0, &said);
    mac_autofree char *owned = said;
    assert_null(tree);
    assert_non_null(strstr(owned, "is nested too deeply: expected at most 32 levels"));
}

static void a_hostile_document_gets_a_hundred_problems(void **state) {
    (void)state;
    mac_autobuffer text = {0};
    mac_buffer_text(&text, "{");
    for (int i = 0; i < 60000; i++)
        mac_buffer_printf(&text, "%s\"hostnam%d\":1", i ? "," : "", i);
    mac_buffer_text(&text, "}");
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) tree = NULL;
    json_t *canonical = NULL;
    assert_int_equal(mac_codec_parse_json("f", text.data, text.length, problems, &tree), 0);
    assert_int_equal(mac_codec_normalise(CONFIG, tree, NULL, 0, problems, &canonical), -22);
    assert_int_equal(mac_problems_count(problems), MAC_PROBLEMS_MAX);
}

static void what_was_normalised_stays_as_it_is(void **state) {
    (void)state;
    static const char text[] =
        "node_name: a\nnet: {dhcp: no, interfaces: {e: {mtu: 0x5dc, addresses: 10.0.0.1/8}}}\npassword: p\nrun_cmd: x\n"
        "strategy: blue-green\nratio: 1\nseed: Zg\n";
    char *said;
    mac_autoptr(json_t) once = read_yaml(CONFIG, text, strlen(text), 0, &said), *twice = NULL;
    mac_autofree char *owned = said;
    assert_string_equal(owned, "");
    mac_autoptr(mac_problems) problems = mac_problems_new();
    assert_int_equal(mac_codec_normalise(CONFIG, once, NULL, 0, problems, &twice), 0);
    assert_true(json_equal(once, twice));
    mac_autofree char *yaml = mac_codec_to_yaml(once, CONFIG);
    mac_autofree char *json = json_dumps(once, 0);
    yaml_becomes(CONFIG, yaml, json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_read_in_every_spelling),
        cmocka_unit_test(unknown_keys_name_the_nearest_one),
        cmocka_unit_test(all_problems_are_said_at_once),
        cmocka_unit_test(yaml_text_becomes_what_the_schema_says),
        cmocka_unit_test(wrong_types_say_what_was_expected_and_found),
        cmocka_unit_test(json_numbers_come_in_every_form_of_the_mapping),
        cmocka_unit_test(enums_are_words),
        cmocka_unit_test(rules_bound_values),
        cmocka_unit_test(map_keys_are_checked),
        cmocka_unit_test(plain_values_stand_for_messages_and_lists),
        cmocka_unit_test(templates_are_checked_as_what_they_become),
        cmocka_unit_test(binary_text_says_its_encoding),
        cmocka_unit_test(a_oneof_has_one_value),
        cmocka_unit_test(required_fields_are_missed),
        cmocka_unit_test(patches_keep_nulls_and_require_nothing),
        cmocka_unit_test(secrets_are_not_said),
        cmocka_unit_test(depth_counts_what_plain_values_stand_for),
        cmocka_unit_test(a_hostile_document_gets_a_hundred_problems),
        cmocka_unit_test(what_was_normalised_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
