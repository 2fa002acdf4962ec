#include "supervisor-log.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "supervisor-fold.h"

#define ORIGINS_MAX 64 /* names of units and programs with an account of their own; those beyond share the last */
#define TELL_MS 500    /* between looks whether a flood is over */

typedef struct entry {
    const char *level;
    const char *message; /* logfmt: still quoted and escaped; else as the child wrote it */
    size_t message_length;
    const char *fields; /* rest of a logfmt line */
    size_t fields_length;
    bool logfmt;
} entry;

static const struct {
    const char *name, *nats, *colour;
} levels[] = {
    {"error", "ERR", "\x1b[1;31m"}, {"error", "FTL", "\x1b[1;31m"}, {"warning", "WRN", "\x1b[33m"},
    {"info", "INF", "\x1b[32m"},    {"debug", "DBG", "\x1b[34m"},   {"debug", "TRC", "\x1b[34m"},
};

static void append_escaped(mac_buffer *out, const char *text, size_t length, bool quoted) {
    for (size_t i = 0, size; i < length; i += size) {
        size = mac_printable(text + i, length - i);
        if (quoted && size == 1 && (text[i] == '"' || text[i] == '\\'))
            mac_buffer_text(out, "\\");
        size = size ? size : 1;
        mac_buffer_escaped(out, text + i, size);
    }
}

/* Past `prefix`, or NULL. */
static const char *after(const char *text, const char *end, const char *prefix) {
    size_t length = strlen(prefix);
    return (size_t)(end - text) >= length && memcmp(text, prefix, length) == 0 ? text + length : NULL;
}

static bool parse_logfmt(const char *line, size_t length, entry *ret) {
    const char *end = line + length, *at = after(line, end, "level=");
    if (!at)
        return false;
    ret->level = NULL;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(levels) && !ret->level; i++) {
        const char *rest = after(at, end, levels[i].name);
        if (rest && rest < end && *rest == ' ') {
            ret->level = levels[i].name;
            at = rest + 1;
        }
    }
    const char *space = ret->level && after(at, end, "service=") ? memchr(at, ' ', (size_t)(end - at)) : NULL;
    const char *message = space ? after(space, end, " msg=\"") : NULL;
    if (!message)
        return false;
    const char *close = message;
    while (close < end && *close != '"')
        close += *close == '\\' ? 2 : 1;
    if (close >= end)
        return false;
    ret->logfmt = true;
    ret->message = message;
    ret->message_length = (size_t)(close - message);
    ret->fields = close + 1;
    ret->fields_length = (size_t)(end - close - 1);
    return true;
}

/* "[4711] [INF] text" */
static void parse_plain(const char *line, size_t length, entry *ret) {
    *ret = (entry){.level = "info", .message = line, .message_length = length};
    const char *mark = length > 0 && line[0] == '[' ? memmem(line, length, "] [", 3) : NULL;
    size_t head = mark ? (size_t)(mark - line) + 3 : 0;
    if (!mark || length < head + 5 || strspn(line + 1, "0123456789") != head - 4 || line[head + 3] != ']')
        return;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(levels); i++) {
        if (memcmp(line + head, levels[i].nats, 3) == 0) {
            ret->level = levels[i].name;
            ret->message = line + head + 5;
            ret->message_length = length - head - 5;
        }
    }
}

static void format_logfmt(int64_t unix_ms, const char *name, const entry *e, mac_buffer *out) {
    char stamp[32];
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    mac_buffer_printf(out, "time=%s.%03dZ level=%s service=%s msg=\"", stamp, (int)(unix_ms % 1000), e->level, name);
    append_escaped(out, e->message, e->message_length, !e->logfmt);
    mac_buffer_text(out, "\"");
    append_escaped(out, e->fields, e->fields_length, false);
    mac_buffer_text(out, "\n");
}

static void format_person(int64_t unix_ms, const char *name, const entry *e, bool colour, mac_buffer *out) {
    const char *tint = "";
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm local;
    tzset(); /* the zone may have been changed */
    localtime_r(&seconds, &local);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(levels); i++)
        if (colour && strcmp(levels[i].name, e->level) == 0)
            tint = levels[i].colour;
    mac_buffer_printf(out, "%02d:%02d:%02d %s%-7s%s %s: ", local.tm_hour, local.tm_min, local.tm_sec, tint, e->level,
                      colour ? "\x1b[0m" : "", name);
    append_escaped(out, e->message, e->message_length, false);
    if (e->fields_length) {
        mac_buffer_text(out, colour ? " \x1b[2m" : " ");
        append_escaped(out, e->fields, e->fields_length, false);
        mac_buffer_text(out, colour ? "\x1b[0m" : "");
    }
    mac_buffer_text(out, "\n");
}

static void parse(const char *line, size_t length, entry *ret) {
    if (!parse_logfmt(line, length, ret))
        parse_plain(line, length, ret);
}

