/* The few things that every file needs: ownership helpers, allocation that cannot fail, a growing buffer.
 *
 * Ownership is a tree. A local that owns something is declared mac_autofree or mac_autoptr(type); where ownership
 * moves to somebody else it is taken with mac_take(). Small allocations abort when memory is out: there is nothing
 * sensible a service could do. Sizes that come from outside are checked against a named limit before. */
#ifndef MAC_BASE_H
#define MAC_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define MAC_MUST_USE __attribute__((warn_unused_result))
#define MAC_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#define MAC_ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define mac_container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#define mac_autofree __attribute__((cleanup(mac_free_pointer)))
#define mac_autoptr(type) __attribute__((cleanup(type##_autoptr))) type *
#define mac_autofd __attribute__((cleanup(mac_close_pointer))) int

/* Moves what *pointer owns to the caller and leaves NULL behind. */
#define mac_take(pointer)                                                                                              \
    ({                                                                                                                 \
        __typeof__(pointer) mac_take_from_ = (pointer);                                                                \
        __typeof__(*mac_take_from_) mac_taken_ = *mac_take_from_;                                                      \
        *mac_take_from_ = NULL;                                                                                        \
        mac_taken_;                                                                                                    \
    })

/* Declares what mac_autoptr(type) calls at the end of the scope. */
#define MAC_DEFINE_AUTOPTR(type, free_function)                                                                        \
    static inline void type##_autoptr(type **pointer) {                                                                \
        if (*pointer)                                                                                                  \
            free_function(*pointer);                                                                                   \
    }

void mac_free_pointer(void *pointer_to_pointer);
void mac_close_pointer(int *fd);
/* Moves a descriptor to the caller and leaves -1 behind. */
static inline int mac_take_fd(int *fd) {
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* Like their namesakes without mac_; abort when memory is out. mac_strdup(NULL) is NULL. */
void *mac_malloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mac_calloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mac_realloc(void *memory, size_t size);
char *mac_strdup(const char *text);
/* Copies the text into the size bytes of target if it fits with its NUL, else makes target empty; whether it fitted. */
bool mac_copy_text(char *target, size_t size, const char *text);
char *mac_strndup(const char *text, size_t length);
void *mac_memdup(const void *memory, size_t size);
char *mac_asprintf(const char *format, ...) MAC_PRINTF(1, 2) __attribute__((returns_nonnull));
char *mac_vasprintf(const char *format, va_list arguments) MAC_PRINTF(1, 0) __attribute__((returns_nonnull));

bool mac_starts_with(const char *text, const char *prefix);
bool mac_ends_with(const char *text, const char *suffix);
static inline bool mac_streq(const char *a, const char *b) {
    return a == b || (a && b && __builtin_strcmp(a, b) == 0);
}

/* Milliseconds of CLOCK_MONOTONIC; of CLOCK_REALTIME (Unix time). */
uint64_t mac_now_ms(void);
int64_t mac_unix_ms(void);

/* Whether data is valid UTF-8 (RFC 3629: no surrogates, no overlong forms) without NUL. */
bool mac_utf8_valid(const char *data, size_t length);
/* Bytes of the character at text (of which `left` follow, at least 1) that may be shown to a person as it is; 0 when it
 * must be escaped: what is no UTF-8, control characters (C0, DEL, C1), line and paragraph separators, and those that
 * turn the direction of text around (U+202A to U+202E, U+2066 to U+2069). */
size_t mac_printable(const char *text, size_t left);
/* Whether each character may be shown as it is: names, authors, what stands in one line. */
bool mac_is_printable(const char *text);

/* The text with the login of each URL in it (anna:pw@) replaced by asterisks and the @. Caller frees. */
char *mac_hide_logins(const char *text);

/* A growing byte buffer; data is always followed by a NUL. Initialise with {0}; free with mac_buffer_deinit, or take
 * the memory with mac_buffer_take (never NULL). */
typedef struct mac_buffer {
    char *data;
    size_t length;
    size_t capacity;
} mac_buffer;

#define mac_autobuffer __attribute__((cleanup(mac_buffer_deinit))) mac_buffer
void mac_buffer_append(mac_buffer *buffer, const void *data, size_t length);
void mac_buffer_text(mac_buffer *buffer, const char *text);
/* What must not be shown as it is (mac_printable) as \n, \r, \t or \x1b. */
void mac_buffer_escaped(mac_buffer *buffer, const char *text, size_t length);
void mac_buffer_printf(mac_buffer *buffer, const char *format, ...) MAC_PRINTF(2, 3);
char *mac_buffer_take(mac_buffer *buffer);
void mac_buffer_deinit(mac_buffer *buffer);

/* A growing, NULL-terminated list of strings that owns them. Initialise with {0}. */
typedef struct mac_strings {
    char **items;
    size_t count;
} mac_strings;

#define mac_autostrings __attribute__((cleanup(mac_strings_deinit))) mac_strings
void mac_strings_add(mac_strings *strings, const char *text);
void mac_strings_addf(mac_strings *strings, const char *format, ...) MAC_PRINTF(2, 3);
bool mac_strings_contain(const mac_strings *strings, const char *text);
void mac_strings_deinit(mac_strings *strings);

#endif
