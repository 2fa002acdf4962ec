/* A server that says what a script wants, on the loopback and on the test's own loop: what no real nats-server does. */
#ifndef TEST_BUS_SCRIPT_H
#define TEST_BUS_SCRIPT_H

#include <uv.h>

#include "base/mac-base.h"

/* What it says when, byte for byte; NULL: nothing. */
typedef struct test_script {
    const char *greeting; /* at once; NULL: a good INFO */
    const char *knocked;  /* to the first PING; NULL: PONG */
    const char *opened;   /* to the second PING, which follows the subscriptions; NULL: PONG */
    const char *then;     /* after that: %S is the sid of the subscription to "x" */
    size_t then_length;   /* 0: it is text */
    bool ends;            /* and then closes the connection */
    bool slowly;          /* each byte on its own */
    bool mute;            /* answers no PING after the second */
} test_script;

#define TEST_GREETING "INFO {\"server_id\":\"T\",\"max_payload\":1048576,\"headers\":true}\r\n"

typedef struct test_scripted test_scripted;

/* The first connection gets this script, all others a good server that answers PINGs. */
test_scripted *test_scripted_new(uv_loop_t *loop, const test_script *script);
const char *test_scripted_url(const test_scripted *server);
/* All that clients have said on the connection that was made last. */
const char *test_scripted_heard(const test_scripted *server);
unsigned test_scripted_connections(const test_scripted *server);
/* Closes; gone after the next turns of the loop. */
void test_scripted_free(test_scripted *server);

#endif
