#include "log/mac-log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUOTE_BEGIN '\x02'
#define QUOTE_END '\x03'
#define ELLIPSIS "\xe2\x80\xa6"
/* Kept free at the end of a line: an open quote, the ellipsis, the end of a colour, the line break. */
#define RESERVE 16

static const struct {
    const char *name;
    const char *colour;
} levels[] = {
    [MAC_LOG_ERROR] = {"error", "\x1b[1;31m"},
    [MAC_LOG_WARNING] = {"warning", "\x1b[33m"},
    [MAC_LOG_INFO] = {"info", "\x1b[32m"},
    [MAC_LOG_DEBUG] = {"debug", "\x1b[34m"},
};

/* One per process: a service has one log. */
static struct {
    const char *name;
    mac_log_level level;
    bool initialised;
    bool terminal;
    bool colour;
    bool stamp;
} logger = {.level = MAC_LOG_INFO};

typedef struct line {
    char data[MAC_LOG_LINE_MAX];
    size_t length;
    bool cut;
} line;

int mac_log_level_parse(const char *text, mac_log_level *ret_level) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(levels); i++) {
        if (mac_streq(text, levels[i].name)) {
            *ret_level = (mac_log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

void mac_log_init(const char *name) {
    const char *level = getenv("MACULA_LOG"), *stamp = getenv("MACULA_LOG_STAMP");
    const char *no_colour = getenv("NO_COLOR");
    logger.name = name;
    logger.initialised = true;
    logger.level = MAC_LOG_INFO;
    logger.terminal = isatty(STDERR_FILENO) == 1;
    logger.colour = logger.terminal && (!no_colour || !*no_colour) && !mac_streq(getenv("TERM"), "dumb");
    logger.stamp = !mac_streq(stamp, "0");
    if (level && *level && mac_log_level_parse(level, &logger.level) < 0)
        mac_log_warning("unknown level in MACULA_LOG, using info",
                        "expected=" MAC_LOG_Q("error, warning, info or debug") " found=" MAC_LOG_Q("%s"), level);
}

void mac_log_set_level(mac_log_level level) {
    logger.level = level;
}

bool mac_log_enabled(mac_log_level level) {
    return level <= logger.level;
}

/* Appends all of it or, when the line is full, nothing more from then on. */
static void line_add(line *out, const char *data, size_t length) {
    if (out->cut || length > sizeof out->data - RESERVE - out->length) {
        out->cut = true;
        return;
    }
    memcpy(out->data + out->length, data, length);
    out->length += length;
}

static void line_text(line *out, const char *text) {
    line_add(out, text, strlen(text));
}

/* For the end of a line: there is always room for it. */
static void line_finish(line *out, const char *text) {
    size_t length = strlen(text);
    memcpy(out->data + out->length, text, length);
    out->length += length;
}

static void line_escaped(line *out, char byte) {
    char hex[5];
    switch (byte) {
    case '\n':
        line_text(out, "\\n");
        break;
    case '\r':
        line_text(out, "\\r");
        break;
    case '\t':
        line_text(out, "\\t");
        break;
    default:
        snprintf(hex, sizeof hex, "\\x%02x", (unsigned char)byte);
        line_text(out, hex);
    }
}

/* Copies text; the marks of MAC_LOG_Q become quotes when `marks` says they are ours. Returns whether a quote is open.
 */
static bool line_fields(line *out, const char *text, size_t length, bool marks, bool quoted) {
    for (size_t i = 0; i < length && !out->cut;) {
        char c = text[i];
        size_t step = mac_printable(text + i, length - i);
        if (marks && (c == QUOTE_BEGIN || c == QUOTE_END)) {
            quoted = c == QUOTE_BEGIN;
            line_text(out, "\"");
        } else if (quoted && (c == '"' || c == '\\')) {
            line_add(out, (char[]){'\\', c}, 2);
        } else if (step) {
            line_add(out, text + i, step);
        } else {
            line_escaped(out, c);
        }
        i += step ? step : 1;
    }
    return quoted;
}

static size_t count_marks(const char *text) {
    size_t count = 0;
    for (; *text; text++)
        count += *text == QUOTE_BEGIN || *text == QUOTE_END;
    return count;
}

__attribute__((__format__(__printf__, 2, 0))) static void line_event(line *out, const char *format, va_list arguments) {
    char text[MAC_LOG_LINE_MAX];
    int length = vsnprintf(text, sizeof text, format, arguments);
    if (length < 0)
        return;
    bool longer = (size_t)length >= sizeof text;
    size_t used = longer ? sizeof text - 1 : (size_t)length;
    /* A value that brings marks of its own could end its quotes: then all of the fields are one quoted value. */
    bool marks_are_ours = longer ? count_marks(text) <= count_marks(format) : count_marks(text) == count_marks(format);
    bool quoted = false;
    if (!marks_are_ours) {
        line_text(out, "fields=\"");
        quoted = true;
    }
    quoted = line_fields(out, text, used, marks_are_ours, quoted);
    if (out->cut || longer)
        line_finish(out, ELLIPSIS);
    if (quoted)
        line_finish(out, "\"");
}

static void line_head_for_a_person(line *out, mac_log_level level, const char *what) {
    char part[64];
    struct timespec now;
    struct tm local;
    clock_gettime(CLOCK_REALTIME, &now);
    tzset(); /* the zone may have been changed */
    localtime_r(&now.tv_sec, &local);
    snprintf(part, sizeof part, "%02d:%02d:%02d %s%-7s%s ", local.tm_hour, local.tm_min, local.tm_sec,
             logger.colour ? levels[level].colour : "", levels[level].name, logger.colour ? "\x1b[0m" : "");
    line_text(out, part);
    line_text(out, logger.name);
    line_text(out, ": ");
    line_fields(out, what, strlen(what), false, false);
}

static void line_head_logfmt(line *out, mac_log_level level, const char *what) {
    char part[96];
    if (logger.stamp) {
        struct timespec now;
        struct tm utc;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &utc);
        size_t length = strftime(part, sizeof part, "time=%Y-%m-%dT%H:%M:%S", &utc);
        snprintf(part + length, sizeof part - length, ".%03ldZ ", now.tv_nsec / 1000000);
        line_text(out, part);
    }
    line_text(out, "level=");
    line_text(out, levels[level].name);
    line_text(out, " service=");
    line_text(out, logger.name);
    line_text(out, " msg=\"");
    line_fields(out, what, strlen(what), false, true);
    line_text(out, "\"");
}

void mac_log(mac_log_level level, const char *what, const char *fields, ...) {
    if (!mac_log_enabled(level))
        return;
    int kept = errno;
    if (!logger.initialised) {
        mac_log_level wanted = logger.level;
        mac_log_init(program_invocation_short_name);
        logger.level = wanted;
    }
    line out;
    out.length = 0;
    out.cut = false;
    if (logger.terminal)
        line_head_for_a_person(&out, level, what);
    else
        line_head_logfmt(&out, level, what);
    if (fields && *fields) {
        line_text(&out, !logger.terminal ? " " : logger.colour ? "  \x1b[2m" : "  ");
        va_list arguments;
        va_start(arguments, fields);
        line_event(&out, fields, arguments);
        va_end(arguments);
        if (logger.terminal && logger.colour)
            line_finish(&out, "\x1b[0m");
    }
    line_finish(&out, "\n");
    /* One attempt: a log that nobody reads must not stop a service. */
    while (write(STDERR_FILENO, out.data, out.length) < 0 && errno == EINTR)
        ;
    errno = kept;
}
