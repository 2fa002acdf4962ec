/* health status|check|watch|history|gate|acknowledge|silence. */
#include "cli-health.h"

#include <stdio.h>
#include <string.h>

#include "cli-output.h"
#include "cli-session.h"
#include "codec/mac-codec.h"
#include "codec/mac-schema.h"
#include "macula/v1/health.pb-c.h"

#define NODE(name) MACULA__V1__HEALTH_STATUS__STATE__##name
#define CHECK(name) MACULA__V1__HEALTH_CHECK__STATE__##name
#define GATE(name) MACULA__V1__HEALTH_GATE__STATE__##name
#define READS (&macula__v1__health__descriptor)
#define CHANGES (&macula__v1__health_control__descriptor)

static const char *word_of(const ProtobufCEnumDescriptor *type, int value) {
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    return found ? found->name : "?";
}

static cli_style style_of(const char *state) {
    if (mac_streq(state, "ok") || mac_streq(state, "passed") || mac_streq(state, "fed"))
        return CLI_GREEN;
    if (mac_streq(state, "failed") || mac_streq(state, "starving"))
        return CLI_RED;
    return mac_streq(state, "waiting") ? CLI_DIM : CLI_YELLOW;
}

/* ---- exit codes ---- */

static int node_exit(Macula__V1__HealthStatus__State state) {
    switch ((int)state) {
    case NODE(ok):
        return CLI_OK;
    case NODE(degraded):
        return CLI_DEGRADED;
    case NODE(failed):
        return CLI_UNWELL;
    }
    return CLI_UNKNOWN;
}

static int check_exit(Macula__V1__HealthCheck__State state) {
    switch ((int)state) {
    case CHECK(ok):
        return CLI_OK;
    case CHECK(failed):
        return CLI_UNWELL;
    }
    return CLI_UNKNOWN;
}

/* ---- showing ---- */

static void gate_show(const Macula__V1__HealthGate *gate) {
    const char *state = word_of(&macula__v1__health_gate__state__descriptor, (int)gate->state);
    cli_print(CLI_PLAIN, "%-10s", "version");
    cli_print(CLI_PLAIN, "%s%s%s: ", gate->version ? gate->version : "?", gate->slot ? " in slot " : "",
              gate->slot ? gate->slot : "");
    if (gate->state == GATE(holding))
        cli_print(CLI_YELLOW, "not decided yet, holds for %u of %u s, %u s are left\n", gate->held_s, gate->required_s,
                  gate->remaining_s);
    else
        cli_print(style_of(state), "%s\n", gate->state == GATE(passed) ? "may stay" : "must not stay");
    for (size_t i = 0; i < gate->n_reasons; i++)
        cli_print(CLI_PLAIN, "%-10s%s\n", "", gate->reasons[i]);
}

static void watchdog_show(const Macula__V1__HealthWatchdog *watchdog) {
    const char *kind = word_of(&macula__v1__health_watchdog__kind__descriptor, (int)watchdog->kind);
    cli_print(CLI_PLAIN, "%-10s%s", "watchdog", kind);
    if (watchdog->identity)
        cli_print(CLI_PLAIN, ", %s (%s), %u s", watchdog->device ? watchdog->device : "", watchdog->identity,
                  watchdog->timeout_s);
    if (watchdog->message)
        cli_print(CLI_YELLOW, ", %s", watchdog->message);
    cli_print(CLI_PLAIN, "\n");
}

