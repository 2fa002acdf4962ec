/* net status|peers|diag|renew|up|down|scan. */
#ifndef CLI_NET_H
#define CLI_NET_H

#include "cli-command.h"

int cli_net_status(cli_invocation *invocation);
int cli_net_peers(cli_invocation *invocation);
int cli_net_diag(cli_invocation *invocation);
int cli_net_renew(cli_invocation *invocation);
int cli_net_up(cli_invocation *invocation);
int cli_net_down(cli_invocation *invocation);
int cli_net_scan(cli_invocation *invocation);

#endif
