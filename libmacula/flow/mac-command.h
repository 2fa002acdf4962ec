/* Runs one external command with a time limit and a bounded record of its output.
 *
 * The command leads a session and process group of its own and has nothing of ours but descriptors 0 to 2: input (or
 * /dev/null) and one pipe for standard output and error. It is over when it has exited and the pipe has ended. A
 * grandchild that keeps the pipe open after the exit does not hold the end up: after MAC_COMMAND_GRACE_MS its group is
 * killed and reading stops. A grandchild that let go of the pipe is a daemon and is left alone, unless the command was
 * cancelled or took too long: then nothing of the group stays. */
#ifndef MAC_COMMAND_H
#define MAC_COMMAND_H

#include <uv.h>

#include "base/mac-problem.h"

#define MAC_COMMAND_OUTPUT_MAX (64u << 10) /* bytes kept of the output unless output_max says otherwise */
#define MAC_COMMAND_KILL_MS 2000           /* from SIGTERM to SIGKILL */
#define MAC_COMMAND_GRACE_MS 300           /* from the exit to the end of reading */

typedef struct mac_command mac_command;

typedef struct mac_command_result {
    int exit_code; /* -1 when killed by a signal */
    int signal;    /* 0 when it exited */
    bool timed_out;
    const char *output; /* beginning of standard output and error, NUL-terminated; what is not UTF-8 is U+FFFD */
    size_t output_length;
    bool output_truncated;
    uint64_t milliseconds;
    bool cancelled; /* by mac_command_cancel */
    bool cut_short; /* something that it had left in the background held its output, and was killed */
} mac_command_result;

typedef struct mac_command_options {
    uv_loop_t *loop;
    const char *const *argv; /* ends with NULL; argv[0] is looked up in PATH (the command's, if environment is given) */
    const char *const *environment; /* NULL: the caller's */
    const char *directory;          /* may be NULL */
    const char *input; /* copied, written to standard input; may be NULL. SIGPIPE is then ignored from now on. */
    size_t input_length;
    unsigned timeout_ms; /* then SIGTERM to its process group, after two seconds SIGKILL; 0: none */
    size_t output_max;   /* 0: 64 KiB */
    void (*on_end)(mac_command *command, const mac_command_result *result, void *data); /* once; then it is freed */
    void *data;
} mac_command_options;

/* All options are copied. 0, or a negative errno when it cannot be started (-ENOENT: no such program; on_end does not
 * come). */
int mac_command_start(const mac_command_options *options, mac_command **ret_command) MAC_MUST_USE;
/* SIGTERM, then SIGKILL; on_end still comes, with cancelled set. Not after on_end. */
void mac_command_cancel(mac_command *command);
/* The same without a loop, for workers and the boot phase: runs a private loop until the end (options->loop, on_end and
 * data are not looked at). ret_result->output is the caller's to free. */
int mac_command_run(const mac_command_options *options, mac_command_result *ret_result) MAC_MUST_USE;
/* How it ended, as a sentence: "tar ended with exit code 2: <last line of its output>", "tar was ended by signal 9
 * (Killed)", "tar took longer than 30 s". name: what to call it, usually argv[0]. NULL when it succeeded. */
mac_error *mac_command_error(const char *name, const mac_command_result *result);

#endif
