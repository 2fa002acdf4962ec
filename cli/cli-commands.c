/* All commands of the command line, group by group, and those of the bus and of the command line itself. */
#include "cli-boot.h"
#include "cli-command.h"
#include "cli-config.h"
#include "cli-health.h"
#include "cli-net.h"
#include "cli-node.h"
#include "cli-setup.h"
#include "cli-upgrade.h"

static const char *const outputs[] = {"text", "json", "yaml", NULL};
static const char *const progresses[] = {"auto", "plain", "none", NULL};

const cli_option cli_global_options[] = {
    {"output", 'o', "FORM", "text, json or yaml", outputs},
    {"root", 0, "DIR", "root directory of the node (MACULA_ROOT)", NULL},
    {"server", 's', "URL", "the node's bus (MACULA_SERVER), e.g. nats://127.0.0.1:4222", NULL},
    {"key", 0, "FILE", "nkey seed to connect with, in place of the node's admin key", NULL},
    {"timeout", 0, "TIME", "how long to wait for an answer, 60s", NULL},
    {"progress", 0, "HOW", "auto, plain or none", progresses},
    {"help", 'h', NULL, "this help", NULL},
    {0},
};

static const char *const shells[] = {"bash", "zsh", "fish", NULL};
static const cli_option events_options[] = {{"count", 'c', "N", "end after so many", NULL}, {0}};
static const cli_option render_options[] = {
    {"file", 'f', "FILE", "render for this configuration file in place of the node's", NULL}, {0}};
static const cli_option man_options[] = {{"write", 'w', "DIR", "write the pages of all commands into DIR", NULL}, {0}};
static const cli_option restart_options[] = {{"author", 0, "NAME", "who, in place of your login name", NULL}, {0}};

static const cli_command commands[] = {
    {.name = "services",
     .arguments = "[PATTERN]",
     .most = 1,
     .run = cli_services,
     .summary = "Lists who is on the bus, with request and error counts.",
     .details = "PATTERN selects by procedure, with NATS wildcards: config.*, sensor.>.",
     .example = "maculaos services\nmaculaos services 'config.*'"},
    {.name = "services restart",
     .arguments = "NAME",
     .least = 1,
     .most = 1,
     .run = cli_services_restart,
     .options = restart_options,
     .summary = "Restarts one service of the node and waits until it is ready.",
     .example = "maculaos services restart confd"},
    {.name = "services processes",
     .arguments = "",
     .run = cli_services_processes,
     .summary = "Shows the processes of the node: state, restarts, memory.",
     .example = "maculaos services processes"},
    {.name = "call",
     .arguments = "PROCEDURE [JSON|-]",
     .least = 1,
     .most = 2,
     .run = cli_call_command,
     .completion = CLI_COMPLETE_PROCEDURES,
     .summary = "Calls any procedure on the bus.",
     .details = "PROCEDURE is service.method (config.get), or a whole subject. The request is JSON; - reads it from "
                "standard input.",
     .example = "maculaos call config.get '{\"path\":\"hostname\"}'\nmaculaos call node"},
    {.name = "events",
     .arguments = "[PATTERN]",
     .most = 1,
     .run = cli_events,
     .options = events_options,
     .summary = "Shows events as they happen, until interrupted.",
     .details = "PATTERN selects topics, with NATS wildcards: config.*, node.>.",
     .example = "maculaos events\nmaculaos events 'config.*' --count 1 -o json"},

    {.name = "nats render",
     .arguments = "",
     .run = cli_nats_render,
     .options = render_options,
     .without_node = true,
     .summary = "Prints the configuration of the node's NATS server.",
     .details = "With the port that the running node's bus has, or MACULA_NATS_PORT asks for, when that is not the "
                "configured one. Secrets are shown as ********.",
     .example = "maculaos nats render\nmaculaos nats render -f node.yaml"},
    {.name = "nats permissions",
     .arguments = "",
     .run = cli_nats_permissions,
     .without_node = true,
     .summary = "Shows who may call which procedure.",
     .example = "maculaos nats permissions"},

    {.name = "completion",
     .arguments = "SHELL",
     .least = 1,
     .most = 1,
     .run = cli_completion_run,
     .words = shells,
     .completion = CLI_COMPLETE_WORDS,
     .without_node = true,
     .summary = "Prints the completion for bash, zsh or fish.",
     .example = "source <(maculaos completion bash)"},
    {.name = "completion words",
     .arguments = "-- WORD...",
     .least = 1,
     .most = 1000,
     .run = cli_candidates_run,
     .without_node = true,
     .summary = "Prints what the last word, maybe empty, can become; the shells ask it.",
     .details = "A line a word, with what it is about after a tab. The line :files stands for names of files.",
     .example = "maculaos completion words -- config get maculaos.ha"},
    {.name = "man",
     .arguments = "[COMMAND...]",
     .most = 2,
     .run = cli_man_run,
     .options = man_options,
     .without_node = true,
     .summary = "Prints the man page of a command.",
     .example = "maculaos man config apply | man -l -"},
    {0},
};

static const cli_command *const groups[] = {cli_commands_config, cli_commands_node, cli_commands_health,
                                            cli_commands_upgrade, commands};

const cli_command *cli_command_next(const cli_command *command) {
    if (!command)
        return groups[0];
    if (command[1].name)
        return command + 1;
    for (size_t group = 0; group < MAC_ARRAY_SIZE(groups); group++)
        for (const cli_command *one = groups[group]; one->name; one++)
            if (one == command)
                return group + 1 < MAC_ARRAY_SIZE(groups) ? groups[group + 1] : NULL;
    return NULL;
}
