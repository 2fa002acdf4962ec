/* Requests and answers over a real server. */
#include "test-bus-node.h"

#include <stdio.h>
#include <string.h>

#include "macula/v1/audit.pb-c.h"

#define RPC "macula.rpc." TEST_REALM "."

static int setup(void **state) {
    *state = test_node_echo_new();
    return 0;
}

static int teardown(void **state) {
    test_node_free(*state);
    return 0;
}

typedef struct typed_answer {
    bool done;
    unsigned count;
    char text[64];
    bool failed;
    mac_client *client;
    Macula__V1__ErrorCode code;
} typed_answer;

static void on_text(const Macula__Test__Text *message, void *data) {
    typed_answer *answer = data;
    answer->done = true;
    answer->count++;
    answer->failed = message == NULL;
    if (message)
        snprintf(answer->text, sizeof answer->text, "%s", message->text ? message->text : "");
    else
        answer->code = mac_client_error(answer->client)->code;
}

static void a_typed_client_gets_the_answer_as_protobuf(void **state) {
    test_node *node = *state;
    mac_client client;
    mac_client_init(&client, node->client, &macula__test__echo__descriptor, NULL);
    Macula__Test__Text input = MACULA__TEST__TEXT__INIT;
    input.text = (char *)"hello";
    typed_answer answer = {.client = &client};
    macula__test__echo__say(&client.base, &input, on_text, &answer);
    test_node_until(node, &answer.done);
    assert_false(answer.failed);
    assert_string_equal(answer.text, "hello");
    assert_int_equal(answer.count, 1);
}

static void json_is_answered_with_json(void **state) {
    test_node *node = *state;
    test_answer answer = {0};
    test_ask(node, node->client, RPC "echo.say", " {\"text\":\"hello\",\"number\":3}", &answer);
    assert_false(answer.failed);
    assert_true(answer.is_json);
    assert_string_equal(answer.body, "{\"text\":\"hello\",\"number\":3}");
    test_answer_clear(&answer);
}

static void an_empty_body_is_the_empty_message_and_the_bare_subject_is_status(void **state) {
    test_node *node = *state;
    test_answer answer = {0};
    test_ask(node, node->client, RPC "echo", "", &answer);
    assert_string_equal(answer.body, "{\"text\":\"well\"}");
    test_ask(node, node->client, RPC "echo.say", "", &answer);
    assert_string_equal(answer.body, "{}");
    test_answer_clear(&answer);
}

static void a_wrong_body_is_refused_and_says_what_to_send(void **state) {
    test_node *node = *state;
    test_answer answer = {0};
    test_ask(node, node->client, RPC "echo.say", "hello", &answer);
    assert_true(answer.failed);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__INVALID);
    assert_non_null(strstr(answer.message, "JSON"));
    test_ask(node, node->client, RPC "echo.say", "{\"text\":", &answer);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__INVALID);
    test_answer_clear(&answer);
}

static void an_unknown_procedure_is_not_found_and_the_known_ones_are_listed(void **state) {
    test_node *node = *state;
    test_answer answer = {0};
    test_ask(node, node->client, RPC "echo.shout", "", &answer);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__NOT_FOUND);
    assert_non_null(strstr(answer.message, "say_later"));
    assert_non_null(strstr(answer.message, "change"));
    test_answer_clear(&answer);
}

static void an_error_arrives_whole(void **state) {
    test_node *node = *state;
    test_answer answer = {0};
    test_ask(node, node->client, RPC "echo.refuse", "", &answer);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__CONFLICT);
    assert_string_equal(answer.message, "somebody was here\nbefore");
    assert_non_null(strstr(answer.body, "some.path"));
    mac_client client;
    mac_client_init(&client, node->client, &macula__test__echo__descriptor, NULL);
    Macula__Test__Text input = MACULA__TEST__TEXT__INIT;
    typed_answer typed = {.client = &client};
    macula__test__echo__refuse(&client.base, &input, on_text, &typed);
    test_node_until(node, &typed.done);
    assert_true(typed.failed);
    assert_int_equal(typed.code, MACULA__V1__ERROR_CODE__CONFLICT);
    test_answer_clear(&answer);
}

