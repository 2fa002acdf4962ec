/* The policy: looking for versions by itself (auto_check), and applying them within the window (auto_apply).
 *
 * The first look comes some minutes after a start and then once a day, at a moment of chance, so that a fleet does not
 * ask at once. Below another root than "/" nothing is looked for by itself, unless MACULA_UPGRADE_CHECK_MS says when.
 */
#include <string.h>

#include "crypto/mac-crypto.h"
#include "log/mac-log.h"
#include "upgrader-job.h"
#include "upgrader-manager.h"
#include "upgrader-trial.h"
#include "upgrader-window.h"

#define FIRST_MS (2ull * 60 * 1000)
#define FIRST_CHANCE_MS (8ull * 60 * 1000)
#define DAY_MS (24ull * 3600 * 1000)
#define WINDOW_MS (5ull * 60 * 1000) /* between two looks whether the window is open */

static void on_timer(uv_timer_t *timer);

static uint64_t chance(uint64_t below) {
    uint32_t number;
    mac_random(&number, sizeof number);
    return below ? number % below : 0;
}

static bool given_ms(uint64_t *ret_ms) {
    const char *text = getenv("MACULA_UPGRADE_CHECK_MS");
    if (text && *text)
        *ret_ms = strtoull(text, NULL, 10);
    return text && *text;
}

static void arm(upgrader_manager *manager, uint64_t ms) {
    uint64_t given;
    uv_timer_start(&manager->auto_timer, on_timer, given_ms(&given) ? given : ms, 0);
}

void upgrader_auto_start(upgrader_manager *manager) {
    uint64_t given;
    uv_timer_stop(&manager->auto_timer);
    bool here = mac_root_is_system(manager->root) || given_ms(&given);
    if (here && (manager->section->auto_check || manager->section->auto_apply))
        arm(manager, FIRST_MS + chance(FIRST_CHANCE_MS));
}

static void on_timer(uv_timer_t *timer) {
    upgrader_manager *manager = timer->data;
    bool open = upgrader_window_open(manager->section->window, upgrader_window_now());
    uint64_t since = (uint64_t)mac_unix_ms() - upgrader_store_number(manager->store, UPGRADER_CHECKED);
    bool apply = manager->section->auto_apply;
    bool due = since >= DAY_MS - 2 * WINDOW_MS || (apply && open);
    if (due && !manager->job.record)
        upgrader_check_start(manager, NULL);
    arm(manager, apply ? WINDOW_MS + chance(WINDOW_MS) : DAY_MS / 24 + chance(WINDOW_MS));
}

static void on_health(const Macula__V1__HealthStatus *status, void *closure_data) {
    upgrader_manager *manager = closure_data;
    Macula__V1__UpgradeFound *found = (Macula__V1__UpgradeFound *)upgrader_store_get(
        manager->store, UPGRADER_FOUND, &macula__v1__upgrade_found__descriptor);
    bool well = status ? status->state != MACULA__V1__HEALTH_STATUS__STATE__failed : !upgrader_has_healthd();
    if (found && !well)
        mac_log_warning("a newer version is not applied by itself while the node is not well", "version=%s",
                        found->version);
    else if (found && !manager->stopping && !manager->job.record)
        upgrader_job_automatic(manager, found->version, true);
    if (found)
        macula__v1__upgrade_found__free_unpacked(found, NULL);
}

void upgrader_auto_found(upgrader_manager *manager, const Macula__V1__UpgradeFound *found) {
    (void)found; /* it is in the store */
    if (!manager->section->auto_apply || manager->trial.record ||
        !upgrader_window_open(manager->section->window, upgrader_window_now()))
        return;
    Macula__V1__HealthStatusRequest request = MACULA__V1__HEALTH_STATUS_REQUEST__INIT;
    macula__v1__health__status(&manager->health.base, &request, on_health, manager);
}

void upgrader_auto_stop(upgrader_manager *manager) {
    uv_timer_stop(&manager->auto_timer);
}
