#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "flow/mac-flow.h"

/* A flow writes what it does into `story`: "a" an action, "A" its undo, "." the end, "!" with an error. */
typedef struct scene {
    uv_loop_t loop;
    char story[4096];
    char steps_told[4096]; /* by on_step */
    mac_flow *flow;
    mac_error *error; /* copy of the end's */
    unsigned ends;
    char fail_at;      /* letter of the action or undo that fails */
    char also_fail_at; /* another */
    char hang_at;      /* does not finish */
    char cancel_in;    /* cancels itself inside */
    char defer_at;     /* finishes by a timer */
    char cancel_on_step;
    uv_timer_t timer;
    uint64_t turn;
} scene;

static void tell(char *story, const char *text) {
    strncat(story, text, sizeof((scene *)0)->story - strlen(story) - 1);
}

static void finish_later(uv_timer_t *timer) {
    scene *s = timer->data;
    mac_flow_next(s->flow);
}

static void act(mac_flow *flow, scene *s, char letter) {
    tell(s->story, (char[]){letter, '\0'});
    if (letter == s->hang_at) {
        s->turn = mac_flow_turn(flow);
        return;
    }
    if (letter == s->cancel_in)
        mac_flow_cancel(flow, "stop it");
    if (letter == s->defer_at) {
        uv_timer_start(&s->timer, finish_later, 1, 0);
        return;
    }
    if (letter == s->fail_at || letter == s->also_fail_at)
        mac_flow_fail(flow, mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL, "%c failed", letter));
    else
        mac_flow_next(flow);
}

#define STEP(lower, upper)                                                                                             \
    static void do_##lower(mac_flow *flow, void *data) {                                                               \
        act(flow, data, #lower[0]);                                                                                    \
    }                                                                                                                  \
    static void undo_##lower(mac_flow *flow, void *data) {                                                             \
        act(flow, data, #upper[0]);                                                                                    \
    }
STEP(a, A)
STEP(b, B)
STEP(c, C)

/* a is undone when finished, b has no undo, c also when only started. */
static const mac_step steps[] = {
    {"first", do_a, undo_a, 50, false}, {"second", do_b, NULL, 50, false}, {"third", do_c, undo_c, 50, true}, {0}};
/* All plain. */
static const mac_step plain[] = {
    {"first", do_a, undo_a, 0, false}, {"second", do_b, undo_b, 0, false}, {"third", do_c, undo_c, 0, false}, {0}};

static void on_step(mac_flow *flow, const mac_step *step, bool undoing, void *data) {
    scene *s = data;
    assert_ptr_equal(flow, s->flow);
    assert_string_equal(mac_flow_step(flow), step->name);
    assert_int_equal(mac_flow_undoing(flow), undoing);
    tell(s->steps_told, undoing ? "-" : "+");
    tell(s->steps_told, step->name);
    if (s->cancel_on_step && step->name[0] == s->cancel_on_step)
        mac_flow_cancel(flow, NULL);
}

static void on_end(mac_flow *flow, const mac_error *error, void *data) {
    scene *s = data;
    tell(s->story, error ? "!" : ".");
    s->ends++;
    s->error = error ? mac_error_copy(error) : NULL;
    /* All of these come too late and do nothing. */
    mac_flow_next(flow);
    mac_flow_cancel(flow, "late");
    mac_flow_fail(flow, mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "late"));
}

static void begin(scene *s, const mac_step *table) {
    uv_loop_init(&s->loop);
    uv_timer_init(&s->loop, &s->timer);
    s->timer.data = s;
    s->flow = mac_flow_start(&s->loop, table, s, on_step, on_end);
}

static void finish(scene *s) {
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(s->ends, 1);
    uv_close((uv_handle_t *)&s->timer, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s->loop), 0);
}

static void play(scene *s, const mac_step *table) {
    begin(s, table);
    assert_string_equal(s->story, ""); /* nothing happens before the loop turns */
    finish(s);
}

static void assert_error(scene *s, Macula__V1__ErrorCode code, const char *message) {
    assert_non_null(s->error);
    assert_int_equal(s->error->code, code);
    assert_string_equal(s->error->message, message);
    mac_error_free(s->error);
}

