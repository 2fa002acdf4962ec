/* Which lines are keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "confd-sshkeys.h"
#include "test-confd-keys.h"

static void lines_are_keys_or_not(void **state) {
    static const struct {
        const char *line;
        bool plain, with_options;
    } cases[] = {{KEY1, true, true},
                 {KEY2, true, true},
                 {KEY3, true, true},
                 {"  " KEY1, false, true},
                 {"cert-authority " KEY1, false, true},
                 {"command=\"echo \\\"hi\\\" there\" " KEY1, false, true},
                 {"command=\"echo hi " KEY1, false, false},
                 {"ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIMASiUBfZWHHnXF/np2cDXWITOJDnrZN5cS2NE8XcUmT", false, false},
                 {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMASiUBfZWHHnXF/np2cDXWITOJDnrZN5cS2NE8X", false, false},
                 {"ssh-ed25519", false, false},
                 {"ssh-ed25519 ", false, false},
                 {"ssh-ed25519 =", false, false},
                 {"", false, false},
                 {KEY1 "\x7f", false, false},
                 {KEY1 "\xff", false, false}};
    (void)state;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        bool plain = !confd_ssh_key_check(cases[i].line, false), any = !confd_ssh_key_check(cases[i].line, true);
        if (plain != cases[i].plain || any != cases[i].with_options)
            fail_msg("%s: %d %d", cases[i].line, plain, any);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_keys_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
