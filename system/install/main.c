/* macula-install: options; what happens is in install-run.c. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "codec/mac-schema.h"
#include "install-report.h"
#include "install-run.h"

static const char help[] =
    "Usage: macula-install [OPTION]... [DISK]\n"
    "Installs MaculaOS to a disk. EVERYTHING on that disk is lost. Without --yes it asks on the terminal: disk, "
    "keyboard,\n"
    "host name, password, SSH keys, network, roles, time zone; then shows the answers and what will be erased, and "
    "asks "
    "again.\n\n"
    "  DISK               path, name or serial number of a whole disk, or auto: the only one that can be used\n"
    "      --image FILE   install into a file in place of a disk\n"
    "      --size SIZE    with --image: make the file, or extend it, to this size (4G)\n"
    "  -c, --config FILE  configuration of the new node (YAML); where it asks, Enter takes what that says\n"
    "  -s, --set KEY=VALUE\n"
    "                     one key of the configuration, over the file; may be repeated\n"
    "  -y, --yes          ask nothing\n"
    "  -n, --dry-run      check everything and show what would be done; nothing is written\n"
    "      --ask          ask although the configuration says silent\n"
    "      --if-silent    do nothing unless the configuration says silent (exit code 3)\n"
    "  -l, --list         show the disks, and why one cannot be used\n"
    "      --reboot, --power-off\n"
    "                     what to do when it is done\n"
    "      --medium DIR   where the files to install are (" INSTALL_MEDIUM ")\n"
    "      --progress auto|plain|none\n"
    "  -o, --output text|json\n"
    "  -h, --help         this\n\n"
    "The same can be set on the kernel command line (maculaos.install.device=/dev/vda maculaos.install.silent …) and "
    "in the\n"
    "section `install` of the configuration.\n"
    "Exit codes: 0 done, 1 failed or left, 2 usage, 3 nothing to do, 5 refused (disk or configuration), 6 only root "
    "may do this.\n"
    "Examples: macula-install\n"
    "          macula-install /dev/nvme0n1 --config node.yaml --yes --power-off\n"
    "          macula-install --image node.img --size 4G --medium /mnt/live --set hostname=edge-7 --yes\n";

enum { IMAGE = 256, SIZE, REBOOT, POWER_OFF, MEDIUM, PROGRESS, ASK, IF_SILENT };

static const struct option known[] = {
    {"image", required_argument, NULL, IMAGE},
    {"size", required_argument, NULL, SIZE},
    {"config", required_argument, NULL, 'c'},
    {"set", required_argument, NULL, 's'},
    {"yes", no_argument, NULL, 'y'},
    {"dry-run", no_argument, NULL, 'n'},
    {"list", no_argument, NULL, 'l'},
    {"reboot", no_argument, NULL, REBOOT},
    {"power-off", no_argument, NULL, POWER_OFF},
    {"ask", no_argument, NULL, ASK},
    {"if-silent", no_argument, NULL, IF_SILENT},
    {"medium", required_argument, NULL, MEDIUM},
    {"progress", required_argument, NULL, PROGRESS},
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static bool parse_progress(const char *text, install_progress *ret_progress) {
    if (mac_streq(text, "auto"))
        *ret_progress = isatty(STDERR_FILENO) ? INSTALL_PROGRESS_LINE : INSTALL_PROGRESS_PLAIN;
    else if (mac_streq(text, "plain"))
        *ret_progress = INSTALL_PROGRESS_PLAIN;
    else if (mac_streq(text, "none"))
        *ret_progress = INSTALL_PROGRESS_NONE;
    else
        return false;
    return true;
}

/* False: what was given is wrong, and what was said. */
static bool parse_one(int option, install_options *options) {
    switch (option) {
    case IMAGE:
        options->image = optarg;
        return true;
    case SIZE:
        if (mac_value_size(optarg, &options->size) == 0 && options->size)
            return true;
        fprintf(stderr, "macula-install: --size: a size such as 4G expected, found %s\n", optarg);
        return false;
    case 'c':
        options->config = optarg;
        return true;
    case 's':
        mac_strings_add(&options->set, optarg);
        return true;
    case 'y':
        return options->yes = true;
    case 'n':
        return options->dry_run = true;
    case 'l':
        return options->list = true;
    case REBOOT:
        return options->reboot = true;
    case POWER_OFF:
        return options->power_off = true;
    case ASK:
        return options->ask = true;
    case IF_SILENT:
        return options->if_silent = true;
    case MEDIUM:
        options->medium = optarg;
        return true;
    case PROGRESS:
        if (parse_progress(optarg, &options->progress))
            return true;
        fprintf(stderr, "macula-install: --progress: auto, plain or none expected, found %s\n", optarg);
        return false;
    case 'o':
        options->json = mac_streq(optarg, "json");
        if (options->json || mac_streq(optarg, "text"))
            return true;
        fprintf(stderr, "macula-install: --output: text or json expected, found %s\n", optarg);
        return false;
    default:
        fputs("macula-install --help says more\n", stderr);
        return false;
    }
}

static const char *contradiction(const install_options *options, int argc) {
    if (optind + 1 < argc)
        return "one disk expected";
    if (options->image && optind < argc)
        return "--image stands in place of a disk: give one of them";
    if (options->size && !options->image)
        return "--size is for --image";
    if (options->ask && (options->yes || options->if_silent))
        return "--ask, or --yes or --if-silent, not both";
    return options->reboot && options->power_off ? "--reboot or --power-off, not both" : NULL;
}

int main(int argc, char **argv) {
    install_options options = {.medium = INSTALL_MEDIUM};
    parse_progress("auto", &options.progress);
    for (int option; (option = getopt_long(argc, argv, "c:s:ynlo:h", known, NULL)) >= 0;) {
        if (option == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (!parse_one(option, &options))
            return 2;
    }
    const char *wrong = contradiction(&options, argc);
    if (wrong) {
        fprintf(stderr, "macula-install: %s; macula-install --help says more\n", wrong);
        return 2;
    }
    options.disk = optind < argc ? argv[optind] : NULL;
    int code = install_run(&options);
    mac_strings_deinit(&options.set);
    return code;
}
