/* What a NATS server says, taken apart where it lies: no allocation, no copy.
 *
 * Written after the published description of the protocol ("Client Protocol", docs.nats.io, Reference → NATS Protocols;
 * headers and status: ADR-4 of nats-architecture-and-design). A server says lines that end with CR LF:
 *
 *   INFO {json}
 *   MSG subject sid [reply] length-of-data                            then the data, CR LF
 *   HMSG subject sid [reply] length-of-headers length-of-all          then NATS/1.0 and headers, the data, CR LF
 *   PING · PONG · +OK · -ERR 'text'
 *
 * The server is believed to be well-meaning, not to be right: whatever is not one of these is an error at once, nothing
 * is guessed, and everything has a bound. Its clients are believed nothing: what they can make it say (subjects of any
 * bytes, headers that are none, more data than we take) must not end the connection, which is the service's only one.
 */
#ifndef BUS_PROTOCOL_H
#define BUS_PROTOCOL_H

#include "base/mac-base.h"

/* Of a line without its data. A server takes lines of 4096 bytes from its clients and adds numbers and the prefix of
 * another account; -ERR quotes a subject of that length in a sentence. */
#define BUS_LINE_MAX 8192u
#define BUS_INFO_MAX (64u << 10)
#define BUS_HEADERS_MAX (64u << 10)
#define BUS_MESSAGE_MAX ((1u << 20) + BUS_HEADERS_MAX) /* headers and data; MAC_BUS_PAYLOAD_MAX of the latter */

/* A message. All texts end with a NUL. */
typedef struct bus_message {
    const char *subject;
    const char *reply;     /* NULL: none */
    const char *headers;   /* lines, each ended by a NUL, without the first one; some are empty */
    size_t headers_length; /* of all of them */
    const char *data;      /* followed by a NUL */
    size_t length;
    unsigned status; /* of NATS/1.0 in the first line of the headers: 503; 0: none */
    bool too_large;  /* more than BUS_MESSAGE_MAX: data is empty, length says what it was */
} bus_message;

typedef enum bus_op {
    BUS_OP_MORE, /* nothing whole is there: call again when more has come */
    BUS_OP_SKIP, /* what was used means nothing to us: +OK, bytes of a message that is too large */
    BUS_OP_MESSAGE,
    BUS_OP_PING,
    BUS_OP_PONG,
    BUS_OP_INFO,   /* text: the JSON */
    BUS_OP_ERROR,  /* text: what stood between the quotation marks */
    BUS_OP_BROKEN, /* not the protocol; text: what was wrong, for a person */
} bus_op;

typedef struct bus_item {
    bus_message message;
    uint64_t sid;
    const char *text;
} bus_item;

/* How far the reading has come. Starts as {0}. */
typedef struct bus_protocol {
    size_t scanned; /* of the bytes that are there no line ends in so many */
    size_t skip;    /* bytes of a message that is not kept, which are still to come */
    size_t needed;  /* after BUS_OP_MORE: so many bytes must be there for the next item, at least */
} bus_protocol;

/* Takes the first item off `length` bytes at `data`, which it may write into. *ret_used bytes are done with; what the
 * item points to stays valid as long as they are left alone. After BUS_OP_MORE nothing is used: the same bytes, and
 * more behind them, are expected. After BUS_OP_BROKEN there is no next item. */
bus_op bus_protocol_next(bus_protocol *protocol, char *data, size_t length, size_t *ret_used, bus_item *ret_item);

/* The value of a header, without white space in front; NULL: it is not there. The name must match to the letter. Of
 * several the last one counts, because what the server adds comes last: nobody can put his own before it. */
const char *bus_header_get(const bus_message *message, const char *name);
/* The server's answer to a request that nobody listens to. */
bool bus_message_nobody(const bus_message *message);
/* All of it in one piece of memory; freed with free(). */
bus_message *bus_message_copy(const bus_message *message);
/* How much memory that takes, roughly. */
size_t bus_message_size(const bus_message *message);

#endif
