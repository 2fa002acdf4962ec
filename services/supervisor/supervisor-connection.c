/* Our own connection to the bus that we run. The bus module retries; a new one is needed only when the address changes.
 */
#include <errno.h>
#include <string.h>

#include "log/mac-log.h"
#include "supervisor-manager.h"
#include "supervisor-methods.h"

static void publish_failure(supervisor_manager *manager) {
    Macula__V1__SupervisorEvent event = MACULA__V1__SUPERVISOR_EVENT__INIT;
    event.unit = (char *)SUPERVISOR_SERVER_NAME;
    event.message = manager->pending_failure;
    event.has_time_ms = true;
    event.time_ms = mac_unix_ms();
    if (mac_bus_publish(manager->bus, "supervisor.bus_failed", &event.base) < 0)
        mac_log_warning("event not published", "topic=supervisor.bus_failed");
    free(mac_take(&manager->pending_failure));
}

static void on_state(mac_bus *bus, mac_bus_state state, const mac_error *error, void *data) {
    supervisor_manager *manager = data;
    if (bus != manager->bus || state == MAC_BUS_CLOSED)
        return;
    if (state == MAC_BUS_CONNECTED) {
        mac_log_debug("connected to the bus", "url=%s", manager->bus_url);
        if (manager->pending_failure)
            publish_failure(manager);
        supervisor_announce(manager);
    } else if (error && manager->server.task.unit.state == SUPERVISOR_READY) {
        mac_log_warning("no connection to the bus", "why=" MAC_LOG_Q("%s"), error->message);
    }
}

static void connect_(supervisor_manager *manager) {
    mac_bus_options options = {
        .loop = manager->host.loop,
        .url = manager->bus_url,
        .name = "supervisor",
        .realm = supervisor_apply_realm(manager->apply),
        .seed = manager->seed,
        .on_state = on_state,
        .data = manager,
    };
    free(manager->bus_url);
    manager->bus_url = mac_strdup(manager->server.url);
    options.url = manager->bus_url;
    manager->bus = mac_bus_new(&options);
    int result = supervisor_methods_serve(manager->methods, manager->bus);
    if (result < 0)
        mac_log_error("procedures not served", "error=%s", strerror(-result));
    mac_bus_start(manager->bus);
}

static void on_moved(void *data) {
    supervisor_manager *manager = data;
    manager->bus_closing = false;
    if (manager->phase == SUPERVISOR_ENDING)
        supervisor_ending_go_on(manager);
    else
        supervisor_connection_ensure(manager);
}

void supervisor_connection_ensure(supervisor_manager *manager) {
    if (manager->bus_closing)
        return;
    if (!manager->bus) {
        connect_(manager);
    } else if (!mac_streq(manager->bus_url, manager->server.url)) {
        manager->bus_closing = true;
        mac_bus_close(mac_take(&manager->bus), on_moved, manager);
    }
}
