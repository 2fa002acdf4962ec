/* The commands of `maculaos upgrade`. */
#ifndef CLI_UPGRADE_H
#define CLI_UPGRADE_H

#include "cli-command.h"

int cli_upgrade(cli_invocation *invocation); /* without a verb: what its options say, else the status */
int cli_upgrade_status(cli_invocation *invocation);
int cli_upgrade_check(cli_invocation *invocation);
int cli_upgrade_history(cli_invocation *invocation);
int cli_upgrade_plan(cli_invocation *invocation);
int cli_upgrade_apply(cli_invocation *invocation);
int cli_upgrade_prefetch(cli_invocation *invocation);
int cli_upgrade_wait(cli_invocation *invocation);
int cli_upgrade_cancel(cli_invocation *invocation);
int cli_upgrade_pause(cli_invocation *invocation);
int cli_upgrade_resume(cli_invocation *invocation);
int cli_upgrade_rollback(cli_invocation *invocation);
int cli_upgrade_confirm(cli_invocation *invocation);
int cli_upgrade_channel(cli_invocation *invocation);

/* ---- shared by the files of this group ---- */
#include "cli-session.h"
#include "macula/v1/upgrade.pb-c.h"

void cli_upgrade_show(const Macula__V1__UpgradeStatus *status);
/* Calls a method of UpgradeControl that answers the status, and shows it. */
int cli_upgrade_control(cli_invocation *invocation, const char *method, const ProtobufCMessage *request);
/* Waits for the end of a job (NULL: the one that is under way) and returns the exit code. */
int cli_upgrade_follow(cli_session *session, const char *id);
/* "63.9 MB"; caller frees. */
char *cli_bytes(uint64_t bytes);

#endif
