/* The steps of a change; confd-change.c has the tables. */
#ifndef CONFD_CHANGE_STEPS_H
#define CONFD_CHANGE_STEPS_H

#include "confd-change.h"

void confd_step_check_own(mac_flow *flow, void *data);
void confd_step_check_others(mac_flow *flow, void *data);
void confd_step_plan(mac_flow *flow, void *data);
void confd_step_commit(mac_flow *flow, void *data);
void confd_undo_commit(mac_flow *flow, void *data);
void confd_step_back(mac_flow *flow, void *data);
void confd_step_own(mac_flow *flow, void *data);
void confd_undo_own(mac_flow *flow, void *data);
void confd_step_bus(mac_flow *flow, void *data);
void confd_step_participants(mac_flow *flow, void *data);
void confd_undo_participants(mac_flow *flow, void *data);
void confd_step_finish(mac_flow *flow, void *data);

#endif
