#include "confd-power.h"

#include <errno.h>
#include <string.h>

#include "confd-sys.h"
#include "log/mac-log.h"

static int stop_machine(confd_manager *manager, const char *action) {
    return confd_sys_power(manager->sys, mac_streq(action, "shutdown") ? CONFD_POWER_OFF : CONFD_REBOOT);
}

/* Off the list only when it has been done: a confd that is killed in between does it once more. */
static void on_timer(uv_timer_t *timer) {
    confd_manager *manager = timer->data;
    Macula__V1__PowerRecord *record = NULL;
    int result = confd_store_power(manager->store, &record);
    if (result == 0) {
        result = stop_machine(manager, record->action);
        macula__v1__power_record__free_unpacked(record, NULL);
    }
    if (result == 0)
        result = confd_store_power_done(manager->store);
    if (result < 0)
        mac_log_error("the node cannot go down", "error=" MAC_LOG_Q("%s"), strerror(-result));
}

void confd_power_arm(confd_manager *manager) {
    uint64_t due = 0, now = confd_boot_ms();
    int result = confd_store_power_due(manager->store, manager->boot_id, &due);
    if (result < 0) {
        if (result != -ENOENT)
            mac_log_error("it is not known whether the node shall go down", "error=" MAC_LOG_Q("%s"),
                          strerror(-result));
        uv_timer_stop(&manager->power_timer);
        return;
    }
    uv_update_time(manager->loop);
    uv_timer_start(&manager->power_timer, on_timer, due > now ? due - now : 0, 0);
}

static void on_unrecorded(uv_timer_t *timer) {
    confd_manager *manager = timer->data;
    int result = stop_machine(manager, manager->power_unrecorded);
    if (result < 0)
        mac_log_error("the node cannot go down", "error=" MAC_LOG_Q("%s"), strerror(-result));
}

void confd_power_unrecorded(confd_manager *manager, const char *action) {
    manager->power_unrecorded = action;
    uv_update_time(manager->loop);
    uv_timer_start(&manager->power_timer, on_unrecorded, CONFD_POWER_GRACE_MS, 0);
}

Macula__V1__PowerRecord *confd_power_next(const confd_manager *manager) {
    uint64_t due = 0;
    Macula__V1__PowerRecord *record = NULL;
    if (confd_store_power_due(manager->store, manager->boot_id, &due) < 0 ||
        confd_store_power(manager->store, &record) < 0)
        return NULL;
    return record;
}
