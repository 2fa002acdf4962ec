/* The worker of test-worker.c: jobs that succeed, fail and misbehave. Input and output are macula.v1.Job. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "flow/mac-worker.h"

static void put(const void *data, size_t length) {
    if (write(MAC_WORKER_REPORT_FD, data, length) != (ssize_t)length)
        _exit(9);
}

static mac_error *echo(mac_job *job, const ProtobufCMessage *input) {
    const Macula__V1__Job *in = (const Macula__V1__Job *)input;
    Macula__V1__Job out = MACULA__V1__JOB__INIT;
    out.id = in->id;
    out.what = (char *)"echoed";
    mac_job_progress(job, 0, 10, 40, "reading");
    mac_job_progress(job, 100, 40, 40, NULL);
    mac_job_output(job, &out.base);
    return NULL;
}

static mac_error *silent(mac_job *job, const ProtobufCMessage *input) {
    (void)job;
    return input ? mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "unexpected input") : NULL;
}

static mac_error *refuse(mac_job *job, const ProtobufCMessage *input) {
    (void)job;
    (void)input;
    mac_problems *problems = mac_problems_new();
    mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, "image.url", "no such image");
    mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, "image.size", "too large");
    return mac_error_from_problems(problems);
}

static mac_error *chatter(mac_job *job, const ProtobufCMessage *input) {
    (void)input;
    for (unsigned i = 0; i < 100000; i++)
        mac_job_progress(job, i / 1000, i, 100000, "counting");
    return NULL;
}

static mac_error *die(mac_job *job, const ProtobufCMessage *input) {
    (void)job;
    (void)input;
    raise(SIGKILL);
    return NULL;
}

static mac_error *leave(mac_job *job, const ProtobufCMessage *input) {
    (void)job;
    (void)input;
    _exit(0);
}

static mac_error *half(mac_job *job, const ProtobufCMessage *input) {
    (void)job;
    (void)input;
    put("\0\0\0\x09O12", 7);
    _exit(0);
}

static mac_error *garbage(mac_job *job, const ProtobufCMessage *input) {
    (void)job;
    (void)input;
    put("\0\0\0\x01?x", 6);
    pause();
    return NULL;
}

static mac_error *undecodable(mac_job *job, const ProtobufCMessage *input) {
    (void)job;
    (void)input;
    put("\0\0\0\x02O\xff\xff", 7);
    pause();
    return NULL;
}

static mac_error *flood(mac_job *job, const ProtobufCMessage *input) {
    (void)job;
    (void)input;
    put("\x7f\0\0\0P", 5);
    pause();
    return NULL;
}

static mac_error *twice(mac_job *job, const ProtobufCMessage *input) {
    (void)job;
    (void)input;
    put("\0\0\0\0O", 5);
    return NULL;
}

static mac_error *crash_after(mac_job *job, const ProtobufCMessage *input) {
    (void)job;
    (void)input;
    put("\0\0\0\0O", 5);
    _exit(3);
}

/* Says its process id by progress, then waits. */
static mac_error *wait_(mac_job *job, const ProtobufCMessage *input) {
    (void)input;
    mac_job_progress(job, 1, (uint64_t)getpid(), 0, "waiting");
    while (pause() < 0)
        ;
    return NULL;
}

static mac_error *stubborn(mac_job *job, const ProtobufCMessage *input) {
    signal(SIGTERM, SIG_IGN);
    return wait_(job, input);
}

/* Leaves a child behind that holds the pipe. */
static mac_error *parent(mac_job *job, const ProtobufCMessage *input) {
    (void)input;
    if (fork() == 0) {
        for (;;)
            pause();
    }
    (void)job;
    return NULL;
}

/* Counts the descriptors it got beyond the four it should have. */
static mac_error *descriptors(mac_job *job, const ProtobufCMessage *input) {
    (void)job;
    (void)input;
    for (int fd = 4; fd < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "descriptor %d is open", fd);
    return fcntl(MAC_WORKER_REPORT_FD, F_GETFD) == FD_CLOEXEC
               ? NULL
               : mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "the pipe would leak into commands");
}

int main(int argc, char **argv) {
    static const mac_job_entry entries[] = {{"echo", &macula__v1__job__descriptor, echo},
                                            {"silent", NULL, silent},
                                            {"refuse", NULL, refuse},
                                            {"chatter", NULL, chatter},
                                            {"die", NULL, die},
                                            {"leave", NULL, leave},
                                            {"half", NULL, half},
                                            {"garbage", NULL, garbage},
                                            {"undecodable", NULL, undecodable},
                                            {"flood", NULL, flood},
                                            {"twice", NULL, twice},
                                            {"crash-after", NULL, crash_after},
                                            {"wait", NULL, wait_},
                                            {"stubborn", NULL, stubborn},
                                            {"parent", NULL, parent},
                                            {"descriptors", NULL, descriptors},
                                            {0}};
    return mac_worker_main(argc, argv, entries);
}
