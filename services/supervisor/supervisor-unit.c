#include "supervisor-unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "log/mac-log.h"

void supervisor_unit_init(supervisor_unit *unit, const char *name, Macula__V1__Unit *file, supervisor_policy policy,
                          const supervisor_unit_ops *ops) {
    *unit = (supervisor_unit){
        .name = mac_strdup(name),
        .file = file,
        .policy = policy,
        .ops = *ops,
        .state = SUPERVISOR_STOPPED,
        .since_ms = mac_unix_ms(),
    };
}

void supervisor_unit_deinit(supervisor_unit *unit) {
    free(unit->name);
    free(unit->message);
    free(unit->reason);
    if (unit->file)
        macula__v1__unit__free_unpacked(unit->file, NULL);
    *unit = (supervisor_unit){0};
}

const char *supervisor_state_name(supervisor_state state) {
    switch (state) {
    case SUPERVISOR_STOPPED:
        return "stopped";
    case SUPERVISOR_STARTING:
        return "starting";
    case SUPERVISOR_READY:
        return "ready";
    case SUPERVISOR_STOPPING:
        return "stopping";
    case SUPERVISOR_WAITING:
        return "waiting";
    case SUPERVISOR_FAILED:
        return "failed";
    case SUPERVISOR_FINISHED:
        return "finished";
    }
    return "unknown";
}

static mac_log_level level_of(const supervisor_unit *unit, supervisor_state from) {
    switch (unit->state) {
    case SUPERVISOR_FAILED:
        return MAC_LOG_ERROR;
    case SUPERVISOR_WAITING:
        return MAC_LOG_WARNING;
    case SUPERVISOR_READY:
        return MAC_LOG_INFO;
    case SUPERVISOR_STOPPED:
    case SUPERVISOR_FINISHED:
    case SUPERVISOR_STARTING:
    case SUPERVISOR_STOPPING:
        break;
    }
    /* A process that is killed because it missed a deadline is news, one that is asked to end is not. */
    return unit->state == SUPERVISOR_STOPPING && unit->reason && from != SUPERVISOR_STOPPING ? MAC_LOG_WARNING
                                                                                             : MAC_LOG_DEBUG;
}

static void enter(supervisor_unit *unit, supervisor_state state) {
    supervisor_state from = unit->state;
    unit->state = state;
    unit->since_ms = mac_unix_ms();
    const char *why = unit->reason ? unit->reason : unit->message ? unit->message : "";
    mac_log(level_of(unit, from), "unit changed", "unit=%s state=%s from=%s pid=%d why=" MAC_LOG_Q("%s"), unit->name,
            supervisor_state_name(state), supervisor_state_name(from), (int)unit->pid, why);
    unit->ops.changed(unit, from, unit->ops.data);
}

static void set_text(char **slot, char *text) {
    free(*slot);
    *slot = text;
}

uint64_t supervisor_policy_backoff(const supervisor_policy *policy, unsigned deaths) {
    uint64_t wait = policy->backoff_ms;
    for (unsigned i = 1; i < deaths && wait < policy->backoff_max_ms; i++)
        wait *= 2;
    return wait < policy->backoff_max_ms ? wait : policy->backoff_max_ms;
}

/* It died, or could not be started, though it is wanted. */
static void retry_later(supervisor_unit *unit) {
    const supervisor_policy *policy = &unit->policy;
    unit->quick_deaths++;
    unit->deaths++;
    if (policy->quick_deaths && unit->quick_deaths >= policy->quick_deaths) {
        set_text(&unit->message, mac_asprintf("gave up after %u attempts: %s", unit->quick_deaths, unit->message));
        unit->wanted = false;
        unit->ops.arm(unit, 0, unit->ops.data);
        enter(unit, SUPERVISOR_FAILED);
        return;
    }
    uint64_t wait = supervisor_policy_backoff(policy, unit->quick_deaths);
    wait += unit->ops.random(unit->ops.data) % (wait / 4 + 1);
    unit->ops.arm(unit, wait, unit->ops.data);
    enter(unit, SUPERVISOR_WAITING);
}

static void spawn(supervisor_unit *unit) {
    char *message = NULL;
    pid_t pid = 0;
    unit->ready_ms = 0;
    unit->again = false;
    set_text(&unit->reason, NULL);
    if (unit->ops.spawn(unit, &pid, &message, unit->ops.data) < 0) {
        set_text(&unit->message, message);
        retry_later(unit);
        return;
    }
    set_text(&unit->message, NULL);
    unit->pid = pid;
    unit->ops.arm(unit, unit->file->start_timeout_s * 1000ull, unit->ops.data);
    enter(unit, SUPERVISOR_STARTING);
}

void supervisor_unit_start(supervisor_unit *unit) {
    if (unit->wanted)
        return;
    unit->wanted = true;
    unit->quick_deaths = 0;
    if (unit->state == SUPERVISOR_STOPPING)
        unit->again = true;
    else
        spawn(unit);
}

