/* Standing in for a service that does not run. */
#include "test-bus-node.h"

#include <string.h>

#define RPC "macula.rpc." TEST_REALM "."
#define DENIED "macula.denied." TEST_REALM "."

static int setup(void **state) {
    *state = test_node_echo_new();
    return 0;
}

static int teardown(void **state) {
    test_node_free(*state);
    return 0;
}

typedef struct reply {
    bool last;
    bool unserved;
    unsigned count;
    Macula__V1__ErrorCode code;
} reply;

static void on_reply(const mac_answer *answer, void *data) {
    reply *got = data;
    got->count++;
    got->last = answer->last;
    got->unserved = answer->unserved;
    got->code = answer->error ? answer->error->code : MACULA__V1__ERROR_CODE__OK;
}

static reply asked(test_node *node, const char *subject) {
    reply got = {0};
    mac_bus_request(node->client, subject, "{}", 2, false, false, 0, on_reply, &got);
    test_node_until(node, &got.last);
    return got;
}

static unsigned audits;

static void on_audit(const mac_event *event, void *data) {
    (void)event;
    (void)data;
    audits++;
}

/* The server itself says nothing here: somebody listens. */
static void whoever_calls_hears_that_nobody_serves_it(void **state) {
    test_node *node = *state;
    mac_bus *other = test_node_bus(node, "other", NULL, NULL);
    test_node_until_connected(node, other);
    mac_bus_stand_in(other, "absent");
    mac_bus_stand_in(other, "absent");
    test_node_flush(node, other);
    static const char *const subjects[] = {RPC "absent", RPC "absent.read", RPC "absent.change"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(subjects); i++) {
        reply got = asked(node, subjects[i]);
        assert_int_equal(got.code, MACULA__V1__ERROR_CODE__UNAVAILABLE);
        assert_true(got.unserved);
        assert_int_equal(got.count, 1);
    }
    test_node_close(node, &other);
}

static void whoever_may_not_call_it_hears_that(void **state) {
    test_node *node = *state;
    mac_bus *other = test_node_bus(node, "other", NULL, NULL);
    mac_bus_stand_in(other, "absent"); /* before it is connected */
    test_node_until_connected(node, other);
    audits = 0;
    assert_int_equal(mac_bus_subscribe(node->client, "macula.sub." TEST_REALM ".absent.audit", on_audit, NULL, NULL),
                     0);
    test_node_flush(node, node->client);
    assert_int_equal(asked(node, DENIED "absent.change").code, MACULA__V1__ERROR_CODE__DENIED);
    test_node_until_count(node, &audits, 1);
    test_node_close(node, &other);
}

static void a_service_that_is_back_answers_alone(void **state) {
    test_node *node = *state;
    mac_bus *other = test_node_bus(node, "other", NULL, NULL);
    test_node_until_connected(node, other);
    mac_bus_stand_in(other, "echo");
    test_node_flush(node, other);
    for (unsigned i = 0; i < 20; i++) /* either, and one of them alone */
        assert_int_equal(asked(node, RPC "echo.say").count, 1);
    mac_bus_stand_down(other, "echo");
    mac_bus_stand_down(other, "echo");
    test_node_flush(node, other);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(asked(node, RPC "echo.say").code, MACULA__V1__ERROR_CODE__OK);
    test_node_close(node, &other);
}

/* A request that the server has given to who stands in while he ends it has no other taker. */
static void a_request_under_way_is_not_lost_when_it_ends(void **state) {
    test_node *node = *state;
    mac_bus *other = test_node_bus(node, "other", NULL, NULL);
    test_node_until_connected(node, other);
    for (unsigned i = 0; i < 200; i++) {
        mac_bus_stand_in(other, "absent");
        test_node_flush(node, other);
        reply got = {0};
        mac_bus_request(node->client, RPC "absent.read", "{}", 2, false, false, 0, on_reply, &got);
        mac_bus_stand_down(other, "absent");
        test_node_until(node, &got.last);
        assert_int_equal(got.code, MACULA__V1__ERROR_CODE__UNAVAILABLE);
        assert_true(got.unserved);
    }
    test_node_close(node, &other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whoever_calls_hears_that_nobody_serves_it, setup, teardown),
        cmocka_unit_test_setup_teardown(whoever_may_not_call_it_hears_that, setup, teardown),
        cmocka_unit_test_setup_teardown(a_service_that_is_back_answers_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_under_way_is_not_lost_when_it_ends, setup, teardown),
    };
    return cmocka_run_group_tests_name("standing in", tests, NULL, NULL);
}
