/* The last networks that worked, on disk: /var/lib/maculaos/net/working-1 (newest) to -3. */
#ifndef NETD_KEPT_H
#define NETD_KEPT_H

#include "fs/mac-fs.h"
#include "macula/v1/net.pb-c.h"

#define NETD_KEPT_MAX 3

/* The part of a document that makes the network, as a document. Caller frees (free_unpacked). document may be NULL. */
Macula__V1__Document *netd_kept_part(const Macula__V1__Document *document);
/* The document with the network of `part`. Caller frees. */
Macula__V1__Document *netd_kept_with(const Macula__V1__Document *document, const Macula__V1__Document *part);
/* SHA-256 of the part. */
void netd_kept_digest(const Macula__V1__Document *document, char ret_hex[65]);

/* Those that can be read, newest first; entries of ret_kept beyond are NULL. What is damaged is left out. */
void netd_kept_load(mac_root *root, Macula__V1__NetKept *ret_kept[NETD_KEPT_MAX]);
void netd_kept_free(Macula__V1__NetKept *kept[NETD_KEPT_MAX]);
/* Makes it the newest; one with the same digest moves to the front. Each file is replaced atomically, the newest last:
 * a power cut in between leaves one network twice, and none is lost but the oldest. Does nothing when it is the newest.
 */
int netd_kept_add(mac_root *root, const Macula__V1__Document *document) MAC_MUST_USE;

#endif
