/* UpgradeControl: everything that changes something, in the order of proto/macula/v1/upgrade.proto. */
#include <string.h>

#include "upgrader-job.h"
#include "upgrader-manager.h"
#include "upgrader-trial.h"

static const char *author_of(mac_request *request, const char *given) {
    return given && *given ? given : mac_request_caller(request);
}

/* The state as it is now, or the error (taken). */
static void answer(upgrader_manager *manager, mac_request *request, mac_error *error) {
    if (error) {
        mac_request_fail_error(request, error);
        return;
    }
    Macula__V1__UpgradeStatus *status = upgrader_status_message(manager);
    mac_request_answer(request, &status->base);
    macula__v1__upgrade_status__free_unpacked(status, NULL);
}

/* ---- Apply, Prefetch ---- */

static void upgrade_apply(Macula__V1__UpgradeControl_Service *service, const Macula__V1__UpgradeApplyRequest *input,
                          Macula__V1__Job_Closure closure, void *closure_data) {
    (void)closure;
    upgrader_job_request(upgrader_manager_of(service, upgrade_control), mac_request_from(closure_data), input, false);
}

static void upgrade_prefetch(Macula__V1__UpgradeControl_Service *service, const Macula__V1__UpgradeApplyRequest *input,
                             Macula__V1__Job_Closure closure, void *closure_data) {
    (void)closure;
    upgrader_job_request(upgrader_manager_of(service, upgrade_control), mac_request_from(closure_data), input, true);
}

/* ---- Cancel, Pause, Resume ---- */

static void upgrade_cancel(Macula__V1__UpgradeControl_Service *service, const Macula__V1__UpgradeJobRequest *input,
                           Macula__V1__UpgradeStatus_Closure closure, void *closure_data) {
    (void)closure;
    upgrader_manager *manager = upgrader_manager_of(service, upgrade_control);
    mac_request *request = mac_request_from(closure_data);
    mac_error *error = NULL;
    if (manager->job.record) {
        error = upgrader_job_cancel(manager, input->job, author_of(request, input->author));
    } else {
        upgrader_autoslots slots = {.running = '-'};
        error = upgrader_slots_read(manager->root, &slots);
        if (!error && slots.pending != slots.other)
            error = mac_error_new(MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL,
                                  "no upgrade is under way, and the next start tries no other version");
        if (!error)
            error = upgrader_trial_cancel(manager, &slots, author_of(request, input->author));
    }
    answer(manager, request, error);
}

static void upgrade_pause(Macula__V1__UpgradeControl_Service *service, const Macula__V1__UpgradeJobRequest *input,
                          Macula__V1__UpgradeStatus_Closure closure, void *closure_data) {
    (void)closure;
    upgrader_manager *manager = upgrader_manager_of(service, upgrade_control);
    answer(manager, mac_request_from(closure_data), upgrader_job_pause(manager, input->job));
}

static void upgrade_resume(Macula__V1__UpgradeControl_Service *service, const Macula__V1__UpgradeJobRequest *input,
                           Macula__V1__UpgradeStatus_Closure closure, void *closure_data) {
    (void)closure;
    upgrader_manager *manager = upgrader_manager_of(service, upgrade_control);
    answer(manager, mac_request_from(closure_data), upgrader_job_resume(manager, input->job));
}

/* ---- Rollback ---- */

static mac_error *check_rollback(upgrader_manager *manager, const upgrader_slots *slots, bool force) {
    mac_autofree char *text = upgrader_stay_text(manager, slots);
    if (manager->job.record)
        return mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL,
                             "an upgrade is under way (job %s): cancel it first", manager->job.record->job->id);
    if (slots->passed_over)
        return mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL, "%s", text);
    if (slots->pending == slots->other)
        return mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL,
                             "the next start tries version %s; cancel that to stay with %s (maculaos upgrade cancel)",
                             slots->other_version, slots->version);
    if (mac_boot_verity_empty(&slots->other_verity) || !*slots->other_version)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL,
                             "slot %c holds no version to go back to; it is overwritten as soon as an upgrade begins",
                             slots->other);
    mac_autofree char *refusal = upgrader_store_refusal(manager->store, slots->other_version);
    if (refusal && !force)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL,
                             "version %s was tried here and came back (%s); --force tries it again",
                             slots->other_version, refusal);
    return NULL;
}

static char *rollback_reason(const Macula__V1__UpgradeRollbackRequest *input, const char *author) {
    bool said = input->reason && *input->reason;
    return mac_asprintf("rolled back by %s%s%s", author, said ? ": " : "", said ? input->reason : "");
}

