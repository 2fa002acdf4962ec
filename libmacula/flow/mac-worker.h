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

/* ---- in the service ---- */
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

int mac_worker_start(const mac_worker_options *options, mac_worker **ret_worker) MAC_MUST_USE;
/* on_end still comes, with CANCELLED. */
void mac_worker_cancel(mac_worker *worker);

/* ---- in the worker program ---- */
typedef struct mac_job mac_job;
typedef struct mac_job_entry {
    const char *name;
    const ProtobufCMessageDescriptor *input;
    /* Returns NULL and, with mac_job_output, an outcome; or the error (owned by the caller). */
    mac_error *(*body)(mac_job *job, const ProtobufCMessage *input);
} mac_job_entry;

/* The worker's main: runs the job named by argv[1] of a table that ends with a NULL name. */
int mac_worker_main(int argc, char **argv, const mac_job_entry *entries);
void mac_job_progress(mac_job *job, unsigned percent, uint64_t bytes, uint64_t total, const char *message);
void mac_job_output(mac_job *job, const ProtobufCMessage *output);

#endif
