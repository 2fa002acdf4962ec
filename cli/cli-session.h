/* A short conversation with a node: finds its server, connects with the admin key when it can be read, and makes calls
 * that wait. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "bus/mac-bus.h"
#include "cli-command.h"
#include "fs/mac-fs.h"

typedef struct cli_session cli_session;

typedef enum cli_identity {
    CLI_ADMIN_IF_READABLE, /* the admin key, else like a workload */
    CLI_WORKLOAD,          /* account APP: what workloads see */
} cli_identity;

/* Connects; on failure says why and returns NULL with the exit code in *ret_code. */
cli_session *cli_session_open(const cli_invocation *invocation, cli_identity identity, int *ret_code);
void cli_session_close(cli_session *session);
MAC_DEFINE_AUTOPTR(cli_session, cli_session_close)

mac_bus *cli_session_bus(cli_session *session);
uv_loop_t *cli_session_loop(cli_session *session);
const char *cli_session_realm(const cli_session *session);
bool cli_session_is_admin(const cli_session *session);
/* Milliseconds that --timeout allows a request. */
unsigned cli_session_deadline(const cli_session *session);

/* The root directory that --root, MACULA_ROOT, or what is found say; caller frees. "" is the system itself. */
char *cli_root_directory(const cli_invocation *invocation);
/* The realm of the node under a root; caller frees. */
char *cli_realm(mac_root *root);
/* Who asks: --author, else the person's login name; caller frees. */
char *cli_author(const cli_invocation *invocation);
/* The login name, of whoever called sudo or doas; caller frees. */
char *cli_login(void);

/* Calls a method by its descriptor and waits. NULL: answered, *ret_answer is the caller's (free with
 * protobuf_c_message_free_unpacked). Else the error, the caller's as well. */
mac_error *cli_call(cli_session *session, const ProtobufCServiceDescriptor *service, const char *method,
                    const ProtobufCMessage *request, ProtobufCMessage **ret_answer);

/* Sends JSON to a subject and waits for one answer as text (caller frees). */
mac_error *cli_call_raw(cli_session *session, const char *subject, const char *json, char **ret_text);

/* After a change that restarts the bus' server, which it does a moment after it has been answered: waits until that is
 * behind, so that the next command is not cut off by it. */
void cli_session_outlive_restart(cli_session *session);

/* Runs the loop until *done or an interrupt (SIGINT, SIGTERM); true when done. */
bool cli_session_run_until(cli_session *session, const bool *done);

#endif
