/* The real confd as a process, with a real nats-server, a root directory of its own and services that take part. */
#ifndef TEST_CONFD_SERVICE_H
#define TEST_CONFD_SERVICE_H

#include "test-bus-node.h"
#include "test-confd-box.h"

typedef struct confd_node {
    confd_box *box;
    test_node *bus;
    mac_bus *client;
    test_states states;
    char *units;
    pid_t confd;
    pid_t participants[4];
    int participant_said[4]; /* what they print */
    size_t participant_count;
    mac_strings events; /* "config.changed {…}" */
    unsigned event_count;
    int notify;            /* where confd says how it is, see sd_notify(3) */
    uv_poll_t notify_poll; /* and what it said: */
    unsigned notice_count;
    bool ready, busy;
    test_answer answer;
    json_t *body; /* of the last answer */
} confd_node;

/* units: names of services that are installed and take part, ends with NULL. Nothing runs yet. */
confd_node *node_new(const char *const *units);
/* The same, and confd runs. */
confd_node *node_started(const char *const *units);
void node_free(confd_node *node);
/* Starts confd and waits until it says that it serves and has applied. fault: NULL, or what MACULA_FAULT shall say. */
void node_start(confd_node *node, const char *fault);
/* Starts it without waiting, and waits for its death by a fault point. */
void node_start_and_die(confd_node *node, const char *fault);
void node_stop(confd_node *node); /* SIGTERM; must end with 0 */
void node_kill(confd_node *node);
/* Waits until confd has died (of a fault point). */
void node_await_death(confd_node *node);
/* Starts it where it cannot start; its exit code. */
int node_start_and_fail(confd_node *node);
/* Runs `confd --boot`; its exit code. */
int node_boot(confd_node *node);
/* Starts a participant and waits until it serves. */
void node_participant(confd_node *node, const char *name, const char *mode);
/* Waits until the last participant, a silent one, has been asked to apply. */
void node_await_asked(confd_node *node);
/* What the participants were asked, and forgets it; caller frees. */
char *node_participant_log(confd_node *node);

/* Asks "config.set" and the like; the answer is in node->body. True: it is no error. */
bool node_ask(confd_node *node, const char *procedure, const char *json);
/* Asks without waiting for the answer. */
void node_send(confd_node *node, const char *procedure, const char *json);
#define assert_done(node, procedure, json)                                                                             \
    do {                                                                                                               \
        if (!node_ask(node, procedure, json))                                                                          \
            fail_msg("%s: %s", procedure, node->answer.message);                                                       \
    } while (0)
#define assert_error(node, procedure, json, error_code, part)                                                          \
    do {                                                                                                               \
        if (node_ask(node, procedure, json))                                                                           \
            fail_msg("%s was done", procedure);                                                                        \
        if (node->answer.code != MACULA__V1__ERROR_CODE__##error_code)                                                 \
            fail_msg("%s: expected " #error_code ", found %s: %s", procedure, mac_error_name(node->answer.code),       \
                     node->answer.message);                                                                            \
        assert_contains(node->answer.message, part);                                                                   \
    } while (0)
/* JSON text of a member of the last answer. */
#define assert_body(node, path, expected) assert_value(node->body, path, expected)
/* The value of a key of the configuration in force. */
#define assert_config(node, key, expected)                                                                             \
    do {                                                                                                               \
        assert_done(node, "config.get", "{\"path\":\"" key "\"}");                                                     \
        assert_string_equal(json_string_value(json_object_get(node->body, "json")), expected);                         \
    } while (0)
#define assert_file(node, path, expected)                                                                              \
    do {                                                                                                               \
        mac_autofree char *text_ = box_read(node->box, path);                                                          \
        assert_non_null(text_);                                                                                        \
        assert_string_equal(text_, expected);                                                                          \
    } while (0)
/* Waits until an event with this topic and text has come. */
void node_await_event(confd_node *node, const char *topic, const char *part);
/* Waits until a change has ended in this generation. */
void node_await_generation(confd_node *node, uint64_t number);
/* Waits until confd, which may have no bus, has begun or ended a change since the count was this. */
void node_await_notice(confd_node *node, unsigned count);

#endif
