/* The socket that the page is served on. */
#ifndef FIRSTBOOT_LISTEN_H
#define FIRSTBOOT_LISTEN_H

#include "base/mac-base.h"

/* Both families where there is IPv6. 0 and the descriptor, or a negative errno. */
int firstboot_listen(uint16_t port, bool local, int *ret_fd, uint16_t *ret_port) MAC_MUST_USE;

#endif
