/* The commands about the node's health. */
#ifndef CLI_HEALTH_H
#define CLI_HEALTH_H

#include "cli-command.h"

int cli_health_status(cli_invocation *invocation);
int cli_health_check(cli_invocation *invocation);
int cli_health_watch(cli_invocation *invocation);
int cli_health_history(cli_invocation *invocation);
int cli_health_gate(cli_invocation *invocation);
int cli_health_acknowledge(cli_invocation *invocation);
int cli_health_silence(cli_invocation *invocation);

#endif
