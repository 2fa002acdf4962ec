/* confd-sys.h on Linux, in a UTS namespace of its own so that this machine keeps its name. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test-confd-sandbox.h"

typedef struct linux_system {
    uv_loop_t loop;
    mac_root *root;
    confd_sys *sys;
} linux_system;

static int linux_new(void **state) {
    linux_system *system = mac_calloc(1, sizeof *system);
    uv_loop_init(&system->loop);
    assert_int_equal(mac_root_open(NULL, false, &system->root), 0);
    system->sys = confd_sys_new(system->root, &system->loop);
    assert_false(confd_sys_is_recording(system->sys));
    *state = system;
    return 0;
}

static int linux_free(void **state) {
    linux_system *system = *state;
    confd_sys_free(system->sys);
    assert_int_equal(uv_loop_close(&system->loop), 0);
    mac_root_close(system->root);
    free(system);
    return 0;
}

static void the_host_name_is_the_kernel_s(void **state) {
    linux_system *system = *state;
    if (unshare(CLONE_NEWUTS) < 0)
        skip();
    mac_autofree char *name = NULL, *parameter = NULL;
    assert_int_equal(confd_sys_set_hostname(system->sys, "edge-seven"), 0);
    assert_int_equal(confd_sys_hostname(system->sys, &name), 0);
    assert_string_equal(name, "edge-seven");
    assert_int_equal(confd_sys_sysctl_read(system->sys, "kernel.hostname", &parameter), 0);
    assert_string_equal(parameter, "edge-seven");
    if (confd_sys_sysctl_write(system->sys, "kernel.hostname", "edge-eight") == -EROFS)
        skip();
    free(mac_take(&name));
    assert_int_equal(confd_sys_hostname(system->sys, &name), 0);
    assert_string_equal(name, "edge-eight");
}

static void parameters_are_read_in_one_form(void **state) {
    linux_system *system = *state;
    mac_autofree char *value = NULL;
    assert_int_equal(confd_sys_sysctl_read(system->sys, "kernel.printk", &value), 0);
    assert_null(strpbrk(value, "\t\n"));
    assert_non_null(strchr(value, ' '));
    assert_int_equal(confd_sys_sysctl_read(system->sys, "kernel.nosuch", &value), -ENOENT);
    assert_int_equal(confd_sys_sysctl_read(system->sys, "../../etc/passwd", &value), -EINVAL);
    assert_int_equal(confd_sys_sysctl_write(system->sys, "kernel.nosuch", "1"), -ENOENT);
}

static void what_is_built_in_counts_as_loaded(void **state) {
    linux_system *system = *state;
    if (access("/sys/module", F_OK) != 0) {
        print_message("skipped: /sys is not mounted here\n");
        skip();
    }
    assert_true(confd_sys_module_loaded(system->sys, "kernel") || confd_sys_module_loaded(system->sys, "printk"));
    assert_false(confd_sys_module_loaded(system->sys, "no-such-module"));
}

typedef struct outcome {
    int ends, exit_code;
    bool missing;
    char output[64];
} outcome;

static void on_end(const confd_sys_result *result, void *data) {
    outcome *out = data;
    out->ends++;
    out->exit_code = result->exit_code;
    out->missing = result->missing;
    snprintf(out->output, sizeof out->output, "%s", result->output);
}

static void programs_run_fail_or_are_missing(void **state) {
    static const char *const good[] = {"sh", "-c", "echo said; exit 3", NULL};
    static const char *const missing[] = {"/nonexistent/program", NULL};
    linux_system *system = *state;
    outcome first = {0}, second = {0};
    confd_sys_run(system->sys, good, 10000, on_end, &first, NULL);
    confd_sys_run(system->sys, missing, 10000, on_end, &second, NULL);
    assert_int_equal(first.ends + second.ends, 0); /* never at once */
    uv_run(&system->loop, UV_RUN_DEFAULT);
    assert_int_equal(first.ends, 1);
    assert_int_equal(first.exit_code, 3);
    assert_string_equal(first.output, "said\n");
    assert_int_equal(second.ends, 1);
    assert_true(second.missing);
}

static void a_program_can_be_cancelled(void **state) {
    static const char *const endless[] = {"sleep", "600", NULL};
    linux_system *system = *state;
    outcome out = {0};
    confd_sys_call *call = NULL;
    confd_sys_run(system->sys, endless, 0, on_end, &out, &call);
    confd_sys_cancel(call);
    uv_run(&system->loop, UV_RUN_DEFAULT);
    assert_int_equal(out.ends, 1);
    assert_int_equal(out.exit_code, -1);
}

static void a_sys_outlives_its_last_call(void **state) {
    static const char *const argv[] = {"true", NULL};
    linux_system *system = *state;
    outcome out = {0};
    confd_sys_run(system->sys, argv, 0, on_end, &out, NULL);
    confd_sys_free(system->sys);
    uv_run(&system->loop, UV_RUN_DEFAULT);
    assert_int_equal(out.ends, 1);
    system->sys = NULL;
}

static void the_recording_one_leaves_this_machine_alone(void **state) {
    test_node *node = *state;
    confd_sys *sys = node->context.sys;
    mac_autofree char *name = NULL;
    char host[65] = "", still[65] = "";
    gethostname(host, 64);
    assert_int_equal(confd_sys_set_hostname(sys, "elsewhere"), 0);
    assert_int_equal(confd_sys_set_time(sys, 1000), 0);
    assert_int_equal(confd_sys_power(sys, CONFD_POWER_OFF), 0);
    gethostname(still, 64);
    assert_string_equal(host, still);
    assert_int_equal(confd_sys_hostname(sys, &name), 0);
    assert_string_equal(name, "elsewhere");
    assert_true(mac_strings_contain(confd_sys_record_calls(sys), "poweroff"));
    assert_true(mac_strings_contain(confd_sys_record_calls(sys), "time 1000"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, linux_new, linux_free)
        TEST(the_host_name_is_the_kernel_s),
        TEST(parameters_are_read_in_one_form),
        TEST(what_is_built_in_counts_as_loaded),
        TEST(programs_run_fail_or_are_missing),
        TEST(a_program_can_be_cancelled),
        TEST(a_sys_outlives_its_last_call),
        cmocka_unit_test_setup_teardown(the_recording_one_leaves_this_machine_alone, test_node_new, test_node_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
