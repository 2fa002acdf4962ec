/* Who may come in: codes, sessions, addresses and names. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "firstboot-door.h"
#include "firstboot-peer.h"

/* ---- the door ---- */

static void a_code_is_read_as_people_type_it(void **state) {
    (void)state;
    char code[FIRSTBOOT_CODE_SIZE];
    assert_true(firstboot_code_read(" abc 234", code));
    assert_string_equal(code, "ABC-234");
    static const char *const bad[] = {"", "ABC-23", "ABC-2345", "ABC-01O", "ABC-23\xc3\xa9", "ABC_234"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++)
        assert_false(firstboot_code_read(bad[i], code));
}

static void a_code_opens_one_session_and_is_over(void **state) {
    (void)state;
    firstboot_door door;
    const firstboot_session *session = NULL;
    uint64_t wait = 0;
    firstboot_door_init(&door, 1000);
    mac_autofree char *code = mac_strdup(door.code);
    assert_int_equal(firstboot_door_enter(&door, "a", code, 1000, &session, &wait), FIRSTBOOT_OPENED);
    assert_ptr_equal(firstboot_door_session(&door, session->token, 2000), session);
    assert_true(firstboot_door_csrf(session, session->csrf));
    assert_false(firstboot_door_csrf(session, session->token));
    assert_false(firstboot_door_csrf(session, ""));
    assert_string_not_equal(door.code, code);
    assert_int_equal(firstboot_door_enter(&door, "b", code, 2000, &session, &wait), FIRSTBOOT_WRONG);
    assert_null(firstboot_door_session(&door, "", 2000));
    assert_null(firstboot_door_session(&door, session->token, 2000 + FIRSTBOOT_SESSION_MS + 1));
}

static void a_code_is_over_after_its_time(void **state) {
    (void)state;
    firstboot_door door;
    const firstboot_session *session = NULL;
    uint64_t wait = 0;
    firstboot_door_init(&door, 1000);
    mac_autofree char *code = mac_strdup(door.code);
    assert_int_equal(firstboot_door_enter(&door, "a", code, 1000 + FIRSTBOOT_CODE_MS, &session, &wait),
                     FIRSTBOOT_WRONG);
}

static void who_guesses_waits_longer_and_longer_and_nobody_else_does(void **state) {
    (void)state;
    firstboot_door door;
    const firstboot_session *session = NULL;
    uint64_t wait = 0, before = 0, now = 1000;
    firstboot_door_init(&door, now);
    mac_autofree char *code = mac_strdup(door.code);
    for (unsigned i = 0; i < FIRSTBOOT_FREE; i++)
        assert_int_equal(firstboot_door_enter(&door, "bad", "", now, &session, &wait), FIRSTBOOT_WRONG);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(firstboot_door_enter(&door, "bad", code, now, &session, &wait), FIRSTBOOT_LATER);
        assert_true(wait > before);
        before = wait;
        now += wait;
        assert_int_equal(firstboot_door_enter(&door, "bad", "", now, &session, &wait), FIRSTBOOT_WRONG);
    }
    assert_int_equal(firstboot_door_enter(&door, "good", code, now, &session, &wait), FIRSTBOOT_OPENED);
}

/* Guesses a wrong code from so many addresses, each looked at three times; how many were looked at. */
static unsigned guess(firstboot_door *door, const char *prefix, unsigned addresses, uint64_t now) {
    const firstboot_session *session = NULL;
    uint64_t wait = 0;
    unsigned looked_at = 0;
    for (unsigned i = 0; i < 3 * addresses; i++) {
        char peer[32];
        snprintf(peer, sizeof peer, "%s%u", prefix, i % addresses);
        looked_at += firstboot_door_enter(door, peer, "", now, &session, &wait) == FIRSTBOOT_WRONG;
    }
    return looked_at;
}

static void who_guesses_from_many_addresses_keeps_nobody_else_out(void **state) {
    (void)state;
    firstboot_door door;
    const firstboot_session *session = NULL;
    uint64_t wait = 0, now = 1000;
    firstboot_door_init(&door, now);
    for (unsigned minute = 0; minute < 3; minute++, now += 60000) { /* all of a network, and more than it has */
        unsigned looked_at = guess(&door, "192.168.1.", 253, now);
        assert_int_equal(looked_at, minute ? FIRSTBOOT_ATTEMPTS_MINUTE : 253 * FIRSTBOOT_FREE);
        mac_autofree char *six = mac_asprintf("fd%u::", minute);
        assert_int_equal(guess(&door, six, 200, now), FIRSTBOOT_OWN_MINUTE_IP6);
        assert_int_equal(firstboot_door_enter(&door, "fe80::a", "", now, &session, &wait), FIRSTBOOT_LATER);
        assert_int_equal(firstboot_door_enter(&door, "192.168.1.254", "typo", now, &session, &wait), FIRSTBOOT_WRONG);
        mac_autofree char *code = mac_strdup(door.code);
        assert_int_equal(firstboot_door_enter(&door, "192.168.1.254", code, now, &session, &wait), FIRSTBOOT_OPENED);
    }
}

static void many_guessers_together_are_stopped_too(void **state) {
    (void)state;
    firstboot_door door;
    const firstboot_session *session = NULL;
    uint64_t wait = 0;
    unsigned looked_at = 0;
    firstboot_door_init(&door, 1000);
    mac_autofree char *code = mac_strdup(door.code);
    for (unsigned i = 0; i < 1000; i++) {
        char peer[16];
        snprintf(peer, sizeof peer, "%u", i);
        looked_at += firstboot_door_enter(&door, peer, "", 1000 + i, &session, &wait) == FIRSTBOOT_WRONG;
    }
    assert_int_equal(looked_at, FIRSTBOOT_ATTEMPTS_MINUTE + FIRSTBOOT_OWN_MINUTE_IP4);
    assert_string_not_equal(door.code, code);
}

