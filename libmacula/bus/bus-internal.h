/* What the files of libmacula/bus share. File map and mechanisms: README.md. Everything here runs on the loop's
 * thread. */
#ifndef BUS_INTERNAL_H
#define BUS_INTERNAL_H

#include "bus-protocol.h"
#include "bus/mac-bus.h"

#define BUS_CONNECT_TIMEOUT_MS 2000 /* until the server has taken the key */
#define BUS_READY_TIMEOUT_MS 2000   /* from connected until the server has confirmed the subscriptions */
#define BUS_RETRY_MIN_MS 25
#define BUS_RETRY_MAX_MS 2000
#define BUS_KEEPALIVE_MS 120000 /* a silent connection is asked whether it lives */
#define BUS_KEEPALIVE_ANSWER_MS 10000
#define BUS_CLOSE_TIMEOUT_MS 500 /* what has not been sent then is lost */
#define BUS_DRAIN_MAX 64         /* messages of one subscription in one turn of the loop */
#define BUS_QUEUE_MAX_MESSAGES                                                                                         \
    16384 /* of one subscription, beside MAC_BUS_QUEUE_MAX_BYTES; more are dropped and counted */
#define BUS_DROPPED_TOLD_MS 10000
#define BUS_OUT_FLUSH_BYTES (64u << 10) /* sent before the turn of the loop ends */
#define BUS_OUT_MAX_BYTES (8u << 20)    /* unsent beyond that: -ENOBUFS */
#define BUS_NAME_MAX 64
#define BUS_WORKLOADS_MAX 128    /* of MAC_BUS_INFLIGHT_MAX: the rest is the node's own */
#define BUS_LANE_RATE (1u << 20) /* bytes a second that workloads are answered, together */
#define BUS_LANE_BURST (1 << 20) /* … and at once, after a pause */
#define BUS_REPLY_MAX 160        /* bytes of a reply subject: _INBOX.{name}.{nonce}.{slot}.{number} */
#define BUS_HEADER_TEXT_MAX 300  /* bytes of a sentence in the header Nats-Service-Error */

#define BUS_QUEUE_GROUP "q" /* the customary one of NATS services */
#define BUS_CONTENT_TYPE "Content-Type"
#define BUS_PROTOBUF "application/protobuf"
#define BUS_JSON "application/json"
#define BUS_CALLER "Macula-Caller"
#define BUS_REQUEST_INFO "Nats-Request-Info"
#define BUS_IMPORT_REPLY "_R_." /* how the server begins the reply subject of a request from another account */
#define BUS_OWN_ACCOUNT "NODE"  /* as libmacula/nats renders it */
#define BUS_ERROR "Nats-Service-Error"
#define BUS_ERROR_CODE "Nats-Service-Error-Code"

/* ---- bus-wire.c: the socket, bytes in and out ---- */

typedef enum bus_wire_phase {
    BUS_WIRE_GREETING, /* made by bus_connect(); the server speaks first */
    BUS_WIRE_KNOCKING, /* CONNECT and PING have been sent */
    BUS_WIRE_OPEN,     /* the PONG has come: the server takes subscriptions and messages */
} bus_wire_phase;

/* A connection. Freed when uv has closed its poll; bus->wires counts those that live. */
typedef struct bus_wire {
    uv_poll_t poll;
    mac_bus *bus;
    int socket;
    bus_wire_phase phase;
    mac_buffer out; /* `sent` bytes of it are with the kernel */
    size_t sent;
    char *in; /* what has been read and not been taken apart: in[from] to in[to] */
    size_t from, to, capacity;
    bus_protocol protocol;
    uint64_t max_payload; /* the server's */
    bool waits_writable;  /* the kernel took no more; the poll tells when it does */
    bool stopped;
} bus_wire;

/* Takes a connected (or connecting) socket, as bus->wire; a negative errno: it is still yours. */
int bus_wire_new(mac_bus *bus, int socket) MAC_MUST_USE;
/* Sends what is to be sent, in one system call as a rule. */
void bus_wire_flush(mac_bus *bus);
/* Ends the connection; bus->wire is NULL then. */
void bus_wire_drop(mac_bus *bus);
/* How many bytes wait because the kernel takes no more; 0 when it does. */
size_t bus_wire_backlog(const bus_wire *wire);
/* A command without data, such as "PING". */
void bus_wire_say(bus_wire *wire, const char *format, ...) MAC_PRINTF(2, 3);

