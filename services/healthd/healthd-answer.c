/* What callers are told: messages made of the manager's state, owned by the caller. */
#include <string.h>

#include "healthd-manager.h"
#include "healthd-watchdog.h"

static char **copy_strings(const mac_strings *strings) {
    char **list = mac_calloc(strings->count + 1, sizeof *list);
    for (size_t i = 0; i < strings->count; i++)
        list[i] = mac_strdup(strings->items[i]);
    return list;
}

static const char *action_name(const healthd_check *check) {
    if (check->restarts)
        return "restart";
    if (check->cleanup)
        return "cleanup";
    return check->counts ? "alert" : "none";
}

static void fill_plan(const healthd_check *check, Macula__V1__HealthCheck *ret) {
    ret->has_built_in = ret->has_critical = ret->has_gates_upgrade = true;
    ret->name = mac_strdup(check->name);
    ret->type = mac_strdup(healthd_type_name(check->type));
    ret->built_in = check->built_in;
    ret->critical = check->critical;
    ret->gates_upgrade = check->gates;
    ret->action = mac_strdup(action_name(check));
    ret->service = mac_strdup(check->service);
}

static Macula__V1__HealthCheck *check_message(healthd_check *check) {
    Macula__V1__HealthCheck *ret = mac_malloc(sizeof *ret);
    uint64_t now = healthd_boot_ms();
    macula__v1__health_check__init(ret);
    fill_plan(check, ret);
    ret->has_state = ret->has_bad = true;
    ret->state = (Macula__V1__HealthCheck__State)check->state;
    ret->bad = check->bad;
    ret->has_since_ms = check->since_ms != 0;
    ret->since_ms = check->since_ms;
    ret->message = mac_strdup(check->message);
    ret->has_last_ms = ret->has_took_ms = check->last_ms != 0;
    ret->last_ms = check->last_ms;
    ret->took_ms = check->took_ms;
    ret->has_next_ms = check->due_boot != 0;
    ret->next_ms = mac_unix_ms() + (int64_t)(check->due_boot > now ? check->due_boot - now : 0);
    ret->has_restarts = ret->has_max_restarts = check->restarts;
    ret->restarts = check->restarts ? healthd_check_restarts(check, now) : 0;
    ret->max_restarts = check->max_restarts;
    ret->has_silent_until_ms = healthd_check_silent(check, now);
    ret->silent_until_ms = check->silent_until_ms;
    ret->acknowledged_by = mac_strdup(check->acknowledged_by);
    ret->acknowledgement = mac_strdup(check->acknowledgement);
    return ret;
}

static void fill_checks(healthd_manager *manager, const char *name, Macula__V1__HealthStatus *status) {
    status->checks = mac_calloc(manager->plan->count + 1, sizeof(Macula__V1__HealthCheck *));
    for (size_t i = 0; i < manager->plan->count; i++) {
        healthd_check *check = manager->plan->checks[i];
        if (!check->hidden && (!name || mac_streq(check->name, name)))
            status->checks[status->n_checks++] = check_message(check);
    }
}

/* The fill function borrows; an answer owns. */
static Macula__V1__HealthWatchdog *watchdog_message(const healthd_manager *manager) {
    Macula__V1__HealthWatchdog *ret = mac_malloc(sizeof *ret);
    healthd_watchdog_fill(manager, ret);
    ret->device = mac_strdup(ret->device);
    ret->identity = mac_strdup(ret->identity);
    ret->message = mac_strdup(ret->message);
    return ret;
}

Macula__V1__HealthStatus *healthd_answer_status(healthd_manager *manager, const char *name) {
    Macula__V1__HealthStatus *status = mac_malloc(sizeof *status);
    macula__v1__health_status__init(status);
    status->has_state = status->has_since_ms = status->has_revision = true;
    status->state = manager->state;
    status->since_ms = manager->since_ms;
    status->revision = manager->history.last;
    status->reasons = copy_strings(&manager->reasons);
    status->n_reasons = manager->reasons.count;
    status->watchdog = watchdog_message(manager);
    status->gate = healthd_answer_gate(manager);
    fill_checks(manager, name, status);
    return status;
}

static uint32_t seconds(uint64_t ms) {
    return (uint32_t)((ms + 999) / 1000);
}

Macula__V1__HealthGate *healthd_answer_gate(const healthd_manager *manager) {
    const healthd_gate *gate = &manager->gate;
    Macula__V1__HealthGate *ret = mac_malloc(sizeof *ret);
    uint64_t now = healthd_boot_ms();
    macula__v1__health_gate__init(ret);
    ret->has_state = ret->has_required_s = true;
    ret->state = (Macula__V1__HealthGate__State)gate->state;
    ret->required_s = seconds(gate->hold_ms);
    ret->version = mac_strdup(gate->version);
    ret->slot = mac_strdup(gate->slot);
    ret->boot_id = mac_strdup(gate->boot_id);
    ret->reasons = copy_strings(&gate->reasons);
    ret->n_reasons = gate->reasons.count;
    bool holding = gate->state == HEALTHD_GATE_HOLDING;
    ret->has_since_ms = !holding || gate->holds;
    ret->since_ms = gate->since_ms;
    ret->has_held_s = ret->has_remaining_s = holding;
    ret->held_s = holding && gate->holds ? (uint32_t)((now - gate->since_boot) / 1000) : 0;
    uint64_t limit = gate->started_boot + gate->limit_ms;
    ret->remaining_s = holding && limit > now ? seconds(limit - now) : 0;
    return ret;
}
