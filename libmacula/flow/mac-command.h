/* Runs one external command with a time limit and a bounded record of its output. */
#ifndef MAC_COMMAND_H
#define MAC_COMMAND_H

#include <uv.h>

#include "base/mac-problem.h"

typedef struct mac_command mac_command;

typedef struct mac_command_result {
    int exit_code;        /* -1 when killed by a signal */
    int signal;           /* 0 when it exited */
    bool timed_out;
    const char *output;   /* standard output and error, NUL-terminated, invalid UTF-8 replaced */
    size_t output_length;
    bool output_truncated;
    uint64_t milliseconds;
} mac_command_result;

typedef struct mac_command_options {
    uv_loop_t *loop;
    const char *const *argv;  /* argv[0] is looked up in PATH */
    const char *const *environment; /* NULL: the caller's */
    const char *directory;    /* may be NULL */
    const char *input;        /* written to standard input; may be NULL */
    size_t input_length;
    unsigned timeout_ms;      /* then SIGTERM to its process group, after two seconds SIGKILL; 0: none */
    size_t output_max;        /* 0: 64 KiB */
    void (*on_end)(mac_command *command, const mac_command_result *result, void *data); /* once; then it is freed */
    void *data;
} mac_command_options;

/* The command leads a process group of its own. */
int mac_command_start(const mac_command_options *options, mac_command **ret_command) MAC_MUST_USE;
void mac_command_cancel(mac_command *command);
/* The same without a loop, for workers and the boot phase: runs a private loop until the end. ret_output: caller frees result->output. */
int mac_command_run(const mac_command_options *options, mac_command_result *ret_result) MAC_MUST_USE;

#endif
