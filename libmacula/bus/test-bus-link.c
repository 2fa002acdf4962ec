/* Connections: made, refused, lost, made again. */
#include "test-bus-node.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bus/mac-discover.h"
#include "codec/mac-codec.h"
#include "crypto/mac-crypto.h"
#include "macula/v1/discover.pb-c.h"

#define RPC "macula.rpc." TEST_REALM "."

static void a_killed_server_is_found_again_and_everything_is_served_as_before(void **state) {
    (void)state;
    test_node *node = test_node_new(NULL);
    test_states service = {0}, client = {0};
    node->service = test_node_bus(node, "echod", NULL, &service);
    node->client = test_node_bus(node, "client", NULL, &client);
    test_node_echo(node);
    test_node_until_count(node, &service.connected, 1);
    test_node_until_count(node, &client.connected, 1);
    for (unsigned round = 1; round <= 3; round++) {
        test_answer waiting = {0}, after = {0};
        mac_bus_request(node->client, RPC "echo.say_later", "", 0, false, false, 60000, test_on_answer, &waiting);
        while (test_held_count < 1)
            uv_run(&node->loop, UV_RUN_ONCE);
        test_server_kill(node->server);
        test_node_until(node, &waiting.done);
        assert_int_equal(waiting.code, MACULA__V1__ERROR_CODE__UNAVAILABLE);
        assert_non_null(strstr(waiting.message, "was lost"));
        /* While it is away, a call fails at once. */
        test_ask(node, node->client, RPC "echo.say", "{}", &after);
        assert_int_equal(after.code, MACULA__V1__ERROR_CODE__UNAVAILABLE);
        test_answer_held(); /* goes nowhere */
        test_server_again(node->server);
        test_node_until_count(node, &service.connected, round + 1);
        test_node_until_count(node, &client.connected, round + 1);
        test_ask(node, node->client, RPC "echo.say", "{\"text\":\"again\"}", &after);
        assert_string_equal(after.body, "{\"text\":\"again\"}");
        test_answer_clear(&waiting);
        test_answer_clear(&after);
    }
    assert_true(service.lost >= 3);
    test_node_free(node);
}

static void a_bus_waits_for_a_server_that_comes_later(void **state) {
    (void)state;
    test_node *node = test_node_new(NULL);
    test_server_kill(node->server);
    test_states states = {0};
    node->client = test_node_bus(node, "client", NULL, &states);
    test_node_until_count(node, &states.lost, 3);
    assert_int_equal(states.last_error, MACULA__V1__ERROR_CODE__UNAVAILABLE);
    assert_non_null(strstr(states.text, "no server at nats://127.0.0.1"));
    assert_non_null(strstr(states.text, "is the node running?"));
    test_server_again(node->server);
    test_node_until_count(node, &states.connected, 1);
    test_node_free(node);
}

static void a_program_that_tries_once_gives_up_at_once(void **state) {
    (void)state;
    test_node *node = test_node_new(NULL);
    test_server_kill(node->server);
    test_states states = {0};
    mac_bus *bus = mac_bus_new(&(mac_bus_options){.loop = &node->loop,
                                                  .url = test_server_url(node->server),
                                                  .name = "cli",
                                                  .realm = TEST_REALM,
                                                  .once = true,
                                                  .on_state = test_on_state,
                                                  .data = &states});
    mac_bus_start(bus);
    test_node_until_count(node, &states.closed, 1);
    assert_int_equal(states.last_error, MACULA__V1__ERROR_CODE__UNAVAILABLE);
    assert_int_equal(states.lost, 0);
    test_node_close(node, &bus);
    assert_int_equal(states.closed, 1);
    test_node_free(node);
}

static void a_bus_that_was_never_started_can_be_closed(void **state) {
    (void)state;
    test_node *node = test_node_new(NULL);
    mac_bus *bus = mac_bus_new(
        &(mac_bus_options){.loop = &node->loop, .url = "nats://127.0.0.1:1", .name = "x", .realm = TEST_REALM});
    test_node_close(node, &bus);
    test_node_free(node);
}

/* ---- keys and permissions ---- */

typedef struct key_pairs {
    char service[MAC_NKEY_SEED_SIZE], service_public[MAC_NKEY_PUBLIC_SIZE];
    char admin[MAC_NKEY_SEED_SIZE], admin_public[MAC_NKEY_PUBLIC_SIZE];
} key_pairs;

