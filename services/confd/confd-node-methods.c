/* Node and NodeControl, in the order of proto/macula/v1/node.proto. */
#include <errno.h>
#include <string.h>

#include "confd-node.h"
#include "confd-power.h"
#include "confd-wish.h"
#include "log/mac-log.h"

/* ---- Status, Info ---- */

static void answer_info(confd_manager *manager, Macula__V1__NodeInfo_Closure closure, void *closure_data) {
    Macula__V1__NodeInfo *info = confd_node_info(manager);
    closure(info, closure_data);
    macula__v1__node_info__free_unpacked(info, NULL);
}

static void node_status(Macula__V1__Node_Service *service, const Macula__V1__NodeStatusRequest *input,
                        Macula__V1__NodeInfo_Closure closure, void *closure_data) {
    (void)input;
    answer_info(confd_manager_of(service, node), closure, closure_data);
}

static void node_info(Macula__V1__Node_Service *service, const Macula__V1__NodeStatusRequest *input,
                      Macula__V1__NodeInfo_Closure closure, void *closure_data) {
    (void)input;
    answer_info(confd_manager_of(service, node), closure, closure_data);
}

/* ---- Reboot, Shutdown ---- */

static void stop_node(confd_manager *manager, mac_request *request, const Macula__V1__PowerRequest *input,
                      const char *action) {
    /* 1. validate */
    const char *author = input->author && *input->author ? input->author : mac_request_caller(request);
    mac_error *refused = confd_check_author(author);
    if (refused) {
        mac_request_fail_error(request, refused);
        return;
    }
    if (!input->reason || !*input->reason || strlen(input->reason) > CONFD_MESSAGE_MAX) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__INVALID, "reason",
                         "expected a reason of at most %u bytes: the next person wants to know why", CONFD_MESSAGE_MAX);
        return;
    }
    if (input->delay_s > CONFD_POWER_DELAY_MAX_S) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__INVALID, "delay_s", "expected at most %u seconds, found %u",
                         CONFD_POWER_DELAY_MAX_S, input->delay_s);
        return;
    }
    if (manager->change && mac_root_is_system(manager->root)) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__CONFLICT, NULL,
                         "a change of the configuration is being applied: wait for it and try again");
        return;
    }
    /* 2. record, then act */
    Macula__V1__PowerRecord record = MACULA__V1__POWER_RECORD__INIT;
    mac_autofree char *recorded = mac_strdup(action);
    record.action = recorded;
    record.reason = input->reason;
    record.author = (char *)(uintptr_t)author;
    uint64_t delay_ms = input->delay_s * 1000ULL + CONFD_POWER_GRACE_MS;
    record.has_time_ms = record.has_due_ms = true;
    record.time_ms = mac_unix_ms();
    record.due_ms = record.time_ms + (int64_t)delay_ms;
    int result = confd_store_set_power(manager->store, &record, confd_boot_ms() + delay_ms, manager->boot_id);
    if (result < 0) {
        mac_request_fail_error(request,
                               mac_error_from_errno(result, "the reason cannot be recorded, so the node stays up"));
        return;
    }
    mac_log_warning("the node goes down", "action=%s author=" MAC_LOG_Q("%s") " reason=" MAC_LOG_Q("%s"), action,
                    author, input->reason);
    confd_power_arm(manager);
    /* 3. answer; below another root than "/" there is no machine to stop, and the answer says so */
    Macula__V1__PowerAnswer answer = MACULA__V1__POWER_ANSWER__INIT;
    mac_autofree char *only =
        mac_asprintf("%s (recorded only: this node runs below %s)", action, mac_root_directory(manager->root));
    if (!mac_root_is_system(manager->root))
        record.action = only;
    answer.record = &record;
    mac_request_answer(request, &answer.base);
}

static void node_reboot(Macula__V1__NodeControl_Service *service, const Macula__V1__PowerRequest *input,
                        Macula__V1__PowerAnswer_Closure closure, void *closure_data) {
    (void)closure;
    stop_node(confd_manager_of(service, node_control), mac_request_from(closure_data), input, "reboot");
}

static void node_shutdown(Macula__V1__NodeControl_Service *service, const Macula__V1__PowerRequest *input,
                          Macula__V1__PowerAnswer_Closure closure, void *closure_data) {
    (void)closure;
    stop_node(confd_manager_of(service, node_control), mac_request_from(closure_data), input, "shutdown");
}

/* ---- Cancel ---- */

static void node_cancel(Macula__V1__NodeControl_Service *service, const Macula__V1__PowerCancelRequest *input,
                        Macula__V1__PowerAnswer_Closure closure, void *closure_data) {
    confd_manager *manager = confd_manager_of(service, node_control);
    mac_request *request = mac_request_from(closure_data);
    const char *author = input->author && *input->author ? input->author : mac_request_caller(request);
    mac_error *refused = confd_check_author(author);
    if (refused) {
        mac_request_fail_error(request, refused);
        return;
    }
    Macula__V1__PowerRecord *next = confd_power_next(manager);
    if (!next) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL, "the node is not about to go down");
        return;
    }
    free(next->author);
    next->author = mac_strdup(author);
    int result = confd_store_cancel_power(manager->store, next);
    confd_power_arm(manager);
    if (result < 0) {
        mac_request_fail_error(request, mac_error_from_errno(result, "the %s cannot be cancelled", next->action));
    } else {
        mac_log_warning("the node stays up", "cancelled=%s author=" MAC_LOG_Q("%s"), next->action, author);
        Macula__V1__PowerAnswer answer = MACULA__V1__POWER_ANSWER__INIT;
        answer.record = next;
        closure(&answer, closure_data);
    }
    macula__v1__power_record__free_unpacked(next, NULL);
}

int confd_node_methods_serve(confd_manager *manager) {
    manager->node = (Macula__V1__Node_Service)MACULA__V1__NODE__INIT(node_);
    manager->node_control = (Macula__V1__NodeControl_Service)MACULA__V1__NODE_CONTROL__INIT(node_);
    int result = mac_bus_serve(manager->bus, &manager->node.base, NULL, "What this machine is");
    return result < 0
               ? result
               : mac_bus_serve(manager->bus, &manager->node_control.base, NULL, "Restarts and stops this machine");
}
