#include "upgrader-why.h"

#include <string.h>

#define CAUSE(name) MACULA__V1__UPGRADE_OUTCOME__CAUSE__##name

static const struct {
    const char *name;
    Macula__V1__UpgradeOutcome__Cause cause;
    const char *means; /* what a person reads before the words of the note */
} causes[] = {
    {"panic", CAUSE(panic), "panic: the kernel stopped"},
    {"hang", CAUSE(hang), "hang"},
    {"verity", CAUSE(verity), "verity: the slot is not what was signed, or cannot be read"},
    {"start", CAUSE(start), "start"},
    {"restart", CAUSE(restart), "restart"},
};

static bool is_of(const mac_boot_running *running, char slot, const mac_boot_verity *verity) {
    if (running->tried == '-' || running->tried != slot)
        return false;
    return mac_boot_verity_empty(verity) || !running->tried_id ||
           strncmp(running->tried_id, verity->hash, strlen(running->tried_id)) == 0;
}

static bool find_noted(const mac_boot_running *running, upgrader_why *ret_why) {
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
        if (!mac_streq(running->tried_cause, causes[i].name))
            continue;
        ret_why->cause = causes[i].cause;
        ret_why->reason = running->tried_text ? mac_asprintf("%s: %s", causes[i].means, running->tried_text)
                                              : mac_strdup(causes[i].means);
        return true;
    }
    return false;
}

upgrader_why upgrader_why_returned(const mac_boot_running *running, char slot, const mac_boot_verity *verity,
                                   bool started) {
    upgrader_why why = {.cause = CAUSE(unknown)};
    bool noted = is_of(running, slot, verity);
    if (noted && find_noted(running, &why))
        return why;
    if (started) {
        why.reason =
            mac_strdup("it started, but the machine stopped before it was confirmed, without a trace: a crash of the "
                       "system, a reset, or the power");
    } else if (noted && mac_streq(running->tried_stage, "system")) {
        why.reason =
            mac_strdup("it did not get as far as its services: its system was started and the machine stopped, without "
                       "a trace: a crash of the system, a reset, or the power");
    } else if (noted) {
        why.reason =
            mac_strdup("it did not get as far as its services: the machine stopped in its initramfs, without a trace: "
                       "a crash of the kernel, a reset, or the power");
    } else {
        why.cause = CAUSE(start);
        why.reason =
            mac_strdup("start: it did not get as far as its services, nor as its initramfs: the boot loader found its "
                       "kernel or initramfs damaged, or they did not start");
    }
    return why;
}

void upgrader_why_deinit(upgrader_why *why) {
    free(why->reason);
}
