#include "upgrader-job.h"

#include <stdio.h>
#include <string.h>

#include "base/mac-fault.h"
#include "codec/mac-codec.h"
#include "crypto/mac-crypto.h"
#include "log/mac-log.h"
#include "upgrader-trial.h"
#include "upgrader-write.h"

#define BEGUN_MAX 20u    /* a job that was begun so often without an end has failed */
#define ATTEMPTS_MAX 10u /* in a row that came to nothing */
#define KILLED_MAX 3u /* workers in a row that are begun again; then something kills them whenever they come so far */
#define RETRY_FIRST_MS 2000u
#define RETRY_MAX_MS 300000u
#define PROGRESS_MS 1000u /* between two events */
#define LATE_MS (15 * 60 * 1000)
#define PACE_LEAST (1u << 20)

#define STATE(name) MACULA__V1__JOB__STATE__##name
#define STEP(name) MACULA__V1__UPGRADE_STATUS__STEP__##name

static void fail(upgrader_manager *manager, mac_error *error);
static void activate(upgrader_manager *manager);

/* ---- the record ---- */

int upgrader_job_persist(upgrader_manager *manager) {
    return upgrader_store_put_job(manager->store, manager->job.record);
}

/* false: it could not be kept, the job has failed. */
static bool set_step(upgrader_manager *manager, Macula__V1__UpgradeStatus__Step step) {
    Macula__V1__UpgradeJobRecord *record = manager->job.record;
    record->has_step = true;
    record->step = step;
    int result = upgrader_job_persist(manager);
    if (result == 0)
        return true;
    fail(manager, mac_error_from_errno(result, "the step of the upgrade cannot be recorded"));
    return false;
}

static void set_progress(upgrader_manager *manager, const Macula__V1__Progress *progress, const char *message) {
    Macula__V1__Job *job = manager->job.record->job;
    Macula__V1__Progress plain = MACULA__V1__PROGRESS__INIT;
    plain.message = (char *)(uintptr_t)message;
    if (progress)
        plain = *progress;
    plain.job = job->id;
    if (job->progress)
        macula__v1__progress__free_unpacked(job->progress, NULL);
    job->progress = (Macula__V1__Progress *)mac_codec_copy(&plain.base);
    if (mac_now_ms() - manager->job.published_ms < PROGRESS_MS && progress && progress->percent < 100)
        return;
    manager->job.published_ms = mac_now_ms();
    /* A hint: whoever misses it sees the next one, or asks. */
    (void)!mac_bus_publish(manager->bus, "upgrade.progress", &plain.base);
}

/* ---- its end ---- */

void upgrader_job_forget(upgrader_manager *manager) {
    upgrader_job *job = &manager->job;
    macula__v1__upgrade_job_record__free_unpacked(mac_take(&job->record), NULL);
    free(mac_take(&job->wish));
    job->pausing = false;
    job->attempts = job->killed = job->furthest = 0;
    uv_timer_stop(&job->retry);
}

static int record_end(upgrader_manager *manager, const mac_error *error, const char *author) {
    Macula__V1__UpgradeJobRecord *record = manager->job.record;
    mac_autofree char *running = upgrader_running_version(manager->root);
    bool cancelled = error && error->code == MACULA__V1__ERROR_CODE__CANCELLED;
    int result = upgrader_job_persist(manager);
    if (result < 0 || !error || error->code == MACULA__V1__ERROR_CODE__NOTHING_TO_DO)
        return result;
    Macula__V1__UpgradeOutcome outcome = MACULA__V1__UPGRADE_OUTCOME__INIT;
    Macula__V1__UpgradeEvent event = MACULA__V1__UPGRADE_EVENT__INIT;
    outcome.has_state = event.has_code = true;
    outcome.state =
        cancelled ? MACULA__V1__UPGRADE_OUTCOME__STATE__cancelled : MACULA__V1__UPGRADE_OUTCOME__STATE__failed;
    outcome.version = event.version = record->found ? record->found->version : record->request->version;
    outcome.from_version = event.from_version = running;
    outcome.reason = event.reason = error->message;
    outcome.author = event.author = (char *)(uintptr_t)author;
    outcome.job = event.job = record->job->id;
    event.code = error->code;
    result = upgrader_store_add_outcome(manager->store, &outcome);
    return result < 0 ? result : upgrader_store_event(manager->store, cancelled ? "cancelled" : "failed", &event);
}

