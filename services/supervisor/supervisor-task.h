/* A unit with a real process: joins the states of supervisor-unit to fork, timer and log. */
#ifndef SUPERVISOR_TASK_H
#define SUPERVISOR_TASK_H

#include "supervisor-host.h"

typedef struct supervisor_task supervisor_task;

typedef struct supervisor_task_hooks {
    /* Before each start: program (caller of the hook frees), its arguments and what is added to the environment
     * ("NAME=value"). Negative errno and a sentence when it cannot be started. */
    int (*prepare)(supervisor_task *task, char **ret_program, mac_strings *arguments, mac_strings *environment,
                   char **ret_message, void *data);
    void (*changed)(supervisor_task *task, supervisor_state from, void *data);
    /* A line of its output; false: not for the log. May be NULL. */
    bool (*line)(supervisor_task *task, const char *line, size_t length, void *data);
    void *data;
} supervisor_task_hooks;

struct supervisor_task {
    supervisor_unit unit;
    supervisor_host *host;
    supervisor_process *process; /* NULL: none */
    uv_timer_t timer;
    supervisor_task_hooks hooks;
    pid_t coming; /* process that said it is ready while who stands in for it is still leaving; 0: none */
    int death_signal;
    uint64_t data_max; /* RLIMIT_DATA from its next start on; 0: as its file says */
};

/* Takes file. The task must stay where it is until supervisor_task_close has called back. */
void supervisor_task_init(supervisor_task *task, supervisor_host *host, const char *name, Macula__V1__Unit *file,
                          supervisor_policy policy, const supervisor_task_hooks *hooks);
/* Without a process: stop it before. */
void supervisor_task_close(supervisor_task *task, uv_close_cb on_closed);
void supervisor_task_free(supervisor_task *task); /* after on_closed */

/* environ with `added` in place of what has the same name; ends with NULL, frees nothing of environ. Caller frees the
 * array. */
char **supervisor_environment(const mac_strings *added);

#endif
