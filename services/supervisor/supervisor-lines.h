/* Cuts a stream of bytes into lines. Pure. */
#ifndef SUPERVISOR_LINES_H
#define SUPERVISOR_LINES_H

#include "base/mac-base.h"
#include "supervisor-process.h"

typedef struct supervisor_lines {
    char data[SUPERVISOR_LINE_MAX];
    size_t length;
    bool dropping; /* the line was longer than data: the rest is not kept */
} supervisor_lines;

typedef void (*supervisor_line_callback)(const char *line, size_t length, void *data);

/* Calls on_line (may be NULL) for every line that is complete. A carriage return before the line break is dropped,
 * empty lines are. */
void supervisor_lines_feed(supervisor_lines *lines, const char *bytes, size_t count, supervisor_line_callback on_line,
                           void *data);
/* The stream has ended: what is left is a line. */
void supervisor_lines_end(supervisor_lines *lines, supervisor_line_callback on_line, void *data);

#endif
