/* Whose system this is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "boot/mac-boot-running.h"

static bool is_guest(const char *directory) {
    mac_root *root = NULL;
    assert_int_equal(mac_root_open(directory, false, &root), 0);
    bool guest = mac_boot_is_guest(root);
    mac_root_close(root);
    return guest;
}

static void a_suite_under_the_root_itself_is_a_guest_unless_our_initramfs_started_it(void **state) {
    (void)state;
    unsetenv("MACULA_GUEST");
    assert_int_equal(is_guest("/"), access(MAC_BOOT_ENVIRONMENT, F_OK) < 0);
}

static void a_node_below_a_directory_has_a_machine_of_its_own(void **state) {
    (void)state;
    unsetenv("MACULA_GUEST");
    assert_false(is_guest("/tmp"));
}

static void a_test_says_it(void **state) {
    (void)state;
    setenv("MACULA_GUEST", "1", 1);
    assert_true(is_guest("/tmp"));
    setenv("MACULA_GUEST", "0", 1);
    assert_false(is_guest("/"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_suite_under_the_root_itself_is_a_guest_unless_our_initramfs_started_it),
        cmocka_unit_test(a_node_below_a_directory_has_a_machine_of_its_own),
        cmocka_unit_test(a_test_says_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
