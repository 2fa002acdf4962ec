/* Slow, privileged or disk work in a process of its own: straight-line blocking C that reports over a pipe.
 *
 * The service starts `program` (an executable of the suite, in the same directory as the service) with a job name; the
 * job's input is a message on its standard input, the worker writes frames — progress, then one outcome — to
 * descriptor 3. The job is over only when both the pipe has ended and the process has exited; a worker that dies
 * without an outcome fails with what the kernel said. Cancelling sends SIGTERM, then SIGKILL after two seconds. */
#ifndef MAC_WORKER_H
#define MAC_WORKER_H

#include <uv.h>

#include "base/mac-problem.h"
#include "macula/v1/job.pb-c.h"

#define MAC_WORKER_FRAME_MAX (4u << 20) /* bytes of one message; also of the input */
#define MAC_WORKER_KILL_MS 2000
#define MAC_WORKER_REPORT_FD 3

/* ---- in the service: library mac_flow ---- */
typedef struct mac_worker mac_worker;

typedef struct mac_worker_options {
    uv_loop_t *loop;
    const char *program; /* host path, or a name to be found beside the running executable (or in MACULA_LIBEXEC) */
    const char *job;
    const ProtobufCMessage *input;            /* copied; may be NULL */
    const ProtobufCMessageDescriptor *output; /* type of the outcome; may be NULL */
    unsigned timeout_ms;                      /* 0: none */
    void (*on_progress)(mac_worker *worker, const Macula__V1__Progress *progress, void *data); /* may be NULL */
    /* Exactly once; then the worker is freed. error NULL: done, output valid during the call (NULL if there is none).
     */
    void (*on_end)(mac_worker *worker, const ProtobufCMessage *output, const mac_error *error, void *data);
    void *data;
} mac_worker_options;

/* 0, or a negative errno (on_end does not come): -ENOENT no such program, -EMSGSIZE the input is too large. */
int mac_worker_start(const mac_worker_options *options, mac_worker **ret_worker) MAC_MUST_USE;
/* on_end still comes, with CANCELLED; not after on_end. */
void mac_worker_cancel(mac_worker *worker);

/* During on_end: the signal that ended the worker before it said how its job went, and that nobody here had sent
 * because of a cancel, a timeout or nonsense; such as SIGKILL when memory was out. 0: there was none. */
int mac_worker_killed_by(const mac_worker *worker);

/* ---- in the worker program: library mac_worker_main, which needs no loop ---- */
typedef struct mac_job mac_job;
typedef struct mac_job_entry {
    const char *name;
    const ProtobufCMessageDescriptor *input;
    /* Returns NULL and, with mac_job_output, an outcome; or the error (owned by the caller). */
    mac_error *(*body)(mac_job *job, const ProtobufCMessage *input);
} mac_job_entry;

/* The worker's main: runs the job named by argv[1] of a table that ends with a NULL name. The worker gets SIGTERM when
 * the service dies. Returns the exit code: 0 done, 1 the job failed (and said why), 2 not started as a worker. */
int mac_worker_main(int argc, char **argv, const mac_job_entry *entries);
/* May be called as often as is convenient: it is sent when percent or message changes, otherwise five times a second.
 * percent of 0 and a total: computed. message may be NULL. */
void mac_job_progress(mac_job *job, unsigned percent, uint64_t bytes, uint64_t total, const char *message);
/* Copied; the last one counts. */
void mac_job_output(mac_job *job, const ProtobufCMessage *output);

#endif
