#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "test-nats-node.h"
#include "test-nats-tokens.h"

/* A document whose parts a test changes. */
static struct {
    Macula__V1__Document document;
    Macula__V1__MaculaosSection section;
    Macula__V1__NatsSection nats;
    Macula__V1__NatsSection__Jetstream jetstream;
    Macula__V1__NatsSection__Cluster cluster;
    Macula__V1__SecuritySection security;
} doc;

static int fresh(void **state) {
    static test_node node;
    macula__v1__document__init(&doc.document);
    macula__v1__maculaos_section__init(&doc.section);
    macula__v1__nats_section__init(&doc.nats);
    macula__v1__nats_section__jetstream__init(&doc.jetstream);
    macula__v1__nats_section__cluster__init(&doc.cluster);
    macula__v1__security_section__init(&doc.security);
    doc.document.maculaos = &doc.section;
    doc.section.nats = &doc.nats;
    doc.section.security = &doc.security;
    doc.nats.jetstream = &doc.jetstream;
    doc.nats.cluster = &doc.cluster;
    test_node_init(&node);
    *state = &node;
    return 0;
}

static int tidy(void **state) {
    test_node_deinit(*state);
    return 0;
}

/* The problems of a document with this listening address, one a line; NULL when it is rendered. */
static char *problems_of(test_node *node, const char *listen, const char *realm) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autofree char *text = NULL;
    mac_nats_input input = {.document = &doc.document,
                            .realm = realm,
                            .keys = node->keys,
                            .listen = listen,
                            .runtime_directory = node->directory,
                            .root = ""};
    if (mac_nats_render(&input, problems, &text) == 0)
        return NULL;
    assert_true(mac_problems_errors(problems) > 0);
    return mac_problems_format(problems);
}

static void assert_refused(test_node *node, const char *path) {
    mac_autofree char *why = problems_of(node, NULL, TEST_REALM);
    if (!why)
        fail_msg("rendered though %s is wrong", path);
    if (!strstr(why, path))
        fail_msg("\"%s\" does not name %s", why, path);
}

static void a_node_without_configuration_gets_one_the_server_accepts(void **state) {
    mac_autofree char *text = test_node_render(*state, NULL);
    const char *wrong;
    assert_true(test_tokens_are_ours(text, &wrong));
    assert_true(test_node_accepts(*state, text));
}

static void everything_switched_on_is_accepted_by_the_server(void **state) {
    char *routes[] = {"10.0.0.2:6222", "[fd00::2]:6222", "edge-2.example.com:6222"};
    doc.jetstream.enabled = true;
    doc.jetstream.store_dir = "/var/lib/with \"quotes\" and \\ and \xc3\xa9";
    doc.cluster.enabled = true;
    doc.cluster.secret = "0123456789abcdef._~-";
    doc.cluster.routes = routes;
    doc.cluster.n_routes = MAC_ARRAY_SIZE(routes);
    doc.security.require_credentials = true;
    doc.nats.listen = "0.0.0.0:4333";
    mac_autofree char *text = test_node_render(*state, &doc.document);
    const char *wrong;
    assert_true(test_tokens_are_ours(text, &wrong));
    assert_non_null(strstr(text, "with \\\"quotes\\\" and \\\\ and \xc3\xa9\""));
    assert_null(strstr(text, "no_auth_user"));
    assert_true(test_node_accepts(*state, text));
}

static void text_that_could_add_a_line_is_refused(void **state) {
    doc.jetstream.enabled = true;
    doc.jetstream.store_dir = "/a\"\nusers: []";
    assert_refused(*state, "maculaos.nats.jetstream.store_dir");
    doc.jetstream.store_dir = "/a/../../etc";
    assert_refused(*state, "maculaos.nats.jetstream.store_dir");
    doc.jetstream.store_dir = "/a\xff";
    assert_refused(*state, "maculaos.nats.jetstream.store_dir");
    doc.jetstream.enabled = false;
    doc.nats.listen = "127.0.0.1\": 4222";
    assert_refused(*state, "maculaos.nats.listen");
}

static void sizes_and_limits_are_checked(void **state) {
    doc.nats.max_payload = "1K";
    assert_refused(*state, "maculaos.nats.max_payload");
    doc.nats.max_payload = "65M";
    assert_refused(*state, "maculaos.nats.max_payload");
    doc.nats.max_payload = "many";
    assert_refused(*state, "maculaos.nats.max_payload");
    doc.nats.max_payload = "8M";
    doc.nats.max_pending = "4M";
    assert_refused(*state, "maculaos.nats.max_pending");
    doc.nats.max_pending = "16M";
    static const char *const bad[] = {"soon", "0s", "99ms", "601s", "999999999999h"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        doc.nats.write_deadline = (char *)bad[i];
        assert_refused(*state, "maculaos.nats.write_deadline");
    }
}

