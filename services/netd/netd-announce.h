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

/* Whether a host name (edge-7.local) is this label, without regard to case; whether it can be what avahi made of
 * the label because another machine has it (edge-2.local of edge, edge-8.local of edge-7). */
bool netd_announce_is_called(const char *host, const char *label);
bool netd_announce_is_renamed(const char *host, const char *label);

#endif
