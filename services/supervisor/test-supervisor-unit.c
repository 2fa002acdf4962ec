/* The states of a unit, with a clock and processes that are not real. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "log/mac-log.h"
#include "supervisor-unit.h"

#define SEGFAULT SIGSEGV
#define EXITED(code) ((code) << 8)

typedef struct world {
    supervisor_unit unit;
    uint64_t now, timer; /* timer 0: not armed */
    unsigned spawns;
    int last_signal;
    bool cannot_spawn;
    uint32_t chance;
} world;

static int spawn(supervisor_unit *unit, pid_t *ret_pid, char **ret_message, void *data) {
    (void)unit;
    world *w = data;
    w->spawns++;
    if (w->cannot_spawn) {
        *ret_message = mac_strdup("no such program");
        return -ENOENT;
    }
    *ret_pid = (pid_t)(1000 + w->spawns);
    return 0;
}

static void kill_(supervisor_unit *unit, pid_t pid, int signal_number, void *data) {
    (void)unit;
    world *w = data;
    assert_int_equal(pid, 1000 + w->spawns);
    w->last_signal = signal_number;
}

static void arm(supervisor_unit *unit, uint64_t ms, void *data) {
    (void)unit;
    world *w = data;
    w->timer = ms;
}

static uint64_t now_ms(void *data) {
    return ((world *)data)->now;
}

static uint32_t chance(void *data) {
    return ((world *)data)->chance;
}

static void changed(supervisor_unit *unit, supervisor_state from, void *data) {
    (void)unit;
    (void)from;
    (void)data;
}

static int begin(void **state) {
    static world w;
    supervisor_policy policy = {.backoff_ms = 100, .backoff_max_ms = 1000, .stable_ms = 5000, .quick_deaths = 6};
    w = (world){.now = 1000000};
    supervisor_unit_ops ops = {spawn, kill_, arm, now_ms, chance, changed, &w};
    Macula__V1__Unit *file = mac_calloc(1, sizeof *file);
    macula__v1__unit__init(file);
    file->watchdog_s = 30;
    supervisor_unit_init(&w.unit, "test", file, policy, &ops);
    *state = &w;
    return 0;
}

static int end(void **state) {
    world *w = *state;
    supervisor_unit_deinit(&w->unit);
    return 0;
}

static void pass(world *w) {
    assert_true(w->timer > 0);
    w->now += w->timer;
    w->timer = 0;
    supervisor_unit_timer(&w->unit);
}

static void ready_is_what_the_process_says(void **state) {
    world *w = *state;
    assert_int_equal(w->unit.state, SUPERVISOR_STOPPED);
    supervisor_unit_start(&w->unit);
    assert_int_equal(w->unit.state, SUPERVISOR_STARTING);
    assert_int_equal(w->timer, 60000);
    supervisor_unit_said_ready(&w->unit);
    assert_int_equal(w->unit.state, SUPERVISOR_READY);
    assert_int_equal(w->timer, 30000);
    supervisor_unit_said_status(&w->unit, "connected");
    assert_string_equal(w->unit.message, "connected");
    supervisor_unit_start(&w->unit);
    assert_int_equal(w->spawns, 1);
}

static void one_that_is_not_ready_in_time_is_killed_and_tried_again(void **state) {
    world *w = *state;
    supervisor_unit_start(&w->unit);
    pass(w);
    assert_int_equal(w->last_signal, SIGKILL);
    assert_int_equal(w->unit.state, SUPERVISOR_STOPPING);
    supervisor_unit_exited(&w->unit, SIGKILL);
    assert_int_equal(w->unit.state, SUPERVISOR_WAITING);
    assert_non_null(strstr(w->unit.message, "not ready within 60 s"));
    pass(w);
    assert_int_equal(w->unit.state, SUPERVISOR_STARTING);
    assert_int_equal(w->spawns, 2);
    assert_int_equal(w->unit.restarts, 1);
}

