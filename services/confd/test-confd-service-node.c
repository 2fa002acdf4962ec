#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
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
    setenv("MACULA_BOOT_ID", "boot-1", 1);
    setenv("MACULA_CMDLINE", "", 1);
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
    char *const argv[] = {program, NULL};
    node->confd = spawn(node, argv, fault, -1);
}

static int await(pid_t *process) {
    int status = 0;
    assert_int_equal(waitpid(*process, &status, 0), *process);
    *process = 0;
    return status;
}

void node_start(confd_node *node, const char *fault) {
    start_confd(node, fault);
    for (;;) { /* the answer to a question, not a time, says that it is there */
        if (node_ask(node, "config.status", "{}") && !json_is_true(json_object_get(node->body, "applying")))
            return;
        assert_int_equal(waitpid(node->confd, NULL, WNOHANG), 0);
        usleep(5000);
    }
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
    node->participants[node->participant_count++] = spawn(node, argv, NULL, ends[1]);
    close(ends[1]);
    char byte;
    assert_int_equal(read(ends[0], &byte, 1), 1); /* "ready" */
    close(ends[0]);
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
    }
    test_node_close(node->bus, &node->client);
    test_node_free(node->bus);
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
    for (int turns = 0; turns < 3000; turns++) {
        if (has_event(node, topic, part))
            return;
        test_node_flush(node->bus, node->client);
        usleep(5000);
    }
    for (size_t i = 0; i < node->events.count; i++)
        print_message("%s\n", node->events.items[i]);
    fail_msg("no event %s with %s", topic, part);
}

void node_await_generation(confd_node *node, uint64_t number) {
    for (int turns = 0; turns < 3000; turns++) {
        if (node_ask(node, "config.status", "{}") && !json_is_true(json_object_get(node->body, "applying")) &&
            (uint64_t)json_integer_value(json_object_get(node->body, "generation")) == number)
            return;
        usleep(5000);
    }
    fail_msg("generation %d does not come", (int)number);
}
