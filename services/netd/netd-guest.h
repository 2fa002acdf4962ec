/* netd as a guest: on a system that somebody else looks after (mac_boot_is_guest), such as a plain Debian with
 * NetworkManager and a web server.
 *
 * There the defaults of the image would take a working machine from its owner: no DHCP on interfaces that the
 * configuration does not name, no firewall without maculaos.security.firewall, no word in /etc/resolv.conf without name
 * servers or a DHCP client of the configuration's. What it names is netd's, as in the image. Pure. */
#ifndef NETD_GUEST_H
#define NETD_GUEST_H

#include "netd-resolver.h"

/* Takes out of a wish what only a default put there, when this is a guest. document may be NULL. */
void netd_guest_limit(bool guest, const Macula__V1__Document *document, netd_wish *wish);
bool netd_guest_names_firewall(const Macula__V1__Document *document);
bool netd_guest_names_resolver(const netd_wish *wish);
/* Whether /etc/resolv.conf is to be written. A guest does not empty one while it knows no server. */
bool netd_guest_may_write(const netd_wish *wish, const netd_resolver *resolver);
/* Adds what is left alone, a line each, and what would change that; nothing where netd is no guest. */
void netd_guest_note(const Macula__V1__Document *document, const netd_wish *wish, mac_strings *notes);

#endif
