#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/mac-command.h"

#define FOREVER "tail -f /dev/null" /* a program that ends only when it is ended */
#define SHELL(script)                                                                                                  \
    (const char *const[]) {                                                                                            \
        "sh", "-c", script, NULL                                                                                       \
    }

static mac_command_result run(const mac_command_options *options) {
    mac_command_result result = {0};
    assert_int_equal(mac_command_run(options, &result), 0);
    assert_int_equal(strlen(result.output), result.output_length);
    return result;
}

static void done(mac_command_result *result) {
    free((char *)result->output);
    errno = 0;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
    assert_int_equal(errno, ECHILD);
}

/* Whether a process still runs; a zombie that waits for its new parent does not. */
static bool runs(pid_t pid) {
    mac_autofree char *path = mac_asprintf("/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    char state = 'Z';
    if (!file)
        return false;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 'Z';
    fclose(file);
    return state != 'Z' && state != 'X';
}

/* It was sent SIGKILL: waits until the kernel has done it. */
static void assert_goes(pid_t pid) {
    assert_true(pid > 1);
    struct pollfd process = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    if (process.fd < 0) {
        assert_int_equal(errno, ESRCH); /* gone already */
        return;
    }
    assert_int_equal(poll(&process, 1, 10000), 1);
    assert_false(runs(pid));
    close(process.fd);
}

static void both_outputs_and_the_exit_code_are_recorded(void **state) {
    (void)state;
    mac_command_result result = run(&(mac_command_options){.argv = SHELL("echo out; echo err >&2; exit 7")});
    assert_string_equal(result.output, "out\nerr\n");
    assert_int_equal(result.exit_code, 7);
    assert_int_equal(result.signal, 0);
    assert_false(result.timed_out || result.cancelled || result.output_truncated);
    mac_autoptr(mac_error) error = mac_command_error("sh", &result);
    assert_string_equal(error->message, "sh ended with exit code 7: err");
    done(&result);
}

static void success_is_no_error(void **state) {
    (void)state;
    mac_command_result result = run(&(mac_command_options){.argv = SHELL("cat")}); /* input is /dev/null */
    assert_int_equal(result.exit_code, 0);
    assert_null(mac_command_error("sh", &result));
    done(&result);
}

static void death_by_a_signal_is_told(void **state) {
    (void)state;
    mac_command_result result = run(&(mac_command_options){.argv = SHELL("kill -SEGV $$")});
    assert_int_equal(result.exit_code, -1);
    assert_int_equal(result.signal, SIGSEGV);
    mac_autoptr(mac_error) error = mac_command_error("sh", &result);
    assert_string_equal(error->message, "sh was ended by signal 11 (Segmentation fault)");
    done(&result);
}

static size_t open_files(void) {
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void what_cannot_be_executed_is_an_errno(void **state) {
    (void)state;
    size_t before = open_files();
    mac_command_result result;
    assert_int_equal(
        mac_command_run(&(mac_command_options){.argv = (const char *const[]){"no-such-program", NULL}}, &result),
        -ENOENT);
    assert_int_equal(
        mac_command_run(
            &(mac_command_options){.argv = (const char *const[]){"/etc/passwd", NULL}, .input = "x", .input_length = 1},
            &result),
        -EACCES);
    assert_int_equal(mac_command_run(&(mac_command_options){.argv = SHELL("true"), .directory = "/no/such"}, &result),
                     -ENOENT);
    assert_int_equal(open_files(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void no_descriptor_leaks_into_the_command_or_stays_behind(void **state) {
    (void)state;
    for (int fd = 3; fd < 256; fd++) /* what the test's own starter left open */
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    size_t before = open_files();
    mac_command_result result =
        run(&(mac_command_options){.argv = SHELL("ls /proc/$$/fd"), .input = "x", .input_length = 1});
    assert_true(mac_starts_with(result.output, "0\n1\n2\n"));
    assert_null(strstr(result.output, "\n3\n"));
    assert_int_equal(open_files(), before);
    done(&result);
}

static void the_command_leads_a_session_of_its_own(void **state) {
    (void)state;
    mac_command_result result = run(&(mac_command_options){.argv = SHELL("exec cat /proc/self/stat")});
    int pid, group, session;
    assert_int_equal(sscanf(result.output, "%d (cat) %*c %*d %d %d", &pid, &group, &session), 3);
    assert_int_equal(group, pid);
    assert_int_equal(session, pid);
    done(&result);
}

static void environment_and_directory_are_as_given(void **state) {
    (void)state;
    const char *const environment[] = {"PATH=/usr/bin:/bin", "COLOUR=blue", NULL};
    mac_command_result result = run(&(mac_command_options){
        .argv = SHELL("pwd; echo $COLOUR$HOME"), .environment = environment, .directory = "/usr"});
    assert_string_equal(result.output, "/usr\nblue\n");
    done(&result);
}

static void input_is_fed_and_ends(void **state) {
    (void)state;
    mac_autofree char *input = mac_malloc(1 << 20);
    memset(input, 'x', 1 << 20);
    mac_command_result result =
        run(&(mac_command_options){.argv = SHELL("wc -c"), .input = input, .input_length = 1 << 20});
    assert_string_equal(result.output, "1048576\n");
    done(&result);
    result = run(&(mac_command_options){.argv = SHELL("wc -c"), .input = "", .input_length = 0});
    assert_string_equal(result.output, "0\n");
    done(&result);
    /* A command that does not read is no reason to die of SIGPIPE. */
    result = run(&(mac_command_options){.argv = SHELL("exec <&-; exit 3"), .input = input, .input_length = 1 << 20});
    assert_int_equal(result.exit_code, 3);
    done(&result);
}

static void output_is_bounded_while_the_command_goes_on(void **state) {
    (void)state;
    mac_command_result result =
        run(&(mac_command_options){.argv = SHELL("yes | head -c 3000000; exit 4"), .output_max = 101});
    assert_int_equal(result.output_length, 101);
    assert_true(result.output_truncated);
    assert_int_equal(result.exit_code, 4);
    done(&result);
    result = run(&(mac_command_options){.argv = SHELL("yes | head -c 3000000")});
    assert_int_equal(result.output_length, MAC_COMMAND_OUTPUT_MAX);
    done(&result);
}

static void output_is_made_valid_utf_8(void **state) {
    (void)state;
    mac_command_result result = run(&(mac_command_options){.argv = SHELL("printf 'a\\000b\\377\\303\\251\\342\\202'")});
    assert_string_equal(result.output, "a\xef\xbf\xbd"
                                       "b\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");
    done(&result);
}

static void a_slow_command_is_terminated(void **state) {
    (void)state;
    mac_command_result result = run(&(mac_command_options){
        .argv = SHELL("echo begun; trap 'echo told; exit 5' TERM; " FOREVER " & wait"), .timeout_ms = 100});
    assert_true(result.timed_out);
    assert_int_equal(result.exit_code, 5);
    assert_non_null(strstr(result.output, "told"));
    mac_autoptr(mac_error) error = mac_command_error("sh", &result);
    assert_int_equal(error->code, MACULA__V1__ERROR_CODE__TIMED_OUT);
    done(&result);
}

static void a_stubborn_command_and_its_children_are_killed(void **state) {
    (void)state;
    mac_command_result result = run(&(mac_command_options){
        .argv = SHELL("trap '' TERM; " FOREVER " >/dev/null & echo $!; while :; do " FOREVER "; done"),
        .timeout_ms = 50});
    assert_true(result.timed_out);
    assert_int_equal(result.signal, SIGKILL);
    assert_true(result.milliseconds >= MAC_COMMAND_KILL_MS);
    assert_goes(atoi(result.output));
    done(&result);
}

static void a_child_that_ignores_the_end_goes_with_the_group(void **state) {
    (void)state;
    mac_command_result result = run(&(mac_command_options){
        .argv = SHELL("(trap '' TERM; " FOREVER ") >/dev/null 2>&1 & echo $!; wait"), .timeout_ms = 300});
    assert_int_equal(result.signal, SIGTERM);
    assert_goes(atoi(result.output));
    done(&result);
}

static void a_grandchild_that_keeps_the_pipe_does_not_hold_the_end_up(void **state) {
    (void)state;
    mac_command_result result = run(&(mac_command_options){.argv = SHELL(FOREVER " & echo $!; exit 6")});
    assert_int_equal(result.exit_code, 6);
    assert_false(result.timed_out);
    assert_true(result.cut_short);
    assert_goes(atoi(result.output));
    done(&result);
    /* Also one that left the group. */
    result = run(&(mac_command_options){.argv = SHELL("setsid " FOREVER " & echo $!; exit 6")});
    assert_int_equal(result.exit_code, 6);
    pid_t stray = atoi(result.output);
    kill(stray, SIGKILL);
    done(&result);
}

static void a_daemon_that_let_go_is_left_alone(void **state) {
    (void)state;
    mac_command_result result =
        run(&(mac_command_options){.argv = SHELL(FOREVER " </dev/null >/dev/null 2>&1 & echo $!")});
    assert_false(result.cut_short);
    pid_t daemon = atoi(result.output);
    assert_true(daemon > 1 && runs(daemon));
    kill(daemon, SIGKILL);
    done(&result);
}

static void a_caller_that_is_ended_ends_its_command_first(void **state) {
    (void)state;
    int report[2];
    assert_int_equal(pipe(report), 0);
    pid_t caller = fork();
    if (caller == 0) {
        mac_autofree char *script =
            mac_asprintf("trap '' TERM; echo $$ >/proc/%d/fd/%d; while :; do " FOREVER "; done", getppid(), report[1]);
        mac_command_result result;
        _exit(mac_command_run(&(mac_command_options){.argv = SHELL(script)}, &result) == 0 ? 0 : 1);
    }
    char text[32] = "";
    assert_true(read(report[0], text, sizeof text - 1) > 0);
    close(report[0]);
    close(report[1]);
    pid_t command = atoi(text);
    assert_true(command > 1 && runs(command));
    kill(caller, SIGTERM);
    int status;
    assert_int_equal(waitpid(caller, &status, 0), caller);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    assert_goes(command);
}

typedef struct ending {
    unsigned times;
    mac_command_result result;
} ending;

static void on_end(mac_command *command, const mac_command_result *result, void *data) {
    (void)command;
    ending *ended = data;
    ended->times++;
    ended->result = *result;
    ended->result.output = NULL;
}

static void a_cancelled_command_ends_once(void **state) {
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    ending ended = {0};
    mac_command *command;
    assert_int_equal(
        mac_command_start(
            &(mac_command_options){.loop = &loop, .argv = SHELL(FOREVER), .on_end = on_end, .data = &ended}, &command),
        0);
    mac_command_cancel(command);
    mac_command_cancel(command);
    assert_int_equal(ended.times, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(ended.times, 1);
    assert_true(ended.result.cancelled);
    assert_int_equal(ended.result.signal, SIGTERM);
    assert_int_equal(uv_loop_close(&loop), 0);
    mac_autoptr(mac_error) error = mac_command_error("tail", &(mac_command_result){.cancelled = true, .output = ""});
    assert_int_equal(error->code, MACULA__V1__ERROR_CODE__CANCELLED);
}

static void many_commands_share_a_loop(void **state) {
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    ending ended = {0};
    size_t files[3]; /* the first round makes what the loop itself keeps */
    for (unsigned round = 0; round < MAC_ARRAY_SIZE(files); round++) {
        for (unsigned i = 0; i < 10; i++) {
            mac_command *command;
            const mac_command_options options = {
                .loop = &loop, .argv = SHELL("echo x; exit 9"), .on_end = on_end, .data = &ended};
            assert_int_equal(mac_command_start(&options, &command), 0);
        }
        uv_run(&loop, UV_RUN_DEFAULT);
        files[round] = open_files();
    }
    assert_int_equal(ended.times, 30);
    assert_int_equal(ended.result.exit_code, 9);
    assert_int_equal(files[1], files[0]);
    assert_int_equal(files[2], files[0]);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_outputs_and_the_exit_code_are_recorded),
        cmocka_unit_test(success_is_no_error),
        cmocka_unit_test(death_by_a_signal_is_told),
        cmocka_unit_test(what_cannot_be_executed_is_an_errno),
        cmocka_unit_test(no_descriptor_leaks_into_the_command_or_stays_behind),
        cmocka_unit_test(the_command_leads_a_session_of_its_own),
        cmocka_unit_test(environment_and_directory_are_as_given),
        cmocka_unit_test(input_is_fed_and_ends),
        cmocka_unit_test(output_is_bounded_while_the_command_goes_on),
        cmocka_unit_test(output_is_made_valid_utf_8),
        cmocka_unit_test(a_slow_command_is_terminated),
        cmocka_unit_test(a_stubborn_command_and_its_children_are_killed),
        cmocka_unit_test(a_child_that_ignores_the_end_goes_with_the_group),
        cmocka_unit_test(a_grandchild_that_keeps_the_pipe_does_not_hold_the_end_up),
        cmocka_unit_test(a_daemon_that_let_go_is_left_alone),
        cmocka_unit_test(a_caller_that_is_ended_ends_its_command_first),
        cmocka_unit_test(a_cancelled_command_ends_once),
        cmocka_unit_test(many_commands_share_a_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
