/* The bus: a NATS connection on a libuv loop, serving and calling protobuf-c services.
 *
 * Only this folder speaks the protocol of NATS. There is no thread but the loop's: all functions are for it, and all
 * callbacks come on it. Callbacks may call anything here, also mac_bus_close.
 *
 * Subjects: macula.rpc.{realm}.{service}.{method}; `service Upgrade` and `service UpgradeControl` share the prefix
 * "upgrade". The bare macula.rpc.{realm}.{service} is its Status. An unknown method is answered NOT_FOUND at once.
 * Requests and answers are JSON unless Content-Type: application/protobuf. Errors are answers with the headers
 * Nats-Service-Error and Nats-Service-Error-Code and a body of macula.v1.Error.
 *
 * Every call of a …Control procedure, also a refused one, is an event macula.v1.AuditEvent on the topic
 * {service}.audit; so is what arrives at the denial desk, macula.denied.{realm}.{service}.>. A request without a reply
 * subject, or with one that is not an inbox, is not carried out.
 *
 * Every service answers the NATS micro-service protocol ($SRV.PING, INFO, STATS); in its names "-" stands for ".". */
#ifndef MAC_BUS_H
#define MAC_BUS_H

#include <uv.h>

#include "base/mac-problem.h"

#define MAC_BUS_PENDING_MAX 256 /* requests that wait for an answer, per connection; more: EXHAUSTED at once */
/* Requests being handled; more: answered EXHAUSTED at once. Of workloads half as many: theirs wait, and never keep the
 * node's own waiting (bus-lane.c). */
#define MAC_BUS_INFLIGHT_MAX 256
/* Waiting for one subscription; what is beyond it (or 16384 messages) is dropped: the sender's call times out, the log
 * says so. */
#define MAC_BUS_QUEUE_MAX_BYTES (8u << 20)
#define MAC_BUS_PAYLOAD_MAX (1u << 20)
#define MAC_BUS_DEADLINE_MS 5000 /* default of a request */

typedef struct mac_bus mac_bus;
typedef struct mac_request mac_request;
typedef struct mac_call mac_call;
typedef struct mac_subscription mac_subscription;

typedef enum mac_bus_state {
    MAC_BUS_CONNECTING, /* created by mac_bus_start, after a loss; retried with back-off until closed */
    MAC_BUS_CONNECTED,  /* every subscription is known to the server (its PONG has come) */
    MAC_BUS_CLOSED,     /* by mac_bus_close, or at the first failure of `once`: then close it still */
} mac_bus_state;

/* Everything is copied but loop and data. */
typedef struct mac_bus_options {
    uv_loop_t *loop;
    const char *url;
    const char *name; /* of the client, shown by the server and in audit events; also the inbox: _SVC.<name>.> */
    const char *realm;
    const char *seed; /* nkey seed text; NULL: anonymous */
    bool workload;    /* the seed is a workload's: its inbox is _INBOX.<name>.> from the first */
    bool once;        /* give up at the first failure (command line) instead of retrying */
    /* Every change of state, and every failed attempt (CONNECTING); error says why (UNAVAILABLE, DENIED …), NULL when
     * connected or closed on request. Never from within mac_bus_start. */
    void (*on_state)(mac_bus *bus, mac_bus_state state, const mac_error *error, void *data);
    void *data;
} mac_bus_options;

/* Whether the URL can be one of the bus: [nats://][user:password@ or token@]host[:port], where an IPv6 address stands
 * in brackets when a port follows. INVALID: it says what is wrong; NULL: it can, whether somebody listens there or not.
 */
mac_error *mac_bus_url_check(const char *url) MAC_MUST_USE;
/* The URL as messages and logs may show it, without its login. Caller frees. */
char *mac_bus_url_shown(const char *url);

mac_bus *mac_bus_new(const mac_bus_options *options);
/* Connects from the loop, without blocking it (but for the look-up of a name in the URL; an address needs none). The
 * bus speaks no TLS. With a seed the inbox is _SVC.<name>.>,
 * without one (or with a workload's, or when the server refuses that) _INBOX.<name>.>. */
void mac_bus_start(mac_bus *bus);
/* Pending calls end with CANCELLED, requests whose handlers have not answered yet are answered UNAVAILABLE; what has
 * been published is sent; then it disconnects and frees. on_closed (may be NULL) comes last, from the loop, within half
 * a second. */
