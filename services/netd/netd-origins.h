/* What links were like before netd changed them: MTU and hardware address, which the kernel does not keep. When nobody
 * asks for another any more (a change was taken back, a key removed) they get it back.
 *
 * It outlives netd in /run/macula/net/origins: lines "INDEX MTU MAC", 0 or - for what was not changed. An index means
 * the same link until the machine restarts. */
#ifndef NETD_ORIGINS_H
#define NETD_ORIGINS_H

#include "fs/mac-fs.h"
#include "netd-state.h"

#define NETD_ORIGINS_MAX 64

typedef struct netd_origin {
    int index;
    uint32_t mtu; /* 0: not changed */
    bool has_mac; /* else not changed */
    uint8_t mac[6];
} netd_origin;

typedef struct netd_origins {
    mac_root *root;
    netd_origin items[NETD_ORIGINS_MAX];
    size_t count;
} netd_origins;

void netd_origins_init(netd_origins *origins, mac_root *root);
/* NULL: netd has changed nothing of the link. */
const netd_origin *netd_origins_of(const netd_origins *origins, int index);
/* To be called before a link gets another MTU (0: it does not) or hardware address (NULL: it does not). What it gets
 * back is forgotten. */
void netd_origins_note(netd_origins *origins, const netd_link *link, uint32_t mtu, const uint8_t *mac);

#endif
