#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "flow/mac-worker-frame.h"
#include "flow/mac-worker.h"

#define PROGRESS_INTERVAL_MS 200

struct mac_job {
    uint8_t *output; /* packed */
    size_t output_length;
    uint64_t started_ms, sent_ms;
    bool sent;
    unsigned percent;
    char *message;
};

/* The service reads as long as it lives: if it cannot be written to, nobody wants this work any more. */
static void write_or_die(const void *data, size_t length) {
    const char *p = data;
    while (length > 0) {
        ssize_t n = write(MAC_WORKER_REPORT_FD, p, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            _exit(1);
        p += n;
        length -= (size_t)n;
    }
}

static void send_frame(mac_worker_frame type, const uint8_t *payload, size_t length) {
    mac_autobuffer frame = {0};
    uint8_t header[MAC_WORKER_HEADER];
    mac_worker_header_write(header, length, type);
    mac_buffer_append(&frame, header, sizeof header);
    mac_buffer_append(&frame, payload, length);
    write_or_die(frame.data, frame.length);
}

static uint8_t *pack(const ProtobufCMessage *message, size_t *ret_length) {
    *ret_length = protobuf_c_message_get_packed_size(message);
    uint8_t *data = mac_malloc(*ret_length);
    protobuf_c_message_pack(message, data);
    return data;
}

static void send_message(mac_worker_frame type, const ProtobufCMessage *message) {
    size_t length;
    mac_autofree uint8_t *data = pack(message, &length);
    send_frame(type, data, length);
}

static int send_error(const mac_error *error) {
    Macula__V1__Error *wire = mac_error_to_wire(error);
    send_message(MAC_WORKER_ERROR, &wire->base);
    macula__v1__error__free_unpacked(wire, NULL);
    return 1;
}

/* Seconds until the end if it goes on as it went, or 0 when that cannot be said yet. */
static uint32_t estimate(uint64_t elapsed_ms, uint64_t done, uint64_t total) {
    if (done == 0 || done >= total || elapsed_ms < 1000)
        return 0;
    double left_ms = (double)elapsed_ms * (double)(total - done) / (double)done;
    return left_ms < 1000.0 * UINT32_MAX ? (uint32_t)(left_ms / 1000) + 1 : 0;
}

void mac_job_progress(mac_job *job, unsigned percent, uint64_t bytes, uint64_t total, const char *message) {
    uint64_t now = mac_now_ms();
    if (percent == 0 && total > 0)
        percent = (unsigned)((double)bytes * 100 / (double)total);
    if (percent > 100)
        percent = 100;
    bool changed = !job->sent || percent != job->percent || !mac_streq(message, job->message);
    if (!changed && now - job->sent_ms < PROGRESS_INTERVAL_MS)
        return;
    Macula__V1__Progress progress = MACULA__V1__PROGRESS__INIT;
    progress.has_percent = true;
    progress.percent = percent;
    progress.message = (char *)message;
    progress.has_bytes = bytes > 0;
    progress.bytes = bytes;
    progress.has_total = total > 0;
    progress.total = total;
    progress.eta_s =
        total ? estimate(now - job->started_ms, bytes, total) : estimate(now - job->started_ms, percent, 100);
    progress.has_eta_s = progress.eta_s > 0;
    send_message(MAC_WORKER_PROGRESS, &progress.base);
    if (!mac_streq(message, job->message)) {
        free(job->message);
        job->message = mac_strdup(message);
    }
    job->sent = true;
    job->sent_ms = now;
    job->percent = percent;
}

void mac_job_output(mac_job *job, const ProtobufCMessage *output) {
    free(job->output);
    job->output = pack(output, &job->output_length);
}

/* Everything on standard input. NULL, or why not. */
static mac_error *read_input(mac_buffer *ret_input) {
    char chunk[4096];
    for (;;) {
        ssize_t n = read(STDIN_FILENO, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mac_error_from_errno(-errno, "the job's input cannot be read");
        if (n == 0)
            return NULL;
        mac_buffer_append(ret_input, chunk, (size_t)n);
        if (ret_input->length > MAC_WORKER_FRAME_MAX)
            return mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL, "the job's input is larger than %u bytes",
                                 MAC_WORKER_FRAME_MAX);
    }
}

static mac_error *run_job(const mac_job_entry *entry, mac_job *job) {
    if (!entry->input)
        return entry->body(job, NULL);
    mac_autobuffer bytes = {0};
    mac_error *error = read_input(&bytes);
    if (error)
        return error;
    ProtobufCMessage *input = protobuf_c_message_unpack(entry->input, NULL, bytes.length,
                                                        bytes.data ? (uint8_t *)bytes.data : (uint8_t[1]){0});
    if (!input)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "the input of job %s is no %s", entry->name,
                             entry->input->name);
    error = entry->body(job, input);
    protobuf_c_message_free_unpacked(input, NULL);
    return error;
}

static const mac_job_entry *find_entry(const mac_job_entry *entries, const char *name) {
    for (; entries->name; entries++)
        if (mac_streq(entries->name, name))
            return entries;
    return NULL;
}

/* To be ended when the service dies, also if it did so just now. */
static void follow_the_service(void) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    struct pollfd reader = {.fd = MAC_WORKER_REPORT_FD};
    if (poll(&reader, 1, 0) > 0 && (reader.revents & POLLERR))
        _exit(1);
}

int mac_worker_main(int argc, char **argv, const mac_job_entry *entries) {
    if (argc != 2 || fcntl(MAC_WORKER_REPORT_FD, F_SETFD, FD_CLOEXEC) < 0) {
        fprintf(stderr,
                "%s: expected one job name and a pipe on descriptor %d; this program is started by its service\n",
                argc > 0 ? argv[0] : "worker", MAC_WORKER_REPORT_FD);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    follow_the_service();
    const mac_job_entry *entry = find_entry(entries, argv[1]);
    if (!entry) {
        mac_autoptr(mac_error) unknown =
            mac_error_new(MACULA__V1__ERROR_CODE__UNSUPPORTED, NULL, "%s knows no job '%s'", argv[0], argv[1]);
        return send_error(unknown);
    }
    mac_job job = {.started_ms = mac_now_ms()};
    mac_autoptr(mac_error) error = run_job(entry, &job);
    if (!error && job.output_length > MAC_WORKER_FRAME_MAX)
        error = mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL, "the outcome of job %s is larger than %u bytes",
                              entry->name, MAC_WORKER_FRAME_MAX);
    int code = 0;
    if (error)
        code = send_error(error);
    else
        send_frame(MAC_WORKER_OUTCOME, job.output, job.output_length);
    free(job.output);
    free(job.message);
    return code;
}
