/* The reader of the protocol: what is right, what is not, and that it does not matter where the bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "test-bus-transcript.h"

#define BYTES(text) text, sizeof(text) - 1

/* Whole, in two at every place, byte by byte. */
static void assert_read_n(const char *bytes, size_t length, const char *wanted) {
    for (size_t cut = 0; cut <= length; cut++) {
        mac_autofree char *in_two = test_transcript(bytes, length, cut, length);
        assert_string_equal(in_two, wanted);
    }
    mac_autofree char *in_pieces = test_transcript(bytes, length, 0, 1);
    assert_string_equal(in_pieces, wanted);
}

static void assert_read(const char *text, const char *wanted) {
    assert_read_n(text, strlen(text), wanted);
}

static void every_item_is_read_wherever_the_bytes_are_cut(void **state) {
    (void)state;
    assert_read("INFO {\"a\": 1} \r\n+OK\r\nPING\r\nPONG\r\n-ERR 'Unknown Protocol Operation'\r\n"
                "MSG a.b 9 0\r\n\r\nMSG a.b 9 r.1 5\r\nhello\r\nMSG a\t18446744073709551615  5\r\n\r\n\r\n!\r\n"
                "HMSG a.b 7 r 18 20\r\nNATS/1.0\r\nA: 1\r\n\r\nok\r\nping\r\nmsg x 1 1\r\ny\r\n",
                "info {\"a\": 1}\nping \npong \nerror Unknown Protocol Operation\n"
                "message 9 a.b - = \nmessage 9 a.b r.1 = hello\nmessage 18446744073709551615 a - = \\r\\n\\r\\n!\n"
                "message 7 a.b r [A: 1] = ok\nping \nmessage 1 x - = y\n");
}

static void nobody_listening_is_told_by_its_status(void **state) {
    (void)state;
    assert_read("HMSG i 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", "message 1 i - status 503 nobody = \n");
    assert_read("HMSG i 1 30 30\r\nNATS/1.0 503 No Responders\r\n\r\n\r\n", "message 1 i - status 503 nobody = \n");
    assert_read("HMSG i 1 16 17\r\nNATS/1.0 503\r\n\r\nx\r\n", "message 1 i - status 503 = x\n");
    assert_read("HMSG i 1 16 16\r\nNATS/1.0 404\r\n\r\n\r\n", "message 1 i - status 404 = \n");
}

static void what_is_not_the_protocol_ends_it(void **state) {
    (void)state;
    static const char *const fields = "broken it announced a message with wrong fields\n";
    static const char *const unknown = "broken it said something that is not the protocol of NATS\n";
    static const char *const end = "broken it said a line that does not end with CR LF\n";
    static const struct {
        const char *said;
        const char *const *wanted;
    } cases[] = {
        {"MSG\r\n", &fields},
        {"MSG a\r\n", &fields},
        {"MSG a 1\r\n", &fields},
        {"MSG a 1 2 3 4\r\n", &fields},
        {"MSG a 1 2 3 4 5 6 7 8\r\n", &fields},
        {"MSG a 1 -1\r\n", &fields},
        {"MSG a 1 +1\r\n", &fields},
        {"MSG a 1 1x\r\n", &fields},
        {"MSG a 1 0x1\r\n", &fields},
        {"MSG a 1 1.0\r\n", &fields},
        {"MSG a -1 1\r\n", &fields},
        {"MSG a b 1\r\n", &fields},
        {"MSG a 1 99999999999999999999\r\n", &fields},  /* over 64 bits */
        {"MSG a 1 18446744073709551615\r\n", &fields},  /* 64 bits: with its end it would wrap around */
        {"MSG a 1 000000000000000000001\r\n", &fields}, /* 21 digits */
        {"HMSG a 1 13 12\r\n", &fields},                /* headers longer than all */
        {"HMSG a 1 -1 12\r\n", &fields},
        {"HMSG a 1 12\r\n", &fields},
        {"HMSG a 1 r 12 12 12\r\n", &fields},
        {"MSGa 1 1\r\n", &unknown},
        {"\r\n", &unknown},
        {" PING\r\n", &unknown},
        {"PINGPONG\r\n", &unknown},
        {"HTTP/1.1 400 Bad Request\r\n", &unknown},
        {"SUB a 1\r\n", &unknown},
        {"PING\n", &end},
        {"\n", &end},
        {"MSG a 1 1\nx\r\n", &end},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++)
        assert_read(cases[i].said, *cases[i].wanted);
    assert_read("MSG a 1 1\r\nxy\r\n", "broken a message did not end where it was to end\n");
    assert_read("MSG a 1 3\r\nx\r\nPING\r\n", "broken a message did not end where it was to end\n");
    assert_read("PING\r\nwhat\r\nPING\r\n", "ping \nbroken it said something that is not the protocol of NATS\n");
}

