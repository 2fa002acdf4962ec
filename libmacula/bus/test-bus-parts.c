/* The parts of the bus that need no server: names, headers, bodies, what the server says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bus-internal.h"
#include "macula/v1/config.pb-c.h"
#include "test-bus.pb-c.h"

static void names_come_from_descriptors(void **state) {
    (void)state;
    mac_autofree char *service = mac_bus_service_name(&macula__test__echo__descriptor);
    mac_autofree char *control = mac_bus_service_name(&macula__test__echo_control__descriptor);
    assert_string_equal(service, "echo");
    assert_string_equal(control, "echo");
    assert_false(mac_bus_is_control(&macula__test__echo__descriptor));
    assert_true(mac_bus_is_control(&macula__test__echo_control__descriptor));
    const ProtobufCMethodDescriptor *fix =
        protobuf_c_service_descriptor_get_method_by_name(&macula__v1__config_control__descriptor, "DriftFix");
    mac_autofree char *method = mac_bus_method_name(fix);
    assert_string_equal(method, "drift_fix");
    mac_autofree char *subject = mac_bus_subject("io.macula", "config", method);
    assert_string_equal(subject, "macula.rpc.io.macula.config.drift_fix");
    mac_autofree char *bare = mac_bus_subject("io.macula", "config", NULL);
    assert_string_equal(bare, "macula.rpc.io.macula.config");
}

static void wildcards_match_as_in_nats(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *subject;
        bool matches;
    } cases[] = {{"a.b", "a.b", true},     {"a.b", "a.b.c", false}, {"a.b.c", "a.b", false}, {"a.*", "a.b", true},
                 {"a.*", "a.b.c", false},  {"a.*", "a", false},     {"*.b", "a.b", true},    {"a.>", "a.b", true},
                 {"a.>", "a.b.c.d", true}, {"a.>", "a", false},     {">", "a", true},        {">", "a.b", true},
                 {"a.>", "b.c", false},    {"ab", "a", false},      {"a", "ab", false},      {"a.>.c", "a.b.c", false},
                 {"*", "a", true},         {"*", "", false},        {">", "", false},        {"", "", false},
                 {"*a", "xa", false},      {"a..b", "a..b", false}, {"a*", "a*", true}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++)
        if (mac_bus_subject_matches(cases[i].pattern, cases[i].subject) != cases[i].matches)
            fail_msg("“%s” and “%s”", cases[i].pattern, cases[i].subject);
}

static void a_url_that_can_be_none_of_the_bus_is_told_so(void **state) {
    (void)state;
    static const char *const good[] = {"nats://127.0.0.1:4222",
                                       "nats://node.example.org",
                                       "NATS://edge-7:1/",
                                       "localhost:65535",
                                       "edge_7.",
                                       "nats://anna:p%40ss@edge:1",
                                       "s3cret@edge",
                                       "nats://a:b@/@edge:1",
                                       "nats://[::1]",
                                       "[fe80::1%eth0]:1",
                                       "nats://u:p://x@[2001::7]:1",
                                       "::1",
                                       "nats://fe80::1%eth0",
                                       "nats://127.1:1",
                                       "nats://caf\xc3\xa9"};
    static const struct {
        const char *url, *wrong;
    } bad[] = {{"", "empty"},
               {"nats://", "host is missing"},
               {"nats://:4222", "host is missing"},
               {"nats://anna:geheim@", "host is missing"},
               {"nats://edge:", "port"},
               {"nats://edge:0", "port"},
               {"nats://edge:65536", "port"},
               {"nats://edge:4222222222222222222222", "port"},
               {"nats://edge:+1", "port"},
               {"nats://anna:geheim", "port"},
               {"nats://[::1", "brackets"},
               {"nats://::1]", "brackets"},
               {"nats://[::1]]:1", "brackets"},
               {"nats://[::1]1", "brackets"},
               {"nats://[127.0.0.1]:1", "brackets"},
               {"nats://[]", "brackets"},
               {"nats://[::1]:geheim", "port"},
               {"nats://1:2:3", "host"},
               {"nats://fe80::1%", "host"},
               {"nats://300.1.1.1", "host"},
               {"nats://anna:geheim%40edge:1", "host"},
               {"nats://a;b", "host"},
               {"nats://a:1,nats://b:2", "only one"},
               {"[::1]:1,[::2]:1", "only one"},
               {"nats://edge:1/path", "follow the port"},
               {"http://anna:geheim@edge:1", "scheme"},
               {"nats://http://edge:1", "scheme"},
               {"tls://anna:geheim@edge:1", "TLS"},
               {" nats://edge:1", "white space"},
               {"nats://anna:geheim @edge:1", "white space"},
               {"nats://edge\n", "white space"}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(good); i++) {
        mac_autoptr(mac_error) error = mac_bus_url_check(good[i]);
        if (error)
            fail_msg("%s: %s", good[i], error->message);
    }
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        mac_autoptr(mac_error) error = mac_bus_url_check(bad[i].url);
        if (!error || error->code != MACULA__V1__ERROR_CODE__INVALID || !strstr(error->message, bad[i].wrong) ||
            !strstr(error->message, "nats://HOST:PORT") || strstr(error->message, "geheim"))
            fail_msg("%s: %s", bad[i].url, error ? error->message : "taken");
    }
}

static void a_url_is_shown_without_its_login(void **state) {
    (void)state;
    static const struct {
        const char *url, *shown;
    } cases[] = {{"nats://anna:geheim@edge:1", "nats://edge:1"},
                 {"anna:geheim@edge:1", "edge:1"},
                 {"anna:a://b@edge:1", "edge:1"},
                 {"nats://a@b@[::1]:1", "nats://[::1]:1"},
                 {"nats://edge:1/", "nats://edge:1/"},
                 {"nats://[::1]:1", "nats://[::1]:1"},
                 {"nats://[::1", "nats://[::1"},
                 {"::1", "::1"},
                 {"nats://anna:geheim", "nats://anna:…"},
                 {"anna:1geheim", "anna:…"},
                 {"", ""}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        mac_autofree char *shown = mac_bus_url_shown(cases[i].url);
        assert_string_equal(shown, cases[i].shown);
    }
}

static void only_inboxes_are_answered(void **state) {
    (void)state;
    assert_true(mac_bus_is_inbox("_INBOX.abc.1"));
    assert_true(mac_bus_is_inbox("_R_.abc"));
    assert_true(mac_bus_is_inbox("_SVC.confd.x"));
    assert_false(mac_bus_is_inbox("_INBOX"));
    assert_false(mac_bus_is_inbox("macula.rpc.io.macula.upgrade.apply"));
    assert_false(mac_bus_is_inbox("x._INBOX.a"));
    assert_false(mac_bus_is_inbox(""));
    assert_false(mac_bus_is_inbox(NULL));
}

static void the_caller_is_what_the_server_says_and_else_what_it_says_itself(void **state) {
    (void)state;
    static const struct {
        const char *info, *said, *reply, *caller;
    } cases[] = {
        {"{\"acc\":\"APP\",\"name\":\"NATS CLI\",\"host\":\"127.0.0.1\"}", "admin", NULL,
         "workload NATS?CLI at 127.0.0.1"},
        {"{\"acc\":\"APP\",\"rtt\":1}", "confd", "_SVC.confd.x", "workload of account APP"},
        {"{\"user\":\"app\"}", NULL, NULL, "workload app"},
        {"{}", "admin", NULL, "workload"},
        {"nonsense", "admin", "_SVC.confd.x", "workload"},
        {NULL, "confd", "_INBOX.x", "confd"},
        {NULL, "workload x at y", NULL, "admin"}, /* cannot pass for what the server says */
        {NULL, NULL, "_SVC.netd.abc.0.1", "netd"},
        {NULL, NULL, "_INBOX.abc", "admin"},
        {NULL, "", NULL, "admin"},
        {NULL, "admin", "_R_.abc", "workload"}, /* its report cannot be read */
        {NULL, NULL, "_SVC.", "admin"},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        mac_autofree char *caller = bus_caller(cases[i].info, cases[i].said, cases[i].reply);
        assert_string_equal(caller, cases[i].caller);
    }
}

