#include "healthd-watchdog.h"

#include <errno.h>
#include <string.h>

#include "boot/mac-boot-running.h"
#include "log/mac-log.h"

#define TELL_WATCHDOG MACULA__V1__HEALTH_ENTRY__WHAT__watchdog
#define MEAL_MAX_MS 15000
#define DEFAULT_DEVICE "/dev/watchdog"
#define MODPROBE_MS 10000
#define LEFT_ALONE "left to this system: maculaos.watchdog would arm it"

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

/* The kernel's own, which the initramfs arms before anybody has read the configuration. */
static bool is_unwanted(const healthd_manager *manager) {
    return manager->watchdog.facts.software && !manager->plan->watchdog.software && !manager->watchdog.facts.nowayout;
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
    if (is_unwanted(manager)) {
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

/* The watchdog of a system that somebody else looks after is theirs until the configuration names it. Before that it is
 * not even opened, which would arm it, and the machine is not restarted in its place. */
static bool is_left_alone(const healthd_manager *manager) {
    return manager->guest && !manager->plan->watchdog.named;
}

static bool is_wanted(const healthd_manager *manager) {
    return manager->plan->watchdog.enabled && !is_left_alone(manager);
}

/* The configuration does not want it: what the start of the machine has armed is disarmed. */
static void let_go(healthd_manager *manager) {
    if (is_left_alone(manager) && !manager->watchdog.open) {
        say_why(manager, LEFT_ALONE);
        return;
    }
    if (!manager->watchdog.open &&
        healthd_sys_watchdog_open(manager->sys, manager->watchdog.device, &manager->watchdog.facts) < 0) {
        say_why(manager, "the configuration does not want it");
        return;
    }
    if (manager->watchdog.facts.nowayout) {
        manager->watchdog.open = manager->watchdog.fed = true;
        say_why(manager, "the configuration does not want it, but its driver cannot stop it: it is fed");
        manager->meal_boot = healthd_boot_ms();
        return;
    }
    close_device(manager, true);
    say_why(manager, is_left_alone(manager) ? LEFT_ALONE : "the configuration does not want it");
}

void healthd_watchdog_apply(healthd_manager *manager) {
    mac_autofree char *device = choose_device(manager);
    if (manager->watchdog.open && !mac_streq(device, manager->watchdog.device))
        close_device(manager, true);
    if (!mac_streq(device, manager->watchdog.device)) {
        free(manager->watchdog.device);
        manager->watchdog.device = mac_take(&device);
    }
    if (!is_wanted(manager)) {
        let_go(manager);
        return;
    }
    if (manager->watchdog.open && is_unwanted(manager))
        close_device(manager, true);
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
        if (check->vital && check->state == HEALTHD_FAILED && !check->unsteady && !healthd_check_silent(check, now) &&
            now - healthd_check_bad_since(check) >= HEALTHD_STARVE_MS)
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

/* Why the machine is not restarted though something vital stays broken; NULL: it is, or all is well. Takes the text. */
static void set_mercy(healthd_manager *manager, char *text) {
    if (mac_streq(manager->watchdog.mercy, text)) {
        free(text);
        return;
    }
    free(manager->watchdog.mercy);
    manager->watchdog.mercy = text;
    if (text)
        healthd_manager_tell(manager, TELL_WATCHDOG, NULL, NULL, "fed", text);
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

/* The restart is counted before it is made: one whose count is lost would be the first of its row over and over, and
 * the machine would restart for ever. NULL, or why it cannot be counted. */
static const char *count_restart(healthd_manager *manager) {
    if (manager->in_memory)
        return "the node runs from memory";
    manager->starved++;
    int result = healthd_kept_store(manager);
    if (result == 0)
        return NULL;
    manager->starved--;
    return strerror(-result);
}

/* What speaks against a restart for this check; NULL: nothing, and it has been counted. Caller frees. */
static char *mercy_for(healthd_manager *manager, const healthd_check *because, uint64_t now) {
    if (manager->starved >= HEALTHD_STARVE_TIMES)
        return mac_asprintf("not restarted any more: %d starts in a row have not mended %s", HEALTHD_STARVE_TIMES,
                            because->name);
    if (manager->watchdog.count_boot > now)
        return mac_strdup(manager->watchdog.mercy);
    const char *why = count_restart(manager);
    manager->watchdog.count_boot = why ? now + HEALTHD_RETRY_MS : 0;
    if (!why)
        return NULL;
    return mac_asprintf("not restarted, though %s stays broken: such restarts cannot be counted (%s) and would not "
                        "end; look at the data partition",
                        because->name, why);
}

/* Something vital stays broken: the machine restarts, but only so often in a row. False: it does not. */
static bool starve(healthd_manager *manager, const healthd_check *because, uint64_t now) {
    bool decided = manager->watchdog.open ? !manager->watchdog.fed : manager->watchdog.rebooting;
    if (decided)
        return true;
    char *mercy = mercy_for(manager, because, now);
    bool merciful = mercy != NULL;
    set_mercy(manager, mercy);
    if (merciful)
        return false;
    if (manager->watchdog.open) {
        set_fed(manager, false, because);
        manager->meal_boot = 0;
    } else {
        manager->watchdog.rebooting = true;
        healthd_manager_tell(manager, TELL_WATCHDOG, NULL, NULL, "starving", because->message);
        healthd_sys_reboot(manager->sys, because->name);
    }
    return true;
}

/* When the starts that were made in vain are forgotten; 0: there are none, or the node is no node now. One that is
 * lastingly degraded counts as well: else starts that are months apart would add up, and the protection would end. */
static uint64_t forgotten_at(const healthd_manager *manager) {
    bool counts = manager->starved && manager->state != HEALTHD_NODE(failed);
    return counts ? manager->standing_boot + HEALTHD_WELL_MS : 0;
}

/* What time alone changes: the end of the grace of what is broken, and of the memory of earlier starts. */
static uint64_t next_turn(const healthd_manager *manager, uint64_t now) {
    uint64_t at = UINT64_MAX, forgotten = forgotten_at(manager);
    for (size_t i = 0; i < manager->plan->count; i++) {
        const healthd_check *check = manager->plan->checks[i];
        uint64_t starves = healthd_check_bad_since(check) + HEALTHD_STARVE_MS;
        if (check->vital && check->state == HEALTHD_FAILED && starves > now && starves < at)
            at = starves;
    }
    if (forgotten > now && forgotten < at)
        at = forgotten;
    if (manager->watchdog.count_boot > now && manager->watchdog.count_boot < at)
        at = manager->watchdog.count_boot;
    return at == UINT64_MAX ? 0 : at;
}

static void forget_starts(healthd_manager *manager, uint64_t now) {
    uint64_t at = forgotten_at(manager);
    if (!at || at > now)
        return;
    manager->starved = 0;
    healthd_kept_save(manager);
}

void healthd_watchdog_consider(healthd_manager *manager) {
    uint64_t now = healthd_boot_ms();
    bool can_restart = is_wanted(manager) && (manager->watchdog.open || manager->plan->watchdog.software);
    const healthd_check *because = can_restart ? starving_for(manager) : NULL;
    if (manager->watchdog.again_boot && manager->watchdog.again_boot <= now)
        healthd_watchdog_apply(manager);
    forget_starts(manager, now);
    if (!because) {
        manager->watchdog.count_boot = 0;
        set_mercy(manager, NULL);
    }
    bool starves = because && starve(manager, because, now);
    if (!starves && manager->watchdog.open) {
        set_fed(manager, true, NULL);
        if (!manager->meal_boot || manager->meal_boot <= now)
            meal(manager);
    }
    manager->turn_boot = next_turn(manager, now);
}

/* Asked by way of the node, or of init, which ends the node first and then the rest of the system. */
static bool goes_down(const healthd_manager *manager) {
    struct stat st;
    return manager->going_down || mac_fs_stat(manager->root, HEALTHD_GOING_DOWN_FILE, &st) == 0;
}

void healthd_watchdog_end(healthd_manager *manager) {
    unsigned taken;
    if (!manager->watchdog.open)
        return;
    if (!goes_down(manager)) {
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
    ret->message = manager->watchdog.mercy ? manager->watchdog.mercy : manager->watchdog.why;
    ret->device = manager->watchdog.device;
    if (!manager->watchdog.open)
        return;
    ret->identity = (char *)manager->watchdog.facts.identity;
    ret->has_timeout_s = ret->has_last_ms = true;
    ret->timeout_s = manager->watchdog.facts.timeout_s;
    ret->last_ms = manager->watchdog.last_ms;
}
