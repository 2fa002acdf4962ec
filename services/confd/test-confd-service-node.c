#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test-confd-service.h"

#define BIN_DIR "MACULA_BIN_DIR"

static void write_units(confd_node *node, const char *const *units) {
    node->units = mac_asprintf("%s/units", node->box->directory);
    assert_int_equal(mac_fs_mkdirs(node->box->root, "/units", 0755), 0);
    for (size_t i = 0; units[i]; i++) {
        mac_autofree char *path = mac_asprintf("/units/%s.yaml", units[i]);
        mac_autofree char *text = mac_asprintf("command: [%s]\nparticipant: true\n", units[i]);
        box_write(node->box, path, text);
    }
    box_write(node->box, "/units/other.yaml", "command: [other]\n");
}

static void on_event(const mac_event *event, void *data) {
    confd_node *node = data;
    const char *prefix = "macula.sub." TEST_REALM ".";
    mac_strings_addf(&node->events, "%s %.*s", event->subject + strlen(prefix), (int)event->length,
                     (const char *)event->data);
    node->event_count++;
}

/* ---- what confd says of itself ---- */

static void on_notice(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    confd_node *node = poll->data;
    char text[1024];
    for (;;) {
        ssize_t length = recv(node->notify, text, sizeof text - 1, MSG_DONTWAIT);
        if (length < 0)
            return;
        text[length] = '\0';
        node->ready = node->ready || strstr(text, "READY=1");
        if (strstr(text, "is in force")) {
            node->busy = strstr(text, "is being applied");
            node->notice_count++;
        }
    }
}

static char *notify_address(const confd_node *node) {
    return mac_asprintf("%s/notify", node->box->directory);
}

static void listen_to_confd(confd_node *node) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mac_autofree char *path = notify_address(node);
    assert_true(strlen(path) < sizeof address.sun_path);
    strcpy(address.sun_path, path);
    node->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(node->notify, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(uv_poll_init(&node->bus->loop, &node->notify_poll, node->notify), 0);
    node->notify_poll.data = node;
    uv_poll_start(&node->notify_poll, UV_READABLE, on_notice);
}

void node_await_notice(confd_node *node, unsigned count) {
    test_node_until_count(node->bus, &node->notice_count, count + 1);
}

confd_node *node_new(const char *const *units) {
    confd_node *node = mac_calloc(1, sizeof *node);
    node->box = box_new();
    write_units(node, units);
    node->bus = test_node_new(NULL);
    node->client = test_node_bus(node->bus, "tester", NULL, &node->states);
    test_node_until_connected(node->bus, node->client);
    assert_int_equal(mac_bus_subscribe(node->client, "macula.sub." TEST_REALM ".>", on_event, node, NULL), 0);
    test_node_flush(node->bus, node->client);
    listen_to_confd(node);
    setenv("MACULA_BOOT_ID", "boot-1", 1);
    setenv("MACULA_CMDLINE", "", 1);
    return node;
}

confd_node *node_started(const char *const *units) {
    confd_node *node = node_new(units);
    node_start(node, NULL);
    return node;
}

/* ---- processes ---- */

static const char *program_directory(void) {
    const char *directory = getenv(BIN_DIR);
    assert_non_null(directory);
    return directory;
}

static pid_t spawn(confd_node *node, char *const *argv, const char *fault, int output) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is aborted leaves nothing behind */
    setenv("MACULA_ROOT", node->box->directory, 1);
    setenv("MACULA_SERVER", test_server_url(node->bus->server), 1);
    setenv("MACULA_REALM", TEST_REALM, 1);
    setenv("MACULA_UNITS", node->units, 1);
    if (!getenv("TEST_VERBOSE"))
        setenv("MACULA_LOG", "error", 1);
    if (fault)
        setenv("MACULA_FAULT", fault, 1);
    if (output >= 0)
        dup2(output, 1);
    execv(argv[0], argv);
    _exit(127);
}

static void start_confd(confd_node *node, const char *fault) {
    mac_autofree char *program = mac_asprintf("%s/confd", program_directory());
    mac_autofree char *address = notify_address(node);
    on_notice(&node->notify_poll, 0, UV_READABLE); /* the last words of the one before */
    char *const argv[] = {program, NULL};
    node->ready = false;
    node->busy = true;
    setenv("NOTIFY_SOCKET", address, 1);
    node->confd = spawn(node, argv, fault, -1);
    unsetenv("NOTIFY_SOCKET");
}

static int await(pid_t *process) {
    int status = 0;
    assert_int_equal(waitpid(*process, &status, 0), *process);
    *process = 0;
    return status;
}

void node_start(confd_node *node, const char *fault) {
    start_confd(node, fault);
    test_node_until(node->bus, &node->ready);
    while (node->busy)
        node_await_notice(node, node->notice_count);
    if (!node_ask(node, "config.status", "{}"))
        fail_msg("confd is ready, but: %s", node->answer.message);
}

