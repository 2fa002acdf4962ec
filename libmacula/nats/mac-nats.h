/* The nats-server's configuration, rendered from the node's configuration and the descriptors of the API.
 *
 * Two accounts. NODE holds the services (one nkey each), the admin key and the keys of nats.admin_keys; APP holds
 * workloads, which need no credentials unless security.require_credentials is set. APP imports each read-only procedure
 * of the node. Each procedure of a …Control service is imported too, but onto macula.denied.{realm}.{service}.{method}:
 * there libmacula answers DENIED at once and writes the audit event, so a denied call can never reach the handler, not
 * even as the reply subject of another request, and nobody waits for a time-out.
 *
 * Streams (JetStream) live in APP and are made by the admin alone, who has the API of it imported in NODE; workloads
 * use them. A request for a procedure of the node goes on inside APP as _NODE.rpc.> then, so that no stream over
 * macula.> acknowledges it in place of the node; and nothing that is published, or answered, under macula.sub.> inside
 * APP is delivered as such: events come from NODE alone.
 *
 * What it does not: workloads of one node are not protected from each other. What a stream itself sends to a reply
 * subject is not mapped: an acknowledgement or a message that it hands out can be had under the subject of an event,
 * the one with a body that is none of an event, the other with the subject that it was stored under. Several servers in
 * a cluster share APP, never NODE, which is named after the node's own key there.
 *
 * When a service of the node is down, nats-server tells its callers in NODE so at once ("no responders"), but not a
 * workload: it counts an import as somebody who listens. So the supervisor stands in for services that are down
 * (mac_bus_stand_in), and says it to both; calls that are denied are denied then, too.
 *
 * NODE reaches the workloads through app.srv.> and app.rpc.>, which APP maps onto its own $SRV.> and
 * macula.rpc.{realm}.> (nats-server refuses to import the same subject in both directions). */
#ifndef MAC_NATS_H
#define MAC_NATS_H

#include "base/mac-problem.h"
#include "fs/mac-fs.h"
#include "macula/v1/document.pb-c.h"

#define MAC_NATS_SERVICES_MAX 32
#define MAC_NATS_ADMIN_KEY "admin"  /* may do everything */
#define MAC_NATS_WORKLOAD_KEY "app" /* of workloads; they must have it when security.require_credentials is set */

typedef struct mac_nats_key {
    const char *name;       /* confd, netd …, admin */
    const char *public_key; /* nkey */
} mac_nats_key;

typedef struct mac_nats_input {
    const Macula__V1__Document *document;
    const char *realm;
    const mac_nats_key *keys;      /* ends with a NULL name */
    const char *listen;            /* host:port that overrides the document's; may be NULL */
    const char *runtime_directory; /* host path: pid and ports files */
    const char *root;              /* host path put before the document's store_dir */
    bool secrets_sealed;           /* the document's may be: then they are not looked at. Never to render */
} mac_nats_input;

/* The whole file; caller frees. Every text from the document is quoted or refused: nothing can add a line. The
 * document's secrets must be in clear (maculaos.nats.cluster.secret); the text then holds them: write it 0600. -EINVAL
 * with problems that name the key, what was expected and what to do. */
int mac_nats_render(const mac_nats_input *input, mac_problems *problems, char **ret_text) MAC_MUST_USE;

/* What mac_nats_render would refuse of the document's own values, whatever the node; its secrets may be sealed. Adds
 * problems with the paths of the keys. */
void mac_nats_check(const Macula__V1__Document *document, mac_problems *problems);

/* Whether going from one document to the other needs a restart of the server (true) or SIGHUP suffices (false). */
bool mac_nats_needs_restart(const Macula__V1__Document *from, const Macula__V1__Document *to);

/* Whether two rendered texts differ only in the values of limits (max_payload, write_deadline …), which are numbers
 * that the renderer has checked: then a server that took the one takes the other, and need not be asked. */
bool mac_nats_same_but_limits(const char *from, const char *to);

/* The realm and the listening address (host:port) of a document, or their defaults; document may be NULL. Live as long
 * as it. */
const char *mac_nats_realm(const Macula__V1__Document *document);
const char *mac_nats_listen(const Macula__V1__Document *document);
/* host:port or [v6]:port in two; the host without brackets, caller frees. Port 0 is let through. -EINVAL otherwise. */
int mac_nats_listen_split(const char *listen, char **ret_host, uint16_t *ret_port) MAC_MUST_USE;

/* Every procedure of the API and who may call it, for `maculaos nats permissions`. */
typedef struct mac_nats_procedure {
    char *subject; /* macula.rpc.io.macula.config.get */
    bool control;  /* admin only */
    bool internal; /* services of the node only */
} mac_nats_procedure;
size_t mac_nats_procedures(const char *realm, mac_nats_procedure **ret_list);
void mac_nats_procedures_free(mac_nats_procedure *list, size_t count);

/* Subjects, with wildcards, of JetStream's procedures that make, change or empty streams and consumers: admin only. */
void mac_nats_stream_making(mac_strings *ret_subjects);

/* Whether a name in subjects ("config", "participant.netd": the first part counts) stands for the node itself, so that
 * no workload can serve it. */
bool mac_nats_is_reserved(const char *name);

/* The process that serves a service of the API: "config" is served by "confd". */
const char *mac_nats_owner(const char *service);

/* All services of the API: descriptors ending with NULL. The one list that exists: made by the linker from proto/. */
extern const ProtobufCServiceDescriptor *const mac_api_services[];

#endif
