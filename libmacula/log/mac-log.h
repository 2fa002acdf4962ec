/* One line a log event: on a terminal for a person, else logfmt on standard error (the supervisor collects it).
 *
 *   10:24:01 info    confd: generation applied  generation=12 author=anna
 *   time=2025-03-01T09:24:01.204Z level=info service=confd msg="generation applied" generation=12 author=anna
 *
 * Fields are a printf text of key=value pairs, so that the compiler checks them:
 *   mac_log_info("generation applied", "generation=%u author=" MAC_LOG_Q("%s"), number, author);
 * Values that may hold spaces, quotes or equal signs are written with MAC_LOG_Q. Never put a secret in a log line.
 *
 * A line is one write(2) of at most MAC_LOG_LINE_MAX bytes, less than PIPE_BUF: lines of several processes on one pipe
 * never interleave. Line breaks, control characters, C1 controls and bytes that are not UTF-8 are escaped (\n, \x1b),
 * so a value can neither forge a line nor command a terminal. Longer events are cut and end with "…".
 *
 * Environment: MACULA_LOG is the level (error, warning, info, debug; default info). MACULA_LOG_STAMP=0 leaves the time
 * out of logfmt lines: whoever collects them stamps them. NO_COLOR (no-color.org) or TERM=dumb: no colours. */
#ifndef MAC_LOG_H
#define MAC_LOG_H

#include "base/mac-base.h"

#define MAC_LOG_LINE_MAX 3072 /* bytes with the line break; the rest of an event is cut */

/* Around the printf text of one value: it is put in double quotes, with quotes and backslashes in it escaped. */
#define MAC_LOG_Q(text) "\x02" text "\x03"

typedef enum mac_log_level {
    MAC_LOG_ERROR,   /* something asked for was not done */
    MAC_LOG_WARNING, /* it was, but somebody should look */
    MAC_LOG_INFO,    /* changes of state */
    MAC_LOG_DEBUG,   /* for whoever works on the service */
} mac_log_level;

/* name: the service, kept by reference. Reads the environment; an unknown MACULA_LOG is warned of and taken as info.
 * Without a call of it: the program's name and level info. */
void mac_log_init(const char *name);
void mac_log_set_level(mac_log_level level);
/* "error", "warning", "info", "debug"; -EINVAL otherwise. */
int mac_log_level_parse(const char *text, mac_log_level *ret_level) MAC_MUST_USE;
/* Whether events of this level are written: for fields that cost something to make. */
bool mac_log_enabled(mac_log_level level);

/* what: a constant sentence; fields: printf text of key=value pairs, may be NULL. errno is kept. */
void mac_log(mac_log_level level, const char *what, const char *fields, ...) MAC_PRINTF(3, 4);
#define mac_log_error(...) mac_log(MAC_LOG_ERROR, __VA_ARGS__)
#define mac_log_warning(...) mac_log(MAC_LOG_WARNING, __VA_ARGS__)
#define mac_log_info(...) mac_log(MAC_LOG_INFO, __VA_ARGS__)
#define mac_log_debug(...) mac_log(MAC_LOG_DEBUG, __VA_ARGS__)

#endif
