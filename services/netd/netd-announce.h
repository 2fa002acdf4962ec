/* What the node tells of itself by DNS-SD: a service file for avahi-daemon. Pure but for the writing.
 *
 * avahi-daemon watches /etc/avahi/services and announces what stands there, together with the host name NAME.local; a
 * name that another machine has already is changed by it. Where there is no such directory nothing is announced. */
#ifndef NETD_ANNOUNCE_H
#define NETD_ANNOUNCE_H

#include "fs/mac-fs.h"
#include "macula/v1/document.pb-c.h"

/* The file's text: _macula._tcp with version, role, realm and node id. */
char *netd_announce_text(const Macula__V1__Document *document, const char *version, const char *node_id);
/* Replaces the file when it says something else. -ENOENT: there is no avahi-daemon. */
int netd_announce_write(mac_root *root, const char *text) MAC_MUST_USE;

#endif
