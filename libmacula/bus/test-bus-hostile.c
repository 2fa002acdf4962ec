/* Servers that are none, or go wrong: each costs its connection and nothing else, is told with what was wrong, and the
 * next one is used as if nothing had been. */
#include "test-bus-node.h"

#include <stdio.h>
#include <string.h>

#include "bus-internal.h"
#include "crypto/mac-crypto.h"
#include "test-bus-script.h"

typedef struct scene {
    test_node node; /* without a nats-server */
    test_scripted *server;
    mac_bus *bus;
    unsigned connected, lost;
    Macula__V1__ErrorCode first_error;
    char first_text[512];
    unsigned events;
    char last_event[64];
} scene;

static void on_state(mac_bus *bus, mac_bus_state state, const mac_error *error, void *data) {
    (void)bus;
    scene *seen = data;
    seen->connected += state == MAC_BUS_CONNECTED;
    if (state != MAC_BUS_CONNECTING)
        return;
    if (seen->lost++ == 0) {
        seen->first_error = error->code;
        snprintf(seen->first_text, sizeof seen->first_text, "%s", error->message);
    }
}

static void on_event(const mac_event *event, void *data) {
    scene *seen = data;
    seen->events++;
    snprintf(seen->last_event, sizeof seen->last_event, "%.*s", (int)event->length, (const char *)event->data);
}

static void scene_open(scene *s, const test_script *script, const char *seed) {
    *s = (scene){0};
    uv_loop_init(&s->node.loop);
    uv_timer_init(&s->node.loop, &s->node.guard);
    s->server = test_scripted_new(&s->node.loop, script);
    s->bus = mac_bus_new(&(mac_bus_options){.loop = &s->node.loop,
                                            .url = test_scripted_url(s->server),
                                            .name = "victim",
                                            .realm = TEST_REALM,
                                            .seed = seed,
                                            .on_state = on_state,
                                            .data = s});
    assert_int_equal(mac_bus_subscribe(s->bus, "x", on_event, s, NULL), 0);
    mac_bus_start(s->bus);
}

static void scene_close(scene *s) {
    test_node_close(&s->node, &s->bus);
    test_scripted_free(s->server);
    uv_close((uv_handle_t *)&s->node.guard, NULL);
    uv_run(&s->node.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s->node.loop), 0);
}

/* The server has heard what came before, and answers. */
static void flush(scene *s) {
    test_answer answer = {0};
    mac_bus_flush(s->bus, test_on_answer, &answer);
    test_node_until(&s->node, &answer.done);
    assert_false(answer.failed);
    test_answer_clear(&answer);
}

typedef struct hostile {
    test_script script;
    const char *text;           /* what is told */
    unsigned connected;         /* how often it is CONNECTED before it is lost */
    Macula__V1__ErrorCode code; /* OK: UNAVAILABLE */
} hostile;

static void assert_survives(const hostile *with) {
    scene s;
    scene_open(&s, &with->script, NULL);
    test_node_until_count(&s.node, &s.connected, with->connected + 1);
    Macula__V1__ErrorCode code = with->code ? with->code : MACULA__V1__ERROR_CODE__UNAVAILABLE;
    if (s.lost != 1 || s.first_error != code || !strstr(s.first_text, with->text))
        fail_msg("lost %u times; %d: “%s”, wanted “%s”", s.lost, s.first_error, s.first_text, with->text);
    assert_int_equal(test_scripted_connections(s.server), 2);
    flush(&s);
    scene_close(&s);
}

static void assert_survive(const hostile *cases, size_t count) {
    for (size_t i = 0; i < count; i++)
        assert_survives(&cases[i]);
}

static char endless[BUS_INFO_MAX + 2]; /* INFO and more, without an end */

