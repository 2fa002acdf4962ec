#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "test-nats-node.h"

void test_node_init(test_node *node) {
    static const char *const names[TEST_KEYS] = {"confd", "netd", "supervisor", "admin", "app", "healthd"};
    *node = (test_node){.directory = "/tmp/mac-nats-XXXXXX", .log = -1};
    assert_non_null(mkdtemp(node->directory));
    for (size_t i = 0; i < TEST_KEYS; i++) {
        mac_nkey_new(node->seeds[i], node->publics[i]);
        node->keys[i] = (mac_nats_key){names[i], node->publics[i]};
    }
}

char *test_node_render(test_node *node, const Macula__V1__Document *document) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_nats_input input = {
        .document = document,
        .realm = TEST_REALM,
        .keys = node->keys,
        .listen = "127.0.0.1:0",
        .runtime_directory = node->directory,
        .root = node->directory,
    };
    char *text = NULL;
    if (mac_nats_render(&input, problems, &text) < 0) {
        mac_autofree char *why = mac_problems_format(problems);
        fail_msg("not rendered: %s", why);
    }
    return text;
}

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

bool test_node_accepts(test_node *node, const char *text) {
    mac_autofree char *path = mac_asprintf("%s/nats.conf", node->directory);
    write_text(path, text);
    mac_autofree char *command = mac_asprintf("nats-server -t -c %s 2>&1", path);
    FILE *output = popen(command, "r");
    assert_non_null(output);
    char said[4096];
    size_t length = fread(said, 1, sizeof said - 1, output);
    said[length] = '\0';
    int status = pclose(output);
    if (status != 0)
        print_message("%s", said);
    return status == 0;
}

/* Reads the log until it says where the server listens and that it is ready; then the log goes on unread, in a pipe
 * large enough. */
static void await_ready(test_node *node) {
    char log[16384];
    size_t length = 0;
    while (length < sizeof log - 1) {
        ssize_t got = read(node->log, log + length, sizeof log - 1 - length);
        if (got <= 0)
            fail_msg("nats-server ended: %.*s", (int)length, log);
        length += (size_t)got;
        log[length] = '\0';
        const char *where = strstr(log, "client connections on 127.0.0.1:");
        if (where && strstr(log, "Server is ready")) {
            assert_int_equal(sscanf(where, "client connections on 127.0.0.1:%u", &node->port), 1);
            return;
        }
    }
    fail_msg("nats-server says too much: %s", log);
}

void test_node_start(test_node *node, const Macula__V1__Document *document) {
    mac_autofree char *text = test_node_render(node, document);
    assert_true(test_node_accepts(node, text));
    mac_autofree char *path = mac_asprintf("%s/nats.conf", node->directory);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    node->pid = fork();
    assert_true(node->pid >= 0);
    if (node->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves no server behind */
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        execlp("nats-server", "nats-server", "-c", path, NULL);
        _exit(127);
    }
    close(ends[1]);
    node->log = ends[0];
    await_ready(node);
}

void test_node_stop(test_node *node) {
    if (node->pid <= 0)
        return;
    kill(node->pid, SIGTERM);
    waitpid(node->pid, NULL, 0);
    close(node->log);
    node->pid = 0;
}

void test_node_deinit(test_node *node) {
    test_node_stop(node);
    mac_autofree char *command = mac_asprintf("rm -rf %s", node->directory);
    assert_int_equal(system(command), 0);
}

/* libnats 3.4 takes a signature whose first byte is zero for an empty text and leaves it out: one connection in 256. */
static bool swallowed;

static natsStatus sign(char **error, unsigned char **signature, int *length, const char *nonce, void *closure) {
    (void)error;
    *signature = malloc(64);
    if (!*signature)
        return NATS_NO_MEMORY;
    *length = 64;
    int result = mac_nkey_sign(closure, nonce, strlen(nonce), *signature);
    swallowed = result == 0 && **signature == 0;
    return result == 0 ? NATS_OK : NATS_ERR;
}

natsConnection *test_connect(test_node *node, const char *name) {
    natsOptions *options = NULL;
    natsConnection *connection = NULL;
    mac_autofree char *url = mac_asprintf("nats://127.0.0.1:%u", node->port);
    assert_int_equal(natsOptions_Create(&options), NATS_OK);
    natsOptions_SetURL(options, url);
    natsOptions_SetAllowReconnect(options, false);
    /* After a swallowed signature it would try the other server of a cluster, which knows no key of this one. */
    natsOptions_SetIgnoreDiscoveredServers(options, true);
    natsOptions_SetErrorHandler(options, NULL, NULL);
    for (size_t i = 0; name && i < TEST_KEYS; i++)
        if (strcmp(node->keys[i].name, name) == 0)
            assert_int_equal(natsOptions_SetNKey(options, node->publics[i], sign, node->seeds[i]), NATS_OK);
    natsStatus status = NATS_ERR;
    do {
        swallowed = false;
        status = natsConnection_Connect(&connection, options);
    } while (status != NATS_OK && swallowed);
    natsOptions_Destroy(options);
    return status == NATS_OK ? connection : NULL;
}

/* The server reports a violation before it answers the ping of the flush. */
static bool unblamed(natsConnection *connection) {
    const char *error = NULL;
    assert_int_equal(natsConnection_FlushTimeout(connection, 10000), NATS_OK);
    natsConnection_GetLastError(connection, &error);
    return !error || !strstr(error, "Permissions Violation");
}

bool test_may_publish(test_node *node, const char *name, const char *subject) {
    natsConnection *connection = test_connect(node, name);
    assert_non_null(connection);
    assert_int_equal(natsConnection_PublishString(connection, subject, "x"), NATS_OK);
    bool may = unblamed(connection);
    natsConnection_Destroy(connection);
    return may;
}

bool test_may_subscribe(test_node *node, const char *name, const char *subject) {
    natsConnection *connection = test_connect(node, name);
    natsSubscription *subscription = NULL;
    assert_non_null(connection);
    assert_int_equal(natsConnection_SubscribeSync(&subscription, connection, subject), NATS_OK);
    bool may = unblamed(connection);
    natsSubscription_Destroy(subscription);
    natsConnection_Destroy(connection);
    return may;
}

char *test_request(natsConnection *connection, const char *subject, const char *text) {
    natsMsg *answer = NULL;
    natsStatus status = natsConnection_RequestString(&answer, connection, subject, text, 2000);
    char *said = NULL;
    if (status == NATS_OK)
        said = mac_strndup(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer));
    else
        said = mac_strdup(status == NATS_NO_RESPONDERS ? "no responders" : unblamed(connection) ? "timeout" : "denied");
    natsMsg_Destroy(answer);
    return said;
}
