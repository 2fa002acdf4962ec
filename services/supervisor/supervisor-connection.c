/* Our own connection to the bus that we run. The bus module retries; a new one is needed only when the address changes.
 */
#include <errno.h>
#include <string.h>

#include "log/mac-log.h"
#include "macula/v1/config.pb-c.h"
#include "supervisor-manager.h"
#include "supervisor-methods.h"

/* ---- the restart failed after all: the generation goes back, so that it and the node agree ---- */

#define ROLLBACK_AGAIN_MS 500
#define ROLLBACK_TRIES 60

static void ask_rollback(supervisor_manager *manager);

static void on_again(uv_timer_t *timer) {
    ask_rollback(timer->data);
}

static void on_rolled_back(const Macula__V1__ConfigOutcome *outcome, void *data) {
    supervisor_manager *manager = data;
    struct supervisor_rollback *rollback = &manager->rollback;
    const mac_error *error = outcome ? NULL : mac_client_error(&rollback->client);
    rollback->asking = false;
    if (manager->phase == SUPERVISOR_ENDING)
        return;
    if (error && error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE && ++rollback->tries < ROLLBACK_TRIES) {
        uv_timer_start(&rollback->again, on_again, ROLLBACK_AGAIN_MS, 0);
        return;
    }
    if (error)
        mac_log_error("generation whose bus does not start was not taken back", "generation=%llu why=" MAC_LOG_Q("%s"),
                      (unsigned long long)manager->generation, error->message);
    free(mac_take(&rollback->reason));
    manager->generation = 0;
}

static void ask_rollback(supervisor_manager *manager) {
    struct supervisor_rollback *rollback = &manager->rollback;
    if (rollback->asking || !rollback->reason || !manager->bus)
        return;
    Macula__V1__ConfigRollbackRequest request = MACULA__V1__CONFIG_ROLLBACK_REQUEST__INIT;
    Macula__V1__ChangeOptions options = MACULA__V1__CHANGE_OPTIONS__INIT;
    request.options = &options;
    options.author = (char *)"supervisor";
    options.message = rollback->reason;
    options.has_expected_generation = true; /* a later one is somebody else's */
    options.expected_generation = manager->generation;
    rollback->asking = true;
    mac_client_init(&rollback->client, manager->bus, &macula__v1__config_control__descriptor, NULL);
    rollback->client.deadline_ms = 60000;
    macula__v1__config_control__rollback(&rollback->client.base, &request, on_rolled_back, manager);
}

static void start_rollback(supervisor_manager *manager, const char *reason) {
    if (manager->generation == 0 || manager->rollback.reason)
        return;
    manager->rollback.reason = mac_strdup(reason);
    manager->rollback.tries = 0;
    ask_rollback(manager);
}

static void publish_failure(supervisor_manager *manager) {
    Macula__V1__SupervisorEvent event = MACULA__V1__SUPERVISOR_EVENT__INIT;
    event.unit = (char *)SUPERVISOR_SERVER_NAME;
    event.message = manager->pending_failure;
    event.has_time_ms = true;
    event.time_ms = mac_unix_ms();
    if (mac_bus_publish(manager->bus, "supervisor.bus_failed", &event.base) < 0)
        mac_log_warning("event not published", "topic=supervisor.bus_failed");
    start_rollback(manager, manager->pending_failure);
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
    supervisor_absent_update(manager);
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
