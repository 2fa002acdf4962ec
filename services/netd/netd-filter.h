/* Has the firewall loaded: texts of netd-firewall.h, by nft(8), one at a time.
 *
 * nft replaces the table in one transaction of the kernel, or changes nothing. What a load leaves is known by its text,
 * so that the same one is not loaded twice; when the table is gone or emptied (somebody has flushed the ruleset), which
 * the kernel tells, it is loaded again at once, and each second where that goes on. One that could not be loaded is
 * tried again, the first time after a second, then after twice as long, up to a minute. */
#ifndef NETD_FILTER_H
#define NETD_FILTER_H

#include "netd-firewall.h"
#include "netd-sys.h"

typedef struct netd_filter netd_filter;
/* problem NULL: it is in force (or, of a try, would be). */
typedef void (*netd_filter_end)(const char *problem, void *data);

/* guest: of a system of somebody else's, where only a configuration that names a firewall makes one. */
netd_filter *netd_filter_new(mac_root *root, uv_loop_t *loop, netd_sys *sys, bool guest);
/* Ends what runs; its callbacks come with a problem before this returns. */
void netd_filter_free(netd_filter *filter);
/* on_end (may be NULL) comes once, maybe before this returns. */
void netd_filter_set(netd_filter *filter, const Macula__V1__Document *document, netd_filter_end on_end, void *data);
/* Sets it again where something has changed on this machine that the document does not say: netd_filter_facts. */
void netd_filter_refresh(netd_filter *filter, const Macula__V1__Document *document);
/* Only asks nft whether it would take it. */
void netd_filter_try(netd_filter *filter, const Macula__V1__Document *document, netd_filter_end on_end, void *data);
/* Whether the table is netd's; loads it again when it should be and is not. Comes by itself when the kernel tells. */
void netd_filter_look(netd_filter *filter);
/* NULL: the last load went well. */
const char *netd_filter_problem(const netd_filter *filter);
/* What holds of this machine now. */
netd_firewall_facts netd_filter_facts(const netd_filter *filter);

#endif
