/* Floods of the log: what is folded, what is not, and what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor-fold.h"

typedef struct told {
    unsigned floods;
    uint64_t lines, span_ms;
    char sample[SUPERVISOR_FOLD_SAMPLE + 1];
} told;

static void on_flood(const supervisor_fold_kind *flood, void *data) {
    told *all = data;
    all->floods++;
    all->lines += flood->count;
    all->span_ms = flood->last_ms - flood->first_ms;
    memcpy(all->sample, flood->sample, flood->sample_length);
    all->sample[flood->sample_length] = '\0';
}

static bool plain(supervisor_fold *fold, uint64_t now_ms, const char *text) {
    uint64_t shape = supervisor_fold_shape("error", text, strlen(text), true);
    return supervisor_fold_line(fold, now_ms, shape, "error", text, strlen(text));
}

static bool violation(supervisor_fold *fold, uint64_t now_ms, unsigned i) {
    char text[200];
    snprintf(text, sizeof text, "127.0.0.1:%u - cid:%u - Publish Violation - Nkey \"\", Subject \"a\\\"b.%c%c\"",
             40000 + i % 1000, i % 77, 'a' + i % 26, 'a' + i / 26 % 26);
    return plain(fold, now_ms, text);
}

static void a_flood_becomes_a_few_lines_and_their_number(void **state) {
    (void)state;
    supervisor_fold fold = {0};
    told all = {0};
    unsigned written = 0;
    for (unsigned i = 0; i < 30000; i++)
        written += violation(&fold, 1000 + i / 15, i);
    assert_int_equal(written, SUPERVISOR_FOLD_BUDGET);
    assert_true(supervisor_fold_tell(&fold, 3000, false, on_flood, &all)); /* it may go on */
    assert_int_equal(all.floods, 0);
    assert_false(supervisor_fold_tell(&fold, 2999 + SUPERVISOR_FOLD_QUIET_MS, false, on_flood, &all));
    assert_int_equal(all.floods, 1);
    assert_int_equal(all.lines, 30000 - SUPERVISOR_FOLD_BUDGET);
    assert_int_equal(all.span_ms, 2999 - 1003);
    assert_non_null(strstr(all.sample, "Publish Violation"));
}

static void what_else_the_origin_says_is_written(void **state) {
    (void)state;
    supervisor_fold fold = {0};
    for (unsigned i = 0; i < 1000; i++)
        violation(&fold, 1000, i);
    assert_true(plain(&fold, 1000, "Reloaded server configuration"));
    assert_true(plain(&fold, 1000, "127.0.0.1:4 - cid:5 - Slow Consumer Detected: WriteDeadline of 10s exceeded"));
    assert_false(violation(&fold, 1000, 1));
}

static void no_flood_ever_makes_more_than_a_bounded_number_of_lines(void **state) {
    (void)state;
    supervisor_fold fold = {0};
    unsigned written = 0;
    told all = {0};
    /* Every line of a kind of its own: letters that no rule sees through. */
    for (unsigned i = 0; i < 26 * 26 * 26; i++) {
        char text[] = {(char)('a' + i % 26), (char)('a' + i / 26 % 26), (char)('a' + i / 676), ' ', 'x', 0};
        written += plain(&fold, 1000, text);
    }
    assert_true(written <= SUPERVISOR_FOLD_BUDGET + SUPERVISOR_FOLD_KINDS);
    supervisor_fold_tell(&fold, 1000, true, on_flood, &all);
    assert_int_equal(written + all.lines, 26 * 26 * 26); /* none is lost without being counted */
}

static void a_flood_that_lasts_is_told_of_now_and_then(void **state) {
    (void)state;
    supervisor_fold fold = {0};
    told all = {0};
    unsigned written = 0;
    for (uint64_t ms = 0; ms < 60000; ms++) {
        written += violation(&fold, 1000 + ms, (unsigned)ms);
        supervisor_fold_tell(&fold, 1000 + ms, false, on_flood, &all);
    }
    assert_int_equal(written, SUPERVISOR_FOLD_BUDGET);
    assert_in_range(all.floods, 5, 6);
}

static void pauses_earn_no_new_budget_at_once(void **state) {
    (void)state;
    supervisor_fold fold = {0};
    told all = {0};
    unsigned written = 0;
    uint64_t now = 1000;
    for (unsigned pulse = 0; pulse < 10; pulse++, now += SUPERVISOR_FOLD_QUIET_MS) {
        supervisor_fold_tell(&fold, now, false, on_flood, &all);
        for (unsigned i = 0; i < 1000; i++)
            written += violation(&fold, now, i);
    }
    assert_int_equal(written, SUPERVISOR_FOLD_BUDGET + 9 * SUPERVISOR_FOLD_BUDGET / 10);
}

static void lines_now_and_then_are_all_written(void **state) {
    (void)state;
    supervisor_fold fold = {0};
    for (unsigned i = 0; i < 10000; i++)
        assert_true(violation(&fold, 1000 + i * SUPERVISOR_FOLD_REFILL_MS / SUPERVISOR_FOLD_BUDGET, i));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_becomes_a_few_lines_and_their_number),
        cmocka_unit_test(what_else_the_origin_says_is_written),
        cmocka_unit_test(no_flood_ever_makes_more_than_a_bounded_number_of_lines),
        cmocka_unit_test(a_flood_that_lasts_is_told_of_now_and_then),
        cmocka_unit_test(pauses_earn_no_new_budget_at_once),
        cmocka_unit_test(lines_now_and_then_are_all_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