/* error NULL: it succeeded. */
static void finish(upgrader_manager *manager, const mac_error *error, const char *author) {
    Macula__V1__UpgradeJobRecord *record = manager->job.record;
    Macula__V1__Job *job = record->job;
    bool cancelled = error && error->code == MACULA__V1__ERROR_CODE__CANCELLED;
    job->has_state = job->has_ended_ms = true;
    job->state = !error ? STATE(succeeded) : cancelled ? STATE(cancelled) : STATE(failed);
    job->ended_ms = mac_unix_ms();
    if (error)
        job->error = mac_error_to_wire(error);
    int result = upgrader_store_begin(manager->store);
    if (result == 0)
        result =
            upgrader_store_end(manager->store, record_end(manager, error, author ? author : record->request->author));
    if (result < 0)
        mac_log_error("the end of the upgrade cannot be recorded", "error=" MAC_LOG_Q("%s"), strerror(-result));
    if (error)
        mac_log_warning(cancelled ? "the upgrade was cancelled" : "the upgrade failed",
                        "job=" MAC_LOG_Q("%s") " reason=" MAC_LOG_Q("%s"), job->id, error->message);
    if (error && record->automatic)
        upgrader_auto_failed(manager, error);
    else if (cancelled && record->found)
        upgrader_auto_cancelled(manager, record->found->version, error);
    set_progress(manager, NULL, error ? error->message : "done");
    upgrader_job_forget(manager);
    upgrader_manager_kick(manager);
}

static void fail(upgrader_manager *manager, mac_error *error) {
    finish(manager, error, NULL);
    mac_error_free(error);
}

/* ---- failures that may pass ---- */

static uint64_t number_of(const char *variable, uint64_t otherwise) {
    const char *text = getenv(variable); /* tests do not wait */
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* What is written and verified is not written again because confd does not let it in yet. */
static void on_retry(uv_timer_t *timer) {
    upgrader_manager *manager = timer->data;
    const upgrader_job *job = &manager->job;
    if (!job->record || job->worker || job->asking)
        return;
    if (job->record->step == STEP(prepared))
        activate(manager);
    else
        upgrader_job_begin(manager);
}

static bool may_pass(const mac_error *error) {
    return error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE || error->code == MACULA__V1__ERROR_CODE__TIMED_OUT;
}

/* After the version was found, somebody else is only in the way for a while. */
static bool is_in_the_way(const upgrader_manager *manager, const mac_error *error) {
    return manager->job.record->step == STEP(prepared) && error->code == MACULA__V1__ERROR_CODE__CONFLICT;
}

/* Begins again after a pause that grows with `times`, how often that was so. */
static void wait_to_begin(upgrader_manager *manager, unsigned times, const char *reason) {
    uint64_t pause = number_of("MACULA_UPGRADE_RETRY_MS", RETRY_FIRST_MS) << (times - 1);
    if (pause > RETRY_MAX_MS)
        pause = RETRY_MAX_MS;
    uint32_t chance;
    mac_random(&chance, sizeof chance);
    pause = pause / 2 + chance % (pause / 2 + 1);
    mac_autofree char *text = mac_asprintf("waiting to try again: %s", reason);
    mac_log_warning("the upgrade waits to try again", "pause_ms=%llu reason=" MAC_LOG_Q("%s"),
                    (unsigned long long)pause, reason);
    set_progress(manager, NULL, text);
    uv_timer_start(&manager->job.retry, on_retry, pause, 0);
}

static void fail_or_wait(upgrader_manager *manager, const mac_error *error) {
    upgrader_job *job = &manager->job;
    bool passes = may_pass(error) || is_in_the_way(manager, error);
    if (!passes || ++job->attempts >= number_of("MACULA_UPGRADE_ATTEMPTS", ATTEMPTS_MAX))
        fail(manager, mac_error_copy(error));
    else
        wait_to_begin(manager, job->attempts, error->message);
}

/* A worker did not end by itself: somebody killed it, or the kernel when memory was out. */
static void begin_again(upgrader_manager *manager, const mac_error *error) {
    upgrader_job *job = &manager->job;
    if (++job->killed > KILLED_MAX) {
        fail(manager, mac_error_new(error->code, NULL, "%s; it was begun again %u times without coming further",
                                    error->message, KILLED_MAX));
        return;
    }
    mac_autofree char *reason =
        mac_asprintf("%s; it is begun again (%u of %u)", error->message, job->killed, KILLED_MAX);
    wait_to_begin(manager, job->killed, reason);
}

/* A worker has ended because somebody wanted it to, or the service ends. True: nothing more is to be done. */
bool upgrader_job_was_wanted(upgrader_manager *manager) {
    upgrader_job *job = &manager->job;
    if (manager->stopping && (!job->wish || job->pausing)) {
        upgrader_manager_worker_ended(manager);
        return true;
    }
    if (!job->wish)
        return false;
    if (job->pausing) {
        free(mac_take(&job->wish));
        job->pausing = false;
        set_progress(manager, NULL, "paused");
        return true;
    }
    mac_autofree char *author = mac_take(&job->wish);
    mac_autoptr(mac_error) error = mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "cancelled by %s", author);
    finish(manager, error, author);
    if (manager->stopping)
        upgrader_manager_worker_ended(manager);
    return true;
}