static void what_does_not_greet_as_a_server_of_nats_is_left(void **state) {
    (void)state;
    memset(endless, 'x', sizeof endless - 1);
    memcpy(endless, "INFO ", 5);
    const hostile cases[] = {
        {{.greeting = "HTTP/1.1 400 Bad Request\r\n\r\n"}, .text = "not the protocol of NATS"},
        {{.greeting = "SSH-2.0-OpenSSH_9.2\r\n"}, .text = "not the protocol of NATS"},
        {{.greeting = endless}, .text = "a line without an end"},
        {{.greeting = "PING\r\n"}, .text = "did not greet"},
        {{.greeting = "MSG x 1 1\r\nx\r\n"}, .text = "did not greet"},
        {{.greeting = "INFO\r\n"}, .text = "its greeting"},
        {{.greeting = "INFO nonsense\r\n"}, .text = "its greeting"},
        {{.greeting = "INFO []\r\n"}, .text = "its greeting"},
        {{.greeting = "INFO {\"max_payload\":-1,\"headers\":true}\r\n"}, .text = "its greeting"},
        {{.greeting = "INFO {\"max_payload\":\"1\",\"headers\":true}\r\n"}, .text = "its greeting"},
        {{.greeting = "INFO {\"max_payload\":1}\r\n"}, .text = "2.2 or newer"},
        {{.greeting = "INFO {\"max_payload\":1,\"headers\":true,\"tls_required\":true}\r\n"}, .text = "TLS"},
        {{.greeting = "-ERR 'maximum connections exceeded'\r\n"}, .text = "maximum connections exceeded"},
    };
    assert_survive(cases, MAC_ARRAY_SIZE(cases));
}

static void a_refusal_of_the_key_is_told_as_one(void **state) {
    (void)state;
    const hostile cases[] = {
        {{.knocked = "-ERR 'Authorization Violation'\r\n"},
         .text = "asks for a key",
         .code = MACULA__V1__ERROR_CODE__DENIED},
        {{.knocked = "-ERR 'Authentication Timeout'\r\n"}, .text = "Authentication Timeout"},
        {{.opened = "-ERR 'maximum subscriptions exceeded'\r\n"}, .text = "maximum subscriptions exceeded"},
        {{.then = "-ERR 'Stale Connection'\r\n"}, .text = "was lost: Stale Connection", .connected = 1},
        {{.then = "-ERR 'User Authorization Revoked'\r\n"},
         .text = "was lost: User Authorization Revoked",
         .connected = 1,
         .code = MACULA__V1__ERROR_CODE__DENIED},
    };
    assert_survive(cases, MAC_ARRAY_SIZE(cases));
}

static void what_goes_wrong_later_costs_the_connection(void **state) {
    (void)state;
    mac_autofree char *line = mac_asprintf("MSG %0*d %%S 1\r\nx\r\n", (int)BUS_LINE_MAX, 7);
    const hostile cases[] = {
        {{.then = line}, .text = "a line without an end", .connected = 1},
        {{.then = "MSG x %S -1\r\n"}, .text = "wrong fields", .connected = 1},
        {{.then = "MSG x %S 99999999999999999999999\r\n"}, .text = "wrong fields", .connected = 1},
        {{.then = "MSG x %S 18446744073709551615\r\n"}, .text = "wrong fields", .connected = 1},
        {{.then = "HMSG x %S 20 12\r\nNATS/1.0\r\n\r\n\r\n"}, .text = "wrong fields", .connected = 1},
        {{.then = "MSG x %S 5\r\nhello you\r\n"}, .text = "did not end where it was to end", .connected = 1},
        {{.then = "MSG x %S 1\nx\n"}, .text = "does not end with CR LF", .connected = 1},
        {{.then = "garbage\r\n"}, .text = "not the protocol of NATS", .connected = 1},
        {{.then = "INFO {}\r\n"}, .text = "its greeting", .connected = 1},
    };
    assert_survive(cases, MAC_ARRAY_SIZE(cases));
}

static void a_server_may_end_anywhere(void **state) {
    (void)state;
    const hostile cases[] = {
        {{.then = "MSG x %S 100\r\nhalf of", .ends = true}, .text = "the server has ended it", .connected = 1},
        {{.then = "MSG x %S", .ends = true}, .text = "the server has ended it", .connected = 1},
        {{.then = "", .ends = true}, .text = "the server has ended it", .connected = 1},
        {{.then = "INFO {\"max_payload\":9,\"ldm\":true}\r\n", .ends = true}, /* as it announced */
         .text = "the server has ended it",
         .connected = 1},
        {{.opened = "", .ends = true}, .text = "the server has ended it"},
    };
    assert_survive(cases, MAC_ARRAY_SIZE(cases));
}

