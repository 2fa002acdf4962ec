/* boot_cmd and run_cmd, with a real shell. */
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "test-confd-sandbox.h"

static Macula__V1__Command items[3];
static Macula__V1__Command *list[3] = {&items[0], &items[1], &items[2]};

static void commands(test_node *node, size_t count, char *first, char *second, char *third) {
    char *texts[] = {first, second, third};
    for (size_t i = 0; i < 3; i++) {
        items[i] = (Macula__V1__Command)MACULA__V1__COMMAND__INIT;
        items[i].command = texts[i];
    }
    node->document.run_cmd = list;
    node->document.n_run_cmd = count;
    node->document.boot_cmd = list;
    node->document.n_boot_cmd = count;
    setenv("MACULA_RUN_COMMANDS", "1", 1);
}

static json_t *record(test_node *node, const char *path) {
    mac_autofree char *text = read_file(node, path);
    assert_non_null(text);
    assert_mode(node, path, 0600);
    return json_loads(text, 0, NULL);
}

static void a_command_runs_in_the_root_with_the_environment(void **state) {
    test_node *node = *state;
    static Macula__V1__MaculaosSection__EnvironmentEntry entry = MACULA__V1__MACULAOS_SECTION__ENVIRONMENT_ENTRY__INIT;
    static Macula__V1__MaculaosSection__EnvironmentEntry *entries[] = {&entry};
    entry.key = "GREETING";
    entry.value = "it's me";
    node->section.environment = entries;
    node->section.n_environment = 1;
    commands(node, 1, "printf '%s' \"$GREETING\" > greeting; test \"$PWD\" = \"$MACULA_ROOT\" && echo said", "", "");
    start(node, &confd_apply_run_cmd);
    assert_null(node->error);
    assert_true(has_action(node, "run run_cmd[0]"));
    assert_int_equal(mac_problems_count(confd_run_notes(node->run)), 0);
    keep(node);
    assert_file(node, "/greeting", "it's me");
    json_t *result = record(node, "/var/lib/maculaos/commands/run_cmd-0.json");
    assert_int_equal(json_integer_value(json_object_get(result, "exit_code")), 0);
    assert_string_equal(json_string_value(json_object_get(result, "output")), "said\n");
    json_decref(result);
}

static void a_failing_command_is_told_and_the_next_one_runs(void **state) {
    test_node *node = *state;
    commands(node, 3, "echo nonono >&2; exit 7", "kill -9 $$", "echo ran > ran");
    start(node, &confd_apply_run_cmd);
    assert_null(node->error);
    assert_true(has_note(node, "run_cmd[0]: the command failed with exit code 7"));
    assert_true(has_note(node, "run_cmd[1]: the command was killed by signal 9"));
    keep(node);
    assert_file(node, "/ran", "ran\n");
    json_t *result = record(node, "/var/lib/maculaos/commands/run_cmd-0.json");
    assert_string_equal(json_string_value(json_object_get(result, "output")), "nonono\n");
    json_decref(result);
}

static void a_command_has_a_time_limit(void **state) {
    test_node *node = *state;
    commands(node, 1, "tail -f /dev/null", "", "");
    items[0].timeout = "50ms";
    start(node, &confd_apply_run_cmd);
    assert_null(node->error);
    assert_true(has_note(node, "timeout of 50ms"));
    keep(node);
    json_t *result = record(node, "/var/lib/maculaos/commands/run_cmd-0.json");
    assert_true(json_is_true(json_object_get(result, "timed_out")));
    json_decref(result);
    items[0].timeout = "soon";
    assert_true(is_refused(node, &confd_apply_run_cmd, "timeout"));
}

static void what_is_killed_in_the_background_is_told(void **state) {
    test_node *node = *state;
    commands(node, 1, "tail -f /dev/null & echo started", "", "");
    start(node, &confd_apply_run_cmd);
    assert_null(node->error);
    assert_true(has_note(node, "left in the background still held its output, and was killed"));
    keep(node);
    json_t *result = record(node, "/var/lib/maculaos/commands/run_cmd-0.json");
    assert_true(json_is_true(json_object_get(result, "background_killed")));
    assert_string_equal(json_string_value(json_object_get(result, "output")), "started\n");
    json_decref(result);
    /* One that let go of the output is a daemon: nothing is said of it. */
    commands(node, 1, "sleep 30 >/dev/null 2>&1 & echo $! > daemon", "", "");
    start(node, &confd_apply_run_cmd);
    assert_false(has_note(node, "background"));
    keep(node);
    mac_autofree char *daemon = read_file(node, "/daemon");
    assert_non_null(daemon);
    assert_int_equal(kill((pid_t)atoi(daemon), SIGKILL), 0); /* it ran until here */
}

static void output_is_bounded(void **state) {
    test_node *node = *state;
    commands(node, 1, "yes | head -c 300000", "", "");
    apply_well(node, &confd_apply_run_cmd);
    json_t *result = record(node, "/var/lib/maculaos/commands/run_cmd-0.json");
    assert_true(json_is_true(json_object_get(result, "output_truncated")));
    assert_true(json_string_length(json_object_get(result, "output")) <= 16384);
    json_decref(result);
}

