/* What the routers of the local networks advertise beside addresses: netd-advert.h, kept up to date. */
#ifndef NETD_ROUTERS_H
#define NETD_ROUTERS_H

#include "netd-advert.h"
#include "netd-sys.h"

typedef struct netd_routers netd_routers;

/* on_change: the name servers are others. NULL with *ret_error: the kernel does not tell. */
netd_routers *netd_routers_new(netd_sys *sys, void (*on_change)(void *data), void *data, mac_error **ret_error);
void netd_routers_free(netd_routers *routers);
/* Asks the routers of links that are new here to advertise; forgets those of links that are gone. */
void netd_routers_look(netd_routers *routers, const netd_wish *wish, const netd_state *state);
const netd_adverts *netd_routers_adverts(const netd_routers *routers);

#endif
