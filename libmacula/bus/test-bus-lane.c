/* Requests of workloads wait for the node's own, and each sender's for its turn. */
#include "test-bus-node.h"

#include <string.h>

#include "bus-internal.h"
#include "crypto/mac-crypto.h"

#define RPC "macula.rpc." TEST_REALM "."

typedef struct two_accounts {
    test_node *node;
    char service[MAC_NKEY_SEED_SIZE], admin[MAC_NKEY_SEED_SIZE];
} two_accounts;

static int setup(void **state) {
    static two_accounts accounts;
    char service_public[MAC_NKEY_PUBLIC_SIZE], admin_public[MAC_NKEY_PUBLIC_SIZE];
    mac_nkey_new(accounts.service, service_public);
    mac_nkey_new(accounts.admin, admin_public);
    mac_autofree char *config = mac_asprintf(
        "no_auth_user: app\n"
        "accounts {\n"
        "  NODE { users: [{nkey: %s}, {nkey: %s}], exports: [{service: \"macula.rpc.io.test.echo.>\"}] }\n"
        "  APP { users: [{user: app, password: app}],\n"
        "        imports: [{service: {account: NODE, subject: \"macula.rpc.io.test.echo.>\"}, share: true}] }\n"
        "}\n",
        service_public, admin_public);
    accounts.node = test_node_new(config);
    accounts.node->service = test_node_bus(accounts.node, "echod", accounts.service, NULL);
    test_node_echo(accounts.node);
    test_node_until_connected(accounts.node, accounts.node->service);
    *state = &accounts;
    return 0;
}

static int teardown(void **state) {
    two_accounts *accounts = *state;
    test_answer_held();
    test_node_free(accounts->node);
    return 0;
}

static mac_bus *client(two_accounts *accounts, const char *name, const char *seed) {
    mac_bus *bus = test_node_bus(accounts->node, name, seed, NULL);
    test_node_until_connected(accounts->node, bus);
    return bus;
}

typedef struct outcomes {
    unsigned done, good, exhausted;
} outcomes;

static void on_answer(const mac_answer *answer, void *data) {
    outcomes *tally = data;
    tally->done++;
    tally->good += !answer->error;
    tally->exhausted += answer->error && answer->error->code == MACULA__V1__ERROR_CODE__EXHAUSTED;
}

static void ask_later(mac_bus *bus, const char *json, unsigned times, outcomes *tally) {
    for (unsigned i = 0; i < times; i++)
        mac_bus_request(bus, RPC "echo.say_later", json, strlen(json), false, false, 60000, on_answer, tally);
}

static void until_held(two_accounts *accounts, size_t count) {
    while (test_held_count < count)
        uv_run(&accounts->node->loop, UV_RUN_ONCE);
}

/* Where among the held requests the first one with this text is. */
static size_t place_of(const char *text) {
    for (size_t i = 0; i < test_held_count; i++) {
        const Macula__Test__Text *input = (const Macula__Test__Text *)mac_request_input(test_held[i]);
        if (input->text && strcmp(input->text, text) == 0)
            return i;
    }
    fail_msg("no request “%s” is held", text);
    return 0;
}

static void slow_procedures_stay_available_to_the_node(void **state) {
    two_accounts *accounts = *state;
    mac_bus *workload = client(accounts, "workload", NULL), *admin = client(accounts, "admin", accounts->admin);
    outcomes theirs = {0}, own = {0};
    ask_later(workload, "{\"text\":\"work\"}", MAC_BUS_PENDING_MAX, &theirs);
    until_held(accounts, BUS_WORKLOADS_MAX);
    ask_later(admin, "{\"text\":\"own\"}", MAC_BUS_INFLIGHT_MAX - BUS_WORKLOADS_MAX, &own);
    until_held(accounts, MAC_BUS_INFLIGHT_MAX);
    assert_int_equal(place_of("own"), BUS_WORKLOADS_MAX); /* the workload's others wait still */
    assert_int_equal(own.done + theirs.done, 0);
    test_answer_held();
    until_held(accounts, MAC_BUS_PENDING_MAX - BUS_WORKLOADS_MAX);
    test_answer_held();
    test_node_until_count(accounts->node, &theirs.done, MAC_BUS_PENDING_MAX);
    test_node_until_count(accounts->node, &own.done, MAC_BUS_INFLIGHT_MAX - BUS_WORKLOADS_MAX);
    assert_int_equal(theirs.good, MAC_BUS_PENDING_MAX);
    assert_int_equal(own.good, MAC_BUS_INFLIGHT_MAX - BUS_WORKLOADS_MAX);
    test_node_close(accounts->node, &workload);
    test_node_close(accounts->node, &admin);
}

#define GREEDY (MAC_BUS_PENDING_MAX - 1) /* a flush takes one */

static void each_workload_has_its_turn(void **state) {
    two_accounts *accounts = *state;
    mac_bus *greedy = client(accounts, "greedy", NULL), *modest = client(accounts, "modest", NULL);
    outcomes many = {0}, one = {0};
    ask_later(greedy, "{\"text\":\"greedy\"}", GREEDY, &many);
    until_held(accounts, BUS_WORKLOADS_MAX);
    test_node_flush(accounts->node, greedy); /* all of them have come before … */
    ask_later(modest, "{\"text\":\"modest\"}", 1, &one);
    test_node_flush(accounts->node, modest);
    test_node_flush(accounts->node, accounts->node->service); /* … and it waits behind them */
    test_answer_held();
    until_held(accounts, GREEDY - BUS_WORKLOADS_MAX + 1);
    assert_true(place_of("modest") < 2);
    test_answer_held();
    test_node_until_count(accounts->node, &many.done, GREEDY);
    test_node_until_count(accounts->node, &one.done, 1);
    assert_int_equal(one.good, 1);
    assert_int_equal(many.good, GREEDY);
    test_node_close(accounts->node, &greedy);
    test_node_close(accounts->node, &modest);
}

