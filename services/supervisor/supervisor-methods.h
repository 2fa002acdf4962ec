/* What the supervisor answers on the bus: Supervisor, SupervisorControl, and Participant for the bus server's
 * configuration. */
#ifndef SUPERVISOR_METHODS_H
#define SUPERVISOR_METHODS_H

#include "supervisor-manager.h"

supervisor_methods *supervisor_methods_new(supervisor_manager *manager);
/* After the last bus it served is closed. */
void supervisor_methods_free(supervisor_methods *methods);
int supervisor_methods_serve(supervisor_methods *methods, mac_bus *bus) MAC_MUST_USE;
/* The event supervisor.unit. */
void supervisor_methods_publish(supervisor_manager *manager, const supervisor_unit *unit);

#endif
