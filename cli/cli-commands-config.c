/* The commands of config: what each is called, takes and does, and one example. */
#include "cli-command.h"
#include "cli-config.h"

static const char *const schema_forms[] = {"text", "json-schema", NULL};
#define CHANGE_OPTIONS                                                                                                 \
    {"message", 'm', "TEXT", "why, for the history", NULL},                                                            \
        {"author", 0, "NAME", "who, in place of your login name", NULL},                                               \
        {"expect", 0, "N", "only if generation N is the current one", NULL},                                           \
        {"confirm", 0, "TIME", "goes back by itself unless confirmed within this time", NULL},                         \
        {"dry-run", 'n', NULL, "show what would change; touch nothing", NULL}, {                                       \
        "job", 0, "ID", "an id of yours: asking again with it answers with the first outcome", NULL                    \
    }
static const cli_option change_options[] = {CHANGE_OPTIONS, {0}};
static const cli_option set_options[] = {CHANGE_OPTIONS, {"unset", 0, NULL, "back to the default", NULL}, {0}};
static const cli_option apply_options[] = {CHANGE_OPTIONS, {"yes", 'y', NULL, "do not ask", NULL}, {0}};
static const cli_option get_options[] = {{"generation", 'g', "N", "from this generation", NULL},
                                         {"set-only", 0, NULL, "leave out what has its default", NULL},
                                         {0}};
static const cli_option history_options[] = {
    {"limit", 'l', "N", "how many, 50", NULL}, {"before", 0, "N", "only generations older than N", NULL}, {0}};
static const cli_option confirm_options[] = {{"author", 0, "NAME", "who, in place of your login name", NULL},
                                             {"generation", 'g', "N", "only if generation N is the pending one", NULL},
                                             {0}};
static const cli_option drift_options[] = {
    {"fix", 0, NULL, "make it so again", NULL}, {"author", 0, "NAME", "who, in place of your login name", NULL}, {0}};
static const cli_option schema_options[] = {{"form", 0, "FORM", "text or json-schema", schema_forms}, {0}};

