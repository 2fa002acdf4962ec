/* macula-recover on the boot files of a node below another root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "boot/test-boot-box.h"

typedef struct box {
    boot_box node;
    char said[4096];
} box;

static int box_make(void **state) {
    box *b = mac_calloc(1, sizeof *b);
    boot_box_init(&b->node);
    *state = b;
    return 0;
}

static int box_remove(void **state) {
    box *b = *state;
    boot_box_deinit(&b->node);
    free(b);
    return 0;
}

static int recover(box *b, const char *word) {
    mac_autofree char *command =
        mac_asprintf("%s/macula-recover --esp %s/boot/esp --slot-a %s/boot/slot-a "
                     "--slot-b %s/boot/slot-b %s 2>&1",
                     getenv("MACULA_BIN_DIR"), b->node.directory, b->node.directory, b->node.directory, word);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    b->said[fread(b->said, 1, sizeof b->said - 1, pipe)] = '\0';
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void expect(box *b, const char *part) {
    if (!strstr(b->said, part))
        fail_msg("expected \"%s\" in: %s", part, b->said);
}

/* The standby slot gets the content of the other one, under another version. */
static void fill_slot_b(box *b) {
    mac_autofree char *command =
        mac_asprintf("cp %s/boot/slot-a %s/boot/slot-b && sed -i 's/\"1\\.0\\.0\"/\"0.9.0\"/' %s/boot/slot-b",
                     b->node.directory, b->node.directory, b->node.directory);
    assert_int_equal(system(command), 0);
}

static void slots_are_told(void **state) {
    box *b = *state;
    assert_int_equal(recover(b, "slots"), 0);
    expect(b, "slot a    version 1.0.0 (amd64), starts next");
    expect(b, "slot b    empty");
    assert_int_equal(recover(b, "reset"), 0);
    assert_string_equal(b->said, "none\n");
    assert_int_equal(recover(b, "active"), 0);
    assert_string_equal(b->said, "a\n");
}

static void the_other_version_starts_next_on_trial(void **state) {
    box *b = *state;
    fill_slot_b(b);
    assert_int_equal(recover(b, "previous"), 0);
    expect(b, "version 0.9.0 in slot b starts next");
    assert_int_equal(boot_box_state(&b->node).pending, 'b');
    assert_int_equal(boot_box_state(&b->node).active, 'a');
    assert_int_equal(recover(b, "slots"), 0);
    expect(b, "slot b    version 0.9.0 (amd64), starts next, on trial");
    expect(b, "slot a    version 1.0.0 (amd64), starts when the other one fails");
}

/* As GRUB does when it starts the pending slot. */
static void use_tries(box *b, unsigned count) {
    mac_boot_tries tries = {.next = 0};
    uint8_t block[MAC_BOOT_BLOCK];
    for (unsigned i = 0; i < count; i++)
        tries.used[i] = boot_box_state(&b->node).seq;
    mac_boot_tries_encode(&tries, block);
    assert_int_equal(mac_fs_write(b->node.root, "/boot/esp/grub/tries", (char *)block, sizeof block, MAC_FS_KEEP), 0);
}

static void during_a_trial_the_version_before_it_is_the_previous_one(void **state) {
    box *b = *state;
    fill_slot_b(b);
    assert_int_equal(recover(b, "previous"), 0);
    use_tries(b, 2);
    assert_int_equal(recover(b, "previous"), 0);
    expect(b, "version 1.0.0 in slot a starts next; slot b is not on trial any more");
    assert_int_equal(boot_box_state(&b->node).pending, '-');
    assert_int_equal(boot_box_state(&b->node).active, 'a');
    assert_int_equal(recover(b, "slots"), 0);
    expect(b, "slot a    version 1.0.0 (amd64), starts next");

    /* Asked once more it is the other one again. */
    assert_int_equal(recover(b, "previous"), 0);
    expect(b, "version 0.9.0 in slot b starts next");
    assert_int_equal(boot_box_state(&b->node).pending, 'b');
}

static void after_a_trial_that_failed_its_version_can_be_tried_again(void **state) {
    box *b = *state;
    fill_slot_b(b);
    assert_int_equal(recover(b, "previous"), 0);
    use_tries(b, 3);
    uint32_t seq = boot_box_state(&b->node).seq;
    assert_int_equal(recover(b, "slots"), 0);
    expect(b, "slot a    version 1.0.0 (amd64), starts next\n");
    expect(b, "slot b    version 0.9.0 (amd64), was on trial and not confirmed");
    assert_int_equal(recover(b, "previous"), 0);
    expect(b, "version 0.9.0 in slot b starts next, three times at most");
    assert_int_equal(boot_box_state(&b->node).pending, 'b');
    assert_true(boot_box_state(&b->node).seq > seq);
}

static void during_a_trial_a_damaged_version_is_not_gone_back_to(void **state) {
    box *b = *state;
    fill_slot_b(b);
    assert_int_equal(recover(b, "previous"), 0);
    assert_int_equal(mac_fs_write(b->node.root, "/boot/slot-a", "x", 1, MAC_FS_KEEP), 0);
    assert_int_equal(recover(b, "previous"), 5);
    expect(b, "slot a holds no version to start");
    assert_int_equal(boot_box_state(&b->node).pending, 'b');
}

static void without_another_version_nothing_changes(void **state) {
    box *b = *state;
    uint32_t seq = boot_box_state(&b->node).seq;
    assert_int_equal(recover(b, "previous"), 5);
    expect(b, "slot b holds no version to start");
    assert_int_equal(boot_box_state(&b->node).seq, seq);
}

static void a_lost_state_is_told(void **state) {
    box *b = *state;
    fill_slot_b(b);
    const char *const copies[] = {"/boot/esp/grub/state-1", "/boot/esp/grub/state-2"};
    char garbage[1024];
    memset(garbage, 'x', sizeof garbage);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(mac_fs_write(b->node.root, copies[i], garbage, sizeof garbage, MAC_FS_KEEP), 0);
    assert_int_equal(recover(b, "slots"), 0);
    expect(b, "boot state damaged");
    assert_int_equal(recover(b, "previous"), 1);
    expect(b, "both copies of the boot state are damaged");
}

static void wrong_words_are_usage(void **state) {
    box *b = *state;
    assert_int_equal(recover(b, ""), 2);
    assert_int_equal(recover(b, "slots previous"), 2);
    assert_int_equal(recover(b, "everything"), 2);
    assert_int_equal(recover(b, "--help"), 0);
    expect(b, "Example");
}

#define BOX(function) cmocka_unit_test_setup_teardown(function, box_make, box_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOX(slots_are_told),
        BOX(the_other_version_starts_next_on_trial),
        BOX(during_a_trial_the_version_before_it_is_the_previous_one),
        BOX(after_a_trial_that_failed_its_version_can_be_tried_again),
        BOX(during_a_trial_a_damaged_version_is_not_gone_back_to),
        BOX(without_another_version_nothing_changes),
        BOX(a_lost_state_is_told),
        BOX(wrong_words_are_usage),
    };
    return cmocka_run_group_tests_name("recover", tests, NULL, NULL);
}