/* ---- addresses ---- */

static bool allowed(const char *text, char **networks, size_t count) {
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        return firstboot_peer_allowed((struct sockaddr *)&four, networks, count);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return firstboot_peer_allowed((struct sockaddr *)&six, networks, count);
}

static void only_neighbours_may_ask(void **state) {
    (void)state;
    static const char *const near[] = {"127.0.0.1",   "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
                                       "169.254.9.9", "::1",      "fe80::1",    "fd00:1::2",      "::ffff:10.0.0.1"};
    static const char *const far[] = {"8.8.8.8",     "172.32.0.1",     "192.169.0.1",
                                      "2001:db8::1", "::ffff:8.8.8.8", "100.64.0.1"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(near); i++)
        assert_true(allowed(near[i], NULL, 0));
    for (size_t i = 0; i < MAC_ARRAY_SIZE(far); i++)
        assert_false(allowed(far[i], NULL, 0));
    char *networks[] = {(char *)(uintptr_t) "8.8.0.0/17", (char *)(uintptr_t) "2001:db8::/33"};
    assert_true(allowed("8.8.8.8", networks, 2));
    assert_false(allowed("8.8.128.1", networks, 2));
    assert_true(allowed("2001:db8:7fff::1", networks, 2));
    assert_false(allowed("2001:db8:8000::1", networks, 2));
}

static bool is_public(const char *text) {
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        return firstboot_peer_public((struct sockaddr *)&four);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return firstboot_peer_public((struct sockaddr *)&six);
}

static void an_address_behind_the_nat_of_a_carrier_is_not_public(void **state) {
    (void)state;
    static const char *const inner[] = {"100.64.3.9", "100.127.0.1", "10.0.0.1", "192.168.1.1",     "198.18.0.1",
                                        "127.0.0.1",  "fd00::1",     "fe80::1",  "::ffff:10.0.0.1", "::1"};
    static const char *const outer[] = {"8.8.8.8", "100.128.0.1", "100.63.0.1", "2a00:1450::1", "::ffff:8.8.8.8"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(inner); i++)
        assert_false(is_public(inner[i]));
    for (size_t i = 0; i < MAC_ARRAY_SIZE(outer); i++)
        assert_true(is_public(outer[i]));
}

static void neighbours_count_apart_and_hosts_beyond_a_router_by_their_network(void **state) {
    (void)state;
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    char name[FIRSTBOOT_PEER_SIZE];
    assert_int_equal(inet_pton(AF_INET6, "fd77::666", &six.sin6_addr), 1);
    firstboot_peer_name((struct sockaddr *)&six, true, name);
    assert_string_equal(name, "fd77::666");
    firstboot_peer_name((struct sockaddr *)&six, false, name);
    assert_string_equal(name, "fd77::");
    assert_int_equal(inet_pton(AF_INET6, "fe80::7", &six.sin6_addr), 1);
    assert_true(firstboot_peer_on_link((struct sockaddr *)&six));
    assert_int_equal(inet_pton(AF_INET6, "2001:db8:bad::7", &six.sin6_addr), 1);
    assert_false(firstboot_peer_on_link((struct sockaddr *)&six));
}

static void only_names_of_the_node_are_answered(void **state) {
    (void)state;
    static const char *const good[] = {
        "192.168.1.5", "192.168.1.5:80", "[fe80::1]:8080",          "localhost",         "edge.local", "EDGE.local.:80",
        "edge",        "edge.lan",       "edge.site-7.example.com", "EDGE.Home.Arpa.:80"};
    static const char *const bad[] = {"",
                                      "evil.example",
                                      "edgy.example",
                                      "[::1",
                                      "a:b",
                                      "local",
                                      ".local",
                                      "edge.local:80x",
                                      "edge.evil.com",
                                      "edge.lan.evil.com",
                                      "edge.com",
                                      "edge.example.com",
                                      "edge-site-7.example.com",
                                      "site-7.example.com"};
    mac_autostrings domains = {0};
    mac_strings_add(&domains, "site-7.example.com");
    for (size_t i = 0; i < MAC_ARRAY_SIZE(good); i++)
        assert_true(firstboot_peer_host(good[i], "edge", &domains));
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++)
        assert_false(firstboot_peer_host(bad[i], "edge", &domains));
    assert_false(firstboot_peer_host(NULL, "edge", &domains));
    assert_true(firstboot_peer_origin("http://edge.local:81", "edge.local:81"));
    assert_false(firstboot_peer_origin("http://evil.example", "edge.local"));
    assert_false(firstboot_peer_origin("null", "edge.local"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_code_is_read_as_people_type_it),
        cmocka_unit_test(a_code_opens_one_session_and_is_over),
        cmocka_unit_test(a_code_is_over_after_its_time),
        cmocka_unit_test(who_guesses_waits_longer_and_longer_and_nobody_else_does),
        cmocka_unit_test(who_guesses_from_many_addresses_keeps_nobody_else_out),
        cmocka_unit_test(many_guessers_together_are_stopped_too),
        cmocka_unit_test(only_neighbours_may_ask),
        cmocka_unit_test(an_address_behind_the_nat_of_a_carrier_is_not_public),
        cmocka_unit_test(neighbours_count_apart_and_hosts_beyond_a_router_by_their_network),
        cmocka_unit_test(only_names_of_the_node_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