static void a_server_that_says_nothing_is_left_in_time(void **state) {
    (void)state;
    const hostile cases[] = {
        {{.greeting = ""}, .text = "did not answer within"},
        {{.knocked = ""}, .text = "did not answer within"},
        {{.opened = ""}, .text = "did not confirm the subscriptions"},
    };
    assert_survive(cases, MAC_ARRAY_SIZE(cases));
}

/* ---- what is strange and no harm ---- */

static void strange_things_are_taken_as_they_are(void **state) {
    (void)state;
    const test_script script = {.then = "+OK\r\nPONG\r\nPONG\r\nMSG y 4711 3\r\nbad\r\nMSG x %S 3\r\none\r\n"
                                        "-ERR 'Permissions Violation for Publish to \"a\"'\r\n"
                                        "-ERR 'Invalid Subject'\r\nHMSG x %S 3 5\r\n\r\n\rto\r\nPING\r\n"};
    scene s;
    scene_open(&s, &script, NULL);
    test_node_until_count(&s.node, &s.events, 2);
    assert_string_equal(s.last_event, "to");
    flush(&s);
    assert_non_null(strstr(test_scripted_heard(s.server), "PONG\r\n"));
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.events, 2);
    scene_close(&s);
}

static void a_session_may_come_byte_by_byte(void **state) {
    (void)state;
    const test_script script = {.then = "HMSG x %S r 18 23\r\nNATS/1.0\r\nA: 1\r\n\r\nhello\r\nMSG x %S 3\r\nend\r\n",
                                .slowly = true};
    scene s;
    scene_open(&s, &script, NULL);
    test_node_until_count(&s.node, &s.events, 2);
    assert_string_equal(s.last_event, "end");
    flush(&s);
    assert_int_equal(s.lost, 0);
    scene_close(&s);
}

/* More than is ever read: skipped, counted, and the next one comes. */
static void a_message_that_is_too_large_is_dropped_alone(void **state) {
    (void)state;
    const size_t length = 3u << 20;
    mac_buffer then = {0};
    /* The first subscription of a bus is its inbox, the second one is the test's: see bus-source.c. */
    uint64_t sid = UINT64_C(2) << 20 | 1;
    mac_buffer_printf(&then, "MSG x %llu %zu\r\n", (unsigned long long)sid, length);
    mac_autofree char *data = mac_calloc(1, length);
    mac_buffer_append(&then, data, length);
    mac_buffer_printf(&then, "\r\nMSG x %llu 4\r\nnext\r\n", (unsigned long long)sid);
    const test_script script = {.then = then.data, .then_length = then.length};
    scene s;
    scene_open(&s, &script, NULL);
    test_node_until_count(&s.node, &s.events, 1);
    assert_string_equal(s.last_event, "next");
    assert_int_equal(s.lost, 0);
    assert_true(s.bus->wire->capacity < BUS_MESSAGE_MAX); /* nor was it kept */
    scene_close(&s);
    mac_buffer_deinit(&then);
}

/* A message of the largest size takes the memory it needs, which is given back. */
static void a_large_message_is_read_and_its_memory_given_back(void **state) {
    (void)state;
    const size_t length = MAC_BUS_PAYLOAD_MAX;
    mac_buffer then = {0};
    uint64_t sid = UINT64_C(2) << 20 | 1;
    mac_buffer_printf(&then, "MSG x %llu %zu\r\n", (unsigned long long)sid, length);
    mac_autofree char *data = mac_calloc(1, length);
    memset(data, 'x', length);
    mac_buffer_append(&then, data, length);
    mac_buffer_text(&then, "\r\n");
    const test_script script = {.then = then.data, .then_length = then.length};
    scene s;
    scene_open(&s, &script, NULL);
    test_node_until_count(&s.node, &s.events, 1);
    flush(&s);
    assert_true(s.bus->wire->capacity < length / 8);
    scene_close(&s);
    mac_buffer_deinit(&then);
}

