#include "upgrader-slots.h"

#include <string.h>
#include <sys/utsname.h>

const char *upgrader_arch(void) {
    static struct utsname names;
    if (uname(&names) < 0)
        return "unknown";
    if (mac_streq(names.machine, "x86_64"))
        return "amd64";
    return mac_streq(names.machine, "aarch64") ? "arm64" : names.machine;
}

char *upgrader_running_version(mac_root *root) {
    mac_autorunning running = {0};
    (void)mac_boot_running_read(root, &running);
    return mac_strdup(running.version ? running.version : MACULA_VERSION);
}

void upgrader_slots_deinit(upgrader_slots *slots) {
    free(slots->path);
    free(slots->other_path);
    free(slots->problem);
    *slots = (upgrader_slots){0};
}

static void note(upgrader_slots *slots, const char *what) {
    if (!slots->problem)
        slots->problem = mac_strdup(what);
}

/* What the other slot says itself counts only while the boot state knows it. */
static void read_other(upgrader_slots *slots, const mac_boot_status *status) {
    mac_boot_slot content = {.version = ""};
    slots->other_verity = status->state.verity[mac_boot_slot_index(slots->other)];
    if (mac_boot_verity_empty(&slots->other_verity))
        return;
    mac_error *error = mac_boot_slot_read(slots->other_path, &content);
    if (!error && mac_boot_verity_equal(&content.verity, &slots->other_verity)) {
        memcpy(slots->other_version, content.version, sizeof content.version);
    } else {
        mac_autofree char *text = mac_asprintf("slot %c does not hold what the boot state says: %s", slots->other,
                                               error ? error->message : "another hash");
        note(slots, text);
        slots->other_verity = mac_boot_verity_none();
    }
    mac_error_free(error);
}

static void fill(const mac_boot *boot, const mac_boot_status *status, upgrader_slots *slots) {
    const mac_boot_running *running = mac_boot_get_running(boot);
    slots->running = running->slot == '-' ? status->state.active : running->slot;
    slots->other = mac_boot_slot_other(slots->running);
    slots->active = status->state.active;
    slots->pending = status->state.pending;
    slots->failed = running->failed;
    slots->on_trial = running->pending && slots->pending == slots->running;
    slots->passed_over = slots->running != slots->active && !slots->on_trial && !status->lost;
    slots->damaged = slots->passed_over && slots->failed == slots->active;
    slots->tries_left = status->tries_left;
    strncpy(slots->version, running->version ? running->version : MACULA_VERSION, sizeof slots->version - 1);
    if (status->lost)
        note(slots, "both copies of the boot state are damaged; see: maculaos boot status");
    else if (status->damage[0] || status->damage[1] || status->tries_damage)
        note(slots, "a part of the boot state is damaged; see: maculaos boot status");
}

mac_error *upgrader_slots_read(mac_root *root, upgrader_slots *ret_slots) {
    mac_autoptr(mac_boot) boot = NULL;
    mac_autobootstatus status = {0};
    upgrader_autoslots slots = {.running = '-'};
    mac_error *error = mac_boot_open(root, &boot);
    if (!error)
        error = mac_boot_read(boot, &status);
    if (error)
        return error;
    fill(boot, &status, &slots);
    error = mac_boot_slot_path(boot, slots.running, &slots.path);
    if (!error)
        error = mac_boot_slot_path(boot, slots.other, &slots.other_path);
    if (error)
        return error;
    read_other(&slots, &status);
    *ret_slots = slots;
    slots = (upgrader_slots){0};
    return NULL;
}

/* ---- operations ---- */

static mac_error *settle(mac_error *error) {
    if (error && error->code == MACULA__V1__ERROR_CODE__NOTHING_TO_DO) {
        mac_error_free(error);
        return NULL;
    }
    return error;
}

mac_error *upgrader_slots_empty(mac_root *root, char slot) {
    mac_autoptr(mac_boot) boot = NULL;
    mac_error *error = mac_boot_open(root, &boot);
    return error ? error : settle(mac_boot_empty_slot(boot, slot));
}

mac_error *upgrader_slots_try(mac_root *root, char slot, const mac_boot_verity *verity) {
    mac_autoptr(mac_boot) boot = NULL;
    mac_error *error = mac_boot_open(root, &boot);
    return error ? error : settle(mac_boot_set_pending(boot, slot, verity));
}

mac_error *upgrader_slots_confirm(mac_root *root) {
    mac_autoptr(mac_boot) boot = NULL;
    mac_error *error = mac_boot_open(root, &boot);
    return error ? error : settle(mac_boot_confirm(boot));
}

mac_error *upgrader_slots_stay(mac_root *root) {
    mac_autoptr(mac_boot) boot = NULL;
    mac_error *error = mac_boot_open(root, &boot);
    return error ? error : settle(mac_boot_stay(boot));
}

mac_error *upgrader_slots_give_up(mac_root *root, char slot) {
    mac_autoptr(mac_boot) boot = NULL;
    mac_error *error = mac_boot_open(root, &boot);
    return error ? error : settle(mac_boot_mark_failed(boot, slot));
}
