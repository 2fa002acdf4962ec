#include "healthd-watchdog.h"

#include <errno.h>
#include <string.h>

#include "boot/mac-boot-running.h"
#include "log/mac-log.h"

#define TELL_WATCHDOG MACULA__V1__HEALTH_ENTRY__WHAT__watchdog
#define MEAL_MAX_MS 15000
#define DEFAULT_DEVICE "/dev/watchdog"
#define MODPROBE_MS 10000

static void say_why(healthd_manager *manager, const char *why) {
    if (mac_streq(manager->watchdog.why, why))
        return;
    free(manager->watchdog.why);
    manager->watchdog.why = mac_strdup(why);
    if (why)
        mac_log_info("watchdog", "state=" MAC_LOG_Q("%s"), why);
}

/* ---- opening ---- */

/* The initramfs has chosen among several, and armed its choice; a device named by the configuration wins. Caller frees.
 */
static char *choose_device(healthd_manager *manager) {
    mac_autorunning running = {0};
    const char *configured = manager->plan->watchdog.device;
    if (mac_streq(configured, DEFAULT_DEVICE) && mac_boot_running_read(manager->root, &running) == 0 &&
        running.watchdog && *running.watchdog)
        return mac_strdup(running.watchdog);
    return mac_strdup(configured);
}

static void close_device(healthd_manager *manager, bool disarm) {
    healthd_sys_watchdog_close(manager->sys, disarm);
    manager->watchdog.open = manager->watchdog.fed = false;
    manager->meal_boot = 0;
}

static void set_timeout(healthd_manager *manager) {
    unsigned taken = 0, wanted = manager->plan->watchdog.timeout_s;
    if (manager->watchdog.facts.timeout_s == wanted)
        return;
    int result = healthd_sys_watchdog_timeout(manager->sys, wanted, &taken);
    if (result < 0)
        mac_log_warning("watchdog keeps its own time-out", "timeout_s=%u error=%s", manager->watchdog.facts.timeout_s,
                        strerror(-result));
    else
        manager->watchdog.facts.timeout_s = taken;
}

static void on_module(const mac_error *error, void *data) {
    healthd_manager *manager = data;
    manager->watchdog.loading = false;
    manager->watchdog.loaded = true;
    if (manager->stopping)
        return;
    if (error)
        mac_log_info("no software watchdog", "why=" MAC_LOG_Q("%s"), error->message);
    healthd_watchdog_apply(manager);
    healthd_manager_arm(manager);
}

/* No device: the kernel's own, where it is wanted and to be had. */
static void on_missing(healthd_manager *manager) {
    if (manager->plan->watchdog.software && !manager->watchdog.loaded && !manager->watchdog.loading) {
        manager->watchdog.loading = true;
        healthd_sys_run(manager->sys, (const char *[]){"modprobe", "softdog", NULL}, MODPROBE_MS, on_module, manager);
    }
    say_why(manager, manager->plan->watchdog.software
                         ? "there is none; the machine is restarted by way of init when something vital stays broken"
                         : "there is none");
}

static void open_device(healthd_manager *manager) {
    int result = healthd_sys_watchdog_open(manager->sys, manager->watchdog.device, &manager->watchdog.facts);
    manager->watchdog.again_boot = 0;
    if (result == -ENOENT) {
        on_missing(manager);
        return;
    }
    if (result < 0) {
        mac_autofree char *why = mac_asprintf("%s cannot be had: %s", manager->watchdog.device,
                                              result == -EBUSY ? "another program feeds it" : strerror(-result));
        say_why(manager, why);
        manager->watchdog.again_boot = healthd_boot_ms() + HEALTHD_RETRY_MS;
        return;
    }
    /* The initramfs arms it before anybody has read the configuration. */
    if (manager->watchdog.facts.software && !manager->plan->watchdog.software && !manager->watchdog.facts.nowayout) {
        close_device(manager, true);
        on_missing(manager);
        return;
    }
    manager->watchdog.open = manager->watchdog.fed = true;
    manager->watchdog.last_ms = mac_unix_ms();
    manager->meal_boot = healthd_boot_ms(); /* its first meal from us: now */
    mac_log_info("watchdog armed", "device=%s identity=" MAC_LOG_Q("%s"), manager->watchdog.device,
                 manager->watchdog.facts.identity);
    say_why(manager, NULL);
}

