/* Operations on the boot state. Each one reads the state, checks that the change makes sense, and writes it under a
 * lock.
 *
 * Guarantees of every function that changes something:
 * - NULL means: the new state is on the disk and was read back. A power cut from then on finds it.
 * - An error means: as far as anybody can tell the old state is in force. (The one exception is a disk that fails while
 * it writes: the new state may have arrived. Read it again to know.)
 * - A process killed, or a power cut, at any moment in between: the old state or the new one, never a mixture.
 * - Two at once do one after the other, each on what the other left.
 * - Asking for what is so already is NOTHING_TO_DO, writes nothing, and is no failure.
 * - A one-shot mode that GRUB has not used yet stays for the next start; one that it has used does not come again.
 * - Three tries of a pending slot are counted for one written state: every change in between starts the count anew. */
#ifndef MAC_BOOT_H
#define MAC_BOOT_H

#include "boot/mac-boot-esp.h"
#include "boot/mac-boot-running.h"
#include "boot/mac-boot-slot.h"
#include "fs/mac-fs.h"

typedef struct mac_boot mac_boot;

typedef struct mac_boot_status {
    bool lost;            /* neither copy is valid: `state` is the initial one then */
    mac_boot_state state; /* in force */
    int in_force;         /* copy 0 or 1; -1 when lost */
    char *damage[2];      /* why a copy is not valid; NULL: it is */
    mac_boot_tries tries; /* zeros when damaged */
    char *tries_damage;   /* why tries cannot be read; NULL: it can */
    unsigned tries_left;  /* of the pending slot; 0 when nothing is pending */
    bool next_used;       /* the one-shot mode was used already */
} mac_boot_status;

/* Opens the boot state of the machine (root "/") or of a node below another root (ROOT/boot/esp). UNSUPPORTED: this is
 * no machine that MaculaOS started. */
mac_error *mac_boot_open(mac_root *root, mac_boot **ret_boot);
/* The same with an ESP that is known (device, image or directory): for the initramfs and the installer. `running` is
 * the slot that runs, or '-'. */
mac_error *mac_boot_open_esp(const char *esp, char running, mac_boot **ret_boot);
void mac_boot_close(mac_boot *boot);
MAC_DEFINE_AUTOPTR(mac_boot, mac_boot_close)

/* What the initramfs said; never NULL. */
const mac_boot_running *mac_boot_get_running(const mac_boot *boot);
/* Partition or file of a slot; caller frees. */
mac_error *mac_boot_slot_path(const mac_boot *boot, char slot, char **ret_path);

/* Reads everything. Damage is no error here but in the status; an error is an ESP that cannot be read at all. */
mac_error *mac_boot_read(mac_boot *boot, mac_boot_status *ret_status);
void mac_boot_status_deinit(mac_boot_status *status);
#define mac_autobootstatus __attribute__((cleanup(mac_boot_status_deinit))) mac_boot_status

/* The pending slot, which runs, becomes the active one. NOTHING_TO_DO: nothing is pending. CONFLICT: something is, but
 * another slot runs. Repairs tries when GRUB could not read it. */
mac_error *mac_boot_confirm(mac_boot *boot);
/* The slot that runs becomes the active one, although another one is: somebody chose it in the boot menu, or the boot
 * loader passed over the active one. That one stays as it is, and may be written then. NOTHING_TO_DO: it is so already.
 * CONFLICT: which slot runs is not known, or the boot state has no hash for it. */
mac_error *mac_boot_stay(mac_boot *boot);
/* Start `slot` next, up to three times, until it is confirmed. CONFLICT: it is the active one. The caller has written
 * and verified the slot before. */
mac_error *mac_boot_set_pending(mac_boot *boot, char slot, const mac_boot_verity *verity);
/* Nothing is pending any more. */
mac_error *mac_boot_cancel_pending(mac_boot *boot);
/* Before a slot is overwritten: it is not pending, and no one starts it. CONFLICT: it is active, or runs. */
mac_error *mac_boot_empty_slot(mac_boot *boot, char slot);
/* A mode for one start; MAC_BOOT_NORMAL takes it back. */
mac_error *mac_boot_set_next(mac_boot *boot, mac_boot_mode mode);
/* A pending slot that came back is not tried again; its content stays. NOTHING_TO_DO when it is not pending. */
mac_error *mac_boot_mark_failed(mac_boot *boot, char slot);
/* A factory reset begins at the next start, and is begun again at each one until MAC_BOOT_RESET_NONE is set. Asking for
 * it cancels a pending slot that does not run: the fresh node is to have the version that runs now. */
mac_error *mac_boot_set_reset(mac_boot *boot, mac_boot_reset reset);

#endif
