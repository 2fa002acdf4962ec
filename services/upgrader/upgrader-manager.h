/* The root object of the upgrader. */
#ifndef UPGRADER_MANAGER_H
#define UPGRADER_MANAGER_H

#include <uv.h>

#include "bus/mac-bus.h"
#include "flow/mac-worker.h"
#include "macula/v1/config.pb-c.h"
#include "macula/v1/health.pb-c.h"
#include "macula/v1/node.pb-c.h"
#include "macula/v1/upgrade-work.pb-c.h"
#include "macula/v1/upgrade.pb-c.h"
#include "service/mac-service.h"
#include "upgrader-slots.h"
#include "upgrader-store.h"

#define UPGRADER_WORKER "upgrader-worker"
#define UPGRADER_MARK UPGRADER_STATE_DIR "/write-mark"
#define UPGRADER_SCRATCH UPGRADER_STATE_DIR "/scratch"
#define UPGRADER_KEYS_DIR "/usr/share/maculaos/keys"
#define UPGRADER_CONFIG_FILE "/run/macula/config.pb"
#define UPGRADER_WAITING_MAX 32 /* callers of one look; more are answered EXHAUSTED */

typedef struct upgrader_manager upgrader_manager;

/* Who asked for a look; see upgrader-check.c. */
typedef struct upgrader_check {
    mac_worker *worker; /* runs */
    mac_request *waiting[UPGRADER_WAITING_MAX];
    size_t waiting_count;
    bool automatic; /* the policy asked, too */
} upgrader_check;

/* The job under way; see upgrader-job.h. */
typedef struct upgrader_job {
    Macula__V1__UpgradeJobRecord *record; /* NULL: none */
    mac_worker *worker;
    uv_timer_t retry;
    unsigned attempts;     /* in a row that came to nothing */
    unsigned killed;       /* workers in a row, without one that came further */
    unsigned furthest;     /* percent that a worker has come to */
    bool asking;           /* confd's answer is awaited */
    char *wish;            /* who wants it cancelled or paused, while the worker ends */
    bool pausing;          /* the wish is a pause */
    uint64_t published_ms; /* the last event of progress */
} upgrader_job;

/* The version on trial; see upgrader-trial.h. */
typedef struct upgrader_trial {
    Macula__V1__UpgradeTrialRecord *record; /* NULL: none */
    uv_timer_t timer;
    bool asking;            /* a call is under way */
    uint64_t deadline_ms;   /* of CLOCK_BOOTTIME; 0: not on trial */
    uint64_t held_since_ms; /* without healthd: since when the node answers */
    char *waiting_for;
    unsigned attempts; /* of taking the configuration back */
} upgrader_trial;

struct upgrader_manager {
    mac_service *service;
    uv_loop_t *loop;
    mac_bus *bus;
    mac_root *root;
    upgrader_store *store;
    char *boot_id;
    Macula__V1__Document *document;            /* holds the section */
    const Macula__V1__UpgradeSection *section; /* its URLs are without their logins: it may be shown */
    char *url;                                 /* where to ask, as it is; then its mirrors */
    mac_strings mirrors;
    char *check_error;
    bool stopping;
    unsigned handles; /* of ours that are not closed yet */

    uv_timer_t link_timer;               /* runs until the bus is there and no event waits */
    bool planning;                       /* somebody waits for a plan */
    struct upgrader_question *questions; /* of whoever waits for a plan or a look into a directory */
    uv_timer_t auto_timer;               /* see upgrader-auto.c */
    uint64_t auto_looked_ms;             /* of upgrader_boot_ms; 0: not in this life */
    bool clock_said;                     /* that the time is not known */
    upgrader_check check;
    upgrader_job job;
    upgrader_trial trial;

    mac_client config, config_control, node_control, health;
    Macula__V1__Upgrade_Service upgrade;
    Macula__V1__UpgradeControl_Service upgrade_control;
    Macula__V1__Participant_Service participant;
};

/* ---- upgrader-manager.c ---- */
mac_error *upgrader_manager_start(mac_service *service, void **ret_object);
void upgrader_manager_stop(mac_service *service, void *object);
void upgrader_manager_free(void *object);
void upgrader_manager_timer(upgrader_manager *manager, uv_timer_t *timer);
/* An event is in the store: publish it as soon as the bus is there. */
void upgrader_manager_kick(upgrader_manager *manager);
/* A worker has ended: the service may have been waiting for it. */
void upgrader_manager_worker_ended(upgrader_manager *manager);
/* The one who serves; from the service that a handler is given. */
#define upgrader_manager_of(service, member)                                                                           \
    ((upgrader_manager *)((char *)(service)-offsetof(upgrader_manager, member)))