/* ---- a server that is slow ---- */

static void answer_at_once(mac_request *request, void *data) {
    (void)data;
    Macula__Test__Text answer = MACULA__TEST__TEXT__INIT;
    answer.text = (char *)"here";
    mac_request_answer(request, &answer.base);
}

static unsigned count_of(const char *text, const char *what) {
    unsigned count = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        count++;
    return count;
}

#define REQUESTS 500
#define WINDOW 64 /* WINDOW_MAX of bus-lane.c */

/* What is under way to workloads is bounded, so that an answer for the node soon has its turn. */
static void workloads_are_not_answered_faster_than_the_server_takes_it(void **state) {
    (void)state;
    mac_buffer then = {0};
    for (unsigned i = 0; i < REQUESTS; i++)
        mac_buffer_printf(&then, "MSG y %llu _R_.theirs 0\r\n\r\n", 3ull << 20 | 2); /* see bus-source.c */
    mac_buffer_printf(&then, "MSG y %llu _INBOX.own 0\r\n\r\n", 3ull << 20 | 2);
    const test_script script = {.then = then.data, .mute = true};
    scene s;
    scene_open(&s, &script, NULL);
    assert_int_equal(mac_bus_answer_subject(s.bus, "y", answer_at_once, NULL), 0);
    while (count_of(test_scripted_heard(s.server), "PING\r\n") < 3)
        uv_run(&s.node.loop, UV_RUN_ONCE);
    for (unsigned turn = 0; turn < 100; turn++) /* it may not go on, as often as it looks */
        uv_run(&s.node.loop, UV_RUN_NOWAIT);
    const char *heard = test_scripted_heard(s.server);
    assert_int_equal(count_of(heard, "PUB _R_.theirs "), WINDOW);
    assert_true(strstr(heard, "PUB _INBOX.own ") < strstr(heard, "PUB _R_.theirs "));
    scene_close(&s);
    mac_buffer_deinit(&then);
}

/* ---- what it is told ---- */

static void the_key_is_shown_by_a_signature_and_never_said(void **state) {
    (void)state;
    char seed[MAC_NKEY_SEED_SIZE], public_key[MAC_NKEY_PUBLIC_SIZE];
    mac_nkey_new(seed, public_key);
    const test_script script = {.greeting = "INFO {\"max_payload\":1048576,\"headers\":true,\"nonce\":\"4711\"}\r\n"};
    scene s;
    scene_open(&s, &script, seed);
    test_node_until_count(&s.node, &s.connected, 1);
    const char *heard = test_scripted_heard(s.server);
    assert_non_null(strstr(heard, public_key));
    assert_non_null(strstr(heard, "\"sig\":\""));
    assert_non_null(strstr(heard, "\"no_responders\":true"));
    assert_null(strstr(heard, seed));
    assert_true(strstr(heard, "PING\r\n") < strstr(heard, "SUB ")); /* nothing before the key is taken */
    scene_close(&s);
}

static void a_login_in_the_url_is_said_to_the_server_and_to_nobody_else(void **state) {
    (void)state;
    const struct {
        const char *login, *said;
    } cases[] = {{"anna:p%40ss@", "\"user\":\"anna\",\"pass\":\"p@ss\""}, {"s3cret@", "\"auth_token\":\"s3cret\""}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        const test_script script = {.knocked = "-ERR 'Authorization Violation'\r\n"};
        scene s;
        scene_open(&s, &script, NULL);
        mac_autofree char *url =
            mac_asprintf("nats://%s%s", cases[i].login, test_scripted_url(s.server) + strlen("nats://"));
        free(s.bus->url);
        free(s.bus->shown_url);
        s.bus->url = mac_strdup(url);
        s.bus->shown_url = mac_strdup(test_scripted_url(s.server));
        test_node_until_count(&s.node, &s.lost, 1);
        assert_null(strstr(s.first_text, "s3cret"));
        assert_null(strstr(s.first_text, "anna"));
        assert_non_null(strstr(test_scripted_heard(s.server), cases[i].said));
        scene_close(&s);
    }
}

