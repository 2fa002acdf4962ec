/* One unit: the states of its process, and nothing else. No uv, no fork: what it wants done goes through
 * supervisor_unit_ops.
 *
 *            start                READY=1
 *   stopped ───────▶ starting ──────────────▶ ready
 *      ▲                │  died, start timeout  │  died, watchdog
 *      │                ▼                       ▼
 *      │             waiting ◀──────────────────┘      (too many quick deaths: failed)
 *      │                │ back-off is over: starting
 *      └── stopping ◀── stop, restart, STOPPING=1, a kill for a missed deadline
 *
 * A unit whose file says `finishes` and that ends with exit code 0 is `finished`: only a restart starts it again.
 *
 * Guarantees: at most one process at a time; every state that waits has a deadline, except waiting for the death that
 * SIGKILL brings; the back-off grows from policy.backoff_ms to policy.backoff_max_ms, plus up to a quarter of it by
 * chance, so that units which fail together do not come back together. A unit that was ready for policy.stable_ms
 * starts to count anew. */
#ifndef SUPERVISOR_UNIT_H
#define SUPERVISOR_UNIT_H

#include <sys/types.h>

#include "base/mac-problem.h"
#include "macula/v1/supervisor.pb-c.h"

typedef enum supervisor_state {
    SUPERVISOR_STOPPED = MACULA__V1__UNIT_STATUS__STATE__stopped,
    SUPERVISOR_STARTING = MACULA__V1__UNIT_STATUS__STATE__starting,
    SUPERVISOR_READY = MACULA__V1__UNIT_STATUS__STATE__ready,
    SUPERVISOR_STOPPING = MACULA__V1__UNIT_STATUS__STATE__stopping,
    SUPERVISOR_WAITING = MACULA__V1__UNIT_STATUS__STATE__waiting,
    SUPERVISOR_FAILED = MACULA__V1__UNIT_STATUS__STATE__failed,
    SUPERVISOR_FINISHED = MACULA__V1__UNIT_STATUS__STATE__finished,
} supervisor_state;

typedef struct supervisor_unit supervisor_unit;

typedef struct supervisor_unit_ops {
    /* Starts the process; negative errno when it cannot, then the message says why. */
    int (*spawn)(supervisor_unit *unit, pid_t *ret_pid, char **ret_message, void *data);
    void (*kill)(supervisor_unit *unit, pid_t pid, int signal, void *data);
    /* The unit's one timer: supervisor_unit_timer is to be called after ms; 0 takes it back. */
    void (*arm)(supervisor_unit *unit, uint64_t ms, void *data);
    uint64_t (*now_ms)(void *data);
    uint32_t (*random)(void *data);
    /* After every change of state. */
    void (*changed)(supervisor_unit *unit, supervisor_state from, void *data);
    void *data;
} supervisor_unit_ops;

typedef struct supervisor_policy {
    uint64_t backoff_ms, backoff_max_ms;
    uint64_t stable_ms;    /* ready for so long: earlier deaths are forgotten */
    unsigned quick_deaths; /* so many in a row: failed; 0: never */
} supervisor_policy;
#define SUPERVISOR_POLICY                                                                                              \
    ((supervisor_policy){.backoff_ms = 200, .backoff_max_ms = 30000, .stable_ms = 10000, .quick_deaths = 8})

struct supervisor_unit {
    char *name;
    Macula__V1__Unit *file; /* owned */
    supervisor_policy policy;
    supervisor_unit_ops ops;

    supervisor_state state; /* written by one function only */
    pid_t pid;              /* 0: no process */
    bool wanted;            /* shall run */
    bool again;             /* after it has died: start at once, no back-off */
    unsigned quick_deaths;
    uint32_t restarts, deaths; /* the latter are those that nobody asked for */
    int64_t since_ms;          /* Unix time of the last change */
    uint64_t ready_ms;         /* monotonic; 0: not ready since its start */
    char *message;             /* STATUS=, or how it ended */
    char *reason;              /* why we killed it; becomes the message */
    void *owner_data;
};

/* Takes file. */
void supervisor_unit_init(supervisor_unit *unit, const char *name, Macula__V1__Unit *file, supervisor_policy policy,
                          const supervisor_unit_ops *ops);
void supervisor_unit_deinit(supervisor_unit *unit);

/* ---- what is wanted ---- */
void supervisor_unit_start(supervisor_unit *unit);
void supervisor_unit_stop(supervisor_unit *unit);
/* Ends and starts it; forgets earlier deaths. */
void supervisor_unit_restart(supervisor_unit *unit);

/* ---- what happened ---- */
void supervisor_unit_exited(supervisor_unit *unit, int wait_status);
void supervisor_unit_timer(supervisor_unit *unit);
void supervisor_unit_said_ready(supervisor_unit *unit);
void supervisor_unit_said_alive(supervisor_unit *unit); /* WATCHDOG=1 */
void supervisor_unit_said_stopping(supervisor_unit *unit);
void supervisor_unit_said_status(supervisor_unit *unit, const char *text);

const char *supervisor_state_name(supervisor_state state);
/* The back-off before the start after the nth quick death, without chance. */
uint64_t supervisor_policy_backoff(const supervisor_policy *policy, unsigned deaths);

#endif
