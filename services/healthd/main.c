/* healthd: whether this node is well. */
#include "healthd-manager.h"

int main(int argc, char **argv) {
    static const mac_service_definition definition = {
        .name = "healthd",
        .description = "Looks whether the node is well, restarts what is sick, feeds the watchdog",
        .start = healthd_manager_start,
        .stop = healthd_manager_stop,
        .connected = healthd_manager_connected,
        .free = healthd_manager_free,
    };
    return mac_service_main(argc, argv, &definition);
}