/* ---- upgrader-settings.c ---- */
/* Takes the configuration in force from what confd has left for services that start. */
void upgrader_settings_load(upgrader_manager *manager);
/* What is wrong with a section that the schema cannot see. */
void upgrader_settings_check(mac_root *root, const Macula__V1__UpgradeSection *section, mac_problems *problems);
void upgrader_settings_deinit(upgrader_manager *manager);
int upgrader_settings_serve(upgrader_manager *manager) MAC_MUST_USE;
/* Bytes a second; 0: no limit. */
uint64_t upgrader_settings_bandwidth(const upgrader_manager *manager);
uint64_t upgrader_settings_ms(const char *duration, uint64_t otherwise);

/* ---- upgrader-find.c ---- */
typedef void (*upgrader_found)(upgrader_manager *manager, const Macula__V1__UpgradeFound *found, const mac_error *error,
                               void *data);
/* Asks a worker what the source (or the directory `from`) offers. The callback comes exactly once, if NULL is returned.
 * *ret_worker is for cancelling; whoever asks keeps it, and does so when the service ends. */
mac_error *upgrader_find(upgrader_manager *manager, const char *from, upgrader_found callback, void *data,
                         mac_worker **ret_worker);
/* A digest of the keys that are trusted now; NULL: signatures are not wanted. Caller frees. */
char *upgrader_find_trust(const upgrader_manager *manager);
/* Whether what was found may be applied; `request` NULL: as the policy would. Raises the floor. */
mac_error *upgrader_find_judge(upgrader_manager *manager, const Macula__V1__UpgradeFound *found,
                               const Macula__V1__UpgradeApplyRequest *request);
/* The message for people. Owned. obstacle may be NULL. */
Macula__V1__UpgradeRelease *upgrader_release_message(const upgrader_manager *manager,
                                                     const Macula__V1__UpgradeFound *found, const mac_error *obstacle);
/* The request for a worker that writes or plans. Strings are borrowed from the arguments. */
typedef struct upgrader_write {
    Macula__V1__UpgradeWriteRequest message;
    char *mark, *ca_file;
} upgrader_write;
void upgrader_write_fill(const upgrader_manager *manager, const upgrader_slots *slots,
                         const Macula__V1__UpgradeFound *found, bool full, upgrader_write *ret_write);
void upgrader_write_deinit(upgrader_write *write);

/* ---- upgrader-check.c ---- */
/* Looks for a newer version; the request (may be NULL: the policy asks) is answered when it is known. */
void upgrader_check_start(upgrader_manager *manager, mac_request *request);

/* ---- upgrader-calls.c: what is asked of others ---- */
/* Asks confd for the generation in force; error CONFLICT when a change waits or is being applied. */
typedef void (*upgrader_config_answer)(upgrader_manager *manager, uint64_t generation, const mac_error *error,
                                       void *data);
void upgrader_call_config(upgrader_manager *manager, upgrader_config_answer callback, void *data);
/* Has the machine restart; tried again until it happens. */
void upgrader_call_reboot(upgrader_manager *manager, const char *reason, const char *author);

/* ---- upgrader-auto.c ---- */
void upgrader_auto_start(upgrader_manager *manager);
/* A look has found something that could be applied (UPGRADER_FOUND): applies it, if that is wanted now. */
void upgrader_auto_found(upgrader_manager *manager);
/* What the policy has begun has failed: it waits before it tries the same again. */
void upgrader_auto_failed(upgrader_manager *manager, const mac_error *error);
/* Somebody has cancelled this version: the policy does not begin with it again at once. */
void upgrader_auto_cancelled(upgrader_manager *manager, const char *version, const mac_error *error);
/* Whether the maintenance window is open, by a clock that somebody keeps: see upgrader-clock.c. */
bool upgrader_may_apply_now(upgrader_manager *manager);
/* Whether the machine's chip agrees with the clock. One with an empty battery has begun anew, and the start of the
 * machine has put the clock further than it. False without a chip. */
bool upgrader_clock_is_as_the_chip(mac_root *root, int64_t now_s);
void upgrader_auto_stop(upgrader_manager *manager);

/* ---- upgrader-methods.c, upgrader-control-methods.c ---- */
/* The service ends: those who wait get an answer as soon as their workers have ended. */
void upgrader_methods_stop(upgrader_manager *manager);
int upgrader_methods_serve(upgrader_manager *manager) MAC_MUST_USE;
int upgrader_control_methods_serve(upgrader_manager *manager) MAC_MUST_USE;
/* Owned. */
Macula__V1__UpgradeStatus *upgrader_status_message(upgrader_manager *manager);

/* Milliseconds of CLOCK_BOOTTIME. */
uint64_t upgrader_boot_ms(void);

#endif