/* ---- bus-address.c: the URL, and what may be told of it ---- */

typedef struct bus_address {
    char *host, *port;
    char *user, *password; /* NULL: none; a user alone is a token */
} bus_address;

/* What is wrong with the URL, as half a sentence; NULL: nothing. *ret_address is zeroed before, and to be freed by
 * bus_address_deinit in both cases. */
const char *bus_address_read(const char *url, bus_address *ret_address) MAC_MUST_USE;
void bus_address_deinit(bus_address *address);
/* INVALID: what was expected, what was found, what is wrong with it. */
mac_error *bus_address_error(const char *url, const char *wrong);

/* ---- bus-connect.c: from a URL to a connection that is greeted ---- */

/* Starts the next attempt: the first address of the URL, or, after a failure, the next one. NULL: it is under way. */
mac_error *bus_connect(mac_bus *bus) MAC_MUST_USE;
/* Whether the URL has another address to try. */
bool bus_connect_has_more(const mac_bus *bus);
void bus_connect_forget(mac_bus *bus);
/* Reads an INFO; the first one is answered with CONNECT. NULL: it is well. */
mac_error *bus_connect_greet(bus_wire *wire, const char *info) MAC_MUST_USE;

/* ---- bus-source.c: subscriptions that outlive connections ---- */

typedef struct bus_source bus_source;
/* The message is gone when it returns; it may end the source, or the bus. */
typedef void (*bus_source_callback)(bus_source *source, const bus_message *message, void *data);

/* A message that waits. */
typedef struct bus_queued {
    struct bus_queued *next;
    bus_message *message;
} bus_queued;

struct bus_source {
    mac_bus *bus;
    bus_source *next, *previous;
    char *subject;
    char *queue;  /* NULL: every subscriber gets each message */
    uint64_t sid; /* of this connection; 0: not subscribed */
    bus_source_callback callback;
    void *data;
    bool serves;   /* requests: those of workloads go through the lanes */
    uint64_t turn; /* of the loop: `taken` messages were handed over in it */
    unsigned taken;
    bus_queued *first, *last;
    size_t queued, queued_bytes;
    uint64_t dropped;      /* since it was made */
    uint64_t told_dropped; /* uv_now() when dropped messages were logged; 0: never */
    bool dead;             /* removed while draining; freed after it */
    bool ended;            /* the server has been told; what was under way still comes */
};

bus_source *bus_source_new(mac_bus *bus, const char *subject, const char *queue, bus_source_callback callback,
                           void *data);
/* The same for what serves requests. */
bus_source *bus_source_new_serving(mac_bus *bus, const char *subject, const char *queue, bus_source_callback callback,
                                   void *data);
void bus_source_free(bus_source *source);
/* The subscription ends; what the server has sent by then is still handed over, until the source is freed. */
void bus_source_end(bus_source *source);
/* A message has come. */
void bus_source_deliver(mac_bus *bus, uint64_t sid, const bus_message *message);
/* Counts what was not handed over, and says so once in a while. */
void bus_source_dropped(bus_source *source);
/* Subscribes all at a new connection; forgets what a lost one has left. */
void bus_sources_connect(mac_bus *bus);
void bus_sources_disconnect(mac_bus *bus);
/* Hands over at most BUS_DRAIN_MAX messages of each source in a turn of the loop. Returns whether more wait. */
bool bus_sources_drain(mac_bus *bus);
void bus_sources_deinit(mac_bus *bus);

/* ---- bus-lane.c: requests of workloads, after the node's own and each sender in turn ---- */

typedef struct bus_lanes bus_lanes;

/* Whether a request comes from another account than the node's own. */
bool bus_lane_is_for(const bus_message *message);
/* Copies the message: it waits in its sender's lane, or is refused. */
void bus_lane_add(bus_source *source, const bus_message *message);
/* Hands some to their sources. Returns whether it can go on at once. */
bool bus_lanes_serve(mac_bus *bus);
bool bus_lanes_wait(const mac_bus *bus);
/* Whether a callback was called by bus_lanes_serve, which counts itself what is sent meanwhile. */
bool bus_lane_serving(const mac_bus *bus);
/* Counts what was sent for a workload. */
void bus_lane_sent(mac_bus *bus, size_t length);
void bus_lane_on_timer(uv_timer_t *timer);
/* Their connection has gone. */
void bus_lanes_clear(mac_bus *bus);
void bus_lanes_deinit(mac_bus *bus);

