/* Every command of the command line: what it is called, takes and does, and one example. */
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
static const char *const shells[] = {"bash", "zsh", "fish", NULL};
static const char *const schema_forms[] = {"text", "json-schema", NULL};

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
#define POWER_OPTIONS                                                                                                  \
    {"reason", 'r', "TEXT", "why; kept and shown after the start", NULL},                                              \
        {"delay", 0, "TIME", "wait so long first", NULL},                                                              \
        {"author", 0, "NAME", "who, in place of your login name", NULL}, {                                             \
        "yes", 'y', NULL, "do not ask", NULL                                                                           \
    }
static const cli_option power_options[] = {POWER_OPTIONS, {0}};
static const cli_option reboot_options[] = {
    POWER_OPTIONS, {"recovery", 0, NULL, "start the recovery, once; needs root", NULL}, {0}};
static const cli_option reset_options[] = {{"confirm", 0, NULL, "yes, this node is to be erased", NULL},
                                           {"keep-data", 0, NULL, "keep what is in /var/lib/data", NULL},
                                           {"reason", 0, "TEXT", "why, for the record of the node", NULL},
                                           {"yes", 'y', NULL, "do not ask", NULL},
                                           {0}};
static const char *const boot_modes[] = {"normal", "recovery", "install", NULL};
static const cli_option events_options[] = {{"count", 'c', "N", "end after so many", NULL}, {0}};
static const cli_option render_options[] = {
    {"file", 'f', "FILE", "render for this configuration file in place of the node's", NULL}, {0}};
static const cli_option run_options[] = {{"port", 'p', "N", "port of the bus (MACULA_NATS_PORT)", NULL},
                                         {"units", 0, "DIR", "directory of the units", NULL},
                                         {0}};
static const cli_option man_options[] = {{"write", 'w', "DIR", "write the pages of all commands into DIR", NULL}, {0}};
static const cli_option cancel_options[] = {{"author", 0, "NAME", "who, in place of your login name", NULL}, {0}};
static const cli_option health_history_options[] = {{"limit", 'l', "N", "how many, 50", NULL},
                                                    {"before", 0, "N", "only entries before number N", NULL},
                                                    {"check", 'c', "NAME", "only of this check", NULL},
                                                    {0}};
static const cli_option health_watch_options[] = {{"count", 'n', "N", "end after so many changes", NULL}, {0}};
static const cli_option health_person_options[] = {{"message", 'm', "TEXT", "why, for the next person", NULL},
                                                   {"author", 0, "NAME", "who, in place of your login name", NULL},
                                                   {0}};
static const cli_option setup_options[] = {
    {"answers", 'a', "FILE", "take answers from lines NAME=VALUE, - for standard input", NULL},
    {"pair", 0, "CODE", "pair with the Portal by its code", NULL},
    {"finish", 0, NULL, "write the configuration", NULL},
    {"no-reboot", 0, NULL, "do not restart then", NULL},
    {0}};
static const cli_option restart_options[] = {{"author", 0, "NAME", "who, in place of your login name", NULL}, {0}};

static const cli_option net_options[] = {{"author", 0, "NAME", "who, in place of your login name", NULL}, {0}};
static const cli_option net_down_options[] = {
    {"author", 0, "NAME", "who, in place of your login name", NULL},
    {"force", 0, NULL, "also when the node then has no way to its gateway", NULL},
    {0}};
#define HEALTH_EXIT                                                                                                    \
    "Exit code 0: ok, 10: degraded (something has failed that the node can do without), 11: failed, 12: not known "    \
    "yet. "                                                                                                            \
    "Of one check 0: ok, 11: failed, 12: not looked at yet."
#define UPGRADE_AUTHOR                                                                                                 \
    { "author", 0, "NAME", "who, in place of your login name", NULL }
#define UPGRADE_FROM                                                                                                   \
    { "from", 0, "DIR", "a directory of the node with a release, in place of the configured source", NULL }
