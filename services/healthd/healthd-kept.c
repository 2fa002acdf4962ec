/* What neither a kill nor a power cut makes us forget: kept.json in HEALTHD_DIRECTORY. It is small and written whole,
 * and only when a person, the gate or a restart has changed something. A damaged one is put aside, never believed. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "boot/mac-boot-running.h"
#include "codec/mac-codec.h"
#include "healthd-watchdog.h"
#include "log/mac-log.h"

#define KEPT HEALTHD_DIRECTORY "/kept.json"
#define KEPT_DAMAGED HEALTHD_DIRECTORY "/kept.damaged"
#define KEPT_MAX (1u << 20)
#define SILENCE_MAX_MS (30 * 86400000ll)
#define NUMBERS_SKIPPED 64 /* entries whose lines a power cut may have taken */

/* ---- reading ---- */

/* NULL: there is none, or (*ret_lost) none that can be believed. */
static Macula__V1__HealthKept *kept_read(healthd_manager *manager, bool *ret_lost) {
    mac_autofree char *text = NULL;
    size_t length;
    ProtobufCMessage *message = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    int result = mac_fs_read(manager->root, KEPT, KEPT_MAX, &text, &length);
    *ret_lost = result < 0 && result != -ENOENT;
    if (result < 0) {
        if (*ret_lost)
            mac_log_warning("what was kept cannot be read", "file=" KEPT " error=%s", strerror(-result));
        return NULL;
    }
    if (mac_codec_from_json(&macula__v1__health_kept__descriptor, text, length, problems, &message) == 0)
        return (Macula__V1__HealthKept *)message;
    *ret_lost = true;
    mac_log_warning("what was kept is damaged: beginning anew", "file=" KEPT " aside=" KEPT_DAMAGED);
    (void)!mac_fs_write(manager->root, KEPT_DAMAGED, text, length, MAC_FS_PRIVATE_AS(MAC_FS_RELAXED));
    return NULL;
}

/* A silence is an instant for people, but a span to us: as long as the machine runs, its own time says what is left of
 * it. After another start the clock does, but no more than was left before: without a battery it may have gone back. */
static void load_silence(healthd_check *check, const Macula__V1__HealthCheckKept *from, bool same_boot,
                         uint64_t now_boot) {
    int64_t left = from->silent_until_ms - mac_unix_ms();
    int64_t most = from->has_silent_left_ms && from->silent_left_ms < SILENCE_MAX_MS ? (int64_t)from->silent_left_ms
                                                                                     : SILENCE_MAX_MS;
    if (same_boot && from->has_silent_until_boot_ms)
        left = (int64_t)(from->silent_until_boot_ms - now_boot);
    if (left > most)
        left = most;
    if (left <= 0)
        return;
    check->silent_until_boot = now_boot + (uint64_t)left;
    check->silent_until_ms = mac_unix_ms() + left;
    check->is_silenced = true;
}

static void load_check(healthd_check *check, const Macula__V1__HealthCheckKept *from, bool same_boot,
                       uint64_t now_boot) {
    load_silence(check, from, same_boot, now_boot);
    check->acknowledged_by = mac_strdup(from->acknowledged_by);
    check->acknowledgement = mac_strdup(from->acknowledgement);
    size_t count = same_boot ? from->n_restarts_boot_ms : 0;
    for (size_t i = 0; i < count && i < HEALTHD_RESTARTS_MAX; i++)
        if (from->restarts_boot_ms[i] <= now_boot)
            check->restart_boot[check->restart_count++] = from->restarts_boot_ms[i];
    count = same_boot ? from->n_deaths_boot_ms : 0;
    check->deaths_told = same_boot ? from->deaths : 0;
    for (size_t i = 0; i < count && i < HEALTHD_DEATHS_KEPT; i++)
        if (from->deaths_boot_ms[i] <= now_boot)
            check->death_boot[check->death_count++] = from->deaths_boot_ms[i];
    if (same_boot && from->cleaned_boot_ms <= now_boot)
        check->cleaned_boot = from->cleaned_boot_ms;
}

static void load_gate(healthd_manager *manager, const Macula__V1__HealthGateKept *from) {
    healthd_gate *gate = &manager->gate;
    if (!mac_streq(from->version, gate->version) || !mac_streq(from->slot, gate->slot))
        return; /* another version runs now */
    gate->state = (healthd_gate_state)from->state;
    gate->since_ms = from->decided_ms;
    gate->started_boot = from->started_boot_ms < gate->started_boot ? from->started_boot_ms : gate->started_boot;
    for (size_t i = 0; i < from->n_reasons; i++)
        mac_strings_add(&gate->reasons, from->reasons[i]);
}

