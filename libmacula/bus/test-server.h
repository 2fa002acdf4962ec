/* A real nats-server for tests: on a free port of the loopback, in a temporary directory, ended with the test. */
#ifndef TEST_SERVER_H
#define TEST_SERVER_H

#include <sys/types.h>

#include "base/mac-base.h"

typedef struct test_server test_server;

/* Starts one and waits until it listens. config: text of a configuration file without `listen`; NULL: everybody may do
 * everything. Ends the test when nats-server is not installed or does not start. */
test_server *test_server_start(const char *config);
const char *test_server_url(const test_server *server);
const char *test_server_directory(const test_server *server);
/* SIGKILL, and waits for the end. */
void test_server_kill(test_server *server);
/* Starts a killed one again, on the same port. */
void test_server_again(test_server *server);
pid_t test_server_pid(const test_server *server);
/* SIGTERM, waits, removes the directory. */
void test_server_stop(test_server *server);

#endif