void mac_bus_close(mac_bus *bus, void (*on_closed)(void *data), void *data);
mac_bus_state mac_bus_current_state(const mac_bus *bus);
const char *mac_bus_realm(const mac_bus *bus);
const char *mac_bus_name(const mac_bus *bus);
uv_loop_t *mac_bus_loop(mac_bus *bus);

/* ---- serving ---- */

/* Serves every method of a protobuf-c service; before or after mac_bus_start. `instance` replaces the service part of
 * the subject ("participant.netd"); NULL for the descriptor's own name. Services that share a name (Config,
 * ConfigControl) are one NATS micro service, described by the first one's description (may be NULL). The service must
 * outlive the bus. -EEXIST when one of its methods is served already. */
int mac_bus_serve(mac_bus *bus, ProtobufCService *service, const char *instance, const char *description) MAC_MUST_USE;

/* A handler gets the request as closure_data. It answers exactly once: closure(&message, closure_data), or one of
 * these; closure(NULL, …) answers INTERNAL, a second answer asserts (release builds ignore it). The input lives until
 * then. A handler that still holds a request when the bus closes must answer it all the same: that frees it. */
mac_request *mac_request_from(void *closure_data);
void mac_request_fail(mac_request *request, Macula__V1__ErrorCode code, const char *path, const char *format, ...)
    MAC_PRINTF(4, 5);
void mac_request_fail_error(mac_request *request, mac_error *error); /* takes the error */
const ProtobufCMessage *mac_request_input(const mac_request *request);
/* NULL when the bus has been closed meanwhile. */
mac_bus *mac_request_bus(const mac_request *request);
/* Who asks, for audit. Of another account what the server says: "workload NAME at HOST". Within the node's own account
 * the server says nothing: then the name by which the client's bus calls itself (header Macula-Caller, or its inbox),
 * else "admin": whoever is there holds a key of the node. A text for people, not an authorisation. */
const char *mac_request_caller(const mac_request *request);
/* Whether the server says that the request comes from another account than the node's own: from anybody on the machine
 * or in the mesh, without a key of the node. Whoever answers such a request leaves out what only the node and its
 * administrator may read. Of a request whose origin cannot be read: true. */
bool mac_request_is_workload(const mac_request *request);
const char *mac_request_procedure(const mac_request *request); /* "config.patch" */
/* For a request that was not for a service of proto/: handled by a plain function (see mac_bus_answer_subject). */
const void *mac_request_body(const mac_request *request, size_t *ret_length);
const char *mac_request_subject(const mac_request *request);

/* Answers requests on any subject (wildcards allowed) with a plain function, which answers as other handlers do:
 * macula.discover. -EEXIST for a subject that is answered already. */
int mac_bus_answer_subject(mac_bus *bus, const char *subject, void (*handler)(mac_request *request, void *data),
                           void *data) MAC_MUST_USE;
void mac_request_answer(mac_request *request, const ProtobufCMessage *message);

/* Stands in for a service of this name that does not run: its callers hear at once that nobody serves it (also
 * workloads, which the server does not tell), those at its denial desk that they may not. To be ended when the service
 * says that it is ready; until then a request goes to one of the two. Each does nothing the second time. */
void mac_bus_stand_in(mac_bus *bus, const char *service);
void mac_bus_stand_down(mac_bus *bus, const char *service);

/* ---- calling ----
 * Calls are made when the bus is CONNECTED; otherwise they fail with UNAVAILABLE. Their callbacks never come before the
 * function that starts them has returned. Outcomes of the bus itself: UNAVAILABLE (not connected, connection lost,
 * nobody serves it: at once), DENIED (the server refused the request: at once), TIMED_OUT, CANCELLED, EXHAUSTED (too
 * many calls wait, too large, the server takes no more), INVALID (not a subject). */

/* A typed client of a service: pass &client->base to the generated stubs. The closure is called exactly once, with NULL
 * when the call failed (mac_client_error). It must outlive its calls. */
typedef struct mac_client {
    ProtobufCService base;
    mac_bus *bus;
    const char *instance; /* as in mac_bus_serve */
    unsigned deadline_ms; /* of each call */
    mac_call *last;       /* the call that the last stub started; for mac_call_cancel */
    const mac_error *error;
} mac_client;
void mac_client_init(mac_client *client, mac_bus *bus, const ProtobufCServiceDescriptor *descriptor,
                     const char *instance);
/* Why the call failed; valid during the closure. */
const mac_error *mac_client_error(const mac_client *client);
/* The callback comes (before this returns) with CANCELLED. A call is gone when its last callback has come. */
void mac_call_cancel(mac_call *call);

