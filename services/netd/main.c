/* netd: the network of the node. */
#include <stdlib.h>

#include "netd-manager.h"

/* resolver(5): no question of netd waits longer than four seconds for an answer, yet the usual five for a server that
 * is silent would never let the next one be asked, and hold up its end. */
#define RESOLVER "timeout:1 attempts:2"

int main(int argc, char **argv) {
    static const mac_service_definition definition = {
        .name = "netd",
        .description = "Keeps addresses, routes, name servers and the firewall as the configuration says",
        .start = netd_manager_start,
        .stop = netd_manager_stop,
        .free = netd_manager_free,
    };
    setenv("RES_OPTIONS", RESOLVER, 0);
    return mac_service_main(argc, argv, &definition);
}
