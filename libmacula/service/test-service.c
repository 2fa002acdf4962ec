/* A whole service, started as its supervisor would, with a real nats-server. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/mac-crypto.h"
#include "macula/v1/supervisor.pb-c.h"
#include "service/mac-service.h"
#include "test-server.h"

#define PATIENCE_S 20
#define SEED_PATH "/var/lib/maculaos/identity/testd.nk"

typedef struct stage {
    char directory[64];
    mac_root *root;
    test_server *server;
    int notices; /* NOTIFY_SOCKET */
    pid_t pid;
    char notice[512];
    char log[65536];
} stage;

static char *inside(const stage *s, const char *path) {
    return mac_asprintf("%s%s", s->directory, path);
}

static void listen_for_notices(stage *s) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", s->directory);
    s->notices = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->notices, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(chmod(address.sun_path, 0600), 0);
    struct timeval limit = {.tv_sec = PATIENCE_S};
    setsockopt(s->notices, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

/* A node whose server knows the service's key. */
static stage *stage_new(void) {
    stage *s = mac_calloc(1, sizeof *s);
    snprintf(s->directory, sizeof s->directory, "/tmp/macula-test-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    assert_int_equal(mac_root_open(s->directory, false, &s->root), 0);
    listen_for_notices(s);
    assert_int_equal(mac_fs_mkdirs(s->root, "/var/lib/maculaos/identity", 0700), 0);
    char *seed, public_key[MAC_NKEY_PUBLIC_SIZE];
    assert_int_equal(mac_nkey_load(s->root, SEED_PATH, true, &seed, public_key), 0);
    mac_nkey_seed_free(seed);
    mac_autofree char *config =
        mac_asprintf("authorization { users = [ { nkey: %s }, { user: anybody, password: x } ] }\n"
                     "no_auth_user: anybody\n",
                     public_key);
    s->server = test_server_start(config);
    return s;
}

static void read_log(stage *s) {
    mac_autofree char *path = inside(s, "/log");
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    s->log[fread(s->log, 1, sizeof s->log - 1, file)] = '\0';
    fclose(file);
}

static void stage_free(stage *s) {
    assert_int_equal(s->pid, 0);
    test_server_stop(s->server);
    close(s->notices);
    mac_root_close(s->root);
    mac_autofree char *command = mac_asprintf("rm -rf %s", s->directory);
    assert_int_equal(system(command), 0);
    free(s);
}

static char *beside_me(const char *name) {
    char self[512];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    return mac_asprintf("%s/%s", self, name);
}

/* Starts testd as the supervisor does; up to four more arguments, then NULL. */
static void start(stage *s, const char *a, const char *b, const char *c, const char *d) {
    mac_autofree char *program = beside_me("test-service-program"), *log = inside(s, "/log");
    mac_autofree char *socket_name = inside(s, "/notify");
    s->pid = fork();
    if (s->pid != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing stays behind a test that fails */
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    dup2(fd, STDERR_FILENO);
    setenv("MACULA_ROOT", s->directory, 1);
    setenv("NOTIFY_SOCKET", socket_name, 1);
    setenv("MACULA_LOG_STAMP", "0", 1);
    execl(program, program, a, b, c, d, (char *)NULL);
    _exit(127);
}

static void start_usual(stage *s, const char *deed) {
    setenv("MACULA_SERVER", test_server_url(s->server), 1);
    if (deed)
        start(s, "--do", deed, NULL, NULL);
    else
        start(s, NULL, NULL, NULL, NULL);
    unsetenv("MACULA_SERVER");
}

/* The exit code; minus the signal. The log is read. */
static int end_of(stage *s) {
    int status;
    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    s->pid = 0;
    read_log(s);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int end_by(stage *s, int number) {
    kill(s->pid, number);
    return end_of(s);
}

/* Waits for a notice that contains the text. */
static void await(stage *s, const char *text) {
    for (;;) {
        ssize_t length = recv(s->notices, s->notice, sizeof s->notice - 1, 0);
        if (length < 0) {
            read_log(s);
            print_message("no notice with %s; the service's log:\n%s", text, s->log);
        }
        assert_true(length >= 0);
        s->notice[length] = '\0';
        if (strstr(s->notice, text))
            return;
    }
}

static void assert_log(const stage *s, const char *text) {
    if (!strstr(s->log, text))
        print_message("expected in the log: %s\nfound:\n%s", text, s->log);
    assert_non_null(strstr(s->log, text));
}

/* One request by somebody else, and its answer. */
typedef struct question {
    uv_loop_t loop;
    mac_bus *bus;
    char answer[2048];
} question;

static void on_answer(const mac_answer *answer, void *data) {
    question *q = data;
    if (answer->error)
        snprintf(q->answer, sizeof q->answer, "error: %s", answer->error->message);
    else
        snprintf(q->answer, sizeof q->answer, "%.*s", (int)answer->length, (const char *)answer->data);
    mac_bus_close(q->bus, NULL, NULL);
}

static void on_asker_state(mac_bus *bus, mac_bus_state state, const mac_error *error, void *data) {
    if (state == MAC_BUS_CONNECTED)
        mac_bus_request(bus, "macula.rpc.io.macula.supervisor.status", "", 0, false, false, 10000, on_answer, data);
    assert_null(error);
}

static void ask(stage *s, question *q) {
    uv_loop_init(&q->loop);
    q->bus = mac_bus_new(&(mac_bus_options){.loop = &q->loop,
                                            .url = test_server_url(s->server),
                                            .name = "asker",
                                            .realm = "io.macula",
                                            .once = true,
                                            .on_state = on_asker_state,
                                            .data = q});
    mac_bus_start(q->bus);
    uv_run(&q->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&q->loop), 0);
}

static void a_service_is_ready_when_it_can_be_asked(void **state) {
    (void)state;
    stage *s = stage_new();
    start_usual(s, NULL);
    await(s, "READY=1");
    assert_string_equal(s->notice, "READY=1\nSTATUS=serving");
    question q = {0};
    ask(s, &q);
    mac_autofree char *pid = mac_asprintf("\"pid\":%d", s->pid);
    assert_non_null(strstr(q.answer, pid));
    assert_int_equal(end_by(s, SIGTERM), 0);
    await(s, "STOPPING=1");
    assert_log(s, "level=info service=testd msg=\"ready\" server=\"nats://");
    stage_free(s);
}

static void its_key_is_made_when_missing(void **state) {
    (void)state;
    stage *s = stage_new();
    mac_autofree char *identity = inside(s, "/var/lib/maculaos/identity");
    assert_int_equal(mac_fs_remove_tree(s->root, "/var"), 0);
    start_usual(s, NULL);
    await(s, "STATUS=waiting for the bus"); /* which does not know this key */
    struct stat file, directory;
    assert_int_equal(mac_fs_stat(s->root, SEED_PATH, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0600);
    assert_int_equal(stat(identity, &directory), 0);
    assert_int_equal(directory.st_mode & 07777, 0700);
    assert_int_equal(end_by(s, SIGINT), 0);
    stage_free(s);
}

static void a_damaged_key_is_told_with_a_remedy(void **state) {
    (void)state;
    stage *s = stage_new();
    assert_int_equal(mac_fs_write(s->root, SEED_PATH, "SUdamaged\n", 10, MAC_FS_PRIVATE), 0);
    start_usual(s, NULL);
    assert_int_equal(end_of(s), 1);
    assert_log(s, SEED_PATH ": expected an nkey seed");
    assert_log(s, "restore the file from a backup");
    assert_null(strstr(s->log, "SUdamaged"));
    stage_free(s);
}

static void the_bus_may_go_and_come_back(void **state) {
    (void)state;
    stage *s = stage_new();
    start_usual(s, NULL);
    await(s, "READY=1");
    for (unsigned i = 0; i < 2; i++) {
        test_server_kill(s->server);
        await(s, "STATUS=waiting for the bus: ");
        test_server_again(s->server);
        await(s, "STATUS=serving");
        assert_null(strstr(s->notice, "READY=1"));
    }
    question q = {0};
    ask(s, &q);
    assert_non_null(strstr(q.answer, "testd"));
    assert_int_equal(end_by(s, SIGTERM), 0);
    assert_log(s, "msg=\"the bus is back\"");
    stage_free(s);
}

static void it_may_start_before_its_server_and_end_without_it(void **state) {
    (void)state;
    stage *s = stage_new();
    test_server_kill(s->server);
    start_usual(s, NULL);
    await(s, "STATUS=waiting for the bus");
    test_server_again(s->server);
    await(s, "READY=1");
    test_server_kill(s->server);
    await(s, "STATUS=waiting for the bus");
    assert_int_equal(end_by(s, SIGTERM), 0);
    test_server_again(s->server);
    stage_free(s);
}

static void the_servers_address_is_found_in_the_root(void **state) {
    (void)state;
    stage *s = stage_new();
    mac_autofree char *line = mac_asprintf("%s\n", test_server_url(s->server));
    assert_int_equal(mac_fs_mkdirs(s->root, "/run/macula", 0755), 0);
    assert_int_equal(mac_fs_write(s->root, "/run/macula/server.url", line, strlen(line), MAC_FS_KEEP), 0);
    start(s, NULL, NULL, NULL, NULL);
    await(s, "READY=1");
    assert_int_equal(end_by(s, SIGTERM), 0);
    stage_free(s);
}

static void a_password_in_the_servers_url_is_not_logged(void **state) {
    (void)state;
    stage *s = stage_new();
    static const char *const schemes[] = {"nats://", ""};
    test_server_kill(s->server);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(schemes); i++) {
        mac_autofree char *url =
            mac_asprintf("%sanna:geheim@%s", schemes[i], strstr(test_server_url(s->server), "://") + 3);
        start(s, "--server", url, "--log-level", "debug");
        await(s, "STATUS=waiting for the bus");
        assert_null(strstr(s->notice, "geheim"));
        assert_int_equal(end_by(s, SIGTERM), 0);
        assert_null(strstr(s->log, "geheim"));
    }
    test_server_again(s->server);
    stage_free(s);
}

static void the_watchdog_is_fed_if_there_is_one(void **state) {
    (void)state;
    stage *s = stage_new();
    setenv("WATCHDOG_USEC", "100000", 1);
    start_usual(s, NULL);
    unsetenv("WATCHDOG_USEC");
    for (unsigned i = 0; i < 5; i++)
        await(s, "WATCHDOG=1");
    kill(s->pid, SIGSTOP); /* a loop that hangs does not feed it */
    int status;
    assert_int_equal(waitpid(s->pid, &status, WUNTRACED), s->pid);
    while (recv(s->notices, s->notice, sizeof s->notice, MSG_DONTWAIT) >= 0)
        ;
    kill(s->pid, SIGCONT);
    await(s, "WATCHDOG=1");
    assert_int_equal(end_by(s, SIGTERM), 0);
    stage_free(s);
}

static void a_watchdog_of_somebody_else_is_not_fed(void **state) {
    (void)state;
    stage *s = stage_new();
    setenv("WATCHDOG_USEC", "1000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    start_usual(s, NULL);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    for (unsigned i = 0; i < 2; i++) { /* starting, READY=1: nothing between */
        assert_true(recv(s->notices, s->notice, sizeof s->notice - 1, 0) > 0);
        assert_null(strstr(s->notice, "WATCHDOG"));
    }
    assert_int_equal(end_by(s, SIGTERM), 0);
    stage_free(s);
}

static void a_service_that_cannot_run_says_why(void **state) {
    (void)state;
    stage *s = stage_new();
    start_usual(s, "fail");
    assert_int_equal(end_of(s), 1);
    assert_log(s, "level=error service=testd msg=\"cannot run\" reason=\"this machine has no \\\"soul\\\"\"");
    await(s, "STATUS=this machine has no \"soul\"");
    stage_free(s);
}

static void it_may_take_its_time_to_stop(void **state) {
    (void)state;
    stage *s = stage_new();
    start_usual(s, "stop-later");
    await(s, "READY=1");
    assert_int_equal(end_by(s, SIGTERM), 0);
    stage_free(s);
}

static void a_second_signal_ends_at_once(void **state) {
    (void)state;
    stage *s = stage_new();
    start_usual(s, "never-stop");
    await(s, "READY=1");
    kill(s->pid, SIGTERM);
    await(s, "STOPPING=1");
    assert_int_equal(end_by(s, SIGINT), 128 + SIGINT);
    stage_free(s);
}

static void it_may_end_itself_with_a_code(void **state) {
    (void)state;
    stage *s = stage_new();
    start_usual(s, "quit");
    assert_int_equal(end_of(s), 42);
    stage_free(s);
}

static void openssl_sleeps_in_a_service(void **state) {
    (void)state;
    stage *s = stage_new();
    start_usual(s, "be-frugal");
    await(s, "STATUS=serving");
    assert_int_equal(end_by(s, SIGTERM), 0);
    stage_free(s);
}

static void a_handle_left_open_does_not_hold_the_end_up(void **state) {
    (void)state;
#ifdef MACULA_SANITIZED
    skip(); /* it is a leak, and reported as one */
#endif
    stage *s = stage_new();
    start_usual(s, "leave-open");
    await(s, "READY=1");
    assert_int_equal(end_by(s, SIGTERM), 0);
    assert_log(s, "handles are left open");
    stage_free(s);
}

static void boot_runs_without_a_bus(void **state) {
    (void)state;
    stage *s = stage_new();
    assert_int_equal(mac_fs_remove_tree(s->root, "/var"), 0);
    start(s, "--boot", NULL, NULL, NULL);
    assert_int_equal(end_of(s), 17);
    struct stat file;
    assert_int_equal(mac_fs_stat(s->root, SEED_PATH, &file), -ENOENT);
    stage_free(s);
}

static uid_t user_of(pid_t pid) {
    mac_autofree char *path = mac_asprintf("/proc/%d", pid);
    struct stat directory;
    assert_int_equal(stat(path, &directory), 0);
    return directory.st_uid;
}

static void it_gives_up_roots_rights_and_keeps_what_it_opened(void **state) {
    (void)state;
    const struct passwd *nobody = getpwnam("nobody");
    if (geteuid() != 0 || !nobody) {
        print_message("skipped: needs root and the account nobody\n");
        skip();
    }
    stage *s = stage_new(); /* directory, key and notice socket are root's alone */
    start(s, "--user", "nobody", "--server", test_server_url(s->server));
    await(s, "READY=1");
    assert_int_equal(user_of(s->pid), nobody->pw_uid);
    assert_int_equal(end_by(s, SIGTERM), 0);
    await(s, "STOPPING=1");
    start(s, "--user", "no-such-account", NULL, NULL);
    assert_int_equal(end_of(s), 1);
    assert_log(s, "no-such-account");
    stage_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_is_ready_when_it_can_be_asked),
        cmocka_unit_test(its_key_is_made_when_missing),
        cmocka_unit_test(a_damaged_key_is_told_with_a_remedy),
        cmocka_unit_test(the_bus_may_go_and_come_back),
        cmocka_unit_test(it_may_start_before_its_server_and_end_without_it),
        cmocka_unit_test(the_servers_address_is_found_in_the_root),
        cmocka_unit_test(a_password_in_the_servers_url_is_not_logged),
        cmocka_unit_test(the_watchdog_is_fed_if_there_is_one),
        cmocka_unit_test(a_watchdog_of_somebody_else_is_not_fed),
        cmocka_unit_test(a_service_that_cannot_run_says_why),
        cmocka_unit_test(it_may_take_its_time_to_stop),
        cmocka_unit_test(a_second_signal_ends_at_once),
        cmocka_unit_test(it_may_end_itself_with_a_code),
        cmocka_unit_test(openssl_sleeps_in_a_service),
        cmocka_unit_test(a_handle_left_open_does_not_hold_the_end_up),
        cmocka_unit_test(boot_runs_without_a_bus),
        cmocka_unit_test(it_gives_up_roots_rights_and_keeps_what_it_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
