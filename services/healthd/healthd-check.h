/* One check: what is looked at, how it is, and what may be done about it. No loop, no bus, no clock of its own: whoever
 * calls says what time it is. Spans are counted on the clock since the machine's start, so that a jump of the time of
 * day neither ends a silence nor refills a budget.
 *
 *              `successes` good looks in a row
 *   waiting ───────────────────────────────────▶ ok
 *      │                                         ▲ │
 *      │  `failures` bad looks in a row          │ │
 *      └──────────────────────────▶ failed ──────┘ │
 *                                     ▲────────────┘
 */
#ifndef HEALTHD_CHECK_H
#define HEALTHD_CHECK_H

#include "base/mac-base.h"
#include "macula/v1/document-health.pb-c.h"
#include "macula/v1/health.pb-c.h"

#define HEALTHD_RESTARTS_MAX 32       /* remembered of one check; budgets beyond are as good as this one */
#define HEALTHD_DEATHS_MAX 5          /* so many of a service within an hour: its check fails */
#define HEALTHD_DEATHS_KEPT 32        /* remembered of one check; the oldest are forgotten */
#define HEALTHD_MESSAGE_MAX 400       /* bytes of what a look says; the rest is cut */
#define HEALTHD_BACKOFF_MS 10000      /* after the first restart; doubled by each further one within the hour */
#define HEALTHD_BACKOFF_MAX_MS 600000 /* at most */
#define HEALTHD_HOUR_MS 3600000
#define HEALTHD_CLEANUP_EACH_MS HEALTHD_HOUR_MS

typedef enum healthd_type {
    HEALTHD_PROCESS = MACULA__V1__HEALTH_SECTION__CHECK__TYPE__KIND__process,
    HEALTHD_HTTP = MACULA__V1__HEALTH_SECTION__CHECK__TYPE__KIND__http,
    HEALTHD_TCP = MACULA__V1__HEALTH_SECTION__CHECK__TYPE__KIND__tcp,
    HEALTHD_DISK = MACULA__V1__HEALTH_SECTION__CHECK__TYPE__KIND__disk,
    HEALTHD_MEMORY = MACULA__V1__HEALTH_SECTION__CHECK__TYPE__KIND__memory,
    HEALTHD_CLOCK = MACULA__V1__HEALTH_SECTION__CHECK__TYPE__KIND__clock,
    HEALTHD_MESH = MACULA__V1__HEALTH_SECTION__CHECK__TYPE__KIND__mesh,
    HEALTHD_EXEC = MACULA__V1__HEALTH_SECTION__CHECK__TYPE__KIND__exec,
    HEALTHD_BUS = MACULA__V1__HEALTH_SECTION__CHECK__TYPE__KIND__bus,
    HEALTHD_SERVICE,       /* of the suite, as the supervisor says */
    HEALTHD_STATE,         /* the data partition can be written and read */
    HEALTHD_ENTROPY,       /* the kernel's random numbers are ready */
    HEALTHD_CONFIGURATION, /* this version can use the configuration in force */
} healthd_type;

typedef enum healthd_state {
    HEALTHD_WAITING = MACULA__V1__HEALTH_CHECK__STATE__waiting,
    HEALTHD_OK = MACULA__V1__HEALTH_CHECK__STATE__ok,
    HEALTHD_FAILED = MACULA__V1__HEALTH_CHECK__STATE__failed,
} healthd_state;

typedef enum healthd_restart {
    HEALTHD_RESTART_NOW,  /* and it has been counted */
    HEALTHD_RESTART_WAIT, /* the back-off is not over */
    HEALTHD_RESTART_SPENT /* the budget of the hour is used up */
} healthd_restart;

