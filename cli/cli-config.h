/* The commands of `maculaos config`. */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include "cli-command.h"
#include "cli-session.h"
#include "macula/v1/config.pb-c.h"

int cli_config_get(cli_invocation *invocation);
int cli_config_set(cli_invocation *invocation);
int cli_config_patch(cli_invocation *invocation);
int cli_config_apply(cli_invocation *invocation);
int cli_config_validate(cli_invocation *invocation);
int cli_config_diff(cli_invocation *invocation);
int cli_config_history(cli_invocation *invocation);
int cli_config_show(cli_invocation *invocation);
int cli_config_rollback(cli_invocation *invocation);
int cli_config_confirm(cli_invocation *invocation);
int cli_config_drift(cli_invocation *invocation);
int cli_config_edit(cli_invocation *invocation);
int cli_config_schema(cli_invocation *invocation);
int cli_config_status(cli_invocation *invocation);
int cli_config_boot(cli_invocation *invocation);

/* ---- shared by the files of this group ---- */

/* The options of a change as a message; its other strings are borrowed from the invocation. */
typedef struct cli_change {
    Macula__V1__ChangeOptions options;
    char *author, *token;
} cli_change;
void cli_change_deinit(cli_change *change);
#define cli_autochange __attribute__((cleanup(cli_change_deinit))) cli_change
/* CLI_OK, or the exit code after having said what is wrong. With --confirm it stores what confirming will need. */
int cli_change_init(cli_change *change, const cli_invocation *invocation);
/* The outcome is known (or the error, which tells that there is none): forgets a token that confirms nothing. */
void cli_change_settle(const cli_change *change, const Macula__V1__ConfigOutcome *outcome, const mac_error *error);
/* Sends a change (NULL: what has no such options), shows its outcome; returns the exit code. */
int cli_change_send(cli_invocation *invocation, const char *method, const ProtobufCMessage *request,
                    const cli_change *change);
/* Shows an outcome, and waits for the bus if it restarts for it; returns the exit code. */
int cli_outcome_take(cli_session *session, const Macula__V1__ConfigOutcome *outcome);
void cli_changes_show(Macula__V1__ConfigChange *const *changes, size_t count, uint32_t left_out);
/* The text of a file, or of standard input for "-". What cannot be read is a failure, more than CONFD_TEXT_MAX is
 * rejected as any wrong content. */
mac_error *cli_read_text(const char *file, char **ret_text, size_t *ret_length) MAC_MUST_USE;

#endif
