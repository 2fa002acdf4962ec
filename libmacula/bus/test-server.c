#include "test-server.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_TIMEOUT_MS 20000

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
    const char *arguments[16] = {
        "nats-server",     "-a", "127.0.0.1", "-p", server->port ? server->port : "-1", "--ports_file_dir",
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
        free(server->port);
        server->url = mac_strdup(url);
        server->port = mac_strdup(strrchr(url, ':') + 1);
    }
    json_decref(ports);
    return url != NULL;
}

/* The server writes its ports file when it listens. */
static void wait_until_ready(test_server *server, int watch) {
    struct pollfd pollfd = {.fd = watch, .events = POLLIN};
    char events[4096];
    while (!read_ports(server)) {
        int n = poll(&pollfd, 1, START_TIMEOUT_MS);
        if (n <= 0)
            give_up("not ready in time; is another program on its port?");
        if (read(watch, events, sizeof events) < 0)
            give_up("inotify");
    }
}

static void launch(test_server *server) {
    mac_autofd watch = inotify_init1(IN_CLOEXEC);
    if (watch < 0 || inotify_add_watch(watch, server->directory, IN_CLOSE_WRITE | IN_MOVED_TO | IN_MODIFY) < 0)
        give_up("inotify");
    server->pid = fork();
    if (server->pid == 0)
        in_child(server);
    if (server->pid < 0)
        give_up("fork");
    wait_until_ready(server, watch);
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
    launch(server);
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
    launch(server);
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
