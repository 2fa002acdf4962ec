/* One line a log event: on a terminal for a person, else logfmt on standard error (the supervisor collects it).
 *
 *   mac_log_info("generation applied", "generation", "%llu", n, "author", "%s", author, NULL) would be untyped; so fields
 *   are given as a printf text of key=value pairs: mac_log(MAC_LOG_INFO, "generation applied", "generation=%llu author=%s", …).
 * Values with spaces are quoted by MAC_LOG_Q("%s"). Never put a secret in a log line. */
#ifndef MAC_LOG_H
#define MAC_LOG_H

#include "base/mac-base.h"

typedef enum mac_log_level {
    MAC_LOG_ERROR,
    MAC_LOG_WARNING,
    MAC_LOG_INFO,
    MAC_LOG_DEBUG,
} mac_log_level;

/* name: the service, kept by reference. Level from MACULA_LOG (error, warning, info, debug), default info. Colour only on a
 * terminal without NO_COLOR. */
void mac_log_init(const char *name);
void mac_log_set_level(mac_log_level level);
/* what: a constant sentence; fields: printf text of key=value pairs, may be NULL. Line breaks and control characters
 * in values are escaped. */
void mac_log(mac_log_level level, const char *what, const char *fields, ...) MAC_PRINTF(3, 4);
#define mac_log_error(...) mac_log(MAC_LOG_ERROR, __VA_ARGS__)
#define mac_log_warning(...) mac_log(MAC_LOG_WARNING, __VA_ARGS__)
#define mac_log_info(...) mac_log(MAC_LOG_INFO, __VA_ARGS__)
#define mac_log_debug(...) mac_log(MAC_LOG_DEBUG, __VA_ARGS__)

#endif