static void a_bus_open_to_the_network_needs_credentials(void **state) {
    static const char *const outside[] = {"0.0.0.0:4222", "[::]:4222", "10.1.2.3:4222", "edge.example.com:4222"};
    static const char *const inside[] = {"127.0.0.1:4222", "127.9.9.9:1", "[::1]:4222", "localhost:65535"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(outside); i++) {
        doc.security.require_credentials = false;
        mac_autofree char *why = problems_of(*state, outside[i], TEST_REALM);
        assert_non_null(why);
        assert_non_null(strstr(why, "require_credentials"));
        doc.security.require_credentials = true;
        mac_autofree char *nothing = problems_of(*state, outside[i], TEST_REALM);
        assert_null(nothing);
    }
    doc.security.require_credentials = false;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(inside); i++) {
        mac_autofree char *why = problems_of(*state, inside[i], TEST_REALM);
        assert_null(why);
    }
}

static void the_order_of_the_keys_does_not_matter(void **state) {
    test_node *node = *state;
    mac_autofree char *text = test_node_render(node, NULL);
    mac_nats_key first = node->keys[0];
    node->keys[0] = node->keys[TEST_KEYS - 1];
    node->keys[TEST_KEYS - 1] = first;
    mac_autofree char *again = test_node_render(node, NULL);
    node->keys[TEST_KEYS - 1] = node->keys[0];
    node->keys[0] = first;
    assert_string_equal(text, again);
}

static void keys_of_further_admins_must_be_keys_and_their_own(void **state) {
    test_node *node = *state;
    char seed[MAC_NKEY_SEED_SIZE], public[MAC_NKEY_PUBLIC_SIZE];
    mac_nkey_new(seed, public);
    char *keys[] = {public, public};
    doc.nats.admin_keys = keys;
    doc.nats.n_admin_keys = 1;
    mac_autofree char *text = test_node_render(node, &doc.document);
    const char *wrong;
    assert_true(test_tokens_are_ours(text, &wrong));
    assert_non_null(strstr(text, public));
    assert_true(test_node_accepts(node, text));
    doc.nats.n_admin_keys = 2;
    assert_refused(node, "maculaos.nats.admin_keys");
    static const char *const bad[] = {"", "U", "\"}", "UCBK755YTW4SFF7E54ED2FKN5W3E4GBA4QKFR6TWAPCGBGCOAEFS4UM4"};
    doc.nats.n_admin_keys = 1;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        keys[0] = (char *)bad[i];
        assert_refused(node, "maculaos.nats.admin_keys");
    }
    keys[0] = node->publics[0]; /* confd's */
    assert_refused(node, "maculaos.nats.admin_keys");
}

static void a_cluster_needs_a_secret(void **state) {
    static const char *const bad[] = {NULL, "", "short", "0123456789abcdef\"", "0123456789 abcdef", "$2a$110123456789"};
    doc.cluster.enabled = true;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        doc.cluster.secret = (char *)bad[i];
        assert_refused(*state, "maculaos.nats.cluster.secret");
    }
}

static void a_realm_must_be_usable_in_a_subject(void **state) {
    static const char *const bad[] = {"", ".", "a..b", "a.", "A", "a.*", "a.>", "a b", "-a", "a-", "a\"", "a\n"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        mac_autofree char *why = problems_of(*state, NULL, bad[i]);
        if (!why)
            fail_msg("realm \"%s\" accepted", bad[i]);
    }
    mac_autofree char *why = problems_of(*state, NULL, "com.example-7.plant");
    assert_null(why);
}

static void a_restart_is_asked_for_only_where_the_server_cannot_reload(void **state) {
    (void)state;
    Macula__V1__NatsSection changed = doc.nats;
    Macula__V1__MaculaosSection section = doc.section;
    Macula__V1__Document to = doc.document;
    section.nats = &changed;
    to.maculaos = &section;
    assert_false(mac_nats_needs_restart(&doc.document, &to));
    assert_false(mac_nats_needs_restart(NULL, &to));
    changed.max_payload = "2M";
    changed.max_connections = 17;
    changed.write_deadline = "1s";
    assert_false(mac_nats_needs_restart(&doc.document, &to));
    changed.listen = "127.0.0.1:4223";
    assert_true(mac_nats_needs_restart(&doc.document, &to));
    changed.listen = doc.nats.listen;
    Macula__V1__NatsSection__Jetstream streams = doc.jetstream;
    changed.jetstream = &streams;
    streams.max_file = "2G"; /* of what is off */
    assert_false(mac_nats_needs_restart(&doc.document, &to));
    streams.enabled = true;
    assert_true(mac_nats_needs_restart(&doc.document, &to));
    changed.jetstream = doc.nats.jetstream;
    Macula__V1__SecuritySection strict = doc.security;
    strict.require_credentials = true;
    section.security = &strict;
    assert_true(mac_nats_needs_restart(&doc.document, &to));
}

static void set_limits(bool largest) {
    doc.nats.max_payload = largest ? "64M" : "64K";
    doc.nats.max_pending = largest ? "1G" : "64K";
    doc.nats.write_deadline = largest ? "10m" : "100ms";
    doc.nats.max_connections = largest ? 65535 : 16;
    doc.nats.max_subscriptions = largest ? 1000000 : 16;
}

