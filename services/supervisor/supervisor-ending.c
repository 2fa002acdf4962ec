/* The end of a node, step by step: units in reverse order, our connection, nats-server, the handles of the loop. */
#include <signal.h>
#include <unistd.h>

#include "log/mac-log.h"
#include "supervisor-log.h"
#include "supervisor-manager.h"
#include "supervisor-methods.h"

static bool somebody_needs(const supervisor_manager *manager, const char *name) {
    for (size_t i = 0; i < manager->unit_count; i++) {
        const supervisor_unit *unit = &manager->units[i].unit;
        for (size_t j = 0; unit->state != SUPERVISOR_STOPPED && j < unit->file->n_after; j++)
            if (mac_streq(unit->file->after[j], name))
                return true;
    }
    return false;
}

/* Asks all units to end that nobody needs any more; returns whether all have. */
static bool units_ended(supervisor_manager *manager) {
    bool all = true;
    for (size_t i = manager->unit_count; i-- > 0;) {
        supervisor_unit *unit = &manager->units[i].unit;
        if (!somebody_needs(manager, unit->name))
            supervisor_unit_stop(unit);
        all = all && unit->state == SUPERVISOR_STOPPED;
    }
    return all;
}

static void closed_one(supervisor_manager *manager) {
    if (--manager->closing > 0)
        return;
    for (size_t i = 0; i < manager->unit_count; i++)
        supervisor_task_free(&manager->units[i]);
}

static void on_handle_closed(uv_handle_t *handle) {
    closed_one(handle->data);
}

static void on_task_closed(uv_handle_t *handle) {
    supervisor_task *task = handle->data;
    closed_one(task->hooks.data);
}

static void on_part_closed(void *data) {
    closed_one(data);
}

static void close_core(supervisor_manager *manager) {
    manager->core_closing = true;
    if (mac_fs_remove(manager->host.root, SUPERVISOR_READY_FILE) < 0)
        mac_log_debug("the node was not ready", NULL);
    if (mac_fs_remove(manager->host.root, SUPERVISOR_RUNTIME "/server.url") < 0)
        mac_log_debug("no address of the bus to remove", NULL); /* it never came up */
    manager->closing = (unsigned)(MAC_ARRAY_SIZE(manager->signals) + manager->unit_count + 4);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(manager->signals); i++)
        uv_close((uv_handle_t *)&manager->signals[i], on_handle_closed);
    for (size_t i = 0; i < manager->unit_count; i++)
        supervisor_task_close(&manager->units[i], on_task_closed);
    supervisor_log_close();
    uv_close((uv_handle_t *)&manager->grace, on_handle_closed);
    uv_close((uv_handle_t *)&manager->rollback.again, on_handle_closed);
    supervisor_notify_close(manager->host.notify);
    supervisor_children_close(manager->host.children, on_part_closed, manager);
    supervisor_server_close(&manager->server, on_part_closed, manager);
}

static void on_bus_closed(void *data) {
    supervisor_manager *manager = data;
    manager->bus_closing = false;
    supervisor_ending_go_on(manager);
}

void supervisor_ending_go_on(supervisor_manager *manager) {
    supervisor_unit *server = &manager->server.task.unit;
    if (manager->phase != SUPERVISOR_ENDING || manager->core_closing || !units_ended(manager) || manager->bus_closing)
        return;
    if (manager->bus) {
        manager->bus_closing = true;
        mac_bus_close(mac_take(&manager->bus), on_bus_closed, manager);
        return;
    }
    supervisor_unit_stop(server);
    if (server->state == SUPERVISOR_STOPPED && !manager->core_closing)
        close_core(manager);
}

static void kill_everything(supervisor_manager *manager) {
    mac_log_warning("second request to end: killing what still runs", NULL);
    for (size_t i = 0; i < manager->unit_count; i++)
        if (manager->units[i].process)
            supervisor_process_kill(manager->units[i].process, SIGKILL);
    if (manager->server.task.process)
        supervisor_process_kill(manager->server.task.process, SIGKILL);
    supervisor_log_flush();
    _exit(1);
}

void supervisor_manager_end(supervisor_manager *manager, int exit_code) {
    if (manager->phase == SUPERVISOR_ENDING)
        kill_everything(manager);
    manager->exit_code = exit_code;
    supervisor_manager_enter(manager, SUPERVISOR_ENDING);
    supervisor_ending_go_on(manager);
}
