#include "boot/mac-boot.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "boot/mac-boot-disk.h"

#define COMMAND_LINE_MAX (64u << 10)
#define ESP_DIRECTORY "/boot/esp"

struct mac_boot {
    mac_root *root; /* NULL: opened by its ESP */
    mac_boot_esp *esp;
    mac_boot_running running;
};

/* What an operation changes: NULL, or why it must not. */
typedef mac_error *(*change)(const mac_boot *boot, const mac_boot_status *status, const void *wish,
                             mac_boot_state *state);

static mac_error *conflict(const char *format, ...) MAC_PRINTF(1, 2);
static mac_error *conflict(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    mac_autofree char *text = mac_vasprintf(format, arguments);
    va_end(arguments);
    return mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL, "%s", text);
}

static mac_error *nothing(const char *text) {
    return mac_error_new(MACULA__V1__ERROR_CODE__NOTHING_TO_DO, NULL, "%s", text);
}

/* ---- open ---- */

static mac_error *no_machine(void) {
    return mac_error_new(MACULA__V1__ERROR_CODE__UNSUPPORTED, NULL,
                         "this machine was not started by MaculaOS from a disk with slots: there is no boot state; a "
                         "node below another root has one (MACULA_ROOT)");
}

/* macula.esp=<PARTUUID> of the kernel command line, as udev links it. */
static char *esp_of_command_line(mac_root *root) {
    mac_autofree char *text = NULL;
    if (mac_fs_read(root, "/proc/cmdline", COMMAND_LINE_MAX, &text, NULL) < 0)
        return NULL;
    char *rest = text;
    for (char *word; (word = strsep(&rest, " \t\n"));) {
        const char *id = mac_starts_with(word, "macula.esp=") ? word + strlen("macula.esp=") : NULL;
        if (id && *id && strspn(id, "0123456789abcdefABCDEF-") == strlen(id)) {
            char *path = mac_asprintf("/dev/disk/by-partuuid/%s", id);
            for (char *c = path + strlen("/dev/disk/by-partuuid/"); *c; c++)
                *c = (char)(*c >= 'A' && *c <= 'F' ? *c | 0x20 : *c);
            return path;
        }
    }
    return NULL;
}

static char *find_esp(mac_root *root, const mac_boot_running *running) {
    if (!mac_root_is_system(root))
        return mac_root_path(root, ESP_DIRECTORY);
    if (running->esp)
        return mac_strdup(running->esp);
    return esp_of_command_line(root);
}

mac_error *mac_boot_open(mac_root *root, mac_boot **ret_boot) {
    mac_autoptr(mac_boot) boot = mac_calloc(1, sizeof *boot);
    (void)mac_boot_running_read(root, &boot->running);
    boot->root = root;
    mac_autofree char *path = find_esp(root, &boot->running);
    if (!path || (!mac_root_is_system(root) && access(path, F_OK) < 0))
        return no_machine();
    mac_error *error = mac_boot_esp_open(path, &boot->esp);
    if (!error)
        *ret_boot = mac_take(&boot);
    return error;
}

mac_error *mac_boot_open_esp(const char *esp, char running, mac_boot **ret_boot) {
    mac_autoptr(mac_boot) boot = mac_calloc(1, sizeof *boot);
    boot->running = (mac_boot_running){.slot = running, .failed = '-', .esp = mac_strdup(esp)};
    mac_error *error = mac_boot_esp_open(esp, &boot->esp);
    if (!error)
        *ret_boot = mac_take(&boot);
    return error;
}

void mac_boot_close(mac_boot *boot) {
    if (!boot)
        return;
    mac_boot_esp_close(boot->esp);
    mac_boot_running_deinit(&boot->running);
    free(boot);
}

const mac_boot_running *mac_boot_get_running(const mac_boot *boot) {
    return &boot->running;
}