typedef struct healthd_check {
    /* what it is */
    char *name;
    healthd_type type;
    bool built_in;
    bool critical; /* when it has failed, the node has failed */
    bool vital;    /* and the watchdog is fed no longer, when that stays so */
    bool gates;    /* a new version may stay only while it holds */
    bool counts;   /* for the node's state */
    bool hidden;   /* of auto_heal: looked at, not shown */
    bool strict;   /* clock: nobody keeps it is bad, too */
    bool restarts; /* restart `service` when it fails */
    bool cleanup;  /* free disk space when it fails */
    char *target;  /* process, URL, address, path, procedure, unit */
    mac_strings command;
    char *service;
    uint64_t interval_ms; /* 0: events alone bring a look */
    uint64_t timeout_ms;
    double threshold; /* percent */
    uint64_t max_offset_ms;
    unsigned failures, successes;
    unsigned max_restarts;

    /* how it is */
    healthd_state state;
    int64_t since_ms;    /* Unix */
    uint64_t since_boot; /* the same, since the machine's start */
    int64_t last_ms;     /* Unix; 0: not looked at yet */
    uint64_t due_boot;   /* next look; 0: none is planned */
    uint32_t took_ms;
    unsigned bad, good; /* looks in a row */
    char *message;      /* of the last look; NULL: none yet */

    /* what was said and done */
    uint64_t silent_until_boot; /* 0: never silenced */
    bool is_silenced;           /* the end of that was not seen yet */
    int64_t silent_until_ms;    /* Unix, as the clock was then; for people */
    char *acknowledged_by, *acknowledgement;
    bool is_unkept;                              /* an acknowledgement is over; the file still has it */
    uint64_t restart_boot[HEALTHD_RESTARTS_MAX]; /* oldest first */
    size_t restart_count;
    bool spent_said;       /* that the budget is used up was said */
    uint64_t cleaned_boot; /* the last cleaning up; 0: none */

    /* of a service of the suite: its deaths that nobody asked for */
    uint32_t deaths_told;                     /* by the supervisor, since it started */
    uint64_t death_boot[HEALTHD_DEATHS_KEPT]; /* oldest first */
    size_t death_count;
    bool down;     /* it has died and is not ready again; its check need not have failed yet */
    bool unsteady; /* its check has failed because it dies so often, though it comes back */

    void *probe; /* the look that runs: healthd-probe.h */
    void *watch; /* process: healthd-process.h */
} healthd_check;

healthd_check *healthd_check_new(const char *name, healthd_type type);
void healthd_check_free(healthd_check *check);
MAC_DEFINE_AUTOPTR(healthd_check, healthd_check_free)

/* Keeps what one look saw; true when the state has changed. message is copied, cut and made one line. */
bool healthd_check_look(healthd_check *check, bool good, const char *message, uint64_t now_boot, int64_t now_unix);
/* Skips hysteresis: what an event says is so. */
bool healthd_check_set(healthd_check *check, bool good, const char *message, uint64_t now_boot, int64_t now_unix);

/* It runs, but dies too often: failed, in a way that no restart mends. Another failure ends that, and counts from then
 * on. */
bool healthd_check_set_unsteady(healthd_check *check, const char *message, uint64_t now_boot, int64_t now_unix);
/* Takes the supervisor's count of deaths; how many of them are new. Less than before: the supervisor has begun anew. */
unsigned healthd_check_died(healthd_check *check, uint32_t told, uint64_t now_boot);
/* Deaths of the last hour. */
unsigned healthd_check_deaths(healthd_check *check, uint64_t now_boot);
/* When fewer than HEALTHD_DEATHS_MAX deaths will lie within the hour; 0: so it is now. */
uint64_t healthd_check_steady_at(healthd_check *check, uint64_t now_boot);

bool healthd_check_silent(const healthd_check *check, uint64_t now_boot);
/* Since when it is known to have failed and could be mended: what is silenced is left alone until that is over. */
uint64_t healthd_check_bad_since(const healthd_check *check);
/* Whether the node has failed when it has: a service that comes back each time only degrades it. */
bool healthd_check_is_grave(const healthd_check *check);
/* Whether it makes the node less well. */
bool healthd_check_hurts(const healthd_check *check, uint64_t now_boot);

/* Whether the service may be restarted now; if so, that is counted. */
healthd_restart healthd_check_may_restart(healthd_check *check, uint64_t now_boot);
/* Restarts of the last hour. */
unsigned healthd_check_restarts(healthd_check *check, uint64_t now_boot);
/* When the budget of restarts has room again because the first of them is an hour old. */
uint64_t healthd_check_next_hour(const healthd_check *check, uint64_t now_boot);
/* When the next restart may be; 0: now. */
uint64_t healthd_check_backoff(const healthd_check *check, uint64_t now_boot);
/* Whether to clean up now; if so, that is noted. A failed check's looks are bad ones over and over; once an hour is
 * enough. */
bool healthd_check_may_clean_up(healthd_check *check, uint64_t now_boot);
/* Whether it has cleaned up within that hour. */
bool healthd_check_cleaned_up(const healthd_check *check, uint64_t now_boot);

/* Moves everything but the configuration from a check of the same name and kind. */
void healthd_check_inherit(healthd_check *check, healthd_check *from);
const char *healthd_type_name(healthd_type type);
const char *healthd_state_name(healthd_state state);

#endif
