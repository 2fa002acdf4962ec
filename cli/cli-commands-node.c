/* The commands of net, node, boot, factory-reset, setup: what each is called, takes and does, and one example. */
#include "cli-boot.h"
#include "cli-command.h"
#include "cli-net.h"
#include "cli-node.h"
#include "cli-setup.h"

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
static const cli_option run_options[] = {{"port", 'p', "N", "port of the bus (MACULA_NATS_PORT)", NULL},
                                         {"units", 0, "DIR", "directory of the units", NULL},
                                         {0}};
static const cli_option cancel_options[] = {{"author", 0, "NAME", "who, in place of your login name", NULL}, {0}};
static const cli_option setup_options[] = {
    {"answers", 'a', "FILE", "take answers from lines NAME=VALUE, - for standard input", NULL},
    {"pair", 0, "CODE", "pair with the Portal by its code", NULL},
    {"finish", 0, NULL, "write the configuration", NULL},
    {"no-reboot", 0, NULL, "do not restart then", NULL},
    {0}};
static const cli_option net_options[] = {{"author", 0, "NAME", "who, in place of your login name", NULL}, {0}};
static const cli_option net_down_options[] = {
    {"author", 0, "NAME", "who, in place of your login name", NULL},
    {"force", 0, NULL, "also when the node then has no way to its gateway, or somebody is logged in by it", NULL},
    {0}};

const cli_command cli_commands_node[] = {
    {.name = "net status",
     .arguments = "",
     .run = cli_net_status,
     .summary = "Shows interfaces, addresses, gateways, name servers and the firewall.",
     .example = "maculaos net status\nmaculaos net status -o json | jq '.links[] | {name, addresses}'"},
    {.name = "net peers",
     .arguments = "",
     .run = cli_net_peers,
     .summary = "Shows the nodes that announce themselves in the local network.",
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
     .summary = "Asks for addresses by DHCP again, and waits for the answers.",
     .details =
         "At most 20 seconds. Exit code 8 when an interface gets no answer (its address stays for the time of its "
         "lease), 3 when there is none to ask for. DHCPv6 is not asked.",
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
     .summary = "Holds an interface down until `net up` or the next start of netd.",
     .details =
         "netd starts with the node, and after an update. The interface that has the node's only gateway, or by which "
         "somebody is logged in over SSH, is refused without --force.",
     .example = "maculaos net down eth1"},
    {.name = "net scan",
     .arguments = "[INTERFACE]",
     .most = 1,
     .run = cli_net_scan,
     .options = net_options,
     .summary = "Shows the Wi-Fi networks that can be heard.",
     .details = "What cannot be shown of a name is written as \\xNN. Of one network the strongest access point counts.",
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
     .details = "Asks first, unless --yes is given. Without --reason the record says who it was, not why.",
     .example = "maculaos node reboot --reason 'new kernel' --yes\nmaculaos node reboot --recovery --reason 'check the "
                "disk'"},
    {.name = "node shutdown",
     .arguments = "",
     .run = cli_node_shutdown,
     .options = power_options,
     .summary = "Switches the machine off.",
     .details = "Asks first, unless --yes is given. Without --reason the record says who it was, not why.",
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
     .summary = "Makes the slot that runs the active one.",
     .details = "The pending one, or one that was started in the place of the active one: by the boot menu, or because "
                "that is damaged. Exit code 3 when it is the active one already.",
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
     .example = "maculaos factory-reset --confirm --keep-data\nmaculaos factory-reset --confirm --yes"},

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
    {0},
};
