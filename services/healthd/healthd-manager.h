/* The root object: the plan that is in force, the one timer that wakes us, what is kept, the bus. */
#ifndef HEALTHD_MANAGER_H
#define HEALTHD_MANAGER_H

#include "flow/mac-worker.h"
#include "healthd-gate.h"
#include "healthd-history.h"
#include "healthd-plan.h"
#include "healthd-probe.h"
#include "healthd-sys.h"
#include "macula/v1/config.pb-c.h"
#include "macula/v1/health-kept.pb-c.h"
#include "macula/v1/health.pb-c.h"
#include "macula/v1/supervisor.pb-c.h"
#include "service/mac-service.h"

#define HEALTHD_SLACK_MS 500  /* looks that are due so soon are made with those that are due now: fewer wake-ups */
#define HEALTHD_LINK_MS 10000 /* so long may the bus be away */
#define HEALTHD_RUNS_MAX 16   /* requests `run` that wait at the same time */

typedef Macula__V1__HealthStatus__State healthd_node_state;
#define HEALTHD_NODE(state) MACULA__V1__HEALTH_STATUS__STATE__##state

/* A request that waits for looks to end. */
typedef struct healthd_run {
    mac_request *request;
    Macula__V1__HealthStatus_Closure closure;
    void *closure_data;
    mac_strings waiting; /* names */
    char *name;          /* what was asked for; NULL: all */
} healthd_run;

typedef struct healthd_manager {
    mac_service *service;
    uv_loop_t *loop;
    mac_bus *bus;
    mac_root *root;
    healthd_sys *sys;
    bool guest; /* of a system that somebody else looks after (mac_boot_is_guest) */
    Macula__V1__Health_Service health;
    Macula__V1__HealthControl_Service control;
    Macula__V1__Participant_Service participant;

    healthd_plan *plan;
    healthd_prober prober;
    uv_timer_t timer;   /* the next look, decision or meal of the watchdog */
    uint64_t meal_boot; /* of the watchdog; 0: none is planned */
    uint64_t turn_boot; /* when time alone changes what the watchdog gets; 0: never */
    healthd_gate gate;
    healthd_history history;
    healthd_node_state state;
    int64_t since_ms;
    uint64_t standing_boot; /* since then it has not been `failed` */
    mac_strings reasons;
    bool unheard; /* an event could not be published */
    char *boot_id;
    healthd_run runs[HEALTHD_RUNS_MAX];
    size_t run_count;

    mac_client supervisor; /* status */
    bool asking, ask_again;
    bool suspect;        /* the bus was away for HEALTHD_LINK_MS: the next silence counts */
    mac_worker *cleaner; /* NULL: none runs */
    mac_client restarter;
    struct {
        bool open, fed;
        bool flushing; /* the bus is being asked whether it lives */
        healthd_watchdog_facts facts;
        char *why;   /* not fed, or off; NULL: all is well */
        char *mercy; /* why the machine is not restarted though something vital stays broken; NULL: nothing does */
        uint64_t count_boot; /* a restart could not be counted: tried again then; 0: it could */
        int64_t last_ms;
        char *device;        /* that is open, or was tried */
        uint64_t again_boot; /* the device is tried again; 0: it is not */
        bool loading;        /* softdog */
        bool loaded;
        bool rebooting;
    } watchdog;
    bool in_memory;   /* what is kept is lost with a restart of the machine: its data partition is not there */
    uint32_t starved; /* starts in a row that the watchdog was left to make */
    bool going_down;  /* the machine was asked to restart or stop */
    uv_poll_t clock;  /* tells when the time of day is set */
    int clock_fd;
    uv_poll_t kernel; /* its log, for kills for memory; only while a rule wants it */
    int kernel_fd;
    unsigned handles; /* open; the object is freed with the last */
    bool stopping;
} healthd_manager;

mac_error *healthd_manager_start(mac_service *service, void **ret_object);
void healthd_manager_stop(mac_service *service, void *object);
void healthd_manager_free(void *object);
void healthd_manager_connected(mac_service *service, void *object, bool connected);

/* ---- between the manager's own files ---- */

/* healthd-manager.c */
void healthd_manager_arm(healthd_manager *manager); /* the timer, for what is due first */
/* A check, or what was said of it, has changed: node's state, gate, watchdog, timer. */
void healthd_manager_consider(healthd_manager *manager);
/* Says that something has happened: history, log, event. Texts are copied; name, from, to may be NULL. */
void healthd_manager_tell(healthd_manager *manager, Macula__V1__HealthEntry__What what, const char *name,
                          const char *from, const char *to, const char *message);
void healthd_manager_changed(healthd_manager *manager, healthd_check *check, healthd_state from);
/* Takes the plan: checks of the same name keep what is known of them. */
void healthd_manager_adopt(healthd_manager *manager, healthd_plan *plan);

/* healthd-kept.c: what survives. */
void healthd_kept_load(healthd_manager *manager);
/* A failure is logged; who must not go on then calls healthd_kept_store, which returns it (a negative errno). */
void healthd_kept_save(healthd_manager *manager);
int healthd_kept_store(healthd_manager *manager) MAC_MUST_USE;

/* healthd-services.c: the services of the suite, as the supervisor says. */
void healthd_services_ask(healthd_manager *manager);
mac_error *healthd_services_listen(healthd_manager *manager);

/* healthd-heal.c: what is done about what has failed. */
void healthd_heal_check(healthd_manager *manager, healthd_check *check);
/* The same for what failed while it was silenced: a service has no look of its own that would bring that about. */
void healthd_heal_after_silence(healthd_manager *manager, healthd_check *check);
void healthd_heal_oom(healthd_manager *manager);
/* The data partition has room again, or can be written: what was given up without it gets new chances. */
void healthd_heal_room(healthd_manager *manager);

/* healthd-senses.c: the kernel's events: the clock is set, memory was out. */
void healthd_senses_open(healthd_manager *manager);
void healthd_senses_apply(healthd_manager *manager);
void healthd_senses_close(healthd_manager *manager);

/* healthd-answer.c: messages; owned by the caller. */
Macula__V1__HealthStatus *healthd_answer_status(healthd_manager *manager, const char *name);
Macula__V1__HealthGate *healthd_answer_gate(const healthd_manager *manager);

/* healthd-methods.c, healthd-participant.c */
mac_error *healthd_methods_serve(healthd_manager *manager);
mac_error *healthd_participant_serve(healthd_manager *manager);
/* A look of this check has ended, or never will: requests that wait for it go on. name NULL: all of them. */
void healthd_runs_ended(healthd_manager *manager, const char *name);

#endif