/* A node below another root is "started" without the machine: what its boot state led to is written anew each time. */
static char *boot_name(healthd_manager *manager, const char *machine) {
    struct stat st;
    if (mac_root_is_system(manager->root) || mac_fs_stat(manager->root, MAC_BOOT_ENVIRONMENT, &st) < 0)
        return mac_strdup(machine);
    return mac_asprintf("%s.%lld%09ld", machine, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void load_identity(healthd_manager *manager) {
    mac_autofree char *text = NULL;
    mac_autorunning running = {0};
    (void)mac_boot_running_read(manager->root, &running); /* what is not known is left out */
    mac_root *system = NULL;
    if (mac_root_open("/", false, &system) == 0 &&
        mac_fs_read(system, "/proc/sys/kernel/random/boot_id", 64, &text, NULL) == 0)
        text[strcspn(text, "\n")] = '\0';
    mac_root_close(system);
    manager->boot_id = boot_name(manager, text ? text : "");
    manager->gate.boot_id = mac_strdup(manager->boot_id);
    manager->gate.version = mac_strdup(running.version ? running.version : MACULA_VERSION);
    manager->gate.slot = running.slot == '-' || !running.slot ? NULL : mac_asprintf("%c", running.slot);
    manager->gate.started_boot = healthd_boot_ms();
}

/* The initramfs gives a node whose data partition cannot be mounted memory in its place. */
static bool is_in_memory(healthd_manager *manager) {
    mac_autofd directory = -1;
    struct statfs facts;
    return mac_root_is_system(manager->root) &&
           mac_fs_open(manager->root, HEALTHD_DIRECTORY, O_RDONLY | O_DIRECTORY, 0, &directory) == 0 &&
           fstatfs(directory, &facts) == 0 && facts.f_type == TMPFS_MAGIC;
}

void healthd_kept_load(healthd_manager *manager) {
    uint64_t now = healthd_boot_ms();
    load_identity(manager);
    manager->in_memory = is_in_memory(manager);
    bool lost;
    Macula__V1__HealthKept *kept = kept_read(manager, &lost);
    bool same_boot = kept && mac_streq(kept->boot_id, manager->boot_id);
    if (kept && kept->gate && same_boot)
        load_gate(manager, kept->gate);
    for (size_t i = 0; kept && i < kept->n_checks; i++) {
        const char *name = kept->checks[i]->name ? kept->checks[i]->name : "";
        healthd_check *check = healthd_plan_find(manager->plan, name);
        if (!check && mac_starts_with(name, "service."))
            check = healthd_plan_add_service(manager->plan, name + strlen("service."));
        if (check)
            load_check(check, kept->checks[i], same_boot, now);
    }
    /* Restarts whose count is lost may have been the last of their row. */
    manager->starved = kept ? kept->starved : lost ? HEALTHD_STARVE_TIMES : 0;
    if (!same_boot && manager->history.last)
        manager->history.last += NUMBERS_SKIPPED;
    if (kept)
        macula__v1__health_kept__free_unpacked(kept, NULL);
    if (!same_boot || !manager->gate.state)
        healthd_kept_save(manager); /* from when on this version runs */
}

/* ---- writing ---- */

static bool worth_keeping(healthd_check *check) {
    uint64_t now = healthd_boot_ms();
    return healthd_check_silent(check, now) || check->acknowledged_by || healthd_check_restarts(check, now) > 0 ||
           healthd_check_cleaned_up(check, now) || check->deaths_told > 0;
}

static void fill_check(const healthd_check *check, uint64_t now_boot, Macula__V1__HealthCheckKept *ret) {
    bool silent = healthd_check_silent(check, now_boot);
    macula__v1__health_check_kept__init(ret);
    ret->name = check->name;
    ret->has_silent_until_ms = ret->has_silent_until_boot_ms = ret->has_silent_left_ms = silent;
    ret->silent_until_ms = check->silent_until_ms;
    ret->silent_until_boot_ms = check->silent_until_boot;
    ret->silent_left_ms = silent ? check->silent_until_boot - now_boot : 0;
    ret->acknowledged_by = check->acknowledged_by;
    ret->acknowledgement = check->acknowledgement;
    ret->n_restarts_boot_ms = check->restart_count;
    ret->restarts_boot_ms = (uint64_t *)check->restart_boot;
    ret->has_deaths = check->deaths_told != 0;
    ret->deaths = check->deaths_told;
    ret->n_deaths_boot_ms = check->death_count;
    ret->deaths_boot_ms = (uint64_t *)check->death_boot;
    ret->has_cleaned_boot_ms = check->cleaned_boot != 0;
    ret->cleaned_boot_ms = check->cleaned_boot;
}

static void fill_gate(healthd_gate *gate, Macula__V1__HealthGateKept *ret) {
    macula__v1__health_gate_kept__init(ret);
    ret->version = gate->version;
    ret->slot = gate->slot;
    ret->has_state = ret->has_started_boot_ms = ret->has_decided_ms = true;
    ret->state = (Macula__V1__HealthGate__State)gate->state;
    ret->started_boot_ms = gate->started_boot;
    ret->decided_ms = gate->since_ms;
    if (gate->state == HEALTHD_GATE_HOLDING)
        return; /* what keeps it from passing is found again */
    ret->reasons = gate->reasons.items;
    ret->n_reasons = gate->reasons.count;
}

int healthd_kept_store(healthd_manager *manager) {
    size_t count = manager->plan->count;
    Macula__V1__HealthKept kept = MACULA__V1__HEALTH_KEPT__INIT;
    Macula__V1__HealthGateKept gate;
    mac_autofree Macula__V1__HealthCheckKept *checks = mac_calloc(count + 1, sizeof *checks);
    mac_autofree Macula__V1__HealthCheckKept **list = mac_calloc(count + 1, sizeof *list);
    kept.boot_id = manager->boot_id;
    kept.checks = list;
    kept.gate = &gate;
    kept.has_starved = true;
    kept.starved = manager->starved;
    fill_gate(&manager->gate, &gate);
    for (size_t i = 0; i < count; i++) {
        if (!worth_keeping(manager->plan->checks[i]))
            continue;
        list[kept.n_checks] = &checks[kept.n_checks];
        fill_check(manager->plan->checks[i], healthd_boot_ms(), &checks[kept.n_checks++]);
    }
    size_t length;
    mac_autofree char *json = mac_codec_to_json(&kept.base, 0, &length);
    return mac_fs_write(manager->root, KEPT, json, length, MAC_FS_PRIVATE);
}

void healthd_kept_save(healthd_manager *manager) {
    int result = healthd_kept_store(manager);
    if (result < 0)
        mac_log_error("not kept: a restart of healthd forgets it", "file=" KEPT " error=" MAC_LOG_Q("%s"),
                      strerror(-result));
}
