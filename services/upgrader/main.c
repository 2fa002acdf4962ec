/* upgrader: finds, fetches, verifies and tries new versions of the system, and goes back. */
#include "upgrader-manager.h"

int main(int argc, char **argv) {
    static const mac_service_definition definition = {
        .name = "upgrader",
        .description = "Finds, fetches, verifies and tries new versions of the system, and goes back",
        .start = upgrader_manager_start,
        .stop = upgrader_manager_stop,
        .free = upgrader_manager_free,
    };
    return mac_service_main(argc, argv, &definition);
}
