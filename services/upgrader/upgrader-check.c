/* Looking for a newer version: one look at a time, for all who ask meanwhile. */
#include <string.h>

#include "log/mac-log.h"
#include "upgrader-manager.h"

static void answer_all(upgrader_manager *manager, const Macula__V1__UpgradeRelease *release, const mac_error *error) {
    upgrader_check *check = &manager->check;
    for (size_t i = 0; i < check->waiting_count; i++) {
        if (error)
            mac_request_fail_error(check->waiting[i], mac_error_copy(error));
        else
            mac_request_answer(check->waiting[i], &release->base);
    }
    check->waiting_count = 0;
}

static int remember(upgrader_manager *manager, const Macula__V1__UpgradeFound *found, bool newer) {
    Macula__V1__UpgradeFound *before = (Macula__V1__UpgradeFound *)upgrader_store_get(
        manager->store, UPGRADER_FOUND, &macula__v1__upgrade_found__descriptor);
    bool told = before && mac_streq(before->version, found->version);
    if (before)
        macula__v1__upgrade_found__free_unpacked(before, NULL);
    int result = upgrader_store_begin(manager->store);
    if (result < 0)
        return result;
    result = upgrader_store_put(manager->store, UPGRADER_FOUND, newer ? &found->base : NULL);
    if (result == 0)
        result = upgrader_store_set_number(manager->store, UPGRADER_CHECKED, (uint64_t)mac_unix_ms());
    if (result == 0 && newer && !told) {
        Macula__V1__UpgradeEvent event = MACULA__V1__UPGRADE_EVENT__INIT;
        event.version = found->version;
        result = upgrader_store_event(manager->store, "available", &event);
    }
    return upgrader_store_end(manager->store, result);
}

static void on_found(upgrader_manager *manager, const Macula__V1__UpgradeFound *found, const mac_error *error,
                     void *data) {
    (void)data;
    upgrader_check *check = &manager->check;
    bool automatic = check->automatic;
    check->worker = NULL;
    check->automatic = false;
    free(mac_take(&manager->check_error));
    if (error) {
        manager->check_error = mac_strdup(error->message);
        mac_log_warning("the source cannot be read", "reason=" MAC_LOG_Q("%s"), error->message);
        answer_all(manager, NULL, error);
        upgrader_manager_worker_ended(manager);
        return;
    }
    mac_autoptr(mac_error) obstacle = upgrader_find_judge(manager, found, NULL);
    bool current = obstacle && obstacle->code == MACULA__V1__ERROR_CODE__NOTHING_TO_DO;
    int result = remember(manager, found, !current);
    if (result < 0)
        mac_log_warning("what was found cannot be remembered", "error=" MAC_LOG_Q("%s"), strerror(-result));
    upgrader_manager_kick(manager);
    mac_log_info("looked for a newer version", "found=%s newer=%d", found->version, !current);
    Macula__V1__UpgradeRelease *release = upgrader_release_message(manager, found, obstacle);
    answer_all(manager, release, current ? obstacle : NULL);
    macula__v1__upgrade_release__free_unpacked(release, NULL);
    if (automatic && !obstacle)
        upgrader_auto_found(manager);
    upgrader_manager_worker_ended(manager);
}

void upgrader_check_start(upgrader_manager *manager, mac_request *request) {
    upgrader_check *check = &manager->check;
    if (request && check->waiting_count == UPGRADER_WAITING_MAX) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                         "too many are waiting for the same answer; ask upgrade.status in a moment");
        return;
    }
    if (request)
        check->waiting[check->waiting_count++] = request;
    else
        check->automatic = true;
    if (check->worker)
        return;
    mac_error *error = upgrader_find(manager, NULL, on_found, NULL, &check->worker);
    if (error) {
        answer_all(manager, NULL, error);
        mac_error_free(error);
    }
}
