/* Who waits for leases: together, not for ever, and not too many. DHCP and the network are played here. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "netd-renewal.h"

static netd_wish_link wishes[2];
static netd_wish wish = {.links = wishes, .link_count = 2};
static netd_link links[2];
static netd_state state = {.links = links, .link_count = 2};
static unsigned started[2];
static bool at_once;
static void (*answer_to)(const char *name, netd_dhcp_answer answer, void *data);
static void *answer_data;

/* ---- what netd-renewal.c asks ---- */

netd_dhcp *netd_network_dhcp(const netd_network *network) {
    return (netd_dhcp *)network;
}

const netd_wish *netd_network_wish(const netd_network *network) {
    (void)network;
    return &wish;
}

const netd_state *netd_network_state(const netd_network *network) {
    (void)network;
    return &state;
}

bool netd_network_held(const netd_network *network, const char *name) {
    (void)network;
    (void)name;
    return false;
}

bool netd_dhcp_has(const netd_dhcp *dhcp, const char *name) {
    (void)dhcp;
    (void)name;
    return true;
}

bool netd_dhcp_is_refused(const netd_dhcp *dhcp, const char *name) {
    (void)dhcp;
    (void)name;
    return false;
}

int netd_dhcp_renew(netd_dhcp *dhcp, const char *name) {
    (void)dhcp;
    started[name[3] - '0']++;
    if (at_once)
        answer_to(name, NETD_DHCP_BROKEN, answer_data);
    return 0;
}

void netd_dhcp_watch_answers(netd_dhcp *dhcp, void (*on_answer)(const char *name, netd_dhcp_answer answer, void *data),
                             void *data) {
    (void)dhcp;
    answer_to = on_answer;
    answer_data = data;
}

/* ---- who asks ---- */

typedef struct end {
    unsigned times;
    size_t count;
    netd_dhcp_answer answer; /* of the first link */
    bool stopped;
} end;

static void on_end(const netd_renewal *ended, size_t count, void *data) {
    end *e = data;
    e->times++;
    e->count = count;
    e->stopped = !ended;
    if (ended)
        e->answer = ended[0].answer;
}

static uv_loop_t loop;

static int setup(void **ret_renewals) {
    static const char *const names[] = {"eth0", "eth1"};
    uv_loop_init(&loop);
    for (int i = 0; i < 2; i++) {
        wishes[i] = (netd_wish_link){.dhcp = true, .index = i + 1};
        mac_copy_text(wishes[i].name, sizeof wishes[i].name, names[i]);
        links[i] = (netd_link){.index = i + 1, .carrier = true};
    }
    memset(started, 0, sizeof started);
    at_once = false;
    *ret_renewals = netd_renewals_new(&loop, (netd_network *)&wish);
    answer_to("eth0", NETD_DHCP_LEASE, answer_data); /* which nobody waits for */
    return 0;
}

static int teardown(void **renewals) {
    netd_renewals_free(*renewals);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop); /* nothing is left of anybody */
}

static void who_asks_for_the_same_waits_together(void **data) {
    netd_renewals *renewals = *data;
    end one = {0}, both = {0}, other = {0};
    assert_int_equal(netd_renewals_ask(renewals, &wishes[0], on_end, &one), 0);
    assert_int_equal(netd_renewals_ask(renewals, NULL, on_end, &both), 0);
    assert_int_equal(netd_renewals_ask(renewals, &wishes[1], on_end, &other), 0);
    assert_int_equal(started[0], 1);
    assert_int_equal(started[1], 1);
    answer_to("eth0", NETD_DHCP_LEASE, answer_data);
    assert_int_equal(one.times, 1);
    assert_int_equal(one.answer, NETD_DHCP_LEASE);
    assert_int_equal(both.times, 0);
    answer_to("eth1", NETD_DHCP_SILENT, answer_data);
    assert_int_equal(both.times, 1);
    assert_int_equal(both.count, 2);
    assert_int_equal(both.answer, NETD_DHCP_LEASE);
    assert_int_equal(other.times, 1);
    assert_int_equal(other.answer, NETD_DHCP_SILENT);
    assert_int_equal(netd_renewals_ask(renewals, &wishes[0], on_end, &one), 0); /* a new question by now */
    assert_int_equal(started[0], 2);
    netd_renewals_stop(renewals);
}

static void only_so_many_wait_and_all_are_told_of_the_end(void **data) {
    netd_renewals *renewals = *data;
    end ends[NETD_RENEWALS_MAX + 1] = {{0}};
    for (size_t i = 0; i < NETD_RENEWALS_MAX; i++)
        assert_int_equal(netd_renewals_ask(renewals, NULL, on_end, &ends[i]), 0);
    assert_int_equal(netd_renewals_ask(renewals, NULL, on_end, &ends[NETD_RENEWALS_MAX]), -EBUSY);
    netd_renewals_stop(renewals);
    for (size_t i = 0; i < NETD_RENEWALS_MAX; i++)
        assert_true(ends[i].times == 1 && ends[i].stopped);
    assert_int_equal(ends[NETD_RENEWALS_MAX].times, 0);
}

static void answers_that_come_at_once_end_it_once(void **data) {
    netd_renewals *renewals = *data;
    end both = {0};
    at_once = true;
    assert_int_equal(netd_renewals_ask(renewals, NULL, on_end, &both), 0);
    assert_int_equal(both.times, 1);
    assert_int_equal(both.count, 2);
    assert_int_equal(both.answer, NETD_DHCP_BROKEN);
}

static void what_cannot_be_asked_for_is_left_out(void **data) {
    netd_renewals *renewals = *data;
    end e = {0};
    links[0].carrier = false;
    assert_string_not_equal(netd_renewal_obstacle(NULL, &wishes[0]), "");
    assert_int_equal(netd_renewals_ask(renewals, &wishes[0], on_end, &e), -ENOENT);
    assert_int_equal(netd_renewals_ask(renewals, NULL, on_end, &e), 0);
    answer_to("eth1", NETD_DHCP_LEASE, answer_data);
    assert_int_equal(e.count, 1);
    wishes[1].dhcp = false;
    assert_int_equal(netd_renewals_ask(renewals, NULL, on_end, &e), -ENOENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_asks_for_the_same_waits_together, setup, teardown),
        cmocka_unit_test_setup_teardown(only_so_many_wait_and_all_are_told_of_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_that_come_at_once_end_it_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_asked_for_is_left_out, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
