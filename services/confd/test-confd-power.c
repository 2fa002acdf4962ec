/* Going down later: what waits outlives confd, but not the machine's own restart, and can be cancelled. */
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "test-confd-service.h"

static confd_node *started(void) {
    static const char *const no_units[] = {NULL};
    confd_node *node = node_new(no_units);
    node_start(node, NULL);
    return node;
}

#define APPLIED "/run/macula/applied"
#define PATIENCE_MS 30000

/* What the recording machine was told to do; waits until it was. */
static void await_power(confd_node *node, const char *what) {
    mac_autofree char *directory = mac_root_path(node->box->root, APPLIED);
    mac_autofd watch = inotify_init1(IN_CLOEXEC);
    char events[4096];
    assert_int_equal(mac_fs_mkdirs(node->box->root, APPLIED, 0755), 0);
    assert_true(inotify_add_watch(watch, directory, IN_CLOSE_WRITE | IN_MOVED_TO) >= 0);
    char *found;
    while (!(found = box_read(node->box, APPLIED "/power"))) {
        struct pollfd changed = {.fd = watch, .events = POLLIN};
        assert_int_equal(poll(&changed, 1, PATIENCE_MS), 1);
        assert_true(read(watch, events, sizeof events) > 0);
    }
    assert_string_equal(found, what);
    free(found);
}

static void a_stop_that_waits_is_not_forgotten_by_a_restart_of_confd(void **state) {
    (void)state;
    confd_node *node = started();
    assert_done(node, "node.shutdown", "{\"reason\":\"moving house\",\"author\":\"alice\",\"delay_s\":3600}");
    assert_done(node, "node", "{}");
    assert_body(node, "next_stop.reason", "\"moving house\"");
    node_kill(node);
    node_start(node, NULL);
    assert_done(node, "node", "{}");
    assert_body(node, "next_stop.action", "\"shutdown\"");
    assert_done(node, "node.reboot", "{\"reason\":\"sooner\",\"author\":\"alice\",\"delay_s\":1}");
    node_kill(node); /* before its time */
    assert_null(box_read(node->box, "/run/macula/applied/power"));
    node_start(node, NULL);
    await_power(node, "reboot");
    assert_done(node, "node", "{}");
    assert_body(node, "next_stop", "(none)");
    assert_body(node, "last_stop.reason", "\"sooner\"");
    node_free(node);
}

static void a_stop_that_waits_can_be_cancelled(void **state) {
    (void)state;
    confd_node *node = started();
    assert_error(node, "node.cancel", "{}", NOTHING_TO_DO, "not about to go down");
    assert_done(node, "node.reboot", "{\"reason\":\"new kernel\",\"author\":\"alice\",\"delay_s\":3600}");
    assert_done(node, "node.cancel", "{\"author\":\"bob\"}");
    assert_body(node, "record.action", "\"reboot\"");
    node_await_event(node, "node.staying", "\"author\":\"bob\"");
    for (int i = 0; i < 2; i++) {
        assert_done(node, "node", "{}");
        assert_body(node, "next_stop", "(none)");
        assert_body(node, "last_stop", "(none)");
        node_kill(node);
        node_start(node, NULL);
    }
    assert_error(node, "node.cancel", "{}", NOTHING_TO_DO, "not about to go down");
    node_free(node);
}

static void a_factory_reset_wants_the_name_of_the_node_and_a_reason(void **state) {
    (void)state;
    confd_node *node = started();
    assert_error(node, "node.factory_reset", "{\"confirm\":\"x\"}", INVALID, "expected a reason");
    assert_error(node, "node.factory_reset", "{\"reason\":\"sold\"}", INVALID, "say its host name");
    assert_error(node, "node.factory_reset", "{\"reason\":\"sold\",\"confirm\":\"another\"}", INVALID,
                 "say its host name");
    assert_done(node, "node", "{}");
    assert_body(node, "next_stop", "(none)");
    node_free(node);
}

static void a_node_tells_once_that_it_was_reset(void **state) {
    (void)state;
    const char *no_units[] = {NULL};
    confd_node *node = node_new(no_units);
    box_write(node->box, "/var/lib/maculaos/reset.json", "{\"time_ms\":1700000000123,\"kept_data\":true}\n");
    node_start(node, NULL);
    node_await_event(node, "node.reset", "\"kept_data\":true");
    assert_done(node, "node", "{}");
    assert_body(node, "last_reset.time_ms", "1700000000123");
    mac_autofree char *text = box_read(node->box, "/var/lib/maculaos/reset.json");
    assert_non_null(strstr(text, "\"told\":true"));
    node_free(node);
}

static void a_reset_that_left_something_behind_says_so(void **state) {
    (void)state;
    const char *no_units[] = {NULL};
    confd_node *node = node_new(no_units);
    box_write(node->box, "/var/lib/maculaos/reset.json",
              "{\"time_ms\":1700000000123,\"kept_data\":false,\"left\":2,\"left_reason\":\"Input/output error\","
              "\"attempt\":3}\n");
    node_start(node, NULL);
    node_await_event(node, "node.reset", "\"left\":2");
    assert_done(node, "node", "{}");
    assert_body(node, "last_reset.left", "2");
    assert_body(node, "last_reset.left_reason", "\"Input/output error\"");
    node_free(node);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_that_waits_is_not_forgotten_by_a_restart_of_confd),
        cmocka_unit_test(a_stop_that_waits_can_be_cancelled),
        cmocka_unit_test(a_factory_reset_wants_the_name_of_the_node_and_a_reason),
        cmocka_unit_test(a_node_tells_once_that_it_was_reset),
        cmocka_unit_test(a_reset_that_left_something_behind_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
