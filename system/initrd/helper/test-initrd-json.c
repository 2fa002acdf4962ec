/* A slot's description gives its values to a shell: only plain ones, and only of a whole object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "initrd-json.h"

static bool value_of(const char *text, const char *name, char *ret_value, size_t size) {
    return initrd_json_value(text, strlen(text), name, ret_value, size);
}

static void strings_and_numbers_are_found_by_name(void **state) {
    (void)state;
    char value[32];
    const char *text = " {\"version\" : \"1.2.3\",\n \"data_blocks\":17 } ";
    assert_true(value_of(text, "version", value, sizeof value));
    assert_string_equal(value, "1.2.3");
    assert_true(value_of(text, "data_blocks", value, sizeof value));
    assert_string_equal(value, "17");
}

static void what_a_shell_would_run_is_refused(void **state) {
    (void)state;
    char value[32] = "untouched";
    assert_false(value_of("{\"version\":\"$(reboot)\"}", "version", value, sizeof value));
    assert_false(value_of("{\"version\":\"1;reboot\"}", "version", value, sizeof value));
    assert_false(value_of("{\"a\":\"`x`\",\"version\":\"1\"}", "version", value, sizeof value));
    assert_string_equal(value, "untouched");
}

static void half_an_object_is_none(void **state) {
    (void)state;
    char value[32];
    const char *text = "{\"version\":\"1\",\"data_blocks\":17}";
    for (size_t length = 0; length < strlen(text); length++)
        assert_false(initrd_json_value(text, length, "version", value, sizeof value));
    assert_true(initrd_json_value(text, strlen(text), "version", value, sizeof value));
}

static void a_value_that_does_not_fit_is_refused(void **state) {
    (void)state;
    char value[4];
    assert_true(value_of("{\"v\":\"abc\"}", "v", value, sizeof value));
    assert_false(value_of("{\"v\":\"abcd\"}", "v", value, sizeof value));
    assert_false(value_of("{\"v\":\"a\"}", "w", value, sizeof value));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_and_numbers_are_found_by_name),
        cmocka_unit_test(what_a_shell_would_run_is_refused),
        cmocka_unit_test(half_an_object_is_none),
        cmocka_unit_test(a_value_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
