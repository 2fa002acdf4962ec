/* A version was tried and the one before runs again: why, in words that stay; it is not tried again by itself; and the
 * configuration of the time before comes back too. */
#include <errno.h>
#include <string.h>

#include "base/mac-fault.h"
#include "codec/mac-codec.h"
#include "fs/mac-fs.h"
#include "log/mac-log.h"
#include "upgrader-trial.h"
#include "upgrader-why.h"

#define STAGE(name) MACULA__V1__UPGRADE_TRIAL_RECORD__STAGE__##name
#define CAUSE(name) MACULA__V1__UPGRADE_OUTCOME__CAUSE__##name
#define RETRY_FIRST_MS 2000u /* the pauses between attempts double */
#define RETRY_MAX_MS 300000u
#define ATTEMPTS_MAX                                                                                                   \
    6u /* of taking the configuration back; then the version that came back goes on with what is there */
#define NOTE_FILE UPGRADER_STATE_DIR "/unwanted"
#define NOTE_MAX 65536u

/* ---- why ---- */

/* A version that changed the store so that the one before cannot read it: that one gets its store of then, which does
 * not say why it is back. The reason lies beside it, in a form that both can read. */
void upgrader_return_note(upgrader_manager *manager, const Macula__V1__UpgradeTrialRecord *trial) {
    Macula__V1__UpgradeRefused note = MACULA__V1__UPGRADE_REFUSED__INIT;
    note.version = trial->version;
    note.reason = trial->reason;
    note.has_cause = trial->has_cause;
    note.cause = trial->cause;
    note.has_time_ms = true;
    note.time_ms = mac_unix_ms();
    size_t length = 0;
    mac_autofree void *data = mac_codec_pack(&note.base, &length);
    int result = mac_fs_write(manager->root, NOTE_FILE, data, length, MAC_FS_PRIVATE);
    if (result < 0)
        mac_log_warning("the reason cannot be noted", "error=" MAC_LOG_Q("%s"), strerror(-result));
}

void upgrader_return_forget_note(upgrader_manager *manager) {
    int result = mac_fs_remove(manager->root, NOTE_FILE);
    if (result < 0 && result != -ENOENT)
        mac_log_warning("the noted reason cannot be removed", "error=" MAC_LOG_Q("%s"), strerror(-result));
}

/* False when there is none of this version. */
static bool find_note(upgrader_manager *manager, const char *version, upgrader_why *ret_why) {
    mac_autofree char *data = NULL;
    size_t length = 0;
    if (mac_fs_read(manager->root, NOTE_FILE, NOTE_MAX, &data, &length) < 0)
        return false;
    Macula__V1__UpgradeRefused *note = macula__v1__upgrade_refused__unpack(NULL, length, (const uint8_t *)data);
    bool found = note && note->reason && mac_streq(note->version, version);
    if (found)
        *ret_why = (upgrader_why){note->cause, mac_strdup(note->reason)};
    if (note)
        macula__v1__upgrade_refused__free_unpacked(note, NULL);
    return found;
}

void upgrader_return_recall(upgrader_manager *manager, Macula__V1__UpgradeTrialRecord *record) {
    upgrader_autowhy why = {.cause = CAUSE(unknown)};
    if (!find_note(manager, record->version, &why))
        why.reason = mac_strdup("it was rejected, but the disk was full: the reason was not kept");
    upgrader_trial_set(&record->reason, why.reason);
    record->has_cause = true;
    record->cause = why.cause;
}

/* The boot loader would have started it again: it had starts left, and nothing is known to have stopped it. */
static bool was_left_in_the_menu(const Macula__V1__UpgradeTrialRecord *record, const upgrader_slots *slots,
                                 const mac_boot_running *running, Macula__V1__UpgradeOutcome__Cause cause) {
    return record->stage == STAGE(started) && slots->other == *record->slot && slots->pending == *record->slot &&
           slots->tries_left > 0 && !running->tries_lost && slots->failed != *record->slot &&
           mac_streq(running->mode, "disk") && (cause == CAUSE(unknown) || cause == CAUSE(restart));
}

