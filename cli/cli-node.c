/* node info|reboot|shutdown|cancel|run. */
#include "cli-node.h"

#include <string.h>
#include <unistd.h>

#include "cli-boot.h"
#include "cli-output.h"
#include "cli-program.h"
#include "cli-session.h"
#include "macula/v1/node.pb-c.h"

/* A program that stops a node must say why; of a person at the command line the node knows who it is. */
#define REASON_NONE "asked for on the command line"

static void row(const char *name, const char *value) {
    if (value && *value)
        cli_print(CLI_PLAIN, "%-12s %s\n", name, value);
}

static void reset_show(const Macula__V1__ResetRecord *reset) {
    mac_autofree char *time = cli_time(reset->time_ms);
    cli_print(CLI_PLAIN, "%-12s at %s%s\n", "last reset", time, reset->kept_data ? ", user data stayed" : "");
    if (reset->has_left)
        cli_print(CLI_RED, "%-12s %u entries of the former owner could not be removed (%s): they are in /data/.reset\n",
                  "", reset->left, reset->left_reason ? reset->left_reason : "");
}

static void info_show(const Macula__V1__NodeInfo *info) {
    mac_autofree char *up = cli_span(info->uptime_s),
                      *generation = mac_asprintf("%llu", (unsigned long long)info->generation);
    row("node", info->node_id);
    row("hostname", info->hostname);
    row("realm", info->realm);
    row("version", info->version);
    row("arch", info->arch);
    row("kernel", info->kernel);
    row("up", up);
    row("slot", info->slot);
    row("generation", generation);
    if (info->pending_generation)
        cli_print(CLI_YELLOW, "%-12s generation %llu waits to be confirmed\n", "pending",
                  (unsigned long long)info->pending_generation);
    if (info->next_stop) {
        mac_autofree char *time = cli_time(info->next_stop->due_ms);
        cli_print(CLI_YELLOW, "%-12s %s at %s, by %s: %s\n", "next stop", info->next_stop->action, time,
                  info->next_stop->author ? info->next_stop->author : "?",
                  info->next_stop->reason ? info->next_stop->reason : "no reason given");
    }
    if (info->last_stop && !info->next_stop) { /* it is that one until then */
        mac_autofree char *time = cli_time(info->last_stop->time_ms);
        cli_print(CLI_PLAIN, "%-12s %s by %s at %s: %s\n", "last stop", info->last_stop->action,
                  info->last_stop->author ? info->last_stop->author : "?", time,
                  info->last_stop->reason ? info->last_stop->reason : "no reason given");
    }
    if (info->last_reset)
        reset_show(info->last_reset);
}

int cli_node_info(cli_invocation *invocation) {
    int code;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    if (!session)
        return code;
    Macula__V1__NodeStatusRequest request = MACULA__V1__NODE_STATUS_REQUEST__INIT;
    ProtobufCMessage *answer;
    mac_error *error = cli_call(session, &macula__v1__node__descriptor, "Info", &request.base, &answer);
    if (error)
        return cli_fail(error);
    if (cli_output_json() || cli_output_yaml())
        cli_print_message(answer);
    else
        info_show((const Macula__V1__NodeInfo *)answer);
    protobuf_c_message_free_unpacked(answer, NULL);
    return CLI_OK;
}

static int power(cli_invocation *invocation, const char *method, const char *question) {
    Macula__V1__PowerRequest request = MACULA__V1__POWER_REQUEST__INIT;
    mac_autofree char *author = cli_author(invocation);
    uint32_t delay = 0;
    if (!cli_option_seconds(invocation, "delay", &delay))
        return CLI_USAGE;
    if (!cli_option_given(invocation, "yes")) {
        int answer = cli_ask(question);
        if (answer < 0) {
            cli_error("this is not a terminal: say --yes");
            return CLI_USAGE;
        }
        if (answer == 0)
            return CLI_FAILED;
    }
    if (cli_option_given(invocation, "recovery")) {
        int prepared = cli_boot_prepare_recovery(invocation);
        if (prepared != CLI_OK)
            return prepared;
    }
    request.author = author;
    const char *reason = cli_option_value(invocation, "reason");
    request.reason = (char *)(uintptr_t)(reason ? reason : REASON_NONE);
    request.has_delay_s = delay > 0;
    request.delay_s = delay;
    int code;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    if (!session)
        return code;
    ProtobufCMessage *message;
    mac_error *error = cli_call(session, &macula__v1__node_control__descriptor, method, &request.base, &message);
    if (error)
        return cli_fail(error);
    const Macula__V1__PowerRecord *record = ((const Macula__V1__PowerAnswer *)message)->record;
    if (cli_output_json() || cli_output_yaml())
        cli_print_message(message);
    else if (record && record->action && strchr(record->action, '(')) /* below another root: said there */
        cli_print(CLI_PLAIN, "Nothing is stopped: %s.\n", record->action);
    else
        cli_print(CLI_PLAIN, "The node has been asked to %s.\n", strcmp(method, "Reboot") == 0 ? "restart" : "stop");
    protobuf_c_message_free_unpacked(message, NULL);
    return CLI_OK;
}

int cli_node_reboot(cli_invocation *invocation) {
    return power(invocation, "Reboot", "Restart this node?");
}

int cli_node_shutdown(cli_invocation *invocation) {
    return power(invocation, "Shutdown", "Switch this node off?");
}

int cli_node_cancel(cli_invocation *invocation) {
    Macula__V1__PowerCancelRequest request = MACULA__V1__POWER_CANCEL_REQUEST__INIT;
    mac_autofree char *author = cli_author(invocation);
    request.author = author;
    int code;
    mac_autoptr(cli_session) session = cli_session_open(invocation, CLI_ADMIN_IF_READABLE, &code);
    if (!session)
        return code;
    ProtobufCMessage *message;
    mac_error *error = cli_call(session, &macula__v1__node_control__descriptor, "Cancel", &request.base, &message);
    if (error)
        return cli_fail(error);
    if (cli_output_json() || cli_output_yaml())
        cli_print_message(message);
    else
        cli_print(CLI_PLAIN, "The node stays up: %s has been cancelled.\n",
                  ((const Macula__V1__PowerAnswer *)message)->record->action);
    protobuf_c_message_free_unpacked(message, NULL);
    return CLI_OK;
}

int cli_node_run(cli_invocation *invocation) {
    const char *arguments[12];
    size_t count = 0;
    mac_autofree char *directory = cli_root_directory(invocation);
    const char *given = cli_option_value(invocation, "root");
    if (!*directory && !mac_streq(given, "/") && !mac_streq(getenv("MACULA_ROOT"), "/")) {
        cli_error("which node? Name a directory with --root or MACULA_ROOT; --root / makes this very machine the node");
        return CLI_USAGE;
    }
    const char *port = cli_option_value(invocation, "port"), *units = cli_option_value(invocation, "units");
    uint64_t number = 0;
    if (!cli_option_number(invocation, "port", 1, 65535, &number))
        return CLI_USAGE;
    arguments[count++] = "--root";
    arguments[count++] = *directory ? directory : "/";
    if (port) {
        arguments[count++] = "--port";
        arguments[count++] = port;
    }
    if (units) {
        arguments[count++] = "--units";
        arguments[count++] = units;
    }
    arguments[count] = NULL;
    return cli_program_become("macula-supervisor", arguments);
}
