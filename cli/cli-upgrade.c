/* upgrade …: what is asked and told. */
#include "cli-upgrade.h"

#include <string.h>
#include <unistd.h>

#include "cli-output.h"

#define UPGRADE macula__v1__upgrade__descriptor
#define CONTROL macula__v1__upgrade_control__descriptor

static const char *const channels[] = {"stable", "beta", "nightly"};

char *cli_bytes(uint64_t bytes) {
    return bytes < 1000000 ? mac_asprintf("%.0f kB", (double)bytes / 1e3)
                           : mac_asprintf("%.1f MB", (double)bytes / 1e6);
}

/* ---- status ---- */

static void show_slot(const char *title, const Macula__V1__UpgradeSlot *slot) {
    static const char *const states[] = {"empty", "active", "on trial", "standby", "failed"};
    static const cli_style styles[] = {CLI_DIM, CLI_GREEN, CLI_YELLOW, CLI_PLAIN, CLI_RED};
    if (!slot)
        return;
    cli_print(CLI_PLAIN, "%-10s slot %s  ", title, slot->slot);
    cli_print(styles[slot->state], "%s%s%s", slot->version ? slot->version : "", slot->version ? ", " : "",
              states[slot->state]);
    if (slot->has_tries_left)
        cli_print(CLI_PLAIN, ", %u starts left", slot->tries_left);
    cli_print(CLI_PLAIN, "\n");
}

static void show_job(const Macula__V1__UpgradeStatus *status) {
    static const char *const states[] = {"queued", "under way", "paused", "succeeded", "failed", "cancelled"};
    static const char *const steps[] = {"finding", "writing", "prepared", "activated"};
    const Macula__V1__Job *job = status->job;
    if (!job)
        return;
    cli_print(CLI_PLAIN, "%-10s %s %s", "job", job->what, states[job->state]);
    if (status->has_step)
        cli_print(CLI_PLAIN, ", %s", steps[status->step]);
    if (status->has_step && job->progress && job->progress->percent)
        cli_print(CLI_PLAIN, " %u %%", job->progress->percent);
    if (status->has_step && job->progress && job->progress->message)
        cli_print(CLI_DIM, " (%s)", job->progress->message);
    cli_print(CLI_PLAIN, "\n");
    if (job->error)
        cli_print(CLI_RED, "%-10s %s\n", "", job->error->message);
}

static void show_outcome(const Macula__V1__UpgradeOutcome *last) {
    static const char *const states[] = {"confirmed", "rolled back", "failed", "cancelled"};
    if (!last)
        return;
    mac_autofree char *time = cli_time(last->time_ms);
    cli_print(last->state == 0 ? CLI_PLAIN : CLI_YELLOW, "%-10s %s %s, %s\n", "last",
              last->version ? last->version : "upgrade", states[last->state], time);
    if (last->reason)
        cli_print(CLI_PLAIN, "%-10s %s\n", "", last->reason);
}

void cli_upgrade_show(const Macula__V1__UpgradeStatus *status) {
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_message(&status->base);
        return;
    }
    cli_print(CLI_BOLD, "%-10s %s (%s)\n", "version", status->version, status->arch);
    show_slot("running", status->running);
    show_slot("other", status->other);
    if (status->trial && status->trial->rejected)
        cli_print(CLI_RED, "%-10s %s\n", "rejected", status->trial->waiting_for);
    else if (status->trial)
        cli_print(CLI_YELLOW, "%-10s %s stays unless its checks fail%s%s\n", "trial", status->trial->version,
                  status->trial->waiting_for ? ": " : "", status->trial->waiting_for ? status->trial->waiting_for : "");
    cli_print(CLI_PLAIN, "%-10s %s, channel %s\n", "source", status->url, channels[status->channel]);
    if (status->available)
        cli_print(CLI_GREEN, "%-10s %s of %s\n", "available", status->available->version, status->available->date);
    if (status->check_error)
        cli_print(CLI_RED, "%-10s %s\n", "check", status->check_error);
    show_job(status);
    show_outcome(status->last);
    for (size_t i = 0; i < status->n_refused; i++)
        cli_print(CLI_DIM, "%-10s %s: %s\n", "refused", status->refused[i]->version, status->refused[i]->reason);
    for (size_t i = 0; i < status->n_problems; i++)
        cli_print(CLI_RED, "%-10s %s\n", "problem", status->problems[i]);
    if (status->reboot_required)
        cli_print(CLI_YELLOW, "The next start tries version %s: maculaos node reboot\n",
                  status->other && status->other->version ? status->other->version : "");
}

