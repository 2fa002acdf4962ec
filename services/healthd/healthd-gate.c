#include "healthd-gate.h"

void healthd_gate_deinit(healthd_gate *gate) {
    free(gate->version);
    free(gate->slot);
    free(gate->boot_id);
    mac_strings_deinit(&gate->reasons);
    *gate = (healthd_gate){0};
}

static void gate_reasons(healthd_gate *gate, healthd_check *const *checks, size_t count) {
    mac_strings_deinit(&gate->reasons);
    gate->reasons = (mac_strings){0};
    for (size_t i = 0; i < count; i++) {
        const healthd_check *check = checks[i];
        if ((check->gates || check->critical) && (check->state != HEALTHD_OK || check->down))
            mac_strings_addf(&gate->reasons, "%s: %s", check->name,
                             check->message ? check->message : "not looked at yet");
    }
}

static bool gate_decide(healthd_gate *gate, healthd_gate_state state, int64_t now_unix) {
    gate->state = state;
    gate->since_ms = now_unix;
    return true;
}

bool healthd_gate_update(healthd_gate *gate, healthd_check *const *checks, size_t count, uint64_t now_boot,
                         int64_t now_unix) {
    if (gate->state != HEALTHD_GATE_HOLDING)
        return false;
    gate_reasons(gate, checks, count);
    bool holds = gate->reasons.count == 0;
    if (holds && !gate->holds) {
        gate->since_boot = now_boot;
        gate->since_ms = now_unix;
    }
    gate->holds = holds;
    if (holds && now_boot - gate->since_boot >= gate->hold_ms)
        return gate_decide(gate, HEALTHD_GATE_PASSED, now_unix);
    if (now_boot - gate->started_boot < gate->limit_ms)
        return false;
    if (holds)
        mac_strings_addf(&gate->reasons, "the checks have held for %llu s only, %llu s were asked for",
                         (unsigned long long)((now_boot - gate->since_boot) / 1000),
                         (unsigned long long)(gate->hold_ms / 1000));
    return gate_decide(gate, HEALTHD_GATE_FAILED, now_unix);
}

void healthd_gate_interrupt(healthd_gate *gate) {
    gate->holds = false;
}

uint64_t healthd_gate_wait(const healthd_gate *gate, uint64_t now_boot) {
    if (gate->state != HEALTHD_GATE_HOLDING)
        return 0;
    uint64_t at = gate->started_boot + gate->limit_ms;
    if (gate->holds && gate->since_boot + gate->hold_ms < at)
        at = gate->since_boot + gate->hold_ms;
    return at > now_boot ? at - now_boot : 1;
}
