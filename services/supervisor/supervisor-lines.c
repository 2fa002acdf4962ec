#include "supervisor-lines.h"

#include <string.h>

void supervisor_lines_end(supervisor_lines *lines, supervisor_line_callback on_line, void *data) {
    size_t length = lines->length;
    lines->length = 0;
    lines->dropping = false;
    if (length > 0 && lines->data[length - 1] == '\r')
        length--;
    if (length > 0 && on_line)
        on_line(lines->data, length, data);
}

void supervisor_lines_feed(supervisor_lines *lines, const char *bytes, size_t count, supervisor_line_callback on_line,
                           void *data) {
    while (count > 0) {
        const char *end = memchr(bytes, '\n', count);
        size_t piece = end ? (size_t)(end - bytes) : count;
        size_t room = sizeof lines->data - lines->length;
        size_t kept = lines->dropping ? 0 : piece < room ? piece : room;
        memcpy(lines->data + lines->length, bytes, kept);
        lines->length += kept;
        lines->dropping = lines->dropping || kept < piece;
        if (end)
            supervisor_lines_end(lines, on_line, data);
        bytes += piece + (end != NULL);
        count -= piece + (end != NULL);
    }
}