/* Calls, shows with a function of the type, frees. */
typedef void (*show_function)(const ProtobufCMessage *request, const ProtobufCMessage *answer);

static int ask(cli_invocation *invocation, const ProtobufCServiceDescriptor *service, const char *method,
               const ProtobufCMessage *request, const char *progress, show_function show) {
    int code;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    ProtobufCMessage *answer;
    if (!session)
        return code;
    if (progress)
        cli_progress("%s", progress);
    mac_error *error = cli_call(session, service, method, request, &answer);
    if (progress)
        cli_progress_end();
    if (error)
        return cli_fail(error);
    show(request, answer);
    protobuf_c_message_free_unpacked(answer, NULL);
    return CLI_OK;
}

static void show_status(const ProtobufCMessage *request, const ProtobufCMessage *answer) {
    (void)request;
    cli_upgrade_show((const Macula__V1__UpgradeStatus *)answer);
}

int cli_upgrade_control(cli_invocation *invocation, const char *method, const ProtobufCMessage *request) {
    return ask(invocation, &CONTROL, method, request, NULL, show_status);
}

int cli_upgrade_status(cli_invocation *invocation) {
    Macula__V1__UpgradeStatusRequest request = MACULA__V1__UPGRADE_STATUS_REQUEST__INIT;
    return ask(invocation, &UPGRADE, "Status", &request.base, NULL, show_status);
}

/* ---- check, history, plan ---- */

static void release_text(const Macula__V1__UpgradeRelease *release) {
    mac_autofree char *size = cli_bytes(release->size);
    cli_print(CLI_GREEN, "Version %s of %s, %s, from %s\n", release->version, release->date, size, release->source);
    if (release->signed_by)
        cli_print(CLI_DIM, "signed by %s\n", release->signed_by);
    else
        cli_print(CLI_RED, "NOT SIGNED: maculaos.upgrade.verify_signature is off\n");
    if (release->obstacle)
        cli_print(CLI_YELLOW, "not applied by itself: %s\n", release->obstacle);
}

static void show_release(const ProtobufCMessage *request, const ProtobufCMessage *answer) {
    const Macula__V1__UpgradeRelease *release = (const Macula__V1__UpgradeRelease *)answer;
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_message(answer);
        return;
    }
    const char *from = ((const Macula__V1__UpgradeCheckRequest *)request)->from;
    mac_autofree char *place = from ? cli_quoted(from) : NULL;
    release_text(release);
    if (!release->obstacle)
        cli_print(CLI_PLAIN, "Apply it with: maculaos upgrade apply%s%s\n", place ? " --from " : "",
                  place ? place : "");
}

/* A directory as the upgrader needs it, which runs elsewhere: absolute. False after having said what is wrong. */
static bool find_directory(cli_invocation *invocation, char **ret_path) {
    const char *given = cli_option_value(invocation, "from");
    if (!given)
        return true;
    *ret_path = realpath(given, NULL);
    if (!*ret_path)
        cli_error("--from %s: expected a directory with a release", given);
    return *ret_path != NULL;
}

int cli_upgrade_check(cli_invocation *invocation) {
    Macula__V1__UpgradeCheckRequest request = MACULA__V1__UPGRADE_CHECK_REQUEST__INIT;
    mac_autofree char *from = NULL;
    if (!find_directory(invocation, &from))
        return CLI_USAGE;
    request.from = from;
    return ask(invocation, &UPGRADE, "Check", &request.base, "looking for a newer version …", show_release);
}

static void show_history(const ProtobufCMessage *request, const ProtobufCMessage *answer) {
    (void)request;
    static const char *const headings[] = {"TIME", "VERSION", "FROM", "OUTCOME", "BY", "REASON", NULL};
    static const char *const states[] = {"confirmed", "rolled back", "failed", "cancelled"};
    const Macula__V1__UpgradeHistory *history = (const Macula__V1__UpgradeHistory *)answer;
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_message(answer);
        return;
    }
    cli_table *table = cli_table_new(headings);
    for (size_t i = 0; i < history->n_outcomes; i++) {
        const Macula__V1__UpgradeOutcome *outcome = history->outcomes[i];
        mac_autofree char *time = cli_time(outcome->time_ms);
        const char *cells[] = {time,
                               outcome->version ? outcome->version : "",
                               outcome->from_version ? outcome->from_version : "",
                               states[outcome->state],
                               outcome->author ? outcome->author : "",
                               outcome->reason ? outcome->reason : ""};
        cli_table_row(table, cells);
    }
    cli_table_print(table);
}