static upgrader_why find_why(upgrader_manager *manager, const upgrader_slots *slots) {
    const Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    upgrader_why why = {.cause = CAUSE(unknown)};
    mac_autorunning running = {0};
    mac_boot_verity unknown = mac_boot_verity_none();
    if (record->stage == STAGE(unwanted))
        return (upgrader_why){record->cause, mac_strdup(record->reason ? record->reason : "it may not stay")};
    if (find_note(manager, record->version, &why))
        return why;
    (void)mac_boot_running_read(manager->root, &running);
    why =
        upgrader_why_returned(&running, *record->slot, slots->other == *record->slot ? &slots->other_verity : &unknown,
                              record->stage == STAGE(started));
    if (was_left_in_the_menu(record, slots, &running, why.cause)) {
        upgrader_why_deinit(&why);
        return (upgrader_why){CAUSE(user), mac_strdup("somebody chose the version before it in the boot menu")};
    }
    return why;
}

/* A return without a record: the slot itself says which version failed. */
static void adopt(upgrader_manager *manager, const upgrader_slots *slots) {
    if (manager->trial.record)
        return;
    Macula__V1__UpgradeTrialRecord *record = mac_malloc(sizeof *record);
    macula__v1__upgrade_trial_record__init(record);
    record->slot = mac_asprintf("%c", slots->failed);
    record->version = mac_strdup(*slots->other_version ? slots->other_version : "unknown");
    record->from_version = mac_strdup(slots->version);
    record->has_stage = true;
    record->stage = STAGE(waiting);
    manager->trial.record = record;
}

static int refuse(upgrader_manager *manager, const Macula__V1__UpgradeTrialRecord *record) {
    Macula__V1__UpgradeRefused refused = MACULA__V1__UPGRADE_REFUSED__INIT;
    refused.version = record->version;
    refused.reason = record->reason;
    refused.has_cause = record->has_cause;
    refused.cause = record->cause;
    return upgrader_store_refuse(manager->store, &refused);
}

static int record_return(upgrader_manager *manager) {
    Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    record->stage = STAGE(returned);
    int result = upgrader_store_begin(manager->store);
    if (result < 0)
        return result;
    result = upgrader_trial_persist(manager);
    if (result == 0)
        result = refuse(manager, record);
    return upgrader_store_end(manager->store, result);
}

void upgrader_return_begin(upgrader_manager *manager, const upgrader_slots *slots) {
    upgrader_store_release_reserve(manager->root); /* it was for this */
    adopt(manager, slots);
    Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    if (record->stage != STAGE(returned)) {
        upgrader_autowhy why = find_why(manager, slots);
        upgrader_trial_set(&record->reason, why.reason);
        record->has_cause = true;
        record->cause = why.cause;
        int result = record_return(manager);
        if (result < 0)
            mac_log_error("the return cannot be recorded", "error=" MAC_LOG_Q("%s"), strerror(-result));
        MAC_FAULT_POINT("upgrader.return.recorded");
    }
    mac_error *error = upgrader_slots_give_up(manager->root, *record->slot);
    if (error)
        mac_log_error("the boot state cannot be written", "reason=" MAC_LOG_Q("%s"), error->message);
    mac_error_free(error);
    MAC_FAULT_POINT("upgrader.return.written");
    mac_log_error("the version before is back", "tried=%s reason=" MAC_LOG_Q("%s"), record->version, record->reason);
}

/* ---- the configuration, and the end ---- */

static int record_outcome(upgrader_manager *manager) {
    Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    Macula__V1__UpgradeOutcome outcome = MACULA__V1__UPGRADE_OUTCOME__INIT;
    outcome.has_state = true;
    outcome.state = MACULA__V1__UPGRADE_OUTCOME__STATE__rolled_back;
    outcome.version = record->version;
    outcome.from_version = record->from_version;
    outcome.reason = record->reason;
    outcome.has_cause = record->has_cause;
    outcome.cause = record->cause;
    outcome.author = record->author;
    outcome.job = record->job;
    outcome.has_generation = record->has_generation;
    outcome.generation = record->generation;
    int result = upgrader_store_begin(manager->store);
    if (result < 0)
        return result;
    result = upgrader_trial_add_outcome(manager, &outcome, "rolled_back");
    if (result == 0)
        result = upgrader_store_put(manager->store, UPGRADER_TRIAL, NULL);
    return upgrader_store_end(manager->store, result);
}

/* Not another record that has taken its place while somebody was asked. */
static bool is_returned(const upgrader_manager *manager) {
    return manager->trial.record && manager->trial.record->stage == STAGE(returned);
}

static void finish(upgrader_manager *manager) {
    int result = record_outcome(manager);
    if (result < 0)
        mac_log_error("the return cannot be recorded", "error=" MAC_LOG_Q("%s"), strerror(-result));
    else if (upgrader_trial_drop(manager) == 0)
        upgrader_return_forget_note(manager);
    upgrader_manager_kick(manager);
}