/* ---- bus-link.c: the connection ---- */

void bus_link_start(mac_bus *bus);
/* What the server has said. */
void bus_link_handle(bus_wire *wire, bus_op op, const bus_item *item);
/* The socket has ended: by this errno, or, 0, by the server. */
void bus_link_ended(mac_bus *bus, int error);
/* Whether messages can be sent. */
bool bus_link_is_open(const mac_bus *bus);
/* Ends the connection: calls end with UNAVAILABLE, the next attempt is scheduled. */
void bus_link_lose(mac_bus *bus, mac_error *reason);
/* Lets go of the connection without any consequence. */
void bus_link_drop(mac_bus *bus);
/* The server refused our inbox: takes the other kind, or gives up. */
void bus_link_inbox_refused(mac_bus *bus, const char *message);
void bus_set_state(mac_bus *bus, mac_bus_state state, const mac_error *error);

/* ---- bus-frame.c: a message as the protocol writes it ---- */

typedef struct bus_header {
    const char *name, *value;
} bus_header;

/* Appends PUB or HPUB. The subjects have been checked; line ends in the values of headers become spaces. Returns the
 * bytes of headers and data, which is what a server bounds. */
size_t bus_frame_append(mac_buffer *out, const char *subject, const char *reply, const void *data, size_t length,
                        const bus_header *headers, size_t header_count);

/* Writes a number in decimal and a NUL (21 bytes at most); returns where the NUL is. */
char *bus_put_number(char *to, uint64_t number);

/* ---- bus-name.c ---- */

/* Into bus->subject, valid until the next time: what mac_bus_subject makes of a method. */
const char *bus_method_subject(mac_bus *bus, const ProtobufCServiceDescriptor *service, const char *instance,
                               const ProtobufCMethodDescriptor *method);

/* ---- bus-publish.c ---- */

/* Sends one message with headers. 0, -ENOTCONN, -EMSGSIZE (the server's max_payload), -ENOBUFS, -EINVAL. */
int bus_send(mac_bus *bus, const char *subject, const char *reply, const void *data, size_t length,
             const bus_header *headers, size_t header_count) MAC_MUST_USE;
/* What the server says to who asks where nobody listens. */
int bus_send_unserved(mac_bus *bus, const char *reply);

/* The bus is gone: those that somebody holds are freed when he unsubscribes. */
void bus_subscriptions_deinit(mac_bus *bus);

/* ---- bus-call.c: requests that wait for an answer ---- */

typedef struct bus_slot bus_slot;

typedef struct bus_calls {
    mac_call *first, *last; /* in the order of their deadlines */
    bus_slot *slots[MAC_BUS_PENDING_MAX];
    unsigned slot_count;
    bus_slot *idle; /* stack of slots without a call: the same few are used again */
    uv_timer_t timer;
    uint64_t timer_due;    /* 0: not running */
    uint64_t number;       /* of the last call */
    uint64_t pings, pongs; /* of this connection, without the first of each */
    char *inbox;           /* "_SVC.confd.<nonce>"; NULL without connection */
    bus_source *source;    /* {inbox}.> */
    bool plain_inbox;      /* "_INBOX.confd.<nonce>": what a workload may subscribe */
    bool plain_first;      /* the kind that is tried first */
} bus_calls;

void bus_calls_init(mac_bus *bus);
/* Ends every call with this error. */
void bus_calls_end(mac_bus *bus, const mac_error *error);
/* The inbox comes and goes with its connection. */
void bus_calls_connect(mac_bus *bus);
void bus_calls_disconnect(mac_bus *bus);
/* The server has processed what was sent before the oldest PING that waits. */
void bus_calls_pong(mac_bus *bus);
void bus_calls_deinit(mac_bus *bus);
/* Ends the oldest call of a subject that the server refused. Whether there was one. */
bool bus_calls_refuse(mac_bus *bus, const char *subject);
/* Forgets a call without telling its owner. */
void bus_call_discard(mac_call *call);
mac_call *bus_call_flush(mac_bus *bus, unsigned deadline_ms, mac_answer_callback callback, void *data);

/* ---- bus-serve.c, bus-request.c, bus-micro.c: procedures ---- */