static void nobody_serving_is_told_at_once(void **state) {
    test_node *node = *state;
    test_answer other = {0}, answer = {0};
    /* Another call that waits must not be mistaken for it. */
    mac_call *call =
        mac_bus_request(node->client, RPC "echo.say_later", "", 0, false, false, 60000, test_on_answer, &other);
    mac_bus_request(node->client, RPC "nobody.home", "", 0, false, false, 60000, test_on_answer, &answer);
    test_node_until(node, &answer.done);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__UNAVAILABLE);
    assert_non_null(strstr(answer.message, "nobody.home"));
    assert_false(other.done);
    mac_call_cancel(call);
    assert_int_equal(other.code, MACULA__V1__ERROR_CODE__CANCELLED);
    while (!test_held_count)
        uv_run(&node->loop, UV_RUN_ONCE);
    test_answer_held();
    test_answer_clear(&answer);
    test_answer_clear(&other);
}

static void a_deadline_ends_a_call_and_a_late_answer_is_dropped(void **state) {
    test_node *node = *state;
    test_answer answer = {0}, second = {0};
    mac_bus_request(node->client, RPC "echo.say_later", "", 0, false, false, 30, test_on_answer, &answer);
    test_node_until(node, &answer.done);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__TIMED_OUT);
    test_answer_held();
    /* The next call, in the same slot, gets its own answer and not the late one. */
    test_ask(node, node->client, RPC "echo.say", "{\"text\":\"mine\"}", &second);
    assert_string_equal(second.body, "{\"text\":\"mine\"}");
    assert_int_equal(answer.count, 1);
    test_answer_clear(&answer);
    test_answer_clear(&second);
}

static void a_handler_that_answers_twice_is_heard_once(void **state) {
    test_node *node = *state;
    test_answer answer = {0};
    test_ask(node, node->client, RPC "echo.say_twice", "{\"text\":\"once\"}", &answer);
    assert_string_equal(answer.body, "{\"text\":\"once\"}");
    test_ask(node, node->client, RPC "echo.say", "{}", &answer);
    assert_string_equal(answer.body, "{}");
    test_answer_clear(&answer);
}

static void a_handler_that_ends_without_answer_is_an_internal_error(void **state) {
    test_node *node = *state;
    test_answer answer = {0};
    test_ask(node, node->client, RPC "echo.say_nothing", "", &answer);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__INTERNAL);
    test_answer_clear(&answer);
}

static void an_answer_that_is_too_large_is_an_error_and_not_a_silence(void **state) {
    test_node *node = *state;
    test_answer answer = {0};
    test_ask(node, node->client, RPC "echo.say_much", "{\"number\":1048577}", &answer);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__EXHAUSTED);
    test_ask(node, node->client, RPC "echo.say_much", "{\"number\":1000000}", &answer);
    assert_false(answer.failed);
    assert_true(answer.length > 1000000);
    test_answer_clear(&answer);
}

static void a_request_that_is_too_large_is_refused_before_it_is_sent(void **state) {
    test_node *node = *state;
    test_answer answer = {0};
    mac_autofree char *body = mac_calloc(1, MAC_BUS_PAYLOAD_MAX + 1);
    mac_bus_request(node->client, RPC "echo.say", body, MAC_BUS_PAYLOAD_MAX + 1, true, false, 5000, test_on_answer,
                    &answer);
    assert_false(answer.done); /* never before the call has returned */
    test_node_until(node, &answer.done);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__EXHAUSTED);
    test_ask(node, node->client, "not a subject", "", &answer);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__INVALID);
    test_answer_clear(&answer);
}

