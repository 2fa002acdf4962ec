#include "test-bus-node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mac_request *test_held[2048];
size_t test_held_count;
void (*test_on_held)(mac_request *request);

/* ---- the echo service ---- */

static void echo_status(Macula__Test__Echo_Service *service, const Macula__Test__Text *input,
                        Macula__Test__Text_Closure closure, void *data) {
    (void)service;
    (void)input;
    Macula__Test__Text answer = MACULA__TEST__TEXT__INIT;
    answer.text = (char *)"well";
    closure(&answer, data);
}

static void echo_say(Macula__Test__Echo_Service *service, const Macula__Test__Text *input,
                     Macula__Test__Text_Closure closure, void *data) {
    (void)service;
    closure(input, data);
}

static void echo_refuse(Macula__Test__Echo_Service *service, const Macula__Test__Text *input,
                        Macula__Test__Text_Closure closure, void *data) {
    (void)service;
    (void)input;
    (void)closure;
    mac_error *error = mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, "some.path", "somebody was here\nbefore");
    error->expected_revision = 4;
    error->current_revision = 5;
    mac_request_fail_error(mac_request_from(data), error);
}

static void echo_say_later(Macula__Test__Echo_Service *service, const Macula__Test__Text *input,
                           Macula__Test__Text_Closure closure, void *data) {
    (void)service;
    (void)input;
    (void)closure;
    assert_true(test_held_count < 2048);
    test_held[test_held_count++] = mac_request_from(data);
    if (test_on_held)
        test_on_held(mac_request_from(data));
}

static void echo_say_twice(Macula__Test__Echo_Service *service, const Macula__Test__Text *input,
                           Macula__Test__Text_Closure closure, void *data) {
    (void)service;
    closure(input, data);
#ifdef NDEBUG /* it asserts otherwise */
    Macula__Test__Text other = MACULA__TEST__TEXT__INIT;
    other.text = (char *)"something else";
    closure(&other, data);
#endif
}

static void echo_say_nothing(Macula__Test__Echo_Service *service, const Macula__Test__Text *input,
                             Macula__Test__Text_Closure closure, void *data) {
    (void)service;
    (void)input;
    closure(NULL, data);
}

static void echo_say_much(Macula__Test__Echo_Service *service, const Macula__Test__Text *input,
                          Macula__Test__Text_Closure closure, void *data) {
    (void)service;
    Macula__Test__Text answer = MACULA__TEST__TEXT__INIT;
    mac_autofree char *text = mac_calloc(1, input->number + 1u);
    memset(text, 'x', input->number);
    answer.text = text;
    closure(&answer, data);
}

static void echo_control_change(Macula__Test__EchoControl_Service *service, const Macula__Test__ChangeRequest *input,
                                Macula__Test__Text_Closure closure, void *data) {
    (void)service;
    Macula__Test__Text answer = MACULA__TEST__TEXT__INIT;
    mac_autofree char *text =
        mac_asprintf("%s by %s", input->text ? input->text : "nothing", mac_request_caller(mac_request_from(data)));
    answer.text = text;
    closure(&answer, data);
}

static Macula__Test__Echo_Service echo = MACULA__TEST__ECHO__INIT(echo_);
static Macula__Test__EchoControl_Service echo_control = MACULA__TEST__ECHO_CONTROL__INIT(echo_control_);

void test_answer_held(void) {
    Macula__Test__Text answer = MACULA__TEST__TEXT__INIT;
    answer.text = (char *)"late";
    size_t count = test_held_count;
    test_held_count = 0;
    for (size_t i = 0; i < count; i++)
        mac_request_answer(test_held[i], &answer.base);
}

/* ---- the node ---- */

void test_on_state(mac_bus *bus, mac_bus_state state, const mac_error *error, void *data) {
    (void)bus;
    test_states *states = data;
    if (!states)
        return;
    states->connected += state == MAC_BUS_CONNECTED;
    states->lost += state == MAC_BUS_CONNECTING;
    states->closed += state == MAC_BUS_CLOSED;
    states->last_error = error ? error->code : MACULA__V1__ERROR_CODE__OK;
    snprintf(states->text, sizeof states->text, "%s", error ? error->message : "");
}

static void on_guard(uv_timer_t *timer) {
    (void)timer;
    fprintf(stderr, "the test waited too long\n");
    abort(); /* not fail(): libuv cannot be left by longjmp */
}