typedef struct bus_method {
    struct bus_service *owner;
    ProtobufCService *service;
    const ProtobufCMethodDescriptor *descriptor;
    unsigned index;
    char *name;      /* "drift_fix" */
    char *procedure; /* "config.drift_fix" */
    char *subject;
    bool control;
    uint64_t requests, errors, nanoseconds;
    char *last_error; /* "503:no server" */
} bus_method;

enum {
    BUS_SOURCE_BARE,     /* macula.rpc.{realm}.config */
    BUS_SOURCE_BELOW,    /* macula.rpc.{realm}.config.> */
    BUS_SOURCE_DENIED,   /* macula.denied.{realm}.config.> */
    BUS_SOURCE_MICRO,    /* $SRV.*.config */
    BUS_SOURCE_MICRO_ID, /* $SRV.*.config.{id} */
    BUS_SOURCES,
};

/* All that is served under one name: Config and ConfigControl. */
typedef struct bus_service {
    mac_bus *bus;
    struct bus_service *next;
    char *name;       /* "config", "participant.netd" */
    char *micro_name; /* as NATS micro services may be called: no dots */
    char *id;
    char *prefix; /* macula.rpc.{realm}.{name} */
    char *description;
    bus_method **methods; /* they do not move: requests in flight point to them */
    size_t method_count;
    bus_source *sources[BUS_SOURCES];
    bool has_control;
} bus_service;

typedef struct bus_absent bus_absent;

/* Somebody who outlives the bus and must forget it in time. */
typedef struct bus_watcher {
    struct bus_watcher *next;
    void (*on_close)(void *data);
    void *data;
} bus_watcher;

typedef struct bus_plain {
    mac_bus *bus;
    struct bus_plain *next;
    char *subject;
    bus_source *source;
    void (*handler)(mac_request *request, void *data);
    void *data;
} bus_plain;

typedef enum bus_request_state {
    BUS_REQUEST_FREE,   /* in the pool; an answer now is the handler's second one */
    BUS_REQUEST_OPEN,   /* waits for its answer */
    BUS_REQUEST_ORPHAN, /* the bus has closed and answered for the handler; its answer frees it */
} bus_request_state;

struct mac_request {
    bus_request_state state;
    mac_bus *bus;
    mac_request *next, *previous; /* open ones, or the pool */
    bus_message *message;
    bus_method *method; /* NULL: a plain handler's, or of no known method */
    ProtobufCMessage *input;
    const char *content_type; /* of the message; NULL: it says none */
    bool is_protobuf;
    bool in_flight; /* counted against MAC_BUS_INFLIGHT_MAX */
    bool workload;  /* and against BUS_WORKLOADS_MAX */
    char *caller;
    uint64_t started; /* uv_hrtime() */
};

typedef struct bus_requests {
    mac_request *open;
    mac_request *pool_first,
        *pool_last;              /* first in, first out: a stale pointer is recognised for as long as possible */
    size_t in_flight, workloads; /* the latter are among the former */
    bool reply_trick_logged;
    uint64_t told_unsent; /* uv_now() when answers that could not be sent were logged; 0: never */
    uint64_t unsent;      /* since then */
} bus_requests;

mac_request *bus_request_new(mac_bus *bus, const bus_message *message, bus_method *method);
/* Whether the reply subject may be answered; if not, the request is counted, told to the log once, and gone. */
bool bus_request_accept_reply(mac_request *request);
/* Ends a request that nobody is waiting for. */
void bus_request_drop(mac_request *request, Macula__V1__ErrorCode outcome, const char *why);
/* Counts it as in flight; false: too many are, it has been answered. */
bool bus_request_take_on(mac_request *request);
void bus_request_invoke(mac_request *request);
/* Answers the open ones with UNAVAILABLE: the bus closes. */
void bus_requests_abandon(mac_bus *bus);
void bus_requests_deinit(mac_bus *bus);

void bus_services_deinit(mac_bus *bus);
void bus_absents_deinit(mac_bus *bus);
/* on_close comes when the bus is being closed, which ends the watch; of one that is so already: at once. */
void bus_watch(mac_bus *bus, bus_watcher *watcher);
void bus_unwatch(mac_bus *bus, bus_watcher *watcher);
/* Answers what came to the denial desk of a service. */
void bus_deny(mac_bus *bus, const bus_message *message, const char *service);
void bus_micro_serve(bus_service *service);
void bus_micro_deinit(mac_bus *bus);

/* A refused or finished call of a …Control procedure. author may be NULL. */
void bus_audit(mac_bus *bus, const char *service, const char *procedure, const char *caller,
               const ProtobufCMessage *input, bool denied, Macula__V1__ErrorCode outcome);

