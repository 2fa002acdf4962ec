/* The network as messages for callers. */
#ifndef NETD_STATUS_H
#define NETD_STATUS_H

#include "netd-manager.h"

/* Caller frees with netd_status_free. */
Macula__V1__NetStatus *netd_status_make(const netd_manager *manager);
void netd_status_free(Macula__V1__NetStatus *status);

#endif
