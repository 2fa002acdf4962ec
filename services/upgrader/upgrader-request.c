/* Beginning a job, and wishes about the one under way. */
#include <stdio.h>
#include <string.h>

#include "base/mac-fault.h"
#include "codec/mac-codec.h"
#include "crypto/mac-crypto.h"
#include "log/mac-log.h"
#include "release/mac-semver.h"
#include "upgrader-job.h"
#include "upgrader-trial.h"

#define ID_MAX 128u
#define STATE(name) MACULA__V1__JOB__STATE__##name

static void set_text(char **field, const char *text) {
    free(*field);
    *field = mac_strdup(text);
}

/* ---- starting ---- */

static Macula__V1__UpgradeJobRecord *record_new(const Macula__V1__UpgradeApplyRequest *input, const char *author,
                                                bool prefetch, bool automatic) {
    Macula__V1__UpgradeJobRecord record = MACULA__V1__UPGRADE_JOB_RECORD__INIT;
    Macula__V1__Job job = MACULA__V1__JOB__INIT;
    Macula__V1__UpgradeApplyRequest request = *input;
    char id[33];
    uint8_t bytes[16];
    mac_random(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    job.id = input->job && *input->job ? input->job : id;
    job.what = (char *)(uintptr_t)(prefetch ? "upgrade.prefetch" : "upgrade.apply");
    job.has_state = job.has_started_ms = true;
    job.state = STATE(running);
    job.started_ms = mac_unix_ms();
    request.author = (char *)(uintptr_t)author;
    record.job = &job;
    record.request = &request;
    record.has_prefetch = record.has_begun = record.has_automatic = true;
    record.prefetch = prefetch;
    record.begun = 1;
    record.automatic = automatic;
    return (Macula__V1__UpgradeJobRecord *)mac_codec_copy(&record.base);
}

/* Takes the record. */
static mac_error *start(upgrader_manager *manager, Macula__V1__UpgradeJobRecord *record) {
    manager->job.record = record;
    if (record->request->full) /* also of what an earlier job has brought */
        (void)!mac_fs_remove(manager->root, UPGRADER_MARK);
    int result = upgrader_job_persist(manager);
    if (result < 0) {
        upgrader_job_forget(manager);
        return mac_error_from_errno(result, "the job cannot be recorded");
    }
    MAC_FAULT_POINT("upgrader.job.recorded");
    mac_log_info("an upgrade begins", "job=" MAC_LOG_Q("%s") " author=" MAC_LOG_Q("%s"), record->job->id,
                 record->request->author);
    upgrader_job_begin(manager);
    return NULL;
}

/* The answer to a request under an id that was used before; NULL: it was not. */
static Macula__V1__UpgradeJobRecord *joined(upgrader_manager *manager, const char *id) {
    if (!id || !*id)
        return NULL;
    if (manager->job.record && mac_streq(manager->job.record->job->id, id))
        return (Macula__V1__UpgradeJobRecord *)mac_codec_copy(&manager->job.record->base);
    return upgrader_store_job(manager->store, id);
}

static mac_error *validate(upgrader_manager *manager, const Macula__V1__UpgradeApplyRequest *input) {
    if (input->from && *input->from != '/')
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, "from", "expected an absolute path, found \"%s\"",
                             input->from);
    if (input->version && *input->version && !mac_semver_valid(input->version))
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, "version",
                             "expected a version such as 1.2.3, found \"%s\"", input->version);
    if (input->job && strlen(input->job) > ID_MAX)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, "job", "expected at most %u bytes", ID_MAX);
    if (manager->job.record)
        return mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL,
                             "another upgrade is under way (job %s): wait for it, or cancel it",
                             manager->job.record->job->id);
    upgrader_autoslots slots = {.running = '-'};
    mac_error *error = upgrader_slots_read(manager->root, &slots);
    if (!error && slots.on_trial)
        error =
            mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL,
                          "version %s is on trial: wait until it is confirmed (maculaos upgrade status), or confirm it",
                          slots.version);
    return error ? error : upgrader_stay_obstacle(manager, &slots);
}

typedef struct wish {
    mac_request *request;
    bool prefetch;
} wish;

static void answer_job(mac_request *request, const Macula__V1__UpgradeJobRecord *record) {
    mac_request_answer(request, &record->job->base);
}

/* Answers with the job that has this id; false: there is none. */
static bool join(upgrader_manager *manager, mac_request *request, const char *id) {
    Macula__V1__UpgradeJobRecord *record = joined(manager, id);
    if (!record)
        return false;
    answer_job(request, record);
    macula__v1__upgrade_job_record__free_unpacked(record, NULL);
    return true;
}

