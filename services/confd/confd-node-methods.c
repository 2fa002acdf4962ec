/* Node and NodeControl, in the order of proto/macula/v1/node.proto. */
#include <errno.h>
#include <string.h>

#include "boot/mac-boot.h"
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

/* Who, why and when; NULL, or why the machine stays up. */
static mac_error *check_stop(confd_manager *manager, const char *author, const char *reason, uint32_t delay_s) {
    mac_error *refused = confd_check_author(author);
    if (refused)
        return refused;
    if (!reason || !*reason || strlen(reason) > CONFD_MESSAGE_MAX)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, "reason",
                             "expected a reason of at most %u bytes: the next person wants to know why",
                             CONFD_MESSAGE_MAX);
    if (delay_s > CONFD_POWER_DELAY_MAX_S)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, "delay_s", "expected at most %u seconds, found %u",
                             CONFD_POWER_DELAY_MAX_S, delay_s);
    if (manager->change && mac_root_is_system(manager->root))
        return mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL,
                             "a change of the configuration is being applied: wait for it and try again");
    return NULL;
}

/* False: it cannot be, and nothing is to happen either. A full disk bars no way back, as for changes: the room that is
 * set aside is used. What shall happen at once happens even if there is none, because a restart may be the only remedy
 * that is left; a time that cannot be kept over a restart of confd is refused. */
static bool keep_stop(confd_manager *manager, mac_request *request, const Macula__V1__PowerRecord *record,
                      const char *action, uint32_t delay_s, uint64_t delay_ms) {
    uint64_t due = confd_boot_ms() + delay_ms;
    int result = confd_store_set_power(manager->store, record, due, manager->boot_id);
    if (result == -ENOSPC) {
        confd_store_release_reserve(manager->root);
        result = confd_store_set_power(manager->store, record, due, manager->boot_id);
    }
    if (result < 0 && delay_s > 0) {
        mac_request_fail_error(request, mac_error_from_errno(result, "the time cannot be recorded, so the node stays "
                                                                     "up; without a delay it goes down all the same"));
        return false;
    }
    if (result == 0) {
        confd_power_arm(manager);
        return true;
    }
    mac_log_error("why the node goes down cannot be recorded", "error=" MAC_LOG_Q("%s"), strerror(-result));
    confd_power_unrecorded(manager, action);
    return true;
}

/* Records it durably, answers, and starts the timer. Below another root than "/" there is no machine to stop, and the
 * answer says so. */
static void record_stop(confd_manager *manager, mac_request *request, const char *action, const char *author,
                        const char *reason, uint32_t delay_s) {
    Macula__V1__PowerRecord record = MACULA__V1__POWER_RECORD__INIT;
    record.action = (char *)(uintptr_t)action;
    record.reason = (char *)(uintptr_t)reason;
    record.author = (char *)(uintptr_t)author;
    uint64_t delay_ms = delay_s * 1000ULL + CONFD_POWER_GRACE_MS;
    record.has_time_ms = record.has_due_ms = true;
    record.time_ms = mac_unix_ms();
    record.due_ms = record.time_ms + (int64_t)delay_ms;
    if (!keep_stop(manager, request, &record, action, delay_s, delay_ms))
        return;
    mac_log_warning("the node goes down", "action=%s author=" MAC_LOG_Q("%s") " reason=" MAC_LOG_Q("%s"), action,
                    author, reason);
    Macula__V1__PowerAnswer answer = MACULA__V1__POWER_ANSWER__INIT;
    mac_autofree char *only =
        mac_asprintf("%s (recorded only: this node runs below %s)", action, mac_root_directory(manager->root));
    if (!mac_root_is_system(manager->root))
        record.action = only;
    answer.record = &record;
    mac_request_answer(request, &answer.base);
}

static void stop_node(confd_manager *manager, mac_request *request, const Macula__V1__PowerRequest *input,
                      const char *action) {
    const char *author = input->author && *input->author ? input->author : mac_request_caller(request);
    mac_error *refused = check_stop(manager, author, input->reason, input->delay_s);
    if (refused)
        mac_request_fail_error(request, refused);
    else
        record_stop(manager, request, action, author, input->reason, input->delay_s);
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

/* ---- FactoryReset ---- */

/* The host name guards against the wrong window, not against malice. */
static mac_error *check_reset(confd_manager *manager, const Macula__V1__FactoryResetRequest *input) {
    Macula__V1__NodeInfo *info = confd_node_info(manager);
    mac_error *error = NULL;
    if (!info->hostname || !mac_streq(input->confirm, info->hostname))
        error = mac_error_new(MACULA__V1__ERROR_CODE__INVALID, "confirm",
                              "a factory reset erases this node: say its host name, %s, to mean it",
                              info->hostname ? info->hostname : "(it has none)");
    macula__v1__node_info__free_unpacked(info, NULL);
    if (!error && !mac_root_is_system(manager->root))
        error = mac_error_new(MACULA__V1__ERROR_CODE__UNSUPPORTED, NULL,
                              "a node below another root is reset by removing %s", mac_root_directory(manager->root));
    return error;
}

/* Durable when this returns: the reset begins with the next start, whatever leads to it. */
static mac_error *intend_reset(confd_manager *manager, bool keep_data) {
    mac_autoptr(mac_boot) boot = NULL;
    mac_error *error = mac_boot_open(manager->root, &boot);
    if (!error)
        error = mac_boot_set_reset(boot, keep_data ? MAC_BOOT_RESET_KEEP : MAC_BOOT_RESET_ALL);
    if (error && error->code == MACULA__V1__ERROR_CODE__NOTHING_TO_DO) { /* asked for before: the restart is left */
        mac_error_free(error);
        error = NULL;
    }
    return error;
}

static void node_factory_reset(Macula__V1__NodeControl_Service *service, const Macula__V1__FactoryResetRequest *input,
                               Macula__V1__PowerAnswer_Closure closure, void *closure_data) {
    (void)closure;
    confd_manager *manager = confd_manager_of(service, node_control);
    mac_request *request = mac_request_from(closure_data);
    const char *author = input->author && *input->author ? input->author : mac_request_caller(request);
    mac_error *error = check_stop(manager, author, input->reason, 0);
    if (!error)
        error = check_reset(manager, input);
    if (!error)
        error = intend_reset(manager, input->keep_data);
    if (error)
        mac_request_fail_error(request, error);
    else
        record_stop(manager, request, "factory-reset", author, input->reason, 0);
}

int confd_node_methods_serve(confd_manager *manager) {
    manager->node = (Macula__V1__Node_Service)MACULA__V1__NODE__INIT(node_);
    manager->node_control = (Macula__V1__NodeControl_Service)MACULA__V1__NODE_CONTROL__INIT(node_);
    int result = mac_bus_serve(manager->bus, &manager->node.base, NULL, "What this machine is");
    return result < 0
               ? result
               : mac_bus_serve(manager->bus, &manager->node_control.base, NULL, "Restarts and stops this machine");
}
