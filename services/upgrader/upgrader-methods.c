/* Upgrade: everything that changes nothing, in the order of proto/macula/v1/upgrade.proto. */
#include <string.h>

#include "codec/mac-codec.h"
#include "upgrader-manager.h"
#include "upgrader-trial.h"

#define HISTORY_MAX 500u
#define PLAN_TIMEOUT_MS 300000

/* ---- Status ---- */

static Macula__V1__UpgradeSlot *slot_message(char slot, Macula__V1__UpgradeSlot__State state, const char *version) {
    Macula__V1__UpgradeSlot *message = mac_malloc(sizeof *message);
    macula__v1__upgrade_slot__init(message);
    message->slot = mac_asprintf("%c", slot);
    message->has_state = true;
    message->state = state;
    message->version = version && *version ? mac_strdup(version) : NULL;
    return message;
}

static Macula__V1__UpgradeSlot *other_message(upgrader_manager *manager, const upgrader_slots *slots) {
    mac_autofree char *refusal =
        *slots->other_version ? upgrader_store_refusal(manager->store, slots->other_version) : NULL;
    Macula__V1__UpgradeSlot__State state =
        slots->pending == slots->other                ? MACULA__V1__UPGRADE_SLOT__STATE__trial
        : slots->damaged                              ? MACULA__V1__UPGRADE_SLOT__STATE__failed
        : slots->active == slots->other               ? MACULA__V1__UPGRADE_SLOT__STATE__active
        : mac_boot_verity_empty(&slots->other_verity) ? MACULA__V1__UPGRADE_SLOT__STATE__empty
        : refusal || slots->failed == slots->other    ? MACULA__V1__UPGRADE_SLOT__STATE__failed
                                                      : MACULA__V1__UPGRADE_SLOT__STATE__standby;
    Macula__V1__UpgradeSlot *message = slot_message(slots->other, state, slots->other_version);
    Macula__V1__UpgradeFound *ready = (Macula__V1__UpgradeFound *)upgrader_store_get(
        manager->store, UPGRADER_READY, &macula__v1__upgrade_found__descriptor);
    if (ready &&
        state == MACULA__V1__UPGRADE_SLOT__STATE__empty) { /* fetched and verified, the boot state does not know it */
        message->state = MACULA__V1__UPGRADE_SLOT__STATE__standby;
        message->version = mac_strdup(ready->version);
    }
    if (ready)
        macula__v1__upgrade_found__free_unpacked(ready, NULL);
    message->has_tries_left = slots->pending == slots->other;
    message->tries_left = slots->tries_left;
    return message;
}

static void add_problem(Macula__V1__UpgradeStatus *status, const char *text) {
    status->problems = mac_realloc(status->problems, (status->n_problems + 1) * sizeof *status->problems);
    status->problems[status->n_problems++] = mac_strdup(text);
}

static void add_slots(upgrader_manager *manager, Macula__V1__UpgradeStatus *status) {
    upgrader_autoslots slots = {.running = '-'};
    mac_autoptr(mac_error) error = upgrader_slots_read(manager->root, &slots);
    if (error) {
        if (error->code != MACULA__V1__ERROR_CODE__UNSUPPORTED)
            add_problem(status, error->message);
        return;
    }
    bool rejected = status->trial && status->trial->rejected;
    status->running = slot_message(slots.running,
                                   rejected            ? MACULA__V1__UPGRADE_SLOT__STATE__failed
                                   : slots.on_trial    ? MACULA__V1__UPGRADE_SLOT__STATE__trial
                                   : slots.passed_over ? MACULA__V1__UPGRADE_SLOT__STATE__standby
                                                       : MACULA__V1__UPGRADE_SLOT__STATE__active,
                                   slots.version);
    status->other = other_message(manager, &slots);
    status->reboot_required = slots.pending == slots.other;
    mac_autofree char *text = rejected ? NULL : upgrader_stay_text(manager, &slots); /* the trial says it */
    if (text)
        add_problem(status, text);
    if (slots.problem)
        add_problem(status, slots.problem);
}