static void on_request_config(upgrader_manager *manager, uint64_t generation, const mac_error *error, void *data) {
    (void)generation;
    mac_autofree wish *w = data;
    const Macula__V1__UpgradeApplyRequest *input = (const void *)mac_request_input(w->request);
    const char *author = input->author && *input->author ? input->author : mac_request_caller(w->request);
    if (join(manager, w->request, input->job)) /* somebody with the same id came first */
        return;
    mac_error *obstacle = error ? mac_error_copy(error) : validate(manager, input); /* again: that took a while */
    if (!obstacle && manager->stopping)
        obstacle = mac_error_new(MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "the upgrader is about to end");
    if (obstacle) {
        mac_request_fail_error(w->request, obstacle);
        return;
    }
    Macula__V1__UpgradeJobRecord *record = record_new(input, author, w->prefetch, false);
    Macula__V1__UpgradeJobRecord *copy = (void *)mac_codec_copy(&record->base);
    obstacle = start(manager, record);
    if (obstacle)
        mac_request_fail_error(w->request, obstacle);
    else
        answer_job(w->request, copy);
    macula__v1__upgrade_job_record__free_unpacked(copy, NULL);
}

void upgrader_job_request(upgrader_manager *manager, mac_request *request, const Macula__V1__UpgradeApplyRequest *input,
                          bool prefetch) {
    if (join(manager, request, input->job))
        return;
    mac_error *error = validate(manager, input);
    if (error) {
        mac_request_fail_error(request, error);
        return;
    }
    wish *w = mac_calloc(1, sizeof *w);
    *w = (wish){request, prefetch};
    upgrader_call_config(manager, on_request_config, w);
}

void upgrader_job_automatic(upgrader_manager *manager, const char *version, bool reboot) {
    Macula__V1__UpgradeApplyRequest input = MACULA__V1__UPGRADE_APPLY_REQUEST__INIT;
    input.version = (char *)(uintptr_t)version;
    input.has_reboot = true;
    input.reboot = reboot;
    mac_error *error = validate(manager, &input);
    if (!error)
        error = start(manager, record_new(&input, "upgrader", false, true));
    if (error)
        mac_log_warning("the version that was found is not applied", "reason=" MAC_LOG_Q("%s"), error->message);
    mac_error_free(error);
}

/* ---- wishes ---- */

static mac_error *check_id(const upgrader_manager *manager, const char *id) {
    const Macula__V1__UpgradeJobRecord *record = manager->job.record;
    if (record && (!id || !*id || mac_streq(id, record->job->id)))
        return NULL;
    if (!record)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL, "no upgrade is under way");
    return mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, "job",
                         "another job is under way; see: maculaos upgrade status");
}

/* Ends the worker if one runs; what follows is in was_wanted. */
static void end_worker(upgrader_manager *manager) {
    uv_timer_stop(&manager->job.retry);
    if (manager->job.worker)
        mac_worker_cancel(manager->job.worker);
    else if (!manager->job.asking)
        upgrader_job_was_wanted(manager);
}

mac_error *upgrader_job_cancel(upgrader_manager *manager, const char *id, const char *author) {
    mac_error *error = check_id(manager, id);
    if (error)
        return error;
    set_text(&manager->job.wish, author);
    manager->job.pausing = false;
    end_worker(manager);
    return NULL;
}

static mac_error *set_state(upgrader_manager *manager, Macula__V1__Job__State state) {
    Macula__V1__Job *job = manager->job.record->job;
    Macula__V1__Job__State before = job->state;
    job->state = state;
    int result = upgrader_job_persist(manager);
    if (result < 0)
        job->state = before;
    return result < 0 ? mac_error_from_errno(result, "the wish cannot be recorded") : NULL;
}

mac_error *upgrader_job_pause(upgrader_manager *manager, const char *id) {
    mac_error *error = check_id(manager, id);
    if (!error && manager->job.record->job->state == STATE(paused))
        error = mac_error_new(MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL, "it is paused already");
    if (!error)
        error = set_state(manager, STATE(paused));
    if (error)
        return error;
    set_text(&manager->job.wish, "pause");
    manager->job.pausing = true;
    end_worker(manager);
    return NULL;
}

mac_error *upgrader_job_resume(upgrader_manager *manager, const char *id) {
    mac_error *error = check_id(manager, id);
    if (!error && manager->job.record->job->state != STATE(paused))
        error = mac_error_new(MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL, "it is not paused");
    if (!error && (manager->job.worker || manager->job.asking))
        error = mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL, "it is about to pause: try again in a moment");
    if (!error)
        error = set_state(manager, STATE(running));
    if (!error)
        upgrader_job_begin(manager);
    return error;
}
