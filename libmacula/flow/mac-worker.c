#include "flow/mac-worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/mac-program.h"
#include "flow/mac-child.h"
#include "flow/mac-worker-frame.h"

struct mac_worker {
    mac_child child; /* first: see mac_child */
    const ProtobufCMessageDescriptor *output_type;
    void (*on_progress)(mac_worker *worker, const Macula__V1__Progress *progress, void *data);
    void (*on_end)(mac_worker *worker, const ProtobufCMessage *output, const mac_error *error, void *data);
    void *data;
    char *name; /* "image-worker (job write)", for messages */
    mac_buffer received;
    bool succeeded;  /* an outcome came */
    bool distrusted; /* it broke the rules: the rest is not read */
    ProtobufCMessage *output;
    mac_error *error; /* the worker's own, or what it did wrong */
};

/* The worker cannot be trusted any more: nothing it says counts. */
static void misbehaved(mac_worker *worker, const char *what) {
    mac_error_free(worker->error);
    worker->error = mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                                  "%s was ended because it %s; this is a bug in it", worker->name, what);
    worker->distrusted = true;
    mac_child_kill(&worker->child);
}

static void handle_progress(mac_worker *worker, const uint8_t *payload, size_t length) {
    Macula__V1__Progress *progress = macula__v1__progress__unpack(NULL, length, payload);
    if (!progress) {
        misbehaved(worker, "wrote progress that cannot be decoded");
        return;
    }
    if (worker->on_progress)
        worker->on_progress(worker, progress, worker->data);
    macula__v1__progress__free_unpacked(progress, NULL);
}

static void handle_error(mac_worker *worker, const uint8_t *payload, size_t length) {
    Macula__V1__Error *wire = macula__v1__error__unpack(NULL, length, payload);
    if (!wire) {
        misbehaved(worker, "wrote an error that cannot be decoded");
        return;
    }
    worker->error = mac_error_from_wire(wire);
    macula__v1__error__free_unpacked(wire, NULL);
}

static void handle_outcome(mac_worker *worker, const uint8_t *payload, size_t length) {
    worker->succeeded = true;
    if (!worker->output_type)
        return;
    worker->output = protobuf_c_message_unpack(worker->output_type, NULL, length, payload);
    if (!worker->output)
        misbehaved(worker, "wrote an outcome that cannot be decoded");
}

static void handle_frame(mac_worker *worker, uint8_t type, const uint8_t *payload, size_t length) {
    if (worker->succeeded || worker->error) {
        misbehaved(worker, "wrote more after its outcome");
        return;
    }
    switch (type) {
    case MAC_WORKER_PROGRESS:
        handle_progress(worker, payload, length);
        break;
    case MAC_WORKER_OUTCOME:
        handle_outcome(worker, payload, length);
        break;
    case MAC_WORKER_ERROR:
        handle_error(worker, payload, length);
        break;
    default:
        misbehaved(worker, "wrote a frame of an unknown kind");
    }
}

static void on_child_data(mac_child *child, const char *data, size_t length) {
    mac_worker *worker = (mac_worker *)child;
    if (worker->distrusted)
        return;
    mac_buffer *received = &worker->received;
    mac_buffer_append(received, data, length);
    size_t used = 0;
    while (received->length - used >= MAC_WORKER_HEADER) {
        const uint8_t *frame = (const uint8_t *)received->data + used;
        size_t payload = mac_worker_header_length(frame);
        if (payload > MAC_WORKER_FRAME_MAX) {
            misbehaved(worker, "wrote a frame larger than allowed");
            return;
        }
        if (received->length - used - MAC_WORKER_HEADER < payload)
            break;
        handle_frame(worker, frame[4], frame + MAC_WORKER_HEADER, payload);
        if (worker->distrusted)
            return;
        used += MAC_WORKER_HEADER + payload;
    }
    received->length -= used;
    memmove(received->data, received->data + used, received->length);
}