/* An answer as it came, for callers that do not know the type. */
typedef struct mac_answer {
    const void *data;
    size_t length;
    bool is_json;
    const char *subject;
    /* NULL: a success; else the service's error, UNAVAILABLE (no responders), DENIED, TIMED_OUT … */
    const mac_error *error;
    bool unserved; /* UNAVAILABLE because nobody serves it: nobody has got the request */
    bool last;     /* the call is over: the callback does not come again */
} mac_answer;
typedef void (*mac_answer_callback)(const mac_answer *answer, void *data);
/* body: JSON text, or protobuf when is_protobuf. deadline_ms 0: the default. When many is set, the call is ended only
 * by its deadline, by mac_call_cancel or by the bus itself: the callback comes for each answer and a last time with
 * that error (answer->last). Never returns NULL: failures arrive in the callback. */
mac_call *mac_bus_request(mac_bus *bus, const char *subject, const void *body, size_t length, bool is_protobuf,
                          bool many, unsigned deadline_ms, mac_answer_callback callback, void *data);
/* Calls back when the server has processed everything this connection has sent before (the order of one connection). */
mac_call *mac_bus_flush(mac_bus *bus, mac_answer_callback callback, void *data);
/* Calls back after this time with TIMED_OUT, sooner with the error that ends all calls when the connection is lost or
 * the bus closes: a pause that nobody has to end. */
mac_call *mac_bus_pause(mac_bus *bus, unsigned ms, mac_answer_callback callback, void *data);

/* ---- events ---- */

/* Publishes an event: protobuf on macula.pub.{realm}.{topic}, JSON on macula.sub.{realm}.{topic}. At most once: see
 * mac-outbox.h. 0, -ENOTCONN, -EMSGSIZE (over MAC_BUS_PAYLOAD_MAX or the server's limit), -EINVAL (not a subject),
 * -ENOBUFS (the server takes no more: 8 MiB wait to be sent). */
int mac_bus_publish(mac_bus *bus, const char *topic, const ProtobufCMessage *event) MAC_MUST_USE;
/* content_type may be NULL. */
int mac_bus_publish_raw(mac_bus *bus, const char *subject, const void *data, size_t length,
                        const char *content_type) MAC_MUST_USE;

/* The audit event of something that changes the node and is asked for by an event instead of a call (calls of …Control
 * procedures have theirs by themselves): config.change. caller as in mac_event. */
void mac_bus_audit(mac_bus *bus, const char *procedure, const char *caller, Macula__V1__ErrorCode outcome);

typedef struct mac_event {
    const char *subject;
    const void *data;
    size_t length;
    bool is_protobuf;   /* by its Content-Type */
    const char *reply;  /* may be NULL */
    const char *caller; /* as mac_request_caller */
} mac_event;
/* Subscribes to any subject. The callback must not keep the event, but may unsubscribe. Survives reconnects.
 * ret_subscription may be NULL: then it lasts as long as the bus; else it must be unsubscribed, before or after the bus
 * is closed. -EINVAL when it is not a subject. */
int mac_bus_subscribe(mac_bus *bus, const char *subject, void (*callback)(const mac_event *event, void *data),
                      void *data, mac_subscription **ret_subscription) MAC_MUST_USE;
void mac_bus_unsubscribe(mac_subscription *subscription);
/* A denied subscription or publication arrives here (default: logged), unless a call was ended by it. */
void mac_bus_on_violation(mac_bus *bus,
                          void (*callback)(mac_bus *bus, const char *subject, const char *message, void *data),
                          void *data);

/* ---- names ---- */

/* "upgrade" from Upgrade and UpgradeControl, "drift_fix" from DriftFix; caller frees. */
char *mac_bus_service_name(const ProtobufCServiceDescriptor *descriptor);
char *mac_bus_method_name(const ProtobufCMethodDescriptor *method);
bool mac_bus_is_control(const ProtobufCServiceDescriptor *descriptor);
/* macula.rpc.{realm}.{service or instance}.{method}; method NULL: without; caller frees. */
char *mac_bus_subject(const char *realm, const char *service, const char *method);
/* Whether a subject is a reply inbox: _INBOX.>, _R_.>, _SVC.>. */
bool mac_bus_is_inbox(const char *subject);
/* NATS wildcards: `*` is one token, a last `>` one or more. */
bool mac_bus_subject_matches(const char *pattern, const char *subject);

#endif
