/* The bus itself: services, call, events. */
#include <stdio.h>
#include <string.h>

#include "cli-config.h"
#include "cli-node.h"
#include "cli-output.h"
#include "cli-session.h"
#include "codec/mac-codec.h"
#include "macula/v1/discover.pb-c.h"
#include "macula/v1/supervisor.pb-c.h"
#include "nats/mac-nats.h"

static void services_table(const Macula__V1__DiscoverAnswer *answer) {
    cli_table *table = cli_table_new(
        (const char *[]){"SERVICE", "VERSION", "PROCEDURE", "REQUESTS", "ERRORS", "AVERAGE", "ACCESS", NULL});
    for (size_t i = 0; i < answer->n_services; i++) {
        const Macula__V1__DiscoveredService *service = answer->services[i];
        for (size_t p = 0; p < service->n_procedures; p++) {
            const Macula__V1__DiscoveredProcedure *procedure = service->procedures[p];
            mac_autofree char *requests = mac_asprintf("%llu", (unsigned long long)procedure->requests),
                              *errors = mac_asprintf("%llu", (unsigned long long)procedure->errors),
                              *average = procedure->requests
                                             ? mac_asprintf("%llu µs", (unsigned long long)procedure->average_us)
                                             : mac_strdup("");
            cli_table_row(table, (const char *[]){p == 0 ? service->name : "", p == 0 ? service->version : "",
                                                  procedure->subject, requests, errors, average,
                                                  procedure->control                            ? "admin"
                                                  : strstr(procedure->subject, ".participant.") ? "node"
                                                  : service->system                             ? "everyone"
                                                                                                : "workload"});
        }
    }
    cli_table_print(table);
}

/* Words joined by dots; with wildcards, * for one word and > for the rest. */
static bool subject_is_good(const char *subject, bool wildcards) {
    for (const char *word = subject;; word++) {
        size_t length = strcspn(word, ".");
        bool wild = length == 1 && (*word == '*' || (*word == '>' && !word[length]));
        if (length == 0 || (strcspn(word, " \t\r\n*>") < length && !(wild && wildcards)))
            return false;
        word += length;
        if (!*word)
            return true;
    }
}

int cli_services(cli_invocation *invocation) {
    int code;
    const char *pattern = cli_argument(invocation, 0);
    if (pattern && !subject_is_good(pattern, true)) {
        cli_error("\"%s\" is not a pattern of procedures: expected words joined by dots, such as config.* or sensor.>",
                  pattern);
        return CLI_USAGE;
    }
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    if (!session)
        return code;
    mac_autofree char *subject =
        mac_asprintf("macula.discover.%s.%s", cli_session_realm(session), pattern ? pattern : ">");
    mac_autofree char *text = NULL;
    mac_error *error = cli_call_raw(session, subject, "", &text);
    if (error)
        return cli_fail(error);
    mac_problems *problems = mac_problems_new();
    ProtobufCMessage *answer;
    if (mac_codec_from_json(&macula__v1__discover_answer__descriptor, text, strlen(text), problems, &answer) < 0)
        return cli_fail(mac_error_from_problems(problems));
    mac_problems_free(problems);
    if (cli_output_json() || cli_output_yaml())
        cli_print_message(answer);
    else if (pattern && ((const Macula__V1__DiscoverAnswer *)answer)->n_services == 0)
        cli_print(CLI_PLAIN, "Nobody on the bus serves %s; all there is: maculaos services\n", pattern);
    else
        services_table((const Macula__V1__DiscoverAnswer *)answer);
    protobuf_c_message_free_unpacked(answer, NULL);
    return CLI_OK;
}

