#include "upgrader-write.h"

#include <stdio.h>
#include <string.h>

#include "macula/v1/upgrade-work.pb-c.h"
#include "release/mac-release.h"
#include "upgrader-delta.h"
#include "upgrader-target.h"
#include "upgrader-transfer.h"
#include "upgrader-verify.h"

#define REJECTED MACULA__V1__ERROR_CODE__REJECTED
#define RESTARTS 3u /* of a server that sends no parts, in one try */

typedef Macula__V1__UpgradeWriteRequest write_request;

typedef struct work {
    mac_job *job;
    const write_request *request;
    const Macula__V1__UpgradeFound *found;
    upgrader_target *target;
    upgrader_transfer transfer;
    upgrader_readback *readback; /* NULL: the slot was not written as one stream */
    uint64_t done;
    uint64_t reused;
    uint64_t fetch; /* by a delta */
    bool delta;
    unsigned restarts;   /* because a server sends no parts */
    size_t wrong_places; /* that had another image than was signed */
} work;

/* ---- progress ---- */

static unsigned percent_of(const work *w, uint64_t done) {
    unsigned percent = (unsigned)(done * UPGRADER_FETCHED_PERCENT / w->found->size);
    return percent ? percent : 1;
}

/* The bytes are those that are fetched: copying what is here already brings an upgrade no nearer to a server that is
 * away. */
static void on_assembled(uint64_t done, void *data) {
    work *w = data;
    mac_job_progress(w->job, percent_of(w, done), w->transfer.fetched, w->fetch, "fetching what is not here");
}

static void on_verified(uint64_t done, void *data) {
    work *w = data;
    unsigned percent = UPGRADER_FETCHED_PERCENT + (unsigned)(done * (100 - UPGRADER_FETCHED_PERCENT) / w->found->size);
    mac_job_progress(w->job, percent, done, w->found->size, "reading back");
}

/* ---- the whole stream ---- */

static bool put(const void *data, size_t length, void *user) {
    work *w = user;
    w->done += length;
    mac_job_progress(w->job, percent_of(w, w->done), w->done, w->found->size, "fetching");
    return upgrader_target_put(w->target, data, length);
}

static void on_written(uint64_t offset, void *data) {
    upgrader_readback_offer(data, offset);
}

/* Fetches from where an earlier attempt has come to, while what is written is read back. Every byte, of the data and of
 * the tree, is covered by the root hash: no digest of the stream is needed besides. */
static mac_error *stream(work *w) {
    uint64_t offset = upgrader_target_mark(w->target);
    w->done = w->reused = offset;
    w->readback = upgrader_readback_new(w->target, w->found);
    upgrader_readback_offer(w->readback, offset);
    upgrader_target_watch(w->target, on_written, w->readback);
    upgrader_target_begin(w->target, offset);
    mac_error *error =
        offset < w->found->size ? upgrader_transfer_part(&w->transfer, offset, w->found->size - offset, put, w) : NULL;
    mac_error *written = upgrader_target_end(w->target);
    upgrader_target_watch(w->target, NULL, NULL);
    /* What keeps the slot from being written comes first: the transfer only noticed it. */
    if (written) {
        mac_error_free(error);
        return written;
    }
    if (!error)
        upgrader_readback_offer(w->readback, w->found->size);
    return error;
}

/* ---- only what is not here ---- */

static mac_error *assemble(work *w, const upgrader_delta *delta) {
    w->delta = true;
    w->reused = delta->reuse;
    w->fetch = delta->fetch;
    upgrader_target_begin(w->target, 0);
    mac_error *error = upgrader_delta_run(delta, w->request, w->target, &w->transfer, on_assembled, w);
    mac_error *written = upgrader_target_end(w->target);
    if (written) {
        mac_error_free(error);
        return written;
    }
    return error;
}

/* Whatever was wrong with the parts, the whole can still be right. Not so when the server went away while they came: it
 * would fail, too, and more is fetched then. */
static bool ends_all(const work *w, const mac_error *error, bool planned) {
    bool away = error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE || error->code == MACULA__V1__ERROR_CODE__TIMED_OUT;
    return planned && (away || error->code == MACULA__V1__ERROR_CODE__CANCELLED || upgrader_target_broken(w->target));
}

/* *ret_done: the data is there, without its tree. */
static mac_error *try_delta(work *w, bool *ret_done) {
    upgrader_delta delta = {.fetch = 0};
    bool useful = false;
    if (w->request->full || !w->found->n_index_places)
        return NULL;
    mac_job_progress(w->job, 1, 0, w->found->size, "looking at what is here already");
    mac_error *error = upgrader_delta_plan(w->request, w->target, &delta, &useful);
    bool planned = !error;
    if (planned && useful)
        error = assemble(w, &delta);
    *ret_done = !error && useful;
    upgrader_delta_deinit(&delta);
    if (error && !ends_all(w, error, planned)) {
        upgrader_target_unmark(w->target); /* as far as it goes it may be wrong */
        mac_error_free(error);
        error = NULL;
    }
    return error;
}