test_node *test_node_new(const char *config) {
    test_node *node = mac_calloc(1, sizeof *node);
    uv_loop_init(&node->loop);
    uv_timer_init(&node->loop, &node->guard);
    node->server = test_server_start(config);
    return node;
}

mac_bus *test_node_bus(test_node *node, const char *name, const char *seed, test_states *states) {
    mac_bus *bus = mac_bus_new(&(mac_bus_options){.loop = &node->loop,
                                                  .url = test_server_url(node->server),
                                                  .name = name,
                                                  .realm = TEST_REALM,
                                                  .seed = seed,
                                                  .on_state = test_on_state,
                                                  .data = states});
    mac_bus_start(bus);
    return bus;
}

void test_node_echo(test_node *node) {
    assert_int_equal(mac_bus_serve(node->service, &echo.base, NULL, "Says it again"), 0);
    assert_int_equal(mac_bus_serve(node->service, &echo_control.base, NULL, NULL), 0);
}

test_node *test_node_echo_new(void) {
    test_node *node = test_node_new(NULL);
    node->service = test_node_bus(node, "echod", NULL, NULL);
    test_node_echo(node);
    test_node_until_connected(node, node->service);
    node->client = test_node_bus(node, "client", NULL, NULL);
    test_node_until_connected(node, node->client);
    return node;
}

/* The bound of every wait; MACULA_TEST_PATIENCE (seconds) makes it longer where programs run slowly. */
static unsigned patience_ms(void) {
    const char *seconds = getenv("MACULA_TEST_PATIENCE");
    return seconds && atoi(seconds) > 15 ? (unsigned)atoi(seconds) * 1000 : 15000;
}

static void guard(test_node *node, bool on) {
    if (on)
        uv_timer_start(&node->guard, on_guard, patience_ms(), 0);
    else
        uv_timer_stop(&node->guard);
}

void test_node_until(test_node *node, const bool *condition) {
    guard(node, true);
    while (!*condition)
        uv_run(&node->loop, UV_RUN_ONCE);
    guard(node, false);
}

void test_node_until_count(test_node *node, const unsigned *count, unsigned wanted) {
    guard(node, true);
    while (*count < wanted)
        uv_run(&node->loop, UV_RUN_ONCE);
    guard(node, false);
}

void test_node_until_connected(test_node *node, mac_bus *bus) {
    guard(node, true);
    while (mac_bus_current_state(bus) != MAC_BUS_CONNECTED)
        uv_run(&node->loop, UV_RUN_ONCE);
    guard(node, false);
}

static void on_closed(void *data) {
    *(bool *)data = true;
}

void test_node_close(test_node *node, mac_bus **bus) {
    if (!*bus)
        return;
    bool closed = false;
    mac_bus_close(mac_take(bus), on_closed, &closed);
    test_node_until(node, &closed);
}

void test_node_free(test_node *node) {
    test_node_close(node, &node->client);
    test_node_close(node, &node->service);
    uv_close((uv_handle_t *)&node->guard, NULL);
    uv_run(&node->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&node->loop) != 0) { /* nothing of the bus may be left */
        uv_print_all_handles(&node->loop, stderr);
        abort();
    }
    test_server_stop(node->server);
    free(node);
}

/* ---- asking ---- */

void test_node_flush(test_node *node, mac_bus *bus) {
    test_answer answer = {0};
    mac_bus_flush(bus, test_on_answer, &answer);
    test_node_until(node, &answer.done);
    assert_false(answer.failed);
    test_answer_clear(&answer);
}

void test_on_answer(const mac_answer *answer, void *data) {
    test_answer *told = data;
    unsigned count = told->count + 1;
    test_answer_clear(told);
    *told = (test_answer){.done = true, .count = count, .is_json = answer->is_json, .length = answer->length};
    told->body = mac_strndup(answer->data ? answer->data : "", answer->length);
    told->failed = answer->error != NULL;
    if (answer->error) {
        told->code = answer->error->code;
        told->message = mac_strdup(answer->error->message);
    }
}

void test_answer_clear(test_answer *answer) {
    free(answer->body);
    free(answer->message);
    *answer = (test_answer){0};
}

void test_ask(test_node *node, mac_bus *bus, const char *subject, const char *json, test_answer *answer) {
    test_answer_clear(answer);
    mac_bus_request(bus, subject, json, strlen(json), false, false, patience_ms() / 3, test_on_answer, answer);
    test_node_until(node, &answer->done);
}