static void many_answers_come_one_by_one_until_the_deadline(void **state) {
    test_node *node = *state;
    mac_bus *second = test_node_bus(node, "echod", NULL, NULL);
    test_node_until_connected(node, second);
    test_answer answer = {0};
    mac_bus_request(node->client, "$SRV.PING", "", 0, false, true, 50, test_on_answer, &answer);
    while (!answer.failed)
        uv_run(&node->loop, UV_RUN_ONCE);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__TIMED_OUT);
    assert_int_equal(answer.count, 2); /* one service, and the end */
    test_node_close(node, &second);
    test_answer_clear(&answer);
}

static void a_flush_comes_back_after_all_that_was_sent_before(void **state) {
    test_node *node = *state;
    test_answer answer = {0};
    mac_bus_flush(node->client, test_on_answer, &answer);
    test_node_until(node, &answer.done);
    assert_false(answer.failed);
    test_answer_clear(&answer);
}

static void two_clients_of_one_name_do_not_hear_each_other(void **state) {
    test_node *node = *state;
    mac_bus *twin = test_node_bus(node, "client", NULL, NULL);
    test_node_until_connected(node, twin);
    test_answer first = {0}, second = {0};
    mac_bus_request(node->client, RPC "echo.say", "{\"text\":\"a\"}", 12, false, false, 5000, test_on_answer, &first);
    mac_bus_request(twin, RPC "echo.say", "{\"text\":\"b\"}", 12, false, false, 5000, test_on_answer, &second);
    test_node_until(node, &first.done);
    test_node_until(node, &second.done);
    assert_string_equal(first.body, "{\"text\":\"a\"}");
    assert_string_equal(second.body, "{\"text\":\"b\"}");
    assert_int_equal(first.count + second.count, 2);
    test_node_close(node, &twin);
    test_answer_clear(&first);
    test_answer_clear(&second);
}

/* ---- audit ---- */

typedef struct audits {
    unsigned count, json;
    char procedure[64], caller[64], author[64];
    bool denied;
    Macula__V1__ErrorCode outcome;
} audits;

static void on_audit(const mac_event *event, void *data) {
    audits *seen = data;
    if (!event->is_protobuf) {
        seen->json++;
        return;
    }
    Macula__V1__AuditEvent *audit = macula__v1__audit_event__unpack(NULL, event->length, event->data);
    assert_non_null(audit);
    seen->count++;
    snprintf(seen->procedure, sizeof seen->procedure, "%s", audit->procedure);
    snprintf(seen->caller, sizeof seen->caller, "%s", audit->caller);
    snprintf(seen->author, sizeof seen->author, "%s", audit->author ? audit->author : "");
    seen->denied = audit->denied;
    seen->outcome = audit->outcome;
    macula__v1__audit_event__free_unpacked(audit, NULL);
}

static void watch_audits(test_node *node, audits *seen) {
    *seen = (audits){0};
    assert_int_equal(mac_bus_subscribe(node->client, "macula.pub." TEST_REALM ".echo.audit", on_audit, seen, NULL), 0);
    assert_int_equal(mac_bus_subscribe(node->client, "macula.sub." TEST_REALM ".echo.audit", on_audit, seen, NULL), 0);
    test_answer flushed = {0};
    mac_bus_flush(node->client, test_on_answer, &flushed);
    test_node_until(node, &flushed.done);
    test_answer_clear(&flushed);
}

static void every_call_that_changes_something_is_audited(void **state) {
    test_node *node = *state;
    audits seen;
    watch_audits(node, &seen);
    test_answer answer = {0};
    test_ask(node, node->client, RPC "echo.change", "{\"text\":\"it\",\"options\":{\"author\":\"jane\"}}", &answer);
    assert_string_equal(answer.body, "{\"text\":\"it by client\"}");
    test_node_until_count(node, &seen.json, 1);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.procedure, "echo.change");
    assert_string_equal(seen.caller, "client");
    assert_string_equal(seen.author, "jane");
    assert_false(seen.denied);
    assert_int_equal(seen.outcome, MACULA__V1__ERROR_CODE__OK);
    test_ask(node, node->client, RPC "echo.change", "[]", &answer);
    test_node_until_count(node, &seen.json, 2);
    assert_int_equal(seen.outcome, MACULA__V1__ERROR_CODE__INVALID);
    test_answer_clear(&answer);
}

