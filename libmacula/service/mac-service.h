/* The main of every service: options, log, root, identity, bus, readiness, watchdog, signals, privileges.
 *
 *   netd [--root DIR] [--server URL] [--realm NAME] [--user NAME] [--log-level L] [--help] [--version]
 * Environment (set by the supervisor): MACULA_ROOT, MACULA_SERVER, MACULA_REALM, NOTIFY_SOCKET, WATCHDOG_USEC.
 * Ready (READY=1, sd_notify(3) protocol) is said when start() has returned and the bus has accepted every subscription; STATUS= follows
 * the bus. SIGTERM and SIGINT drain the bus, call stop() and end with 0; a second signal ends at once. */
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
    /* Extra options of this service: handled returns true if it took argv[*index] (and may advance it). May be NULL. */
    bool (*option)(int argc, char **argv, int *index);
    const char *option_help; /* lines for --help; may be NULL */
} mac_service_definition;

int mac_service_main(int argc, char **argv, const mac_service_definition *definition);

uv_loop_t *mac_service_loop(mac_service *service);
mac_bus *mac_service_bus(mac_service *service);
mac_root *mac_service_root(mac_service *service);
const char *mac_service_realm(const mac_service *service);
void mac_service_stopped(mac_service *service);
/* Ends the service as if SIGTERM had come, with this exit code. */
void mac_service_quit(mac_service *service, int exit_code);

/* sd_notify(3) without libsystemd: sends state to NOTIFY_SOCKET; nothing if it is not set. */
void mac_notify(const char *state);

#endif
