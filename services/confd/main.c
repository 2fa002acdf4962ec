/* confd: the configuration service. */
#include "confd-manager.h"

int main(int argc, char **argv) {
    static const mac_service_definition definition = {
        .name = "confd",
        .description = "Keeps the node's configuration: accepts, applies, takes back, remembers",
        .start = confd_manager_start,
        .stop = confd_manager_stop,
        .free = confd_manager_free,
        .boot = confd_boot,
    };
    return mac_service_main(argc, argv, &definition);
}
