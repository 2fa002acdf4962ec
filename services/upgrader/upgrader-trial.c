#include "upgrader-trial.h"

#include <errno.h>
#include <string.h>

#include "base/mac-fault.h"
#include "codec/mac-codec.h"
#include "log/mac-log.h"
#include "upgrader-judge.h"

#define STAGE(name) MACULA__V1__UPGRADE_TRIAL_RECORD__STAGE__##name
#define REBOOT_RETRY_MS 5000u

/* ---- the record ---- */

void upgrader_trial_set(char **field, const char *text) {
    free(*field);
    *field = mac_strdup(text);
}

int upgrader_trial_persist(upgrader_manager *manager) {
    int result = upgrader_store_put(manager->store, UPGRADER_TRIAL, &manager->trial.record->base);
    if (result != -ENOSPC)
        return result;
    upgrader_store_release_reserve(manager->root);
    return upgrader_store_put(manager->store, UPGRADER_TRIAL, &manager->trial.record->base);
}

void upgrader_trial_reserve(upgrader_manager *manager) {
    int result = upgrader_store_reserve(manager->root);
    if (result < 0)
        mac_log_warning("no room can be set aside for the end of a trial", "error=" MAC_LOG_Q("%s"), strerror(-result));
}

void upgrader_trial_forget(upgrader_manager *manager) {
    if (manager->trial.record)
        macula__v1__upgrade_trial_record__free_unpacked(mac_take(&manager->trial.record), NULL);
    free(mac_take(&manager->trial.waiting_for));
    manager->trial.deadline_ms = 0;
    upgrader_store_release_reserve(manager->root);
}

int upgrader_trial_drop(upgrader_manager *manager) {
    int result = upgrader_store_put(manager->store, UPGRADER_TRIAL, NULL);
    if (result == 0)
        upgrader_trial_forget(manager);
    return result;
}

static mac_error *unrecorded(int result) {
    return mac_error_from_errno(result, "the boot record cannot be kept");
}

/* ---- activating ---- */

int upgrader_trial_record_activation(upgrader_manager *manager) {
    Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    Macula__V1__UpgradeEvent event = MACULA__V1__UPGRADE_EVENT__INIT;
    event.version = record->version;
    event.from_version = record->from_version;
    event.author = record->author;
    event.job = record->job;
    event.reason = record->reason;
    event.has_generation = true;
    event.generation = record->generation;
    record->stage = STAGE(waiting);
    int result = upgrader_store_begin(manager->store);
    if (result < 0)
        return result;
    result = upgrader_trial_persist(manager);
    if (result == 0)
        result = upgrader_store_put(manager->store, UPGRADER_READY, NULL);
    if (result == 0)
        result = upgrader_store_event(manager->store, "activated", &event);
    return upgrader_store_end(manager->store, result);
}

/* Takes the record. */
static mac_error *activate(upgrader_manager *manager, Macula__V1__UpgradeTrialRecord *record, char slot,
                           const mac_boot_verity *verity) {
    upgrader_return_cut_short(manager);
    uv_timer_stop(&manager->trial.timer); /* it ran for the record that goes */
    upgrader_trial_forget(manager);
    manager->trial.record = record;
    record->has_stage = true;
    record->stage = STAGE(activating);
    record->boot_id = mac_strdup(manager->boot_id);
    int result = upgrader_trial_persist(manager);
    if (result < 0) {
        upgrader_trial_forget(manager);
        return unrecorded(result);
    }
    upgrader_return_forget_note(manager);
    upgrader_trial_reserve(manager);
    MAC_FAULT_POINT("upgrader.trial.recorded");
    mac_error *error = upgrader_slots_try(manager->root, slot, verity);
    MAC_FAULT_POINT("upgrader.trial.activated");
    if (error) {
        (void)!upgrader_trial_drop(manager); /* if that fails, the next start finds that nothing was written */
        return error;
    }
    result = upgrader_trial_record_activation(manager);
    if (result < 0) /* it is so all the same: the next start sees it */
        mac_log_warning("the activation cannot be recorded", "error=" MAC_LOG_Q("%s"), strerror(-result));
    MAC_FAULT_POINT("upgrader.trial.waiting");
    return NULL;
}

static Macula__V1__UpgradeTrialRecord *record_new(const upgrader_slots *slots, const char *version, uint64_t generation,
                                                  const char *author) {
    Macula__V1__UpgradeTrialRecord *record = mac_malloc(sizeof *record);
    macula__v1__upgrade_trial_record__init(record);
    record->slot = mac_asprintf("%c", slots->other);
    record->version = mac_strdup(version);
    record->from_slot = mac_asprintf("%c", slots->running);
    record->from_version = mac_strdup(slots->version);
    record->has_generation = generation > 0;
    record->generation = generation;
    record->author = mac_strdup(author);
    return record;
}

