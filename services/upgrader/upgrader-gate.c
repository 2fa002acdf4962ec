/* Waiting until healthd says that the version on trial may stay. It is asked every two seconds, and when it announces
 * its decision; it decides about holding long enough and about its own time limit. What is added here: a healthd that
 * does not answer does not keep a version for ever, and a node without healthd waits until its configuration answers.
 */
#include <string.h>
#include <unistd.h>

#include "base/mac-program.h"
#include "log/mac-log.h"
#include "upgrader-trial.h"

#define ASK_MS 2000u
#define GRACE_MS 60000u /* beyond healthd's own limit */

static void ask(uv_timer_t *timer);

static void set_waiting(upgrader_manager *manager, const char *text) {
    upgrader_trial_set(&manager->trial.waiting_for, text);
}

static uint64_t ask_ms(void) {
    const char *text = getenv("MACULA_GATE_MS"); /* tests do not wait */
    return text && *text ? strtoull(text, NULL, 10) : ASK_MS;
}

static void next(upgrader_manager *manager) {
    if (manager->trial.record && !manager->stopping)
        uv_timer_start(&manager->trial.timer, ask, ask_ms(), 0);
}

static void settle(upgrader_manager *manager, mac_error *error) {
    if (!error)
        return;
    mac_log_error("the trial cannot be ended", "reason=" MAC_LOG_Q("%s"), error->message);
    set_waiting(manager, error->message);
    mac_error_free(error);
    next(manager);
}

static void reject(upgrader_manager *manager, const char *reason) {
    upgrader_trial_reject(manager, MACULA__V1__UPGRADE_OUTCOME__CAUSE__unhealthy, reason, "upgrader");
}

/* True when the time is over; the version goes back then. */
static bool is_late(upgrader_manager *manager) {
    if (upgrader_boot_ms() < manager->trial.deadline_ms)
        return false;
    mac_autofree char *reason =
        mac_asprintf("it was not found well in time: %s",
                     manager->trial.waiting_for ? manager->trial.waiting_for : "nothing answered");
    reject(manager, reason);
    return true;
}

/* ---- healthd ---- */

static char *join(char *const *reasons, size_t count) {
    mac_autobuffer text = {0};
    for (size_t i = 0; i < count && text.length < 1000; i++)
        mac_buffer_printf(&text, "%s%s", i ? "; " : "", reasons[i]);
    return mac_buffer_take(&text);
}

static void on_gate(const Macula__V1__HealthGate *gate, void *closure_data) {
    upgrader_manager *manager = closure_data;
    manager->trial.asking = false;
    if (!manager->trial.record || manager->stopping)
        return;
    if (!gate) {
        const mac_error *error = mac_client_error(&manager->health);
        mac_autofree char *text = mac_asprintf("healthd does not answer: %s", error ? error->message : "");
        set_waiting(manager, text);
        if (!is_late(manager))
            next(manager);
        return;
    }
    mac_autofree char *reasons = join(gate->reasons, gate->n_reasons);
    if (gate->state == MACULA__V1__HEALTH_GATE__STATE__passed) {
        settle(manager, upgrader_trial_confirm(manager, "healthd"));
        return;
    }
    if (gate->state == MACULA__V1__HEALTH_GATE__STATE__failed) {
        mac_autofree char *reason = mac_asprintf("unhealthy: %s", *reasons ? reasons : "healthd gives no reason");
        reject(manager, reason);
        return;
    }
    mac_autofree char *holding = mac_asprintf("all checks hold since %u of %u s", gate->held_s, gate->required_s);
    set_waiting(manager, *reasons ? reasons : holding);
    if (!is_late(manager))
        next(manager);
}

/* ---- a node without healthd ---- */

bool upgrader_has_healthd(void) {
    mac_autofree char *units = mac_program_units();
    mac_autofree char *unit = mac_asprintf("%s/healthd.yaml", units ? units : "");
    return units && access(unit, F_OK) == 0;
}

static void on_config(upgrader_manager *manager, uint64_t generation, const mac_error *error, void *data) {
    (void)generation;
    (void)data;
    upgrader_trial *trial = &manager->trial;
    trial->asking = false;
    if (!trial->record || manager->stopping)
        return;
    uint64_t now = upgrader_boot_ms(), hold = upgrader_settings_ms(manager->section->health_hold, 60000);
    bool answers = !error || error->code == MACULA__V1__ERROR_CODE__CONFLICT;
    trial->held_since_ms = !answers ? 0 : trial->held_since_ms ? trial->held_since_ms : now;
    if (answers && now - trial->held_since_ms >= hold) {
        settle(manager, upgrader_trial_confirm(manager, "upgrader"));
        return;
    }
    set_waiting(manager, answers ? "the configuration answers; waiting whether that lasts" : error->message);
    if (!is_late(manager))
        next(manager);
}

/* ---- life ---- */

static void ask(uv_timer_t *timer) {
    upgrader_manager *manager = timer->data;
    if (!manager->trial.record || manager->trial.asking || upgrader_trial_settled(manager))
        return;
    manager->trial.asking = true;
    if (!upgrader_has_healthd()) {
        upgrader_call_config(manager, on_config, NULL);
        return;
    }
    Macula__V1__HealthGateRequest request = MACULA__V1__HEALTH_GATE_REQUEST__INIT;
    macula__v1__health__gate(&manager->health.base, &request, on_gate, manager);
}

void upgrader_gate_start(upgrader_manager *manager) {
    uint64_t limit = upgrader_settings_ms(manager->section->health_timeout, 600000);
    uint64_t grace = upgrader_has_healthd() ? GRACE_MS : 0;
    if (!manager->trial.deadline_ms)
        manager->trial.deadline_ms = upgrader_boot_ms() + limit + grace;
    manager->trial.held_since_ms = 0;
    uv_timer_start(&manager->trial.timer, ask, 0, 0);
}

void upgrader_gate_stop(upgrader_manager *manager) {
    uv_timer_stop(&manager->trial.timer);
}