static void add_job(upgrader_manager *manager, Macula__V1__UpgradeStatus *status) {
    const Macula__V1__UpgradeJobRecord *record = manager->job.record;
    Macula__V1__UpgradeJobRecord *last = record ? NULL : upgrader_store_last_job(manager->store);
    if (record || last)
        status->job = (Macula__V1__Job *)mac_codec_copy(&(record ? record : last)->job->base);
    status->has_step = record && record->has_step;
    status->step = record ? record->step : 0;
    if (last)
        macula__v1__upgrade_job_record__free_unpacked(last, NULL);
}

static void add_memory(upgrader_manager *manager, Macula__V1__UpgradeStatus *status) {
    Macula__V1__UpgradeFound *found = (Macula__V1__UpgradeFound *)upgrader_store_get(
        manager->store, UPGRADER_FOUND, &macula__v1__upgrade_found__descriptor);
    if (found) {
        status->available = upgrader_release_message(manager, found, NULL);
        if (!status->available->newer) { /* than what runs by now, from wherever that came */
            macula__v1__upgrade_release__free_unpacked(status->available, NULL);
            status->available = NULL;
        }
        macula__v1__upgrade_found__free_unpacked(found, NULL);
    }
    status->checked_ms = (int64_t)upgrader_store_number(manager->store, UPGRADER_CHECKED);
    status->has_checked_ms = status->checked_ms > 0;
    size_t count = 0;
    Macula__V1__UpgradeOutcome **last = upgrader_store_history(manager->store, 1, 0, &count);
    status->last = count ? last[0] : NULL;
    free(last);
    status->refused = upgrader_store_refused(manager->store, &status->n_refused);
}

Macula__V1__UpgradeStatus *upgrader_status_message(upgrader_manager *manager) {
    Macula__V1__UpgradeStatus *status = mac_malloc(sizeof *status);
    macula__v1__upgrade_status__init(status);
    status->version = upgrader_running_version(manager->root);
    status->arch = mac_strdup(upgrader_arch());
    status->has_channel = status->has_reboot_required = status->has_revision = true;
    status->channel = manager->section->channel;
    status->url = mac_strdup(manager->section->url);
    status->check_error = mac_strdup(manager->check_error);
    status->trial = upgrader_trial_message(manager);
    status->revision = upgrader_store_revision(manager->store);
    add_slots(manager, status);
    add_job(manager, status);
    add_memory(manager, status);
    return status;
}

static void upgrade_status(Macula__V1__Upgrade_Service *service, const Macula__V1__UpgradeStatusRequest *input,
                           Macula__V1__UpgradeStatus_Closure closure, void *closure_data) {
    (void)input;
    Macula__V1__UpgradeStatus *status = upgrader_status_message(upgrader_manager_of(service, upgrade));
    closure(status, closure_data);
    macula__v1__upgrade_status__free_unpacked(status, NULL);
}

/* ---- questions that take a worker ---- */

typedef struct upgrader_question {
    upgrader_manager *manager;
    mac_request *request;
    mac_worker *worker; /* at each moment one runs; NULL: it could not be started, and the question ends */
    Macula__V1__UpgradeFound *found;
    struct upgrader_question *next;
} question;

static question *question_new(upgrader_manager *manager, mac_request *request) {
    question *q = mac_calloc(1, sizeof *q);
    *q = (question){.manager = manager, .request = request, .next = manager->questions};
    manager->questions = q;
    return q;
}

/* error (taken) NULL: it was answered. */
static void question_end(question *q, mac_error *error) {
    upgrader_manager *manager = q->manager;
    question **place = &manager->questions;
    while (*place != q)
        place = &(*place)->next;
    *place = q->next;
    if (error)
        mac_request_fail_error(q->request, error);
    if (q->found)
        macula__v1__upgrade_found__free_unpacked(q->found, NULL);
    free(q);
    upgrader_manager_worker_ended(manager);
}

void upgrader_methods_stop(upgrader_manager *manager) {
    for (question *q = manager->questions; q; q = q->next)
        mac_worker_cancel(q->worker);
}

