/* OpenPGP keys as people have them (armoured text) and as gpgv wants them (binary, one after the other). RFC 4880,
 * section 6. */
#ifndef MAC_ARMOR_H
#define MAC_ARMOR_H

#include "base/mac-problem.h"

#define MAC_ARMOR_MAX (256u << 10) /* bytes of a file of keys */

/* Appends every public key block of `text` (armoured) or the text itself (when it is a binary key) to ret_keyring.
 * NULL, or INVALID with what was expected; a private key is refused. */
mac_error *mac_armor_keys(const void *text, size_t length, mac_buffer *ret_keyring);

#endif