static char *line_of(char first, size_t length, const char *end) {
    mac_buffer line = {0};
    for (size_t i = 0; i < length; i++)
        mac_buffer_append(&line, i ? "x" : &first, 1);
    mac_buffer_text(&line, end);
    return mac_buffer_take(&line);
}

static void a_line_has_a_bound_with_and_without_its_end(void **state) {
    (void)state;
    static const struct {
        char first;
        size_t bound;
    } cases[] = {{'M', BUS_LINE_MAX}, {'-', BUS_LINE_MAX}, {'I', BUS_INFO_MAX}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        mac_autofree char *endless = line_of(cases[i].first, cases[i].bound, ""),
                          *ended = line_of(cases[i].first, cases[i].bound, "\r\n"),
                          *within = line_of(cases[i].first, cases[i].bound - 2, "\r\n");
        mac_autofree char *a = test_transcript(endless, strlen(endless), 0, 1000),
                          *b = test_transcript(ended, strlen(ended), strlen(ended), 1),
                          *c = test_transcript(within, strlen(within), 0, 1000);
        assert_string_equal(a, "broken it said a line without an end\n");
        assert_string_equal(b, "broken it said a line without an end\n");
        assert_string_equal(c, "broken it said something that is not the protocol of NATS\n");
    }
}

/* ---- what clients can make a server say ---- */

static void data_may_be_anything(void **state) {
    (void)state;
    assert_read_n(BYTES("MSG a 1 12\r\nPING\r\n\0\0\xff\r\n\n\r\nPING\r\n"),
                  "message 1 a - = PING\\r\\n\\x00\\x00\\xff\\r\\n\\n\nping \n");
}

static void a_subject_with_a_nul_is_nobodys(void **state) {
    (void)state;
    assert_read_n(BYTES("MSG a\0b 1 1\r\nx\r\nMSG a 1 r\0 1\r\nx\r\nMSG a\xff\x01 1 1\r\nx\r\n"),
                  "message 1 a\xff\x01 - = x\n");
}

/* Appends what the server would: MSG with these headers. */
static char *message_with(const char *headers, size_t length) {
    mac_buffer said = {0};
    mac_buffer_printf(&said, "HMSG a 1 %zu %zu\r\n", length, length + 1);
    mac_buffer_append(&said, headers, length);
    mac_buffer_text(&said, "x\r\n");
    return mac_buffer_take(&said);
}

static void assert_headers(const char *headers, size_t length, const char *wanted) {
    mac_autofree char *said = message_with(headers, length);
    size_t said_length = strlen("HMSG a 1  \r\n") + length + 3 + (length > 9 ? 2 : 1) + (length + 1 > 9 ? 2 : 1);
    assert_true(length < 99);
    mac_autofree char *read = test_transcript(said, said_length, 0, 1);
    mac_autofree char *expected = mac_asprintf("message 1 a -%s = x\n", wanted);
    assert_string_equal(read, expected);
}

static void headers_that_are_none_end_no_connection(void **state) {
    (void)state;
    assert_headers(BYTES(""), "");
    assert_headers(BYTES("NATS/1.0\r\n\r\n"), "");
    assert_headers(BYTES("NATS/1.0"), "");
    assert_headers(BYTES("\r\n\r\n"), "");
    assert_headers(BYTES("garbage\r\nA: 1\r\n\r\n"), " [A: 1]");
    assert_headers(BYTES("NATS/1.0\r\nA: 1\r\nB: 2"), " [A: 1]"); /* the data is not the rest of a header */
    assert_headers(BYTES("NATS/1.0\r\nA: 1\r\n\r\n\r\nB: 2\r\n\r\n"), " [A: 1] [B: 2]");
    assert_headers(BYTES("NATS/1.0\r\nno colon\r\n:\r\n\r\n"), " [no colon] [:]");
    assert_headers(BYTES("NATS/1.0 99999999999999999999\r\n\r\n"), " status 4294967295");
}

static const char *info_of(char *said, size_t length, bus_message *ret_message) {
    bus_protocol protocol = {0};
    bus_item item;
    size_t used;
    assert_int_equal(bus_protocol_next(&protocol, said, length, &used, &item), BUS_OP_MESSAGE);
    *ret_message = item.message;
    return bus_header_get(&item.message, "Nats-Request-Info");
}

