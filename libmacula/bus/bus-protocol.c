#include "bus-protocol.h"

#include <string.h>
#include <strings.h>

#define FIELDS_MAX 5
#define CR_LF 2u /* bytes */

typedef struct field {
    char *text;
    size_t length;
} field;

/* A line without its end, and how long it is with it. */
typedef struct line {
    char *text;
    size_t length, used;
} line;

static bus_op broken(bus_item *item, const char *text) {
    item->text = text;
    return BUS_OP_BROKEN;
}

/* ---- lines ---- */

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* Whether the line is this command, alone or followed by a blank. */
static bool is_verb(const line *said, const char *verb) {
    size_t length = strlen(verb);
    return said->length >= length && (*said->text | 0x20) == (*verb | 0x20) &&
           strncasecmp(said->text, verb, length) == 0 && (said->length == length || is_blank(said->text[length]));
}

/* The fields behind the verb; more than FIELDS_MAX count as FIELDS_MAX + 1. */
static size_t split(const line *said, size_t verb, field fields[FIELDS_MAX]) {
    size_t count = 0, i = verb;
    for (;;) {
        while (i < said->length && is_blank(said->text[i]))
            i++;
        if (i == said->length)
            return count;
        if (count == FIELDS_MAX)
            return count + 1;
        size_t start = i;
        while (i < said->length && !is_blank(said->text[i]))
            i++;
        fields[count++] = (field){said->text + start, i - start};
    }
}

/* Digits alone: no sign, no blank, nothing behind them. */
static bool read_number(const field *from, uint64_t *ret_number) {
    uint64_t number = 0;
    if (from->length == 0 || from->length > 20)
        return false;
    for (size_t i = 0; i < from->length; i++) {
        unsigned digit = (unsigned)(unsigned char)from->text[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, digit, &number))
            return false;
    }
    *ret_number = number;
    return true;
}

/* What follows a verb, ended with a NUL, without the quotation marks around it if it has them. */
static char *rest_of(const line *said, size_t verb, bool quoted) {
    size_t start = verb, end = said->length;
    while (start < end && is_blank(said->text[start]))
        start++;
    while (end > start && is_blank(said->text[end - 1]))
        end--;
    if (quoted && end - start >= 2 && said->text[start] == '\'' && said->text[end - 1] == '\'') {
        start++;
        end--;
    }
    said->text[end] = '\0'; /* the line's own end stands there at the latest */
    return said->text + start;
}

/* ---- headers ---- */

/* Ends each line with a NUL in place of LF, and of CR before it; a NUL that somebody sent becomes a space, or it would
 * hide what comes behind it. What follows the last line end is no header.
 *
 * A single LF ends a line, too: nats-server looks for a header of its own behind any LF, and puts its own behind what
 * it has found and removed. Who took CR LF alone for an end would read the server's report as the rest of a line that a
 * client has begun. */
static void read_headers(bus_message *message, char *block, size_t length) {
    char *at = block, *end = block + length, *first = NULL, *last = block;
    for (char *nul = block; (nul = memchr(nul, '\0', (size_t)(end - nul))) != NULL;)
        *nul = ' ';
    for (char *line_end; (line_end = memchr(at, '\n', (size_t)(end - at))) != NULL;) {
        *line_end = '\0';
        if (line_end > at && line_end[-1] == '\r')
            line_end[-1] = '\0';
        last = at = line_end + 1;
        if (!first)
            first = at;
    }
    static const char version[] = "NATS/1.0 ";
    if (!first)
        return;
    if (strncmp(block, version, sizeof version - 1) == 0)
        message->status = (unsigned)strtoul(block + sizeof version - 1, NULL, 10);
    message->headers = first;
    message->headers_length = (size_t)(last - first);
}

const char *bus_header_get(const bus_message *message, const char *name) {
    const char *value = NULL;
    size_t name_length = strlen(name);
    for (size_t i = 0; i < message->headers_length;) {
        const char *header = message->headers + i;
        if (strncmp(header, name, name_length) == 0 && header[name_length] == ':')
            value = header + name_length + 1;
        i += strlen(header) + 1;
    }
    return value ? value + strspn(value, " \t") : NULL;
}

/* ---- messages ---- */

typedef struct lengths {
    uint64_t headers, all;
} lengths;

/* MSG subject sid [reply] all; HMSG subject sid [reply] headers all */
static bool read_fields(const line *said, bool has_headers, bus_item *item, field *ret_subject, field *ret_reply,
                        lengths *ret_lengths) {
    field fields[FIELDS_MAX];
    size_t numbers = has_headers ? 2 : 1, count = split(said, has_headers ? 4 : 3, fields);
    if (count != 2 + numbers && count != 3 + numbers)
        return false;
    *ret_subject = fields[0];
    *ret_reply = count == 3 + numbers ? fields[2] : (field){0};
    ret_lengths->headers = 0;
    return read_number(&fields[1], &item->sid) &&
           (!has_headers || read_number(&fields[count - 2], &ret_lengths->headers)) &&
           read_number(&fields[count - 1], &ret_lengths->all) && ret_lengths->headers <= ret_lengths->all &&
           ret_lengths->all < SIZE_MAX / 2;
}

/* A subject with a NUL in it is one that C would cut short: it is not ours. */
static bool is_text(const field *of) {
    return !memchr(of->text, '\0', of->length);
}

