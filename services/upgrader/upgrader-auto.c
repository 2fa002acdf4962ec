/* The policy: looking for versions by itself (auto_check), and applying them within the window (auto_apply).
 *
 * Looked is once a day, at a moment of chance, so that a fleet does not ask at once, and some minutes after a start
 * that comes later than that; within a window that was given, each hour. What was found and could not be applied is not
 * tried again at once: a wrong image would be fetched hundreds of times a day. Below another root than "/" nothing is
 * looked for by itself, unless MACULA_UPGRADE_CHECK_MS says when.
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
#define HOUR_MS (3600ull * 1000)
#define DAY_MS (24 * HOUR_MS)
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

/* A look that failed is not made again within the hour, either. */
static bool is_due(const upgrader_manager *manager, bool open) {
    uint64_t given, now = (uint64_t)mac_unix_ms(), checked = upgrader_store_number(manager->store, UPGRADER_CHECKED);
    if (given_ms(&given))
        return true;
    if (manager->auto_looked_ms && upgrader_boot_ms() - manager->auto_looked_ms < HOUR_MS)
        return false;
    uint64_t since = now >= checked ? now - checked : DAY_MS; /* the clock has jumped back */
    bool window = manager->section->window && *manager->section->window;
    return since >= DAY_MS - 2 * WINDOW_MS || (open && window && since >= HOUR_MS);
}

static void on_timer(uv_timer_t *timer) {
    upgrader_manager *manager = timer->data;
    bool apply = manager->section->auto_apply;
    bool open = apply && upgrader_may_apply_now(manager);
    if (!manager->job.record && is_due(manager, open)) {
        manager->auto_looked_ms = upgrader_boot_ms();
        upgrader_check_start(manager, NULL);
    } else if (open) {
        upgrader_auto_found(manager); /* what an earlier look has found */
    }
    arm(manager, apply ? WINDOW_MS + chance(WINDOW_MS) : DAY_MS / 24 + chance(WINDOW_MS));
}

/* ---- what could not be applied ---- */

static Macula__V1__UpgradeFound *found_as(upgrader_manager *manager, const char *name) {
    return (Macula__V1__UpgradeFound *)upgrader_store_get(manager->store, name, &macula__v1__upgrade_found__descriptor);
}

static void found_free(Macula__V1__UpgradeFound *found) {
    if (found)
        macula__v1__upgrade_found__free_unpacked(found, NULL);
}

void upgrader_auto_failed(upgrader_manager *manager, const mac_error *error) {
    Macula__V1__UpgradeFound *found = found_as(manager, UPGRADER_FOUND);
    bool lasts = error->code == MACULA__V1__ERROR_CODE__REJECTED || error->code == MACULA__V1__ERROR_CODE__CANCELLED;
    uint64_t again = (uint64_t)mac_unix_ms() + (lasts ? DAY_MS : HOUR_MS);
    int result = upgrader_store_put(manager->store, UPGRADER_AUTO_FAILED, found ? &found->base : NULL);
    if (result == 0)
        result = upgrader_store_set_number(manager->store, UPGRADER_AUTO_AGAIN, again);
    if (result < 0)
        mac_log_warning("a failure cannot be remembered", "error=" MAC_LOG_Q("%s"), strerror(-result));
    found_free(found);
}

void upgrader_auto_cancelled(upgrader_manager *manager, const char *version, const mac_error *error) {
    Macula__V1__UpgradeFound *found = found_as(manager, UPGRADER_FOUND);
    bool same = found && mac_streq(found->version, version);
    found_free(found);
    if (same)
        upgrader_auto_failed(manager, error);
}

/* Another image is tried at once, this very one after its time. */
static bool waits(upgrader_manager *manager, const Macula__V1__UpgradeFound *found) {
    Macula__V1__UpgradeFound *failed = found_as(manager, UPGRADER_AUTO_FAILED);
    uint64_t now = (uint64_t)mac_unix_ms(), again = upgrader_store_number(manager->store, UPGRADER_AUTO_AGAIN);
    bool same = failed && mac_streq(failed->version, found->version) && mac_streq(failed->sha256, found->sha256);
    found_free(failed);
    return same && now < again && again - now <= DAY_MS; /* more: the clock has jumped back */
}

/* ---- applying ---- */

static void on_config(upgrader_manager *manager, uint64_t generation, const mac_error *error, void *data) {
    (void)generation;
    (void)data;
    Macula__V1__UpgradeFound *found = found_as(manager, UPGRADER_FOUND);
    if (found && error)
        mac_log_warning("a newer version is not applied by itself now", "version=%s reason=" MAC_LOG_Q("%s"),
                        found->version, error->message);
    else if (found && !manager->stopping && !manager->job.record && !manager->trial.record)
        upgrader_job_automatic(manager, found->version, true);
    found_free(found);
}

static void on_health(const Macula__V1__HealthStatus *status, void *closure_data) {
    upgrader_manager *manager = closure_data;
    bool well = status ? status->state != MACULA__V1__HEALTH_STATUS__STATE__failed : !upgrader_has_healthd();
    if (well)
        upgrader_call_config(manager, on_config, NULL);
    else
        mac_log_warning("a newer version is not applied by itself", "reason=" MAC_LOG_Q("%s"), "the node is not well");
}

void upgrader_auto_found(upgrader_manager *manager) {
    if (!manager->section->auto_apply || manager->trial.record || manager->job.record ||
        !upgrader_may_apply_now(manager))
        return;
    Macula__V1__UpgradeFound *found = found_as(manager, UPGRADER_FOUND);
    mac_autofree char *refusal = found ? upgrader_store_refusal(manager->store, found->version) : NULL;
    bool wanted = found && !refusal && !waits(manager, found);
    found_free(found);
    if (!wanted)
        return;
    Macula__V1__HealthStatusRequest request = MACULA__V1__HEALTH_STATUS_REQUEST__INIT;
    macula__v1__health__status(&manager->health.base, &request, on_health, manager);
}

void upgrader_auto_stop(upgrader_manager *manager) {
    uv_timer_stop(&manager->auto_timer);
}
