/* A version runs that is not the active one: somebody chose it in the boot menu, or the boot loader passed over the
 * active one, whose kernel or initramfs is damaged. Nothing may be written then, because the active slot never is; a
 * person decides which of the two stays. When the active one is damaged there is nothing to decide: an upgrade makes
 * the version that runs the active one, which changes nothing about what starts, and writes the other anew. */
#include <string.h>

#include "base/mac-fault.h"
#include "log/mac-log.h"
#include "upgrader-trial.h"

#define CAUSE(name) MACULA__V1__UPGRADE_OUTCOME__CAUSE__##name

static const char *other_version(const upgrader_slots *slots) {
    return *slots->other_version ? slots->other_version : "unknown";
}

char *upgrader_stay_text(const upgrader_manager *manager, const upgrader_slots *slots) {
    const char *other = other_version(slots);
    if (!slots->passed_over)
        return NULL;
    mac_autofree char *rejected = upgrader_trial_rejected(manager);
    if (rejected)
        return mac_take(&rejected);
    if (slots->damaged)
        return mac_asprintf(
            "slot %c (version %s) runs, but slot %c (version %s) is the active one: it was passed over, "
            "because its kernel or initramfs is damaged. An upgrade writes it anew; to stay with %s: "
            "maculaos upgrade confirm",
            slots->running, slots->version, slots->other, other, slots->version);
    return mac_asprintf(
        "slot %c (version %s) runs, but slot %c (version %s) is the active one and starts next: somebody "
        "chose the other one in the boot menu. To stay with %s: maculaos upgrade confirm; to go on with "
        "%s: maculaos node reboot",
        slots->running, slots->version, slots->other, other, slots->version, other);
}

mac_error *upgrader_stay_obstacle(const upgrader_manager *manager, const upgrader_slots *slots) {
    mac_autofree char *text = upgrader_stay_text(manager, slots);
    return text && !slots->damaged ? mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL, "%s", text) : NULL;
}

/* ---- staying ---- */

/* As of a version that was tried and stays. Unless the other one is damaged, which is recorded already, that one counts
 * as left. */
static Macula__V1__UpgradeTrialRecord *record_new(const upgrader_slots *slots, const char *author) {
    Macula__V1__UpgradeTrialRecord *record = mac_malloc(sizeof *record);
    macula__v1__upgrade_trial_record__init(record);
    record->has_stage = true;
    record->stage = MACULA__V1__UPGRADE_TRIAL_RECORD__STAGE__activating;
    record->slot = mac_asprintf("%c", slots->running);
    record->version = mac_strdup(slots->version);
    record->from_slot = mac_asprintf("%c", slots->other);
    record->from_version = mac_strdup(other_version(slots));
    record->author = mac_strdup(author);
    record->has_rollback = true;
    record->rollback = !slots->damaged;
    record->reason = mac_asprintf("%s stays with %s, which was started in its place", author, slots->version);
    return record;
}

mac_error *upgrader_stay(upgrader_manager *manager, const upgrader_slots *slots, const char *author) {
    upgrader_return_cut_short(manager);
    if (manager->trial.record)
        macula__v1__upgrade_trial_record__free_unpacked(manager->trial.record, NULL);
    manager->trial.record = record_new(slots, author);
    int result = upgrader_trial_persist(manager);
    if (result < 0) {
        (void)!upgrader_trial_drop(manager);
        return mac_error_from_errno(result, "that this version stays cannot be recorded");
    }
    MAC_FAULT_POINT("upgrader.stay.recorded");
    mac_error *error = upgrader_slots_stay(manager->root);
    MAC_FAULT_POINT("upgrader.stay.written");
    if (error)
        (void)!upgrader_trial_drop(manager); /* if that fails, the next start finds that nothing was written */
    else
        upgrader_trial_confirmed(manager, author);
    MAC_FAULT_POINT("upgrader.stay.ended");
    return error;
}

/* ---- what a start finds ---- */

static int record_damage(upgrader_manager *manager, const upgrader_slots *slots) {
    mac_autofree char *reason = mac_asprintf("the boot loader passed over slot %c, because its kernel or initramfs is "
                                             "damaged; the version in it was confirmed before",
                                             slots->other);
    Macula__V1__UpgradeOutcome outcome = MACULA__V1__UPGRADE_OUTCOME__INIT;
    Macula__V1__UpgradeRefused refused = MACULA__V1__UPGRADE_REFUSED__INIT;
    outcome.has_state = outcome.has_cause = refused.has_cause = true;
    outcome.state = MACULA__V1__UPGRADE_OUTCOME__STATE__rolled_back;
    outcome.version = refused.version = (char *)(uintptr_t)other_version(slots);
    outcome.from_version = (char *)(uintptr_t)slots->version;
    outcome.cause = refused.cause = CAUSE(start);
    outcome.reason = refused.reason = reason;
    int result = upgrader_trial_add_outcome(manager, &outcome, "rolled_back");
    return result < 0 ? result : upgrader_store_refuse(manager->store, &refused);
}

void upgrader_stay_recover(upgrader_manager *manager, const upgrader_slots *slots) {
    mac_autofree char *text = upgrader_stay_text(manager, slots);
    mac_autofree char *known = upgrader_store_refusal(manager->store, other_version(slots));
    if (!text)
        return;
    mac_log_warning("another version than the active one runs", "reason=" MAC_LOG_Q("%s"), text);
    if (!slots->damaged || known) /* this is said once, not at every start */
        return;
    int result = upgrader_store_begin(manager->store);
    if (result == 0)
        result = upgrader_store_end(manager->store, record_damage(manager, slots));
    if (result < 0)
        mac_log_error("the damaged version cannot be recorded", "error=" MAC_LOG_Q("%s"), strerror(-result));
}
