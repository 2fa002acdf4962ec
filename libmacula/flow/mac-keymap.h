/* The key maps of the image (images/10-rootfs makes them), for programs that ask a person at the console.
 *
 * A machine without the directory has none of its own: there every name may be right, and nothing is loaded, so that an
 * installer on somebody's own Linux leaves the keyboard there alone. */
#ifndef MAC_KEYMAP_H
#define MAC_KEYMAP_H

#include "base/mac-problem.h"

#define MAC_KEYMAPS "/usr/share/maculaos/keymaps"
#define MAC_KEYMAP_SUFFIX ".bmap"

/* MAC_KEYMAPS, or what MACULA_KEYMAPS names (tests); NULL: this machine has none. */
const char *mac_keymap_directory(void);
/* False only where there are maps, and none of this name. */
bool mac_keymap_possible(const char *name);
/* Gives the keyboard of the console this layout at once, where there are maps. Needs root. */
mac_error *mac_keymap_load(const char *name) MAC_MUST_USE;

#endif