static void on_rollback_config(upgrader_manager *manager, uint64_t generation, const mac_error *error, void *data) {
    mac_request *request = data;
    const Macula__V1__UpgradeRollbackRequest *input = (const void *)mac_request_input(request);
    const char *author = author_of(request, input->author);
    upgrader_autoslots slots = {.running = '-'};
    mac_error *obstacle = error ? mac_error_copy(error) : upgrader_slots_read(manager->root, &slots);
    if (!obstacle)
        obstacle = check_rollback(manager, &slots, input->force);
    mac_autofree char *reason = rollback_reason(input, author);
    if (!obstacle)
        obstacle = upgrader_trial_activate_other(manager, &slots, generation, author, reason, input->reboot);
    if (!obstacle && input->reboot)
        upgrader_trial_reboot(manager, reason, author);
    answer(manager, request, obstacle);
}

static void upgrade_rollback(Macula__V1__UpgradeControl_Service *service,
                             const Macula__V1__UpgradeRollbackRequest *input, Macula__V1__UpgradeStatus_Closure closure,
                             void *closure_data) {
    (void)closure;
    upgrader_manager *manager = upgrader_manager_of(service, upgrade_control);
    mac_request *request = mac_request_from(closure_data);
    upgrader_autoslots slots = {.running = '-'};
    mac_error *error = upgrader_slots_read(manager->root, &slots);
    if (!error && slots.on_trial && manager->trial.record) {
        const char *author = author_of(request, input->author);
        mac_autofree char *reason = rollback_reason(input, author);
        upgrader_trial_reject(manager, MACULA__V1__UPGRADE_OUTCOME__CAUSE__user, reason, author);
        answer(manager, request, NULL);
        return;
    }
    if (!error)
        error = check_rollback(manager, &slots, input->force);
    if (error)
        mac_request_fail_error(request, error);
    else
        upgrader_call_config(manager, on_rollback_config, request);
}

/* ---- Confirm ---- */

static void upgrade_confirm(Macula__V1__UpgradeControl_Service *service, const Macula__V1__UpgradeConfirmRequest *input,
                            Macula__V1__UpgradeStatus_Closure closure, void *closure_data) {
    (void)closure;
    upgrader_manager *manager = upgrader_manager_of(service, upgrade_control);
    mac_request *request = mac_request_from(closure_data);
    answer(manager, request, upgrader_trial_confirm(manager, author_of(request, input->author)));
}

/* ---- SetChannel ---- */

typedef struct channel_call {
    upgrader_manager *manager;
    mac_request *request;
} channel_call;

static void on_channel_set(const Macula__V1__ConfigOutcome *outcome, void *closure_data) {
    mac_autofree channel_call *call = closure_data;
    const mac_error *error = outcome ? NULL : mac_client_error(&call->manager->config_control);
    answer(call->manager, call->request, error ? mac_error_copy(error) : NULL);
}

static void upgrade_set_channel(Macula__V1__UpgradeControl_Service *service,
                                const Macula__V1__UpgradeChannelRequest *input,
                                Macula__V1__UpgradeStatus_Closure closure, void *closure_data) {
    (void)closure;
    upgrader_manager *manager = upgrader_manager_of(service, upgrade_control);
    mac_request *request = mac_request_from(closure_data);
    static const char *const names[] = {"stable", "beta", "nightly"};
    if (!input->has_channel) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__INVALID, "channel", "expected stable, beta or nightly");
        return;
    }
    Macula__V1__ConfigSetRequest set = MACULA__V1__CONFIG_SET_REQUEST__INIT;
    Macula__V1__ChangeOptions options = MACULA__V1__CHANGE_OPTIONS__INIT;
    options.author = (char *)(uintptr_t)author_of(request, input->author);
    set.path = (char *)(uintptr_t) "maculaos.upgrade.channel";
    set.value = (char *)(uintptr_t)names[input->channel];
    set.options = &options;
    channel_call *call = mac_calloc(1, sizeof *call);
    *call = (channel_call){manager, request};
    macula__v1__config_control__set(&manager->config_control.base, &set, on_channel_set, call);
}

int upgrader_control_methods_serve(upgrader_manager *manager) {
    manager->upgrade_control = (Macula__V1__UpgradeControl_Service)MACULA__V1__UPGRADE_CONTROL__INIT(upgrade_);
    return mac_bus_serve(manager->bus, &manager->upgrade_control.base, NULL, "Changes which version this node runs");
}