/* ---- the job ---- */

static mac_error *fetch_and_verify(work *w) {
    bool assembled = false;
    w->done = w->reused = 0;
    w->delta = false;
    uint64_t mark = upgrader_target_mark(w->target);
    if (!mark) /* another image's, which is about to be overwritten */
        upgrader_target_unmark(w->target);
    mac_error *error = upgrader_target_clear(w->target);
    /* All of it is there: a prefetch, or a crash after the last byte. */
    bool complete = !error && mark == w->found->size;
    if (complete)
        w->reused = w->found->size;
    if (!error && !complete)
        error = try_delta(w, &assembled);
    if (!error && !complete && !assembled)
        error = stream(w);
    if (!error)
        error = upgrader_verify(w->target, w->found, assembled, w->readback, on_verified, w);
    upgrader_readback_free(mac_take(&w->readback));
    return error;
}

/* Once more, all of it. */
static mac_error *write_anew(work *w) {
    write_request whole = *w->request;
    const write_request *before = w->request;
    upgrader_target_unmark(w->target);
    whole.has_full = true;
    whole.full = true;
    w->request = &whole;
    mac_error *error = fetch_and_verify(w);
    w->request = before;
    return error;
}

/* Whether to begin anew: from the same place if it cannot go on from the middle, or if something that was here already
 * was to blame; else from the next one. */
static bool begins_anew(work *w, const mac_error *error) {
    if (error->code == MACULA__V1__ERROR_CODE__UNSUPPORTED)
        return w->restarts++ < RESTARTS;
    if (error->code != REJECTED)
        return false;
    if (w->reused > 0)
        return true;
    w->transfer.current = (w->transfer.current + 1) % w->transfer.count;
    return ++w->wrong_places < w->transfer.count;
}

static mac_error *write_slot(work *w) {
    mac_error *error = fetch_and_verify(w);
    while (error && begins_anew(w, error)) {
        mac_error_free(error);
        error = write_anew(w);
    }
    if (error && (error->code == REJECTED || error->code == MACULA__V1__ERROR_CODE__UNSUPPORTED))
        upgrader_target_unmark(w->target); /* none of it is worth keeping */
    if (error)
        return error;
    error = upgrader_target_seal(w->target);
    if (!error)
        upgrader_target_mark_complete(w->target);
    return error;
}

static void work_init(work *w, mac_job *job, const ProtobufCMessage *input) {
    w->job = job;
    w->request = (const write_request *)input;
    w->found = w->request->found;
    w->transfer = (upgrader_transfer){.places = w->found->places,
                                      .count = w->found->n_places,
                                      .ca_file = w->request->ca_file,
                                      .bandwidth = w->request->bandwidth,
                                      .total = w->found->size};
}

mac_error *upgrader_work_write(mac_job *job, const ProtobufCMessage *input) {
    work w = {.job = job};
    uint64_t started = mac_now_ms();
    work_init(&w, job, input);
    mac_error *error = upgrader_target_open(w.request, false, &w.target);
    if (!error)
        error = write_slot(&w);
    if (!error) {
        Macula__V1__UpgradeWritten written = MACULA__V1__UPGRADE_WRITTEN__INIT;
        written.has_fetched = written.has_reused = written.has_requests = written.has_delta = true;
        written.fetched = w.transfer.fetched;
        written.reused = w.reused;
        written.requests = w.transfer.requests;
        written.delta = w.delta;
        written.has_slot_size = written.has_milliseconds = true;
        written.slot_size = upgrader_target_capacity(w.target);
        written.milliseconds = (uint32_t)(mac_now_ms() - started);
        mac_job_progress(job, 100, w.found->size, w.found->size, "written and verified");
        mac_job_output(job, &written.base);
    }
    upgrader_target_close(w.target);
    return error;
}

mac_error *upgrader_work_plan(mac_job *job, const ProtobufCMessage *input) {
    work w = {.job = job};
    upgrader_delta delta = {.fetch = 0};
    bool useful = false;
    work_init(&w, job, input);
    mac_error *error = upgrader_target_open(w.request, true, &w.target);
    if (error)
        return error;
    Macula__V1__UpgradeWritten plan = MACULA__V1__UPGRADE_WRITTEN__INIT;
    plan.has_fetched = plan.has_reused = plan.has_requests = plan.has_delta = plan.has_slot_size = true;
    plan.slot_size = upgrader_target_capacity(w.target);
    uint64_t mark = upgrader_target_mark(w.target);
    if (mark < w.found->size && !w.request->full && w.found->n_index_places)
        mac_error_free(upgrader_delta_plan(w.request, w.target, &delta, &useful));
    plan.delta = useful;
    plan.fetched = useful ? delta.fetch : w.found->size - mark;
    plan.reused = useful ? delta.reuse : mark;
    plan.requests = useful ? delta.runs : mark < w.found->size;
    mac_job_output(job, &plan.base);
    upgrader_delta_deinit(&delta);
    upgrader_target_close(w.target);
    return NULL;
}