static void processes_table(const Macula__V1__SupervisorStatus *status) {
    cli_table *table =
        cli_table_new((const char *[]){"UNIT", "STATE", "PID", "RESTARTS", "SINCE", "MEMORY", "STATUS", NULL});
    for (size_t i = 0; i < status->n_units; i++) {
        const Macula__V1__UnitStatus *unit = status->units[i];
        const ProtobufCEnumValue *state =
            protobuf_c_enum_descriptor_get_value(&macula__v1__unit_status__state__descriptor, unit->state);
        mac_autofree char *pid = unit->pid ? mac_asprintf("%u", unit->pid) : mac_strdup(""),
                          *restarts = mac_asprintf("%u", unit->restarts), *since = cli_time(unit->since_ms),
                          *memory = unit->memory_bytes
                                        ? mac_asprintf("%llu kB", (unsigned long long)unit->memory_bytes / 1024)
                                        : mac_strdup("");
        cli_table_row(table, (const char *[]){unit->name, state ? state->name : "?", pid, restarts, since, memory,
                                              unit->message});
    }
    cli_table_print(table);
}

/* Asks for them; `code` unless that fails. */
static int processes_show(cli_session *session, int code) {
    Macula__V1__SupervisorStatusRequest request = MACULA__V1__SUPERVISOR_STATUS_REQUEST__INIT;
    ProtobufCMessage *answer;
    mac_error *error = cli_call(session, &macula__v1__supervisor__descriptor, "Status", &request.base, &answer);
    if (error)
        return cli_fail(error);
    if (cli_output_json() || cli_output_yaml())
        cli_print_message(answer);
    else
        processes_table((const Macula__V1__SupervisorStatus *)answer);
    protobuf_c_message_free_unpacked(answer, NULL);
    return code;
}

int cli_services_processes(cli_invocation *invocation) {
    int code;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    return session ? processes_show(session, CLI_OK) : code;
}

/* A unit that is on its way up again. */
struct restarting {
    const char *name;
    Macula__V1__UnitStatus__State state;
    bool ended, late; /* it is ready or will not be; that was not to be waited for */
};

static void on_unit(const mac_event *event, void *data) {
    struct restarting *unit = data;
    Macula__V1__UnitStatus *status = macula__v1__unit_status__unpack(NULL, event->length, event->data);
    if (!status)
        return;
    if (mac_streq(status->name, unit->name)) {
        unit->state = status->state;
        unit->ended = status->state == MACULA__V1__UNIT_STATUS__STATE__ready ||
                      status->state == MACULA__V1__UNIT_STATUS__STATE__failed ||
                      status->state == MACULA__V1__UNIT_STATUS__STATE__finished;
    }
    macula__v1__unit_status__free_unpacked(status, NULL);
}

static void on_too_late(const mac_answer *answer, void *data) {
    struct restarting *unit = data;
    if (answer->error->code == MACULA__V1__ERROR_CODE__TIMED_OUT)
        unit->ended = unit->late = true;
}

/* Waits until it has come up or has failed for good; the exit code, having said what is wrong. */
static int restart_await(cli_session *session, struct restarting *unit) {
    mac_call *limit = mac_bus_pause(cli_session_bus(session), cli_session_deadline(session), on_too_late, unit);
    bool ended = cli_session_run_until(session, &unit->ended);
    if (limit && !unit->late)
        mac_call_cancel(limit);
    if (ended && !unit->late && unit->state != MACULA__V1__UNIT_STATUS__STATE__failed)
        return CLI_OK;
    if (ended && !unit->late)
        cli_error("%s has not come up again; its log says why", unit->name);
    else
        cli_error("%s was asked to restart and is not ready yet; see: maculaos services processes", unit->name);
    return ended && !unit->late ? CLI_FAILED : CLI_TIMED_OUT;
}

