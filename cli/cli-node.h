/* The commands about the node, its services, its bus. */
#ifndef CLI_NODE_H
#define CLI_NODE_H

#include "cli-command.h"

int cli_node_info(cli_invocation *invocation);
int cli_node_reboot(cli_invocation *invocation);
int cli_node_cancel(cli_invocation *invocation);
int cli_node_shutdown(cli_invocation *invocation);
int cli_node_run(cli_invocation *invocation);
int cli_services(cli_invocation *invocation);
int cli_services_restart(cli_invocation *invocation);
int cli_services_processes(cli_invocation *invocation);
int cli_call_command(cli_invocation *invocation);
int cli_events(cli_invocation *invocation);
int cli_nats_render(cli_invocation *invocation);
int cli_nats_permissions(cli_invocation *invocation);

#endif
