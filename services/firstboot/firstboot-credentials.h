/* What the Portal gave this node, sealed under the key of this machine: ChaCha20-Poly1305, 0600 in a directory 0700. */
#ifndef FIRSTBOOT_CREDENTIALS_H
#define FIRSTBOOT_CREDENTIALS_H

#include "crypto/mac-crypto.h"
#include "macula/v1/firstboot.pb-c.h"

#define FIRSTBOOT_CREDENTIALS_DIR "/var/lib/maculaos/credentials"
#define FIRSTBOOT_CREDENTIALS FIRSTBOOT_CREDENTIALS_DIR "/portal"

/* Durable when it returns. Fault point firstboot.credentials. */
int firstboot_credentials_save(mac_root *root, const mac_seal *seal,
                               const Macula__V1__PortalCredentials *credentials) MAC_MUST_USE;
/* -ENOENT: none; -EBADMSG: damaged, or of another machine. Free with macula__v1__portal_credentials__free_unpacked. */
int firstboot_credentials_load(mac_root *root, const mac_seal *seal,
                               Macula__V1__PortalCredentials **ret_credentials) MAC_MUST_USE;

#endif