int cli_services_restart(cli_invocation *invocation) {
    Macula__V1__SupervisorRestartRequest request = MACULA__V1__SUPERVISOR_RESTART_REQUEST__INIT;
    mac_autofree char *author = cli_author(invocation);
    request.name = (char *)cli_argument(invocation, 0);
    request.author = author;
    int code;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    if (!session)
        return code;
    struct restarting unit = {.name = request.name};
    mac_autofree char *subject = mac_asprintf("macula.pub.%s.supervisor.unit", cli_session_realm(session));
    mac_subscription *events = NULL;
    bool is_server = mac_streq(request.name, "nats-server"); /* takes the bus with it, and its events */
    bool hears = !is_server && mac_bus_subscribe(cli_session_bus(session), subject, on_unit, &unit, &events) == 0;
    ProtobufCMessage *answer;
    mac_error *error =
        cli_call(session, &macula__v1__supervisor_control__descriptor, "Restart", &request.base, &answer);
    if (!error) {
        protobuf_c_message_free_unpacked(answer, NULL);
        if (is_server)
            cli_session_outlive_restart(session);
        else if (hears)
            code = restart_await(session, &unit);
    }
    if (hears)
        mac_bus_unsubscribe(events);
    /* The answer to the request tells of the time before it: what is shown is asked for afterwards. */
    return error ? cli_fail(error) : processes_show(session, code);
}

/* Whether the node itself serves a procedure: its service part is one of the API's. */
static bool procedure_is_ours(const char *procedure) {
    size_t length = strcspn(procedure, ".");
    for (size_t i = 0; mac_api_services[i]; i++) {
        mac_autofree char *name = mac_bus_service_name(mac_api_services[i]);
        if (strlen(name) == length && memcmp(name, procedure, length) == 0)
            return true;
    }
    return false;
}

/* "config.get" → its subject. A whole subject stays as it is. */
static char *procedure_subject(const cli_session *session, const char *procedure) {
    if (mac_starts_with(procedure, "macula.") || procedure[0] == '$')
        return mac_strdup(procedure);
    return mac_asprintf("macula.rpc.%s.%s", cli_session_realm(session), procedure);
}

/* Workloads live in an account of their own, where "nobody serves it" is said at once: their procedures are called from
 * there. */
static cli_identity identity_for(const char *procedure) {
    bool whole = mac_starts_with(procedure, "macula.") || procedure[0] == '$';
    return whole || procedure_is_ours(procedure) ? CLI_ADMIN_IF_READABLE : CLI_WORKLOAD;
}

/* Whether a whole subject is that of a procedure of this realm which the node does not serve itself. */
static bool subject_is_of_workload(const cli_session *session, const char *subject) {
    mac_autofree char *ours = mac_asprintf("macula.rpc.%s.", cli_session_realm(session));
    return mac_starts_with(subject, ours) && !procedure_is_ours(subject + strlen(ours));
}

/* As who a procedure is asked: a whole subject tells that only together with the realm, which the session has. */
static cli_session *session_for(cli_invocation *invocation, const char *procedure, int *ret_code) {
    cli_session *session = cli_session_open(invocation, identity_for(procedure), ret_code);
    if (!session || !subject_is_of_workload(session, procedure))
        return session;
    cli_session_close(session);
    return cli_session_open(invocation, CLI_WORKLOAD, ret_code);
}

/* A JSON answer is shown as JSON or YAML; anything else as it came. */
static void answer_show(const char *text) {
    json_error_t where;
    json_t *tree = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
    if (tree && (cli_output_json() || cli_output_yaml()))
        cli_print_tree(tree);
    else if (tree) {
        mac_autofree char *pretty = cli_json_text(tree, JSON_INDENT(2));
        cli_print_text(pretty);
    } else
        cli_print_text(text);
    json_decref(tree);
}

