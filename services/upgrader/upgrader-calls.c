/* What the upgrader asks of other services. */
#include <string.h>

#include "log/mac-log.h"
#include "upgrader-manager.h"
#include "upgrader-trial.h"

/* ---- the configuration ---- */

typedef struct config_call {
    upgrader_manager *manager;
    upgrader_config_answer callback;
    void *data;
} config_call;

static void on_config(const Macula__V1__ConfigStatus *status, void *closure_data) {
    mac_autofree config_call *call = closure_data;
    upgrader_manager *manager = call->manager;
    if (!status) {
        call->callback(manager, 0, mac_client_error(&manager->config), call->data);
        return;
    }
    mac_autoptr(mac_error) error = NULL;
    if (status->pending)
        error = mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL,
                              "a change of the configuration by %s waits to be confirmed: confirm it (maculaos config "
                              "confirm) or take it back (maculaos config rollback) first",
                              status->pending->author ? status->pending->author : "somebody");
    else if (status->applying)
        error = mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL,
                              "a change of the configuration is being applied: try again when it has ended");
    call->callback(manager, status->generation, error, call->data);
}

void upgrader_call_config(upgrader_manager *manager, upgrader_config_answer callback, void *data) {
    config_call *call = mac_calloc(1, sizeof *call);
    *call = (config_call){manager, callback, data};
    Macula__V1__ConfigStatusRequest request = MACULA__V1__CONFIG_STATUS_REQUEST__INIT;
    macula__v1__config__status(&manager->config.base, &request, on_config, call);
}

/* ---- the restart ---- */

static void on_reboot(const Macula__V1__PowerAnswer *answer, void *closure_data) {
    upgrader_manager *manager = closure_data;
    if (answer) {
        mac_log_info("a restart was asked for", "action=" MAC_LOG_Q("%s"),
                     answer->record && answer->record->action ? answer->record->action : "reboot");
        return;
    }
    const mac_error *error = mac_client_error(&manager->node_control);
    mac_log_error("the node cannot be restarted", "reason=" MAC_LOG_Q("%s"), error ? error->message : "no answer");
    upgrader_trial_reboot_failed(manager);
}

void upgrader_call_reboot(upgrader_manager *manager, const char *reason, const char *author) {
    Macula__V1__PowerRequest request = MACULA__V1__POWER_REQUEST__INIT;
    request.reason = (char *)(uintptr_t)reason;
    request.author = (char *)(uintptr_t)(author && *author ? author : "upgrader");
    macula__v1__node_control__reboot(&manager->node_control.base, &request, on_reboot, manager);
}
