#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/mac-worker.h"

#define PROGRAM "test-worker-program"

typedef struct scene {
    uv_loop_t loop;
    mac_worker *worker;
    unsigned progresses, ends;
    unsigned last_percent;
    uint64_t last_bytes;
    char last_message[64];
    bool cancel_on_progress;
    mac_error *error;
    int killed_by;
    char *output_id, *output_what;
    bool had_output;
} scene;

static void on_progress(mac_worker *worker, const Macula__V1__Progress *progress, void *data) {
    scene *s = data;
    assert_ptr_equal(worker, s->worker);
    s->progresses++;
    s->last_percent = progress->percent;
    s->last_bytes = progress->bytes;
    snprintf(s->last_message, sizeof s->last_message, "%s", progress->message ? progress->message : "");
    if (s->cancel_on_progress)
        mac_worker_cancel(worker);
}

static void on_end(mac_worker *worker, const ProtobufCMessage *output, const mac_error *error, void *data) {
    scene *s = data;
    s->ends++;
    s->killed_by = mac_worker_killed_by(worker);
    s->error = error ? mac_error_copy(error) : NULL;
    s->had_output = output;
    if (output) {
        const Macula__V1__Job *job = (const Macula__V1__Job *)output;
        s->output_id = mac_strdup(job->id);
        s->output_what = mac_strdup(job->what);
    }
}

static void play(scene *s, mac_worker_options options) {
    uv_loop_init(&s->loop);
    options.loop = &s->loop;
    if (!options.program)
        options.program = PROGRAM;
    options.on_progress = on_progress;
    options.on_end = on_end;
    options.data = s;
    assert_int_equal(mac_worker_start(&options, &s->worker), 0);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(s->ends, 1);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
}

static void leave(scene *s) {
    mac_error_free(s->error);
    free(s->output_id);
    free(s->output_what);
}

static void input_goes_in_and_the_outcome_comes_out(void **state) {
    (void)state;
    Macula__V1__Job input = MACULA__V1__JOB__INIT;
    mac_autofree char *id = mac_malloc(200001); /* more than a pipe holds */
    memset(id, 'i', 200000);
    id[200000] = '\0';
    input.id = id;
    scene s = {0};
    play(&s, (mac_worker_options){.job = "echo", .input = &input.base, .output = &macula__v1__job__descriptor});
    assert_null(s.error);
    assert_string_equal(s.output_id, id);
    assert_string_equal(s.output_what, "echoed");
    assert_int_equal(s.progresses, 2);
    assert_int_equal(s.last_percent, 100);
    assert_string_equal(s.last_message, "");
    leave(&s);
}

static void a_job_needs_neither_input_nor_output(void **state) {
    (void)state;
    scene s = {0};
    play(&s, (mac_worker_options){.job = "silent"});
    assert_null(s.error);
    assert_false(s.had_output);
}

static void the_error_of_the_job_arrives_whole(void **state) {
    (void)state;
    scene s = {0};
    play(&s, (mac_worker_options){.job = "refuse", .output = &macula__v1__job__descriptor});
    assert_int_equal(s.error->code, MACULA__V1__ERROR_CODE__INVALID);
    assert_int_equal(mac_problems_count(s.error->problems), 2);
    assert_string_equal(mac_problems_get(s.error->problems, 1)->path, "image.size");
    assert_false(s.had_output);
    leave(&s);
}

static void an_unknown_job_is_unsupported(void **state) {
    (void)state;
    scene s = {0};
    play(&s, (mac_worker_options){.job = "dance"});
    assert_int_equal(s.error->code, MACULA__V1__ERROR_CODE__UNSUPPORTED);
    assert_non_null(strstr(s.error->message, "'dance'"));
    leave(&s);
}

static void progress_is_thinned_out(void **state) {
    (void)state;
    scene s = {0};
    play(&s, (mac_worker_options){.job = "chatter"});
    assert_null(s.error);
    assert_true(s.progresses >= 100 && s.progresses < 1000);
    assert_int_equal(s.last_percent, 99);
}

static void every_misbehaviour_is_an_internal_error_that_says_what(void **state) {
    (void)state;
    static const struct {
        const char *job, *message;
    } cases[] = {
        {"die", "was ended by signal 9 (Killed) before its outcome"},
        {"leave", "ended with exit code 0 without an outcome"},
        {"half", "ended with exit code 0 without an outcome, in the middle of a frame"},
        {"garbage", "was ended because it wrote a frame of an unknown kind"},
        {"undecodable", "was ended because it wrote an outcome that cannot be decoded"},
        {"flood", "was ended because it wrote a frame larger than allowed"},
        {"twice", "was ended because it wrote more after its outcome"},
        {"crash-after", "ended with exit code 3 after its outcome"},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        scene s = {0};
        play(&s, (mac_worker_options){.job = cases[i].job, .output = &macula__v1__job__descriptor});
        assert_non_null(s.error);
        assert_int_equal(s.error->code, MACULA__V1__ERROR_CODE__INTERNAL);
        assert_non_null(strstr(s.error->message, cases[i].message));
        assert_non_null(strstr(s.error->message, PROGRAM));
        assert_non_null(strstr(s.error->message, cases[i].job));
        assert_int_equal(s.killed_by, mac_streq(cases[i].job, "die") ? SIGKILL : 0); /* not what the service sent */
        assert_false(s.had_output);
        leave(&s);
    }
}

