/* Whoever calls a service that does not run is to hear so at once: until its process says that it is ready we stand in
 * for it on the bus. */
#include "nats/mac-nats.h"
#include "supervisor-manager.h"

static bool is_ready(supervisor_manager *manager, const char *process) {
    const supervisor_task *task = supervisor_manager_unit(manager, process);
    return task && (task->unit.state == SUPERVISOR_READY || (task->coming && task->coming == task->unit.pid));
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

static void on_left(const mac_answer *answer, void *data) {
    (void)answer; /* without a connection nobody asks us */
    supervisor_task *task = data;
    bool is_same = task->coming && task->coming == task->unit.pid; /* it may have died meanwhile */
    task->coming = 0;
    if (is_same)
        supervisor_unit_said_ready(&task->unit);
}

void supervisor_absent_end(supervisor_manager *manager, supervisor_task *task) {
    if (!manager->bus || mac_bus_current_state(manager->bus) != MAC_BUS_CONNECTED) {
        supervisor_unit_said_ready(&task->unit);
        return;
    }
    if (task->unit.state != SUPERVISOR_STARTING || task->coming == task->unit.pid)
        return;
    task->coming = task->unit.pid;
    supervisor_absent_update(manager);
    mac_bus_flush(manager->bus, on_left, task);
}
