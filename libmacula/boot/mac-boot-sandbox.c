#include "boot/mac-boot-sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "boot/mac-boot.h"

/* ---- the choice ---- */

static bool is_empty(const mac_boot_state *state, char slot) {
    return mac_boot_verity_empty(&state->verity[mac_boot_slot_index(slot)]);
}

/* A slot that holds nothing uses its try like one that cannot be loaded: GRUB goes on with the active one at once. */
static void choose_pending(const mac_boot_state *state, mac_boot_choice *choice) {
    choice->failed = state->pending;
    for (size_t i = 0; i < MAC_BOOT_TRIES; i++) {
        if (choice->tries.used[i] == state->seq)
            continue;
        choice->tries.used[i] = state->seq;
        choice->tries_changed = true;
        if (is_empty(state, state->pending))
            return;
        choice->pending = true;
        choice->slot = state->pending;
        choice->failed = '-';
        return;
    }
}

/* The active slot, or where it holds nothing the other one. */
static void choose_filled(const mac_boot_state *state, mac_boot_choice *choice) {
    char other = mac_boot_slot_other(choice->slot);
    if (choice->pending || !is_empty(state, choice->slot) || is_empty(state, other))
        return;
    choice->failed = choice->slot;
    choice->slot = other;
}

mac_boot_choice mac_boot_choose(const mac_boot_state *state, const mac_boot_tries *tries) {
    mac_boot_choice choice = {.slot = 'a', .failed = '-', .mode = MAC_BOOT_NORMAL};
    if (tries)
        choice.tries = *tries;
    if (!state)
        return choice;
    choice.slot = state->active;
    if (state->reset != MAC_BOOT_RESET_NONE) {
        choice.mode = MAC_BOOT_RESET;
    } else if (tries && state->next != MAC_BOOT_NORMAL && tries->next != state->seq) {
        choice.mode = state->next;
        choice.tries.next = state->seq;
        choice.tries_changed = true;
    } else if (tries && state->pending != '-') {
        choose_pending(state, &choice);
    }
    choose_filled(state, &choice);
    return choice;
}

/* ---- a sandbox ---- */

static mac_error *make_slot(mac_root *root, char slot, const char *trailer) {
    uint8_t block[MAC_BOOT_TRAILER] = {0};
    mac_autofree char *path = mac_asprintf("/boot/slot-%c", slot);
    mac_autofd fd = -1;
    struct stat status;
    int result = mac_fs_stat(root, path, &status);
    /* The size comes last: a file that a crash left smaller is made again. */
    if (result == 0 && status.st_size == (off_t)MAC_BOOT_SANDBOX_SLOT)
        return NULL;
    snprintf((char *)block, sizeof block, "%s", trailer);
    result = mac_fs_open(root, path, O_WRONLY | O_CREAT | O_TRUNC, 0600, &fd);
    off_t start = (off_t)(MAC_BOOT_SANDBOX_SLOT - sizeof block);
    if (result == 0 && pwrite(fd, block, sizeof block, start) != (ssize_t)sizeof block)
        result = -EIO;
    return result < 0 ? mac_error_from_errno(result, "%s cannot be made", path) : NULL;
}

static mac_error *make_file(mac_root *root, mac_boot_file file, const uint8_t block[MAC_BOOT_BLOCK]) {
    mac_autofree char *path = mac_asprintf("/boot/esp%s", mac_boot_esp_file_name(file));
    int result = mac_fs_create(root, path, block, MAC_BOOT_BLOCK, MAC_FS_PRIVATE);
    return result < 0 && result != -EEXIST ? mac_error_from_errno(result, "%s cannot be made", path) : NULL;
}

static mac_error *make_files(mac_root *root, const mac_boot_verity *verity) {
    uint8_t block[MAC_BOOT_BLOCK];
    mac_boot_tries none = {.next = 0};
    mac_boot_state state = mac_boot_state_initial();
    int result = mac_fs_mkdirs(root, "/boot/esp/grub", 0755);
    if (result < 0)
        return mac_error_from_errno(result, "/boot/esp/grub cannot be made");
    state.seq = 1;
    state.verity[0] = *verity;
    mac_boot_tries_encode(&none, block);
    mac_error *error = make_file(root, MAC_BOOT_TRIES_FILE, block);
    if (!error)
        error = mac_boot_state_encode(&state, block);
    if (!error)
        error = make_file(root, MAC_BOOT_STATE_2, block);
    return error ? error : make_file(root, MAC_BOOT_STATE_1, block);
}

static mac_error *play(mac_root *root, mac_boot *boot, const char *version) {
    mac_autobootstatus status = {0};
    uint8_t block[MAC_BOOT_BLOCK];
    mac_boot_slot content = {.version = ""};
    mac_autofree char *path = NULL;
    mac_error *error = mac_boot_read(boot, &status);
    if (error)
        return error;
    mac_boot_choice choice =
        mac_boot_choose(status.lost ? NULL : &status.state, status.tries_damage ? NULL : &status.tries);
    if (choice.tries_changed) {
        mac_autoptr(mac_boot_esp) esp = NULL;
        mac_autofree char *directory = mac_root_path(root, "/boot/esp");
        mac_boot_tries_encode(&choice.tries, block);
        error = mac_boot_esp_open(directory, &esp);
        if (!error)
            error = mac_boot_esp_write(esp, MAC_BOOT_TRIES_FILE, block);
    }
    if (!error)
        error = mac_boot_slot_path(boot, choice.slot, &path);
    if (error)
        return error;
    mac_error_free(mac_boot_slot_read(path, &content)); /* a slot that does not say has the version that runs */
    mac_autofree char *note = NULL;
    if (mac_fs_read(root, MAC_BOOT_SANDBOX_NOTE, MAC_BOOT_ENVIRONMENT_MAX / 2, &note, NULL) < 0)
        note = mac_strdup("");
    mac_autofree char *text = mac_asprintf("mode=disk\nslot=%c\npending=%d\nfailed=%s\nversion=%s\npersistent=1\n%s",
                                           choice.slot, choice.pending,
                                           choice.failed == 'a'   ? "a"
                                           : choice.failed == 'b' ? "b"
                                                                  : "",
                                           content.version[0] ? content.version : version, note);
    int result = mac_fs_mkdirs(root, "/run/initramfs", 0755);
    if (result == 0)
        result = mac_fs_write(root, MAC_BOOT_ENVIRONMENT, text, strlen(text), MAC_FS_KEEP);
    return result < 0 ? mac_error_from_errno(result, MAC_BOOT_ENVIRONMENT " cannot be written") : NULL;
}

mac_error *mac_boot_sandbox_start(mac_root *root, const char *version, const char *arch) {
    mac_boot_verity verity = {.blocks = 1};
    memset(verity.hash, '5', 64); /* of nothing: a sandbox has no device mapper that would check it */
    mac_autofree char *trailer = mac_asprintf("{\"version\":\"%s\",\"arch\":\"%s\",\"size\":4096,\"data_blocks\":1,"
                                              "\"root_hash\":\"%s\"}",
                                              version, arch, verity.hash);
    int result = mac_fs_mkdirs(root, "/boot", 0755);
    if (result < 0)
        return mac_error_from_errno(result, "/boot cannot be made");
    mac_autoptr(mac_boot) boot = NULL;
    mac_error *error = make_slot(root, 'a', trailer);
    if (!error)
        error = make_slot(root, 'b', "");
    if (!error)
        error = make_files(root, &verity);
    if (!error)
        error = mac_boot_open(root, &boot);
    return error ? error : play(root, boot, version);
}
