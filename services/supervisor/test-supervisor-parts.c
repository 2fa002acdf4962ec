/* Lines, their form in the log, notifications over a real socket, real processes. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor-lines.h"
#include "supervisor-log.h"
#include "supervisor-notify.h"
#include "supervisor-port.h"
#include "supervisor-server.h"

static void collect(const char *line, size_t length, void *data) {
    mac_buffer_append(data, line, length);
    mac_buffer_text(data, "|");
}

static void lines_are_cut_however_they_arrive(void **state) {
    (void)state;
    static const char text[] = "one\r\ntwo\n\n\nthree";
    for (size_t step = 1; step < sizeof text; step++) {
        supervisor_lines lines = {0};
        mac_autobuffer seen = {0};
        for (size_t i = 0; i < sizeof text - 1; i += step) {
            size_t count = sizeof text - 1 - i < step ? sizeof text - 1 - i : step;
            supervisor_lines_feed(&lines, text + i, count, collect, &seen);
        }
        supervisor_lines_end(&lines, collect, &seen);
        assert_string_equal(seen.data, "one|two|three|");
    }
}

static void a_line_has_a_bound(void **state) {
    (void)state;
    supervisor_lines lines = {0};
    mac_autobuffer seen = {0};
    for (unsigned i = 0; i < 3 * SUPERVISOR_LINE_MAX; i++)
        supervisor_lines_feed(&lines, "x", 1, collect, &seen);
    supervisor_lines_feed(&lines, "\nnext\n", 6, collect, &seen);
    assert_int_equal(seen.length, SUPERVISOR_LINE_MAX + 1 + 5);
    assert_true(mac_ends_with(seen.data, "|next|"));
}

static void assert_formatted(supervisor_log_style style, const char *line, const char *expected) {
    mac_autobuffer out = {0};
    supervisor_log_format(style, 86400123, "netd", line, strlen(line), &out);
    assert_string_equal(out.data, expected);
}

#define STAMP "time=1970-01-02T00:00:00.123Z "

static void a_line_of_the_suite_gets_a_time(void **state) {
    (void)state;
    assert_formatted(SUPERVISOR_LOG_FMT, "level=warning service=netd msg=\"link down\" link=eth0",
                     STAMP "level=warning service=netd msg=\"link down\" link=eth0\n");
    assert_formatted(SUPERVISOR_LOG_PERSON, "level=warning service=netd msg=\"link down\" link=eth0",
                     "00:00:00 warning netd: link down  link=eth0\n");
}

static void nobody_can_speak_in_the_name_of_another(void **state) {
    (void)state;
    assert_formatted(SUPERVISOR_LOG_FMT, "level=info service=confd msg=\"x\"",
                     STAMP "level=info service=netd msg=\"x\"\n");
}

static void other_programs_lines_become_messages(void **state) {
    (void)state;
    assert_formatted(SUPERVISOR_LOG_FMT, "[12] [WRN] slow \"one\"",
                     STAMP "level=warning service=netd msg=\"slow \\\"one\\\"\"\n");
    assert_formatted(SUPERVISOR_LOG_FMT, "[12] [NEW] a", STAMP "level=info service=netd msg=\"[12] [NEW] a\"\n");
    assert_formatted(SUPERVISOR_LOG_FMT, "[", STAMP "level=info service=netd msg=\"[\"\n");
    assert_formatted(SUPERVISOR_LOG_FMT, "level=loud service=x msg=\"a\"",
                     STAMP "level=info service=netd msg=\"level=loud service=x msg=\\\"a\\\"\"\n");
    assert_formatted(SUPERVISOR_LOG_FMT, "level=info service=x msg=\"a\\",
                     STAMP "level=info service=netd msg=\"level=info service=x msg=\\\"a\\\\\"\n");
}

static void bytes_that_could_play_tricks_are_escaped(void **state) {
    (void)state;
    assert_formatted(SUPERVISOR_LOG_PERSON, "a\x1b[2Jb\tc\xff\xc3\xa9\xc2\x9b",
                     "00:00:00 info    netd: a\\x1b[2Jb\\tc\\xff\xc3\xa9\\xc2\\x9b\n");
}

/* A loop polls only while something keeps it alive; the handles under test do not. */
static void on_never(uv_timer_t *timer) {
    (void)timer;
}

static void keep_alive(uv_loop_t *loop, uv_timer_t *timer) {
    uv_timer_init(loop, timer);
    uv_timer_start(timer, on_never, 3600000, 0);
}

/* ---- notifications ---- */

typedef struct heard {
    pid_t pid;
    bool ready, stopping, alive;
    char status[128];
    unsigned count;
} heard;

static void on_said(pid_t pid, const supervisor_notification *said, void *data) {
    heard *h = data;
    h->pid = pid;
    h->ready = said->ready;
    h->stopping = said->stopping;
    h->alive = said->alive;
    strncpy(h->status, said->status ? said->status : "(none)", sizeof h->status - 1);
    h->count++;
}