/* The configuration does not want it: what the start of the machine has armed is disarmed. */
static void let_go(healthd_manager *manager) {
    if (!manager->watchdog.open &&
        healthd_sys_watchdog_open(manager->sys, manager->watchdog.device, &manager->watchdog.facts) < 0) {
        say_why(manager, "the configuration does not want it");
        return;
    }
    if (manager->watchdog.facts.nowayout) {
        manager->watchdog.open = true;
        say_why(manager, "the configuration does not want it, but its driver cannot stop it: it is fed");
        manager->meal_boot = healthd_boot_ms();
        return;
    }
    close_device(manager, true);
    say_why(manager, "the configuration does not want it");
}

void healthd_watchdog_apply(healthd_manager *manager) {
    mac_autofree char *device = choose_device(manager);
    if (manager->watchdog.open && !mac_streq(device, manager->watchdog.device))
        close_device(manager, true);
    if (!mac_streq(device, manager->watchdog.device)) {
        free(manager->watchdog.device);
        manager->watchdog.device = mac_take(&device);
    }
    if (!manager->plan->watchdog.enabled) {
        let_go(manager);
        return;
    }
    if (!manager->watchdog.open)
        open_device(manager);
    if (manager->watchdog.open)
        set_timeout(manager);
}

/* ---- meals ---- */

/* The first vital check that has been broken for too long; NULL: none. */
static const healthd_check *starving_for(const healthd_manager *manager) {
    uint64_t now = healthd_boot_ms();
    for (size_t i = 0; i < manager->plan->count; i++) {
        const healthd_check *check = manager->plan->checks[i];
        if (check->vital && check->state == HEALTHD_FAILED && !healthd_check_silent(check, now) &&
            now - check->since_boot >= HEALTHD_STARVE_MS)
            return check;
    }
    return NULL;
}

static void on_flushed(const mac_answer *answer, void *data) {
    healthd_manager *manager = data;
    manager->watchdog.flushing = false;
    if (manager->stopping || !answer->error || answer->error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE)
        return; /* a connection that is lost is told otherwise */
    healthd_check *check = healthd_plan_find(manager->plan, HEALTHD_NODE_CHECK);
    check->due_boot = healthd_boot_ms(); /* it hangs: the next silence counts */
    healthd_manager_arm(manager);
}

static void set_fed(healthd_manager *manager, bool fed, const healthd_check *because) {
    if (manager->watchdog.fed == fed)
        return;
    manager->watchdog.fed = fed;
    mac_autofree char *text = fed ? mac_strdup("fed again")
                                  : mac_asprintf("not fed any more, the machine restarts: %s: %s", because->name,
                                                 because->message ? because->message : "");
    say_why(manager, fed ? NULL : text);
    healthd_manager_tell(manager, TELL_WATCHDOG, NULL, NULL, fed ? "fed" : "starving", text);
}

static void meal(healthd_manager *manager) {
    unsigned timeout_s = manager->watchdog.facts.timeout_s ? manager->watchdog.facts.timeout_s : 10;
    uint64_t each = timeout_s * 1000ull / 4;
    manager->meal_boot = healthd_boot_ms() + (each < MEAL_MAX_MS ? each : MEAL_MAX_MS);
    int result = healthd_sys_watchdog_feed(manager->sys);
    if (result < 0)
        mac_log_error("watchdog not fed", "error=%s", strerror(-result));
    else
        manager->watchdog.last_ms = mac_unix_ms();
    if (!manager->watchdog.flushing && mac_bus_current_state(manager->bus) == MAC_BUS_CONNECTED) {
        manager->watchdog.flushing = true;
        mac_bus_flush(manager->bus, on_flushed, manager);
    }
}

