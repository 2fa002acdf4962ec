/* Slots and boot state for a node below another root than "/", and what GRUB would do with them.
 *
 * mac_boot_choose is the rule that grub.cfg follows, in C: the tests compare the two. A sandbox is "started" by it, so
 * that an upgrade, three tries and the return can be had without a machine. */
#ifndef MAC_BOOT_SANDBOX_H
#define MAC_BOOT_SANDBOX_H

#include "boot/mac-boot-state.h"
#include "fs/mac-fs.h"

/* Size of a slot in a sandbox; sparse. */
#define MAC_BOOT_SANDBOX_SLOT (256ull << 20)
/* Lines that stand for what an initramfs would have noted of a trial: the next starts find them in the environment. */
#define MAC_BOOT_SANDBOX_NOTE "/boot/trial-note"

typedef struct mac_boot_choice {
    char slot;
    bool pending; /* this start is a try */
    char failed;  /* the pending slot whose tries are used up, or the one that is empty; or '-' */
    mac_boot_mode mode;
    bool tries_changed; /* `tries` must be saved before anything is started; if that fails, the active slot starts */
    mac_boot_tries tries;
} mac_boot_choice;

/* state NULL: both copies unreadable. tries NULL: unreadable. A reset that was asked for wins over everything until it
 * is taken back; a one-shot mode is used once and starts the active slot, and uses no try. Without readable tries there
 * is neither a try nor a one-shot mode, for they could not be counted. */
mac_boot_choice mac_boot_choose(const mac_boot_state *state, const mac_boot_tries *tries);

/* Makes what is missing: two slots (a holds `version`, b is empty) and the three files; existing ones stay. Then plays
 * one start: chooses, counts, writes /run/initramfs/boot.env. */
mac_error *mac_boot_sandbox_start(mac_root *root, const char *version, const char *arch);

#endif
