/* The main of every service: options, log, root, identity, bus, readiness, watchdog, signals, privileges.
 *
 *   netd [--root DIR] [--server URL] [--realm NAME] [--user NAME] [--log-level LEVEL] [--boot] [--help] [--version]
 * Environment (set by the supervisor): MACULA_ROOT, MACULA_SERVER, MACULA_REALM, MACULA_USER, MACULA_LOG,
 * NOTIFY_SOCKET, WATCHDOG_USEC; an option wins over its variable. Without --server: the URL in /run/macula/server.url
 * of the root, else nats://127.0.0.1:4222. The realm is io.macula unless said otherwise.
 *
 * In this order: options, log, root directory, nkey (identity/<name>.nk, made when missing), --user, bus, start(),
 * loop. So the seed is read and the root is open before root's rights are given up.
 *
 * Ready (READY=1, sd_notify(3) protocol) is said when start() has returned and the bus has accepted every subscription;
 * STATUS= follows the bus: a service that loses it says so and goes on. With WATCHDOG_USEC the loop pings at half of
 * it; without, nothing wakes it. SIGTERM and SIGINT call stop(), then drain the bus, then free(), and end with 0; a
 * second signal ends at once with 128 + its number. Exit codes: 0 asked to end, 1 cannot run (logged), 2 wrong options.
 * SIGPIPE is ignored; malloc keeps to one arena and libuv's pool to one thread, which is enough for a service and saves
 * memory. */
#ifndef MAC_SERVICE_H
#define MAC_SERVICE_H

#include <uv.h>

#include "bus/mac-bus.h"
#include "fs/mac-fs.h"

typedef struct mac_service mac_service;

typedef struct mac_service_definition {
    const char *name;        /* "netd": also the nkey's file identity/netd.nk and the name on the bus */
    const char *description; /* one sentence, for --help and $SRV.INFO */
    /* Builds the root object and serves its procedures; the bus exists but may not be connected yet. NULL or the reason
     * why the service cannot run (logged; exit code 1). */
    mac_error *(*start)(mac_service *service, void **ret_object);
    /* Asked to end: finish or cancel what runs, then call mac_service_stopped. NULL: at once. */
    void (*stop)(mac_service *service, void *object);
    void (*free)(void *object);
    /* The bus is connected (again), or lost; not after stop(). May be NULL. */
    void (*connected)(mac_service *service, void *object, bool connected);
    /* Extra options of this service: handled returns true if it took argv[*index] (and may advance it). May be NULL. */
    bool (*option)(int argc, char **argv, int *index);
    const char *option_help; /* lines for --help, each ends with a line break; may be NULL */
    /* Chosen by --boot: runs instead of start(), with loop and root but neither bus nor identity (mac_service_bus() is
     * NULL; rights are given up only if --user is given), and returns the exit code. It may run the loop itself; what
     * it opened there it closes. NULL: this service has no --boot. */
    int (*boot)(mac_service *service);
} mac_service_definition;

/* Returns the exit code. At most one service runs in a process. */
int mac_service_main(int argc, char **argv, const mac_service_definition *definition);

/* All of these belong to the service and live until free() has returned. */
uv_loop_t *mac_service_loop(mac_service *service);
mac_bus *mac_service_bus(mac_service *service);
mac_root *mac_service_root(mac_service *service);
const char *mac_service_realm(const mac_service *service);
/* What the service does now, one line, for whoever started it (STATUS= of sd_notify(3); "maculaos services processes"
 * shows it). */
void mac_service_status(const char *status);
/* The answer to stop(): nothing runs any more. Further calls do nothing. */
void mac_service_stopped(mac_service *service);
/* Ends the service as if SIGTERM had come, with this exit code. Also from start(). */
void mac_service_quit(mac_service *service, int exit_code);

/* sd_notify(3) without libsystemd: sends state to NOTIFY_SOCKET (a path, or @name for an abstract one); nothing if it
 * is not set. A supervisor that does not read holds the caller up for a second at most. */
void mac_notify(const char *state);

#endif
