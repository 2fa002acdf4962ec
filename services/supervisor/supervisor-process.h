/* Processes of our own making: started so that they cannot outlive us, reaped here and nowhere else.
 *
 * The supervisor is a child subreaper and reaps every child itself (uv_spawn is not used: its processes and ours would
 * fight over SIGCHLD). A process leads a process group of its own, so that Ctrl-C in a terminal reaches the supervisor
 * only; when it ends, what is left of its group is killed. When the supervisor dies the kernel sends it
 * options.death_signal. Its standard output and error come back line by line; all of them before on_exit. */
#ifndef SUPERVISOR_PROCESS_H
#define SUPERVISOR_PROCESS_H

#include <sys/types.h>
#include <uv.h>

#include "base/mac-base.h"

#define SUPERVISOR_LINE_MAX 2048 /* bytes of a line; the rest of it is dropped */

typedef struct supervisor_children supervisor_children;
typedef struct supervisor_process supervisor_process;

typedef struct supervisor_process_options {
    const char *program;      /* host path */
    char *const *arguments;   /* with the program's name; ends with NULL */
    char *const *environment; /* ends with NULL */
    int death_signal;
    uint64_t data_max;  /* soft RLIMIT_DATA in bytes: what it can write to, not what it reserves; 0: as ours */
    uint64_t files_max; /* RLIMIT_NOFILE; 0: as ours */
    /* A line of its output without line break, at most SUPERVISOR_LINE_MAX bytes; any bytes. May be NULL. */
    void (*on_line)(const char *line, size_t length, void *data);
    /* Once, unless supervisor_process_forget was called; wait_status as of waitpid(2). */
    void (*on_exit)(int wait_status, void *data);
    void *data;
} supervisor_process_options;

/* Makes this process a subreaper and watches for the ends of its children. One per program. */
supervisor_children *supervisor_children_new(uv_loop_t *loop);
/* Kills what still runs, by group, and reaps it. on_closed when the loop holds nothing of it any more. */
void supervisor_children_close(supervisor_children *children, void (*on_closed)(void *data), void *data);

/* Negative errno when it could not be started, also when the program is not there or not executable. */
int supervisor_process_start(supervisor_children *children, const supervisor_process_options *options,
                             supervisor_process **ret_process) MAC_MUST_USE;
pid_t supervisor_process_pid(const supervisor_process *process);
/* To the process; SIGKILL to its whole group. */
void supervisor_process_kill(supervisor_process *process, int signal_number);

#endif