static bus_op need(bus_protocol *protocol, const line *said, size_t bytes) {
    protocol->scanned = said->used - 1; /* where the line ends: found at once the next time */
    protocol->needed = bytes;
    return BUS_OP_MORE;
}

static bus_op read_message(bus_protocol *protocol, const line *said, size_t length, bool has_headers, size_t *ret_used,
                           bus_item *item) {
    field subject, reply;
    lengths size;
    if (!read_fields(said, has_headers, item, &subject, &reply, &size))
        return broken(item, "it announced a message with wrong fields");
    bool too_large = size.all > BUS_MESSAGE_MAX, headers_too = size.headers > BUS_HEADERS_MAX;
    size_t kept = too_large ? (headers_too ? 0 : (size_t)size.headers) : (size_t)size.all + CR_LF;
    if (length - said->used < kept)
        return need(protocol, said, said->used + kept);
    char *body = said->text + said->used;
    if (!too_large && memcmp(body + size.all, "\r\n", CR_LF) != 0)
        return broken(item, "a message did not end where it was to end");
    protocol->scanned = 0;
    protocol->skip = too_large ? (size_t)size.all + CR_LF - kept : 0;
    *ret_used = said->used + kept;
    if (!is_text(&subject) || (reply.text && !is_text(&reply)) || (too_large && headers_too))
        return BUS_OP_SKIP;
    subject.text[subject.length] = '\0';
    if (reply.text)
        reply.text[reply.length] = '\0';
    item->message = (bus_message){.subject = subject.text,
                                  .reply = reply.text,
                                  .data = too_large ? "" : body + size.headers,
                                  .length = (size_t)(size.all - size.headers),
                                  .too_large = too_large};
    if (!too_large)
        body[size.all] = '\0';
    if (size.headers)
        read_headers(&item->message, body, (size_t)size.headers);
    return BUS_OP_MESSAGE;
}

/* ---- items ---- */

static bus_op skip_on(bus_protocol *protocol, size_t length, size_t *ret_used) {
    *ret_used = length < protocol->skip ? length : protocol->skip;
    protocol->skip -= *ret_used;
    return *ret_used ? BUS_OP_SKIP : BUS_OP_MORE;
}

static bus_op read_line(const line *said, bus_item *item) {
    if (is_verb(said, "PING"))
        return BUS_OP_PING;
    if (is_verb(said, "PONG"))
        return BUS_OP_PONG;
    if (is_verb(said, "+OK"))
        return BUS_OP_SKIP;
    if (is_verb(said, "INFO")) {
        item->text = rest_of(said, strlen("INFO"), false);
        return BUS_OP_INFO;
    }
    if (is_verb(said, "-ERR")) {
        item->text = rest_of(said, strlen("-ERR"), true);
        return BUS_OP_ERROR;
    }
    return broken(item, "it said something that is not the protocol of NATS");
}

bus_op bus_protocol_next(bus_protocol *protocol, char *data, size_t length, size_t *ret_used, bus_item *ret_item) {
    *ret_used = 0;
    *ret_item = (bus_item){0};
    protocol->needed = 1;
    if (protocol->skip > 0)
        return skip_on(protocol, length, ret_used);
    if (length == 0)
        return BUS_OP_MORE;
    size_t bound = *data == 'I' || *data == 'i' ? BUS_INFO_MAX : BUS_LINE_MAX;
    char *end = memchr(data + protocol->scanned, '\n', length - protocol->scanned);
    if ((end ? (size_t)(end - data) : length) >= bound)
        return broken(ret_item, "it said a line without an end");
    if (!end) {
        protocol->scanned = length;
        protocol->needed = length + 1;
        return BUS_OP_MORE;
    }
    if (end == data || end[-1] != '\r')
        return broken(ret_item, "it said a line that does not end with CR LF");
    const line said = {.text = data, .length = (size_t)(end - data) - 1, .used = (size_t)(end - data) + 1};
    bool has_headers = is_verb(&said, "HMSG");
    if (has_headers || is_verb(&said, "MSG"))
        return read_message(protocol, &said, length, has_headers, ret_used, ret_item);
    protocol->scanned = 0;
    *ret_used = said.used;
    return read_line(&said, ret_item);
}

/* ---- a message of its own ---- */

bool bus_message_nobody(const bus_message *message) {
    return message->status == 503 && message->length == 0;
}

static size_t data_size(const bus_message *message) {
    return message->too_large ? 0 : message->length;
}

size_t bus_message_size(const bus_message *message) {
    return sizeof *message + strlen(message->subject) + (message->reply ? strlen(message->reply) : 0) +
           message->headers_length + data_size(message);
}

static const char *put(char **to, const char *from, size_t length) {
    char *start = *to;
    if (length)
        memcpy(start, from, length);
    start[length] = '\0';
    *to += length + 1;
    return start;
}

bus_message *bus_message_copy(const bus_message *message) {
    bus_message *copy = mac_malloc(bus_message_size(message) + 4); /* a NUL behind each part */
    char *to = (char *)(copy + 1);
    *copy = *message;
    copy->data = put(&to, message->data, data_size(message));
    copy->headers = put(&to, message->headers, message->headers_length);
    copy->subject = put(&to, message->subject, strlen(message->subject));
    copy->reply = message->reply ? put(&to, message->reply, strlen(message->reply)) : NULL;
    return copy;
}
