/* Messages of DHCPv6 without a network: what is built can be read, and what is damaged or no answer is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "netd-dhcp6-message.h"

#define CLIENT "\0\3\0\1\2\0\0\0\0\1"
#define HEAD "\x12\x34\x56" /* the transaction */
#define CLIENT_OPTION "\0\1\0\x0a" CLIENT
#define SERVER_OPTION "\0\2\0\4abcd"
#define FD77_7 "\xfd\x77\0\0\0\0\0\0\0\0\0\0\0\0\0\7"
#define ADDRESS_OPTION "\0\5\0\x18" FD77_7 "\0\0\0\x3c\0\0\0\x78" /* preferred 60 s, valid 120 s */
#define ASSOCIATION_OPTION "\0\3\0\x28\0\0\0\1\0\0\0\0\0\0\0\0" ADDRESS_OPTION
#define DNS_OPTION "\0\x17\0\x20" FD77_7 "\xff\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
#define DOMAINS_OPTION "\0\x18\0\x0f\5plant\7example\0"

static const netd_dhcp6_question solicit = {
    .type = NETD_DHCP6_SOLICIT, .transaction = 0x123456, .client = {CLIENT, 10}, .association = 1};

static int parse(const char *data, size_t length, netd_dhcp6_answer *answer) {
    return netd_dhcp6_parse(data, length, &solicit, answer);
}
#define PARSE(text, answer) parse(text, sizeof(text) - 1, answer)

static void an_answer_is_read(void **data) {
    netd_dhcp6_answer answer;
    char text[NETD_NET_TEXT];
    (void)data;
    assert_int_equal(PARSE("\2" HEAD CLIENT_OPTION SERVER_OPTION ASSOCIATION_OPTION DNS_OPTION DOMAINS_OPTION, &answer),
                     0);
    assert_int_equal(answer.type, NETD_DHCP6_ADVERTISE);
    assert_true(answer.has_address);
    assert_string_equal(netd_net_format(&answer.lease.address, text), "fd77::7/128");
    assert_int_equal(answer.lease.lease_s, 120);
    assert_int_equal(answer.renew_s, 60);
    assert_int_equal(answer.rebind_s, 105);
    assert_int_equal(answer.lease.dns_count, 1); /* a multicast address is no server */
    assert_int_equal(answer.lease.search_count, 1);
    assert_string_equal(answer.lease.search[0], "plant.example");
}

static void what_is_no_answer_is_refused(void **data) {
    netd_dhcp6_answer answer;
    (void)data;
    assert_int_equal(PARSE("\2\x12\x34\x57" CLIENT_OPTION SERVER_OPTION, &answer), -EBADMSG); /* another question */
    assert_int_equal(PARSE("\1" HEAD CLIENT_OPTION SERVER_OPTION, &answer), -EBADMSG);        /* a client's */
    assert_int_equal(PARSE("\2" HEAD SERVER_OPTION, &answer), -EBADMSG);                      /* to nobody */
    assert_int_equal(PARSE("\2" HEAD "\0\1\0\x0a\0\3\0\1\2\0\0\0\0\2" SERVER_OPTION, &answer), -EBADMSG);
    assert_int_equal(PARSE("\2" HEAD CLIENT_OPTION, &answer), -EBADMSG); /* of nobody */
    assert_int_equal(PARSE("\2" HEAD CLIENT_OPTION SERVER_OPTION "\0\x0d\0\2\0\2", &answer), -EACCES);
    assert_int_equal(PARSE("\2\x12", &answer), -EBADMSG);
}

static void an_address_that_is_none_is_left_out(void **data) {
    netd_dhcp6_answer answer;
    (void)data;
    /* Another association; a status in it; no time left; preferred for longer than valid; cut off. */
    assert_int_equal(
        PARSE("\2" HEAD CLIENT_OPTION SERVER_OPTION "\0\3\0\x28\0\0\0\2\0\0\0\0\0\0\0\0" ADDRESS_OPTION, &answer), 0);
    assert_false(answer.has_address);
    assert_int_equal(PARSE("\2" HEAD CLIENT_OPTION SERVER_OPTION "\0\3\0\x2e\0\0\0\1\0\0\0\0\0\0\0\0" ADDRESS_OPTION
                           "\0\x0d\0\2\0\2",
                           &answer),
                     0);
    assert_false(answer.has_address);
    assert_int_equal(PARSE("\2" HEAD CLIENT_OPTION SERVER_OPTION "\0\3\0\x28\0\0\0\1\0\0\0\0\0\0\0\0\0\5\0\x18" FD77_7
                           "\0\0\0\0\0\0\0\0",
                           &answer),
                     0);
    assert_false(answer.has_address);
    assert_int_equal(PARSE("\2" HEAD CLIENT_OPTION SERVER_OPTION "\0\3\0\x28\0\0\0\1\0\0\0\0\0\0\0\0\0\5\0\x18" FD77_7
                           "\0\0\0\2\0\0\0\1",
                           &answer),
                     0);
    assert_false(answer.has_address);
    assert_int_equal(PARSE("\2" HEAD CLIENT_OPTION SERVER_OPTION "\0\3\0\x28\0\0\0\1\0\0\0\0\0\0\0\0\0\5\0\x19" FD77_7
                           "\0\0\0\1\0\0\0\1",
                           &answer),
                     0);
    assert_false(answer.has_address);
}

static void a_question_says_whom_and_what_it_asks(void **data) {
    uint8_t message[NETD_DHCP6_MESSAGE_MAX];
    netd_dhcp6_question request = solicit;
    (void)data;
    size_t shorter = netd_dhcp6_build(&solicit, message);
    assert_memory_equal(message, "\1" HEAD CLIENT_OPTION, 18);
    request.type = NETD_DHCP6_REQUEST;
    memcpy(request.server.bytes, "abcd", 4);
    request.server.length = 4;
    request.address.family = AF_INET6;
    memcpy(request.address.bytes, FD77_7, 16);
    assert_int_equal(netd_dhcp6_build(&request, message), shorter + 8 + 28);
    assert_memory_equal(message + 18, SERVER_OPTION, 8);
    assert_memory_equal(message + shorter + 8 + 4, FD77_7, 16);
    netd_dhcp6_question information = solicit;
    information.type = NETD_DHCP6_INFORMATION;
    assert_int_equal(netd_dhcp6_build(&information, message), shorter - 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_read),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(an_address_that_is_none_is_left_out),
        cmocka_unit_test(a_question_says_whom_and_what_it_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