static void limits_that_the_renderer_lets_through_need_not_be_shown_to_the_server(void **state) {
    mac_autofree char *usual = test_node_render(*state, &doc.document);
    set_limits(false);
    mac_autofree char *least = test_node_render(*state, &doc.document);
    set_limits(true);
    mac_autofree char *most = test_node_render(*state, &doc.document);
    assert_true(test_node_accepts(*state, least));
    assert_true(test_node_accepts(*state, most));
    assert_true(mac_nats_same_but_limits(usual, usual));
    assert_true(mac_nats_same_but_limits(usual, least));
    assert_true(mac_nats_same_but_limits(most, usual));
    doc.jetstream.enabled = true; /* has lines of limits of its own */
    mac_autofree char *streams = test_node_render(*state, &doc.document);
    assert_false(mac_nats_same_but_limits(most, streams));
    assert_false(mac_nats_same_but_limits(streams, most));
    doc.jetstream.max_file = "3G";
    mac_autofree char *larger = test_node_render(*state, &doc.document);
    assert_false(mac_nats_same_but_limits(streams, larger));
    doc.jetstream.enabled = false;
    doc.security.require_credentials = true;
    mac_autofree char *stricter = test_node_render(*state, &doc.document);
    assert_false(mac_nats_same_but_limits(most, stricter));
    assert_false(mac_nats_same_but_limits(usual, ""));
    assert_false(mac_nats_same_but_limits("max_payload: 1\n", "max_pending: 1\n"));
    assert_false(mac_nats_same_but_limits("max_payload: 1\n", "max_payload: 1\nhost: \"a\"\n"));
}

static const mac_nats_procedure *procedure(const mac_nats_procedure *list, size_t count, const char *subject) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].subject, subject) == 0)
            return &list[i];
    fail_msg("no procedure %s", subject);
    return NULL;
}

static void every_procedure_of_the_api_is_listed_with_who_may_call_it(void **state) {
    (void)state;
    mac_nats_procedure *list;
    size_t count = mac_nats_procedures(TEST_REALM, &list);
    assert_false(procedure(list, count, "macula.rpc.io.macula.config")->control);
    assert_false(procedure(list, count, "macula.rpc.io.macula.config.get")->control);
    assert_true(procedure(list, count, "macula.rpc.io.macula.config.drift_fix")->control);
    assert_true(procedure(list, count, "macula.rpc.io.macula.node.reboot")->control);
    assert_true(procedure(list, count, "macula.rpc.io.macula.supervisor.restart")->control);
    assert_true(procedure(list, count, "macula.rpc.io.macula.participant.*.apply")->internal);
    mac_nats_procedures_free(list, count);
}

static void listening_addresses_are_taken_apart(void **state) {
    (void)state;
    char *host = NULL;
    uint16_t port;
    assert_int_equal(mac_nats_listen_split("[fd00::1]:4222", &host, &port), 0);
    assert_string_equal(host, "fd00::1");
    assert_int_equal(port, 4222);
    free(host);
    static const char *const bad[] = {"",      "4222",         ":4222", "a:",    "a:65536",   "a:-1",
                                      "a:0x1", "fd00::1:4222", "[a]:1", "a b:1", "[fd00::1:1"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++)
        if (mac_nats_listen_split(bad[i], &host, &port) == 0)
            fail_msg("\"%s\" accepted", bad[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_node_without_configuration_gets_one_the_server_accepts, fresh, tidy),
        cmocka_unit_test_setup_teardown(everything_switched_on_is_accepted_by_the_server, fresh, tidy),
        cmocka_unit_test_setup_teardown(text_that_could_add_a_line_is_refused, fresh, tidy),
        cmocka_unit_test_setup_teardown(sizes_and_limits_are_checked, fresh, tidy),
        cmocka_unit_test_setup_teardown(a_bus_open_to_the_network_needs_credentials, fresh, tidy),
        cmocka_unit_test_setup_teardown(the_order_of_the_keys_does_not_matter, fresh, tidy),
        cmocka_unit_test_setup_teardown(keys_of_further_admins_must_be_keys_and_their_own, fresh, tidy),
        cmocka_unit_test_setup_teardown(a_cluster_needs_a_secret, fresh, tidy),
        cmocka_unit_test_setup_teardown(a_realm_must_be_usable_in_a_subject, fresh, tidy),
        cmocka_unit_test_setup_teardown(a_restart_is_asked_for_only_where_the_server_cannot_reload, fresh, tidy),
        cmocka_unit_test_setup_teardown(limits_that_the_renderer_lets_through_need_not_be_shown_to_the_server, fresh,
                                        tidy),
        cmocka_unit_test_setup_teardown(every_procedure_of_the_api_is_listed_with_who_may_call_it, fresh, tidy),
        cmocka_unit_test_setup_teardown(listening_addresses_are_taken_apart, fresh, tidy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
