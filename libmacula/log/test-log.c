#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "log/mac-log.h"

static int standard_error;
static char captured[16384];

static void begin(int fd) {
    fflush(stderr);
    dup2(fd, STDERR_FILENO);
    mac_log_init("testd");
}

/* What was logged since begin() on the pipe or terminal whose other end is fd. */
static const char *captured_from(int fd) {
    dup2(standard_error, STDERR_FILENO);
    size_t length = 0;
    ssize_t n;
    while ((n = read(fd, captured + length, sizeof captured - 1 - length)) > 0)
        length += (size_t)n;
    captured[length] = '\0';
    return captured;
}

static const char *logged(void (*body)(void)) {
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
    begin(pipes[1]);
    body();
    close(pipes[1]);
    const char *text = captured_from(pipes[0]);
    close(pipes[0]);
    return text;
}

static int set_up(void **state) {
    (void)state;
    setenv("MACULA_LOG_STAMP", "0", 1);
    unsetenv("MACULA_LOG");
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    return 0;
}

static void log_plain(void) {
    mac_log_info("generation applied", "generation=%d author=" MAC_LOG_Q("%s"), 12, "Anna \"the\" \\ Admin");
    mac_log_debug("not shown", NULL);
    mac_log_error("stopped", NULL);
}

static void a_pipe_gets_logfmt(void **state) {
    (void)state;
    assert_string_equal(logged(log_plain), "level=info service=testd msg=\"generation applied\" generation=12 "
                                           "author=\"Anna \\\"the\\\" \\\\ Admin\"\n"
                                           "level=error service=testd msg=\"stopped\"\n");
}

static void the_time_is_there_unless_the_collector_stamps(void **state) {
    (void)state;
    unsetenv("MACULA_LOG_STAMP");
    const char *text = logged(log_plain);
    int year, month, day, hour, minute, second, milliseconds, end = 0;
    assert_int_equal(sscanf(text, "time=%d-%d-%dT%d:%d:%d.%dZ level=%n", &year, &month, &day, &hour, &minute, &second,
                            &milliseconds, &end),
                     7);
    assert_true(end > 0);
}

static void log_hostile(void) {
    mac_log_info("value", "a=%s", "x\nlevel=error\r\t\x1b[31m\x7f");
    mac_log_info("value", "a=%s", "\xc2\x9b[31m \xff \xc3\xa9 \xe2\x82");
    mac_log_info("value", "a=" MAC_LOG_Q("%s"), "x\x03 forged=1 \x02");
}

static void a_value_can_neither_forge_a_line_nor_command_a_terminal(void **state) {
    (void)state;
    assert_string_equal(logged(log_hostile),
                        "level=info service=testd msg=\"value\" a=x\\nlevel=error\\r\\t\\x1b[31m\\x7f\n"
                        "level=info service=testd msg=\"value\" a=\\xc2\\x9b[31m \\xff \xc3\xa9 \\xe2\\x82\n"
                        "level=info service=testd msg=\"value\" fields=\"a=\\x02x\\x03 forged=1 \\x02\\x03\"\n");
}

static void log_long(void) {
    mac_autofree char *value = mac_malloc(100001);
    memset(value, 'x', 100000);
    value[100000] = '\0';
    mac_log_info("long", "a=" MAC_LOG_Q("%s") " b=1", value);
    memset(value, '\n', 100000);
    mac_log_info("long", "a=" MAC_LOG_Q("%s") " b=1", value);
}

static void a_line_is_bounded_and_its_quotes_are_closed(void **state) {
    (void)state;
    assert_true(MAC_LOG_LINE_MAX <= PIPE_BUF);
    const char *text = logged(log_long);
    for (unsigned i = 0; i < 2; i++) {
        const char *end = strchr(text, '\n');
        assert_non_null(end);
        assert_true(end - text < MAC_LOG_LINE_MAX && end - text > MAC_LOG_LINE_MAX / 2);
        assert_memory_equal(end - 4, "\xe2\x80\xa6\"", 4);
        text = end + 1;
    }
    assert_string_equal(text, "");
}

static const char *logged_on_a_terminal(void) {
    int master, slave;
    if (access("/dev/pts/ptmx", F_OK) != 0) {
        print_message("skipped: there are no terminals here, /dev/pts is not mounted\n");
        skip();
    }
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    begin(slave);
    mac_log_warning("disk nearly full", "free=%s", "3%");
    close(slave);
    const char *text = captured_from(master);
    close(master);
    return text;
}