static void an_address_that_is_none_is_told_so(void **state) {
    (void)state;
    static const struct {
        const char *url, *text;
        Macula__V1__ErrorCode code;
    } cases[] = {
        {"tls://127.0.0.1:4222", "TLS", MACULA__V1__ERROR_CODE__INVALID},
        {"http://127.0.0.1", "nats://HOST:PORT", MACULA__V1__ERROR_CODE__INVALID},
        {"nats://", "nats://HOST:PORT", MACULA__V1__ERROR_CODE__INVALID},
        {"", "nats://HOST:PORT", MACULA__V1__ERROR_CODE__INVALID},
        {"nats://127.0.0.1:x", "nats://HOST:PORT", MACULA__V1__ERROR_CODE__INVALID},
        {"nats://127.0.0.1:99999", "nats://HOST:PORT", MACULA__V1__ERROR_CODE__INVALID},
        {"nats://127.0.0.1:1/path", "nats://HOST:PORT", MACULA__V1__ERROR_CODE__INVALID},
        {"nats://127.0.0.1:1/", "no server", MACULA__V1__ERROR_CODE__UNAVAILABLE},
        {"127.0.0.1:1", "no server", MACULA__V1__ERROR_CODE__UNAVAILABLE},
        {"nats://[::1]:1", "no server", MACULA__V1__ERROR_CODE__UNAVAILABLE},
        {"::1", "no server", MACULA__V1__ERROR_CODE__UNAVAILABLE},
        {"localhost:1", "no server", MACULA__V1__ERROR_CODE__UNAVAILABLE},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        test_node node = {0};
        uv_loop_init(&node.loop);
        uv_timer_init(&node.loop, &node.guard);
        test_states states = {0};
        mac_bus *bus = mac_bus_new(&(mac_bus_options){.loop = &node.loop,
                                                      .url = cases[i].url,
                                                      .name = "cli",
                                                      .realm = TEST_REALM,
                                                      .once = true,
                                                      .on_state = test_on_state,
                                                      .data = &states});
        mac_bus_start(bus);
        test_node_until_count(&node, &states.closed, 1);
        if (states.last_error != cases[i].code || !strstr(states.text, cases[i].text))
            fail_msg("%s: %d %s", cases[i].url, states.last_error, states.text);
        test_node_close(&node, &bus);
        uv_close((uv_handle_t *)&node.guard, NULL);
        uv_run(&node.loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&node.loop), 0);
    }
}

/* Whatever is under way, closing is the end of it. */
static void a_bus_may_be_closed_while_it_connects(void **state) {
    (void)state;
    static const test_script scripts[] = {{.greeting = ""}, {.knocked = ""}, {.opened = ""}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(scripts); i++)
        for (unsigned turns = 0; turns < 8; turns++) {
            scene s;
            scene_open(&s, &scripts[i], NULL);
            for (unsigned turn = 0; turn < turns; turn++)
                uv_run(&s.node.loop, UV_RUN_NOWAIT);
            scene_close(&s);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_greet_as_a_server_of_nats_is_left),
        cmocka_unit_test(a_refusal_of_the_key_is_told_as_one),
        cmocka_unit_test(what_goes_wrong_later_costs_the_connection),
        cmocka_unit_test(a_server_may_end_anywhere),
        cmocka_unit_test(a_server_that_says_nothing_is_left_in_time),
        cmocka_unit_test(strange_things_are_taken_as_they_are),
        cmocka_unit_test(a_session_may_come_byte_by_byte),
        cmocka_unit_test(a_message_that_is_too_large_is_dropped_alone),
        cmocka_unit_test(a_large_message_is_read_and_its_memory_given_back),
        cmocka_unit_test(workloads_are_not_answered_faster_than_the_server_takes_it),
        cmocka_unit_test(the_key_is_shown_by_a_signature_and_never_said),
        cmocka_unit_test(a_login_in_the_url_is_said_to_the_server_and_to_nobody_else),
        cmocka_unit_test(an_address_that_is_none_is_told_so),
        cmocka_unit_test(a_bus_may_be_closed_while_it_connects),
    };
    return cmocka_run_group_tests_name("servers that go wrong", tests, NULL, NULL);
}