static void steps_run_in_order(void **state) {
    (void)state;
    scene s = {0};
    play(&s, steps);
    assert_string_equal(s.story, "abc.");
    assert_string_equal(s.steps_told, "+first+second+third");
}

static void an_empty_table_ends_well(void **state) {
    (void)state;
    scene s = {0};
    play(&s, &(mac_step){0});
    assert_string_equal(s.story, ".");
}

static void a_step_may_finish_later(void **state) {
    (void)state;
    scene s = {.defer_at = 'b'};
    play(&s, steps);
    assert_string_equal(s.story, "abc.");
}

static void what_finished_is_undone_in_reverse(void **state) {
    (void)state;
    static const struct {
        char fail_at;
        const char *story, *story_plain;
    } cases[] = {{'a', "a!", "a!"}, {'b', "abA!", "abA!"}, {'c', "abcCA!", "abcBA!"}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        mac_autofree char *message = mac_asprintf("%c failed", cases[i].fail_at);
        scene s = {.fail_at = cases[i].fail_at};
        play(&s, steps);
        assert_string_equal(s.story, cases[i].story);
        assert_error(&s, MACULA__V1__ERROR_CODE__REJECTED, message);
        scene p = {.fail_at = cases[i].fail_at};
        play(&p, plain);
        assert_string_equal(p.story, cases[i].story_plain);
        assert_error(&p, MACULA__V1__ERROR_CODE__REJECTED, message);
    }
}

static void every_step_of_the_way_back_is_told(void **state) {
    (void)state;
    scene s = {.fail_at = 'c'};
    play(&s, steps);
    assert_string_equal(s.steps_told, "+first+second+third-third-first");
    mac_error_free(s.error);
}

static void an_undo_that_fails_is_added_and_the_others_go_on(void **state) {
    (void)state;
    scene s = {.fail_at = 'c', .also_fail_at = 'B'};
    play(&s, plain);
    assert_string_equal(s.story, "abcBA!");
    assert_int_equal(mac_problems_count(s.error->problems), 1);
    assert_string_equal(mac_problems_get(s.error->problems, 0)->message, "second could not be undone: B failed");
    assert_error(&s, MACULA__V1__ERROR_CODE__REJECTED, "c failed");
}

static void a_step_that_takes_too_long_fails(void **state) {
    (void)state;
    scene s = {.hang_at = 'c'};
    play(&s, steps);
    assert_string_equal(s.story, "abcCA!"); /* undo_partial */
    assert_error(&s, MACULA__V1__ERROR_CODE__TIMED_OUT, "third did not finish within 50 ms");
    scene first = {.hang_at = 'a'};
    play(&first, steps);
    assert_string_equal(first.story, "a!");
    mac_error_free(first.error);
}

static void an_undo_that_takes_too_long_is_added_and_the_others_go_on(void **state) {
    (void)state;
    scene s = {.fail_at = 'c', .hang_at = 'C'};
    play(&s, steps);
    assert_string_equal(s.story, "abcCA!");
    assert_string_equal(mac_problems_get(s.error->problems, 0)->message,
                        "third could not be undone: undoing third did not finish within 50 ms");
    assert_error(&s, MACULA__V1__ERROR_CODE__REJECTED, "c failed");
}

static void a_running_step_can_be_cancelled(void **state) {
    (void)state;
    scene s = {.hang_at = 'c'};
    begin(&s, plain);
    while (!strchr(s.story, 'c'))
        uv_run(&s.loop, UV_RUN_NOWAIT);
    mac_flow_cancel(s.flow, "the caller left");
    finish(&s);
    assert_string_equal(s.story, "abcBA!");
    assert_error(&s, MACULA__V1__ERROR_CODE__CANCELLED, "the caller left");
}

static void a_flow_cancelled_before_its_first_step_does_nothing(void **state) {
    (void)state;
    scene s = {0};
    begin(&s, steps);
    assert_string_equal(mac_flow_step(s.flow), "first");
    mac_flow_cancel(s.flow, NULL);
    finish(&s);
    assert_string_equal(s.story, "!");
    assert_error(&s, MACULA__V1__ERROR_CODE__CANCELLED, "cancelled");
}

