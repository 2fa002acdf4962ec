/* Whether the version that runs may stay. Every check that gates has to hold for `hold_ms` without a break, within
 * `limit_ms` of the start of this version; passed and failed are final. Time is counted since the machine's start, so a
 * clock that is set neither passes nor fails anything. */
#ifndef HEALTHD_GATE_H
#define HEALTHD_GATE_H

#include "healthd-check.h"

typedef enum healthd_gate_state {
    HEALTHD_GATE_HOLDING = MACULA__V1__HEALTH_GATE__STATE__holding,
    HEALTHD_GATE_PASSED = MACULA__V1__HEALTH_GATE__STATE__passed,
    HEALTHD_GATE_FAILED = MACULA__V1__HEALTH_GATE__STATE__failed,
} healthd_gate_state;

typedef struct healthd_gate {
    healthd_gate_state state;
    char *version, *slot, *boot_id; /* slot may be NULL */
    uint64_t hold_ms, limit_ms;
    uint64_t started_boot; /* of this version */
    bool holds;            /* all of them do */
    uint64_t since_boot;   /* since then, if they do */
    int64_t since_ms;      /* Unix; of the decision when there is one */
    mac_strings reasons;   /* why not */
} healthd_gate;

void healthd_gate_deinit(healthd_gate *gate);
/* Looks at the checks; true when it has decided now. */
bool healthd_gate_update(healthd_gate *gate, healthd_check *const *checks, size_t count, uint64_t now_boot,
                         int64_t now_unix);
/* Something that gates was away for a moment, however short: what has held until now does not count. */
void healthd_gate_interrupt(healthd_gate *gate);
/* Milliseconds until time alone may decide; 0: never. */
uint64_t healthd_gate_wait(const healthd_gate *gate, uint64_t now_boot);

#endif
