/* The root object: brings a node up, keeps it up, takes it down. */
#ifndef SUPERVISOR_MANAGER_H
#define SUPERVISOR_MANAGER_H

#include "bus/mac-bus.h"
#include "supervisor-apply.h"
#include "supervisor-host.h"
#include "supervisor-prepare.h"
#include "supervisor-server.h"

/* From top to bottom; any may go to ENDING. Changed by one function, which logs it. */
typedef enum supervisor_phase {
    SUPERVISOR_BOOT,     /* confd --boot runs: the configuration is made and the system set up, without a bus */
    SUPERVISOR_BUS,      /* nats-server starts */
    SUPERVISOR_SERVICES, /* units start, each after those it names */
    SUPERVISOR_RUNNING,  /* every unit has been ready once, or failed; "node ready" was printed if all are */
    SUPERVISOR_ENDING,   /* units end, in reverse order; then the bus */
} supervisor_phase;

typedef struct supervisor_methods supervisor_methods;

typedef struct supervisor_manager {
    supervisor_host host;
    int lock;
    supervisor_phase phase;
    int64_t since_ms;       /* Unix time of the last change of phase */
    supervisor_task *units; /* in starting order; never moved */
    size_t unit_count;
    mac_strings keys; /* names of who may connect: units, supervisor, admin */
    char *seed;
    supervisor_server server;
    supervisor_apply *apply;
    supervisor_methods *methods;
    mac_bus *bus; /* NULL before the server was ready for the first time */
    bool bus_closing;
    char *bus_url;         /* where bus connects */
    char *pending_failure; /* to be published when the bus is back */
    uint64_t generation;   /* whose bus section was applied last; 0: none that could be taken back */
    struct supervisor_rollback {
        mac_client client;
        uv_timer_t again;
        char *reason;   /* NULL: none is under way */
        unsigned tries; /* confd may come back to the bus after us */
        bool asking;
    } rollback;         /* see supervisor-connection.c */
    bool announced;     /* "node ready" was printed */
    bool settled;       /* or it was said why not */
    bool built_in;      /* the bus runs with built-in defaults: the configured ones did not start */
    uv_timer_t grace;   /* see supervisor-methods.c */
    bool restart_asked; /* of the bus server as it is, not by a change of its configuration */
    uv_signal_t signals[3];
    unsigned closing; /* handles whose closing is under way, at the end */
    bool core_closing;
    int exit_code;
} supervisor_manager;

/* Takes the options' strings. The loop then runs until the node has ended; returns the exit code. */
int supervisor_manager_run(supervisor_options options, char *directory);

/* NULL when there is none. */
supervisor_task *supervisor_manager_unit(supervisor_manager *manager, const char *name);

/* ---- between the manager's own files ---- */
void supervisor_manager_enter(supervisor_manager *manager, supervisor_phase phase);
/* Ends the node with this exit code: units in reverse order, the bus, everything else. */
void supervisor_manager_end(supervisor_manager *manager, int exit_code);
/* supervisor-ending.c: the next step of the end; called whenever something has ended. */
void supervisor_ending_go_on(supervisor_manager *manager);
/* supervisor-connection.c: our own connection to the bus. */
void supervisor_connection_ensure(supervisor_manager *manager);
/* supervisor-absent.c: stands in for those who are not ready, and for nobody else; called whenever that changes. */
void supervisor_absent_update(supervisor_manager *manager);
/* A process said that it is ready. Its unit is so once the server gives us no more of its requests: whoever hears of it
 * gets an answer of the service itself. */
void supervisor_absent_end(supervisor_manager *manager, supervisor_task *task);
/* supervisor-announce.c: says, once, that the node is ready, or what keeps it from that. */
void supervisor_announce(supervisor_manager *manager);
#endif