int cli_call_command(cli_invocation *invocation) {
    mac_autofree char *from_stdin = NULL, *text = NULL;
    const char *procedure = cli_argument(invocation, 0);
    const char *body = cli_argument(invocation, 1) ? cli_argument(invocation, 1) : "";
    size_t length;
    if (!subject_is_good(procedure, false)) {
        cli_error("\"%s\" is not the name of a procedure: expected service.method such as config.get; see: maculaos "
                  "services",
                  procedure);
        return CLI_USAGE;
    }
    mac_error *error = mac_streq(body, "-") ? cli_read_text("-", &from_stdin, &length) : NULL;
    if (error)
        return cli_fail(error);
    /* Others may take anything; the node takes JSON, and says no more than that it is none. */
    mac_autoptr(json_t) request = NULL;
    mac_problems *problems = mac_problems_new();
    const char *given = from_stdin ? from_stdin : body;
    if (*given && procedure_is_ours(procedure) &&
        mac_codec_parse_json("request", given, strlen(given), problems, &request) < 0)
        return cli_fail(mac_error_from_problems(problems));
    mac_problems_free(problems);
    int code;
    mac_autoptr(cli_session) session = session_for(invocation, procedure, &code);
    if (!session)
        return code;
    mac_autofree char *subject = procedure_subject(session, procedure);
    error = cli_call_raw(session, subject, given, &text);
    if (error)
        return cli_fail(error);
    answer_show(text);
    return CLI_OK;
}

struct watching {
    uint64_t left; /* 0: no end */
    bool done, late;
};

static void on_event(const mac_event *event, void *data) {
    struct watching *watching = data;
    /* The protobuf form has a JSON twin on macula.sub. What a stream delivers where events come has a subject of its
     * own. */
    if (event->is_protobuf || watching->done || !mac_starts_with(event->subject, "macula."))
        return;
    mac_autofree char *text = mac_strndup(event->data ? event->data : "", event->length);
    if (cli_output_json()) {
        json_error_t where;
        json_t *tree = json_loads(text, JSON_DECODE_ANY, &where);
        json_t *line = json_pack("{s:s, s:o}", "subject", event->subject, "event", tree ? tree : json_string(text));
        mac_autofree char *out = line ? cli_json_text(line, JSON_COMPACT) : NULL;
        printf("%s\n", out ? out : "{}");
        json_decref(line);
    } else {
        mac_autofree char *now = cli_time(mac_unix_ms());
        cli_print(CLI_DIM, "%s ", now);
        cli_print(CLI_BOLD, "%s ", event->subject);
        cli_print(CLI_PLAIN, "%s\n", text);
    }
    fflush(stdout);
    if (watching->left && --watching->left == 0)
        watching->done = true;
}

/* Said when the server has the subscription: from now on nothing is missed. */
static void on_listening(const mac_answer *answer, void *data) {
    (void)data;
    if (!answer->error)
        cli_progress("listening");
}

static void on_late(const mac_answer *answer, void *data) {
    struct watching *watching = data;
    if (answer->error->code != MACULA__V1__ERROR_CODE__TIMED_OUT)
        return; /* the session ends */
    watching->late = watching->done = true;
}

int cli_events(cli_invocation *invocation) {
    int code;
    struct watching watching = {0};
    if (!cli_option_number(invocation, "count", 1, 1000000000, &watching.left))
        return CLI_USAGE;
    const char *pattern = cli_argument(invocation, 0) ? cli_argument(invocation, 0) : ">";
    /* As a workload: that account sees the node's events and the workloads' own. */
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_WORKLOAD, &code);
    if (!session)
        return code;
    static const char *const branches[] = {"sub", "pub"};
    for (size_t i = 0; i < 2; i++) {
        mac_autofree char *subject = mac_asprintf("macula.%s.%s.%s", branches[i], cli_session_realm(session), pattern);
        if (mac_bus_subscribe(cli_session_bus(session), subject, on_event, &watching, NULL) < 0) {
            cli_error("\"%s\" is not a pattern of topics: config.*, node.>", pattern);
            return CLI_USAGE;
        }
    }
    mac_bus_flush(cli_session_bus(session), on_listening, NULL);
    mac_call *limit = cli_option_given(invocation, "timeout")
                          ? mac_bus_pause(cli_session_bus(session), cli_session_deadline(session), on_late, &watching)
                          : NULL;
    cli_session_run_until(session, &watching.done);
    if (limit && !watching.late)
        mac_call_cancel(limit);
    if (!watching.late || !watching.left)
        return CLI_OK;
    cli_error("%llu more events were waited for", (unsigned long long)watching.left);
    return CLI_TIMED_OUT;
}
