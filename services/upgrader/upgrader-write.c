#include "upgrader-write.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "macula/v1/upgrade-work.pb-c.h"
#include "release/mac-release.h"
#include "upgrader-delta.h"
#include "upgrader-target.h"
#include "upgrader-transfer.h"
#include "upgrader-verify.h"

#define REJECTED MACULA__V1__ERROR_CODE__REJECTED
#define VERIFY_SHARE 20u /* percent of the progress that reading back stands for */

typedef Macula__V1__UpgradeWriteRequest write_request;

typedef struct work {
    mac_job *job;
    const write_request *request;
    const Macula__V1__UpgradeFound *found;
    upgrader_target *target;
    upgrader_transfer transfer;
    EVP_MD_CTX *digest;
    uint64_t done;
    uint64_t reused;
    bool delta;
} work;

/* ---- progress ---- */

static void report(work *w, uint64_t done, const char *what) {
    unsigned percent = (unsigned)(done * (100 - VERIFY_SHARE) / w->found->size);
    mac_job_progress(w->job, percent ? percent : 1, done, w->found->size, what);
}

static void on_assembled(uint64_t done, void *data) {
    report(data, done, "fetching what is not here");
}

static void on_verified(uint64_t done, void *data) {
    work *w = data;
    unsigned percent = 100 - VERIFY_SHARE + (unsigned)(done * VERIFY_SHARE / w->found->size);
    mac_job_progress(w->job, percent, done, w->found->size, "reading back");
}

/* ---- the whole stream ---- */

static bool put(const void *data, size_t length, void *user) {
    work *w = user;
    EVP_DigestUpdate(w->digest, data, length);
    w->done += length;
    report(w, w->done, "fetching");
    return upgrader_target_put(w->target, data, length);
}

/* The digest goes on where the stream goes on: what is on the disk so far is read. */
static mac_error *digest_earlier(work *w, uint64_t offset) {
    mac_autofree uint8_t *piece = upgrader_aligned(1u << 20);
    for (uint64_t at = 0; at < offset;) {
        size_t length = offset - at < (1u << 20) ? (size_t)(offset - at) : 1u << 20;
        mac_error *error = upgrader_target_read(w->target, at, piece, length);
        if (error)
            return error;
        EVP_DigestUpdate(w->digest, piece, length);
        at += length;
    }
    w->done = w->reused = offset;
    return NULL;
}

static mac_error *compare_digest(const work *w) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length;
    char hex[65];
    EVP_DigestFinal_ex(w->digest, digest, &length);
    for (unsigned i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return mac_streq(hex, w->found->sha256)
               ? NULL
               : mac_error_new(REJECTED, NULL,
                               "the image of version %s is not the one that was signed: its SHA-256 is %s, %s expected",
                               w->found->version, hex, w->found->sha256);
}

static mac_error *stream(work *w) {
    uint64_t offset = upgrader_target_mark(w->target);
    EVP_DigestInit_ex(w->digest, EVP_sha256(), NULL);
    mac_error *error = digest_earlier(w, offset);
    if (error)
        return error;
    upgrader_target_begin(w->target, offset, true);
    error =
        offset < w->found->size ? upgrader_transfer_part(&w->transfer, offset, w->found->size - offset, put, w) : NULL;
    mac_error *written = upgrader_target_end(w->target);
    /* What keeps the slot from being written comes first: the transfer only noticed it. */
    if (written) {
        mac_error_free(error);
        return written;
    }
    return error ? error : compare_digest(w);
}

/* ---- only what is not here ---- */

static mac_error *assemble(work *w, const upgrader_delta *delta) {
    w->delta = true;
    w->reused = delta->reuse;
    upgrader_target_begin(w->target, 0, true);
    mac_error *error = upgrader_delta_run(delta, w->request, w->target, &w->transfer, on_assembled, w);
    mac_error *written = upgrader_target_end(w->target);
    if (written) {
        mac_error_free(error);
        return written;
    }
    return error;
}

/* *ret_done: the data is there, without its tree. */
static mac_error *try_delta(work *w, bool *ret_done) {
    upgrader_delta delta = {.fetch = 0};
    bool useful = false;
    if (w->request->full || !w->found->n_index_places)
        return NULL;
    mac_job_progress(w->job, 1, 0, w->found->size, "looking at what is here already");
    mac_error *error = upgrader_delta_plan(w->request, w->target, &delta, &useful);
    if (!error && useful)
        error = assemble(w, &delta);
    *ret_done = !error && useful;
    upgrader_delta_deinit(&delta);
    if (error && error->code != MACULA__V1__ERROR_CODE__CANCELLED &&
        error->code != MACULA__V1__ERROR_CODE__UNAVAILABLE && error->code != MACULA__V1__ERROR_CODE__TIMED_OUT &&
        !strstr(error->message, "slot ")) {
        /* Whatever was wrong with the parts: the whole can still be right. */
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
        error = upgrader_verify(w->target, w->found, assembled, on_verified, w);
    return error;
}

static mac_error *write_slot(work *w) {
    mac_error *error = fetch_and_verify(w);
    bool began_earlier = w->reused > 0;
    if (error && error->code == REJECTED && began_earlier) {
        mac_error_free(error);
        upgrader_target_unmark(w->target);
        write_request whole = *w->request;
        whole.has_full = true;
        whole.full = true;
        const write_request *before = w->request;
        w->request = &whole;
        error = fetch_and_verify(w);
        w->request = before;
    }
    if (error && error->code == REJECTED)
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
    work w = {.digest = EVP_MD_CTX_new()};
    uint64_t started = mac_now_ms();
    work_init(&w, job, input);
    mac_error *error = upgrader_target_open(w.request, &w.target);
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
    EVP_MD_CTX_free(w.digest);
    return error;
}

mac_error *upgrader_work_plan(mac_job *job, const ProtobufCMessage *input) {
    work w = {.job = job};
    upgrader_delta delta = {.fetch = 0};
    bool useful = false;
    work_init(&w, job, input);
    mac_error *error = upgrader_target_open(w.request, &w.target);
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