/* What people and budgets add to a check's message. Caller frees. */
static char *message_of(const Macula__V1__HealthCheck *check) {
    mac_buffer text = {0};
    mac_buffer_text(&text, check->message ? check->message : "");
    if (check->state == CHECK(ok) && check->bad)
        mac_buffer_printf(&text, " (bad %u times in a row)", check->bad);
    if (check->restarts)
        mac_buffer_printf(&text, " (restarted %u of %u times within the hour)", check->restarts, check->max_restarts);
    if (check->acknowledged_by)
        mac_buffer_printf(&text, " (acknowledged by %s%s%s)", check->acknowledged_by,
                          check->acknowledgement ? ": " : "", check->acknowledgement ? check->acknowledgement : "");
    if (check->has_silent_until_ms) {
        mac_autofree char *until = cli_time(check->silent_until_ms);
        mac_buffer_printf(&text, " (silent until %s)", until);
    }
    return mac_buffer_take(&text);
}

static void checks_show(const Macula__V1__HealthStatus *status) {
    cli_table *table = cli_table_new((const char *[]){"CHECK", "STATE", "SINCE", "LOOKED", "GATES", "MESSAGE", NULL});
    int64_t now = mac_unix_ms();
    for (size_t i = 0; i < status->n_checks; i++) {
        const Macula__V1__HealthCheck *check = status->checks[i];
        const char *state = word_of(&macula__v1__health_check__state__descriptor, (int)check->state);
        mac_autofree char *since = check->has_since_ms ? cli_time(check->since_ms) : mac_strdup("");
        int64_t ago = now > check->last_ms ? (now - check->last_ms) / 1000 : 0;
        mac_autofree char *span = cli_span((uint64_t)ago);
        mac_autofree char *looked = check->has_last_ms ? mac_asprintf("%s ago", span) : mac_strdup("never");
        mac_autofree char *message = message_of(check);
        cli_table_row(table, (const char *[]){check->name, state, since, looked,
                                              check->gates_upgrade || check->critical ? "yes" : "", message});
        cli_table_style(table, 1, style_of(state));
    }
    cli_table_print(table);
}

static void status_show(const Macula__V1__HealthStatus *status) {
    const char *state = word_of(&macula__v1__health_status__state__descriptor, (int)status->state);
    mac_autofree char *since = cli_time(status->since_ms);
    cli_print(CLI_PLAIN, "%-10s", "health");
    cli_print(style_of(state), "%s", state);
    cli_print(CLI_PLAIN, " since %s\n", since);
    for (size_t i = 0; i < status->n_reasons; i++)
        cli_print(CLI_PLAIN, "%-10s%s\n", "", status->reasons[i]);
    if (status->watchdog)
        watchdog_show(status->watchdog);
    if (status->gate)
        gate_show(status->gate);
    cli_print(CLI_PLAIN, "\n");
    checks_show(status);
}

/* ---- calling ---- */

/* Calls, and shows the answer unless it is to be shown in another way. Exit code in *ret_code when NULL is returned. */
static ProtobufCMessage *call(cli_invocation *invocation, const ProtobufCServiceDescriptor *service, const char *method,
                              const ProtobufCMessage *request, int *ret_code) {
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, ret_code);
    if (!session)
        return NULL;
    ProtobufCMessage *answer;
    mac_error *error = cli_call(session, service, method, request, &answer);
    if (!error)
        return answer;
    *ret_code = cli_fail(error);
    return NULL;
}

/* Shows a status and says by the exit code how it is: the node, or the one check that was asked for. */
static int status_answer(const ProtobufCMessage *message, const char *name) {
    const Macula__V1__HealthStatus *status = (const Macula__V1__HealthStatus *)message;
    if (cli_output_json() || cli_output_yaml())
        cli_print_message(message);
    else if (name)
        checks_show(status);
    else
        status_show(status);
    return name && status->n_checks ? check_exit(status->checks[0]->state) : node_exit(status->state);
}

