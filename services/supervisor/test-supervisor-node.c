/* Whole nodes: the real supervisor, the real nats-server, units that behave badly. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <nats/nats.h>

#include "codec/mac-codec.h"
#include "crypto/mac-crypto.h"
#include "macula/v1/document.pb-c.h"

#define PATIENCE_MS 20000
#define RPC "macula.rpc.io.macula."

typedef struct node {
    char directory[64];
    pid_t pid;
    FILE *output; /* of the supervisor, both streams */
    mac_strings seen;
    char url[64];
} node;

/* ---- verbs ---- */

static void write_file(const node *n, const char *name, const char *text) {
    mac_autofree char *path = mac_asprintf("%s/%s", n->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void has_unit(const node *n, const char *name, const char *mode, const char *more) {
    mac_autofree char *file = mac_asprintf("units/%s.yaml", name);
    mac_autofree char *text =
        mac_asprintf("description: A unit\ncommand: [%s/test-unit, %s]\n%s", MACULA_TEST_DIRECTORY, mode, more);
    write_file(n, file, text);
}

static void start_with(node *n, const char *port, const char *boot) {
    int ends[2];
    mac_autofree char *root = mac_asprintf("%s/root", n->directory), *units = mac_asprintf("%s/units", n->directory);
    const char *program = MACULA_SUPERVISOR;
    assert_int_equal(pipe(ends), 0);
    n->pid = fork();
    if (n->pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        setenv("MACULA_LOG", "debug", 1);
        unsetenv("MACULA_NATS_PORT");
        execl(program, program, "--root", root, "--units", units, "--boot-command", boot, "--backoff", "1",
              port ? "--port" : NULL, port, NULL);
        _exit(127);
    }
    close(ends[1]);
    n->output = fdopen(ends[0], "r");
}

/* Reads the log up to a line that has both words; fails when it ends before. Returns that line. */
static const char *sees(node *n, const char *word, const char *other) {
    static char line[8192];
    while (fgets(line, sizeof line, n->output)) {
        mac_strings_add(&n->seen, line);
        if (strstr(line, word) && (!other || strstr(line, other)))
            return line;
    }
    for (size_t i = 0; i < n->seen.count; i++)
        print_message("%s", n->seen.items[i]);
    fail_msg("no line with \"%s\" and \"%s\"", word, other ? other : "");
    return NULL;
}

static bool saw_both(const node *n, const char *word, const char *other) {
    for (size_t i = 0; i < n->seen.count; i++)
        if (strstr(n->seen.items[i], word) && (!other || strstr(n->seen.items[i], other)))
            return true;
    return false;
}

static bool saw(const node *n, const char *word) {
    return saw_both(n, word, NULL);
}

/* For lines whose order is not given: those that different processes write. */
static void has_seen_or_sees(node *n, const char *word, const char *other) {
    if (!saw_both(n, word, other))
        sees(n, word, other);
}

static void is_up(node *n) {
    start_with(n, NULL, "");
    const char *line = sees(n, "node ready: ", NULL);
    assert_int_equal(sscanf(line, "node ready: %63s", n->url), 1);
}

static int ends(node *n, int signal_number) {
    int status;
    if (signal_number)
        kill(n->pid, signal_number);
    char line[8192];
    while (fgets(line, sizeof line, n->output)) /* until nobody has the pipe open */
        mac_strings_add(&n->seen, line);
    assert_int_equal(waitpid(n->pid, &status, 0), n->pid);
    n->pid = 0;
    fclose(n->output);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int fresh(void **state) {
    node *n = mac_calloc(1, sizeof *n);
    strcpy(n->directory, "/tmp/supervisor-XXXXXX");
    assert_non_null(mkdtemp(n->directory));
    mac_autofree char *command = mac_asprintf("mkdir -p %s/units %s/root/run/macula", n->directory, n->directory);
    assert_int_equal(system(command), 0);
    *state = n;
    return 0;
}

static int tidy(void **state) {
    node *n = *state;
    if (n->pid > 0) {
        kill(n->pid, SIGKILL);
        waitpid(n->pid, NULL, 0);
        fclose(n->output);
    }
    mac_autofree char *command = mac_asprintf("rm -rf %s", n->directory);
    assert_int_equal(system(command), 0);
    mac_strings_deinit(&n->seen);
    free(n);
    return 0;
}

/* ---- the bus, as a client with a key ---- */

static natsStatus sign(char **error, unsigned char **signature, int *length, const char *nonce, void *closure) {
    (void)error;
    *signature = malloc(64);
    *length = 64;
    return *signature && mac_nkey_sign(closure, nonce, strlen(nonce), *signature) == 0 ? NATS_OK : NATS_ERR;
}

static natsConnection *connect_as(const node *n, const char *name, const char *url) {
    mac_root *root;
    natsOptions *options;
    natsConnection *connection = NULL;
    char public[MAC_NKEY_PUBLIC_SIZE], *seed = NULL;
    mac_autofree char *directory = mac_asprintf("%s/root", n->directory);
    mac_autofree char *path = mac_asprintf("/var/lib/maculaos/identity/%s.nk", name);
    assert_int_equal(mac_root_open(directory, false, &root), 0);
    assert_int_equal(mac_nkey_load(root, path, false, &seed, public), 0);
    mac_root_close(root);
    natsOptions_Create(&options);
    natsOptions_SetURL(options, url);
    natsOptions_SetAllowReconnect(options, false);
    natsOptions_SetNKey(options, public, sign, seed);
    mac_autofree char *inbox = mac_asprintf("_SVC.%s", name);
    natsOptions_SetCustomInboxPrefix(options, inbox);
    natsStatus status = NATS_ERR;
    /* libnats 3.4 drops a signature that begins with a zero byte: one in 256 */
    for (unsigned i = 0; i < 4 && status != NATS_OK; i++)
        status = natsConnection_Connect(&connection, options);
    assert_int_equal(status, NATS_OK);
    natsOptions_Destroy(options);
    mac_nkey_seed_free(seed);
    return connection;
}

static json_t *ask(const node *n, const char *name, const char *subject, const char *body) {
    natsConnection *connection = connect_as(n, name, n->url);
    natsMsg *answer = NULL;
    natsStatus status = natsConnection_RequestString(&answer, connection, subject, body, PATIENCE_MS);
    if (status != NATS_OK)
        fail_msg("%s: %s", subject, natsStatus_GetText(status));
    json_t *tree = json_loadb(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer), 0, NULL);
    assert_non_null(tree);
    natsMsg_Destroy(answer);
    natsConnection_Destroy(connection);
    return tree;
}

/* A member of the status of a unit; the caller's. */
static json_t *unit_status(const node *n, const char *name, const char *member) {
    json_t *status = ask(n, "admin", RPC "supervisor", ""), *unit, *found = NULL;
    size_t index;
    json_array_foreach (json_object_get(status, "units"), index, unit) {
        if (strcmp(json_string_value(json_object_get(unit, "name")), name) == 0)
            found = json_incref(json_object_get(unit, member));
    }
    json_decref(status);
    return found;
}

static pid_t pid_of(const node *n, const char *name) {
    json_t *pid = unit_status(n, name, "pid");
    pid_t value = (pid_t)json_integer_value(pid);
    json_decref(pid);
    assert_true(value > 0);
    return value;
}

static bool has_ended(int pidfd) {
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    bool ended = poll(&end, 1, PATIENCE_MS) == 1;
    close(pidfd);
    return ended;
}

static unsigned taken_port(int *ret_fd) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    *ret_fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*ret_fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(*ret_fd, 1), 0);
    getsockname(*ret_fd, (struct sockaddr *)&address, &length);
    return ntohs(address.sin_port);
}