/* Asks it to end (SIGTERM, then SIGKILL after its stop timeout) or, for a deadline it missed, ends it at once. */
static void end_process(supervisor_unit *unit, int signal_number) {
    uint64_t wait = signal_number == SIGKILL ? 0 : unit->file->stop_timeout_s * 1000ull;
    unit->ops.kill(unit, unit->pid, signal_number, unit->ops.data);
    unit->ops.arm(unit, wait, unit->ops.data);
    enter(unit, SUPERVISOR_STOPPING);
}

void supervisor_unit_stop(supervisor_unit *unit) {
    unit->wanted = false;
    unit->again = false;
    switch (unit->state) {
    case SUPERVISOR_STARTING:
    case SUPERVISOR_READY:
        end_process(unit, SIGTERM);
        break;
    case SUPERVISOR_WAITING:
    case SUPERVISOR_FAILED:
    case SUPERVISOR_FINISHED:
        unit->ops.arm(unit, 0, unit->ops.data);
        enter(unit, SUPERVISOR_STOPPED);
        break;
    case SUPERVISOR_STOPPED:
    case SUPERVISOR_STOPPING:
        break;
    }
}

void supervisor_unit_restart(supervisor_unit *unit) {
    unit->wanted = true;
    unit->quick_deaths = 0;
    switch (unit->state) {
    case SUPERVISOR_STARTING:
    case SUPERVISOR_READY:
        unit->again = true;
        end_process(unit, SIGTERM);
        break;
    case SUPERVISOR_STOPPING:
        unit->again = true;
        break;
    case SUPERVISOR_STOPPED:
    case SUPERVISOR_FINISHED:
    case SUPERVISOR_WAITING:
    case SUPERVISOR_FAILED:
        spawn(unit);
        break;
    }
}

static char *describe(int status) {
    if (WIFSIGNALED(status))
        return mac_asprintf("killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return mac_asprintf("ended with exit code %d", WEXITSTATUS(status));
}

void supervisor_unit_exited(supervisor_unit *unit, int wait_status) {
    unit->pid = 0;
    unit->ops.arm(unit, 0, unit->ops.data);
    set_text(&unit->message, unit->reason ? mac_take(&unit->reason) : describe(wait_status));
    if (!unit->wanted) {
        enter(unit, SUPERVISOR_STOPPED);
        return;
    }
    if (unit->file->finishes && !unit->again && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) {
        unit->wanted = false;
        enter(unit, SUPERVISOR_FINISHED);
        return;
    }
    unit->restarts++;
    if (unit->again) {
        spawn(unit);
        return;
    }
    if (unit->ready_ms && unit->ops.now_ms(unit->ops.data) - unit->ready_ms >= unit->policy.stable_ms)
        unit->quick_deaths = 0;
    retry_later(unit);
}

void supervisor_unit_timer(supervisor_unit *unit) {
    switch (unit->state) {
    case SUPERVISOR_STARTING:
        set_text(&unit->reason, mac_asprintf("not ready within %u s; killed", unit->file->start_timeout_s));
        end_process(unit, SIGKILL);
        break;
    case SUPERVISOR_READY:
        set_text(&unit->reason, mac_asprintf("silent for %u s (watchdog); killed", unit->file->watchdog_s));
        end_process(unit, SIGKILL);
        break;
    case SUPERVISOR_STOPPING:
        set_text(&unit->reason, mac_asprintf("did not end within %u s; killed", unit->file->stop_timeout_s));
        mac_log_warning("unit does not end", "unit=%s pid=%d why=" MAC_LOG_Q("%s"), unit->name, (int)unit->pid,
                        unit->reason);
        unit->ops.kill(unit, unit->pid, SIGKILL, unit->ops.data);
        break;
    case SUPERVISOR_WAITING:
        spawn(unit);
        break;
    case SUPERVISOR_STOPPED:
    case SUPERVISOR_FINISHED:
    case SUPERVISOR_FAILED:
        break;
    }
}

void supervisor_unit_said_ready(supervisor_unit *unit) {
    if (unit->state != SUPERVISOR_STARTING)
        return;
    unit->ready_ms = unit->ops.now_ms(unit->ops.data);
    unit->ops.arm(unit, unit->file->watchdog_s * 1000ull, unit->ops.data);
    enter(unit, SUPERVISOR_READY);
}

void supervisor_unit_said_alive(supervisor_unit *unit) {
    if (unit->state == SUPERVISOR_READY && unit->file->watchdog_s)
        unit->ops.arm(unit, unit->file->watchdog_s * 1000ull, unit->ops.data);
}

void supervisor_unit_said_stopping(supervisor_unit *unit) {
    if (unit->state != SUPERVISOR_STARTING && unit->state != SUPERVISOR_READY)
        return;
    unit->ops.arm(unit, unit->file->stop_timeout_s * 1000ull, unit->ops.data);
    enter(unit, SUPERVISOR_STOPPING);
}

void supervisor_unit_said_status(supervisor_unit *unit, const char *text) {
    set_text(&unit->message, mac_strdup(text));
}