static void the_denial_desk_answers_denied_and_audits(void **state) {
    test_node *node = *state;
    audits seen;
    watch_audits(node, &seen);
    test_answer answer = {0};
    test_ask(node, node->client, "macula.denied." TEST_REALM ".echo.change", "{\"text\":\"it\"}", &answer);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__DENIED);
    assert_non_null(strstr(answer.message, "echo.change needs the admin key"));
    test_node_until_count(node, &seen.json, 1);
    assert_true(seen.denied);
    assert_int_equal(seen.outcome, MACULA__V1__ERROR_CODE__DENIED);
    test_answer_clear(&answer);
}

static void a_request_whose_answer_would_go_to_a_procedure_is_not_carried_out(void **state) {
    test_node *node = *state;
    audits seen;
    watch_audits(node, &seen);
    /* cnats sends whatever reply subject it is told: the bus's own client would not. */
    extern int bus_send(mac_bus *, const char *, const char *, const void *, size_t, const void *, size_t);
    assert_int_equal(bus_send(node->client, RPC "echo.say_later", RPC "echo.change", "{}", 2, NULL, 0), 0);
    assert_int_equal(bus_send(node->client, RPC "echo.change", RPC "echo.change", "{}", 2, NULL, 0), 0);
    test_node_until_count(node, &seen.json, 1);
    assert_int_equal(seen.outcome, MACULA__V1__ERROR_CODE__DENIED); /* the reply subject is no inbox */
    assert_int_equal(bus_send(node->client, RPC "echo.change", NULL, "{}", 2, NULL, 0), 0);
    test_node_until_count(node, &seen.json, 2);
    assert_int_equal(seen.outcome, MACULA__V1__ERROR_CODE__INVALID); /* there is none */
    assert_int_equal(seen.count, 2);
    assert_int_equal(test_held_count, 0);
}

/* ---- events ---- */

typedef struct heard {
    unsigned protobuf, json;
    char body[256];
} heard;

static void on_event(const mac_event *event, void *data) {
    heard *ears = data;
    if (event->is_protobuf) {
        ears->protobuf++;
    } else {
        ears->json++;
        snprintf(ears->body, sizeof ears->body, "%.*s", (int)event->length, (const char *)event->data);
    }
}

static void an_event_comes_as_protobuf_and_as_json(void **state) {
    test_node *node = *state;
    heard ears = {0};
    mac_subscription *subscription;
    assert_int_equal(mac_bus_subscribe(node->client, "macula.*." TEST_REALM ".echo.>", on_event, &ears, &subscription),
                     0);
    test_answer flushed = {0};
    mac_bus_flush(node->client, test_on_answer, &flushed);
    test_node_until(node, &flushed.done);
    Macula__Test__Text event = MACULA__TEST__TEXT__INIT;
    event.text = (char *)"it happened";
    assert_int_equal(mac_bus_publish(node->service, "echo.happened", &event.base), 0);
    test_node_until_count(node, &ears.json, 1);
    assert_int_equal(ears.protobuf, 1);
    assert_string_equal(ears.body, "{\"text\":\"it happened\"}");
    mac_bus_unsubscribe(subscription);
    assert_int_equal(mac_bus_publish(node->service, "echo.happened", &event.base), 0);
    test_answer_clear(&flushed);
    mac_bus_flush(node->service, test_on_answer, &flushed);
    test_node_until(node, &flushed.done);
    assert_int_equal(ears.json, 1);
    test_answer_clear(&flushed);
}

