/* For tests: a real nats-server with a rendered configuration, and connections as each kind of client. */
#ifndef TEST_NATS_NODE_H
#define TEST_NATS_NODE_H

#include <nats/nats.h>
#include <sys/types.h>

#include "crypto/mac-crypto.h"
#include "nats/mac-nats.h"

#define TEST_REALM "io.macula"
#define TEST_KEYS 6

typedef struct test_node {
    char directory[64];
    char seeds[TEST_KEYS][MAC_NKEY_SEED_SIZE];
    char publics[TEST_KEYS][MAC_NKEY_PUBLIC_SIZE];
    mac_nats_key keys[TEST_KEYS + 1]; /* confd, netd, supervisor, admin, app, healthd */
    pid_t pid;
    int log; /* reading end of the server's standard error */
    unsigned port;
} test_node;

void test_node_init(test_node *node);
/* Renders a document (NULL: the defaults); fails the test when that fails. Caller frees. */
char *test_node_render(test_node *node, const Macula__V1__Document *document);
/* Whether nats-server -t accepts the text. */
bool test_node_accepts(test_node *node, const char *text);
void test_node_start(test_node *node, const Macula__V1__Document *document);
void test_node_stop(test_node *node);
void test_node_deinit(test_node *node);

/* As the key of that name, or anonymously (NULL). NULL when the server refuses. */
natsConnection *test_connect(test_node *node, const char *name);
/* Whether the server lets this kind of client do it; each on a connection of its own. */
bool test_may_publish(test_node *node, const char *name, const char *subject);
bool test_may_subscribe(test_node *node, const char *name, const char *subject);
/* The answer's text, "no responders", "denied" or "timeout"; caller frees. */
char *test_request(natsConnection *connection, const char *subject, const char *text);

#endif
