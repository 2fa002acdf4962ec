#include "test-server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_TIMEOUT_MS 20000
#define START_ATTEMPTS 20
/* Below the ports that the kernel gives to clients: one of those could be taken while the server is killed, even by the
 * client that tries to reach it, and the server could not come back to it. */
#define PORT_FIRST 10000
#define PORT_COUNT 20000

struct test_server {
    char directory[64];
    char *url;
    char *port;
    bool has_config;
    pid_t pid;
};

static void give_up(const char *what) {
    fprintf(stderr, "test server: %s: %s\n", what, strerror(errno));
    abort();
}

static void in_child(const test_server *server) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that aborts leaves no server behind */
    mac_autofree char *config = mac_asprintf("%s/nats.conf", server->directory);
    mac_autofree char *log = mac_asprintf("%s/log", server->directory);
    const char *arguments[16] = {"nats-server",     "-a", "127.0.0.1", "-p", server->port, "--ports_file_dir",
                                 server->directory, "-l", log};
    size_t count = 9;
    if (server->has_config) {
        arguments[count++] = "-c";
        arguments[count++] = config;
    }
    arguments[count] = NULL;
    execvp(arguments[0], (char *const *)arguments);
    execv("/usr/sbin/nats-server", (char *const *)arguments);
    _exit(127);
}

static bool read_ports(test_server *server) {
    mac_autofree char *path = mac_asprintf("%s/nats-server_%d.ports", server->directory, server->pid);
    json_t *ports = json_load_file(path, 0, NULL);
    const char *url = json_string_value(json_array_get(json_object_get(ports, "nats"), 0));
    if (url) {
        free(server->url);
        server->url = mac_strdup(url);
    }
    json_decref(ports);
    return url != NULL;
}

/* The server writes its ports file when it listens. False: it ended instead. */
static bool wait_until_ready(test_server *server, int watch) {
    mac_autofd process = pidfd_open(server->pid, 0);
    struct pollfd pollfds[] = {{.fd = watch, .events = POLLIN}, {.fd = process, .events = POLLIN}};
    char events[4096];
    while (!read_ports(server)) {
        if (poll(pollfds, 2, START_TIMEOUT_MS) <= 0)
            give_up("not ready in time");
        if (pollfds[1].revents)
            return false;
        if (read(watch, events, sizeof events) < 0)
            give_up("inotify");
    }
    return true;
}

static bool launch(test_server *server) {
    mac_autofd watch = inotify_init1(IN_CLOEXEC);
    if (watch < 0 || inotify_add_watch(watch, server->directory, IN_CLOSE_WRITE | IN_MOVED_TO | IN_MODIFY) < 0)
        give_up("inotify");
    server->pid = fork();
    if (server->pid == 0)
        in_child(server);
    if (server->pid < 0)
        give_up("fork");
    bool ready = wait_until_ready(server, watch);
    if (!ready)
        waitpid(server->pid, NULL, 0);
    return ready;
}

static char *free_port(void) {
    for (;;) {
        uint16_t random;
        if (getrandom(&random, sizeof random, 0) != sizeof random)
            give_up("getrandom");
        uint16_t port = (uint16_t)(PORT_FIRST + random % PORT_COUNT);
        struct sockaddr_in address = {
            .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        mac_autofd probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(probe, (struct sockaddr *)&address, sizeof address) == 0)
            return mac_asprintf("%u", port);
    }
}

/* On a port that nobody else takes in between. */
static void launch_somewhere(test_server *server) {
    for (unsigned attempt = 0; attempt < START_ATTEMPTS; attempt++) {
        free(server->port);
        server->port = free_port();
        if (launch(server))
            return;
    }
    give_up("nats-server ends at once; is it installed, and its configuration right?");
}

test_server *test_server_start(const char *config) {
    test_server *server = mac_calloc(1, sizeof *server);
    strcpy(server->directory, "/tmp/macula-test-server-XXXXXX");
    if (!mkdtemp(server->directory))
        give_up("mkdtemp");
    if (config) {
        mac_autofree char *path = mac_asprintf("%s/nats.conf", server->directory);
        FILE *file = fopen(path, "w");
        if (!file || fputs(config, file) < 0 || fclose(file) < 0)
            give_up("nats.conf");
        server->has_config = true;
    }
    launch_somewhere(server);
    return server;
}

const char *test_server_url(const test_server *server) {
    return server->url;
}

const char *test_server_directory(const test_server *server) {
    return server->directory;
}

pid_t test_server_pid(const test_server *server) {
    return server->pid;
}

static void end(test_server *server, int signal) {
    if (server->pid <= 0)
        return;
    kill(server->pid, signal);
    waitpid(server->pid, NULL, 0);
    mac_autofree char *ports = mac_asprintf("%s/nats-server_%d.ports", server->directory, server->pid);
    unlink(ports);
    server->pid = 0;
}

void test_server_kill(test_server *server) {
    end(server, SIGKILL);
}

void test_server_again(test_server *server) {
    if (!launch(server))
        give_up("nats-server does not come back to its port");
}

void test_server_stop(test_server *server) {
    if (!server)
        return;
    end(server, SIGTERM);
    static const char *const files[] = {"nats.conf", "log"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(files); i++) {
        mac_autofree char *path = mac_asprintf("%s/%s", server->directory, files[i]);
        unlink(path);
    }
    rmdir(server->directory);
    free(server->url);
    free(server->port);
    free(server);
}