int cli_upgrade_history(cli_invocation *invocation) {
    Macula__V1__UpgradeHistoryRequest request = MACULA__V1__UPGRADE_HISTORY_REQUEST__INIT;
    uint64_t limit = 50, before = 0;
    if (!cli_option_number(invocation, "limit", 1, 500, &limit) ||
        !cli_option_number(invocation, "before", 1, UINT64_MAX - 1, &before))
        return CLI_USAGE;
    request.has_limit = true;
    request.limit = (uint32_t)limit;
    request.has_before = before > 0;
    request.before = before;
    return ask(invocation, &UPGRADE, "History", &request.base, NULL, show_history);
}

static void show_plan(const ProtobufCMessage *request, const ProtobufCMessage *answer) {
    (void)request;
    const Macula__V1__UpgradePlan *plan = (const Macula__V1__UpgradePlan *)answer;
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_message(answer);
        return;
    }
    mac_autofree char *fetch = cli_bytes(plan->fetch), *reuse = cli_bytes(plan->reuse),
                      *room = cli_bytes(plan->slot_size);
    release_text(plan->release);
    cli_print(CLI_PLAIN, "would fetch %s in %u requests, %s is here already; into slot %s of %s\n", fetch,
              plan->requests, reuse, plan->slot, room);
    if (plan->has_seconds)
        cli_print(CLI_PLAIN, "takes about %u s\n", plan->seconds);
}

int cli_upgrade_plan(cli_invocation *invocation) {
    Macula__V1__UpgradePlanRequest request = MACULA__V1__UPGRADE_PLAN_REQUEST__INIT;
    mac_autofree char *from = NULL;
    if (!find_directory(invocation, &from))
        return CLI_USAGE;
    request.from = from;
    return ask(invocation, &UPGRADE, "Plan", &request.base, "looking at the release and at the slots …", show_plan);
}

/* ---- pause, resume, cancel, rollback, confirm, channel ---- */

static int send_wish(cli_invocation *invocation, const char *method) {
    Macula__V1__UpgradeJobRequest request = MACULA__V1__UPGRADE_JOB_REQUEST__INIT;
    mac_autofree char *author = cli_author(invocation);
    request.author = author;
    request.job = (char *)cli_option_value(invocation, "job");
    return cli_upgrade_control(invocation, method, &request.base);
}

int cli_upgrade_cancel(cli_invocation *invocation) {
    return send_wish(invocation, "Cancel");
}

int cli_upgrade_pause(cli_invocation *invocation) {
    return send_wish(invocation, "Pause");
}

int cli_upgrade_resume(cli_invocation *invocation) {
    return send_wish(invocation, "Resume");
}

int cli_upgrade_rollback(cli_invocation *invocation) {
    Macula__V1__UpgradeRollbackRequest request = MACULA__V1__UPGRADE_ROLLBACK_REQUEST__INIT;
    mac_autofree char *author = cli_author(invocation);
    if (!cli_option_given(invocation, "yes")) {
        int answer = cli_ask("Go back to the version in the other slot?");
        if (answer < 0)
            cli_error("this changes which version runs; say --yes");
        if (answer <= 0)
            return answer < 0 ? CLI_USAGE : CLI_FAILED;
    }
    request.author = author;
    request.reason = (char *)cli_option_value(invocation, "reason");
    request.has_force = request.has_reboot = true;
    request.force = cli_option_given(invocation, "force");
    request.reboot = cli_option_given(invocation, "reboot");
    int code = cli_upgrade_control(invocation, "Rollback", &request.base);
    return code == CLI_OK ? CLI_REBOOT_REQUIRED : code;
}

int cli_upgrade_confirm(cli_invocation *invocation) {
    Macula__V1__UpgradeConfirmRequest request = MACULA__V1__UPGRADE_CONFIRM_REQUEST__INIT;
    mac_autofree char *author = cli_author(invocation);
    request.author = author;
    return cli_upgrade_control(invocation, "Confirm", &request.base);
}

int cli_upgrade_channel(cli_invocation *invocation) {
    Macula__V1__UpgradeChannelRequest request = MACULA__V1__UPGRADE_CHANNEL_REQUEST__INIT;
    mac_autofree char *author = cli_author(invocation);
    const char *name = cli_argument(invocation, 0);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(channels); i++)
        if (mac_streq(name, channels[i])) {
            request.has_channel = true;
            request.channel = (Macula__V1__UpgradeSection__Channel)i;
        }
    if (!request.has_channel) {
        cli_error("expected stable, beta or nightly, found \"%s\"", name);
        return CLI_USAGE;
    }
    request.author = author;
    return cli_upgrade_control(invocation, "SetChannel", &request.base);
}
