/* The run itself, with applicators made for the purpose. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "test-confd-sandbox.h"

static mac_strings seen; /* names of the applicators that were applied, and what was undone */

static int inspect_something(const confd_context *context, confd_findings *findings) {
    (void)context;
    confd_findings_add(findings, "hostname", "thing", "so", "not so");
    return 0;
}

static int inspect_nothing(const confd_context *context, confd_findings *findings) {
    (void)context;
    (void)findings;
    return 0;
}

static int inspect_badly(const confd_context *context, confd_findings *findings) {
    (void)context;
    (void)findings;
    return -EIO;
}

static void note_undo(const confd_context *context, void *data, bool undo) {
    (void)context;
    mac_strings_addf(&seen, "%s %s", undo ? "undo" : "end", (const char *)data);
}

static void apply_first(confd_run *run, const confd_context *context) {
    (void)context;
    mac_strings_add(&seen, "first");
    confd_run_on_undo(run, note_undo, "first");
    confd_run_done(run, confd_run_write_file(run, "/etc/first/deep/file", "1", 1, MAC_FS_KEEP, 0));
}

static confd_run *waiting;

static void finish_later(uv_handle_t *handle) {
    free(handle);
    confd_run_done(waiting, NULL);
}

static void apply_second_later(confd_run *run, const confd_context *context) {
    mac_strings_add(&seen, "second");
    confd_run_on_undo(run, note_undo, "second");
    uv_timer_t *timer = mac_calloc(1, sizeof *timer);
    uv_timer_init(context->loop, timer);
    waiting = run;
    uv_close((uv_handle_t *)timer, finish_later);
}

static void apply_failing(confd_run *run, const confd_context *context) {
    (void)context;
    mac_strings_add(&seen, "failing");
    confd_run_done(run, mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "hostname", "it would not"));
}

static void stop_waiting(void *data) {
    (void)data;
    mac_strings_add(&seen, "cancelled");
    confd_run_done(waiting, NULL);
}

static void apply_until_cancelled(confd_run *run, const confd_context *context) {
    (void)context;
    waiting = run;
    mac_strings_add(&seen, "waiting");
    confd_run_on_cancel(run, stop_waiting, NULL);
}

static const char *const paths[] = {"hostname", NULL};
#define APPLICATOR(variable, inspect_function, apply_function)                                                         \
    static const confd_applicator variable = {.name = #variable,                                                       \
                                              .paths = paths,                                                          \
                                              .phases = CONFD_BOOT | CONFD_RUNTIME,                                    \
                                              .inspect = inspect_function,                                             \
                                              .apply = apply_function}
APPLICATOR(first, inspect_something, apply_first);
APPLICATOR(second, inspect_something, apply_second_later);
APPLICATOR(failing, inspect_something, apply_failing);
APPLICATOR(unreadable, inspect_badly, apply_first);
APPLICATOR(satisfied, inspect_nothing, apply_failing);
APPLICATOR(endless, inspect_something, apply_until_cancelled);

/* The table that confd_run_start takes; this program brings its own. */
const confd_applicator *const confd_applicators[] = {&satisfied, &first, &second, NULL};

static void assert_seen(const char *expected) {
    mac_autobuffer all = {0};
    for (size_t i = 0; i < seen.count; i++)
        mac_buffer_printf(&all, i ? ", %s" : "%s", seen.items[i]);
    assert_string_equal(all.data ? all.data : "", expected);
    mac_strings_deinit(&seen);
}

static void on_end(confd_run *run, const mac_error *error, void *data) {
    test_node *node = data;
    (void)run;
    node->ended = true;
    mac_error_free(node->error);
    node->error = error ? mac_error_copy(error) : NULL;
}

static void run_table(test_node *node, const confd_applicator *const *table) {
    node->run = confd_run_start_some(&node->context, table, on_end, node);
    run_loop(node);
    assert_true(node->ended);
}

static void those_that_are_so_already_are_left_alone(void **state) {
    test_node *node = *state;
    start(node, NULL);
    assert_null(node->error);
    assert_seen("first, second");
    assert_true(has_action(node, "write /etc/first/deep/file"));
    keep(node);
    assert_seen("end second, end first");
    assert_file(node, "/etc/first/deep/file", "1");
}

static void undo_goes_backwards_and_leaves_no_trace(void **state) {
    test_node *node = *state;
    mac_autofree char *before = snapshot(node);
    start(node, NULL);
    take_back(node);
    assert_seen("first, second, undo second, undo first");
    mac_autofree char *after = snapshot(node);
    assert_string_equal(after, before);
}

static void a_failure_ends_the_run_but_not_at_boot(void **state) {
    static const confd_applicator *const table[] = {&failing, &first, NULL};
    test_node *node = *state;
    run_table(node, table);
    assert_seen("failing");
    assert_string_equal(node->error->message, "it would not");
    take_back(node);

    node->context.phase = CONFD_BOOT;
    run_table(node, table);
    assert_seen("failing, first");
    assert_string_equal(node->error->message, "it would not");
    assert_true(has_note(node, "failing: it would not"));
    keep(node);
    assert_seen("end first");
}

