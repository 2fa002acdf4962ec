/* What is to be checked and done, made from the configuration: the node's own checks, those of maculaos.health, the
 * triggers of maculaos.auto_heal, the watchdog, the gate. Pure: nothing is started here. */
#ifndef HEALTHD_PLAN_H
#define HEALTHD_PLAN_H

#include "base/mac-problem.h"
#include "healthd-check.h"
#include "macula/v1/document.pb-c.h"

/* Bounds of what a configuration may ask for; beyond them it is refused. */
#define HEALTHD_INTERVAL_MIN_MS 100
#define HEALTHD_INTERVAL_MAX_MS 86400000ull
#define HEALTHD_TIMEOUT_MIN_MS 10
#define HEALTHD_TIMEOUT_MAX_MS 600000ull
#define HEALTHD_GATE_MAX_MS (7 * 86400000ull)

#define HEALTHD_BUILT_IN_MS 60000 /* interval of the node's own checks */
#define HEALTHD_SETTLE_MS 30000   /* so long a service of the suite may be starting before its check fails */

#define HEALTHD_NODE_CHECK "node.bus"
#define HEALTHD_CONFIGURATION_CHECK "node.configuration"

typedef enum healthd_trigger {
    HEALTHD_WHEN_FAILED,  /* its own hidden check (disk_usage, memory_usage), or node.clock, has failed */
    HEALTHD_WHEN_OOM,     /* the kernel has killed a process for memory */
    HEALTHD_WHEN_SERVICE, /* a check of a service has failed */
    HEALTHD_WHEN_NEVER,   /* nothing on this node reports it */
} healthd_trigger;

typedef enum healthd_remedy {
    HEALTHD_DO_RESTART_SERVICE, /* the one whose check has failed */
    HEALTHD_DO_RESTART_NETWORK,
    HEALTHD_DO_SYNC_CLOCK,
    HEALTHD_DO_CLEANUP,
    HEALTHD_DO_COMMANDS,
    HEALTHD_DO_NOTHING, /* nothing on this node can do it */
} healthd_remedy;

typedef struct healthd_rule {
    char *name;
    healthd_trigger trigger;
    char *check; /* HEALTHD_WHEN_FAILED: its name */
    healthd_remedy remedy;
    char *commands; /* for a shell */
    uint64_t cooldown_ms, timeout_ms;
    uint64_t not_before_boot; /* the cool-down of the last run is over then */
    bool running;
} healthd_rule;

typedef struct healthd_plan {
    healthd_check **checks; /* the node's own, the configuration's, hidden ones */
    size_t count;
    healthd_rule *rules;
    size_t rule_count;
    bool heal; /* auto_heal.enabled */
    struct {
        bool named; /* the configuration has the section */
        bool enabled, software;
        char *device;
        unsigned timeout_s;
    } watchdog;
    uint64_t gate_hold_ms, gate_limit_ms;
} healthd_plan;

/* document NULL: defaults. Everything wrong with it goes to problems, with its path; then the plan is NULL. Warnings
 * tell of what has no effect on this node. */
healthd_plan *healthd_plan_new(const Macula__V1__Document *document, mac_problems *problems);
void healthd_plan_free(healthd_plan *plan);
MAC_DEFINE_AUTOPTR(healthd_plan, healthd_plan_free)
healthd_check *healthd_plan_find(const healthd_plan *plan, const char *name);
/* Adds a check of the node itself for a service of the suite; the new one, or the one that is there. */
healthd_check *healthd_plan_add_service(healthd_plan *plan, const char *unit);
/* healthd-plan-heal.c: the rules of maculaos.auto_heal. */
void healthd_plan_read_rules(healthd_plan *plan, const Macula__V1__AutoHealSection *section, mac_problems *problems);
/* Puts a check into the plan, which then owns it: the node's own before the others. */
/* A rule that had run goes on cooling down, and one that runs is still running, when the configuration is a new one. */
void healthd_plan_inherit_rules(healthd_plan *plan, const healthd_plan *before);
void healthd_plan_add(healthd_plan *plan, healthd_check *check);

#endif
