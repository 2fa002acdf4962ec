/* Which hosts may open the page, and under which names: a node that is not configured is for the people beside it. */
#ifndef FIRSTBOOT_PEER_H
#define FIRSTBOOT_PEER_H

#include <sys/socket.h>

#include "base/mac-base.h"

#define FIRSTBOOT_PEER_SIZE 48

/* Loopback, private (RFC 1918, RFC 4193) and link-local addresses of both families, IPv4 in IPv6 as IPv4; and what is
 * in one of `networks` (address/prefix). */
bool firstboot_peer_allowed(const struct sockaddr *address, char *const *networks, size_t count);
/* Whether it is an address of the internet: none of the above, nor one behind a carrier's NAT (RFC 6598), of a test of
 * devices (RFC 2544), or reserved. */
bool firstboot_peer_public(const struct sockaddr *address);
/* Whether it is in a network that this machine has an address in, so that no router stands between. */
bool firstboot_peer_on_link(const struct sockaddr *address);
/* Whom an attempt is counted for: the address. Of IPv6 beyond a router its /64, of which a host may have every address;
 * on the link all neighbours share one /64, so there each counts for itself. */
void firstboot_peer_name(const struct sockaddr *address, bool on_link, char ret_name[FIRSTBOOT_PEER_SIZE]);
/* Whether a Host header may name this node: an address, localhost, a name in .local, or the node's own name, alone or
 * in one of `domains`, those of its network, or in one that routers give. Everything else, the node's name in another
 * domain too, is somebody else's page that was made to lead here (DNS rebinding). */
bool firstboot_peer_host(const char *host, const char *hostname, const mac_strings *domains);
/* Whether an Origin header (scheme://host[:port]) is that of the page at this Host. */
bool firstboot_peer_origin(const char *origin, const char *host);

#endif
