/* Inside mac_flow: a child process and what commands and workers have in common.
 *
 * The child leads a session and process group of its own. It gets standard input and one pipe to us; every descriptor
 * of ours is close-on-exec. It is over when it has exited and the pipe has ended, or MAC_COMMAND_GRACE_MS after the
 * exit when somebody else holds the pipe. Ending it: SIGTERM to the group, later SIGKILL; after that nothing of the
 * group stays. */
#ifndef MAC_CHILD_H
#define MAC_CHILD_H

#include <sys/types.h>
#include <uv.h>

#include "base/mac-base.h"

typedef enum mac_child_wiring {
    MAC_CHILD_OUTPUT, /* the pipe is its standard output and error */
    MAC_CHILD_REPORT, /* the pipe is its descriptor 3; standard error is ours, standard output is /dev/null */
} mac_child_wiring;

typedef enum mac_child_phase {
    MAC_CHILD_RUNNING,
    MAC_CHILD_TERMINATING, /* SIGTERM sent */
    MAC_CHILD_KILLED,      /* SIGKILL sent */
    MAC_CHILD_EXITED,      /* the pipe is still open */
    MAC_CHILD_ENDED,       /* on_end was called; handles are closing */
} mac_child_phase;

/* Embedded at the beginning of its owner, which on_free frees. The owner sets the callbacks. */
typedef struct mac_child mac_child;
struct mac_child {
    void (*on_data)(mac_child *child, const char *data, size_t length);
    void (*on_end)(mac_child *child);  /* once; exit_code and the rest are known */
    void (*on_free)(mac_child *child); /* in the last close callback; also after a start that failed */
    int exit_code;                     /* -1: killed by `signal` */
    int signal;
    bool timed_out, cancelled;
    bool cut_short; /* what it left behind held the pipe, and was killed */
    uint64_t started_ms;

    /* the rest is its own */
    mac_child_phase phase;
    unsigned kill_ms, open_handles;
    bool pipe_ended, spawned;
    pid_t pid;
    uv_process_t process;
    uv_pipe_t pipe, input;
    uv_timer_t timer;
    uv_write_t write;
    char *input_copy; /* may hold secrets: wiped */
    size_t input_length;
    char chunk[4096];
};

typedef struct mac_child_options {
    uv_loop_t *loop;
    mac_child_wiring wiring;
    const char *file;
    const char *const *argv;
    const char *const *environment; /* NULL: ours */
    const char *directory;          /* NULL: ours */
    const void *input;              /* copied; NULL: /dev/null */
    size_t input_length;
    unsigned timeout_ms; /* 0: none */
    unsigned kill_ms;    /* from SIGTERM to SIGKILL */
} mac_child_options;

/* After a failure on_free still comes, on_end does not. */
int mac_child_start(mac_child *child, const mac_child_options *options) MAC_MUST_USE;
/* Begins to end it, unless that has begun. */
void mac_child_cancel(mac_child *child);
/* SIGKILL at once, for one that misbehaves. */
void mac_child_kill(mac_child *child);

#endif
