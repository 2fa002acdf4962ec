/* The server of the node's bus: which address it has, and waiting for one that is restarting. */
#ifndef CLI_SERVER_H
#define CLI_SERVER_H

#include <uv.h>

#include "cli-command.h"
#include "fs/mac-fs.h"

#define CLI_SERVER_FILE "/run/macula/server.url"

/* A one-line file of the node, without the line end; NULL if it cannot be read. Caller frees. */
char *cli_server_line(mac_root *root, const char *path);
/* The address to connect to; caller frees. NULL: there is none that will do, and it was said. */
char *cli_server_address(const cli_invocation *invocation, mac_root *root, const char *directory, int *ret_code);
/* Whether a supervisor runs here, which starts a server that has ended again. Not when the address was given by hand.
 */
bool cli_server_returns(const cli_invocation *invocation, mac_root *root);

/* Waits for the server of a root. */
typedef struct cli_server_watch {
    bool told; /* something has happened: try again */
    bool over; /* the time is; told as well */
    unsigned open;
    uv_loop_t *loop;
    uv_fs_event_t event;
    uv_timer_t timer;
} cli_server_watch;
void cli_server_watch_start(cli_server_watch *watch, uv_loop_t *loop, mac_root *root, unsigned patience_ms);
void cli_server_watch_end(cli_server_watch *watch);

#endif