/* ---- Check ---- */

/* A directory is only for whoever could read it anyway: the administrator. */
static bool may_name(mac_request *request, const char *from) {
    if (!from || !*from)
        return true;
    if (mac_request_is_workload(request))
        mac_request_fail(request, MACULA__V1__ERROR_CODE__DENIED, "from",
                         "a directory is looked into for the administrator only");
    else if (*from != '/')
        mac_request_fail(request, MACULA__V1__ERROR_CODE__INVALID, "from", "expected an absolute path, found \"%s\"",
                         from);
    else
        return true;
    return false;
}

/* As applying it would; from: the directory (NULL or "": the configured source). */
static mac_error *judge_from(upgrader_manager *manager, const Macula__V1__UpgradeFound *found, char *from) {
    Macula__V1__UpgradeApplyRequest wish = MACULA__V1__UPGRADE_APPLY_REQUEST__INIT;
    wish.from = from && *from ? from : NULL;
    return upgrader_find_judge(manager, found, &wish);
}

static void on_directory(upgrader_manager *manager, const Macula__V1__UpgradeFound *found, const mac_error *error,
                         void *data) {
    question *q = data;
    if (error) {
        question_end(q, mac_error_copy(error));
        return;
    }
    mac_autoptr(mac_error) obstacle =
        judge_from(manager, found, ((const Macula__V1__UpgradeCheckRequest *)mac_request_input(q->request))->from);
    Macula__V1__UpgradeRelease *release = upgrader_release_message(manager, found, obstacle);
    bool nothing = obstacle && obstacle->code == MACULA__V1__ERROR_CODE__NOTHING_TO_DO;
    if (!nothing)
        mac_request_answer(q->request, &release->base);
    macula__v1__upgrade_release__free_unpacked(release, NULL);
    question_end(q, nothing ? mac_take(&obstacle) : NULL);
}

static void upgrade_check(Macula__V1__Upgrade_Service *service, const Macula__V1__UpgradeCheckRequest *input,
                          Macula__V1__UpgradeRelease_Closure closure, void *closure_data) {
    (void)closure;
    upgrader_manager *manager = upgrader_manager_of(service, upgrade);
    mac_request *request = mac_request_from(closure_data);
    if (!may_name(request, input->from))
        return;
    if (!input->from || !*input->from) {
        upgrader_check_start(manager, request);
        return;
    }
    question *q = question_new(manager, request);
    mac_error *error = upgrader_find(manager, input->from, on_directory, q, &q->worker);
    if (error)
        question_end(q, error);
}

/* ---- History ---- */

static void upgrade_history(Macula__V1__Upgrade_Service *service, const Macula__V1__UpgradeHistoryRequest *input,
                            Macula__V1__UpgradeHistory_Closure closure, void *closure_data) {
    upgrader_manager *manager = upgrader_manager_of(service, upgrade);
    Macula__V1__UpgradeHistory answer = MACULA__V1__UPGRADE_HISTORY__INIT;
    size_t limit = input->limit && input->limit < HISTORY_MAX ? input->limit : HISTORY_MAX;
    answer.outcomes = upgrader_store_history(manager->store, limit, input->before, &answer.n_outcomes);
    closure(&answer, closure_data);
    upgrader_outcomes_free(answer.outcomes, answer.n_outcomes);
}

/* ---- Plan ---- */

/* Bytes a second; 0: not known. */
static uint64_t expected_pace(upgrader_manager *manager, const char *from) {
    uint64_t limit = upgrader_settings_bandwidth(manager);
    uint64_t last = from && *from ? 0 : upgrader_store_number(manager->store, UPGRADER_PACE);
    return !last || (limit && limit < last) ? limit : last;
}

