/* The gate, with a clock that is a number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "healthd-gate.h"

#define UNIX 1700000000000

static healthd_check *checks[2];
static healthd_gate gate;

static int set_up(void **state) {
    (void)state;
    gate = (healthd_gate){.hold_ms = 60000, .limit_ms = 600000, .started_boot = 1000};
    checks[0] = healthd_check_new("shop", HEALTHD_HTTP);
    checks[0]->gates = true;
    checks[1] = healthd_check_new("other", HEALTHD_HTTP);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    healthd_gate_deinit(&gate);
    healthd_check_free(checks[0]);
    healthd_check_free(checks[1]);
    return 0;
}

static bool at(uint64_t now) {
    return healthd_gate_update(&gate, checks, 2, now, UNIX + (int64_t)now);
}

static void look(bool good, uint64_t now) {
    healthd_check_look(checks[0], good, good ? "well" : "answered with status 500", now, UNIX);
}

static void it_passes_when_all_have_held_for_so_long(void **state) {
    (void)state;
    look(true, 2000);
    assert_false(at(2000));
    assert_int_equal(healthd_gate_wait(&gate, 2000), 60000);
    assert_false(at(61999));
    assert_true(at(62000));
    assert_int_equal(gate.state, HEALTHD_GATE_PASSED);
    assert_int_equal(healthd_gate_wait(&gate, 62000), 0);
}

static void a_break_begins_it_anew(void **state) {
    (void)state;
    look(true, 2000);
    assert_false(at(2000));
    look(false, 30000);
    assert_false(at(30000));
    look(true, 40000);
    assert_false(at(40000));
    assert_false(at(99999));
    assert_true(at(100000));
    assert_int_equal(gate.state, HEALTHD_GATE_PASSED);
}

static void a_death_begins_it_anew_though_no_check_fails(void **state) {
    (void)state;
    look(true, 2000);
    assert_false(at(2000));
    healthd_gate_interrupt(&gate); /* between two looks */
    assert_false(at(30000));
    assert_false(at(89999));
    checks[0]->down = true; /* it is not there again yet */
    assert_false(at(90000));
    assert_string_equal(gate.reasons.items[0], "shop: well");
    checks[0]->down = false;
    assert_false(at(95000));
    assert_false(at(154999));
    assert_true(at(155000));
    assert_int_equal(gate.state, HEALTHD_GATE_PASSED);
}

static void it_fails_at_the_limit_and_says_why(void **state) {
    (void)state;
    look(false, 2000);
    assert_false(at(600999));
    assert_true(at(601000));
    assert_int_equal(gate.state, HEALTHD_GATE_FAILED);
    assert_string_equal(gate.reasons.items[0], "shop: answered with status 500");
    look(true, 700000);
    assert_false(at(900000)); /* final */
    assert_int_equal(gate.state, HEALTHD_GATE_FAILED);
}

static void what_holds_too_late_fails(void **state) {
    (void)state;
    look(true, 590000);
    assert_false(at(590000));
    assert_true(at(601000));
    assert_int_equal(gate.state, HEALTHD_GATE_FAILED);
    assert_non_null(strstr(gate.reasons.items[0], "held for 11 s only"));
}

static void what_was_not_looked_at_does_not_hold(void **state) {
    (void)state;
    assert_false(at(2000));
    assert_false(gate.holds);
    assert_string_equal(gate.reasons.items[0], "shop: not looked at yet");
}

static void checks_that_do_not_gate_do_not_matter(void **state) {
    (void)state;
    look(true, 2000);
    healthd_check_look(checks[1], false, "", 2000, UNIX);
    assert_false(at(2000));
    assert_true(at(62000));
    assert_int_equal(gate.state, HEALTHD_GATE_PASSED);
}

static void a_critical_check_gates_by_itself(void **state) {
    (void)state;
    checks[1]->critical = true;
    look(true, 2000);
    assert_false(at(2000));
    assert_false(gate.holds);
}

static void nothing_that_gates_passes(void **state) {
    (void)state;
    checks[0]->gates = false;
    assert_false(at(2000));
    assert_true(at(62000));
    assert_int_equal(gate.state, HEALTHD_GATE_PASSED);
}

int main(void) {
#define GATE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        GATE_TEST(it_passes_when_all_have_held_for_so_long),
        GATE_TEST(a_break_begins_it_anew),
        GATE_TEST(a_death_begins_it_anew_though_no_check_fails),
        GATE_TEST(it_fails_at_the_limit_and_says_why),
        GATE_TEST(what_holds_too_late_fails),
        GATE_TEST(what_was_not_looked_at_does_not_hold),
        GATE_TEST(checks_that_do_not_gate_do_not_matter),
        GATE_TEST(a_critical_check_gates_by_itself),
        GATE_TEST(nothing_that_gates_passes),
    };
    return cmocka_run_group_tests_name("healthd gate", tests, NULL, NULL);
}