mac_error *mac_boot_slot_path(const mac_boot *boot, char slot, char **ret_path) {
    mac_boot_partition partition;
    if (boot->root && !mac_root_is_system(boot->root)) {
        mac_autofree char *inside = mac_asprintf("/boot/slot-%c", slot);
        *ret_path = mac_root_path(boot->root, inside);
        return NULL;
    }
    mac_autoptr(mac_root) system = NULL;
    int result = mac_root_open("/", false, &system);
    mac_autofree char *name = mac_asprintf("rootfs-%c", slot - 'a' + 'A');
    if (result == 0)
        result = mac_boot_disk_partition(system, mac_boot_esp_path(boot->esp), name, &partition);
    if (result < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "one partition %s on the disk of %s expected: %s",
                             name, mac_boot_esp_path(boot->esp), strerror(-result));
    *ret_path = mac_strdup(partition.device);
    return NULL;
}

/* ---- read ---- */

static char *message_of(mac_error *error) {
    char *message = mac_take(&error->message);
    mac_error_free(error);
    return message;
}

static bool read_copy(mac_boot *boot, mac_boot_file file, mac_boot_state *ret_state, char **ret_damage) {
    uint8_t block[MAC_BOOT_BLOCK];
    mac_error *error = mac_boot_esp_read(boot->esp, file, block);
    if (!error)
        error = mac_boot_state_decode(block, sizeof block, ret_state);
    if (error)
        *ret_damage = message_of(error);
    return !error;
}

static void read_tries(mac_boot *boot, mac_boot_status *status) {
    uint8_t block[MAC_BOOT_BLOCK];
    mac_error *error = mac_boot_esp_read(boot->esp, MAC_BOOT_TRIES_FILE, block);
    if (!error)
        error = mac_boot_tries_decode(block, sizeof block, &status->tries);
    if (error)
        status->tries_damage = message_of(error);
}

mac_error *mac_boot_read(mac_boot *boot, mac_boot_status *ret_status) {
    mac_boot_state copies[2] = {0};
    mac_boot_status status = {.state = mac_boot_state_initial()};
    bool first = read_copy(boot, MAC_BOOT_STATE_1, &copies[0], &status.damage[0]);
    bool second = read_copy(boot, MAC_BOOT_STATE_2, &copies[1], &status.damage[1]);
    read_tries(boot, &status);
    if (status.damage[0] && status.damage[1] && status.tries_damage &&
        !mac_starts_with(status.damage[0], "boot state:")) {
        mac_error *error = mac_error_new(MACULA__V1__ERROR_CODE__UNSUPPORTED, NULL, "%s", status.damage[0]);
        mac_boot_status_deinit(&status);
        return error;
    }
    status.in_force = mac_boot_state_choose(&copies[0], first, &copies[1], second);
    status.lost = status.in_force < 0;
    if (!status.lost)
        status.state = copies[status.in_force];
    if (status.state.pending != '-' && !status.tries_damage)
        status.tries_left = MAC_BOOT_TRIES - mac_boot_tries_used(&status.tries, status.state.seq);
    status.next_used = status.tries.next == status.state.seq && !status.lost;
    *ret_status = status;
    return NULL;
}

void mac_boot_status_deinit(mac_boot_status *status) {
    free(status->damage[0]);
    free(status->damage[1]);
    free(status->tries_damage);
}

/* ---- write ---- */

/* When both copies are lost, the slots themselves say what they hold. */
static mac_error *rebuild(const mac_boot *boot, mac_boot_state *state) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(state->verity); i++) {
        mac_autofree char *path = NULL;
        mac_boot_slot content = {0};
        mac_error *error = mac_boot_slot_path(boot, "ab"[i], &path);
        if (!error)
            error = mac_boot_slot_read(path, &content);
        if (!error)
            state->verity[i] = content.verity;
        mac_error_free(error);
    }
    state->active = boot->running.slot == 'b' ? 'b' : 'a';
    if (!mac_boot_verity_empty(&state->verity[mac_boot_slot_index(state->active)]))
        return NULL;
    return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                         "both copies of the boot state are damaged and slot %c does not say what it holds: install "
                         "the version again",
                         state->active);
}

/* A number that neither a copy nor a count of tries has seen. */
static uint32_t last_seq(const mac_boot_status *status) {
    uint32_t last = status->state.seq;
    for (size_t i = 0; i < MAC_BOOT_TRIES; i++)
        last = status->tries.used[i] > last && status->lost ? status->tries.used[i] : last;
    return status->lost && status->tries.next > last ? status->tries.next : last;
}

