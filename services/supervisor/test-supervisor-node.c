/* Whole nodes: the real supervisor, the real nats-server, units that behave badly. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <nats/nats.h>

#include "test-supervisor-verbs.h"

static void a_node_starts_in_order_and_ends_in_reverse(void **state) {
    node *n = *state;
    has_unit(n, "a", "ready", "after: [b]\n");
    has_unit(n, "b", "ready", "");
    mac_autofree char *booted = mac_asprintf("%s/root/run/macula/booted", n->directory);
    start_with(n, NULL, "[ -e $MACULA_ROOT/run/macula/booted ] || echo booted in $MACULA_ROOT");
    sees(n, "booted in", n->directory);
    sees(n, "unit=b", "state=ready");
    sees(n, "unit=a", "state=starting");
    sees(n, "unit=a", "state=ready");
    sees(n, "node ready: nats://127.0.0.1:", NULL);
    mac_autofree char *ready = mac_asprintf("%s/root/run/macula/ready", n->directory);
    assert_int_equal(access(ready, F_OK), 0);
    assert_int_equal(access(booted, F_OK), 0);
    has_seen_or_sees(n, "service=a msg=\"server nats://127.0.0.1:", "realm io.macula root /tmp/supervisor-");
    kill(n->pid, SIGTERM);
    sees(n, "unit=a", "state=stopped");
    sees(n, "unit=b", "state=stopping");
    sees(n, "unit=b", "state=stopped");
    sees(n, "unit=nats-server", "state=stopped");
    assert_int_equal(ends(n, 0), 0);
    assert_false(saw(n, "still open"));
    assert_int_equal(access(ready, F_OK), -1);
}

static void a_unit_that_crashes_fails_and_the_others_run(void **state) {
    node *n = *state;
    has_unit(n, "bad", "crash", "");
    has_unit(n, "good", "ready", "");
    has_unit(n, "late", "ready", "after: [bad]\n");
    start_with(n, NULL, "");
    sees(n, "unit=bad", "state=failed");
    sees(n, "node is not ready: a unit failed", "ended with exit code 3");
    sees(n, "waits for one that failed", "unit=late");
    assert_int_equal(ends(n, SIGINT), 0);
    assert_true(saw(n, "unit=good state=ready"));
    assert_false(saw(n, "node ready"));
}

static void a_unit_that_is_never_ready_is_killed(void **state) {
    node *n = *state;
    has_unit(n, "bad", "silent", "start_timeout_s: 1\n");
    start_with(n, NULL, "");
    sees(n, "unit=bad", "not ready within 1 s; killed");
    sees(n, "unit=bad", "state=waiting");
    sees(n, "unit=bad", "state=starting");
    assert_int_equal(ends(n, SIGTERM), 0);
}

static void only_the_unit_itself_may_say_that_it_is_ready(void **state) {
    node *n = *state;
    has_unit(n, "bad", "impostor", "start_timeout_s: 1\n");
    start_with(n, NULL, "");
    sees(n, "unit=bad", "not ready within 1 s; killed");
    assert_int_equal(ends(n, SIGTERM), 0);
    assert_false(saw(n, "unit=bad state=ready"));
}

static void a_unit_that_does_not_end_is_killed(void **state) {
    node *n = *state;
    has_unit(n, "bad", "stubborn", "stop_timeout_s: 1\n");
    is_up(n);
    kill(n->pid, SIGTERM);
    sees(n, "unit=bad", "did not end within 1 s; killed");
    assert_int_equal(ends(n, 0), 0);
}

static void a_unit_that_freezes_is_killed_and_started_again(void **state) {
    node *n = *state;
    has_unit(n, "bad", "frozen", "watchdog_s: 1\n");
    is_up(n);
    sees(n, "unit=bad", "watchdog");
    sees(n, "unit=bad", "state=ready");
    assert_int_equal(ends(n, SIGTERM), 0);
}

static void a_second_node_under_the_same_root_is_refused(void **state) {
    node *n = *state, second = {.directory = ""};
    strcpy(second.directory, n->directory);
    is_up(n);
    mac_autofree char *pid = mac_asprintf("pid %d ", (int)n->pid);
    start_with(&second, NULL, "");
    sees(&second, "a node runs here already", pid);
    assert_int_equal(ends(&second, 0), 1);
    mac_strings_deinit(&second.seen);
    assert_int_equal(ends(n, SIGTERM), 0);
}

static void a_port_that_was_asked_for_must_be_free(void **state) {
    node *n = *state;
    int fd;
    mac_autofree char *port = mac_asprintf("%u", taken_port(&fd));
    start_with(n, port, "");
    sees(n, "node cannot start", port);
    assert_int_equal(ends(n, 0), 1);
    close(fd);
}

static void units_that_are_wrong_are_all_said_at_once(void **state) {
    node *n = *state;
    write_file(n, "units/a.yaml", "comand: [x]\n");
    write_file(n, "units/b.yaml", "command: [\n");
    start_with(n, NULL, "");
    sees(n, "a.yaml:1:1", "comand");
    sees(n, "b.yaml", NULL);
    assert_int_equal(ends(n, 0), 1);
}

static void units_that_wait_for_each_other_are_refused(void **state) {
    node *n = *state;
    has_unit(n, "a", "ready", "after: [b]\n");
    has_unit(n, "b", "ready", "after: [a]\n");
    start_with(n, NULL, "");
    sees(n, "a after b after a", NULL);
    assert_int_equal(ends(n, 0), 1);
}

static void a_bus_server_that_dies_comes_back(void **state) {
    node *n = *state;
    has_unit(n, "good", "ready", "");
    is_up(n);
    pid_t before = pid_of(n, "nats-server");
    kill(before, SIGKILL);
    sees(n, "unit=nats-server", "state=waiting");
    sees(n, "unit=nats-server", "state=ready");
    sees(n, "connected to the bus", NULL);
    assert_int_not_equal(pid_of(n, "nats-server"), before);
    assert_int_equal(ends(n, SIGTERM), 0);
}

static void nobody_outlives_a_supervisor_that_is_killed(void **state) {
    node *n = *state;
    has_unit(n, "bad", "stubborn", "");
    is_up(n);
    int unit = (int)syscall(SYS_pidfd_open, pid_of(n, "bad"), 0);
    int server = (int)syscall(SYS_pidfd_open, pid_of(n, "nats-server"), 0);
    assert_int_equal(ends(n, SIGKILL), 128 + SIGKILL);
    assert_true(has_ended(unit));
    assert_true(has_ended(server));
}

static void a_restart_on_request_brings_another_process(void **state) {
    node *n = *state;
    has_unit(n, "good", "ready", "");
    is_up(n);
    pid_t before = pid_of(n, "good");
    json_decref(ask(n, "admin", RPC "supervisor.restart", "{\"name\":\"good\"}"));
    sees(n, "unit=good", "state=ready");
    assert_int_not_equal(pid_of(n, "good"), before);
    json_t *status = unit_status(n, "good", "message");
    assert_string_equal(json_string_value(status), "as asked");
    json_decref(status);
    json_t *error = ask(n, "admin", RPC "supervisor.restart", "{\"name\":\"nonsense\"}");
    assert_string_equal(json_string_value(json_object_get(error, "code")), "NOT_FOUND");
    json_decref(error);
    json_decref(ask(n, "admin", RPC "supervisor.restart", "{\"name\":\"nats-server\"}"));
    sees(n, "unit=nats-server", "state=ready");
    sees(n, "connected to the bus", NULL);
    assert_int_equal(ends(n, SIGTERM), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, tidy)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_node_starts_in_order_and_ends_in_reverse),
        TEST(a_unit_that_crashes_fails_and_the_others_run),
        TEST(a_unit_that_is_never_ready_is_killed),
        TEST(only_the_unit_itself_may_say_that_it_is_ready),
        TEST(a_unit_that_does_not_end_is_killed),
        TEST(a_unit_that_freezes_is_killed_and_started_again),
        TEST(a_second_node_under_the_same_root_is_refused),
        TEST(a_port_that_was_asked_for_must_be_free),
        TEST(units_that_are_wrong_are_all_said_at_once),
        TEST(units_that_wait_for_each_other_are_refused),
        TEST(a_bus_server_that_dies_comes_back),
        TEST(nobody_outlives_a_supervisor_that_is_killed),
        TEST(a_restart_on_request_brings_another_process),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nats_Close();
    return failed;
}