mac_error *upgrader_trial_activate(upgrader_manager *manager, const Macula__V1__UpgradeJobRecord *job,
                                   uint64_t generation) {
    upgrader_autoslots slots = {.running = '-'};
    mac_boot_verity verity = {.blocks = job->found->data_blocks};
    mac_error *error = upgrader_slots_read(manager->root, &slots);
    if (error)
        return error;
    memcpy(verity.hash, job->found->root_hash, sizeof verity.hash);
    Macula__V1__UpgradeTrialRecord *record = record_new(&slots, job->found->version, generation, job->request->author);
    record->job = mac_strdup(job->job->id);
    record->has_reboot = true;
    record->reboot = job->request->reboot;
    if (job->written)
        record->written = (Macula__V1__UpgradeWritten *)mac_codec_copy(&job->written->base);
    return activate(manager, record, slots.other, &verity);
}

mac_error *upgrader_trial_activate_other(upgrader_manager *manager, const upgrader_slots *slots, uint64_t generation,
                                         const char *author, const char *reason, bool reboot) {
    Macula__V1__UpgradeTrialRecord *record = record_new(slots, slots->other_version, generation, author);
    record->has_rollback = record->rollback = record->has_reboot = true;
    record->reboot = reboot;
    record->reason = mac_strdup(reason);
    return activate(manager, record, slots->other, &slots->other_verity);
}

mac_error *upgrader_trial_withdraw(upgrader_manager *manager, const upgrader_slots *slots) {
    if (slots->pending != slots->other)
        return NULL;
    mac_error *error = upgrader_slots_give_up(manager->root, slots->other);
    MAC_FAULT_POINT("upgrader.trial.withdrawn");
    int result = error || !manager->trial.record ? 0 : upgrader_trial_drop(manager);
    return result < 0 ? unrecorded(result) : error;
}

int upgrader_trial_add_outcome(upgrader_manager *manager, Macula__V1__UpgradeOutcome *outcome, const char *event_name) {
    Macula__V1__UpgradeEvent event = MACULA__V1__UPGRADE_EVENT__INIT;
    event.version = outcome->version;
    event.from_version = outcome->from_version;
    event.author = outcome->author;
    event.job = outcome->job;
    event.reason = outcome->reason;
    event.has_cause = outcome->has_cause;
    event.cause = outcome->cause;
    event.has_generation = outcome->has_generation;
    event.generation = outcome->generation;
    int result = upgrader_store_add_outcome(manager->store, outcome);
    return result < 0 ? result : upgrader_store_event(manager->store, event_name, &event);
}

static int record_cancel(upgrader_manager *manager, const Macula__V1__UpgradeTrialRecord *record, const char *author) {
    Macula__V1__UpgradeOutcome outcome = MACULA__V1__UPGRADE_OUTCOME__INIT;
    mac_autofree char *reason = mac_asprintf("cancelled by %s before its first start", author);
    outcome.has_state = true;
    outcome.state = MACULA__V1__UPGRADE_OUTCOME__STATE__cancelled;
    outcome.version = record->version;
    outcome.from_version = record->from_version;
    outcome.author = (char *)(uintptr_t)author;
    outcome.job = record->job;
    outcome.reason = reason;
    int result = upgrader_store_begin(manager->store);
    return result < 0 ? result
                      : upgrader_store_end(manager->store, upgrader_trial_add_outcome(manager, &outcome, "cancelled"));
}

static void tell_policy(upgrader_manager *manager, const char *version) {
    mac_autoptr(mac_error) error = mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "cancelled");
    upgrader_auto_cancelled(manager, version, error);
}

mac_error *upgrader_trial_cancel(upgrader_manager *manager, const upgrader_slots *slots, const char *author) {
    Macula__V1__UpgradeTrialRecord *record =
        manager->trial.record ? (void *)mac_codec_copy(&manager->trial.record->base) : NULL;
    mac_error *error = upgrader_trial_withdraw(manager, slots);
    int result = error || !record ? 0 : record_cancel(manager, record, author);
    if (result < 0) /* it is so all the same */
        mac_log_warning("that the trial was cancelled cannot be recorded", "error=" MAC_LOG_Q("%s"), strerror(-result));
    if (!error && record)
        tell_policy(manager, record->version);
    if (record)
        macula__v1__upgrade_trial_record__free_unpacked(record, NULL);
    upgrader_manager_kick(manager);
    return error;
}

