/* The checks of `maculaos net diag`, from the cable to the mesh: each with its result, what was found, and what to do.
 */
#ifndef NETD_DIAG_H
#define NETD_DIAG_H

#include "netd-manager.h"

typedef struct netd_diag netd_diag;

/* on_end comes once, from the loop; then it is freed. */
netd_diag *netd_diag_start(netd_manager *manager, void (*on_end)(const Macula__V1__NetDiag *diag, void *data),
                           void *data);
/* on_end does not come. */
void netd_diag_cancel(netd_diag *diag);

#endif