static void a_flow_may_be_cancelled_from_inside(void **state) {
    (void)state;
    scene s = {.cancel_in = 'c'}; /* the mac_flow_next that follows comes too late */
    play(&s, steps);
    assert_string_equal(s.story, "abcCA!");
    mac_error_free(s.error);
    scene told = {.cancel_on_step = 's'}; /* before the action: it is not called */
    play(&told, plain);
    assert_string_equal(told.story, "aA!");
    mac_error_free(told.error);
    scene partial = {.cancel_on_step = 't'}; /* nor is its undo, for it was not started */
    play(&partial, steps);
    assert_string_equal(partial.story, "abA!");
    mac_error_free(partial.error);
}

static void cancelling_while_undoing_changes_nothing(void **state) {
    (void)state;
    scene s = {.fail_at = 'c', .cancel_in = 'B'};
    play(&s, plain);
    assert_string_equal(s.story, "abcBA!");
    assert_error(&s, MACULA__V1__ERROR_CODE__REJECTED, "c failed");
}

static void do_next_then_cancel(mac_flow *flow, void *data) {
    tell(((scene *)data)->story, "n");
    mac_flow_next(flow);
    mac_flow_next(flow); /* a second time: does nothing */
    mac_flow_cancel(flow, NULL);
}

static void a_step_that_finished_before_the_cancellation_is_undone(void **state) {
    (void)state;
    static const mac_step table[] = {
        {"only", do_next_then_cancel, undo_a, 0, false}, {"second", do_b, undo_b, 0, false}, {0}};
    scene s = {0};
    play(&s, table);
    assert_string_equal(s.story, "nA!");
    mac_error_free(s.error);
}

static void a_late_callback_can_tell_by_the_turn(void **state) {
    (void)state;
    scene s = {.hang_at = 'c', .defer_at = 'B'};
    begin(&s, plain);
    while (!strchr(s.story, 'c'))
        uv_run(&s.loop, UV_RUN_NOWAIT);
    assert_int_equal(mac_flow_turn(s.flow), s.turn);
    mac_flow_cancel(s.flow, NULL);
    while (!strchr(s.story, 'B'))
        uv_run(&s.loop, UV_RUN_NOWAIT);
    assert_int_not_equal(mac_flow_turn(s.flow), s.turn);
    finish(&s);
    assert_string_equal(s.story, "abcBA!");
    mac_error_free(s.error);
}

static uintptr_t lowest, highest;

static void do_nothing(mac_flow *flow, void *data) {
    (void)data;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    lowest = lowest && lowest < here ? lowest : here;
    highest = highest > here ? highest : here;
    mac_flow_next(flow);
}

static void many_steps_that_finish_at_once_do_not_grow_the_stack(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    mac_step *table = mac_calloc(COUNT + 1, sizeof *table);
    for (size_t i = 0; i < COUNT; i++)
        table[i] = (mac_step){"step", do_nothing, do_nothing, 0, false};
    table[COUNT - 1].action = do_a;
    scene s = {.fail_at = 'a'};
    uv_loop_init(&s.loop);
    uv_timer_init(&s.loop, &s.timer);
    s.flow = mac_flow_start(&s.loop, table, &s, NULL, on_end);
    finish(&s);
    assert_string_equal(s.story, "a!");
    assert_true(highest - lowest < 4096);
    mac_error_free(s.error);
    free(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_run_in_order),
        cmocka_unit_test(an_empty_table_ends_well),
        cmocka_unit_test(a_step_may_finish_later),
        cmocka_unit_test(what_finished_is_undone_in_reverse),
        cmocka_unit_test(every_step_of_the_way_back_is_told),
        cmocka_unit_test(an_undo_that_fails_is_added_and_the_others_go_on),
        cmocka_unit_test(a_step_that_takes_too_long_fails),
        cmocka_unit_test(an_undo_that_takes_too_long_is_added_and_the_others_go_on),
        cmocka_unit_test(a_running_step_can_be_cancelled),
        cmocka_unit_test(a_flow_cancelled_before_its_first_step_does_nothing),
        cmocka_unit_test(a_flow_may_be_cancelled_from_inside),
        cmocka_unit_test(cancelling_while_undoing_changes_nothing),
        cmocka_unit_test(a_step_that_finished_before_the_cancellation_is_undone),
        cmocka_unit_test(a_late_callback_can_tell_by_the_turn),
        cmocka_unit_test(many_steps_that_finish_at_once_do_not_grow_the_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
