/* Drift: what the node is, compared with what its generation says. */
#ifndef CONFD_DRIFT_H
#define CONFD_DRIFT_H

#include "confd-manager.h"

/* Asks every applicator. What cannot be read is a warning in problems. */
void confd_drift_find(confd_manager *manager, confd_findings *findings, mac_problems *problems);
/* Owned: macula__v1__config_drift__free_unpacked. */
Macula__V1__ConfigDrift *confd_drift_message(const confd_findings *findings);
/* The event config.drift, when the findings are others than those last reported. */
void confd_drift_report(confd_manager *manager, const confd_findings *findings);

#endif