static void the_back_off_doubles_up_to_its_bound_and_has_some_chance(void **state) {
    world *w = *state;
    const uint64_t expected[] = {100, 200, 400, 800, 1000};
    supervisor_unit_start(&w->unit);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(expected); i++) {
        w->chance = i == 2 ? 50 : 0;
        supervisor_unit_exited(&w->unit, EXITED(1));
        assert_int_equal(w->unit.state, SUPERVISOR_WAITING);
        assert_int_equal(w->timer, expected[i] + w->chance);
        pass(w);
    }
    assert_string_equal(w->unit.message ? w->unit.message : "", "");
    w->unit.policy.backoff_max_ms = UINT64_MAX;
    assert_true(supervisor_policy_backoff(&w->unit.policy, 30) > 1000);
}

static void too_many_quick_deaths_are_a_failure_until_somebody_asks(void **state) {
    world *w = *state;
    supervisor_unit_start(&w->unit);
    for (unsigned i = 1; i < 6; i++) {
        supervisor_unit_exited(&w->unit, SEGFAULT);
        pass(w);
    }
    supervisor_unit_exited(&w->unit, SEGFAULT);
    assert_int_equal(w->unit.state, SUPERVISOR_FAILED);
    assert_int_equal(w->timer, 0);
    assert_non_null(strstr(w->unit.message, "signal 11"));
    supervisor_unit_restart(&w->unit);
    assert_int_equal(w->unit.state, SUPERVISOR_STARTING);
    assert_int_equal(w->unit.quick_deaths, 0);
}

static void one_that_was_stable_starts_to_count_anew(void **state) {
    world *w = *state;
    supervisor_unit_start(&w->unit);
    for (unsigned i = 0; i < 50; i++) {
        supervisor_unit_said_ready(&w->unit);
        w->now += 5000;
        supervisor_unit_exited(&w->unit, EXITED(3));
        assert_int_equal(w->timer, 100);
        assert_non_null(strstr(w->unit.message, "exit code 3"));
        pass(w);
    }
    assert_int_equal(w->unit.restarts, 50);
    assert_int_equal(w->unit.deaths, 50);
    supervisor_unit_restart(&w->unit); /* asked for: no death */
    supervisor_unit_exited(&w->unit, EXITED(0));
    assert_int_equal(w->unit.restarts, 51);
    assert_int_equal(w->unit.deaths, 50);
}

static void one_that_is_silent_is_killed_by_the_watchdog(void **state) {
    world *w = *state;
    supervisor_unit_start(&w->unit);
    supervisor_unit_said_ready(&w->unit);
    w->timer = 1;
    supervisor_unit_said_alive(&w->unit);
    assert_int_equal(w->timer, 30000);
    pass(w);
    assert_int_equal(w->last_signal, SIGKILL);
    supervisor_unit_exited(&w->unit, SIGKILL);
    assert_non_null(strstr(w->unit.message, "watchdog"));
    assert_int_equal(w->unit.state, SUPERVISOR_WAITING);
}

static void stopping_asks_first_and_kills_then(void **state) {
    world *w = *state;
    supervisor_unit_start(&w->unit);
    supervisor_unit_said_ready(&w->unit);
    supervisor_unit_stop(&w->unit);
    assert_int_equal(w->last_signal, SIGTERM);
    assert_int_equal(w->timer, 5000);
    pass(w);
    assert_int_equal(w->last_signal, SIGKILL);
    supervisor_unit_exited(&w->unit, SIGKILL);
    assert_int_equal(w->unit.state, SUPERVISOR_STOPPED);
    assert_int_equal(w->timer, 0);
    assert_int_equal(w->spawns, 1);
}

static void a_restart_does_not_wait(void **state) {
    world *w = *state;
    supervisor_unit_start(&w->unit);
    supervisor_unit_said_ready(&w->unit);
    supervisor_unit_restart(&w->unit);
    assert_int_equal(w->unit.state, SUPERVISOR_STOPPING);
    supervisor_unit_exited(&w->unit, EXITED(0));
    assert_int_equal(w->unit.state, SUPERVISOR_STARTING);
    assert_int_equal(w->spawns, 2);
}