/* The server puts its report behind what the client has sent. */
static void nobody_puts_his_own_report_before_the_servers(void **state) {
    (void)state;
    static const struct {
        const char *headers;
        size_t length;
        const char *info;
    } cases[] = {
        {BYTES("NATS/1.0\r\nNats-Request-Info: f\r\nNats-Request-Info: s\r\n\r\n"), "s"},
        {BYTES("NATS/1.0\r\nX: Nats-Request-Info\r\nNats-Request-Info: s\r\n\r\n"), "s"},
        {BYTES("NATS/1.0\r\nX: \nNats-Request-Info: s\r\n\r\n"), "s"}, /* as the server sees lines */
        {BYTES("NATS/1.0\r\nX: \rNats-Request-Info: f\r\n\r\n"), NULL},
        {BYTES("NATS/1.0\r\nX: \0\nNats-Request-Info: s\r\n\r\n"), "s"},
        {BYTES("NATS/1.0\r\n\0\r\nNats-Request-Info: s\r\n\r\n"), "s"}, /* a NUL hides nothing */
        {BYTES("\0\0\0\r\nNats-Request-Info: s\r\n\r\n"), "s"},
        {BYTES("NATS/1.0\r\n\r\n\r\nNats-Request-Info: \t s\r\n\r\n"), "s"},
        {BYTES("NATS/1.0\r\nnats-request-info: f\r\n\r\n"), NULL},
        {BYTES("NATS/1.0\r\nNats-Request-Info : f\r\n\r\n"), NULL},
        {BYTES("NATS/1.0\r\nNats-Request-Infos: f\r\n\r\n"), NULL},
        {BYTES("Nats-Request-Info: f\r\n\r\n"), NULL}, /* where the version stands is no header */
        {BYTES("NATS/1.0\r\nNats-Request-Info:\r\n\r\n"), ""},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        mac_autofree char *said = message_with(cases[i].headers, cases[i].length);
        bus_message message;
        const char *info = info_of(said, strlen("HMSG a 1 nn nn\r\n") + cases[i].length + 3, &message);
        if (!mac_streq(info, cases[i].info))
            fail_msg("case %zu: %s", i, info ? info : "none");
        assert_string_equal(message.data, "x");
    }
}

static void more_than_is_read_is_told_and_skipped(void **state) {
    (void)state;
    size_t all = BUS_MESSAGE_MAX + 1;
    mac_buffer said = {0};
    mac_buffer_printf(&said, "HMSG a 1 r 18 %zu\r\nNATS/1.0\r\nA: 1\r\n\r\n", all);
    mac_autofree char *data = mac_malloc(all);
    memset(data, 'x', all);
    mac_buffer_append(&said, data, all - 18);
    mac_buffer_printf(&said, "\r\nHMSG a 1 %u %zu\r\n", BUS_HEADERS_MAX + 1, all); /* its headers are too large, too */
    mac_buffer_append(&said, data, all);
    mac_buffer_text(&said, "\r\nMSG a 1 1\r\ny\r\n");
    mac_autofree char *wanted = mac_asprintf("message 1 a r [A: 1] too large: %zu\nmessage 1 a - = y\n", all - 18);
    static const size_t pieces[] = {1 << 30, 60000, 17};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(pieces); i++) {
        mac_autofree char *read = test_transcript(said.data, said.length, 0, pieces[i]);
        assert_string_equal(read, wanted);
    }
    mac_buffer_deinit(&said);
}

/* What is needed is known before it comes, so that nobody looks at the same bytes again and again. */
static void the_reader_says_how_much_it_needs(void **state) {
    (void)state;
    bus_protocol protocol = {0};
    bus_item item;
    size_t used;
    char said[] = "MSG a 1 100000\r\nxyz";
    assert_int_equal(bus_protocol_next(&protocol, said, strlen(said), &used, &item), BUS_OP_MORE);
    assert_int_equal(protocol.needed, strlen("MSG a 1 100000\r\n") + 100000 + 2);
    assert_int_equal(bus_protocol_next(&protocol, said, strlen(said), &used, &item), BUS_OP_MORE);
    assert_string_equal(said, "MSG a 1 100000\r\nxyz"); /* and was left as it is */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_read_wherever_the_bytes_are_cut),
        cmocka_unit_test(nobody_listening_is_told_by_its_status),
        cmocka_unit_test(what_is_not_the_protocol_ends_it),
        cmocka_unit_test(a_line_has_a_bound_with_and_without_its_end),
        cmocka_unit_test(data_may_be_anything),
        cmocka_unit_test(a_subject_with_a_nul_is_nobodys),
        cmocka_unit_test(headers_that_are_none_end_no_connection),
        cmocka_unit_test(nobody_puts_his_own_report_before_the_servers),
        cmocka_unit_test(more_than_is_read_is_told_and_skipped),
        cmocka_unit_test(the_reader_says_how_much_it_needs),
    };
    return cmocka_run_group_tests_name("the protocol", tests, NULL, NULL);
}