#define UPGRADE_APPLY                                                                                                  \
    UPGRADE_FROM, UPGRADE_AUTHOR, {"downgrade", 0, NULL, "also a lower version or an older release", NULL},            \
        {"force", 0, NULL, "also a version that failed here before, or that runs", NULL},                              \
        {"full", 0, NULL, "fetch all of it, whatever is here already", NULL},                                          \
        {"reboot", 0, NULL, "restart as soon as it is written", NULL},                                                 \
        {"no-wait", 0, NULL, "do not wait for the end", NULL}, {                                                       \
        "job", 0, "ID", "an id of yours: asking again with it joins the same job", NULL                                \
    }
#define UPGRADE_ROLLBACK                                                                                               \
    {"yes", 'y', NULL, "do not ask", NULL}, {                                                                          \
        "reason", 'r', "TEXT", "why, for the history", NULL                                                            \
    }
static const cli_option upgrade_options[] = {{"check", 0, NULL, "look for a newer version", NULL},
                                             {"apply", 0, NULL, "fetch, verify and write it, for the next start", NULL},
                                             {"rollback", 0, NULL, "back to the version in the other slot", NULL},
                                             {"cancel", 0, NULL, "end the upgrade that is under way", NULL},
                                             {"wait", 0, NULL, "wait for the end of the upgrade under way", NULL},
                                             UPGRADE_APPLY,
                                             UPGRADE_ROLLBACK,
                                             {0}};
static const cli_option upgrade_apply_options[] = {UPGRADE_APPLY, {0}};
static const cli_option upgrade_from_options[] = {UPGRADE_FROM, {0}};
static const cli_option upgrade_job_options[] = {
    UPGRADE_AUTHOR, {"job", 0, "ID", "only if this is the one under way", NULL}, {0}};
static const cli_option upgrade_wait_options[] = {{"job", 0, "ID", "this job", NULL}, {0}};
static const cli_option upgrade_rollback_options[] = {
    UPGRADE_ROLLBACK,
    UPGRADE_AUTHOR,
    {"force", 0, NULL, "also to a version that failed here before", NULL},
    {"reboot", 0, NULL, "restart at once", NULL},
    {0}};
static const cli_option upgrade_author_options[] = {UPGRADE_AUTHOR, {0}};
static const char *const upgrade_channels[] = {"stable", "beta", "nightly", NULL};