int cli_health_status(cli_invocation *invocation) {
    Macula__V1__HealthStatusRequest request = MACULA__V1__HEALTH_STATUS_REQUEST__INIT;
    int code;
    request.name = (char *)cli_argument(invocation, 0);
    ProtobufCMessage *answer = call(invocation, READS, "Status", &request.base, &code);
    if (!answer)
        return code;
    code = status_answer(answer, request.name);
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

int cli_health_check(cli_invocation *invocation) {
    Macula__V1__HealthRunRequest request = MACULA__V1__HEALTH_RUN_REQUEST__INIT;
    int code;
    request.name = (char *)cli_argument(invocation, 0);
    ProtobufCMessage *answer = call(invocation, CHANGES, "Run", &request.base, &code);
    if (!answer)
        return code;
    code = status_answer(answer, request.name);
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

static void entry_row(cli_table *table, const Macula__V1__HealthEntry *entry) {
    mac_autofree char *number = mac_asprintf("%llu", (unsigned long long)entry->number),
                      *time = cli_time(entry->time_ms);
    mac_autofree char *change =
        entry->to ? mac_asprintf("%s%s%s", entry->from ? entry->from : "", entry->from ? " → " : "", entry->to)
                  : mac_strdup("");
    cli_table_row(table,
                  (const char *[]){number, time, word_of(&macula__v1__health_entry__what__descriptor, (int)entry->what),
                                   entry->name, change, entry->message});
    if (entry->to)
        cli_table_style(table, 4, style_of(entry->to));
}

int cli_health_history(cli_invocation *invocation) {
    Macula__V1__HealthHistoryRequest request = MACULA__V1__HEALTH_HISTORY_REQUEST__INIT;
    uint64_t limit = 50, before = 0;
    int code;
    if (!cli_option_number(invocation, "limit", 1, 500, &limit) ||
        !cli_option_number(invocation, "before", 1, INT64_MAX, &before))
        return CLI_USAGE;
    request.has_limit = request.has_before = true;
    request.limit = (uint32_t)limit;
    request.before = before;
    request.name = (char *)cli_option_value(invocation, "check");
    ProtobufCMessage *answer = call(invocation, READS, "History", &request.base, &code);
    if (!answer)
        return code;
    const Macula__V1__HealthHistory *history = (const Macula__V1__HealthHistory *)answer;
    if (cli_output_json() || cli_output_yaml()) {
        cli_print_message(answer);
    } else {
        cli_table *table =
            cli_table_new((const char *[]){"NUMBER", "TIME", "WHAT", "CHECK", "CHANGE", "MESSAGE", NULL});
        for (size_t i = 0; i < history->n_entries; i++)
            entry_row(table, history->entries[i]);
        cli_table_print(table);
    }
    protobuf_c_message_free_unpacked(answer, NULL);
    return CLI_OK;
}

int cli_health_gate(cli_invocation *invocation) {
    Macula__V1__HealthGateRequest request = MACULA__V1__HEALTH_GATE_REQUEST__INIT;
    int code;
    ProtobufCMessage *answer = call(invocation, READS, "Gate", &request.base, &code);
    if (!answer)
        return code;
    const Macula__V1__HealthGate *gate = (const Macula__V1__HealthGate *)answer;
    if (cli_output_json() || cli_output_yaml())
        cli_print_message(answer);
    else
        gate_show(gate);
    code = gate->state == GATE(passed) ? CLI_OK : gate->state == GATE(failed) ? CLI_FAILED : CLI_NOTHING_TO_DO;
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

/* ---- people ---- */

static int say(cli_invocation *invocation, const char *method, const ProtobufCMessage *request) {
    int code;
    ProtobufCMessage *answer = call(invocation, CHANGES, method, request, &code);
    if (!answer)
        return code;
    if (cli_output_json() || cli_output_yaml())
        cli_print_message(answer);
    else
        checks_show((const Macula__V1__HealthStatus *)answer);
    protobuf_c_message_free_unpacked(answer, NULL);
    return CLI_OK;
}

int cli_health_acknowledge(cli_invocation *invocation) {
    Macula__V1__HealthAcknowledgeRequest request = MACULA__V1__HEALTH_ACKNOWLEDGE_REQUEST__INIT;
    mac_autofree char *author = cli_author(invocation);
    request.name = (char *)cli_argument(invocation, 0);
    request.message = (char *)cli_option_value(invocation, "message");
    request.author = author;
    return say(invocation, "Acknowledge", &request.base);
}

int cli_health_silence(cli_invocation *invocation) {
    Macula__V1__HealthSilenceRequest request = MACULA__V1__HEALTH_SILENCE_REQUEST__INIT;
    mac_autofree char *author = cli_author(invocation);
    uint64_t ms = 0;
    if (mac_value_duration(cli_argument(invocation, 1), &ms) < 0 || ms / 1000 > UINT32_MAX) {
        cli_error("\"%s\" is not a time: expected one such as 30m, 2h or 1d, or 0", cli_argument(invocation, 1));
        return CLI_USAGE;
    }
    request.name = (char *)cli_argument(invocation, 0);
    request.has_seconds = true;
    request.seconds = (uint32_t)((ms + 999) / 1000);
    request.message = (char *)cli_option_value(invocation, "message");
    request.author = author;
    return say(invocation, "Silence", &request.base);
}

/* ---- watch ---- */

struct watching {
    uint64_t left; /* 0: no end */
    bool done;
};

static void change_show(const Macula__V1__HealthEvent *event) {
    const Macula__V1__HealthEntry *entry = event->entry;
    mac_autofree char *time = cli_time(entry->time_ms);
    cli_print(CLI_DIM, "%s  ", time);
    cli_print(CLI_BOLD, "%s ",
              entry->name ? entry->name : word_of(&macula__v1__health_entry__what__descriptor, (int)entry->what));
    if (entry->to)
        cli_print(style_of(entry->to), "%s ", entry->to);
    cli_print(CLI_PLAIN, "%s\n", entry->message ? entry->message : "");
}

static void on_change(const mac_event *event, void *data) {
    struct watching *watching = data;
    ProtobufCMessage *message = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    if (!event->is_protobuf || watching->done ||
        mac_codec_unpack(&macula__v1__health_event__descriptor, event->data, event->length, problems, &message) < 0)
        return;
    if (cli_output_json()) {
        json_t *tree = mac_codec_tree(message, 0);
        mac_autofree char *line = json_dumps(tree, JSON_COMPACT);
        printf("%s\n", line ? line : "{}");
        json_decref(tree);
    } else if (((const Macula__V1__HealthEvent *)message)->entry) {
        change_show((const Macula__V1__HealthEvent *)message);
    }
    fflush(stdout);
    protobuf_c_message_free_unpacked(message, NULL);
    if (watching->left && --watching->left == 0)
        watching->done = true;
}

/* First the subscription, then the state: nothing that happens between the two is missed. */
int cli_health_watch(cli_invocation *invocation) {
    int code;
    struct watching watching = {0};
    if (!cli_option_number(invocation, "count", 1, 1000000000, &watching.left))
        return CLI_USAGE;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_WORKLOAD, &code);
    if (!session)
        return code;
    mac_autofree char *subject = mac_asprintf("macula.pub.%s.health.changed", cli_session_realm(session));
    mac_subscription *subscription;
    if (mac_bus_subscribe(cli_session_bus(session), subject, on_change, &watching, &subscription) < 0) {
        cli_error("the realm \"%s\" cannot be part of a subject", cli_session_realm(session));
        return CLI_FAILED;
    }
    Macula__V1__HealthStatusRequest request = MACULA__V1__HEALTH_STATUS_REQUEST__INIT;
    ProtobufCMessage *answer;
    mac_error *error = cli_call(session, READS, "Status", &request.base, &answer);
    if (error)
        return cli_fail(error);
    if (!cli_output_json())
        (void)status_answer(answer, NULL);
    protobuf_c_message_free_unpacked(answer, NULL);
    cli_progress("listening");
    fflush(stdout);
    cli_session_run_until(session, &watching.done);
    return CLI_OK;
}
