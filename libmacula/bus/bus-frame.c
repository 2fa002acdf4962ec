/* A message as the protocol of NATS writes it:
 *
 *   PUB subject [reply] length
 *   HPUB subject [reply] length-of-headers length-of-all
 *
 * then NATS/1.0 and the headers, an empty line, the payload. Every line ends with CR LF. */
#include "bus-internal.h"

#include <string.h>

#define VERSION_LINE "NATS/1.0\r\n"
#define NUMBERS_MAX 64 /* the verb, two numbers, spaces, line ends */

static size_t headers_length(const bus_header *headers, size_t header_count) {
    size_t length = header_count ? strlen(VERSION_LINE) + strlen("\r\n") : 0;
    for (size_t i = 0; i < header_count; i++)
        length += strlen(headers[i].name) + strlen(": ") + strlen(headers[i].value) + strlen("\r\n");
    return length;
}

/* Where to write up to `length` bytes and a NUL. */
static char *reserve(mac_buffer *out, size_t length) {
    size_t needed = out->length + length + 1;
    if (needed > out->capacity) {
        size_t capacity = out->capacity ? out->capacity : 512;
        while (capacity < needed)
            capacity *= 2;
        out->data = mac_realloc(out->data, capacity);
        out->capacity = capacity;
    }
    return out->data + out->length;
}

static char *put(char *to, const char *text) {
    return stpcpy(to, text);
}

char *bus_put_number(char *to, uint64_t number) {
    char digits[24], *first = digits + sizeof digits;
    do
        *--first = (char)('0' + number % 10);
    while (number /= 10);
    size_t length = (size_t)(digits + sizeof digits - first);
    memcpy(to, first, length);
    to[length] = '\0';
    return to + length;
}

static char *put_value(char *to, const char *value) {
    for (; *value; value++)
        *to++ = *value == '\r' || *value == '\n' ? ' ' : *value;
    return to;
}

static char *put_headers(char *to, const bus_header *headers, size_t header_count) {
    to = put(to, VERSION_LINE);
    for (size_t i = 0; i < header_count; i++) {
        to = put(put(to, headers[i].name), ": ");
        to = put(put_value(to, headers[i].value), "\r\n");
    }
    return put(to, "\r\n");
}

size_t bus_frame_append(mac_buffer *out, const char *subject, const char *reply, const void *data, size_t length,
                        const bus_header *headers, size_t header_count) {
    size_t header_length = headers_length(headers, header_count);
    char *to = reserve(out, NUMBERS_MAX + strlen(subject) + (reply ? strlen(reply) : 0) + header_length + length);
    to = put(put(to, header_length ? "HPUB " : "PUB "), subject);
    to = put(to, " ");
    if (reply)
        to = put(put(to, reply), " ");
    if (header_length)
        to = put(bus_put_number(to, header_length), " ");
    to = put(bus_put_number(to, header_length + length), "\r\n");
    if (header_length)
        to = put_headers(to, headers, header_count);
    if (length) {
        memcpy(to, data, length);
        to += length;
    }
    to = put(to, "\r\n");
    out->length = (size_t)(to - out->data);
    return header_length + length;
}