/* Something vital stays broken: the machine restarts, but only so often in a row. */
static void starve(healthd_manager *manager, const healthd_check *because) {
    bool first = manager->watchdog.open ? manager->watchdog.fed : !manager->watchdog.rebooting;
    if (first) {
        manager->starved++;
        healthd_kept_save(manager);
    }
    if (manager->watchdog.open) {
        set_fed(manager, false, because);
        manager->meal_boot = 0;
    } else if (first && manager->plan->watchdog.enabled && manager->plan->watchdog.software) {
        manager->watchdog.rebooting = true;
        healthd_manager_tell(manager, TELL_WATCHDOG, NULL, NULL, "starving", because->message);
        healthd_sys_reboot(manager->sys, because->name);
    }
}

/* What time alone changes: the end of the grace of what is broken, and of the memory of earlier starts. */
static uint64_t next_turn(const healthd_manager *manager, uint64_t now) {
    uint64_t at = UINT64_MAX;
    for (size_t i = 0; i < manager->plan->count; i++) {
        const healthd_check *check = manager->plan->checks[i];
        if (check->vital && check->state == HEALTHD_FAILED && check->since_boot + HEALTHD_STARVE_MS > now &&
            check->since_boot + HEALTHD_STARVE_MS < at)
            at = check->since_boot + HEALTHD_STARVE_MS;
    }
    if (manager->starved && manager->state == HEALTHD_NODE(ok) && manager->since_boot + HEALTHD_WELL_MS > now &&
        manager->since_boot + HEALTHD_WELL_MS < at)
        at = manager->since_boot + HEALTHD_WELL_MS;
    return at == UINT64_MAX ? 0 : at;
}

void healthd_watchdog_consider(healthd_manager *manager) {
    uint64_t now = healthd_boot_ms();
    const healthd_check *because = starving_for(manager);
    if (manager->watchdog.again_boot && manager->watchdog.again_boot <= now)
        healthd_watchdog_apply(manager);
    if (manager->starved && manager->state == HEALTHD_NODE(ok) && now - manager->since_boot >= HEALTHD_WELL_MS) {
        manager->starved = 0;
        healthd_kept_save(manager);
    }
    bool spent = manager->starved >= HEALTHD_STARVE_TIMES && (manager->watchdog.fed || !manager->watchdog.open);
    if (because && !spent && manager->plan->watchdog.enabled) {
        starve(manager, because);
    } else if (manager->watchdog.open) {
        set_fed(manager, true, NULL);
        if (!manager->meal_boot || manager->meal_boot <= now)
            meal(manager);
    }
    manager->turn_boot = next_turn(manager, now);
}

void healthd_watchdog_end(healthd_manager *manager) {
    unsigned taken;
    if (!manager->watchdog.open)
        return;
    if (!manager->going_down) {
        (void)!healthd_sys_watchdog_feed(manager->sys);
        close_device(manager, true);
        return;
    }
    if (manager->plan->watchdog.timeout_s < HEALTHD_GOING_DOWN_S)
        (void)!healthd_sys_watchdog_timeout(manager->sys, HEALTHD_GOING_DOWN_S, &taken);
    (void)!healthd_sys_watchdog_feed(manager->sys);
    close_device(manager, false);
}

void healthd_watchdog_fill(const healthd_manager *manager, Macula__V1__HealthWatchdog *ret) {
    macula__v1__health_watchdog__init(ret);
    ret->has_kind = ret->has_fed = true;
    ret->kind = !manager->watchdog.open                  ? MACULA__V1__HEALTH_WATCHDOG__KIND__off
                : healthd_sys_is_recording(manager->sys) ? MACULA__V1__HEALTH_WATCHDOG__KIND__recorded
                : manager->watchdog.facts.software       ? MACULA__V1__HEALTH_WATCHDOG__KIND__software
                                                         : MACULA__V1__HEALTH_WATCHDOG__KIND__hardware;
    ret->fed = manager->watchdog.fed;
    ret->message = manager->watchdog.why;
    ret->device = manager->watchdog.device;
    if (!manager->watchdog.open)
        return;
    ret->identity = (char *)manager->watchdog.facts.identity;
    ret->has_timeout_s = ret->has_last_ms = true;
    ret->timeout_s = manager->watchdog.facts.timeout_s;
    ret->last_ms = manager->watchdog.last_ms;
}
