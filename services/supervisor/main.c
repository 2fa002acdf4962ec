/* macula-supervisor: arguments and assembly. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mac-program.h"
#include "log/mac-log.h"
#include "supervisor-manager.h"

static const char help[] =
    "Usage: macula-supervisor [OPTION]…\n"
    "Runs a node: makes the configuration, starts the bus (nats-server) and the services, and keeps them up.\n\n"
    "  --root DIR          act on DIR as the system (MACULA_ROOT; default /)\n"
    "  --units DIR         directory of the services' unit files (MACULA_UNITS; default: those installed with it)\n"
    "  --port N            port of the bus (MACULA_NATS_PORT; default: as configured, 4222; a free one if that is "
    "taken)\n"
    "  --boot-command CMD  shell command in place of confd --boot; empty: none\n"
    "  --backoff MS        wait before a unit that died is started again, doubled each time (default 200)\n"
    "  --help, --version\n"
    "SIGTERM or SIGINT ends the node in order, a second one at once; SIGHUP makes the bus's configuration anew.\n";

static char *absolute(const char *path) {
    char here[4096];
    if (!path || !*path || strcmp(path, "/") == 0)
        return NULL;
    if (path[0] == '/' || !getcwd(here, sizeof here))
        return mac_strdup(path);
    return mac_asprintf("%s/%s", here, path);
}

static bool number(const char *name, const char *text, unsigned long min, unsigned long max, unsigned long *ret_value) {
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || *end || end == text || value < min || value > max) {
        fprintf(stderr, "macula-supervisor: %s: expected a number from %lu to %lu, found \"%s\"\n", name, min, max,
                text);
        return false;
    }
    *ret_value = value;
    return true;
}

int main(int argc, char **argv) {
    static const struct option known[] = {
        {"root", required_argument, NULL, 'r'},    {"units", required_argument, NULL, 'u'},
        {"port", required_argument, NULL, 'p'},    {"boot-command", required_argument, NULL, 'b'},
        {"backoff", required_argument, NULL, 'w'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},       {NULL, 0, NULL, 0},
    };
    const char *root = getenv("MACULA_ROOT"), *units = getenv("MACULA_UNITS"), *port = getenv("MACULA_NATS_PORT");
    const char *boot = NULL, *backoff = NULL;
    unsigned long value = 0;
    for (int option; (option = getopt_long(argc, argv, "h", known, NULL)) >= 0;) {
        const char **taker = option == 'r'   ? &root
                             : option == 'u' ? &units
                             : option == 'p' ? &port
                             : option == 'b' ? &boot
                             : option == 'w' ? &backoff
                                             : NULL;
        if (taker) {
            *taker = optarg;
        } else if (option == 'h' || option == 'v') {
            fputs(option == 'h' ? help : "macula-supervisor " MACULA_VERSION "\n", stdout);
            return 0;
        } else {
            fputs("Try macula-supervisor --help.\n", stderr);
            return 2;
        }
    }
    supervisor_options options = {.policy = SUPERVISOR_POLICY};
    const char *port_name = port == getenv("MACULA_NATS_PORT") ? "MACULA_NATS_PORT" : "--port";
    if (port && *port && !number(port_name, port, 1, 65535, &value))
        return 2;
    options.port = (uint16_t)value;
    if (backoff && !number("--backoff", backoff, 1, 60000, &value))
        return 2;
    if (backoff)
        options.policy.backoff_ms = value;
    options.root = absolute(root);
    options.units = units && *units ? absolute(units) : NULL;
    options.boot_command = mac_strdup(boot);
    mac_log_init("supervisor");
    char *directory = mac_program_directory();
    return supervisor_manager_run(options, directory ? directory : mac_strdup("/usr/libexec/macula"));
}
