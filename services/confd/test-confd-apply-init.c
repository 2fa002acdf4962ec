/* init_cmd: what is laid down for the initramfs. Who runs it has its own test, system/initrd/test_commands.py. */
#include <stdlib.h>
#include <string.h>

#include "confd-apply-init.h"
#include "test-confd-sandbox.h"

static Macula__V1__Command items[2];
static Macula__V1__Command *list[2] = {&items[0], &items[1]};

static void commands(test_node *node, size_t count, char *first, char *second) {
    char *texts[] = {first, second};
    for (size_t i = 0; i < 2; i++) {
        items[i] = (Macula__V1__Command)MACULA__V1__COMMAND__INIT;
        items[i].command = texts[i];
    }
    node->document.init_cmd = list;
    node->document.n_init_cmd = count;
}

static void each_command_is_framed_with_its_timeout(void **state) {
    test_node *node = *state;
    commands(node, 2, "modprobe nvme", "echo a\n2 3\n\necho b");
    items[1].timeout = "1500ms";
    exercise(node, &confd_apply_init_cmd);
    assert_file(node, CONFD_INIT_COMMANDS, "300 13\nmodprobe nvme\n2 18\necho a\n2 3\n\necho b\n");
    assert_mode(node, CONFD_INIT_COMMANDS, 0600);
    items[1].timeout = "1000h";
    apply_well(node, &confd_apply_init_cmd);
    assert_file(node, CONFD_INIT_COMMANDS, "300 13\nmodprobe nvme\n86400 18\necho a\n2 3\n\necho b\n");
}

static void a_change_needs_a_restart_and_says_so_once(void **state) {
    test_node *node = *state;
    commands(node, 1, "true", "");
    start(node, &confd_apply_init_cmd);
    assert_true(confd_run_needs_reboot(node->run));
    assert_true(has_note(node, "takes effect at the next start"));
    keep(node);
    start(node, &confd_apply_init_cmd);
    assert_false(confd_run_needs_reboot(node->run));
    keep(node);
}

static void taken_back_the_old_ones_are_there_again(void **state) {
    test_node *node = *state;
    commands(node, 1, "old", "");
    apply_well(node, &confd_apply_init_cmd);
    commands(node, 2, "new", "newer");
    start(node, &confd_apply_init_cmd);
    take_back(node);
    assert_file(node, CONFD_INIT_COMMANDS, "300 3\nold\n");
}

static void without_any_there_is_no_file(void **state) {
    test_node *node = *state;
    commands(node, 1, "true", "");
    apply_well(node, &confd_apply_init_cmd);
    commands(node, 0, "", "");
    exercise(node, &confd_apply_init_cmd);
    assert_no_file(node, CONFD_INIT_COMMANDS);
}

static void the_environment_comes_before_the_command(void **state) {
    test_node *node = *state;
    static Macula__V1__MaculaosSection__EnvironmentEntry entry = MACULA__V1__MACULAOS_SECTION__ENVIRONMENT_ENTRY__INIT;
    static Macula__V1__MaculaosSection__EnvironmentEntry *entries[] = {&entry};
    entry.key = "GREETING";
    entry.value = "it's $me";
    node->section.environment = entries;
    node->section.n_environment = 1;
    commands(node, 1, "true", "");
    apply_well(node, &confd_apply_init_cmd);
    assert_file(node, CONFD_INIT_COMMANDS, "300 34\nexport GREETING='it'\\''s $me'\ntrue\n");
    entry.value = "you";
    Macula__V1__Document previous = node->document;
    node->context.previous = &previous;
    start(node, &confd_apply_init_cmd);
    assert_false(confd_run_needs_reboot(node->run));
    keep(node);
    node->context.previous = NULL;
}

static void what_cannot_be_run_is_refused(void **state) {
    test_node *node = *state;
    commands(node, 1, "", "");
    assert_true(is_refused(node, &confd_apply_init_cmd, "expected a command"));
    commands(node, 1, "true", "");
    items[0].timeout = "soon";
    assert_true(is_refused(node, &confd_apply_init_cmd, "timeout"));
}

static void a_node_that_does_not_run_gets_them_too(void **state) {
    test_node *node = *state;
    mac_root *root = node->context.root;
    assert_int_equal(mac_fs_mkdirs(root, CONFD_STATE_DIR, 0755), 0);
    commands(node, 1, "true", "");
    assert_int_equal(confd_init_commands_write(root, &node->document), 0);
    assert_file(node, CONFD_INIT_COMMANDS, "300 4\ntrue\n");
    assert_int_equal(count_findings(node, &confd_apply_init_cmd), 0);
    commands(node, 0, "", "");
    assert_int_equal(confd_init_commands_write(root, &node->document), 0);
    assert_int_equal(confd_init_commands_write(root, &node->document), 0);
    assert_no_file(node, CONFD_INIT_COMMANDS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, test_node_new, test_node_free)
        TEST(each_command_is_framed_with_its_timeout),  TEST(a_change_needs_a_restart_and_says_so_once),
        TEST(taken_back_the_old_ones_are_there_again),  TEST(without_any_there_is_no_file),
        TEST(the_environment_comes_before_the_command), TEST(what_cannot_be_run_is_refused),
        TEST(a_node_that_does_not_run_gets_them_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
