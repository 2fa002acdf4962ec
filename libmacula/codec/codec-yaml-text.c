/* What YAML text looks like to a person: lines, columns, tabs, bytes that are no text. */
#include <errno.h>
#include <string.h>

#include "codec/codec-internal.h"

mac_place codec_place_at(const char *file, const char *text, size_t offset) {
    mac_place place = {file, 1, 1};
    for (size_t i = 0; i < offset; i++) {
        place.line += text[i] == '\n';
        place.column = text[i] == '\n' ? 1 : place.column + !codec_continues_character(text[i]);
    }
    return place;
}

bool codec_tab_near(const char *text, size_t length, size_t line) {
    size_t number = 0;
    for (const char *p = text, *end = text + length; p < end; number++) {
        const char *next = memchr(p, '\n', (size_t)(end - p));
        next = next ? next + 1 : end;
        if (number + 1 >= line && number <= line)
            for (const char *q = p; q < next && (*q == ' ' || *q == '\t'); q++)
                if (*q == '\t')
                    return true;
        if (number > line)
            break;
        p = next;
    }
    return false;
}

int codec_refuse_encoding(const char *file, const char *text, size_t length, mac_problems *problems) {
    for (size_t at = 0, step; at < length; at += step) {
        for (step = 1; step < 4 && at + step < length && codec_continues_character(text[at + step]);)
            step++;
        if (mac_utf8_valid(text + at, step))
            continue;
        mac_place place = codec_place_at(file, text, at);
        if (text[at])
            mac_problems_add(problems, MAC_PROBLEM_ERROR, &place, NULL,
                             "byte %zu (0x%02x) is no UTF-8 text: save the file as UTF-8", at, (unsigned char)text[at]);
        else
            mac_problems_add(problems, MAC_PROBLEM_ERROR, &place, NULL,
                             "byte %zu is a NUL: expected a text file in UTF-8", at);
        return -EINVAL;
    }
    return -EINVAL;
}
