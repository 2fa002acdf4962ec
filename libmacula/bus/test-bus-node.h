/* A loop, a server and buses for the tests, with helpers that wait for what must happen. */
#ifndef TEST_BUS_NODE_H
#define TEST_BUS_NODE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/mac-bus.h"
#include "test-bus.pb-c.h"
#include "test-server.h"

#define TEST_REALM "io.test"

typedef struct test_node {
    uv_loop_t loop;
    test_server *server;
    mac_bus *service; /* serves Echo and EchoControl */
    mac_bus *client;
    uv_timer_t guard;
} test_node;

/* What has happened to a bus. */
typedef struct test_states {
    unsigned connected, lost, closed;
    Macula__V1__ErrorCode last_error;
    char text[512];
} test_states;
void test_on_state(mac_bus *bus, mac_bus_state state, const mac_error *error, void *states);

test_node *test_node_new(const char *config);
/* Adds a bus and starts it; states and seed may be NULL. */
mac_bus *test_node_bus(test_node *node, const char *name, const char *seed, test_states *states);
void test_node_echo(test_node *node);
/* The usual one: a server without accounts, the echo service, a client; both connected. */
test_node *test_node_echo_new(void);
/* Runs the loop until *condition is true; fails the test after 15 s. */
void test_node_until(test_node *node, const bool *condition);
void test_node_until_count(test_node *node, const unsigned *count, unsigned wanted);
void test_node_until_connected(test_node *node, mac_bus *bus);
void test_node_close(test_node *node, mac_bus **bus);
void test_node_free(test_node *node);

/* One raw request, waited for. */
typedef struct test_answer {
    bool done;
    unsigned count; /* callbacks */
    char *body;
    size_t length;
    bool is_json;
    bool failed;
    Macula__V1__ErrorCode code;
    char *message;
} test_answer;
void test_on_answer(const mac_answer *answer, void *test_answer);
void test_answer_clear(test_answer *answer);
/* Until the server knows what this bus has subscribed and published. */
void test_node_flush(test_node *node, mac_bus *bus);
/* Sends and waits; answer is cleared first. */
void test_ask(test_node *node, mac_bus *bus, const char *subject, const char *json, test_answer *answer);

/* The faulty and the slow handlers leave their requests here. */
extern mac_request *test_held[2048];
extern size_t test_held_count;
void test_answer_held(void);
/* Called for each; NULL: nobody. */
extern void (*test_on_held)(mac_request *request);

#endif