static void a_terminal_gets_a_line_for_a_person(void **state) {
    (void)state;
    const char *text = logged_on_a_terminal();
    int hour, minute, second, end = 0;
    assert_int_equal(sscanf(text, "%2d:%2d:%2d %n", &hour, &minute, &second, &end), 3);
    assert_string_equal(text + end, "\x1b[33mwarning\x1b[0m testd: disk nearly full  \x1b[2mfree=3%\x1b[0m\r\n");
}

static void no_color_means_no_colour(void **state) {
    (void)state;
    setenv("NO_COLOR", "1", 1);
    assert_null(strchr(logged_on_a_terminal(), '\x1b'));
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    assert_null(strchr(logged_on_a_terminal(), '\x1b'));
}

static void the_level_comes_from_the_environment(void **state) {
    (void)state;
    setenv("MACULA_LOG", "error", 1);
    assert_string_equal(logged(log_plain), "level=error service=testd msg=\"stopped\"\n");
    setenv("MACULA_LOG", "debug", 1);
    assert_non_null(strstr(logged(log_plain), "not shown"));
    setenv("MACULA_LOG", "loud", 1);
    const char *text = logged(log_plain);
    assert_non_null(strstr(text, "expected=\"error, warning, info or debug\" found=\"loud\""));
    assert_null(strstr(text, "not shown"));
    mac_log_level level = MAC_LOG_DEBUG;
    assert_int_equal(mac_log_level_parse("warning", &level), 0);
    assert_int_equal(level, MAC_LOG_WARNING);
    assert_int_equal(mac_log_level_parse("Warning", &level), -EINVAL);
    assert_int_equal(mac_log_level_parse(NULL, &level), -EINVAL);
}

static void log_with_errno(void) {
    errno = EPIPE;
    mac_log_info("x", NULL);
    assert_int_equal(errno, EPIPE);
    dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
    mac_log_info("x", NULL);
    assert_int_equal(errno, EPIPE);
}

static void errno_is_kept_even_when_nothing_can_be_written(void **state) {
    (void)state;
    logged(log_with_errno);
}

enum { WRITERS = 4, LINES = 300 };

/* Several processes on one pipe: every line must arrive whole. */
static void lines_of_several_processes_do_not_interleave(void **state) {
    (void)state;
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    pid_t writers[WRITERS];
    for (int w = 0; w < WRITERS; w++) {
        writers[w] = fork();
        if (writers[w] == 0) {
            begin(pipes[1]);
            char filler[1500];
            memset(filler, 'a' + w, sizeof filler - 1);
            filler[sizeof filler - 1] = '\0';
            for (int i = 0; i < LINES; i++)
                mac_log_info("x", "f=%s", filler);
            _exit(0);
        }
    }
    close(pipes[1]);
    FILE *lines = fdopen(pipes[0], "r");
    char text[MAC_LOG_LINE_MAX];
    int count = 0;
    while (fgets(text, sizeof text, lines)) {
        static const char head[] = "level=info service=testd msg=\"x\" f=";
        assert_memory_equal(text, head, sizeof head - 1);
        char letter = text[sizeof head - 1];
        assert_int_equal(strspn(text + sizeof head - 1, (char[]){letter, '\0'}), 1499);
        assert_string_equal(text + sizeof head - 1 + 1499, "\n");
        count++;
    }
    assert_int_equal(count, WRITERS * LINES);
    fclose(lines);
    for (int w = 0; w < WRITERS; w++)
        waitpid(writers[w], NULL, 0);
}

int main(void) {
    standard_error = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_pipe_gets_logfmt, set_up),
        cmocka_unit_test_setup(the_time_is_there_unless_the_collector_stamps, set_up),
        cmocka_unit_test_setup(a_value_can_neither_forge_a_line_nor_command_a_terminal, set_up),
        cmocka_unit_test_setup(a_line_is_bounded_and_its_quotes_are_closed, set_up),
        cmocka_unit_test_setup(a_terminal_gets_a_line_for_a_person, set_up),
        cmocka_unit_test_setup(no_color_means_no_colour, set_up),
        cmocka_unit_test_setup(the_level_comes_from_the_environment, set_up),
        cmocka_unit_test_setup(errno_is_kept_even_when_nothing_can_be_written, set_up),
        cmocka_unit_test_setup(lines_of_several_processes_do_not_interleave, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