/* ---- confirming ---- */

/* Somebody went back from a version that had been confirmed: it is what came back, and the policy must not apply it
 * again by itself. */
static int record_rollback(upgrader_manager *manager) {
    const Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    Macula__V1__UpgradeRefused refused = MACULA__V1__UPGRADE_REFUSED__INIT;
    Macula__V1__UpgradeOutcome outcome = MACULA__V1__UPGRADE_OUTCOME__INIT;
    outcome.has_state = outcome.has_cause = refused.has_cause = true;
    outcome.state = MACULA__V1__UPGRADE_OUTCOME__STATE__rolled_back;
    outcome.cause = refused.cause = MACULA__V1__UPGRADE_OUTCOME__CAUSE__user;
    outcome.version = refused.version = record->from_version;
    outcome.from_version = record->version;
    outcome.author = record->author;
    outcome.reason = refused.reason = record->reason;
    outcome.has_generation = record->has_generation;
    outcome.generation = record->generation;
    int result = upgrader_trial_add_outcome(manager, &outcome, "rolled_back");
    return result < 0 || !upgrader_is_newer(record->from_version, record->version)
               ? result
               : upgrader_store_refuse(manager->store, &refused);
}

static int record_stay(upgrader_manager *manager, const char *author) {
    Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    Macula__V1__UpgradeOutcome outcome = MACULA__V1__UPGRADE_OUTCOME__INIT;
    outcome.has_state = true;
    outcome.state = MACULA__V1__UPGRADE_OUTCOME__STATE__confirmed;
    outcome.version = record->version;
    outcome.from_version = record->from_version;
    outcome.author = (char *)(uintptr_t)author;
    outcome.job = record->job;
    outcome.has_generation = record->has_generation;
    outcome.generation = record->generation;
    if (record->written) {
        outcome.has_fetched = outcome.has_reused = outcome.has_seconds = true;
        outcome.fetched = record->written->fetched;
        outcome.reused = record->written->reused;
        outcome.seconds = record->written->milliseconds / 1000;
    }
    return upgrader_trial_add_outcome(manager, &outcome, "confirmed");
}

static int record_confirmation(upgrader_manager *manager, const char *author) {
    const Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    int result = upgrader_store_begin(manager->store);
    if (result < 0)
        return result;
    bool back = record->rollback && record->from_version;
    result = back ? record_rollback(manager) : record_stay(manager, author);
    if (result == 0)
        result = upgrader_store_forgive(manager->store, record->version);
    if (result == 0)
        result = upgrader_store_put(manager->store, UPGRADER_TRIAL, NULL);
    if (result == 0)
        result = upgrader_store_put(manager->store, UPGRADER_FOUND, NULL);
    return upgrader_store_end(manager->store, result);
}

void upgrader_trial_confirmed(upgrader_manager *manager, const char *author) {
    upgrader_store_release_reserve(manager->root); /* it was for this */
    int result = record_confirmation(manager, author);
    if (result < 0) {
        mac_log_error("the confirmation cannot be recorded", "error=" MAC_LOG_Q("%s"), strerror(-result));
        return;
    }
    mac_log_info("the new version stays", "version=%s by=" MAC_LOG_Q("%s"), manager->trial.record->version, author);
    upgrader_trial_forget(manager);
    upgrader_manager_kick(manager);
}

bool upgrader_trial_settled(upgrader_manager *manager) {
    const Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    upgrader_autoslots slots = {.running = '-'};
    mac_autoptr(mac_error) error = upgrader_slots_read(manager->root, &slots);
    if (error || !record || slots.pending != '-' || slots.active != slots.running || slots.running != *record->slot)
        return false;
    upgrader_gate_stop(manager);
    upgrader_trial_confirmed(manager, "the boot state");
    return true;
}

mac_error *upgrader_trial_confirm(upgrader_manager *manager, const char *author) {
    upgrader_autoslots slots = {.running = '-'};
    if (upgrader_trial_settled(manager))
        return NULL;
    mac_error *error = upgrader_slots_read(manager->root, &slots);
    mac_autofree char *rejected = upgrader_trial_rejected(manager);
    if (!error && rejected)
        error = mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL, "%s", rejected);
    else if (!error && slots.passed_over)
        return upgrader_stay(manager, &slots, author);
    else if (!error && (!manager->trial.record || !slots.on_trial))
        error = mac_error_new(MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL, "no version is on trial");
    MAC_FAULT_POINT("upgrader.confirm.before");
    if (!error)
        error = upgrader_slots_confirm(manager->root);
    if (error)
        return error;
    MAC_FAULT_POINT("upgrader.confirm.written");
    upgrader_gate_stop(manager);
    upgrader_trial_confirmed(manager, author);
    MAC_FAULT_POINT("upgrader.confirm.recorded");
    return NULL;
}