/* As libmacula/nats renders it, in short: a service, an admin, and a workload without credentials. */
static test_node *node_with_accounts(key_pairs *ret_keys) {
    mac_nkey_new(ret_keys->service, ret_keys->service_public);
    mac_nkey_new(ret_keys->admin, ret_keys->admin_public);
    mac_autofree char *config = mac_asprintf(
        "no_auth_user: app\n"
        "accounts {\n"
        "  NODE {\n"
        "    users: [\n"
        "      {nkey: %s, permissions: {subscribe: [\"macula.rpc.io.test.echo\", \"macula.rpc.io.test.echo.>\",\n"
        "         \"macula.denied.io.test.echo.>\", \"$SRV.>\", \"_SVC.echod.>\"],\n"
        "         publish: [\"macula.*.io.test.echo.audit\", \"_INBOX.>\", \"_R_.>\", \"_SVC.>\"]}}\n"
        "      {nkey: %s}\n"
        "    ]\n"
        "    exports: [\n"
        "      {service: \"macula.rpc.io.test.echo\"}, {service: \"macula.rpc.io.test.echo.say\"}\n"
        "      {service: \"macula.discover.io.test.>\"}, {service: \"macula.denied.io.test.>\"}, {service: \"$SRV.>\", "
        "response_type: stream}\n"
        "    ]\n"
        "    imports: [{service: {account: APP, subject: \"app.srv.>\"}}]\n"
        "  }\n"
        "  APP {\n"
        "    mappings: {\"app.srv.>\": \"$SRV.>\"}\n"
        "    users: [{user: app, password: app, permissions: {\n"
        "      publish: {allow: \">\", deny: [\"_SVC.>\", \"macula.sub.>\"]}, subscribe: {allow: \">\", deny: "
        "\"_SVC.>\"}}}]\n"
        "    exports: [{service: \"app.srv.>\", response_type: stream}]\n"
        "    imports: [\n"
        "      {service: {account: NODE, subject: \"macula.rpc.io.test.echo\"}, share: true}\n"
        "      {service: {account: NODE, subject: \"macula.rpc.io.test.echo.say\"}, share: true}\n"
        "      {service: {account: NODE, subject: \"macula.denied.io.test.echo.change\"}, to: "
        "\"macula.rpc.io.test.echo.change\", "
        "share: true}\n"
        "      {service: {account: NODE, subject: \"macula.discover.io.test.>\"}, share: true}\n"
        "      {service: {account: NODE, subject: \"$SRV.>\"}}\n"
        "    ]\n"
        "  }\n"
        "}\n",
        ret_keys->service_public, ret_keys->admin_public);
    test_node *node = test_node_new(config);
    node->service = test_node_bus(node, "echod", ret_keys->service, NULL);
    test_node_echo(node);
    test_node_until_connected(node, node->service);
    return node;
}

static void a_key_opens_what_it_may_and_a_stranger_is_denied(void **state) {
    (void)state;
    key_pairs keys;
    test_node *node = node_with_accounts(&keys);
    node->client = test_node_bus(node, "admin", keys.admin, NULL);
    test_node_until_connected(node, node->client);
    test_answer answer = {0};
    test_ask(node, node->client, RPC "echo.change", "{\"text\":\"it\"}", &answer);
    assert_string_equal(answer.body, "{\"text\":\"it by admin\"}");
    test_answer_clear(&answer);

    char stranger[MAC_NKEY_SEED_SIZE], stranger_public[MAC_NKEY_PUBLIC_SIZE];
    mac_nkey_new(stranger, stranger_public);
    test_states states = {0};
    mac_bus *bus = test_node_bus(node, "stranger", stranger, &states);
    test_node_until_count(node, &states.lost, 2); /* it goes on trying: the key may be added */
    assert_int_equal(states.last_error, MACULA__V1__ERROR_CODE__DENIED);
    assert_non_null(strstr(states.text, "does not know this key"));
    test_node_close(node, &bus);
    test_node_free(node);
}

/* It sends no nonce, so that there is nothing to sign. */
static void a_server_that_knows_no_keys_takes_any(void **state) {
    (void)state;
    char seed[MAC_NKEY_SEED_SIZE], public_key[MAC_NKEY_PUBLIC_SIZE];
    mac_nkey_new(seed, public_key);
    test_node *node = test_node_new(NULL);
    node->client = test_node_bus(node, "client", seed, NULL);
    test_node_until_connected(node, node->client);
    test_node_free(node);
}