/* ---- activated ---- */

static void on_activation_config(upgrader_manager *manager, uint64_t generation, const mac_error *error, void *data) {
    (void)data;
    manager->job.asking = false;
    if (!manager->job.record || upgrader_job_was_wanted(manager))
        return;
    if (error) { /* a change of the configuration, for instance, that is about to end */
        fail_or_wait(manager, error);
        return;
    }
    Macula__V1__UpgradeJobRecord *record = manager->job.record;
    mac_error *obstacle = upgrader_trial_activate(manager, record, generation);
    if (obstacle) {
        fail(manager, obstacle);
        return;
    }
    bool reboot = record->request->reboot;
    mac_autofree char *author = mac_strdup(record->request->author);
    mac_autofree char *reason = mac_asprintf("upgrade to version %s", record->found->version);
    mac_log_info("the next start tries a new version", "version=%s", record->found->version);
    record->has_step = true;
    record->step = STEP(activated);
    finish(manager, NULL, NULL);
    if (reboot)
        upgrader_trial_reboot(manager, reason, author);
}

/* What the policy began is tried only while the window is open and the node well: asked again when that is long ago. */
static bool has_become_late(upgrader_manager *manager) {
    const Macula__V1__UpgradeJobRecord *record = manager->job.record;
    return record->automatic && (!upgrader_may_apply_now(manager) || mac_unix_ms() - record->job->started_ms > LATE_MS);
}

static void activate(upgrader_manager *manager) {
    bool late = has_become_late(manager);
    if (late)
        mac_log_info("the new version is written; it is tried when the window is open", "version=%s",
                     manager->job.record->found->version);
    if (late || manager->job.record->prefetch) {
        int result = upgrader_store_put(manager->store, UPGRADER_READY, &manager->job.record->found->base);
        mac_autoptr(mac_error) error =
            result < 0 ? mac_error_from_errno(result, "what was fetched cannot be recorded") : NULL;
        finish(manager, error, NULL);
        return;
    }
    manager->job.asking = true;
    upgrader_call_config(manager, on_activation_config, NULL);
}

/* ---- writing ---- */

/* Something has been fetched: neither failures nor interruptions are in a row any more. What is only read back, once
 * more, counts when it comes further than before. */
static void came_on(upgrader_manager *manager) {
    Macula__V1__UpgradeJobRecord *record = manager->job.record;
    manager->job.attempts = 0;
    if (record->begun > 1) {
        record->begun = 1;
        (void)!upgrader_job_persist(manager); /* then it counts on */
    }
}

/* Further than any worker of this job before, not only since this one began: one that is killed fetches again what was
 * not durable yet, and could do that for ever. */
static void came_further(upgrader_manager *manager, unsigned percent) {
    manager->job.furthest = percent;
    manager->job.killed = 0;
}

static void on_progress(mac_worker *worker, const Macula__V1__Progress *progress, void *data) {
    (void)worker;
    upgrader_manager *manager = data;
    bool further = progress->percent > manager->job.furthest;
    if (progress->bytes > 0 && (further || progress->percent < UPGRADER_FETCHED_PERCENT))
        came_on(manager);
    if (further)
        came_further(manager, progress->percent);
    set_progress(manager, progress, NULL);
}

