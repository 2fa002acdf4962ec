/* Those who have asked for leases again (`maculaos net renew`) and wait for what comes of it.
 *
 * Each waits until every link that it asked for has had an answer, at most NETD_RENEWAL_MS. Who asks for a link that
 * another one waits for already waits with him: the client is not started a second time. */
#ifndef NETD_RENEWAL_H
#define NETD_RENEWAL_H

#include "netd-network.h"

#define NETD_RENEWALS_MAX 16   /* who wait at once; more are refused */
#define NETD_RENEWAL_MS 20000u /* a client asks four times in eight seconds; then time for one refusal */

typedef struct netd_renewals netd_renewals;

typedef struct netd_renewal {
    char name[NETD_NAME_SIZE]; /* of the wish */
    bool waits;
    netd_dhcp_answer answer; /* when nobody waits any more */
    bool refused;            /* a server has said no (NAK) */
} netd_renewal;

/* links is NULL when netd ends. */
typedef void (*netd_renewal_end)(const netd_renewal *links, size_t count, void *data);

/* loop and network outlive it. */
netd_renewals *netd_renewals_new(uv_loop_t *loop, netd_network *network);
/* Nobody waits: netd_renewals_stop. */
void netd_renewals_free(netd_renewals *renewals);
/* Everybody who waits is told that netd ends. */
void netd_renewals_stop(netd_renewals *renewals);

/* Why this link cannot be asked for: a sentence about it without its name; NULL: it can. */
const char *netd_renewal_obstacle(const netd_network *network, const netd_wish_link *wish);
/* Asks for the lease of this wish, or (NULL) of every one that can be asked for. on_end comes once, also from within
 * this. -ENOENT: there is none; -EBUSY: too many wait; then on_end does not come. */
int netd_renewals_ask(netd_renewals *renewals, const netd_wish_link *wish, netd_renewal_end on_end,
                      void *data) MAC_MUST_USE;

#endif