static void a_workload_reads_and_is_denied_to_change(void **state) {
    (void)state;
    key_pairs keys;
    test_node *node = node_with_accounts(&keys);
    node->client = test_node_bus(node, "cli", NULL, NULL);
    test_node_until_connected(node, node->client);
    test_answer answer = {0};
    test_ask(node, node->client, RPC "echo.say", "{\"text\":\"hello\"}", &answer);
    assert_string_equal(answer.body, "{\"text\":\"hello\"}");
    test_ask(node, node->client, RPC "echo", "", &answer);
    assert_string_equal(answer.body, "{\"text\":\"well\"}");
    test_ask(node, node->client, RPC "echo.change", "{}", &answer);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__DENIED);
    assert_non_null(strstr(answer.message, "needs the admin key"));
    test_answer_clear(&answer);
    test_node_free(node);
}

static void a_refused_publication_ends_its_call_at_once(void **state) {
    (void)state;
    key_pairs keys;
    test_node *node = node_with_accounts(&keys);
    test_answer answer = {0}, other = {0};
    /* The service may call nothing. */
    mac_bus_request(node->service, RPC "other.thing", "", 0, false, false, 60000, test_on_answer, &answer);
    mac_bus_flush(node->service, test_on_answer, &other);
    test_node_until(node, &answer.done);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__DENIED);
    assert_non_null(strstr(answer.message, "other.thing"));
    test_node_until(node, &other.done);
    assert_false(other.failed);
    test_answer_clear(&answer);
    test_answer_clear(&other);
    test_node_free(node);
}

static void on_forecast(Macula__Test__Echo_Service *service, const Macula__Test__Text *input,
                        Macula__Test__Text_Closure closure, void *data) {
    (void)service;
    closure(input, data);
}

/* The node's services and the workloads' are in two accounts; a workload sees both, and cannot pass for the node's own.
 */
static void discovery_tells_the_nodes_services_from_the_workloads(void **state) {
    (void)state;
    key_pairs keys;
    test_node *node = node_with_accounts(&keys);
    mac_bus *admin = test_node_bus(node, "confd", keys.admin, NULL);
    test_node_until_connected(node, admin);
    assert_int_equal(mac_discover_serve(admin), 0);
    test_node_flush(node, admin);
    node->client = test_node_bus(node, "weather-station", NULL, NULL);
    Macula__Test__Echo_Service weather = {.base = {.descriptor = &macula__test__echo__descriptor}, .say = on_forecast};
    assert_int_equal(mac_bus_serve(node->client, &weather.base, "weather", "Tells the weather"), 0);
    /* Left out: by its name, and by its subjects (its name has none of the dots that the subject has). */
    Macula__Test__Echo_Service liars[] = {weather, weather};
    assert_int_equal(mac_bus_serve(node->client, &liars[0].base, "config", "Pretends to be the node's"), 0);
    assert_int_equal(mac_bus_serve(node->client, &liars[1].base, "participant.netd", "As well"), 0);
    test_node_until_connected(node, node->client);
    test_answer answer = {0};
    test_ask(node, node->client, "macula.discover." TEST_REALM ".>", "", &answer);
    assert_false(answer.failed);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    ProtobufCMessage *message = NULL;
    assert_int_equal(
        mac_codec_from_json(&macula__v1__discover_answer__descriptor, answer.body, answer.length, problems, &message),
        0);
    const Macula__V1__DiscoverAnswer *found = (const Macula__V1__DiscoverAnswer *)message;
    assert_int_equal(found->n_services, 2);
    assert_string_equal(found->services[0]->name, "echo");
    assert_true(found->services[0]->system);
    assert_string_equal(found->services[1]->name, "weather");
    assert_false(found->services[1]->system);
    assert_true(found->services[1]->n_procedures > 1);
    protobuf_c_message_free_unpacked(message, NULL);
    test_answer_clear(&answer);
    test_node_close(node, &admin);
    test_node_free(node);
}

typedef struct violation {
    bool seen;
    char subject[128];
} violation;