void node_start_and_die(confd_node *node, const char *fault) {
    start_confd(node, fault);
    node_await_death(node);
}

void node_await_death(confd_node *node) {
    int status = await(&node->confd);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

void node_kill(confd_node *node) {
    kill(node->confd, SIGKILL);
    await(&node->confd);
}

void node_stop(confd_node *node) {
    kill(node->confd, SIGTERM);
    int status = await(&node->confd);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("confd ended with status 0x%x", (unsigned)status);
}

int node_start_and_fail(confd_node *node) {
    start_confd(node, NULL);
    int status = await(&node->confd);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

int node_boot(confd_node *node) {
    mac_autofree char *program = mac_asprintf("%s/confd", program_directory());
    char option[] = "--boot";
    char *const argv[] = {program, option, NULL};
    pid_t process = spawn(node, argv, NULL, -1);
    int status = await(&process);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Reads the next line. */
static void await_word(int from, const char *word) {
    char text[16] = "";
    for (size_t length = 0; length < sizeof text - 1 && !strchr(text, '\n'); length++)
        assert_int_equal(read(from, text + length, 1), 1);
    assert_string_equal(strtok(text, "\n"), word);
}

void node_participant(confd_node *node, const char *name, const char *mode) {
    mac_autofree char *program = mac_asprintf("%s/../test/test-confd-participant", program_directory());
    mac_autofree char *log = mac_asprintf("%s/participants.log", node->box->directory);
    mac_autofree char *url = mac_strdup(test_server_url(node->bus->server));
    mac_autofree char *who = mac_strdup(name);
    char realm[] = TEST_REALM;
    char *const argv[] = {program, url, realm, who, NULL};
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    setenv("PARTICIPANT_MODE", mode, 1);
    setenv("PARTICIPANT_LOG", log, 1);
    assert_true(node->participant_count < MAC_ARRAY_SIZE(node->participants));
    node->participants[node->participant_count] = spawn(node, argv, NULL, ends[1]);
    node->participant_said[node->participant_count++] = ends[0];
    close(ends[1]);
    await_word(ends[0], "ready");
}

void node_await_asked(confd_node *node) {
    await_word(node->participant_said[node->participant_count - 1], "asked");
}

char *node_participant_log(confd_node *node) {
    char *text = box_read(node->box, "/participants.log");
    int result = mac_fs_remove(node->box->root, "/participants.log");
    assert_true(result == 0 || result == -ENOENT);
    return text ? text : mac_strdup("");
}

void node_free(confd_node *node) {
    if (node->confd)
        node_kill(node);
    for (size_t i = 0; i < node->participant_count; i++) {
        kill(node->participants[i], SIGKILL);
        await(&node->participants[i]);
        close(node->participant_said[i]);
    }
    test_node_close(node->bus, &node->client);
    uv_close((uv_handle_t *)&node->notify_poll, NULL);
    test_node_free(node->bus);
    close(node->notify);
    test_answer_clear(&node->answer);
    json_decref(node->body);
    mac_strings_deinit(&node->events);
    box_free(node->box);
    free(node->units);
    free(node);
}

/* ---- asking ---- */

bool node_ask(confd_node *node, const char *procedure, const char *json) {
    mac_autofree char *subject = mac_asprintf("macula.rpc." TEST_REALM ".%s", procedure);
    json_decref(mac_take(&node->body));
    test_ask(node->bus, node->client, subject, json, &node->answer);
    if (node->answer.body)
        node->body = json_loadb(node->answer.body, node->answer.length, 0, NULL);
    return !node->answer.failed;
}

static void on_ignored(const mac_answer *answer, void *data) {
    (void)answer;
    (void)data;
}

void node_send(confd_node *node, const char *procedure, const char *json) {
    mac_autofree char *subject = mac_asprintf("macula.rpc." TEST_REALM ".%s", procedure);
    mac_bus_request(node->client, subject, json, strlen(json), false, false, 20000, on_ignored, NULL);
    test_node_flush(node->bus, node->client);
}

static bool has_event(const confd_node *node, const char *topic, const char *part) {
    for (size_t i = 0; i < node->events.count; i++)
        if (mac_starts_with(node->events.items[i], topic) && strstr(node->events.items[i], part))
            return true;
    return false;
}

void node_await_event(confd_node *node, const char *topic, const char *part) {
    while (!has_event(node, topic, part))
        test_node_until_count(node->bus, &node->event_count, node->event_count + 1);
}

void node_await_generation(confd_node *node, uint64_t number) {
    for (;;) { /* counted before asking: what ends after the answer is not missed */
        unsigned count = node->notice_count;
        if (node_ask(node, "config.status", "{}") && !json_is_true(json_object_get(node->body, "applying")) &&
            (uint64_t)json_integer_value(json_object_get(node->body, "generation")) == number)
            return;
        node_await_notice(node, count);
    }
}
