/* Bounds: too many calls, floods, handlers that never answer. */
#include "test-bus-node.h"

#include <stdio.h>
#include <string.h>

#define RPC "macula.rpc." TEST_REALM "."

static int setup(void **state) {
    *state = test_node_echo_new();
    return 0;
}

static int teardown(void **state) {
    test_node_free(*state);
    return 0;
}

typedef struct outcomes {
    unsigned done, good, exhausted, other;
} outcomes;

static void on_answer(const mac_answer *answer, void *data) {
    outcomes *tally = data;
    tally->done++;
    if (!answer->error)
        tally->good++;
    else if (answer->error->code == MACULA__V1__ERROR_CODE__EXHAUSTED)
        tally->exhausted++;
    else
        tally->other++;
}

static void a_thousand_calls_at_once_are_answered_or_refused_each_exactly_once(void **state) {
    test_node *node = *state;
    outcomes tally = {0};
    for (unsigned i = 0; i < 1000; i++)
        mac_bus_request(node->client, RPC "echo.say", "{}", 2, false, false, 10000, on_answer, &tally);
    test_node_until_count(node, &tally.done, 1000);
    assert_int_equal(tally.good, MAC_BUS_PENDING_MAX);
    assert_int_equal(tally.exhausted, 1000 - MAC_BUS_PENDING_MAX);
    /* The slots are free again. */
    tally = (outcomes){0};
    for (unsigned i = 0; i < MAC_BUS_PENDING_MAX; i++)
        mac_bus_request(node->client, RPC "echo.say", "{}", 2, false, false, 10000, on_answer, &tally);
    test_node_until_count(node, &tally.done, MAC_BUS_PENDING_MAX);
    assert_int_equal(tally.good, MAC_BUS_PENDING_MAX);
}

static void handlers_that_never_answer_fill_the_bound_and_the_rest_is_told(void **state) {
    test_node *node = *state;
    mac_bus *second = test_node_bus(node, "second", NULL, NULL);
    test_node_until_connected(node, second);
    outcomes first = {0}, more = {0};
    for (unsigned i = 0; i < MAC_BUS_INFLIGHT_MAX; i++)
        mac_bus_request(node->client, RPC "echo.say_later", "{}", 2, false, false, 60000, on_answer, &first);
    while (test_held_count < MAC_BUS_INFLIGHT_MAX)
        uv_run(&node->loop, UV_RUN_ONCE);
    for (unsigned i = 0; i < 10; i++)
        mac_bus_request(second, RPC "echo.say_later", "{}", 2, false, false, 60000, on_answer, &more);
    test_node_until_count(node, &more.done, 10);
    assert_int_equal(more.exhausted, 10);
    assert_int_equal(first.done, 0);
    test_answer_held();
    test_node_until_count(node, &first.done, MAC_BUS_INFLIGHT_MAX);
    assert_int_equal(first.good, MAC_BUS_INFLIGHT_MAX);
    test_node_close(node, &second);
}

typedef struct flood_gauge {
    unsigned seen;
    bool disordered;
} flood_gauge;

static void on_flood(const mac_event *event, void *data) {
    flood_gauge *gauge = data;
    if (strtoul(event->data, NULL, 10) != gauge->seen)
        gauge->disordered = true;
    gauge->seen++;
}

#define FLOOD 5000

static void on_flooder_state(mac_bus *bus, mac_bus_state state, const mac_error *error, void *data) {
    (void)bus;
    (void)error;
    *(bool *)data = state == MAC_BUS_CONNECTED;
}

/* Sends from a loop of its own and returns when the server has it all: the service has not had a turn meanwhile. */
static void flood_and_ask(test_node *node) {
    uv_loop_t loop;
    bool connected = false;
    uv_loop_init(&loop);
    mac_bus *bus = mac_bus_new(&(mac_bus_options){.loop = &loop,
                                                  .url = test_server_url(node->server),
                                                  .name = "flooder",
                                                  .realm = TEST_REALM,
                                                  .on_state = on_flooder_state,
                                                  .data = &connected});
    mac_bus_start(bus);
    while (!connected)
        uv_run(&loop, UV_RUN_ONCE);
    for (unsigned i = 0; i < FLOOD; i++) {
        char number[16];
        int length = snprintf(number, sizeof number, "%u", i);
        assert_int_equal(mac_bus_publish_raw(bus, "flood", number, (size_t)length, NULL), 0);
    }
    test_answer asked = {0};
    mac_bus_request(bus, RPC "echo.say_later", "{}", 2, false, false, 10000, test_on_answer, &asked);
    mac_bus_close(bus, NULL, NULL); /* waits for a flush */
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    test_answer_clear(&asked);
}

/* Thousands of messages wait on one subscription; a request that comes behind them is handled long before they are
 * through. */
static void a_flood_on_one_subscription_does_not_starve_the_others(void **state) {
    test_node *node = *state;
    static flood_gauge flood;
    assert_int_equal(mac_bus_subscribe(node->service, "flood", on_flood, &flood, NULL), 0);
    test_node_flush(node, node->service);
    flood_and_ask(node);
    while (test_held_count == 0)
        uv_run(&node->loop, UV_RUN_ONCE);
    assert_true(flood.seen < FLOOD);
    test_node_until_count(node, &flood.seen, FLOOD); /* and none of them is lost, or comes before an earlier one */
    assert_false(flood.disordered);
    test_answer_held();
}

static void more_than_the_queue_holds_is_dropped_and_the_bus_lives(void **state) {
    test_node *node = *state;
    static flood_gauge flood; /* messages still come when the test ends */
    assert_int_equal(mac_bus_subscribe(node->service, "flood", on_flood, &flood, NULL), 0);
    test_answer answer = {0};
    mac_bus_flush(node->service, test_on_answer, &answer);
    test_node_until(node, &answer.done);
    for (unsigned i = 0; i < 100000; i++) {
        assert_int_equal(mac_bus_publish_raw(node->client, "flood", "0123456789", 10, NULL), 0);
        if (i % 5000 == 0)
            uv_run(&node->loop, UV_RUN_NOWAIT);
    }
    test_ask(node, node->client, RPC "echo.say", "{\"text\":\"alive\"}", &answer);
    assert_string_equal(answer.body, "{\"text\":\"alive\"}");
    assert_true(flood.seen > 0);
    test_answer_clear(&answer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_thousand_calls_at_once_are_answered_or_refused_each_exactly_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(handlers_that_never_answer_fill_the_bound_and_the_rest_is_told, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_flood_on_one_subscription_does_not_starve_the_others, setup, teardown),
        cmocka_unit_test_setup_teardown(more_than_the_queue_holds_is_dropped_and_the_bus_lives, setup, teardown),
    };
    return cmocka_run_group_tests_name("bounds of the bus", tests, NULL, NULL);
}
