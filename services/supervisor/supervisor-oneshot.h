/* Runs a program to its end, with a time limit: confd --boot, nats-server -t. */
#ifndef SUPERVISOR_ONESHOT_H
#define SUPERVISOR_ONESHOT_H

#include "supervisor-host.h"

typedef struct supervisor_outcome {
    bool ok;               /* exit code 0, in time; or the text was seen */
    const char *what;      /* "exit code 2", "no end within 60 s" … */
    const char *last_line; /* of its output; "" if there was none */
} supervisor_outcome;

typedef struct supervisor_oneshot_options {
    supervisor_host *host;
    const char *name; /* in the log; NULL: its output is not logged */
    const char *program;
    const mac_strings *arguments;
    const mac_strings *environment; /* added to ours */
    const char *until;              /* a program that does not end by itself: the text in its output that is its
                                       success; it then gets SIGTERM. NULL: its exit code tells */
    unsigned timeout_ms;            /* then SIGKILL */
    void (*on_end)(const supervisor_outcome *outcome, void *data);
    void *data;
} supervisor_oneshot_options;

/* on_end comes exactly once, from the loop, also when the program cannot be started. */
void supervisor_oneshot_start(const supervisor_oneshot_options *options);

#endif
