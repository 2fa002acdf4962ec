/* The tokens that prove that a change with --confirm is this person's: what `config confirm` gives back to the node.
 *
 * A token is made and stored before the change is asked for, so that the answer may get lost with the network that the
 * change alters. It is a file of 0600 in $XDG_STATE_HOME (else ~/.local/state) /maculaos/confirm/UID, named by its
 * digest, which the node tells of a pending change. UID is of the person, also under sudo or doas: then the directory
 * is root's, and each person has an own one in it. */
#ifndef CLI_TOKEN_H
#define CLI_TOKEN_H

#include "base/mac-problem.h"

/* Makes one; caller wipes and frees. Removes what has become too old to confirm anything. */
mac_error *cli_token_make(char **ret_token) MAC_MUST_USE;
/* The one with this digest (NULL: none); caller wipes and frees. NULL when this person has none. */
char *cli_token_find(const char *digest);
/* Confirmed, refused or over. */
void cli_token_forget(const char *digest);

#endif
