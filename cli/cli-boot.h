/* The commands about slots, the boot state and the factory reset. They work on the disk, as root, without a bus. */
#ifndef CLI_BOOT_H
#define CLI_BOOT_H

#include "cli-command.h"

int cli_boot_status(cli_invocation *invocation);
int cli_boot_confirm(cli_invocation *invocation);
int cli_boot_next(cli_invocation *invocation);
int cli_boot_slots(cli_invocation *invocation);
int cli_factory_reset(cli_invocation *invocation);
/* Before a restart with --recovery: exit code, CLI_OK when the next start is the recovery. */
int cli_boot_prepare_recovery(cli_invocation *invocation);

#endif
