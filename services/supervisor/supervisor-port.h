/* Addresses to listen on: whether they can be had. */
#ifndef SUPERVISOR_PORT_H
#define SUPERVISOR_PORT_H

#include <sys/types.h>

#include "base/mac-base.h"

/* Listens there and stops again. 0: it can be had; *ret_port is what it was (for port 0: a free one). */
int supervisor_port_try(const char *host, uint16_t port, uint16_t *ret_port) MAC_MUST_USE;
/* Whether host:port can be had once the process `leaving` (0: none) has given up what it listens on: its own 127.0.0.1
 * does not keep a server from listening on all addresses at the same port. */
bool supervisor_port_free(const char *listen, pid_t leaving);

#endif
