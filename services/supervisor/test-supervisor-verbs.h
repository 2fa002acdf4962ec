/* For tests of whole nodes: verbs that drive the real supervisor. */
#ifndef TEST_SUPERVISOR_VERBS_H
#define TEST_SUPERVISOR_VERBS_H

#include <jansson.h>
#include <nats/nats.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/mac-base.h"

#define PATIENCE_MS 20000
#define RPC "macula.rpc.io.macula."

typedef struct node {
    char directory[64];
    pid_t pid;
    FILE *output; /* of the supervisor, both streams */
    mac_strings seen;
    char url[64];
} node;

/* A file beneath the test's own directory. */
void write_file(const node *n, const char *name, const char *text);
/* A unit whose program is test-unit in that mode; more: lines of its file. */
void has_unit(const node *n, const char *name, const char *mode, const char *more);
/* port NULL: any. */
void start_with(node *n, const char *port, const char *boot);
/* Reads the log up to a line that has both words; fails when it ends before. Returns that line. */
const char *sees(node *n, const char *word, const char *other);
bool saw(const node *n, const char *word);
/* For lines whose order is not given: those that different processes write. */
void has_seen_or_sees(node *n, const char *word, const char *other);
/* Starts and waits for "node ready". */
void is_up(node *n);
/* Sends the signal (0: none), reads the log to its end; the exit code. */
int ends(node *n, int signal_number);
/* Set-up and tear-down: *state is a node that does not run yet. */
int fresh(void **state);
int tidy(void **state);
/* The caller's. */
natsConnection *connect_as(const node *n, const char *name, const char *url);
/* Asks as the key of that name; the answer, the caller's. */
json_t *ask(const node *n, const char *name, const char *subject, const char *body);
/* A member of the status of a unit; the caller's. */
json_t *unit_status(const node *n, const char *name, const char *member);
pid_t pid_of(const node *n, const char *name);
/* Waits for the end of the process; closes pidfd. */
bool has_ended(int pidfd);
/* A port that somebody listens on until ret_fd is closed. */
unsigned taken_port(int *ret_fd);

#endif