static void a_stop_takes_a_restart_back_and_a_start_a_stop(void **state) {
    world *w = *state;
    supervisor_unit_start(&w->unit);
    supervisor_unit_restart(&w->unit);
    supervisor_unit_stop(&w->unit);
    supervisor_unit_start(&w->unit);
    supervisor_unit_exited(&w->unit, EXITED(0));
    assert_int_equal(w->unit.state, SUPERVISOR_STARTING);
    supervisor_unit_restart(&w->unit);
    supervisor_unit_stop(&w->unit);
    supervisor_unit_exited(&w->unit, EXITED(0));
    assert_int_equal(w->unit.state, SUPERVISOR_STOPPED);
}

static void one_that_ends_by_itself_is_waited_for_and_started_again(void **state) {
    world *w = *state;
    supervisor_unit_start(&w->unit);
    supervisor_unit_said_ready(&w->unit);
    supervisor_unit_said_stopping(&w->unit);
    assert_int_equal(w->unit.state, SUPERVISOR_STOPPING);
    assert_int_equal(w->timer, 5000);
    supervisor_unit_exited(&w->unit, EXITED(0));
    assert_int_equal(w->unit.state, SUPERVISOR_WAITING);
}

static void one_that_finishes_is_not_started_again_unless_somebody_asks(void **state) {
    world *w = *state;
    w->unit.file->finishes = true;
    supervisor_unit_start(&w->unit);
    supervisor_unit_said_ready(&w->unit);
    supervisor_unit_said_stopping(&w->unit);
    supervisor_unit_exited(&w->unit, EXITED(0));
    assert_int_equal(w->unit.state, SUPERVISOR_FINISHED);
    assert_int_equal(w->timer, 0);
    supervisor_unit_restart(&w->unit);
    assert_int_equal(w->unit.state, SUPERVISOR_STARTING);
    supervisor_unit_exited(&w->unit, EXITED(0));
    assert_int_equal(w->unit.state, SUPERVISOR_FINISHED);
    supervisor_unit_stop(&w->unit);
    assert_int_equal(w->unit.state, SUPERVISOR_STOPPED);
}

static void one_that_finishes_but_fails_is_started_again(void **state) {
    world *w = *state;
    w->unit.file->finishes = true;
    supervisor_unit_start(&w->unit);
    supervisor_unit_exited(&w->unit, EXITED(1));
    assert_int_equal(w->unit.state, SUPERVISOR_WAITING);
}

static void a_program_that_cannot_be_started_is_tried_again(void **state) {
    world *w = *state;
    w->cannot_spawn = true;
    supervisor_unit_start(&w->unit);
    assert_int_equal(w->unit.state, SUPERVISOR_WAITING);
    assert_string_equal(w->unit.message, "no such program");
    w->cannot_spawn = false;
    pass(w);
    assert_int_equal(w->unit.state, SUPERVISOR_STARTING);
}

static void words_out_of_season_change_nothing(void **state) {
    world *w = *state;
    supervisor_unit_said_ready(&w->unit);
    supervisor_unit_said_alive(&w->unit);
    supervisor_unit_said_stopping(&w->unit);
    supervisor_unit_timer(&w->unit);
    supervisor_unit_stop(&w->unit);
    assert_int_equal(w->unit.state, SUPERVISOR_STOPPED);
    assert_int_equal(w->spawns, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(ready_is_what_the_process_says),
        TEST(one_that_is_not_ready_in_time_is_killed_and_tried_again),
        TEST(the_back_off_doubles_up_to_its_bound_and_has_some_chance),
        TEST(too_many_quick_deaths_are_a_failure_until_somebody_asks),
        TEST(one_that_was_stable_starts_to_count_anew),
        TEST(one_that_is_silent_is_killed_by_the_watchdog),
        TEST(stopping_asks_first_and_kills_then),
        TEST(a_restart_does_not_wait),
        TEST(a_stop_takes_a_restart_back_and_a_start_a_stop),
        TEST(one_that_ends_by_itself_is_waited_for_and_started_again),
        TEST(one_that_finishes_is_not_started_again_unless_somebody_asks),
        TEST(one_that_finishes_but_fails_is_started_again),
        TEST(a_program_that_cannot_be_started_is_tried_again),
        TEST(words_out_of_season_change_nothing),
    };
    mac_log_set_level(MAC_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