const cli_command cli_commands_config[] = {
    {.name = "config get",
     .arguments = "[PATH]",
     .most = 1,
     .run = cli_config_get,
     .completion = CLI_COMPLETE_KEYS,
     .options = get_options,
     .summary = "Shows the configuration, or one value of it.",
     .details = "Without a path the whole document. Secrets are shown as ********.",
     .example = "maculaos config get\nmaculaos config get hostname\nmaculaos config get "
                "'maculaos.sysctls[\"net.ipv4.ip_forward\"]'"},
    {.name = "config set",
     .arguments = "PATH [VALUE]",
     .least = 1,
     .most = 2,
     .run = cli_config_set,
     .completion = CLI_COMPLETE_KEYS,
     .options = set_options,
     .summary = "Sets one value.",
     .details =
         "VALUE is JSON, or a bare word where the key wants text. With --unset the key goes back to its default. "
         "The change is checked by every service concerned before anything happens, and taken back if one fails.",
     .example = "maculaos config set hostname edge-7\nmaculaos config set maculaos.ntp_servers '[\"pool.ntp.org\"]' -m "
                "'own clock'\n"
                "maculaos config set maculaos.timezone --unset"},
    {.name = "config patch",
     .arguments = "JSON|-",
     .least = 1,
     .most = 1,
     .run = cli_config_patch,
     .options = change_options,
     .summary = "Changes several values at once, by a JSON merge patch (RFC 7396).",
     .details = "Objects merge, lists replace, null goes back to the default. - reads the patch from standard input.",
     .example = "maculaos config patch '{\"hostname\":\"edge-7\",\"maculaos\":{\"timezone\":\"Europe/Berlin\"}}'"},
    {.name = "config apply",
     .arguments = "[FILE|-]",
     .most = 1,
     .run = cli_config_apply,
     .options = apply_options,
     .completion = CLI_COMPLETE_FILE,
     .summary = "Makes a file the node's configuration, or re-reads the files on the node.",
     .details =
         "With FILE (YAML or JSON) the file replaces /var/lib/maculaos/config.yaml. Without one the files on "
         "the node are "
         "read again. Fragments in config.d and the kernel command line still count. FILE has at most 1000000 bytes.",
     .example = "maculaos config apply node.yaml --dry-run\nmaculaos config apply node.yaml --confirm 120s\nmaculaos "
                "config confirm"},
    {.name = "config validate",
     .arguments = "FILE|-",
     .least = 1,
     .most = 1,
     .run = cli_config_validate,
     .completion = CLI_COMPLETE_FILE,
     .without_node = true,
     .summary = "Checks a configuration file; needs no running node.",
     .details = "FILE has at most 1000000 bytes, as for config apply.",
     .example = "maculaos config validate node.yaml"},
    {.name = "config diff",
     .arguments = "[FROM [TO]]",
     .most = 2,
     .run = cli_config_diff,
     .summary = "Shows what differs between two generations.",
     .details = "Without TO the current generation; without FROM the one that was in force before it.",
     .example = "maculaos config diff\nmaculaos config diff 3 7 -o json"},
    {.name = "config history",
     .arguments = "",
     .run = cli_config_history,
     .options = history_options,
     .summary = "Lists the generations, newest first.",
     .example = "maculaos config history --limit 5"},
    {.name = "config show",
     .arguments = "[GENERATION]",
     .most = 1,
     .run = cli_config_show,
     .summary = "Shows one generation with its document.",
     .example = "maculaos config show 3"},
    {.name = "config rollback",
     .arguments = "[GENERATION]",
     .most = 1,
     .run = cli_config_rollback,
     .options = change_options,
     .summary = "Applies an earlier generation again.",
     .details = "Without a number the one before the current.",
     .example = "maculaos config rollback -m 'the new address did not work'\nmaculaos config rollback 3"},
    {.name = "config confirm",
     .arguments = "",
     .run = cli_config_confirm,
     .options = confirm_options,
     .summary = "Keeps a change that was applied with --confirm.",
     .details =
         "Only who applied it may confirm it, from the account where they did: that is the proof that the node can "
         "still be reached. What proves it is a token that `--confirm` keeps in ~/.local/state/maculaos/confirm (or "
         "below XDG_STATE_HOME). Anybody with the admin key may take the change back at once: maculaos config rollback",
     .example = "maculaos config apply node.yaml --confirm 2m\nmaculaos config confirm"},
    {.name = "config drift",
     .arguments = "",
     .run = cli_config_drift,
     .options = drift_options,
     .summary = "Compares the node with its configuration.",
     .details = "Exit code 0 when all is as configured, 1 when something is not. --fix makes it so again.",
     .example = "maculaos config drift\nmaculaos config drift --fix"},
    {.name = "config edit",
     .arguments = "",
     .run = cli_config_edit,
     .options = change_options,
     .summary = "Opens config.yaml in your editor and applies what you saved.",
     .details = "Uses VISUAL or EDITOR, else vi. A mistake is shown and the editor opens again with your text; if "
                "somebody else "
                "changed the configuration meanwhile, nothing is applied and your text is kept. What `config set` and "
                "`config patch` have changed is not in that text and stays in force, but for the keys that you edit: "
                "there your text counts.",
     .example = "maculaos config edit\nEDITOR=nano maculaos config edit --confirm 2m"},
    {.name = "config schema",
     .arguments = "[PATH]",
     .most = 1,
     .run = cli_config_schema,
     .completion = CLI_COMPLETE_KEYS,
     .options = schema_options,
     .without_node = true,
     .summary = "Explains the keys of the configuration.",
     .example = "maculaos config schema\nmaculaos config schema maculaos.network\nmaculaos config schema --form "
                "json-schema > schema.json"},
    {.name = "config status",
     .arguments = "",
     .run = cli_config_status,
     .summary = "Shows which generation is in force and what is pending.",
     .example = "maculaos config status -o json"},
    {.name = "config boot",
     .arguments = "",
     .run = cli_config_boot,
     .without_node = true,
     .summary = "Applies the configuration's boot phase, without a bus; the init system calls it.",
     .example = "maculaos config boot"},
    {0},
};
