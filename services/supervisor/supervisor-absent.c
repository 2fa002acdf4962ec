/* Whoever calls a service that does not run is to hear so at once: until its process says that it is ready we stand in
 * for it on the bus. */
#include "nats/mac-nats.h"
#include "supervisor-manager.h"

static bool is_ready(supervisor_manager *manager, const char *process) {
    const supervisor_task *task = supervisor_manager_unit(manager, process);
    return task && task->unit.state == SUPERVISOR_READY;
}

void supervisor_absent_update(supervisor_manager *manager) {
    for (size_t i = 0; manager->bus && mac_api_services[i]; i++) {
        mac_autofree char *name = mac_bus_service_name(mac_api_services[i]);
        const char *process = mac_nats_owner(name);
        if (mac_streq(process, "supervisor"))
            continue;
        if (is_ready(manager, process))
            mac_bus_stand_down(manager->bus, name);
        else
            mac_bus_stand_in(manager->bus, name);
    }
}
