/* The commands of upgrade: what each is called, takes and does, and one example. */
#include "cli-command.h"
#include "cli-upgrade.h"

static const cli_option history_options[] = {
    {"limit", 'l', "N", "how many, 50", NULL}, {"before", 0, "N", "only generations older than N", NULL}, {0}};
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

const cli_command cli_commands_upgrade[] = {
    {.name = "upgrade",
     .arguments = "",
     .run = cli_upgrade,
     .options = upgrade_options,
     .summary = "Shows which version runs and which there is; with an option, upgrades.",
     .details =
         "--from DIR alone means --apply. Exit code 3 when there is nothing to do, 4 when a restart tries the new "
         "version.",
     .example = "maculaos upgrade\nmaculaos upgrade --check\nmaculaos upgrade --apply; [ $? = 4 ] && maculaos node "
                "reboot --yes --reason 'new version'\nmaculaos upgrade --from /mnt/usb"},
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
     .details =
         "Also one that was started in the place of the active one, by the boot menu or because that is damaged: it "
         "becomes the active one, and the other one can be written again.",
     .example = "maculaos upgrade confirm"},
    {.name = "upgrade history",
     .arguments = "",
     .run = cli_upgrade_history,
     .options = history_options,
     .summary = "Shows how upgrades ended, newest first.",
     .example = "maculaos upgrade history --limit 5"},
    {.name = "upgrade set-channel",
     .arguments = "CHANNEL",
     .least = 1,
     .most = 1,
     .run = cli_upgrade_channel,
     .options = upgrade_author_options,
     .words = upgrade_channels,
     .completion = CLI_COMPLETE_WORDS,
     .summary = "Sets which versions are offered: stable, beta or nightly.",
     .example = "maculaos upgrade set-channel beta"},
    {0},
};