/* ---- tests ---- */

static void a_node_starts_in_order_and_ends_in_reverse(void **state) {
    node *n = *state;
    has_unit(n, "a", "ready", "after: [b]\n");
    has_unit(n, "b", "ready", "");
    start_with(n, NULL, "echo booted in $MACULA_ROOT");
    sees(n, "booted in", n->directory);
    sees(n, "unit=b", "state=ready");
    sees(n, "unit=a", "state=starting");
    sees(n, "unit=a", "state=ready");
    sees(n, "node ready: nats://127.0.0.1:", NULL);
    has_seen_or_sees(n, "service=a msg=\"server nats://127.0.0.1:", "realm io.macula root /tmp/supervisor-");
    kill(n->pid, SIGTERM);
    sees(n, "unit=a", "state=stopped");
    sees(n, "unit=b", "state=stopping");
    sees(n, "unit=b", "state=stopped");
    sees(n, "unit=nats-server", "state=stopped");
    assert_int_equal(ends(n, 0), 0);
    assert_false(saw(n, "still open"));
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

/* ---- the bus section of the configuration, as confd puts it in force ---- */

static json_t *participant(const node *n, const char *method, const char *nats_section) {
    mac_autofree char *subject = mac_asprintf(RPC "participant.supervisor.%s", method);
    mac_autofree char *body = mac_asprintf("{\"document\":{\"maculaos\":{\"nats\":%s}}}", nats_section);
    return ask(n, "confd", subject, body);
}

static void expect_action(const node *n, const char *method, const char *nats_section, const char *action) {
    json_t *answer = participant(n, method, nats_section);
    mac_autofree char *text = json_dumps(answer, 0);
    const char *first = json_string_value(json_array_get(json_object_get(answer, "actions"), 0));
    if (!mac_streq(first, action))
        fail_msg("%s %s: %s", method, nats_section, text);
    json_decref(answer);
}

static void limits_change_by_reload(void **state) {
    node *n = *state;
    has_unit(n, "confd", "ready", "");
    is_up(n);
    pid_t before = pid_of(n, "nats-server");
    expect_action(n, "check", "{\"max_connections\":77}", "reload nats-server");
    assert_false(saw(n, "Reloaded"));
    expect_action(n, "apply", "{\"max_connections\":77}", "reload nats-server");
    sees(n, "Reloaded server configuration", NULL);
    expect_action(n, "apply", "{\"max_connections\":77}", NULL);
    assert_int_equal(pid_of(n, "nats-server"), before);
    assert_int_equal(ends(n, SIGTERM), 0);
}

static void what_the_server_would_refuse_is_refused_before(void **state) {
    node *n = *state;
    int fd;
    has_unit(n, "confd", "ready", "");
    is_up(n);
    mac_autofree char *taken = mac_asprintf("{\"listen\":\"127.0.0.1:%u\"}", taken_port(&fd));
    const char *const bad[] = {"{\"listen\":\"0.0.0.0:4222\"}", taken, "{\"max_payload\":\"1K\"}",
                               "{\"cluster\":{\"enabled\":true}}"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        json_t *answer = participant(n, "check", bad[i]);
        const json_t *problem = json_array_get(json_object_get(answer, "problems"), 0);
        if (!problem || !mac_starts_with(json_string_value(json_object_get(problem, "path")), "maculaos.nats"))
            fail_msg("%s was let through", bad[i]);
        json_decref(answer);
    }
    close(fd);
    assert_int_equal(ends(n, SIGTERM), 0);
}

static void another_address_restarts_the_server_and_whoever_knows_the_old_one(void **state) {
    node *n = *state;
    int fd;
    has_unit(n, "confd", "ready", "");
    is_up(n);
    unsigned port = taken_port(&fd);
    close(fd);
    mac_autofree char *section = mac_asprintf("{\"listen\":\"127.0.0.1:%u\"}", port);
    mac_autofree char *url = mac_asprintf("nats://127.0.0.1:%u", port);
    expect_action(n, "check", section, "restart nats-server");
    expect_action(n, "apply", section, "restart nats-server");
    mac_autofree char *told = mac_asprintf("service=confd msg=\"server %s ", url);
    mac_autofree char *connected = mac_asprintf("connected to the bus\" url=%s", url);
    has_seen_or_sees(n, told, NULL);
    has_seen_or_sees(n, connected, NULL);
    strcpy(n->url, url);
    assert_true(pid_of(n, "nats-server") > 0);
    assert_int_equal(ends(n, SIGTERM), 0);
}

static void a_server_that_does_not_come_back_gets_its_previous_configuration(void **state) {
    node *n = *state;
    int fd;
    has_unit(n, "confd", "ready", "");
    is_up(n);
    mac_autofree char *section = mac_asprintf("{\"listen\":\"127.0.0.1:%u\"}", taken_port(&fd));
    expect_action(n, "apply", section, "restart nats-server"); /* without asking first */
    sees(n, "previous one is back", NULL);
    sees(n, "unit=nats-server", "state=ready");
    sees(n, "connected to the bus", NULL);
    expect_action(n, "apply", "{}", NULL); /* what is in force is what was */
    close(fd);
    assert_int_equal(ends(n, SIGTERM), 0);
}

static void a_configuration_that_does_not_start_gives_way_to_the_built_in_one(void **state) {
    node *n = *state;
    Macula__V1__Document document = MACULA__V1__DOCUMENT__INIT;
    Macula__V1__MaculaosSection section = MACULA__V1__MACULAOS_SECTION__INIT;
    Macula__V1__NatsSection nats = MACULA__V1__NATS_SECTION__INIT;
    document.maculaos = &section;
    section.nats = &nats;
    nats.max_payload = (char *)"1K";
    size_t length;
    mac_autofree void *bytes = mac_codec_pack(&document.base, &length);
    mac_autofree char *path = mac_asprintf("%s/root/run/macula/config.pb", n->directory);
    FILE *file = fopen(path, "w");
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
    start_with(n, NULL, "exit 1");
    sees(n, "configuration not applied at boot", "exit code 1");
    sees(n, "using built-in defaults", "maculaos.nats.max_payload");
    sees(n, "node ready", NULL);
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
        TEST(limits_change_by_reload),
        TEST(what_the_server_would_refuse_is_refused_before),
        TEST(another_address_restarts_the_server_and_whoever_knows_the_old_one),
        TEST(a_server_that_does_not_come_back_gets_its_previous_configuration),
        TEST(a_configuration_that_does_not_start_gives_way_to_the_built_in_one),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nats_Close();
    return failed;
}
