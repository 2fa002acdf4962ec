/* The configuration of the bus server: rendered from the document, tried, put in force, taken back.
 *
 * Guarantees: the file in force is one that a server has accepted, or the one of the last start; when a new one is
 * refused, or a server restarted with it does not become ready, the previous file comes back and the server with it.
 * Before a restart is promised, a second server is started with the new configuration, on a free port of the loopback.
 * What it does not: the restart itself comes after the answer, because that travels over the bus that is restarted. If
 * it fails all the same (an address taken meanwhile, a cluster's port), the manager publishes supervisor.bus_failed and
 * has confd go back to the previous generation. */
#ifndef SUPERVISOR_APPLY_H
#define SUPERVISOR_APPLY_H

#include "supervisor-server.h"

typedef struct supervisor_apply supervisor_apply;

typedef enum supervisor_way {
    SUPERVISOR_NOTHING, /* the file is the same */
    SUPERVISOR_RELOAD,  /* SIGHUP */
    SUPERVISOR_RESTART, /* of the server; clients reconnect */
} supervisor_way;

/* Exactly once. error NULL: it is so, or (RESTART) will be tried as soon as supervisor_apply_restart is called. */
typedef void (*supervisor_apply_callback)(supervisor_way way, mac_error *error, void *data);

/* keys: names, ending with NULL, of whoever may connect, without the workloads'; must outlive it. */
supervisor_apply *supervisor_apply_new(supervisor_host *host, supervisor_server *server, const mac_strings *keys);
void supervisor_apply_free(supervisor_apply *apply);

/* The document that confd has left in the runtime directory, secrets of the bus unsealed. NULL with *ret_error: it is
 * there but cannot be used; NULL without: there is none. */
Macula__V1__Document *supervisor_apply_load(supervisor_host *host, mac_error **ret_error);

/* At the start: renders and writes without asking a server. */
mac_error *supervisor_apply_first(supervisor_apply *apply, const Macula__V1__Document *document);
const char *supervisor_apply_realm(const supervisor_apply *apply);
/* Whether the document would change the realm, which every subject holds: that takes a new start of the node. */
bool supervisor_apply_changes_realm(const supervisor_apply *apply, const Macula__V1__Document *document);
/* The directory whose streams the document would no longer serve, because it names another one or none; else NULL.
 * Lives as long as what is in force. */
const char *supervisor_apply_left_store(const supervisor_apply *apply, const Macula__V1__Document *document);

/* Where the bus will listen, when the document newly asks for another address than it gets: the port that the node was
 * started with goes before the configured one. Else NULL. Caller frees. */
char *supervisor_apply_other_listen(const supervisor_apply *apply, const Macula__V1__Document *document);

/* Would it do? Renders, has nats-server -t read it, tries the port when it changes. Changes nothing. UNAVAILABLE while
 * another configuration is being applied, to the end of its restart. */
void supervisor_apply_check(supervisor_apply *apply, const Macula__V1__Document *document,
                            supervisor_apply_callback callback, void *data);
/* Puts it in force, after a trial where that takes a restart. Takes the place of a restart that is due but has not
 * begun; CONFLICT when another is being tried. */
void supervisor_apply_start(supervisor_apply *apply, const Macula__V1__Document *document,
                            supervisor_apply_callback callback, void *data);
/* After RESTART: does it. false when no restart is due. */
bool supervisor_apply_restart(supervisor_apply *apply);

/* The server's changes, told by the manager. Returns what a restart has come to. */
typedef enum supervisor_trial {
    SUPERVISOR_TRIAL_NONE,   /* nothing is being tried, or it is not decided */
    SUPERVISOR_TRIAL_PASSED, /* the server is ready with the new file */
    SUPERVISOR_TRIAL_FAILED, /* it was not; the previous file is back and the server is starting with it */
} supervisor_trial;
supervisor_trial supervisor_apply_server_changed(supervisor_apply *apply);
void supervisor_apply_server_reloaded(supervisor_apply *apply, const char *refusal);

#endif
