/* A check's states, budgets and silences, with a clock that is a number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "healthd-check.h"

#define UNIX 1700000000000

static healthd_check *make(unsigned failures, unsigned successes) {
    healthd_check *check = healthd_check_new("shop", HEALTHD_HTTP);
    check->failures = failures;
    check->successes = successes;
    check->max_restarts = 3;
    return check;
}

static void one_good_look_makes_it_ok(void **state) {
    (void)state;
    mac_autoptr(healthd_check) check = make(3, 1);
    assert_true(healthd_check_look(check, true, "well", 10, UNIX));
    assert_int_equal(check->state, HEALTHD_OK);
    assert_int_equal(check->since_ms, UNIX);
}

static void it_fails_only_after_so_many_bad_looks_in_a_row(void **state) {
    (void)state;
    mac_autoptr(healthd_check) check = make(3, 1);
    assert_true(healthd_check_look(check, true, "", 1, UNIX));
    assert_false(healthd_check_look(check, false, "", 2, UNIX));
    assert_false(healthd_check_look(check, false, "", 3, UNIX));
    assert_false(healthd_check_look(check, true, "", 4, UNIX)); /* the row is broken */
    assert_false(healthd_check_look(check, false, "", 5, UNIX));
    assert_false(healthd_check_look(check, false, "", 6, UNIX));
    assert_int_equal(check->state, HEALTHD_OK);
    assert_true(healthd_check_look(check, false, "", 7, UNIX));
    assert_int_equal(check->state, HEALTHD_FAILED);
    assert_int_equal(check->since_boot, 7);
}

static void it_is_well_again_only_after_so_many_good_looks_in_a_row(void **state) {
    (void)state;
    mac_autoptr(healthd_check) check = make(1, 2);
    assert_true(healthd_check_look(check, false, "", 1, UNIX));
    assert_false(healthd_check_look(check, true, "", 2, UNIX));
    assert_false(healthd_check_look(check, false, "", 3, UNIX));
    assert_false(healthd_check_look(check, true, "", 4, UNIX));
    assert_true(healthd_check_look(check, true, "", 5, UNIX));
}

static void what_a_look_says_is_one_short_line(void **state) {
    (void)state;
    mac_autoptr(healthd_check) check = make(1, 1);
    mac_autofree char *flood = mac_malloc(5000);
    memset(flood, 'x', 4999);
    flood[4999] = '\0';
    flood[3] = '\n';
    flood[4] = '\x1b';
    memcpy(flood + HEALTHD_MESSAGE_MAX - 1, "ü", 2); /* the cut is in the middle of it */
    healthd_check_look(check, true, flood, 1, UNIX);
    assert_int_equal(strlen(check->message), HEALTHD_MESSAGE_MAX - 1);
    assert_true(mac_utf8_valid(check->message, strlen(check->message)));
    assert_null(strpbrk(check->message, "\n\x1b"));
}

static void a_silence_hides_it_and_ends(void **state) {
    (void)state;
    mac_autoptr(healthd_check) check = make(1, 1);
    healthd_check_look(check, false, "", 1, UNIX);
    assert_true(healthd_check_hurts(check, 100));
    check->silent_until_boot = 200;
    assert_false(healthd_check_hurts(check, 199));
    assert_true(healthd_check_hurts(check, 200));
    assert_int_equal(healthd_check_bad_since(check), 200); /* nothing was done about it before */
}

static void an_acknowledgement_ends_when_it_is_well_and_that_is_to_be_kept(void **state) {
    (void)state;
    mac_autoptr(healthd_check) check = make(1, 1);
    healthd_check_look(check, false, "", 1, UNIX);
    healthd_check_look(check, true, "", 2, UNIX);
    assert_false(check->is_unkept);
    healthd_check_look(check, false, "", 3, UNIX);
    check->acknowledged_by = mac_strdup("anna");
    healthd_check_look(check, true, "", 4, UNIX);
    assert_null(check->acknowledged_by);
    assert_true(check->is_unkept);
}

static void restarts_are_spaced_and_then_spent(void **state) {
    (void)state;
    mac_autoptr(healthd_check) check = make(1, 1);
    uint64_t now = 5;
    assert_int_equal(healthd_check_may_restart(check, now), HEALTHD_RESTART_NOW);
    assert_int_equal(healthd_check_may_restart(check, now + HEALTHD_BACKOFF_MS - 1), HEALTHD_RESTART_WAIT);
    now += HEALTHD_BACKOFF_MS;
    assert_int_equal(healthd_check_may_restart(check, now), HEALTHD_RESTART_NOW);
    assert_int_equal(healthd_check_may_restart(check, now + HEALTHD_BACKOFF_MS), HEALTHD_RESTART_WAIT); /* doubled */
    now += 2 * HEALTHD_BACKOFF_MS;
    assert_int_equal(healthd_check_may_restart(check, now), HEALTHD_RESTART_NOW);
    now += 20 * HEALTHD_BACKOFF_MS;
    assert_int_equal(healthd_check_may_restart(check, now), HEALTHD_RESTART_SPENT);
    assert_int_equal(healthd_check_next_hour(check, now), 5 + HEALTHD_HOUR_MS);
    assert_int_equal(healthd_check_may_restart(check, 5 + HEALTHD_HOUR_MS), HEALTHD_RESTART_NOW); /* the first is old */
}