static void a_workload_is_who_comes_from_another_account(void **state) {
    (void)state;
    assert_false(bus_is_workload(NULL));
    assert_false(bus_is_workload("{\"acc\":\"NODE\"}"));
    assert_true(bus_is_workload("{\"acc\":\"APP\",\"name\":\"NODE\"}"));
    assert_true(bus_is_workload("{\"acc\":5}"));
    assert_true(bus_is_workload("{}"));
    assert_true(bus_is_workload("NODE"));
    assert_true(bus_is_workload(""));
}

static void bodies_are_read_by_their_content_type(void **state) {
    (void)state;
    static const struct {
        const char *type, *body;
        size_t length;
        bool protobuf, good;
    } cases[] = {
        {NULL, "", 0, false, true},
        {NULL, "{}", 2, false, true},
        {NULL, "\n\t {\"text\":\"a\"}", 15, false, true},
        {NULL, "hello", 5, false, false},
        {NULL, "[]", 2, false, false},
        {NULL, "   ", 3, false, false},
        {"", "{}", 2, false, true},
        {"application/json; charset=utf-8", "{}", 2, false, true},
        {"application/protobuf", "", 0, true, true},
        {"Application/Protobuf ;x=y",
         "\x0a\x01"
         "a",
         3, true, true},
        {"application/protobuf", "{}", 2, true, false},
        {"application/protobuf", "\x0a\x01\xff", 3, true, false}, /* not UTF-8 */
        {"application/protobuffer", "", 0, false, false},
        {"text/plain", "{}", 2, false, false},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        bool protobuf = !cases[i].protobuf;
        ProtobufCMessage *message = NULL;
        mac_autoptr(mac_error) error = NULL;
        int r = bus_decode_request(&macula__test__text__descriptor, cases[i].type, cases[i].body, cases[i].length,
                                   &protobuf, &message, &error);
        if ((r == 0) != cases[i].good || protobuf != cases[i].protobuf || (r == 0) != (error == NULL))
            fail_msg("case %zu: %d %s", i, r, error ? error->message : "");
        if (message)
            protobuf_c_message_free_unpacked(message, NULL);
    }
}

