/* What a start of the upgrader finds of a trial: one that goes on, one that has come back, one whose restart is still
 * to come. The boot state decides; the record says what it was about. */
#include <string.h>

#include "base/mac-fault.h"
#include "log/mac-log.h"
#include "upgrader-trial.h"

#define STAGE(name) MACULA__V1__UPGRADE_TRIAL_RECORD__STAGE__##name

/* A version that somebody activated by other means is on trial like any other. */
static void adopt(upgrader_manager *manager, const upgrader_slots *slots) {
    Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    if (record && *record->slot == slots->running && mac_streq(record->version, slots->version))
        return;
    upgrader_trial_forget(manager);
    record = mac_malloc(sizeof *record);
    macula__v1__upgrade_trial_record__init(record);
    record->has_stage = true;
    record->slot = mac_asprintf("%c", slots->running);
    record->version = mac_strdup(slots->version);
    record->from_slot = mac_asprintf("%c", slots->other);
    record->from_version = mac_strdup(*slots->other_version ? slots->other_version : NULL);
    manager->trial.record = record;
}

static void recover_trial(upgrader_manager *manager, const upgrader_slots *slots) {
    adopt(manager, slots);
    Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    if (record->stage != STAGE(unwanted))
        record->stage = STAGE(started);
    bool again = mac_streq(record->boot_id, manager->boot_id) && record->has_started_ms;
    if (!again) {
        record->has_started_ms = true;
        record->started_ms = mac_unix_ms();
        upgrader_trial_set(&record->boot_id, manager->boot_id);
    }
    int result = upgrader_trial_persist(manager);
    if (result < 0)
        mac_log_error("the start of the trial cannot be recorded", "error=" MAC_LOG_Q("%s"), strerror(-result));
    else
        upgrader_trial_reserve(manager);
    MAC_FAULT_POINT("upgrader.trial.started");
    if (record->stage == STAGE(unwanted)) /* the crash came before the boot state was written */
        upgrader_trial_give_up(manager);
    mac_log_info("this version is on trial", "version=%s slot=%c", slots->version, slots->running);
}

/* The restart that brings the version before back has not come yet. A record that still says "started" could not be
 * written when the version was rejected; the boot state could. */
static bool is_rejected_here(const upgrader_manager *manager, const upgrader_slots *slots) {
    const Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    bool unrecorded = record->stage == STAGE(started) && slots->pending != *record->slot;
    return (record->stage == STAGE(unwanted) || unrecorded) && *record->slot == slots->running &&
           mac_streq(record->boot_id, manager->boot_id);
}

static void wait_for_the_restart(upgrader_manager *manager) {
    Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    if (record->stage != STAGE(unwanted)) {
        upgrader_return_recall(manager, record);
        record->stage = STAGE(unwanted);
        (void)!upgrader_trial_persist(manager); /* then the next start finds the same again */
    }
    mac_log_info("the version that was rejected waits for its restart", "version=%s", record->version);
}

/* It was not started yet; or it runs, but was not started to be tried: the boot menu's "Previous version" is the one
 * before then, and when that is damaged, this one starts in its place. It has starts left, and did not come back. */
static bool waits_for_a_start(const Macula__V1__UpgradeTrialRecord *record, const upgrader_slots *slots) {
    bool in_place = record->stage == STAGE(started) && slots->running == *record->slot;
    return (record->stage == STAGE(waiting) || in_place) && slots->pending == *record->slot && slots->tries_left > 0 &&
           slots->failed != *record->slot;
}

static void wait_for_a_start(Macula__V1__UpgradeTrialRecord *record) {
    record->stage = STAGE(waiting);
    mac_log_info("the next start tries another version", "version=%s", record->version);
}

void upgrader_trial_recover(upgrader_manager *manager) {
    manager->trial.record = (Macula__V1__UpgradeTrialRecord *)upgrader_store_get(
        manager->store, UPGRADER_TRIAL, &macula__v1__upgrade_trial_record__descriptor);
    Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    if (record && (!record->slot || !record->version)) {
        upgrader_trial_forget(manager);
        record = NULL;
    }
    upgrader_autoslots slots = {.running = '-'};
    mac_autoptr(mac_error) error = upgrader_slots_read(manager->root, &slots);
    if (error) {
        mac_log_info("no slots", "reason=" MAC_LOG_Q("%s"), error->message);
        return;
    }
    if (slots.on_trial)
        recover_trial(manager, &slots);
    else if (record && slots.active == *record->slot)
        upgrader_trial_confirmed(manager, "upgrader");
    else if (record && is_rejected_here(manager, &slots))
        wait_for_the_restart(manager);
    else if (record && record->stage == STAGE(activating) && slots.pending == *record->slot)
        (void)!upgrader_trial_record_activation(manager); /* the crash came after the boot state was written */
    else if (record && record->stage == STAGE(activating))
        (void)!upgrader_trial_drop(manager); /* it came before */
    else if (record && waits_for_a_start(record, &slots))
        wait_for_a_start(record);
    else if (record || (slots.failed != '-' && slots.failed == slots.pending))
        upgrader_return_begin(manager, &slots);
    upgrader_stay_recover(manager, &slots);
}

/* The one that activated it was to restart the machine at once. Later starts of the machine are somebody's choice. */
static bool restart_was_lost(const upgrader_manager *manager) {
    const Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    return record->stage == STAGE(waiting) && record->reboot && mac_streq(record->boot_id, manager->boot_id);
}

void upgrader_trial_connected(upgrader_manager *manager) {
    const Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    if (!record)
        return;
    if (record->stage == STAGE(started))
        upgrader_gate_start(manager);
    else if (record->stage == STAGE(unwanted) || restart_was_lost(manager))
        upgrader_trial_reboot(manager, record->reason ? record->reason : "to start another version", record->author);
    else if (record->stage == STAGE(returned))
        upgrader_return_connected(manager);
}