static void a_cancelled_job_ends_with_cancelled(void **state) {
    (void)state;
    static const char *const jobs[] = {"wait", "stubborn"}; /* the second one needs SIGKILL */
    for (size_t i = 0; i < MAC_ARRAY_SIZE(jobs); i++) {
        scene s = {.cancel_on_progress = true};
        play(&s, (mac_worker_options){.job = jobs[i]});
        assert_int_equal(s.error->code, MACULA__V1__ERROR_CODE__CANCELLED);
        assert_int_equal(s.killed_by, 0);
        assert_int_equal(kill((pid_t)s.last_bytes, 0), -1);
        leave(&s);
    }
}

static void a_job_has_a_time_limit(void **state) {
    (void)state;
    scene s = {0};
    play(&s, (mac_worker_options){.job = "wait", .timeout_ms = 100});
    assert_int_equal(s.error->code, MACULA__V1__ERROR_CODE__TIMED_OUT);
    leave(&s);
}

static void a_child_that_holds_the_pipe_does_not_hold_the_end_up(void **state) {
    (void)state;
    scene s = {0};
    play(&s, (mac_worker_options){.job = "parent"});
    assert_null(s.error);
}

static void a_worker_gets_no_descriptor_of_the_service(void **state) {
    (void)state;
    for (int fd = 3; fd < 256; fd++) /* what the test's own starter left open */
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    scene s = {0};
    play(&s, (mac_worker_options){.job = "descriptors"});
    assert_null(s.error);
}

static void what_cannot_be_started_is_an_errno(void **state) {
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    mac_worker *worker;
    mac_worker_options options = {.loop = &loop, .program = "no-such-worker", .job = "x", .on_end = on_end};
    assert_int_equal(mac_worker_start(&options, &worker), -ENOENT);
    Macula__V1__Job input = MACULA__V1__JOB__INIT;
    mac_autofree char *id = mac_calloc(1, MAC_WORKER_FRAME_MAX + 1);
    memset(id, 'i', MAC_WORKER_FRAME_MAX);
    input.id = id;
    options.program = PROGRAM;
    options.input = &input.base;
    assert_int_equal(mac_worker_start(&options, &worker), -EMSGSIZE);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void the_program_is_found_by_name_or_path_or_in_libexec(void **state) {
    (void)state;
    char self[512];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    mac_autofree char *path = mac_asprintf("%s/" PROGRAM, self);
    scene s = {0};
    play(&s, (mac_worker_options){.program = path, .job = "silent"});
    assert_null(s.error);
    setenv("MACULA_LIBEXEC", self, 1);
    scene libexec = {0};
    play(&libexec, (mac_worker_options){.job = "silent"});
    assert_null(libexec.error);
    unsetenv("MACULA_LIBEXEC");
}

static void forward_pid(mac_worker *worker, const Macula__V1__Progress *progress, void *data) {
    (void)worker;
    dprintf(*(int *)data, "%llu\n", (unsigned long long)progress->bytes);
}

/* Plays the service that is about to die. */
static void serve(int report) {
    uv_loop_t loop;
    uv_loop_init(&loop);
    mac_worker *worker;
    const mac_worker_options options = {.loop = &loop,
                                        .program = PROGRAM,
                                        .job = "wait",
                                        .on_progress = forward_pid,
                                        .on_end = on_end,
                                        .data = &report};
    if (mac_worker_start(&options, &worker) == 0)
        uv_run(&loop, UV_RUN_DEFAULT);
    _exit(1);
}

static void a_worker_dies_with_its_service(void **state) {
    (void)state;
    int report[2];
    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    pid_t service = fork();
    if (service == 0)
        serve(report[1]);
    close(report[1]);
    char text[32] = "";
    assert_true(read(report[0], text, sizeof text - 1) > 0);
    close(report[0]);
    pid_t worker = atoi(text);
    assert_true(worker > 1);
    kill(service, SIGKILL);
    assert_int_equal(waitpid(service, NULL, 0), service);
    struct pollfd process = {.fd = pidfd_open(worker, 0), .events = POLLIN};
    if (process.fd < 0) {
        assert_int_equal(errno, ESRCH); /* gone already */
        return;
    }
    assert_int_equal(poll(&process, 1, 10000), 1);
    close(process.fd);
}

static void started_by_hand_it_says_what_it_is(void **state) {
    (void)state;
    char self[512];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    mac_autofree char *command =
        mac_asprintf("'%s/" PROGRAM "' echo 3>&- 2>&1 | grep -q 'started by its service'", self);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_goes_in_and_the_outcome_comes_out),
        cmocka_unit_test(a_job_needs_neither_input_nor_output),
        cmocka_unit_test(the_error_of_the_job_arrives_whole),
        cmocka_unit_test(an_unknown_job_is_unsupported),
        cmocka_unit_test(progress_is_thinned_out),
        cmocka_unit_test(every_misbehaviour_is_an_internal_error_that_says_what),
        cmocka_unit_test(a_cancelled_job_ends_with_cancelled),
        cmocka_unit_test(a_job_has_a_time_limit),
        cmocka_unit_test(a_child_that_holds_the_pipe_does_not_hold_the_end_up),
        cmocka_unit_test(a_worker_gets_no_descriptor_of_the_service),
        cmocka_unit_test(what_cannot_be_started_is_an_errno),
        cmocka_unit_test(the_program_is_found_by_name_or_path_or_in_libexec),
        cmocka_unit_test(a_worker_dies_with_its_service),
        cmocka_unit_test(started_by_hand_it_says_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