static void no_budget_is_no_restart(void **state) {
    (void)state;
    mac_autoptr(healthd_check) check = make(1, 1);
    check->max_restarts = 0;
    assert_int_equal(healthd_check_may_restart(check, 5), HEALTHD_RESTART_SPENT);
}

static void cleaning_up_takes_nothing_from_the_budget_of_restarts(void **state) {
    (void)state;
    mac_autoptr(healthd_check) check = make(1, 1);
    check->max_restarts = 1;
    assert_int_equal(healthd_check_may_restart(check, 5), HEALTHD_RESTART_NOW);
    assert_true(healthd_check_may_clean_up(check, 5));
    assert_false(healthd_check_may_clean_up(check, 5 + HEALTHD_CLEANUP_EACH_MS - 1));
    assert_int_equal(healthd_check_restarts(check, 6), 1);
    assert_true(healthd_check_may_clean_up(check, 5 + HEALTHD_CLEANUP_EACH_MS));
    assert_int_equal(healthd_check_restarts(check, 5 + HEALTHD_HOUR_MS), 0);
}

static void a_new_configuration_keeps_what_people_said(void **state) {
    (void)state;
    mac_autoptr(healthd_check) before = make(1, 1);
    mac_autoptr(healthd_check) after = make(1, 1);
    before->target = mac_strdup("http://a/");
    after->target = mac_strdup("http://b/");
    healthd_check_look(before, false, "", 1, UNIX);
    before->silent_until_boot = 77;
    before->acknowledged_by = mac_strdup("anna");
    assert_int_equal(healthd_check_may_restart(before, 5), HEALTHD_RESTART_NOW);
    assert_true(healthd_check_may_clean_up(before, 5));
    healthd_check_inherit(after, before);
    assert_int_equal(after->silent_until_boot, 77);
    assert_string_equal(after->acknowledged_by, "anna");
    assert_int_equal(healthd_check_restarts(after, 6), 1); /* a change does not refill the budget */
    assert_true(healthd_check_cleaned_up(after, 6));
    assert_int_equal(after->state, HEALTHD_WAITING); /* it looks at something else */
}

static void deaths_are_counted_as_the_supervisor_counts_them(void **state) {
    (void)state;
    mac_autoptr(healthd_check) check = healthd_check_new("service.netd", HEALTHD_SERVICE);
    assert_int_equal(healthd_check_died(check, 2, 1000), 2);
    assert_int_equal(healthd_check_died(check, 2, 2000), 0); /* told again */
    assert_int_equal(healthd_check_died(check, 4, 3000), 2); /* an event was lost */
    assert_int_equal(healthd_check_steady_at(check, 3000), 0);
    assert_int_equal(healthd_check_died(check, 1, 4000), 1); /* it has begun anew */
    assert_int_equal(healthd_check_deaths(check, 4000), 5);
    assert_int_equal(healthd_check_steady_at(check, 4000), 1000 + HEALTHD_HOUR_MS);
    assert_int_equal(healthd_check_deaths(check, 1000 + HEALTHD_HOUR_MS), 3);
    assert_int_equal(healthd_check_died(check, UINT32_MAX, 5000000), UINT32_MAX - 1);
    assert_int_equal(healthd_check_deaths(check, 5000000), HEALTHD_DEATHS_KEPT);
}

static void a_service_that_dies_often_is_less_than_one_that_is_gone(void **state) {
    (void)state;
    mac_autoptr(healthd_check) check = healthd_check_new("service.netd", HEALTHD_SERVICE);
    check->critical = true;
    assert_true(healthd_check_set_unsteady(check, "died 5 times", 1000, 1));
    assert_true(healthd_check_hurts(check, 1000));
    assert_false(healthd_check_is_grave(check));
    assert_false(healthd_check_set(check, false, "gave up", 9000, 2));
    assert_true(healthd_check_is_grave(check));
    assert_int_equal(check->since_boot, 9000); /* how long it is vital that it is broken counts from now on */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_good_look_makes_it_ok),
        cmocka_unit_test(it_fails_only_after_so_many_bad_looks_in_a_row),
        cmocka_unit_test(it_is_well_again_only_after_so_many_good_looks_in_a_row),
        cmocka_unit_test(what_a_look_says_is_one_short_line),
        cmocka_unit_test(a_silence_hides_it_and_ends),
        cmocka_unit_test(an_acknowledgement_ends_when_it_is_well_and_that_is_to_be_kept),
        cmocka_unit_test(restarts_are_spaced_and_then_spent),
        cmocka_unit_test(no_budget_is_no_restart),
        cmocka_unit_test(cleaning_up_takes_nothing_from_the_budget_of_restarts),
        cmocka_unit_test(a_new_configuration_keeps_what_people_said),
        cmocka_unit_test(deaths_are_counted_as_the_supervisor_counts_them),
        cmocka_unit_test(a_service_that_dies_often_is_less_than_one_that_is_gone),
    };
    return cmocka_run_group_tests_name("healthd check", tests, NULL, NULL);
}