static void run_cmd_runs_once_and_again_when_it_changes(void **state) {
    test_node *node = *state;
    commands(node, 1, "echo x >> count", "", "");
    apply_well(node, &confd_apply_run_cmd);
    apply_well(node, &confd_apply_run_cmd);
    assert_file(node, "/count", "x\n");
    commands(node, 1, "echo y >> count", "", "");
    start(node, &confd_apply_run_cmd);
    take_back(node); /* what a command did stays, but the list counts as not run */
    assert_file(node, "/count", "x\ny\n");
    commands(node, 1, "echo x >> count", "", "");
    apply_well(node, &confd_apply_run_cmd);
    assert_file(node, "/count", "x\ny\n");                               /* this list has run in this boot */
    assert_int_equal(mac_fs_remove_tree(node->context.root, "/run"), 0); /* a boot */
    apply_well(node, &confd_apply_run_cmd);
    assert_file(node, "/count", "x\ny\nx\n");
}

static void boot_cmd_belongs_to_the_boot(void **state) {
    test_node *node = *state;
    commands(node, 1, "echo x >> count; exit 1", "", "");
    node->document.n_run_cmd = 0;
    start(node, &confd_apply_boot_cmd);
    keep(node);
    assert_no_file(node, "/count");
    node->context.phase = CONFD_BOOT;
    apply_well(node, &confd_apply_boot_cmd);
    apply_well(node, &confd_apply_boot_cmd);
    assert_file(node, "/count", "x\n");
    assert_no_file(node, "/var/lib/maculaos/commands/run_cmd-0.json");
}

static void below_another_root_commands_only_run_when_asked_for(void **state) {
    test_node *node = *state;
    commands(node, 1, "echo x > count", "", "");
    unsetenv("MACULA_RUN_COMMANDS");
    mac_autostrings actions = {0}, later = {0};
    confd_apply_run_cmd.plan(&node->context, &actions);
    assert_non_null(strstr(actions.items[0], "skip"));
    start(node, &confd_apply_run_cmd);
    assert_null(node->error);
    assert_true(has_note(node, "MACULA_RUN_COMMANDS=1"));
    keep(node);
    assert_no_file(node, "/count");
    confd_apply_run_cmd.plan(&node->context, &later);
    assert_int_equal(later.count, 0); /* it has been said */
    setenv("MACULA_RUN_COMMANDS", "1", 1);
    confd_apply_run_cmd.plan(&node->context, &later);
    assert_string_equal(later.items[0], "run run_cmd[0]");
}

static void a_plan_runs_nothing(void **state) {
    test_node *node = *state;
    commands(node, 1, "echo x > count", "", "");
    mac_autostrings actions = {0};
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_plan_all(&node->context, &actions, problems);
    assert_true(mac_strings_contain(&actions, "run run_cmd[0]"));
    assert_no_file(node, "/count");
    assert_int_equal(count_findings(node, &confd_apply_run_cmd), 0);
}

static void cancel_when_it_runs(uv_timer_t *timer) {
    test_node *node = timer->data;
    mac_autofree char *text = read_file(node, "/started");
    if (!text)
        return;
    uv_close((uv_handle_t *)timer, NULL);
    confd_run_cancel(node->run, "enough");
}

static void on_end(confd_run *run, const mac_error *error, void *data) {
    (void)run;
    test_node *node = data;
    node->ended = true;
    node->error = mac_error_copy(error);
}

static void a_running_command_can_be_cancelled(void **state) {
    static const confd_applicator *const table[] = {&confd_apply_run_cmd, NULL};
    test_node *node = *state;
    commands(node, 2, "echo x > started; tail -f /dev/null", "echo x > second", "");
    uv_timer_t timer = {.data = node};
    uv_timer_init(&node->loop, &timer);
    uv_timer_start(&timer, cancel_when_it_runs, 1, 1);
    node->run = confd_run_start_some(&node->context, table, on_end, node);
    run_loop(node);
    assert_true(node->ended);
    assert_int_equal(node->error->code, MACULA__V1__ERROR_CODE__CANCELLED);
    assert_no_file(node, "/second");
    keep(node);
    mac_autostrings actions = {0};
    confd_apply_run_cmd.plan(&node->context, &actions);
    assert_int_equal(actions.count, 2); /* it has not run */
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, test_node_new, test_node_free)
        TEST(a_command_runs_in_the_root_with_the_environment),
        TEST(a_failing_command_is_told_and_the_next_one_runs),
        TEST(a_command_has_a_time_limit),
        TEST(what_is_killed_in_the_background_is_told),
        TEST(output_is_bounded),
        TEST(run_cmd_runs_once_and_again_when_it_changes),
        TEST(boot_cmd_belongs_to_the_boot),
        TEST(below_another_root_commands_only_run_when_asked_for),
        TEST(a_plan_runs_nothing),
        TEST(a_running_command_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
