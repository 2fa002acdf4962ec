/* Messages as they go over the wire: the bytes of each, and that they arrive whole and in order when the kernel takes
 * only a part. */
#include "test-bus-node.h"

#include <signal.h>
#include <string.h>

#include "bus-internal.h"

#define RPC "macula.rpc." TEST_REALM "."

static void assert_frame(const char *wanted, const char *reply, const char *data, const bus_header *headers,
                         size_t header_count) {
    mac_autobuffer out = {0};
    bus_frame_append(&out, "a.b", reply, data, strlen(data), headers, header_count);
    assert_string_equal(out.data, wanted);
    assert_int_equal(out.length, strlen(wanted));
    bus_frame_append(&out, "a.b", reply, data, strlen(data), headers, header_count); /* whole ones follow each other */
    assert_int_equal(out.length, 2 * strlen(wanted));
    assert_string_equal(out.data + strlen(wanted), wanted);
}

static void a_message_is_what_the_protocol_says(void **state) {
    (void)state;
    assert_frame("PUB a.b 0\r\n\r\n", NULL, "", NULL, 0);
    assert_frame("PUB a.b r.1 10\r\n0123456789\r\n", "r.1", "0123456789", NULL, 0);
    const bus_header headers[] = {{"A", "1"}, {"Bc", ""}};
    assert_frame("HPUB a.b 24 25\r\nNATS/1.0\r\nA: 1\r\nBc: \r\n\r\nx\r\n", NULL, "x", headers, 2);
    mac_autobuffer out = {0}; /* what the server counts */
    assert_int_equal(bus_frame_append(&out, "a.b", "r", "x", 1, headers, 2), 25);
    assert_int_equal(bus_frame_append(&out, "a.b", "r", "x", 1, NULL, 0), 1);
}

static void a_header_cannot_add_a_line(void **state) {
    (void)state;
    const bus_header headers[] = {{"A", "1\r\n\r\nPUB x 0"}};
    assert_frame("HPUB a.b r 29 29\r\nNATS/1.0\r\nA: 1    PUB x 0\r\n\r\n\r\n", "r", "", headers, 1);
}

/* ---- more than the kernel takes ---- */

#define BIG (256u << 10)
#define MESSAGES_BEHIND 4u /* after the kernel has taken the last byte */
#define MESSAGES_MAX 200u  /* more than it can take */

typedef struct received {
    unsigned count;
    bool wrong;
} received;

static void on_big(const mac_event *event, void *data) {
    received *seen = data;
    const uint8_t *bytes = event->data;
    seen->wrong = seen->wrong || event->length != BIG - seen->count;
    for (size_t i = 0; i < event->length && !seen->wrong; i++)
        seen->wrong = bytes[i] != (uint8_t)(seen->count + 1);
    seen->count++;
}

/* The server stands still, so that a message is cut in the middle; the request that follows needs a subscription of its
 * own, which must not end up inside that message. */
static void messages_arrive_whole_when_the_kernel_takes_only_a_part(void **state) {
    test_node *node = *state;
    static uint8_t data[BIG];
    static received seen;
    assert_int_equal(mac_bus_subscribe(node->service, "big", on_big, &seen, NULL), 0);
    test_node_flush(node, node->service);
    assert_int_equal(kill(test_server_pid(node->server), SIGSTOP), 0);
    unsigned sent = 0;
    for (unsigned behind = 0; behind < MESSAGES_BEHIND; sent++) {
        assert_true(sent < MESSAGES_MAX);
        memset(data, (int)(sent + 1), BIG);
        assert_int_equal(mac_bus_publish_raw(node->client, "big", data, BIG - sent, NULL), 0);
        behind += bus_wire_backlog(node->client->wire) > 0;
    }
    test_answer answers[3] = {0};
    for (unsigned i = 0; i < MAC_ARRAY_SIZE(answers); i++)
        mac_bus_request(node->client, RPC "echo.say", "{\"text\":\"x\"}", 12, false, false, 10000, test_on_answer,
                        &answers[i]);
    assert_true(bus_wire_backlog(node->client->wire) > 0);
    assert_int_equal(kill(test_server_pid(node->server), SIGCONT), 0);
    test_node_until_count(node, &seen.count, sent);
    assert_false(seen.wrong);
    for (unsigned i = 0; i < MAC_ARRAY_SIZE(answers); i++) {
        test_node_until(node, &answers[i].done);
        assert_string_equal(answers[i].body, "{\"text\":\"x\"}");
        test_answer_clear(&answers[i]);
    }
    assert_int_equal(bus_wire_backlog(node->client->wire), 0);
}

static int setup(void **state) {
    *state = test_node_echo_new();
    return 0;
}

static int teardown(void **state) {
    test_node_free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_what_the_protocol_says),
        cmocka_unit_test(a_header_cannot_add_a_line),
        cmocka_unit_test_setup_teardown(messages_arrive_whole_when_the_kernel_takes_only_a_part, setup, teardown),
    };
    return cmocka_run_group_tests_name("messages on the wire", tests, NULL, NULL);
}