static void format_entry(supervisor_log_style style, int64_t unix_ms, const char *name, const entry *e,
                         mac_buffer *out) {
    switch (style) {
    case SUPERVISOR_LOG_FMT:
        format_logfmt(unix_ms, name, e, out);
        break;
    case SUPERVISOR_LOG_PERSON:
    case SUPERVISOR_LOG_COLOUR:
        format_person(unix_ms, name, e, style == SUPERVISOR_LOG_COLOUR, out);
        break;
    }
}

void supervisor_log_format(supervisor_log_style style, int64_t unix_ms, const char *name, const char *line,
                           size_t length, mac_buffer *out) {
    entry e = {0};
    parse(line, length, &e);
    format_entry(style, unix_ms, name, &e, out);
}

static supervisor_log_style style_of_stderr(void) {
    const char *no_colour = getenv("NO_COLOR");
    if (isatty(STDERR_FILENO) != 1)
        return SUPERVISOR_LOG_FMT;
    return (no_colour && *no_colour) || mac_streq(getenv("TERM"), "dumb") ? SUPERVISOR_LOG_PERSON
                                                                          : SUPERVISOR_LOG_COLOUR;
}

/* One per process: there is one standard error. */
static struct {
    struct {
        char *name;
        supervisor_fold fold;
    } * origins[ORIGINS_MAX];
    size_t count;
    uv_timer_t *timer; /* NULL: floods are told of with the next line of their origin, and at the end */
    size_t dropped;
} relay;

static void write_line(const char *name, const entry *e) {
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    mac_autobuffer out = {0};
    supervisor_log_style style = style_of_stderr();
    if (relay.dropped) {
        char text[64];
        int size = snprintf(text, sizeof text, "%zu lines of the log dropped: nobody read it", relay.dropped);
        supervisor_log_format(style, mac_unix_ms(), "supervisor", text, (size_t)size, &out);
    }
    format_entry(style, mac_unix_ms(), name, e, &out);
    if (poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) && write(STDERR_FILENO, out.data, out.length) >= 0)
        relay.dropped = 0;
    else
        relay.dropped++;
}

static void write_flood(const supervisor_fold_kind *flood, void *data) {
    const char *name = data;
    mac_autofree char *text = mac_asprintf("lines like this one repeated %" PRIu64 " times in %.1f s", flood->count,
                                           (double)(flood->last_ms - flood->first_ms) / 1000);
    mac_autobuffer fields = {0};
    mac_buffer_text(&fields, " line=\"");
    append_escaped(&fields, flood->sample, flood->sample_length, true);
    mac_buffer_text(&fields, "\"");
    entry e = {.level = flood->level,
               .message = text,
               .message_length = strlen(text),
               .fields = fields.data,
               .fields_length = fields.length};
    write_line(name, &e);
}

static supervisor_fold *fold_of(const char *name) {
    for (size_t i = 0; i < relay.count; i++)
        if (mac_streq(relay.origins[i]->name, name) || i == ORIGINS_MAX - 1)
            return &relay.origins[i]->fold;
    relay.origins[relay.count] = mac_calloc(1, sizeof *relay.origins[0]);
    relay.origins[relay.count]->name = mac_strdup(name);
    return &relay.origins[relay.count++]->fold;
}

static bool tell(bool all) {
    bool lasts = false;
    for (size_t i = 0; i < relay.count; i++)
        lasts |= supervisor_fold_tell(&relay.origins[i]->fold, mac_now_ms(), all, write_flood, relay.origins[i]->name);
    return lasts;
}

static void on_timer(uv_timer_t *timer) {
    if (!tell(false))
        uv_timer_stop(timer);
}

void supervisor_log_line(const char *name, const char *line, size_t length) {
    entry e = {0};
    parse(line, length, &e);
    supervisor_fold *fold = fold_of(name);
    supervisor_fold_tell(fold, mac_now_ms(), false, write_flood, (void *)(uintptr_t)name);
    uint64_t shape = supervisor_fold_shape(e.level, e.message, e.message_length, !e.logfmt);
    /* Who switched debug lines on wants them all. */
    if (mac_streq(e.level, "debug") ||
        supervisor_fold_line(fold, mac_now_ms(), shape, e.level, e.message, e.message_length))
        write_line(name, &e);
    else if (relay.timer && !uv_is_active((uv_handle_t *)relay.timer))
        uv_timer_start(relay.timer, on_timer, TELL_MS, TELL_MS);
}

void supervisor_log_open(uv_loop_t *loop) {
    relay.timer = mac_calloc(1, sizeof *relay.timer);
    uv_timer_init(loop, relay.timer);
    uv_unref((uv_handle_t *)relay.timer);
}

static void on_closed(uv_handle_t *handle) {
    free(handle);
}

void supervisor_log_flush(void) {
    tell(true);
}

void supervisor_log_close(void) {
    tell(true);
    if (relay.timer)
        uv_close((uv_handle_t *)mac_take(&relay.timer), on_closed);
    for (size_t i = 0; i < relay.count; i++) {
        free(relay.origins[i]->name);
        free(relay.origins[i]);
    }
    relay.count = 0;
}
