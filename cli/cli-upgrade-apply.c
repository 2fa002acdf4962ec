/* upgrade apply|prefetch|wait: a job, and waiting for its end. A job belongs to the node: who waits may go and come
 * back. */
#include <string.h>
#include <time.h>

#include "cli-output.h"
#include "cli-upgrade.h"

#define CONTROL macula__v1__upgrade_control__descriptor
#define UPGRADE macula__v1__upgrade__descriptor
#define LOOK_MS 500 /* between two looks at the job: progress is an event, but events may be lost */

typedef struct waiting {
    bool done;
} waiting;

static void on_pause(const mac_answer *answer, void *data) {
    (void)answer;
    ((waiting *)data)->done = true;
}

/* false: interrupted. */
static bool pause_for(cli_session *session) {
    waiting w = {false};
    mac_bus_pause(cli_session_bus(session), LOOK_MS, on_pause, &w);
    return cli_session_run_until(session, &w.done);
}

static void show_progress(const Macula__V1__Job *job) {
    const Macula__V1__Progress *progress = job->progress;
    if (!progress)
        return;
    mac_autofree char *done = cli_bytes(progress->bytes), *total = cli_bytes(progress->total);
    if (progress->total)
        cli_progress("%3u %%  %s of %s  %s", progress->percent, done, total,
                     progress->message ? progress->message : "");
    else
        cli_progress("%s", progress->message ? progress->message : "…");
}

/* The end of a job as text and exit code. */
static int job_end(const Macula__V1__UpgradeStatus *status) {
    const Macula__V1__Job *job = status->job;
    cli_progress_end();
    if (job->state == MACULA__V1__JOB__STATE__paused) {
        cli_error("the upgrade is paused; to go on: maculaos upgrade resume, then: maculaos upgrade wait");
        return CLI_TIMED_OUT;
    }
    if (job->state == MACULA__V1__JOB__STATE__succeeded) {
        cli_upgrade_show(status);
        return status->reboot_required ? CLI_REBOOT_REQUIRED : CLI_OK;
    }
    if (job->error)
        return cli_fail(mac_error_from_wire(job->error));
    cli_upgrade_show(status);
    return CLI_FAILED;
}

static mac_error *look(cli_session *session, Macula__V1__UpgradeStatus **ret_status) {
    Macula__V1__UpgradeStatusRequest request = MACULA__V1__UPGRADE_STATUS_REQUEST__INIT;
    ProtobufCMessage *answer = NULL;
    mac_error *error = cli_call(session, &UPGRADE, "Status", &request.base, &answer);
    *ret_status = (Macula__V1__UpgradeStatus *)answer;
    return error;
}

int cli_upgrade_follow(cli_session *session, const char *id) {
    uint64_t until = mac_now_ms() + cli_session_deadline(session), seen = mac_now_ms();
    mac_autofree char *last = NULL;
    for (;;) {
        Macula__V1__UpgradeStatus *status = NULL;
        mac_error *error = look(session, &status);
        if (error && (error->code != MACULA__V1__ERROR_CODE__UNAVAILABLE || mac_now_ms() - seen > 30000)) {
            cli_progress_end();
            return cli_fail(error);
        }
        mac_error_free(error); /* the upgrader is being restarted: its job goes on */
        const Macula__V1__Job *job = status ? status->job : NULL;
        bool ours = job && (!id || mac_streq(job->id, id));
        bool open =
            job && (job->state == MACULA__V1__JOB__STATE__running || job->state == MACULA__V1__JOB__STATE__queued);
        int code = -1;
        if (status)
            seen = mac_now_ms();
        if (status && !ours)
            code = cli_fail(
                id ? mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "there is no job %s (any more)", id)
                   : mac_error_new(MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL, "no upgrade is under way"));
        else if (status && !open)
            code = job_end(status);
        else if (status) {
            show_progress(job);
            /* As long as it gets on, it is waited for. */
            mac_autofree char *now = mac_asprintf("%u %llu", job->progress ? job->progress->percent : 0,
                                                  job->progress ? (unsigned long long)job->progress->bytes : 0ull);
            if (!mac_streq(now, last)) {
                until = mac_now_ms() + cli_session_deadline(session);
                free(last);
                last = mac_take(&now);
            }
        }
        if (status)
            macula__v1__upgrade_status__free_unpacked(status, NULL);
        if (code >= 0)
            return code;
        if (mac_now_ms() > until || !pause_for(session)) {
            cli_progress_end();
            cli_error("the upgrade is still under way; see: maculaos upgrade status, or: maculaos upgrade wait");
            return CLI_TIMED_OUT;
        }
    }
}

static int start(cli_invocation *invocation, const char *method) {
    Macula__V1__UpgradeApplyRequest request = MACULA__V1__UPGRADE_APPLY_REQUEST__INIT;
    mac_autofree char *author = cli_author(invocation), *from = NULL;
    const char *given = cli_option_value(invocation, "from");
    int code;
    if (given && !(from = realpath(given, NULL))) {
        cli_error("--from %s: expected a directory with a release", given);
        return CLI_USAGE;
    }
    request.from = from;
    request.version = (char *)cli_argument(invocation, 0);
    request.author = author;
    request.job = (char *)cli_option_value(invocation, "job");
    request.has_allow_downgrade = request.has_force = request.has_full = request.has_reboot = true;
    request.allow_downgrade = cli_option_given(invocation, "downgrade");
    request.force = cli_option_given(invocation, "force");
    request.full = cli_option_given(invocation, "full");
    request.reboot = cli_option_given(invocation, "reboot");
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    ProtobufCMessage *answer;
    if (!session)
        return code;
    mac_error *error = cli_call(session, &CONTROL, method, &request.base, &answer);
    if (error)
        return cli_fail(error);
    const Macula__V1__Job *job = (const Macula__V1__Job *)answer;
    if (cli_option_given(invocation, "no-wait")) {
        if (cli_output_json() || cli_output_yaml())
            cli_print_message(&job->base);
        else
            cli_print(CLI_PLAIN, "Job %s is under way: maculaos upgrade wait\n", job->id);
        code = CLI_OK;
    } else {
        code = cli_upgrade_follow(session, job->id);
    }
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

int cli_upgrade_apply(cli_invocation *invocation) {
    return start(invocation, "Apply");
}

int cli_upgrade_prefetch(cli_invocation *invocation) {
    return start(invocation, "Prefetch");
}

int cli_upgrade_wait(cli_invocation *invocation) {
    int code;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    return session ? cli_upgrade_follow(session, cli_option_value(invocation, "job")) : code;
}

/* The seed's spelling: options in place of verbs. */
int cli_upgrade(cli_invocation *invocation) {
    static const struct {
        const char *option;
        int (*run)(cli_invocation *invocation);
    } verbs[] = {{"check", cli_upgrade_check},
                 {"apply", cli_upgrade_apply},
                 {"rollback", cli_upgrade_rollback},
                 {"cancel", cli_upgrade_cancel},
                 {"wait", cli_upgrade_wait}};
    int (*run)(cli_invocation * invocation) = NULL;
    unsigned given = 0;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(verbs); i++)
        if (cli_option_given(invocation, verbs[i].option)) {
            bool waits = mac_streq(verbs[i].option, "wait") && given; /* --apply waits anyway */
            run = waits ? run : verbs[i].run;
            given += !waits;
        }
    if (given > 1) {
        cli_error("only one of --check, --apply, --rollback and --cancel makes sense");
        return CLI_USAGE;
    }
    if (!run)
        run = cli_option_given(invocation, "from") ? cli_upgrade_apply : cli_upgrade_status;
    return run(invocation);
}