const cli_command cli_commands[] = {
    {.name = "config get",
     .arguments = "[PATH]",
     .most = 1,
     .run = cli_config_get,
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
     .details = "With FILE (YAML or JSON) the file replaces /var/lib/maculaos/config.yaml. Without one the files on "
                "the node are "
                "read again. Fragments in config.d and the kernel command line still count.",
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
     .example = "maculaos config validate node.yaml"},
    {.name = "config diff",
     .arguments = "[FROM [TO]]",
     .most = 2,
     .run = cli_config_diff,
     .summary = "Shows what differs between two generations.",
     .details = "Without TO the current generation; without FROM the one before it.",
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
         "still be "
         "reached. What proves it is a token that `--confirm` keeps in ~/.local/state/maculaos/confirm (or below "
         "XDG_STATE_HOME). Anybody with the admin key may take the change back at once: maculaos config rollback",
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
                "changed the configuration meanwhile, nothing is applied and your text is kept.",
     .example = "maculaos config edit\nEDITOR=nano maculaos config edit --confirm 2m"},
    {.name = "config schema",
     .arguments = "[PATH]",
     .most = 1,
     .run = cli_config_schema,
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

    {.name = "net status",
     .arguments = "",
     .run = cli_net_status,
     .summary = "Shows interfaces, addresses, gateways, name servers and the firewall.",
     .example = "maculaos net status\nmaculaos net status -o json | jq '.links[] | {name, addresses}'"},
    {.name = "net peers",
     .arguments = "",
     .run = cli_net_peers,
     .summary = "Shows the nodes that announce themselves in the local network.",
     .details = "This release announces the node but does not look for others: it says so, with exit code 1.",
     .example = "maculaos net peers"},
    {.name = "net diag",
     .arguments = "",
     .run = cli_net_diag,
     .summary = "Looks for what is wrong with the network, from the cable to the name servers.",
     .details = "Exit code 1 when a check fails. Each one that fails says what to do.",
     .example = "maculaos net diag"},
    {.name = "net renew",
     .arguments = "[INTERFACE]",
     .most = 1,
     .run = cli_net_renew,
     .options = net_options,
     .summary = "Asks for addresses by DHCP again.",
     .example = "maculaos net renew\nmaculaos net renew eth0"},
    {.name = "net up",
     .arguments = "INTERFACE",
     .least = 1,
     .most = 1,
     .run = cli_net_up,
     .options = net_options,
     .summary = "Lets an interface up that `net down` holds down.",
     .example = "maculaos net up eth1"},
    {.name = "net down",
     .arguments = "INTERFACE",
     .least = 1,
     .most = 1,
     .run = cli_net_down,
     .options = net_down_options,
     .summary = "Holds an interface down until `net up` or the next start of the node.",
     .details = "The interface that has the node's only gateway is refused without --force.",
     .example = "maculaos net down eth1"},
    {.name = "net scan",
     .arguments = "[INTERFACE]",
     .most = 1,
     .run = cli_net_scan,
     .options = net_options,
     .summary = "Shows the Wi-Fi networks that can be heard.",
     .example = "maculaos net scan"},

    {.name = "node info",
     .arguments = "",
     .run = cli_node_info,
     .summary = "Shows what this node is.",
     .example = "maculaos node info\nmaculaos node info -o json | jq -r .node_id"},
    {.name = "node reboot",
     .arguments = "",
     .run = cli_node_reboot,
     .options = reboot_options,
     .summary = "Restarts the machine.",
     .details = "Asks first, unless --yes is given.",
     .example = "maculaos node reboot --reason 'new kernel' --yes\nmaculaos node reboot --recovery --reason 'check the "
                "disk'"},
    {.name = "node shutdown",
     .arguments = "",
     .run = cli_node_shutdown,
     .options = power_options,
     .summary = "Switches the machine off.",
     .details = "Asks first, unless --yes is given.",
     .example = "maculaos node shutdown --reason 'moving the rack' --yes"},
    {.name = "node cancel",
     .arguments = "",
     .run = cli_node_cancel,
     .options = cancel_options,
     .summary = "Takes back a restart or a switching off that waits for its time.",
     .details = "Exit code 3 when nothing waits.",
     .example = "maculaos node shutdown --delay 10m --reason 'moving the rack' --yes\nmaculaos node cancel"},
    {.name = "node run",
     .arguments = "",
     .run = cli_node_run,
     .options = run_options,
     .without_node = true,
     .summary = "Runs nats-server and all services under a root directory in the foreground.",
     .details =
         "Starts them in order of readiness, restarts what dies, and ends all of them on SIGTERM or Ctrl-C. The root "
         "directory keeps the node's state and can be used again.",
     .example = "MACULA_ROOT=/tmp/node maculaos node run --port 4333"},

    {.name = "boot status",
     .arguments = "",
     .run = cli_boot_status,
     .without_node = true,
     .summary = "Shows which slot is active, which waits to be confirmed, and what the next start leads to.",
     .details = "Read from the disk, as root; needs no running node. Exit code 1 when both copies of the state are "
                "damaged.",
     .example = "maculaos boot status\nmaculaos boot status -o json | jq -r .active"},
    {.name = "boot slots",
     .arguments = "",
     .run = cli_boot_slots,
     .without_node = true,
     .summary = "Shows what the two slots hold.",
     .example = "maculaos boot slots"},
    {.name = "boot confirm",
     .arguments = "",
     .run = cli_boot_confirm,
     .without_node = true,
     .summary = "Makes the pending slot that runs the active one.",
     .details = "Exit code 3 when nothing waits to be confirmed.",
     .example = "maculaos boot confirm"},
    {.name = "boot next",
     .arguments = "MODE",
     .least = 1,
     .most = 1,
     .run = cli_boot_next,
     .words = boot_modes,
     .completion = CLI_COMPLETE_WORDS,
     .without_node = true,
     .summary = "Says what the next start leads to, once: normal, recovery or install.",
     .example = "maculaos boot next recovery"},
    {.name = "factory-reset",
     .arguments = "",
     .run = cli_factory_reset,
     .options = reset_options,
     .without_node = true,
     .summary = "Restarts this machine and erases configuration, keys, workloads and data.",
     .details =
         "The running version stays. What was begun is finished at the next start if the power fails meanwhile. "
         "Asks first, unless --yes is given. Root of the machine needs no running node; others, and --server, ask over "
         "the bus, with the admin key.",
     .example = "maculaos factory-reset --confirm --keep-data"},

    {.name = "setup",
     .arguments = "",
     .run = cli_setup,
     .options = setup_options,
     .summary = "Sets a new node up: asks on the terminal what the page asks in a browser.",
     .details = "What was answered is kept, also for the page.",
     .example = "maculaos setup --answers node.txt --pair KMH-472 --finish"},
    {.name = "setup code",
     .arguments = "",
     .run = cli_setup_code,
     .summary = "Shows address, code and QR code of the page.",
     .example = "maculaos setup code"},
    {.name = "setup status",
     .arguments = "",
     .run = cli_setup_status,
     .summary = "Shows how far the set-up is.",
     .example = "maculaos setup status"},

    {.name = "health",
     .arguments = "[CHECK]",
     .most = 1,
     .run = cli_health_status,
     .summary = "Shows whether the node is well, and why not.",
     .details = HEALTH_EXIT,
     .example = "maculaos health\nmaculaos health node.space -o json"},
    {.name = "health status",
     .arguments = "[CHECK]",
     .most = 1,
     .run = cli_health_status,
     .summary = "The same.",
     .details = HEALTH_EXIT,
     .example = "maculaos health status || echo 'not well'"},
    {.name = "health check",
     .arguments = "[CHECK]",
     .most = 1,
     .run = cli_health_check,
     .summary = "Looks now, at everything or one check, and shows the outcome.",
     .details = HEALTH_EXIT,
     .example = "maculaos health check\nmaculaos health check shop"},
    {.name = "health watch",
     .arguments = "",
     .run = cli_health_watch,
     .options = health_watch_options,
     .summary = "Shows how the node is, and what changes, until interrupted.",
     .example = "maculaos health watch\nmaculaos health watch --count 1 -o json"},
    {.name = "health history",
     .arguments = "",
     .run = cli_health_history,
     .options = health_history_options,
     .summary = "Lists what has happened, newest first.",
     .example = "maculaos health history --limit 5\nmaculaos health history --check shop"},
    {.name = "health gate",
     .arguments = "",
     .run = cli_health_gate,
     .summary = "Shows whether the version that runs may stay.",
     .details = "Exit code 0: it may, 1: it must not, 3: not decided yet.",
     .example = "maculaos health gate"},
    {.name = "health acknowledge",
     .arguments = "CHECK",
     .least = 1,
     .most = 1,
     .run = cli_health_acknowledge,
     .options = health_person_options,
     .summary = "Says that somebody takes care of a check that has failed.",
     .details = "It still counts, but nothing is restarted or cleaned up because of it until it has been well again.",
     .example = "maculaos health acknowledge shop -m 'the new disk comes tomorrow'"},
    {.name = "health silence",
     .arguments = "CHECK TIME",
     .least = 2,
     .most = 2,
     .run = cli_health_silence,
     .options = health_person_options,
     .summary = "Lets a check neither count nor act for some time.",
     .details = "At most 30d; 0 ends it. The check is still looked at, and still gates an upgrade.",
     .example = "maculaos health silence shop 2h -m 'maintenance'\nmaculaos health silence shop 0"},
    {.name = "upgrade",
     .arguments = "",
     .run = cli_upgrade,
     .options = upgrade_options,
     .summary = "Shows which version runs and which there is; with an option, upgrades.",
     .details =
         "--from DIR alone means --apply. Exit code 3 when there is nothing to do, 4 when a restart tries the new "
         "version.",
     .example =
         "maculaos upgrade\nmaculaos upgrade --check\nmaculaos upgrade --apply && maculaos node reboot\nmaculaos "
         "upgrade --from /mnt/usb"},
    {.name = "upgrade status",
     .arguments = "",
     .run = cli_upgrade_status,
     .summary = "Shows the running version, the other slot, what is under way, and how the last upgrade ended.",
     .example = "maculaos upgrade status -o json"},
    {.name = "upgrade check",
     .arguments = "",
     .run = cli_upgrade_check,
     .options = upgrade_from_options,
     .summary = "Looks for a newer version.",
     .details = "Exit code 3 when there is none.",
     .example = "maculaos upgrade check"},
    {.name = "upgrade plan",
     .arguments = "",
     .run = cli_upgrade_plan,
     .options = upgrade_from_options,
     .summary = "Shows what an upgrade would fetch and write; changes nothing.",
     .example = "maculaos upgrade plan"},
    {.name = "upgrade apply",
     .arguments = "[VERSION]",
     .most = 1,
     .run = cli_upgrade_apply,
     .options = upgrade_apply_options,
     .summary = "Fetches, verifies and writes a version; the next start tries it.",
     .details =
         "Waits for the end; the upgrade goes on without you. With VERSION only if that is what the source offers. "
         "Exit code 4: a restart tries it.",
     .example = "maculaos upgrade apply\nmaculaos upgrade apply --reboot\nmaculaos upgrade apply --from /mnt/usb"},
    {.name = "upgrade prefetch",
     .arguments = "[VERSION]",
     .most = 1,
     .run = cli_upgrade_prefetch,
     .options = upgrade_apply_options,
     .summary = "The same without having the next start try it: a later apply fetches nothing.",
     .details = "The version before the running one is overwritten: there is nothing to roll back to until the next "
                "upgrade.",
     .example = "maculaos upgrade prefetch"},
    {.name = "upgrade wait",
     .arguments = "",
     .run = cli_upgrade_wait,
     .options = upgrade_wait_options,
     .summary = "Waits for the end of the upgrade that is under way.",
     .example = "maculaos upgrade apply --no-wait\nmaculaos upgrade wait"},
    {.name = "upgrade cancel",
     .arguments = "",
     .run = cli_upgrade_cancel,
     .options = upgrade_job_options,
     .summary = "Ends the upgrade under way, or has the next start not try the new version.",
     .example = "maculaos upgrade cancel"},
    {.name = "upgrade pause",
     .arguments = "",
     .run = cli_upgrade_pause,
     .options = upgrade_job_options,
     .summary = "Stops fetching until it is resumed, also over a restart.",
     .example = "maculaos upgrade pause"},
    {.name = "upgrade resume",
     .arguments = "",
     .run = cli_upgrade_resume,
     .options = upgrade_job_options,
     .summary = "Goes on with an upgrade that was paused.",
     .example = "maculaos upgrade resume"},
    {.name = "upgrade rollback",
     .arguments = "",
     .run = cli_upgrade_rollback,
     .options = upgrade_rollback_options,
     .summary = "Goes back to the version in the other slot.",
     .details = "While a new version is on trial this restarts the node; otherwise the next start tries the other one. "
                "Asks first, unless --yes is given.",
     .example = "maculaos upgrade rollback --reason 'the radio does not work' --yes"},
    {.name = "upgrade confirm",
     .arguments = "",
     .run = cli_upgrade_confirm,
     .options = upgrade_author_options,
     .summary = "Keeps the version on trial without waiting for the checks of its health.",
     .example = "maculaos upgrade confirm"},
    {.name = "upgrade history",
     .arguments = "",
     .run = cli_upgrade_history,
     .options = history_options,
     .summary = "Shows how upgrades ended, newest first.",
     .example = "maculaos upgrade history --limit 5"},
    {.name = "upgrade channel",
     .arguments = "CHANNEL",
     .least = 1,
     .most = 1,
     .run = cli_upgrade_channel,
     .options = upgrade_author_options,
     .words = upgrade_channels,
     .completion = CLI_COMPLETE_WORDS,
     .summary = "Sets which versions are offered: stable, beta or nightly.",
     .example = "maculaos upgrade channel beta"},

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
     .summary = "Restarts one service of the node.",
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
