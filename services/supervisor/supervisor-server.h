/* The bus server's process: which port, its configuration file, whether it is ready, whether it took a reload.
 *
 * Ready is when nats-server has written its ports file (seen through inotify). How it likes a reload stands in its log,
 * which we read anyway: "Reloaded server configuration" or "Failed to reload …". */
#ifndef SUPERVISOR_SERVER_H
#define SUPERVISOR_SERVER_H

#include "nats/mac-nats.h"
#include "supervisor-task.h"

#define SUPERVISOR_SERVER_NAME "nats-server"
#define SUPERVISOR_NATS_CONF SUPERVISOR_RUNTIME "/nats.conf"

typedef struct supervisor_server supervisor_server;

typedef struct supervisor_server_hooks {
    void (*changed)(supervisor_server *server, supervisor_state from, void *data);
    /* The answer to supervisor_server_reload: NULL, or what the server said against it. */
    void (*reloaded)(supervisor_server *server, const char *refusal, void *data);
    void *data;
} supervisor_server_hooks;

struct supervisor_server {
    supervisor_task task;
    supervisor_host *host;
    char *program;
    char *listen; /* host:port that is in the file */
    char *url;    /* for clients on this machine */
    char *last_line;
    uint16_t free_port; /* taken in place of the default one; 0: not needed */
    bool reloading;
    uv_fs_event_t watch;
    uv_timer_t reload_timer;
    supervisor_server_hooks hooks;
};

/* Takes program. Negative errno when the runtime directory cannot be watched. */
int supervisor_server_init(supervisor_server *server, supervisor_host *host, char *program,
                           const supervisor_server_hooks *hooks) MAC_MUST_USE;
void supervisor_server_close(supervisor_server *server, void (*on_closed)(void *data), void *data);

/* Where it shall listen for this document, by the rules: the port given at the start; else the configured one; else,
 * when that is the default and taken, a free one. Caller frees. */
char *supervisor_server_listen(const supervisor_server *server, const Macula__V1__Document *document);
/* Chooses at the first start. A port that somebody asked for and that is taken is an error. */
mac_error *supervisor_server_choose(supervisor_server *server, const Macula__V1__Document *document);

/* Bytes of memory for a server on a machine with so much, of which streams may keep so much. */
uint64_t supervisor_server_memory(uint64_t machine, uint64_t streams);
/* How much memory the server may have for this document, from its next start on; above it the server ends and is
 * started again, in place of the machine's memory ending. */
void supervisor_server_limit(supervisor_server *server, const Macula__V1__Document *document);

/* Writes the file, and what follows from the address that is in it. */
int supervisor_server_write(supervisor_server *server, const char *text, const char *listen) MAC_MUST_USE;
/* SIGHUP; hooks.reloaded comes within five seconds. */
void supervisor_server_reload(supervisor_server *server);

#endif