static int say(const char *address, const char *text, size_t length) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    memcpy(to.sun_path, address, strlen(address));
    to.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address));
    ssize_t sent = sendto(fd, text, length, 0, (struct sockaddr *)&to, size);
    close(fd);
    return sent == (ssize_t)length ? 0 : -1;
}

static void a_notification_comes_with_the_pid_that_the_kernel_knows(void **state) {
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    supervisor_notify *notify;
    uv_timer_t alive;
    heard h = {0};
    keep_alive(&loop, &alive);
    assert_int_equal(supervisor_notify_new(&loop, on_said, &h, &notify), 0);
    const char *address = supervisor_notify_address(notify);
    static const char message[] = "READY=1\nSTATUS=a\tb\nUNKNOWN=1\nWATCHDOG=1";
    pid_t child = fork();
    if (child == 0)
        _exit(say(address, message, strlen(message)) == 0 ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    uv_run(&loop, UV_RUN_NOWAIT); /* it is there: the sender has ended */
    assert_int_equal(h.count, 1);
    assert_int_equal(h.pid, child);
    assert_true(h.ready && h.alive && !h.stopping);
    assert_string_equal(h.status, "a b");
    char long_text[SUPERVISOR_NOTIFY_MAX + 1];
    memset(long_text, 'x', sizeof long_text);
    assert_int_equal(say(address, long_text, sizeof long_text), 0);
    assert_int_equal(say(address, "STATUS=\xff", 8), 0);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(h.count, 2);
    assert_string_equal(h.status, "(none)");
    assert_false(h.ready);
    supervisor_notify_close(notify);
    uv_close((uv_handle_t *)&alive, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* ---- processes ---- */

typedef struct run {
    mac_buffer lines;
    int status;
    bool ended;
} run;

static void on_run_line(const char *line, size_t length, void *data) {
    collect(line, length, &((run *)data)->lines);
}

static void on_run_exit(int status, void *data) {
    ((run *)data)->status = status;
    ((run *)data)->ended = true;
}

static void on_closed(void *data) {
    *(bool *)data = true;
}

static void with_children(void (*body)(supervisor_children *children, uv_loop_t *loop)) {
    uv_loop_t loop;
    bool closed = false;
    uv_loop_init(&loop);
    uv_timer_t alive;
    keep_alive(&loop, &alive);
    supervisor_children *children = supervisor_children_new(&loop);
    body(children, &loop);
    uv_close((uv_handle_t *)&alive, NULL);
    supervisor_children_close(children, on_closed, &closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static int start(supervisor_children *children, const char *script, run *r, supervisor_process **ret) {
    char *arguments[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
    char *environment[] = {(char *)"PATH=/usr/bin:/bin", (char *)"GREETING=hello", NULL};
    supervisor_process_options options = {.program = "/bin/sh",
                                          .arguments = arguments,
                                          .environment = environment,
                                          .death_signal = SIGKILL,
                                          .data_max = 64u << 20,
                                          .files_max = 77,
                                          .on_line = on_run_line,
                                          .on_exit = on_run_exit,
                                          .data = r};
    return supervisor_process_start(children, &options, ret);
}

static void run_to_end(uv_loop_t *loop, run *r) {
    while (!r->ended)
        uv_run(loop, UV_RUN_ONCE);
}

static void output_and_limits(supervisor_children *children, uv_loop_t *loop) {
    run r = {0};
    supervisor_process *process;
    assert_int_equal(
        start(children, "echo $GREETING; ulimit -n; ulimit -d; echo err >&2; printf end; exit 3", &r, &process), 0);
    run_to_end(loop, &r);
    assert_string_equal(r.lines.data, "hello|77|65536|err|end|");
    assert_int_equal(WEXITSTATUS(r.status), 3);
    mac_buffer_deinit(&r.lines);
}

static void a_process_gives_its_output_before_its_end(void **state) {
    (void)state;
    with_children(output_and_limits);
}

static void the_bus_gets_half_of_a_machine_within_reason(void **state) {
    (void)state;
    const uint64_t mib = 1u << 20;
    assert_int_equal(supervisor_server_memory(256 * mib, 0), 384 * mib);
    assert_int_equal(supervisor_server_memory(1024 * mib, 0), 512 * mib);
    assert_int_equal(supervisor_server_memory(64 * 1024 * mib, 0), 2048 * mib);
    assert_int_equal(supervisor_server_memory(1024 * mib, 64 * mib), 576 * mib);
}

static void orphans(supervisor_children *children, uv_loop_t *loop) {
    run r = {0};
    supervisor_process *process;
    /* What it leaves behind holds the pipe open; it must not hold us. */
    assert_int_equal(start(children, "tail -f /dev/null & echo $!; kill -9 $$", &r, &process), 0);
    run_to_end(loop, &r);
    assert_true(WIFSIGNALED(r.status));
    pid_t left = (pid_t)atoi(r.lines.data);
    assert_true(left > 1);
    /* Its zombie comes to us, the subreaper: then the number is free. */
    while (kill(left, 0) == 0)
        uv_run(loop, UV_RUN_ONCE);
    mac_buffer_deinit(&r.lines);
}

static void what_a_process_leaves_behind_is_killed(void **state) {
    (void)state;
    with_children(orphans);
}

static void missing(supervisor_children *children, uv_loop_t *loop) {
    (void)loop;
    char *arguments[] = {(char *)"x", NULL}, *environment[] = {NULL};
    supervisor_process *process;
    supervisor_process_options options = {
        .program = "/nonexistent/x", .arguments = arguments, .environment = environment};
    assert_int_equal(supervisor_process_start(children, &options, &process), -ENOENT);
    options.program = "/etc/passwd";
    assert_int_equal(supervisor_process_start(children, &options, &process), -EACCES);
}

static void a_program_that_is_not_there_is_said_at_once(void **state) {
    (void)state;
    with_children(missing);
}

static void left_running(supervisor_children *children, uv_loop_t *loop) {
    (void)loop;
    static run r;
    supervisor_process *process;
    r = (run){0};
    assert_int_equal(start(children, "trap '' TERM; while :; do tail -f /dev/null; done", &r, &process), 0);
}

static void closing_kills_what_still_runs(void **state) {
    (void)state;
    with_children(left_running);
}

/* ---- ports ---- */

static void a_taken_port_is_found_out(void **state) {
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&address, &length);
    mac_autofree char *where = mac_asprintf("127.0.0.1:%u", ntohs(address.sin_port));
    assert_false(supervisor_port_free(where, 0));
    close(fd);
    assert_true(supervisor_port_free(where, 0));
    assert_false(supervisor_port_free("192.0.2.1:4222", getpid()));
}

static int listening(const char *host, uint16_t port, uint16_t *ret_port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t length = sizeof address;
    assert_int_equal(inet_pton(AF_INET, host, &address.sin_addr), 1);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&address, &length);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void a_process_that_leaves_is_not_in_its_own_way(void **state) {
    (void)state;
    static const char *const to[] = {"0.0.0.0:%u", "127.0.0.1:%u", "[::]:%u"};
    uint16_t port, again;
    int mine = listening("127.0.0.1", 0, &port);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(to); i++) {
        const char *colon = strrchr(to[i], ':');
        mac_autofree char *where = mac_asprintf("%.*s:%u", (int)(colon - to[i]), to[i], port);
        assert_false(supervisor_port_free(where, 0));
        assert_false(supervisor_port_free(where, getppid())); /* another one has it */
        assert_true(supervisor_port_free(where, getpid()));
    }
    /* Somebody else is in the way of all addresses, not of the other one. */
    int theirs = listening("127.0.0.2", port, &again);
    mac_autofree char *all = mac_asprintf("0.0.0.0:%u", port), *own = mac_asprintf("127.0.0.1:%u", port);
    assert_true(supervisor_port_free(all, getpid())); /* both are ours */
    int start[2];
    assert_int_equal(pipe(start), 0);
    pid_t other = fork();
    if (other == 0) { /* it alone has the second one from now on */
        close(mine);
        assert_int_equal(write(start[1], "x", 1), 1);
        pause();
    }
    char byte;
    assert_int_equal(read(start[0], &byte, 1), 1);
    close(theirs);
    assert_false(supervisor_port_free(all, getpid()));
    assert_true(supervisor_port_free(own, getpid()));
    kill(other, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
    close(mine);
    close(start[0]);
    close(start[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_cut_however_they_arrive),
        cmocka_unit_test(a_line_has_a_bound),
        cmocka_unit_test(a_line_of_the_suite_gets_a_time),
        cmocka_unit_test(nobody_can_speak_in_the_name_of_another),
        cmocka_unit_test(other_programs_lines_become_messages),
        cmocka_unit_test(bytes_that_could_play_tricks_are_escaped),
        cmocka_unit_test(a_notification_comes_with_the_pid_that_the_kernel_knows),
        cmocka_unit_test(a_process_gives_its_output_before_its_end),
        cmocka_unit_test(the_bus_gets_half_of_a_machine_within_reason),
        cmocka_unit_test(what_a_process_leaves_behind_is_killed),
        cmocka_unit_test(a_program_that_is_not_there_is_said_at_once),
        cmocka_unit_test(closing_kills_what_still_runs),
        cmocka_unit_test(a_taken_port_is_found_out),
        cmocka_unit_test(a_process_that_leaves_is_not_in_its_own_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