static void answer_plan(const question *q, const Macula__V1__UpgradeWritten *written) {
    upgrader_manager *manager = q->manager;
    upgrader_autoslots slots = {.running = '-'};
    mac_error_free(upgrader_slots_read(manager->root, &slots));
    Macula__V1__UpgradePlan plan = MACULA__V1__UPGRADE_PLAN__INIT;
    char *from = ((const Macula__V1__UpgradePlanRequest *)mac_request_input(q->request))->from;
    mac_autoptr(mac_error) obstacle = judge_from(manager, q->found, from);
    mac_autofree char *slot = mac_asprintf("%c", slots.other);
    uint64_t pace = expected_pace(manager, from);
    plan.release = upgrader_release_message(manager, q->found, obstacle);
    plan.slot = slot;
    plan.has_slot_size = plan.has_fetch = plan.has_reuse = plan.has_requests = plan.has_delta = true;
    plan.slot_size = written->slot_size;
    plan.fetch = written->fetched;
    plan.reuse = written->reused;
    plan.requests = written->requests;
    plan.delta = written->delta;
    plan.has_seconds = pace > 0;
    plan.seconds = pace ? (uint32_t)(written->fetched / pace) : 0;
    mac_request_answer(q->request, &plan.base);
    macula__v1__upgrade_release__free_unpacked(plan.release, NULL);
}

static void plan_end(question *q, mac_error *error) {
    q->manager->planning = false;
    question_end(q, error);
}

static void on_planned(mac_worker *worker, const ProtobufCMessage *output, const mac_error *error, void *data) {
    (void)worker;
    question *q = data;
    if (!error)
        answer_plan(q, (const Macula__V1__UpgradeWritten *)output);
    plan_end(q, error ? mac_error_copy(error) : NULL);
}

static mac_error *plan_found(question *q) {
    upgrader_manager *manager = q->manager;
    upgrader_autoslots slots = {.running = '-'};
    mac_error *error = upgrader_slots_read(manager->root, &slots);
    if (error)
        return error;
    upgrader_write write;
    upgrader_write_fill(manager, &slots, q->found, false, &write);
    int result = mac_worker_start(&(mac_worker_options){.loop = manager->loop,
                                                        .program = UPGRADER_WORKER,
                                                        .job = "plan",
                                                        .input = &write.message.base,
                                                        .output = &macula__v1__upgrade_written__descriptor,
                                                        .timeout_ms = PLAN_TIMEOUT_MS,
                                                        .on_end = on_planned,
                                                        .data = q},
                                  &q->worker);
    upgrader_write_deinit(&write);
    return result < 0 ? mac_error_from_errno(result, UPGRADER_WORKER " cannot be started") : NULL;
}

static void on_plan_found(upgrader_manager *manager, const Macula__V1__UpgradeFound *found, const mac_error *error,
                          void *data) {
    (void)manager;
    question *q = data;
    mac_error *obstacle = error ? mac_error_copy(error) : NULL;
    if (!error) {
        q->found = (Macula__V1__UpgradeFound *)mac_codec_copy(&found->base);
        obstacle = plan_found(q);
    }
    if (obstacle)
        plan_end(q, obstacle);
}

static void upgrade_plan(Macula__V1__Upgrade_Service *service, const Macula__V1__UpgradePlanRequest *input,
                         Macula__V1__UpgradePlan_Closure closure, void *closure_data) {
    (void)closure;
    upgrader_manager *manager = upgrader_manager_of(service, upgrade);
    mac_request *request = mac_request_from(closure_data);
    if (!may_name(request, input->from))
        return;
    if (manager->planning) { /* each takes a process and reads the whole slot, and anybody may ask */
        mac_request_fail(request, MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                         "another plan is being made; ask again in a moment");
        return;
    }
    manager->planning = true;
    question *q = question_new(manager, request);
    mac_error *error =
        upgrader_find(manager, input->from && *input->from ? input->from : NULL, on_plan_found, q, &q->worker);
    if (error)
        plan_end(q, error);
}

int upgrader_methods_serve(upgrader_manager *manager) {
    manager->upgrade = (Macula__V1__Upgrade_Service)MACULA__V1__UPGRADE__INIT(upgrade_);
    return mac_bus_serve(manager->bus, &manager->upgrade.base, NULL,
                         "Versions of the system: what runs, what there is");
}
