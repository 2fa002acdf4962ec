/* One log of all processes: a line that a child has written becomes a line of ours, with its time, level and name. */
#ifndef SUPERVISOR_LOG_H
#define SUPERVISOR_LOG_H

#include <uv.h>

#include "base/mac-base.h"

typedef enum supervisor_log_style {
    SUPERVISOR_LOG_FMT,    /* logfmt, for a collector */
    SUPERVISOR_LOG_PERSON, /* on a terminal */
    SUPERVISOR_LOG_COLOUR, /* on a terminal, with colours */
} supervisor_log_style;

/* The whole line with its line break. Children of the suite write logfmt (level= service= msg= …) and are understood,
 * so are nats-server's "[pid] [INF] text"; everything else is a message of level info. Bytes that are not printable
 * UTF-8 are escaped. unix_ms is the time to show. Pure. */
void supervisor_log_format(supervisor_log_style style, int64_t unix_ms, const char *name, const char *line,
                           size_t length, mac_buffer *out);

/* To standard error. Never waits: when nobody reads, lines are dropped, and the next line that fits is preceded by
 * their number. A flood of lines of one kind from one name is folded (supervisor-fold.h): "lines like this one repeated
 * 29950 times in 2.0 s". */
void supervisor_log_line(const char *name, const char *line, size_t length);
/* With a loop a flood is told of soon after its end; its timer does not keep the loop alive. */
void supervisor_log_open(uv_loop_t *loop);
/* Tells of the floods that last: before an end without close. */
void supervisor_log_flush(void);
/* The loop must run once more. */
void supervisor_log_close(void);

#endif