/* For the next plan. What was little says more about the disk than about the network. */
static void remember_pace(upgrader_manager *manager) {
    const Macula__V1__UpgradeJobRecord *record = manager->job.record;
    const Macula__V1__UpgradeWritten *written = record->written;
    bool directory = record->request->from && *record->request->from;
    if (directory || written->fetched < PACE_LEAST || !written->milliseconds)
        return;
    uint64_t pace = written->fetched * 1000 / written->milliseconds;
    (void)!upgrader_store_set_number(manager->store, UPGRADER_PACE, pace); /* then a plan goes by an older one */
}

static void on_written(mac_worker *worker, const ProtobufCMessage *output, const mac_error *error, void *data) {
    upgrader_manager *manager = data;
    upgrader_job *job = &manager->job;
    job->worker = NULL;
    if (upgrader_job_was_wanted(manager))
        return;
    if (error && mac_worker_killed_by(worker)) {
        begin_again(manager, error);
        return;
    }
    if (error) {
        fail_or_wait(manager, error);
        return;
    }
    job->record->written = (Macula__V1__UpgradeWritten *)mac_codec_copy(output);
    remember_pace(manager);
    MAC_FAULT_POINT("upgrader.write.verified");
    if (!set_step(manager, STEP(prepared)))
        return;
    MAC_FAULT_POINT("upgrader.step.prepared");
    activate(manager);
}

static Macula__V1__UpgradeFound *ready(upgrader_manager *manager) {
    return (Macula__V1__UpgradeFound *)upgrader_store_get(manager->store, UPGRADER_READY,
                                                          &macula__v1__upgrade_found__descriptor);
}

/* What was fetched ahead is about to be overwritten, unless it is the same. */
static int forget_ready_but(upgrader_manager *manager, const Macula__V1__UpgradeFound *found) {
    Macula__V1__UpgradeFound *other = ready(manager);
    bool same = other && mac_streq(other->sha256, found->sha256);
    if (other)
        macula__v1__upgrade_found__free_unpacked(other, NULL);
    return same ? 0 : upgrader_store_put(manager->store, UPGRADER_READY, NULL);
}

static void write_slot(upgrader_manager *manager) {
    upgrader_job *job = &manager->job;
    Macula__V1__UpgradeJobRecord *record = job->record;
    upgrader_autoslots slots = {.running = '-'};
    mac_error *error = upgrader_slots_read(manager->root, &slots);
    if (!error && slots.on_trial)
        error = mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL,
                              "version %s is on trial: the version before it must stay until it is confirmed",
                              slots.version);
    if (!error)
        error = upgrader_stay_obstacle(manager, &slots);
    if (!error && slots.passed_over)
        error = upgrader_stay(manager, &slots, record->request->author);
    if (!error)
        error = upgrader_trial_withdraw(manager, &slots);
    int forgotten = error ? 0 : forget_ready_but(manager, record->found);
    if (forgotten < 0)
        error = mac_error_from_errno(forgotten, "the state of the slot cannot be recorded");
    MAC_FAULT_POINT("upgrader.slot.before-empty");
    if (!error)
        error = upgrader_slots_empty(manager->root, slots.other);
    MAC_FAULT_POINT("upgrader.slot.emptied");
    if (error) {
        fail(manager, error);
        return;
    }
    upgrader_write write;
    upgrader_write_fill(manager, &slots, record->found, record->request->full, &write);
    int result = mac_worker_start(&(mac_worker_options){.loop = manager->loop,
                                                        .program = UPGRADER_WORKER,
                                                        .job = "write",
                                                        .input = &write.message.base,
                                                        .output = &macula__v1__upgrade_written__descriptor,
                                                        .on_progress = on_progress,
                                                        .on_end = on_written,
                                                        .data = manager},
                                  &job->worker);
    upgrader_write_deinit(&write);
    if (result < 0)
        fail(manager, mac_error_from_errno(result, UPGRADER_WORKER " cannot be started"));
}

/* ---- finding ---- */

/* Whether its signature was checked, with the keys that are trusted now. */
static bool is_trusted_now(const upgrader_manager *manager, const Macula__V1__UpgradeFound *found) {
    mac_autofree char *trust = upgrader_find_trust(manager);
    return !trust || (found->signed_by && mac_streq(trust, found->trust));
}