static void a_state_that_cannot_be_read_is_an_error(void **state) {
    static const confd_applicator *const table[] = {&unreadable, NULL};
    test_node *node = *state;
    run_table(node, table);
    assert_true(strstr(node->error->message, "unreadable") != NULL);
    keep(node);
    assert_seen("");
}

static void a_run_can_be_cancelled_while_it_waits(void **state) {
    static const confd_applicator *const table[] = {&endless, &first, NULL};
    test_node *node = *state;
    node->run = confd_run_start_some(&node->context, table, on_end, node);
    uv_run(&node->loop, UV_RUN_ONCE);
    confd_run_cancel(node->run, "the operator said so");
    assert_true(node->ended);
    assert_int_equal(node->error->code, MACULA__V1__ERROR_CODE__CANCELLED);
    assert_seen("waiting, cancelled");
    take_back(node);
}

static void a_run_can_be_cancelled_before_it_begins(void **state) {
    static const confd_applicator *const table[] = {&first, NULL};
    test_node *node = *state;
    node->run = confd_run_start_some(&node->context, table, on_end, node);
    confd_run_cancel(node->run, "never mind");
    run_loop(node);
    assert_int_equal(node->error->code, MACULA__V1__ERROR_CODE__CANCELLED);
    assert_seen("");
    keep(node);
}

/* ---- what the undo puts back ---- */

static void change_all(confd_run *run, const confd_context *context) {
    (void)context;
    mac_error *error = confd_run_write_file(run, "/etc/file", "new", 3,
                                            (mac_fs_attributes){.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1}, 0);
    if (!error)
        error = confd_run_write_file(run, "/etc/file", "newer", 5, MAC_FS_KEEP, 0);
    if (!error)
        error = confd_run_write_file(run, "/etc/link", "no link", 7, MAC_FS_KEEP, 0);
    if (!error)
        error = confd_run_remove_file(run, "/etc/gone", 0);
    if (!error)
        error = confd_run_symlink(run, "elsewhere", "/etc/other");
    confd_run_done(run, error);
}
APPLICATOR(changing, inspect_something, change_all);

static void content_mode_owner_and_links_come_back(void **state) {
    static const confd_applicator *const table[] = {&changing, NULL};
    test_node *node = *state;
    put_file(node, "/etc/file", "old");
    put_file(node, "/etc/gone", "here");
    put_file(node, "/etc/other", "plain");
    put_link(node, "/etc/link", "/etc/file");
    uid_t uid = geteuid() == 0 ? 4321 : getuid();
    assert_int_equal(mac_fs_chmod_chown(node->context.root, "/etc/file",
                                        (mac_fs_attributes){.mode = 0751, .uid = uid, .gid = getgid()}),
                     0);
    mac_autofree char *before = snapshot(node);
    run_table(node, table);
    assert_null(node->error);
    assert_file(node, "/etc/file", "newer");
    assert_no_file(node, "/etc/gone");
    take_back(node);
    mac_autofree char *after = snapshot(node);
    assert_string_equal(after, before);
}

static void replace_big(confd_run *run, const confd_context *context) {
    (void)context;
    confd_run_done(run, confd_run_write_file(run, "/etc/big", "x", 1, MAC_FS_KEEP, 0));
}
APPLICATOR(replacing, inspect_something, replace_big);

static void what_could_not_be_put_back_is_not_replaced(void **state) {
    static const confd_applicator *const table[] = {&replacing, NULL};
    test_node *node = *state;
    size_t size = CONFD_SAVE_MAX + 1;
    mac_autofree char *big = mac_malloc(size);
    memset(big, 'b', size);
    assert_int_equal(mac_fs_mkdirs(node->context.root, "/etc", 0755), 0);
    assert_int_equal(mac_fs_write(node->context.root, "/etc/big", big, size, MAC_FS_KEEP), 0);
    run_table(node, table);
    assert_int_equal(node->error->code, MACULA__V1__ERROR_CODE__EXHAUSTED);
    take_back(node);
    struct stat st;
    assert_int_equal(mac_fs_stat(node->context.root, "/etc/big", &st), 0);
    assert_int_equal(st.st_size, size);

    assert_int_equal(mac_fs_remove(node->context.root, "/etc/big"), 0);
    assert_int_equal(mac_fs_mkdirs(node->context.root, "/etc/big", 0755), 0);
    run_table(node, table);
    assert_int_equal(node->error->code, MACULA__V1__ERROR_CODE__REJECTED);
    take_back(node);
}

static void a_directory_in_use_survives_the_undo(void **state) {
    test_node *node = *state;
    start(node, NULL);
    put_file(node, "/etc/first/somebody-elses", "x");
    take_back(node);
    mac_strings_deinit(&seen);
    assert_no_file(node, "/etc/first/deep");
    assert_file(node, "/etc/first/somebody-elses", "x");
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, test_node_new, test_node_free)
        TEST(those_that_are_so_already_are_left_alone), TEST(undo_goes_backwards_and_leaves_no_trace),
        TEST(a_failure_ends_the_run_but_not_at_boot),   TEST(a_state_that_cannot_be_read_is_an_error),
        TEST(a_run_can_be_cancelled_while_it_waits),    TEST(a_run_can_be_cancelled_before_it_begins),
        TEST(content_mode_owner_and_links_come_back),   TEST(what_could_not_be_put_back_is_not_replaced),
        TEST(a_directory_in_use_survives_the_undo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
