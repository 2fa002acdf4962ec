/* Claims of IPv4 addresses by ARP: for netd-sys-linux.c. */
#ifndef NETD_CLAIM_SYS_LINUX_H
#define NETD_CLAIM_SYS_LINUX_H

#include "netd-sys.h"

typedef struct netd_claim_watch netd_claim_watch;

int netd_claim_watch_new(uv_loop_t *loop,
                         void (*on_claim)(int index, const netd_ip *ip, const uint8_t mac[6], void *data), void *data,
                         netd_claim_watch **ret_watch) MAC_MUST_USE;
void netd_claim_watch_free(netd_claim_watch *watch);
/* From now on these addresses are this node's. */
int netd_claim_watch_of(netd_claim_watch *watch, const netd_ip *ips, size_t count) MAC_MUST_USE;
int netd_claim_announce(netd_claim_watch *watch, int index, const uint8_t mac[6], const netd_ip *ip) MAC_MUST_USE;

#endif