static mac_error *write_state(mac_boot *boot, const mac_boot_status *status, mac_boot_state *state) {
    uint8_t block[MAC_BOOT_BLOCK];
    uint32_t last = last_seq(status);
    if (last >= MAC_BOOT_SEQ_MAX)
        return mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                             "the number of the boot state (seq) is at its end: install the boot files again");
    state->seq = last + 1;
    mac_error *error = mac_boot_state_encode(state, block);
    return error ? error
                 : mac_boot_esp_write(boot->esp, status->in_force == 0 ? MAC_BOOT_STATE_2 : MAC_BOOT_STATE_1, block);
}

static mac_error *apply_locked(mac_boot *boot, change what, const void *wish) {
    mac_autobootstatus status = {0};
    mac_error *error = mac_boot_read(boot, &status);
    if (error)
        return error;
    mac_boot_state state = status.state;
    if (status.next_used || status.tries_damage)
        state.next = MAC_BOOT_NORMAL;
    if (status.lost)
        error = rebuild(boot, &state);
    if (!error)
        error = what(boot, &status, wish, &state);
    return error ? error : write_state(boot, &status, &state);
}

static mac_error *apply(mac_boot *boot, change what, const void *wish) {
    mac_error *error = mac_boot_esp_lock(boot->esp);
    if (error)
        return error;
    error = apply_locked(boot, what, wish);
    mac_boot_esp_unlock(boot->esp);
    return error;
}

/* ---- operations ---- */

static mac_error *change_confirm(const mac_boot *boot, const mac_boot_status *status, const void *wish,
                                 mac_boot_state *state) {
    (void)wish;
    (void)status;
    if (state->pending == '-')
        return nothing("no slot waits to be confirmed");
    if (boot->running.slot == '-')
        return conflict("slot %c waits to be confirmed, but which slot runs is not known (%s)", state->pending,
                        MAC_BOOT_ENVIRONMENT);
    if (state->pending != boot->running.slot)
        return conflict("slot %c waits to be confirmed, but slot %c runs", state->pending, boot->running.slot);
    state->active = state->pending;
    state->pending = '-';
    return NULL;
}

/* GRUB writes tries; Linux only makes it readable again. Zeros: no try of any state is used. */
static mac_error *repair_tries(mac_boot *boot) {
    mac_autobootstatus status = {0};
    uint8_t block[MAC_BOOT_BLOCK];
    mac_boot_tries none = {.next = 0};
    mac_error *error = mac_boot_esp_lock(boot->esp);
    if (error)
        return error;
    error = mac_boot_read(boot, &status);
    if (!error && status.tries_damage) {
        mac_boot_tries_encode(&none, block);
        error = mac_boot_esp_write(boot->esp, MAC_BOOT_TRIES_FILE, block);
    }
    mac_boot_esp_unlock(boot->esp);
    return error;
}

mac_error *mac_boot_confirm(mac_boot *boot) {
    mac_error *error = apply(boot, change_confirm, NULL);
    mac_error *repair = repair_tries(boot);
    if (repair && (!error || error->code == MACULA__V1__ERROR_CODE__NOTHING_TO_DO)) {
        mac_error_free(error);
        return repair;
    }
    mac_error_free(repair);
    return error;
}

static mac_error *change_stay(const mac_boot *boot, const mac_boot_status *status, const void *wish,
                              mac_boot_state *state) {
    char running = boot->running.slot;
    (void)wish;
    if (running == '-')
        return conflict("which slot runs is not known (%s)", MAC_BOOT_ENVIRONMENT);
    if (state->active == running && !status->lost)
        return nothing("the slot that runs is the active one");
    if (mac_boot_verity_empty(&state->verity[mac_boot_slot_index(running)]))
        return conflict("slot %c runs, but the boot state does not say what it holds", running);
    state->active = running;
    if (state->pending == running)
        state->pending = '-';
    return NULL;
}

mac_error *mac_boot_stay(mac_boot *boot) {
    return apply(boot, change_stay, NULL);
}

typedef struct slot_wish {
    char slot;
    const mac_boot_verity *verity;
} slot_wish;

