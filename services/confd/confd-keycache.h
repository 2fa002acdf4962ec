/* The last good answer of every source of ssh keys, so that a node without network lets the same people in. */
#ifndef CONFD_KEYCACHE_H
#define CONFD_KEYCACHE_H

#include "fs/mac-fs.h"
#include "macula/v1/ssh-keys.pb-c.h"

#define CONFD_KEYCACHE_DIR "/var/lib/maculaos/ssh/cache"

/* Keys of a source. false: never fetched (or its record is damaged, which comes to the same). etag may come back NULL;
 * every output may be NULL. */
bool confd_keycache_get(mac_root *root, const char *source, mac_strings *ret_keys, char **ret_etag);
/* Keeps an answer. */
int confd_keycache_put(mac_root *root, const Macula__V1__SshKeysFetched *fetched) MAC_MUST_USE;

#endif
