#include "supervisor-oneshot.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "supervisor-log.h"
#include "supervisor-task.h"

typedef struct oneshot {
    supervisor_host *host;
    char *name;
    supervisor_process *process;
    uv_timer_t timer;
    unsigned timeout_ms;
    bool timed_out;
    char *until;
    bool reached;
    char *what; /* set: it is over */
    bool ok;
    char *last_line;
    void (*on_end)(const supervisor_outcome *outcome, void *data);
    void *data;
} oneshot;

static void on_line(const char *line, size_t length, void *data) {
    oneshot *shot = data;
    if (shot->name)
        supervisor_log_line(shot->name, line, length);
    mac_autobuffer text = {0};
    mac_buffer_append(&text, line, length);
    free(shot->last_line);
    shot->last_line = mac_buffer_take(&text);
    if (!shot->until || shot->reached || !strstr(shot->last_line, shot->until))
        return;
    shot->reached = true;
    supervisor_process_kill(shot->process, SIGTERM);
}

static void on_closed(uv_handle_t *handle) {
    oneshot *shot = handle->data;
    supervisor_outcome outcome = {shot->ok, shot->what, shot->last_line ? shot->last_line : ""};
    shot->on_end(&outcome, shot->data);
    free(shot->name);
    free(shot->until);
    free(shot->what);
    free(shot->last_line);
    free(shot);
}

static void finish(oneshot *shot, char *what, bool ok) {
    shot->what = what;
    shot->ok = ok;
    uv_close((uv_handle_t *)&shot->timer, on_closed);
}

static void on_exit_(int status, void *data) {
    oneshot *shot = data;
    shot->process = NULL;
    if (shot->reached)
        finish(shot, mac_strdup("it started"), true);
    else if (shot->timed_out)
        finish(shot, mac_asprintf("no end within %u s; killed", shot->timeout_ms / 1000), false);
    else if (WIFSIGNALED(status))
        finish(shot, mac_asprintf("killed by signal %d", WTERMSIG(status)), false);
    else
        finish(shot, mac_asprintf("exit code %d", WEXITSTATUS(status)), WEXITSTATUS(status) == 0 && !shot->until);
}

static void on_timeout(uv_timer_t *timer) {
    oneshot *shot = timer->data;
    shot->timed_out = true;
    supervisor_process_kill(shot->process, SIGKILL);
}

void supervisor_oneshot_start(const supervisor_oneshot_options *options) {
    oneshot *shot = mac_calloc(1, sizeof *shot);
    shot->host = options->host;
    shot->name = mac_strdup(options->name);
    shot->until = mac_strdup(options->until);
    shot->timeout_ms = options->timeout_ms;
    shot->on_end = options->on_end;
    shot->data = options->data;
    uv_timer_init(options->host->loop, &shot->timer);
    shot->timer.data = shot;
    mac_autofree char **environment = supervisor_environment(options->environment);
    supervisor_process_options process = {
        .program = options->program,
        .arguments = options->arguments->items,
        .environment = environment,
        .death_signal = SIGKILL,
        .on_line = on_line,
        .on_exit = on_exit_,
        .data = shot,
    };
    int result = supervisor_process_start(options->host->children, &process, &shot->process);
    if (result < 0) {
        finish(shot, mac_asprintf("%s cannot be started: %s", options->program, strerror(-result)), false);
        return;
    }
    uv_update_time(options->host->loop);
    uv_timer_start(&shot->timer, on_timeout, options->timeout_ms, 0);
}