static mac_error *check_slot(char slot) {
    return mac_boot_slot_index(slot) >= 0
               ? NULL
               : mac_error_new(MACULA__V1__ERROR_CODE__INVALID, "slot", "slot a or b expected");
}

static mac_error *change_pending(const mac_boot *boot, const mac_boot_status *status, const void *wish,
                                 mac_boot_state *state) {
    const slot_wish *wanted = wish;
    (void)boot;
    (void)status;
    if (wanted->slot == state->active)
        return conflict("slot %c is the active one: it is started anyway", wanted->slot);
    state->pending = wanted->slot;
    state->verity[mac_boot_slot_index(wanted->slot)] = *wanted->verity;
    return NULL;
}

mac_error *mac_boot_set_pending(mac_boot *boot, char slot, const mac_boot_verity *verity) {
    slot_wish wish = {slot, verity};
    mac_error *error = check_slot(slot);
    return error ? error : apply(boot, change_pending, &wish);
}

static mac_error *change_cancel(const mac_boot *boot, const mac_boot_status *status, const void *wish,
                                mac_boot_state *state) {
    (void)boot;
    (void)status;
    (void)wish;
    if (state->pending == '-')
        return nothing("nothing is pending");
    state->pending = '-';
    return NULL;
}

mac_error *mac_boot_cancel_pending(mac_boot *boot) {
    return apply(boot, change_cancel, NULL);
}

static mac_error *change_empty(const mac_boot *boot, const mac_boot_status *status, const void *wish,
                               mac_boot_state *state) {
    const slot_wish *wanted = wish;
    int index = mac_boot_slot_index(wanted->slot);
    (void)status;
    if (wanted->slot == state->active || wanted->slot == boot->running.slot)
        return conflict("slot %c %s: it must not be overwritten", wanted->slot,
                        wanted->slot == boot->running.slot ? "runs" : "is the active one");
    if (mac_boot_verity_empty(&state->verity[index]))
        return nothing("the slot is empty already");
    if (state->pending == wanted->slot)
        state->pending = '-';
    state->verity[index] = mac_boot_verity_none();
    return NULL;
}

mac_error *mac_boot_empty_slot(mac_boot *boot, char slot) {
    slot_wish wish = {.slot = slot};
    mac_error *error = check_slot(slot);
    return error ? error : apply(boot, change_empty, &wish);
}

static mac_error *change_next(const mac_boot *boot, const mac_boot_status *status, const void *wish,
                              mac_boot_state *state) {
    mac_boot_mode mode = *(const mac_boot_mode *)wish;
    (void)boot;
    if (state->next == mode && !status->lost && status->state.next == mode && !status->tries_damage)
        return nothing("the next start is so already");
    state->next = mode;
    return NULL;
}

mac_error *mac_boot_set_next(mac_boot *boot, mac_boot_mode mode) {
    return apply(boot, change_next, &mode);
}

static mac_error *change_failed(const mac_boot *boot, const mac_boot_status *status, const void *wish,
                                mac_boot_state *state) {
    const slot_wish *wanted = wish;
    (void)boot;
    (void)status;
    if (state->pending != wanted->slot)
        return nothing("the slot is not pending");
    state->pending = '-';
    return NULL;
}

mac_error *mac_boot_mark_failed(mac_boot *boot, char slot) {
    slot_wish wish = {.slot = slot};
    mac_error *error = check_slot(slot);
    return error ? error : apply(boot, change_failed, &wish);
}

static mac_error *change_reset(const mac_boot *boot, const mac_boot_status *status, const void *wish,
                               mac_boot_state *state) {
    mac_boot_reset reset = *(const mac_boot_reset *)wish;
    if (state->reset == reset && !status->lost)
        return nothing("the intent is so already");
    if (reset != MAC_BOOT_RESET_NONE && state->pending != boot->running.slot)
        state->pending = '-';
    if (reset == MAC_BOOT_RESET_NONE && state->next == MAC_BOOT_RESET)
        state->next = MAC_BOOT_NORMAL;
    if (reset != MAC_BOOT_RESET_NONE)
        state->next = MAC_BOOT_RESET;
    state->reset = reset;
    return NULL;
}

mac_error *mac_boot_set_reset(mac_boot *boot, mac_boot_reset reset) {
    return apply(boot, change_reset, &reset);
}
