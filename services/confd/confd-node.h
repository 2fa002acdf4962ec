/* What this machine is. */
#ifndef CONFD_NODE_H
#define CONFD_NODE_H

#include "confd-manager.h"

#define CONFD_POWER_DELAY_MAX_S 86400u

/* Owned: macula__v1__node_info__free_unpacked. */
Macula__V1__NodeInfo *confd_node_info(confd_manager *manager);
/* The slot the kernel command line names (macula.slot=a); NULL where there are none. Caller frees. */
char *confd_node_slot(const char *command_line);

#endif
