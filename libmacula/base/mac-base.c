#include "base/mac-base.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void mac_free_pointer(void *pointer_to_pointer) {
    void **pointer = pointer_to_pointer;
    free(*pointer);
    *pointer = NULL;
}

void mac_close_pointer(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void *or_abort(void *memory) {
    if (!memory)
        abort();
    return memory;
}

void *mac_malloc(size_t size) {
    return or_abort(malloc(size ? size : 1));
}

void *mac_calloc(size_t count, size_t size) {
    return or_abort(calloc(count ? count : 1, size ? size : 1));
}

void *mac_realloc(void *memory, size_t size) {
    return or_abort(realloc(memory, size ? size : 1));
}

char *mac_strdup(const char *text) {
    return text ? or_abort(strdup(text)) : NULL;
}

char *mac_strndup(const char *text, size_t length) {
    return or_abort(strndup(text, length));
}

void *mac_memdup(const void *memory, size_t size) {
    void *copy = mac_malloc(size);
    if (size)
        memcpy(copy, memory, size);
    return copy;
}

char *mac_vasprintf(const char *format, va_list arguments) {
    char *text;
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    return text;
}

char *mac_asprintf(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = mac_vasprintf(format, arguments);
    va_end(arguments);
    return text;
}

bool mac_starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool mac_ends_with(const char *text, const char *suffix) {
    size_t length = strlen(text), suffix_length = strlen(suffix);
    return length >= suffix_length && memcmp(text + length - suffix_length, suffix, suffix_length) == 0;
}

static int64_t clock_ms(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t mac_now_ms(void) {
    return (uint64_t)clock_ms(CLOCK_MONOTONIC);
}

int64_t mac_unix_ms(void) {
    return clock_ms(CLOCK_REALTIME);
}

/* Length of the UTF-8 sequence at p (at most `left` bytes), or 0 when it is none. RFC 3629 section 4. */
static size_t utf8_sequence(const unsigned char *p, size_t left) {
    if (p[0] < 0x80)
        return p[0] != 0;
    size_t length = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
                    : p[0] >= 0xe0 && p[0] <= 0xef ? 3
                    : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                                   : 0;
    if (!length || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

bool mac_utf8_valid(const char *data, size_t length) {
    const unsigned char *p = (const unsigned char *)data;
    while (length) {
        size_t step = utf8_sequence(p, length);
        if (!step)
            return false;
        p += step;
        length -= step;
    }
    return true;
}

size_t mac_printable(const char *text, size_t left) {
    const unsigned char *p = (const unsigned char *)text;
    size_t length = utf8_sequence(p, left);
    if (length == 1)
        return *p >= 0x20 && *p != 0x7f;
    if (length == 2 && p[0] == 0xc2 && p[1] < 0xa0)
        return 0;
    bool general = length == 3 && p[0] == 0xe2;
    if (general && p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae)
        return 0;
    return general && p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9 ? 0 : length;
}

bool mac_is_printable(const char *text) {
    size_t length = strlen(text), step = 1;
    for (size_t i = 0; i < length && step; i += step)
        step = mac_printable(text + i, length - i);
    return step > 0;
}

static void buffer_reserve(mac_buffer *buffer, size_t extra) {
    size_t needed = buffer->length + extra + 1;
    if (needed < buffer->length)
        abort();
    if (buffer->data && needed <= buffer->capacity)
        return;
    size_t capacity = buffer->capacity ? buffer->capacity : 64;
    while (capacity < needed)
        capacity *= 2;
    buffer->data = mac_realloc(buffer->data, capacity);
    buffer->capacity = capacity;
}

bool mac_copy_text(char *target, size_t size, const char *text) {
    size_t length = strlen(text);
    bool fits = length < size;
    if (fits)
        memcpy(target, text, length + 1);
    else if (size)
        *target = '\0';
    return fits;
}

void mac_buffer_append(mac_buffer *buffer, const void *data, size_t length) {
    buffer_reserve(buffer, length);
    if (length)
        memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

void mac_buffer_text(mac_buffer *buffer, const char *text) {
    mac_buffer_append(buffer, text, strlen(text));
}

void mac_buffer_printf(mac_buffer *buffer, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    mac_autofree char *text = mac_vasprintf(format, arguments);
    va_end(arguments);
    mac_buffer_text(buffer, text);
}

void mac_buffer_escaped(mac_buffer *buffer, const char *text, size_t length) {
    for (size_t i = 0; i < length;) {
        size_t step = mac_printable(text + i, length - i);
        const char *known = text[i] == '\n' ? "\\n" : text[i] == '\r' ? "\\r" : text[i] == '\t' ? "\\t" : NULL;
        if (step)
            mac_buffer_append(buffer, text + i, step);
        else if (known)
            mac_buffer_text(buffer, known);
        else
            mac_buffer_printf(buffer, "\\x%02x", (unsigned char)text[i]);
        i += step ? step : 1;
    }
}

char *mac_buffer_take(mac_buffer *buffer) {
    buffer_reserve(buffer, 0);
    buffer->data[buffer->length] = '\0';
    char *data = buffer->data;
    *buffer = (mac_buffer){0};
    return data;
}

void mac_buffer_deinit(mac_buffer *buffer) {
    free(buffer->data);
    *buffer = (mac_buffer){0};
}

static void strings_own(mac_strings *strings, char *text) {
    strings->items = mac_realloc(strings->items, (strings->count + 2) * sizeof *strings->items);
    strings->items[strings->count++] = text;
    strings->items[strings->count] = NULL;
}

void mac_strings_add(mac_strings *strings, const char *text) {
    strings_own(strings, mac_strdup(text));
}

void mac_strings_addf(mac_strings *strings, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    strings_own(strings, mac_vasprintf(format, arguments));
    va_end(arguments);
}

bool mac_strings_contain(const mac_strings *strings, const char *text) {
    for (size_t i = 0; i < strings->count; i++)
        if (mac_streq(strings->items[i], text))
            return true;
    return false;
}

void mac_strings_deinit(mac_strings *strings) {
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
    *strings = (mac_strings){0};
}

/* Length of the login with its @ where the authority of a URL begins; 0: none. */
static size_t login_length(const char *authority) {
    size_t length = strcspn(authority, "/?# \t\r\n\"'<>");
    while (length > 0 && authority[length - 1] != '@')
        length--;
    return length;
}

char *mac_hide_logins(const char *text) {
    mac_buffer out = {0};
    for (const char *scheme; (scheme = strstr(text, "://")) != NULL;) {
        const char *authority = scheme + 3;
        size_t login = login_length(authority);
        mac_buffer_append(&out, text, (size_t)(authority - text));
        if (login)
            mac_buffer_text(&out, "********@");
        text = authority + login;
    }
    mac_buffer_text(&out, text);
    return mac_buffer_take(&out);
}
