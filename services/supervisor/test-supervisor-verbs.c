#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <nats/nats.h>

#include "crypto/mac-crypto.h"
#include "test-supervisor-verbs.h"

void write_file(const node *n, const char *name, const char *text) {
    mac_autofree char *path = mac_asprintf("%s/%s", n->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

void has_unit(const node *n, const char *name, const char *mode, const char *more) {
    mac_autofree char *file = mac_asprintf("units/%s.yaml", name);
    mac_autofree char *text =
        mac_asprintf("description: A unit\ncommand: [%s/test-unit, %s]\n%s", MACULA_TEST_DIRECTORY, mode, more);
    write_file(n, file, text);
}

void start_with(node *n, const char *port, const char *boot) {
    int ends[2];
    mac_autofree char *root = mac_asprintf("%s/root", n->directory), *units = mac_asprintf("%s/units", n->directory);
    const char *program = MACULA_SUPERVISOR;
    assert_int_equal(pipe(ends), 0);
    n->pid = fork();
    if (n->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves no node behind */
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
const char *sees(node *n, const char *word, const char *other) {
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

bool saw(const node *n, const char *word) {
    return saw_both(n, word, NULL);
}

/* For lines whose order is not given: those that different processes write. */
void has_seen_or_sees(node *n, const char *word, const char *other) {
    if (!saw_both(n, word, other))
        sees(n, word, other);
}

void is_up(node *n) {
    start_with(n, NULL, "");
    const char *line = sees(n, "node ready: ", NULL);
    assert_int_equal(sscanf(line, "node ready: %63s", n->url), 1);
}

int ends(node *n, int signal_number) {
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

int fresh(void **state) {
    node *n = mac_calloc(1, sizeof *n);
    strcpy(n->directory, "/tmp/supervisor-XXXXXX");
    assert_non_null(mkdtemp(n->directory));
    mac_autofree char *command = mac_asprintf("mkdir -p %s/units %s/root/run/macula", n->directory, n->directory);
    assert_int_equal(system(command), 0);
    *state = n;
    return 0;
}

int tidy(void **state) {
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

natsConnection *connect_as(const node *n, const char *name, const char *url) {
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

json_t *ask(const node *n, const char *name, const char *subject, const char *body) {
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
json_t *unit_status(const node *n, const char *name, const char *member) {
    json_t *status = ask(n, "admin", RPC "supervisor", ""), *unit, *found = NULL;
    size_t index;
    json_array_foreach (json_object_get(status, "units"), index, unit) {
        if (strcmp(json_string_value(json_object_get(unit, "name")), name) == 0)
            found = json_incref(json_object_get(unit, member));
    }
    json_decref(status);
    return found;
}

pid_t pid_of(const node *n, const char *name) {
    json_t *pid = unit_status(n, name, "pid");
    pid_t value = (pid_t)json_integer_value(pid);
    json_decref(pid);
    assert_true(value > 0);
    return value;
}

bool has_ended(int pidfd) {
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    bool ended = poll(&end, 1, PATIENCE_MS) == 1;
    close(pidfd);
    return ended;
}

unsigned taken_port(int *ret_fd) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    *ret_fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*ret_fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(*ret_fd, 1), 0);
    getsockname(*ret_fd, (struct sockaddr *)&address, &length);
    return ntohs(address.sin_port);
}