/* ---- bus-decode.c: what needs no connection ---- */

/* The body of a request by its Content-Type; *ret_is_protobuf is set in any case: errors are answered in the caller's
 * encoding. */
int bus_decode_request(const ProtobufCMessageDescriptor *type, const char *content_type, const void *data,
                       size_t length, bool *ret_is_protobuf, ProtobufCMessage **ret_message,
                       mac_error **ret_error) MAC_MUST_USE;
bool bus_is_protobuf(const char *content_type);
/* "workload NAME at HOST" from the header Nats-Request-Info; NULL if it says nothing. Caller frees. */
char *bus_caller_from_info(const char *json);
/* Whether the header says another account than the node's own; NULL (no header) is within it. */
bool bus_is_workload(const char *info);
/* Who asks, by the headers and the reply subject; see mac_request_caller. Caller frees. */
char *bus_caller(const char *info, const char *said, const char *reply);
/* An error body, or the two headers alone, as an error. */
mac_error *bus_decode_error(const char *code, const char *text, bool is_protobuf, const void *data, size_t length);
/* The method part of a subject below a service's prefix: NULL for the bare subject. */
const char *bus_method_part(const char *subject, const char *prefix);
/* A text on one line of at most BUS_HEADER_TEXT_MAX bytes. */
void bus_header_text(const char *text, char ret_line[BUS_HEADER_TEXT_MAX + 1]);

/* ---- bus-violation.c: what the server refuses ---- */

/* Handles the text of -ERR. False: it tells of something else. */
bool bus_violation_handle(mac_bus *bus, const char *text);
/* "Permissions Violation for Publish to "x"": what was refused. Caller frees *ret_subject. */
bool bus_violation_parse(const char *text, bool *ret_publish, char **ret_subject);

/* ---- mac-bus.c: the bus ---- */

/* Frees a closed bus when its last handle has gone. */
void bus_free_if_done(mac_bus *bus);
/* Keeps the loop from sleeping before the next turn. */
void bus_turn_again(mac_bus *bus);

struct mac_bus {
    uv_loop_t *loop;
    char *url, *shown_url, *name, *realm, *seed;
    char nonce[23];
    bool once;
    void (*on_state)(mac_bus *bus, mac_bus_state state, const mac_error *error, void *data);
    void *data;
    mac_bus_state state;

    struct addrinfo *addresses, *next_address; /* of the URL; those that have not been tried */
    bus_wire *wire;                            /* NULL: no connection, and none under way */
    unsigned wires;                            /* alive, also those of lost connections */
    size_t out_bytes;                          /* published in this turn */
    size_t sent_bytes;                         /* published ever; may wrap around */
    unsigned attempts;
    mac_call *ready;  /* the flush that confirms the subscriptions, asks whether the server lives, or ends the bus */
    uv_timer_t timer; /* the next attempt or keep-alive */

    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    unsigned handles;

    bus_source *sources, *last_source;
    bus_source **by_sid; /* at the index in their sid */
    size_t by_sid_size;
    uint64_t sids;  /* given away on this connection */
    uint64_t turn;  /* of the loop */
    size_t waiting; /* messages in the queues of all sources */
    bool draining, sweep;

    mac_subscription *subscriptions;
    bus_calls calls;
    bus_requests requests;
    bus_lanes *lanes; /* NULL until a workload has asked for something */
    uv_timer_t lane_timer;
    bus_service *services;
    bus_plain *plains;
    bus_absent *absents; /* bus-absent.c */
    bus_watcher *watchers;
    bus_source *micro_sources[3];
    int64_t started_ms;
    mac_buffer scratch; /* packed messages on their way out */
    mac_buffer subject; /* of a typed call */

    void (*on_violation)(mac_bus *bus, const char *subject, const char *message, void *data);
    void *violation_data;

    bool started, closing, closed_link, told_closed;
    void (*on_closed)(void *data);
    void *closed_data;
};

/* Packs into bus->scratch; valid until the next time. */
const void *bus_pack(mac_bus *bus, const ProtobufCMessage *message, size_t *ret_length);
/* 22 characters that nobody can guess. */
void bus_random_name(char ret_name[23]);
/* Fills length bytes with CLOCK_REALTIME as RFC 3339 with milliseconds. */
void bus_rfc3339(int64_t unix_ms, char ret_text[32]);

#endif