static void on_retry(uv_timer_t *timer) {
    upgrader_return_connected(timer->data);
}

/* The version is back, but not the configuration of then: that is said with the reason of the return. */
static void finish_without(upgrader_manager *manager, const char *why) {
    Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    mac_autofree char *reason =
        mac_asprintf("%s (the configuration of then, generation %llu, could not be taken back: %s)", record->reason,
                     (unsigned long long)record->generation, why);
    upgrader_trial_set(&record->reason, reason);
    finish(manager);
}

void upgrader_return_cut_short(upgrader_manager *manager) {
    if (is_returned(manager))
        finish_without(manager, "another version was activated before that");
}

static uint64_t retry_ms(unsigned attempt) {
    const char *text = getenv("MACULA_UPGRADE_RETRY_MS"); /* tests do not wait */
    uint64_t first = text && *text ? strtoull(text, NULL, 10) : RETRY_FIRST_MS;
    uint64_t pause = attempt < ATTEMPTS_MAX ? first << attempt : RETRY_MAX_MS;
    return pause < RETRY_MAX_MS ? pause : RETRY_MAX_MS;
}

static bool is_away(const mac_error *error) {
    return !error || error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE ||
           error->code == MACULA__V1__ERROR_CODE__TIMED_OUT;
}

/* A confd that is away is waited for, however long: without it nothing else can be done, either. What it answers is
 * believed after some attempts; each that it tries and undoes is a generation and a stretch of applying. */
static void again(upgrader_manager *manager, const mac_error *error) {
    unsigned attempt = manager->trial.attempts;
    const char *why = error ? error->message : "no answer";
    if (manager->stopping)
        return;
    manager->trial.attempts += attempt < ATTEMPTS_MAX;
    if (!is_away(error) && attempt + 1 >= ATTEMPTS_MAX) {
        finish_without(manager, why);
        return;
    }
    mac_log_warning("the configuration cannot be taken back yet", "reason=" MAC_LOG_Q("%s"), why);
    uv_timer_start(&manager->trial.timer, on_retry, retry_ms(attempt), 0);
}

/* It was looked at, or tried and undone: that will not be different in a moment. */
static bool is_final(const mac_error *error) {
    return error &&
           (error->code == MACULA__V1__ERROR_CODE__NOT_FOUND || error->code == MACULA__V1__ERROR_CODE__REJECTED ||
            error->code == MACULA__V1__ERROR_CODE__INVALID || error->code == MACULA__V1__ERROR_CODE__ROLLED_BACK);
}

static void on_rolled_back(const Macula__V1__ConfigOutcome *outcome, void *closure_data) {
    upgrader_manager *manager = closure_data;
    const mac_error *error = outcome ? NULL : mac_client_error(&manager->config_control);
    manager->trial.asking = false;
    if (!is_returned(manager))
        return;
    if (outcome || (error && error->code == MACULA__V1__ERROR_CODE__NOTHING_TO_DO))
        finish(manager);
    else if (is_final(error))
        finish_without(manager, error->message);
    else
        again(manager, error);
}

static void on_config(upgrader_manager *manager, uint64_t generation, const mac_error *error, void *data) {
    (void)data;
    Macula__V1__UpgradeTrialRecord *record = manager->trial.record;
    manager->trial.asking = false;
    if (!is_returned(manager))
        return;
    /* A change that waits to be confirmed: "back" ends the waiting. */
    bool pending = error && error->code == MACULA__V1__ERROR_CODE__CONFLICT;
    if (error && !pending) {
        again(manager, error);
        return;
    }
    if (!record->generation || generation == record->generation) {
        finish(manager);
        return;
    }
    mac_autofree char *message = mac_asprintf("came back with version %s", record->from_version);
    Macula__V1__ChangeOptions options = MACULA__V1__CHANGE_OPTIONS__INIT;
    Macula__V1__ConfigRollbackRequest request = MACULA__V1__CONFIG_ROLLBACK_REQUEST__INIT;
    options.author = (char *)(uintptr_t) "upgrader";
    options.message = message;
    request.has_generation = true;
    request.generation = record->generation;
    request.options = &options;
    manager->trial.asking = true;
    macula__v1__config_control__rollback(&manager->config_control.base, &request, on_rolled_back, manager);
}

void upgrader_return_connected(upgrader_manager *manager) {
    if (!is_returned(manager) || manager->trial.asking || manager->stopping)
        return;
    manager->trial.asking = true;
    upgrader_call_config(manager, on_config, NULL);
}