static void an_error_of_a_stranger_is_understood_by_its_headers(void **state) {
    (void)state;
    const char *body = "{\"code\":\"CONFLICT\",\"message\":\"m\",\"current_revision\":\"7\"}";
    mac_autoptr(mac_error) ours = bus_decode_error("409", "x", false, body, strlen(body));
    assert_int_equal(ours->code, MACULA__V1__ERROR_CODE__CONFLICT);
    assert_string_equal(ours->message, "m");
    assert_int_equal(ours->current_revision, 7);
    mac_autoptr(mac_error) theirs = bus_decode_error("404", "no such thing", false, "whatever", 8);
    assert_int_equal(theirs->code, MACULA__V1__ERROR_CODE__NOT_FOUND);
    assert_string_equal(theirs->message, "no such thing");
    mac_autoptr(mac_error) silent = bus_decode_error(NULL, "", true, "", 0);
    assert_int_equal(silent->code, MACULA__V1__ERROR_CODE__INTERNAL);
    assert_true(strlen(silent->message) > 0);
}

static void a_header_is_one_line_of_whole_characters(void **state) {
    (void)state;
    char line[BUS_HEADER_TEXT_MAX + 1];
    bus_header_text("one\r\ntwo\tthree", line);
    assert_string_equal(line, "one  two three");
    mac_autobuffer text = {0};
    for (size_t i = 0; i < BUS_HEADER_TEXT_MAX; i++)
        mac_buffer_text(&text, "ä");
    bus_header_text(text.data, line);
    assert_int_equal(strlen(line), BUS_HEADER_TEXT_MAX);
    assert_true(mac_utf8_valid(line, strlen(line)));
    mac_autofree char *shifted = mac_asprintf("x%s", text.data);
    bus_header_text(shifted, line);
    assert_int_equal(strlen(line), BUS_HEADER_TEXT_MAX - 1);
    assert_true(mac_utf8_valid(line, strlen(line)));
}

static void a_violation_names_what_was_refused(void **state) {
    (void)state;
    bool publish = false;
    char *subject = NULL;
    assert_true(bus_violation_parse("Permissions Violation for Publish to \"a.b\"", &publish, &subject));
    assert_true(publish);
    assert_string_equal(subject, "a.b");
    free(subject);
    assert_true(bus_violation_parse("permissions violation for subscription to \"publish.>\" using queue \"q\"",
                                    &publish, &subject));
    assert_false(publish);
    assert_string_equal(subject, "publish.>");
    free(subject);
    assert_false(bus_violation_parse("Permissions Violation for Publish to \"a.b", &publish, &subject));
    assert_false(bus_violation_parse("Permissions Violation for Publish to \"\"", &publish, &subject));
    assert_false(bus_violation_parse("Stale Connection", &publish, &subject));
}

static void the_method_is_what_follows_the_prefix(void **state) {
    (void)state;
    assert_string_equal(bus_method_part("macula.rpc.r.echo.say", "macula.rpc.r.echo"), "say");
    assert_string_equal(bus_method_part("macula.rpc.r.echo.say.more", "macula.rpc.r.echo"), "say.more");
    assert_null(bus_method_part("macula.rpc.r.echo", "macula.rpc.r.echo"));
    assert_null(bus_method_part("macula.rpc.r.echo.", "macula.rpc.r.echo"));
    assert_null(bus_method_part("macula.rpc.r.echoes.say", "macula.rpc.r.echo"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_from_descriptors),
        cmocka_unit_test(wildcards_match_as_in_nats),
        cmocka_unit_test(a_url_that_can_be_none_of_the_bus_is_told_so),
        cmocka_unit_test(a_url_is_shown_without_its_login),
        cmocka_unit_test(only_inboxes_are_answered),
        cmocka_unit_test(a_workload_is_who_comes_from_another_account),
        cmocka_unit_test(the_caller_is_what_the_server_says_and_else_what_it_says_itself),
        cmocka_unit_test(bodies_are_read_by_their_content_type),
        cmocka_unit_test(an_error_of_a_stranger_is_understood_by_its_headers),
        cmocka_unit_test(a_header_is_one_line_of_whole_characters),
        cmocka_unit_test(a_violation_names_what_was_refused),
        cmocka_unit_test(the_method_is_what_follows_the_prefix),
    };
    return cmocka_run_group_tests_name("parts of the bus", tests, NULL, NULL);
}