#define DEAR 8
static uint64_t dear_turns[DEAR];

/* Works for longer than a turn may take. */
static void work_long(mac_request *request) {
    if (test_held_count <= DEAR)
        dear_turns[test_held_count - 1] = request->bus->turn;
    for (uint64_t ends = mac_now_ms() + 30; mac_now_ms() < ends;)
        ;
}

/* The watchdog and the node's own requests have theirs between two of them. */
static void a_turn_of_the_loop_ends_with_a_request_that_took_long(void **state) {
    two_accounts *accounts = *state;
    mac_bus *workload = client(accounts, "workload", NULL);
    outcomes theirs = {0};
    test_on_held = work_long;
    ask_later(workload, "{}", DEAR, &theirs);
    until_held(accounts, DEAR);
    test_on_held = NULL;
    for (size_t i = 1; i < DEAR; i++)
        if (dear_turns[i] == dear_turns[i - 1])
            fail_msg("requests %zu and %zu were handled in one turn", i - 1, i);
    test_answer_held();
    test_node_until_count(accounts->node, &theirs.done, DEAR);
    assert_int_equal(theirs.good, DEAR);
    test_node_close(accounts->node, &workload);
}

static void on_refusal(const mac_event *event, void *count) {
    *(unsigned *)count += memmem(event->data, event->length, "EXHAUSTED", strlen("EXHAUSTED")) != NULL;
}

#define FLOOD 12000 /* more than one sender may have waiting */

static void who_asks_for_too_much_is_refused_and_the_others_are_served(void **state) {
    two_accounts *accounts = *state;
    mac_bus *greedy = client(accounts, "greedy", NULL), *modest = client(accounts, "modest", NULL);
    mac_bus *admin = client(accounts, "admin", accounts->admin);
    unsigned refused = 0;
    assert_int_equal(mac_bus_subscribe(greedy, "_INBOX.flood", on_refusal, &refused, NULL), 0);
    test_node_flush(accounts->node, greedy);
    for (unsigned i = 0; i < FLOOD; i++)
        assert_int_equal(bus_send(greedy, RPC "echo.say_later", "_INBOX.flood", "{}", 2, NULL, 0), 0);
    test_node_until_count(accounts->node, &refused, 1);
    test_answer answer = {0};
    test_ask(accounts->node, admin, RPC "echo.say", "{\"text\":\"now\"}", &answer);
    assert_string_equal(answer.body, "{\"text\":\"now\"}");
    assert_true(bus_lanes_wait(accounts->node->service));
    outcomes one = {0};
    mac_bus_request(modest, RPC "echo.say", "{}", 2, false, false, 60000, on_answer, &one);
    while (!one.done) {
        test_answer_held(); /* so that there is room for the next ones */
        uv_run(&accounts->node->loop, UV_RUN_ONCE);
    }
    assert_int_equal(one.good, 1);
    test_answer_clear(&answer);
    test_node_close(accounts->node, &admin);
    test_node_close(accounts->node, &greedy);
    test_node_close(accounts->node, &modest);
}

/* Headers as no client of ours would write them; the answers go to {inbox}. */
static void ask_with(mac_bus *workload, const char *headers) {
    mac_buffer_printf(&workload->wire->out, "HPUB " RPC "echo.say_later _INBOX.forged %zu %zu\r\n%s{}\r\n",
                      strlen(headers), strlen(headers) + 2, headers);
}

/* The server's report decides, wherever else it is said, and whatever the rest of the headers is. */
static void a_workload_cannot_say_that_it_is_none(void **state) {
    two_accounts *accounts = *state;
    static const char *const forged[] = {
        "NATS/1.0\r\nNats-Request-Info: {\"acc\":\"NODE\"}\r\n\r\n",
        "NATS/1.0\r\nX: Nats-Request-Info\r\nNats-Request-Info: {\"acc\":\"NODE\"}\r\n\r\n",
        "NATS/1.0\r\nX-Nats-Request-Info: x\r\nNats-Request-Info: {\"acc\":\"NODE\"}\r\n\r\n",
        "NATS/1.0\r\nX: \nNats-Request-Info: {\"acc\":\"NODE\"}\r\n\r\n",
        "garbage\r\n\r\n",
        "\r\n",
        "NATS/1.0",
        "NATS/1.0\r\nMacula-Caller: admin\r\n\r\n",
    };
    mac_bus *workload = client(accounts, "workload", NULL);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(forged); i++) {
        ask_with(workload, forged[i]);
        test_node_flush(accounts->node, workload);
        test_node_flush(accounts->node, accounts->node->service);
        until_held(accounts, i + 1);
    }
    for (size_t i = 0; i < MAC_ARRAY_SIZE(forged); i++)
        if (!mac_request_is_workload(test_held[i]) || !mac_starts_with(mac_request_caller(test_held[i]), "workload"))
            fail_msg("%zu: %s", i, mac_request_caller(test_held[i]));
    test_answer_held();
    test_node_close(accounts->node, &workload);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(slow_procedures_stay_available_to_the_node, setup, teardown),
        cmocka_unit_test_setup_teardown(each_workload_has_its_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(a_turn_of_the_loop_ends_with_a_request_that_took_long, setup, teardown),
        cmocka_unit_test_setup_teardown(a_workload_cannot_say_that_it_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(who_asks_for_too_much_is_refused_and_the_others_are_served, setup, teardown),
    };
    return cmocka_run_group_tests_name("lanes of the workloads", tests, NULL, NULL);
}