static void on_violation(mac_bus *bus, const char *subject, const char *message, void *data) {
    (void)bus;
    violation *told = data;
    told->seen = true;
    snprintf(told->subject, sizeof told->subject, "%s", subject);
    assert_non_null(strstr(message, "ermissions"));
}

static void on_event(const mac_event *event, void *data) {
    (void)event;
    (void)data;
}

static void a_refused_subscription_or_event_is_told(void **state) {
    (void)state;
    key_pairs keys;
    test_node *node = node_with_accounts(&keys);
    violation told = {0};
    mac_bus_on_violation(node->service, on_violation, &told);
    assert_int_equal(mac_bus_subscribe(node->service, "secrets.>", on_event, NULL, NULL), 0);
    test_node_until(node, &told.seen);
    assert_string_equal(told.subject, "secrets.>");
    told.seen = false;
    assert_int_equal(mac_bus_publish_raw(node->service, "somewhere.else", "x", 1, NULL), 0);
    test_node_until(node, &told.seen);
    assert_string_equal(told.subject, "somewhere.else");
    test_node_free(node);
}

static void a_key_whose_holder_may_not_use_the_services_inbox_takes_the_plain_one(void **state) {
    (void)state;
    char seed[MAC_NKEY_SEED_SIZE], public_key[MAC_NKEY_PUBLIC_SIZE];
    mac_nkey_new(seed, public_key);
    mac_autofree char *config = mac_asprintf(
        "authorization {users: [{nkey: %s, permissions: {subscribe: \"_INBOX.>\", publish: \">\"}}]}\n", public_key);
    test_node *node = test_node_new(config);
    node->client = test_node_bus(node, "workload", seed, NULL);
    test_node_until_connected(node, node->client);
    test_answer answer = {0};
    test_ask(node, node->client, "nobody.home", "", &answer);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__UNAVAILABLE);
    test_answer_clear(&answer);
    test_node_free(node);
}

static void a_key_without_any_inbox_is_told_so(void **state) {
    (void)state;
    char seed[MAC_NKEY_SEED_SIZE], public_key[MAC_NKEY_PUBLIC_SIZE];
    mac_nkey_new(seed, public_key);
    mac_autofree char *config = mac_asprintf(
        "authorization {users: [{nkey: %s, permissions: {subscribe: \"x\", publish: \">\"}}]}\n", public_key);
    test_node *node = test_node_new(config);
    test_states states = {0};
    node->client = test_node_bus(node, "workload", seed, &states);
    test_node_until_count(node, &states.lost, 1);
    assert_int_equal(states.last_error, MACULA__V1__ERROR_CODE__DENIED);
    assert_non_null(strstr(states.text, "inbox"));
    test_node_free(node);
}

static void a_frozen_server_does_not_freeze_the_end_of_the_bus(void **state) {
    (void)state;
    test_node *node = test_node_echo_new();
    kill(test_server_pid(node->server), SIGSTOP);
    test_answer answer = {0};
    mac_bus_request(node->client, RPC "echo.say", "{}", 2, false, false, 60000, test_on_answer, &answer);
    test_node_close(node, &node->client);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__CANCELLED);
    test_node_close(node, &node->service);
    kill(test_server_pid(node->server), SIGCONT);
    test_answer_clear(&answer);
    test_node_free(node);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_server_is_found_again_and_everything_is_served_as_before),
        cmocka_unit_test(a_bus_waits_for_a_server_that_comes_later),
        cmocka_unit_test(a_program_that_tries_once_gives_up_at_once),
        cmocka_unit_test(a_bus_that_was_never_started_can_be_closed),
        cmocka_unit_test(a_key_opens_what_it_may_and_a_stranger_is_denied),
        cmocka_unit_test(a_server_that_knows_no_keys_takes_any),
        cmocka_unit_test(a_workload_reads_and_is_denied_to_change),
        cmocka_unit_test(discovery_tells_the_nodes_services_from_the_workloads),
        cmocka_unit_test(a_refused_publication_ends_its_call_at_once),
        cmocka_unit_test(a_refused_subscription_or_event_is_told),
        cmocka_unit_test(a_key_whose_holder_may_not_use_the_services_inbox_takes_the_plain_one),
        cmocka_unit_test(a_key_without_any_inbox_is_told_so),
        cmocka_unit_test(a_frozen_server_does_not_freeze_the_end_of_the_bus),
    };
    return cmocka_run_group_tests_name("connections", tests, NULL, NULL);
}