/* ---- going back ---- */

void upgrader_trial_give_up(upgrader_manager *manager) {
    mac_error *error = upgrader_slots_give_up(manager->root, *manager->trial.record->slot);
    if (error) /* then the boot loader counts this start as a failed one */
        mac_log_error("the boot state cannot be written", "reason=" MAC_LOG_Q("%s"), error->message);
    mac_error_free(error);
}

void upgrader_trial_reject(upgrader_manager *manager, Macula__V1__UpgradeOutcome__Cause cause, const char *reason,
                           const char *author) {
    Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    record->stage = STAGE(unwanted);
    record->has_cause = true;
    record->cause = cause;
    upgrader_trial_set(&record->reason, reason);
    upgrader_gate_stop(manager);
    int result = upgrader_trial_persist(manager);
    /* It goes back all the same: the boot state is on another partition, and a return without its reason is better than
     * a version that stays. */
    if (result < 0)
        mac_log_error("why the new version may not stay cannot be recorded", "error=" MAC_LOG_Q("%s"),
                      strerror(-result));
    mac_log_error("the new version may not stay", "version=%s reason=" MAC_LOG_Q("%s"), record->version, reason);
    upgrader_return_note(manager, record);
    MAC_FAULT_POINT("upgrader.reject.recorded");
    upgrader_trial_give_up(manager);
    MAC_FAULT_POINT("upgrader.reject.written");
    mac_autofree char *text = mac_asprintf("version %s may not stay: %s", record->version, reason);
    upgrader_trial_reboot(manager, text, author);
}

char *upgrader_trial_rejected(const upgrader_manager *manager) {
    const Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    if (!record || record->stage != STAGE(unwanted))
        return NULL;
    return mac_asprintf("version %s runs, but it was rejected and may not stay (%s): the restart that was asked for "
                        "brings back %s%s; to have it at once: maculaos node reboot",
                        record->version, record->reason ? record->reason : "nobody said why",
                        record->from_version ? "version " : "the version before",
                        record->from_version ? record->from_version : "");
}

static void on_reboot_timer(uv_timer_t *timer) {
    upgrader_manager *manager = timer->data;
    const Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    if (record)
        upgrader_call_reboot(manager, record->reason ? record->reason : "to start another version", record->author);
}

void upgrader_trial_reboot(upgrader_manager *manager, const char *reason, const char *author) {
    upgrader_call_reboot(manager, reason, author);
}

void upgrader_trial_reboot_failed(upgrader_manager *manager) {
    if (manager->trial.record && !manager->stopping)
        uv_timer_start(&manager->trial.timer, on_reboot_timer, REBOOT_RETRY_MS, 0);
}

/* ---- for others ---- */

Macula__V1__UpgradeTrial *upgrader_trial_message(const upgrader_manager *manager) {
    const upgrader_trial *trial = &manager->trial;
    const Macula__V1__UpgradeTrialRecord *record = trial->record;
    if (!record || (record->stage != STAGE(started) && record->stage != STAGE(unwanted)))
        return NULL;
    Macula__V1__UpgradeTrial *message = mac_malloc(sizeof *message);
    macula__v1__upgrade_trial__init(message);
    message->version = mac_strdup(record->version);
    message->from_version = mac_strdup(record->from_version);
    message->has_since_ms = record->has_started_ms;
    message->since_ms = record->started_ms;
    message->has_rejected = true;
    message->rejected = record->stage == STAGE(unwanted);
    message->waiting_for = message->rejected ? upgrader_trial_rejected(manager) : mac_strdup(trial->waiting_for);
    if (message->rejected) {
        message->reason = mac_strdup(record->reason);
        message->has_cause = record->has_cause;
        message->cause = record->cause;
        return message;
    }
    uint64_t now = upgrader_boot_ms();
    message->has_remaining_s = trial->deadline_ms > 0;
    message->remaining_s = trial->deadline_ms > now ? (uint32_t)((trial->deadline_ms - now) / 1000) : 0;
    return message;
}

void upgrader_trial_stop(upgrader_manager *manager) {
    upgrader_gate_stop(manager);
}

void upgrader_trial_deinit(upgrader_trial *trial) {
    if (trial->record)
        macula__v1__upgrade_trial_record__free_unpacked(trial->record, NULL);
    free(trial->waiting_for);
}