/* Where the source cannot be asked: what was fetched ahead, whose signature was checked then. */
static Macula__V1__UpgradeFound *fetched_ahead(upgrader_manager *manager,
                                               const Macula__V1__UpgradeApplyRequest *request) {
    Macula__V1__UpgradeFound *found = ready(manager);
    bool other = request->version && *request->version && found && !mac_streq(request->version, found->version);
    if (!found || (!other && is_trusted_now(manager, found)))
        return found;
    if (!other)
        mac_log_warning("what was fetched ahead waits for its source: the keys or verify_signature were changed since",
                        "version=%s", found->version);
    macula__v1__upgrade_found__free_unpacked(found, NULL);
    return NULL;
}

static void on_found(upgrader_manager *manager, const Macula__V1__UpgradeFound *found, const mac_error *error,
                     void *data) {
    (void)data;
    upgrader_job *job = &manager->job;
    bool killed = mac_worker_killed_by(mac_take(&job->worker)) != 0;
    if (upgrader_job_was_wanted(manager))
        return;
    if (killed) {
        begin_again(manager, error);
        return;
    }
    const Macula__V1__UpgradeApplyRequest *request = job->record->request;
    bool offline = error && may_pass(error) && !(request->from && *request->from);
    Macula__V1__UpgradeFound *taken = offline ? fetched_ahead(manager, request)
                                      : error ? NULL
                                              : (Macula__V1__UpgradeFound *)mac_codec_copy(&found->base);
    mac_autoptr(mac_error) obstacle = taken ? upgrader_find_judge(manager, taken, request) : mac_error_copy(error);
    if (!taken || obstacle) {
        if (taken)
            macula__v1__upgrade_found__free_unpacked(taken, NULL);
        fail_or_wait(manager, obstacle);
        return;
    }
    if (job->record->found)
        macula__v1__upgrade_found__free_unpacked(job->record->found, NULL);
    job->record->found = taken;
    if (!set_step(manager, STEP(writing)))
        return;
    MAC_FAULT_POINT("upgrader.step.writing");
    write_slot(manager);
}

void upgrader_job_begin(upgrader_manager *manager) {
    upgrader_job *job = &manager->job;
    Macula__V1__UpgradeJobRecord *record = job->record;
    record->has_step = true;
    record->step = STEP(finding);
    set_progress(manager, NULL, "looking at the release");
    mac_error *error = upgrader_find(manager, record->request->from, on_found, NULL, &job->worker);
    if (error)
        fail(manager, error);
}

/* ---- a start of the upgrader, and its end ---- */

void upgrader_job_recover(upgrader_manager *manager) {
    Macula__V1__UpgradeJobRecord *record = upgrader_store_last_job(manager->store);
    bool open = record && record->job && record->request &&
                (record->job->state == STATE(running) || record->job->state == STATE(paused));
    if (!open) {
        if (record)
            macula__v1__upgrade_job_record__free_unpacked(record, NULL);
        return;
    }
    manager->job.record = record;
    if (record->job->state == STATE(paused))
        return;
    const Macula__V1__UpgradeTrialRecord *trial = manager->trial.record;
    if (trial && mac_streq(trial->job, record->job->id)) {
        /* The boot state was written; only the end of the job was not. */
        record->step = STEP(activated);
        finish(manager, NULL, NULL);
        return;
    }
    record->has_begun = true;
    if (++record->begun > BEGUN_MAX) {
        fail(manager, mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                                    "it was interrupted %u times without getting anywhere", BEGUN_MAX));
        return;
    }
    int result = upgrader_job_persist(manager);
    if (result < 0)
        fail(manager, mac_error_from_errno(result, "the step of the upgrade cannot be recorded"));
}

/* What was under way goes on once others can be asked. */
void upgrader_job_connected(upgrader_manager *manager) {
    const upgrader_job *job = &manager->job;
    if (job->record && job->record->job->state == STATE(running) && !job->worker && !job->asking &&
        !uv_is_active((const uv_handle_t *)&job->retry)) {
        mac_log_info("an upgrade goes on", "job=" MAC_LOG_Q("%s") " begun=%u", job->record->job->id,
                     job->record->begun);
        upgrader_job_begin(manager);
    }
}

void upgrader_job_stop(upgrader_manager *manager) {
    uv_timer_stop(&manager->job.retry);
    if (manager->job.worker)
        mac_worker_cancel(manager->job.worker);
}

void upgrader_job_deinit(upgrader_job *job) {
    if (job->record)
        macula__v1__upgrade_job_record__free_unpacked(job->record, NULL);
    free(job->wish);
}
