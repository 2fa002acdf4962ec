/* The NATS micro-service protocol and macula.discover. */
#include "test-bus-node.h"

#include <jansson.h>
#include <string.h>

#include "bus/mac-discover.h"
#include "codec/mac-codec.h"
#include "macula/v1/discover.pb-c.h"

#define RPC "macula.rpc." TEST_REALM "."

static int setup(void **state) {
    *state = test_node_echo_new();
    return 0;
}

static int teardown(void **state) {
    test_node_free(*state);
    return 0;
}

static json_t *ask_json(test_node *node, const char *subject) {
    test_answer answer = {0};
    test_ask(node, node->client, subject, "", &answer);
    assert_false(answer.failed);
    json_t *tree = json_loads(answer.body, 0, NULL);
    assert_non_null(tree);
    test_answer_clear(&answer);
    return tree;
}

static const char *text(const json_t *object, const char *key) {
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static void ping_and_info_describe_the_service(void **state) {
    test_node *node = *state;
    mac_autoptr(json_t) ping = ask_json(node, "$SRV.PING");
    assert_string_equal(text(ping, "type"), "io.nats.micro.v1.ping_response");
    assert_string_equal(text(ping, "name"), "echo");
    assert_string_equal(text(ping, "version"), MACULA_VERSION);
    mac_autoptr(json_t) info = ask_json(node, "$SRV.INFO.echo");
    assert_string_equal(text(info, "type"), "io.nats.micro.v1.info_response");
    assert_string_equal(text(info, "description"), "Says it again");
    assert_string_equal(text(info, "id"), text(ping, "id"));
    json_t *endpoints = json_object_get(info, "endpoints"), *endpoint;
    assert_int_equal(json_array_size(endpoints), 8); /* of Echo and EchoControl */
    size_t i;
    bool found = false;
    json_array_foreach (endpoints, i, endpoint) {
        bool control = strcmp(text(endpoint, "name"), "change") == 0;
        found = found || control;
        assert_string_equal(text(json_object_get(endpoint, "metadata"), "control"), control ? "true" : "false");
        assert_string_equal(text(endpoint, "queue_group"), "q");
        assert_int_equal(strncmp(text(endpoint, "subject"), RPC "echo.", strlen(RPC "echo.")), 0);
    }
    assert_true(found);
    mac_autofree char *by_id = mac_asprintf("$SRV.PING.echo.%s", text(ping, "id"));
    mac_autoptr(json_t) again = ask_json(node, by_id);
    assert_true(json_equal(ping, again));
}

static json_t *endpoint_of(json_t *stats, const char *name) {
    size_t i;
    json_t *endpoint;
    json_array_foreach (json_object_get(stats, "endpoints"), i, endpoint)
        if (strcmp(text(endpoint, "name"), name) == 0)
            return endpoint;
    fail_msg("no endpoint %s", name);
    return NULL;
}

static long long number(json_t *object, const char *key) {
    return json_integer_value(json_object_get(object, key));
}

static void stats_count_requests_and_errors_of_the_service(void **state) {
    test_node *node = *state;
    test_answer answer = {0};
    test_ask(node, node->client, RPC "echo.say", "{}", &answer);
    test_ask(node, node->client, RPC "echo.say", "nonsense", &answer);
    test_ask(node, node->client, RPC "echo.refuse", "{}", &answer);
    test_ask(node, node->client, RPC "echo.say_nothing", "{}", &answer);
    test_answer_clear(&answer);
    mac_autoptr(json_t) stats = ask_json(node, "$SRV.STATS.echo");
    assert_string_equal(text(stats, "type"), "io.nats.micro.v1.stats_response");
    assert_int_equal(strlen(text(stats, "started")), strlen("2026-01-01T00:00:00.000Z"));
    json_t *say = endpoint_of(stats, "say"), *refuse = endpoint_of(stats, "refuse"),
           *say_nothing = endpoint_of(stats, "say_nothing");
    assert_int_equal(number(say, "num_requests"), 2);
    assert_true(number(say, "processing_time") > 0);
    /* What a caller did wrong, or that somebody was there before, is an answer. */
    assert_int_equal(number(say, "num_errors"), 0);
    assert_string_equal(text(say, "last_error"), "");
    assert_int_equal(number(refuse, "num_requests"), 1);
    assert_int_equal(number(refuse, "num_errors"), 0);
    assert_int_equal(number(say_nothing, "num_errors"), 1);
    assert_int_equal(strncmp(text(say_nothing, "last_error"), "500:", 4), 0);
}

/* ---- discovery ---- */

static Macula__V1__DiscoverAnswer *discover(test_node *node, const char *pattern) {
    mac_autofree char *subject = mac_asprintf("macula.discover." TEST_REALM "%s%s", *pattern ? "." : "", pattern);
    test_answer answer = {0};
    test_ask(node, node->client, subject, "", &answer);
    if (answer.failed)
        fail_msg("%s: %s", subject, answer.message);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    ProtobufCMessage *found = NULL;
    assert_int_equal(
        mac_codec_from_json(&macula__v1__discover_answer__descriptor, answer.body, answer.length, problems, &found), 0);
    test_answer_clear(&answer);
    return (Macula__V1__DiscoverAnswer *)found;
}

static void discovery_finds_what_matches(void **state) {
    test_node *node = *state;
    assert_int_equal(mac_discover_serve(node->service), 0);
    test_node_flush(node, node->service);
    assert_int_equal(mac_discover_serve(node->service), -EEXIST);
    Macula__V1__DiscoverAnswer *all = discover(node, ">");
    assert_int_equal(all->n_services, 1);
    assert_string_equal(all->services[0]->name, "echo");
    assert_true(all->services[0]->system);
    assert_int_equal(all->services[0]->n_procedures, 8);
    macula__v1__discover_answer__free_unpacked(all, NULL);
    Macula__V1__DiscoverAnswer *one = discover(node, "*.change");
    assert_int_equal(one->n_services, 1);
    assert_int_equal(one->services[0]->n_procedures, 1);
    assert_string_equal(one->services[0]->procedures[0]->subject, RPC "echo.change");
    assert_true(one->services[0]->procedures[0]->control);
    macula__v1__discover_answer__free_unpacked(one, NULL);
    Macula__V1__DiscoverAnswer *bare = discover(node, "");
    assert_int_equal(bare->n_services, 1);
    macula__v1__discover_answer__free_unpacked(bare, NULL);
    Macula__V1__DiscoverAnswer *none = discover(node, "other.*");
    assert_int_equal(none->n_services, 0);
    macula__v1__discover_answer__free_unpacked(none, NULL);
}

/* A workload that answers $SRV.INFO as it likes. */
typedef struct lying_service {
    mac_bus *bus;
    const char *const *answers;
} lying_service;

static void lie(const mac_event *event, void *data) {
    lying_service *liar = data;
    for (size_t i = 0; liar->answers[i]; i++)
        assert_int_equal(mac_bus_publish_raw(liar->bus, event->reply, liar->answers[i], strlen(liar->answers[i]), NULL),
                         0);
}

static void hostile_answers_are_skipped(void **state) {
    test_node *node = *state;
    assert_int_equal(mac_discover_serve(node->service), 0);
    test_node_flush(node, node->service);
    static const char *const answers[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"type\":7}",
        "{\"type\":\"io.nats.micro.v1.info_response\"}",
        "{\"type\":\"io.nats.micro.v1.info_response\",\"name\":\"a\\u0001b\",\"id\":\"1\",\"endpoints\":[{\"name\":"
        "\"x\","
        "\"subject\":\"x\"}]}",
        "{\"type\":\"io.nats.micro.v1.info_response\",\"name\":\"odd\",\"id\":\"2\",\"endpoints\":{\"name\":\"x\"}}",
        "{\"type\":\"io.nats.micro.v1.info_response\",\"name\":\"half\",\"id\":\"3\",\"endpoints\":[1,{},{\"name\":"
        "\"x\"},"
        "{\"name\":\"good\",\"subject\":\"half.good\"}]}",
        NULL};
    lying_service liar = {.bus = node->client, .answers = answers};
    assert_int_equal(mac_bus_subscribe(node->client, "$SRV.INFO", lie, &liar, NULL), 0);
    test_node_flush(node, node->client);
    Macula__V1__DiscoverAnswer *found = discover(node, ">");
    assert_int_equal(found->n_services, 2);
    assert_string_equal(found->services[1]->name, "half");
    assert_int_equal(found->services[1]->n_procedures, 1);
    assert_string_equal(found->services[1]->procedures[0]->name, "good");
    macula__v1__discover_answer__free_unpacked(found, NULL);
}

static void a_bus_that_closes_during_a_discovery_leaves_nothing_behind(void **state) {
    test_node *node = *state;
    assert_int_equal(mac_discover_serve(node->service), 0);
    test_node_flush(node, node->service);
    test_answer answer = {0};
    mac_bus_request(node->client, "macula.discover." TEST_REALM ".>", "", 0, false, false, 5000, test_on_answer,
                    &answer);
    test_node_flush(node, node->client);
    test_node_close(node, &node->service);
    test_node_until(node, &answer.done);
    test_answer_clear(&answer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ping_and_info_describe_the_service, setup, teardown),
        cmocka_unit_test_setup_teardown(stats_count_requests_and_errors_of_the_service, setup, teardown),
        cmocka_unit_test_setup_teardown(discovery_finds_what_matches, setup, teardown),
        cmocka_unit_test_setup_teardown(hostile_answers_are_skipped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bus_that_closes_during_a_discovery_leaves_nothing_behind, setup, teardown),
    };
    return cmocka_run_group_tests_name("the micro-service protocol", tests, NULL, NULL);
}
