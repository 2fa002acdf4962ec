#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor-order.h"

#define AFTER(...) .after = (char *[]){__VA_ARGS__}, .after_count = sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)

static char A[] = "a", B[] = "b", C[] = "c", NOBODY[] = "nobody";

static void assert_problem(const supervisor_order_item *items, size_t count, const char *text) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    size_t order[4] = {9, 9, 9, 9};
    assert_int_equal(supervisor_order(items, count, problems, order), -EINVAL);
    mac_autofree char *said = mac_problems_format(problems);
    if (!strstr(said, text))
        fail_msg("\"%s\" does not say \"%s\"", said, text);
    assert_int_equal(order[0], 9);
}

static void units_stand_after_those_they_name_and_else_keep_their_order(void **state) {
    (void)state;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    supervisor_order_item items[] = {{"a", AFTER(C)}, {.name = "b"}, {"c", AFTER(B)}, {.name = "d"}};
    size_t order[4];
    assert_int_equal(supervisor_order(items, 4, problems, order), 0);
    const size_t expected[] = {1, 2, 0, 3};
    assert_memory_equal(order, expected, sizeof expected);
    assert_int_equal(supervisor_order(NULL, 0, problems, order), 0);
}

static void a_cycle_is_refused_by_name(void **state) {
    (void)state;
    supervisor_order_item items[] = {{"a", AFTER(B)}, {"b", AFTER(C)}, {"c", AFTER(A)}};
    assert_problem(items, 3, "a after b after c after a");
    supervisor_order_item self[] = {{"a", AFTER(A)}};
    assert_problem(self, 1, "a after a");
}

static void a_name_that_nobody_has_or_two_have_is_refused(void **state) {
    (void)state;
    supervisor_order_item missing[] = {{"a", AFTER(NOBODY)}};
    assert_problem(missing, 1, "no unit nobody");
    supervisor_order_item twice[] = {{.name = "a"}, {.name = "a"}};
    assert_problem(twice, 2, "two units named a");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_stand_after_those_they_name_and_else_keep_their_order),
        cmocka_unit_test(a_cycle_is_refused_by_name),
        cmocka_unit_test(a_name_that_nobody_has_or_two_have_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
