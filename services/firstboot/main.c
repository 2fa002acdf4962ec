/* firstboot: sets up a node that has never been configured. */
#include "firstboot-manager.h"

int main(int argc, char **argv) {
    static const mac_service_definition definition = {
        .name = "firstboot",
        .description = "Sets up a node that has never been configured: the page on port 80, codes, pairing",
        .start = firstboot_manager_start,
        .connected = firstboot_manager_connected,
        .stop = firstboot_manager_stop,
        .free = firstboot_manager_free,
    };
    return mac_service_main(argc, argv, &definition);
}