static mac_error *death(const mac_worker *worker) {
    const mac_child *child = &worker->child;
    if (child->signal)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "%s was ended by signal %d (%s) %s%s",
                             worker->name, child->signal, strsignal(child->signal),
                             worker->succeeded ? "after its outcome" : "before its outcome",
                             child->signal == SIGKILL ? "; the kernel does this when memory is out (see its log)" : "");
    if (worker->succeeded)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "%s ended with exit code %d after its outcome",
                             worker->name, child->exit_code);
    return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "%s ended with exit code %d without an outcome%s",
                         worker->name, child->exit_code, worker->received.length ? ", in the middle of a frame" : "");
}

/* NULL when the job is done. */
static mac_error *verdict(mac_worker *worker) {
    const mac_child *child = &worker->child;
    if (child->cancelled)
        return mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "%s was cancelled", worker->name);
    if (child->timed_out)
        return mac_error_new(MACULA__V1__ERROR_CODE__TIMED_OUT, NULL, "%s was ended because it took longer than %.1f s",
                             worker->name, (double)(mac_now_ms() - child->started_ms) / 1000);
    if (worker->error)
        return mac_error_copy(worker->error);
    return worker->succeeded && child->exit_code == 0 ? NULL : death(worker);
}

static void on_child_end(mac_child *child) {
    mac_worker *worker = (mac_worker *)child;
    mac_autoptr(mac_error) error = verdict(worker);
    worker->on_end(worker, error ? NULL : worker->output, error, worker->data);
}

static void on_child_free(mac_child *child) {
    mac_worker *worker = (mac_worker *)child;
    mac_buffer_deinit(&worker->received);
    mac_error_free(worker->error);
    if (worker->output)
        protobuf_c_message_free_unpacked(worker->output, NULL);
    free(worker->name);
    free(worker);
}

static int pack_input(const ProtobufCMessage *input, uint8_t **ret_data, size_t *ret_length) {
    if (!input)
        return 0;
    size_t length = protobuf_c_message_get_packed_size(input);
    if (length > MAC_WORKER_FRAME_MAX)
        return -EMSGSIZE;
    uint8_t *data = mac_malloc(length);
    protobuf_c_message_pack(input, data);
    *ret_data = data;
    *ret_length = length;
    return 0;
}

int mac_worker_start(const mac_worker_options *options, mac_worker **ret_worker) {
    mac_autofree uint8_t *input = NULL;
    size_t length = 0;
    int r = pack_input(options->input, &input, &length);
    if (r < 0)
        return r;
    mac_worker *worker = mac_calloc(1, sizeof *worker);
    worker->child.on_data = on_child_data;
    worker->child.on_end = on_child_end;
    worker->child.on_free = on_child_free;
    worker->output_type = options->output;
    worker->on_progress = options->on_progress;
    worker->on_end = options->on_end;
    worker->data = options->data;
    worker->name = mac_asprintf("%s (job %s)", options->program, options->job);
    mac_autofree char *file = mac_program_find(options->program);
    if (!file)
        file = mac_strdup(options->program);
    r = mac_child_start(&worker->child, &(mac_child_options){.loop = options->loop,
                                                             .wiring = MAC_CHILD_REPORT,
                                                             .file = file,
                                                             .argv = (const char *const[]){file, options->job, NULL},
                                                             .input = input,
                                                             .input_length = length,
                                                             .timeout_ms = options->timeout_ms,
                                                             .kill_ms = MAC_WORKER_KILL_MS});
    if (input) /* may hold secrets */
        explicit_bzero(input, length);
    if (r >= 0)
        *ret_worker = worker;
    return r;
}

void mac_worker_cancel(mac_worker *worker) {
    mac_child_cancel(&worker->child);
}

int mac_worker_killed_by(const mac_worker *worker) {
    const mac_child *child = &worker->child;
    return child->cancelled || child->timed_out || worker->error ? 0 : child->signal;
}
