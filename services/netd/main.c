/* netd: the network of the node. */
#include "netd-manager.h"

int main(int argc, char **argv) {
    static const mac_service_definition definition = {
        .name = "netd",
        .description = "Keeps addresses, routes, name servers and the firewall as the configuration says",
        .start = netd_manager_start,
        .stop = netd_manager_stop,
        .free = netd_manager_free,
    };
    return mac_service_main(argc, argv, &definition);
}