static void a_request_still_open_when_the_bus_closes_is_answered(void **state) {
    test_node *node = *state;
    test_answer answer = {0};
    mac_bus_request(node->client, RPC "echo.say_later", "{}", 2, false, false, 5000, test_on_answer, &answer);
    while (!test_held_count)
        uv_run(&node->loop, UV_RUN_ONCE);
    test_node_close(node, &node->service);
    test_node_until(node, &answer.done);
    assert_int_equal(answer.code, MACULA__V1__ERROR_CODE__UNAVAILABLE);
    assert_null(mac_request_bus(test_held[0]));
    assert_non_null(mac_request_input(test_held[0]));
    test_answer_held(); /* goes nowhere, and frees it */
    test_answer_clear(&answer);
}

static void a_service_is_served_once(void **state) {
    test_node *node = *state;
    static Macula__Test__Echo_Service again;
    again.base.descriptor = &macula__test__echo__descriptor;
    assert_int_equal(mac_bus_serve(node->service, &again.base, NULL, NULL), -EEXIST);
}

static void answer_with(mac_request *request, const char *text) {
    Macula__Test__Text answer = MACULA__TEST__TEXT__INIT;
    answer.text = (char *)text;
    mac_request_answer(request, &answer.base);
}

static void an_answer_that_comes_too_late_is_not_taken_for_the_next_calls(void **state) {
    test_node *node = *state;
    for (unsigned round = 0; round < 20; round++) {
        test_answer first = {0}, second = {0};
        mac_bus_request(node->client, RPC "echo.say_later", "{}", 2, false, false, 1, test_on_answer, &first);
        test_node_until(node, &first.done);
        assert_int_equal(first.code, MACULA__V1__ERROR_CODE__TIMED_OUT);
        for (unsigned i = 0; i < round; i++) { /* reply subjects are used again: see bus-call.c */
            test_ask(node, node->client, RPC "echo.say", "{}", &second);
            assert_false(second.failed);
        }
        test_answer_clear(&second);
        mac_bus_request(node->client, RPC "echo.say_later", "{}", 2, false, false, 10000, test_on_answer, &second);
        while (test_held_count < 2)
            uv_run(&node->loop, UV_RUN_ONCE);
        answer_with(test_held[0], "late");
        test_node_flush(node, node->service);
        test_node_flush(node, node->client);
        assert_false(second.done);
        answer_with(test_held[1], "own");
        test_held_count = 0;
        test_node_until(node, &second.done);
        assert_string_equal(second.body, "{\"text\":\"own\"}");
        test_answer_clear(&first);
        test_answer_clear(&second);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_that_comes_too_late_is_not_taken_for_the_next_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(a_typed_client_gets_the_answer_as_protobuf, setup, teardown),
        cmocka_unit_test_setup_teardown(json_is_answered_with_json, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_body_is_the_empty_message_and_the_bare_subject_is_status, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_wrong_body_is_refused_and_says_what_to_send, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_procedure_is_not_found_and_the_known_ones_are_listed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_error_arrives_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_serving_is_told_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deadline_ends_a_call_and_a_late_answer_is_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_handler_that_answers_twice_is_heard_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_handler_that_ends_without_answer_is_an_internal_error, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_that_is_too_large_is_an_error_and_not_a_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_that_is_too_large_is_refused_before_it_is_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(many_answers_come_one_by_one_until_the_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flush_comes_back_after_all_that_was_sent_before, setup, teardown),
        cmocka_unit_test_setup_teardown(two_clients_of_one_name_do_not_hear_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(every_call_that_changes_something_is_audited, setup, teardown),
        cmocka_unit_test_setup_teardown(the_denial_desk_answers_denied_and_audits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_whose_answer_would_go_to_a_procedure_is_not_carried_out, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_event_comes_as_protobuf_and_as_json, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_still_open_when_the_bus_closes_is_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(a_service_is_served_once, setup, teardown),
    };
    return cmocka_run_group_tests_name("serving and calling", tests, NULL, NULL);
}
