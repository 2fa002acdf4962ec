/* The formats of schedules: cron lines and time windows. */
#include <string.h>
#include <strings.h>

#include "codec/codec-internal.h"

static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};
static const char *const months[] = {"",    "jan", "feb", "mar", "apr", "may", "jun",
                                     "jul", "aug", "sep", "oct", "nov", "dec", NULL};

/* A number within low … high, or one of the names (whose index is the value), taken off *cursor; -1 if there is none.
 */
static int take_value(const char **cursor, int low, int high, const char *const *names) {
    const char *p = *cursor;
    for (int i = 0; names && names[i]; i++)
        if (*names[i] && strncasecmp(p, names[i], 3) == 0) {
            *cursor = p + 3;
            return i;
        }
    int value = 0, digits = 0;
    for (; *p >= '0' && *p <= '9' && digits < 4; p++, digits++)
        value = value * 10 + (*p - '0');
    if (!digits || value < low || value > high)
        return -1;
    *cursor = p;
    return value;
}

/* Items joined by commas: star, value or range, each with an optional /step. */
static bool cron_field(const char *text, int low, int high, const char *const *names) {
    for (;;) {
        bool steps = true;
        if (*text == '*') {
            text++;
        } else {
            int first = take_value(&text, low, high, names);
            if (first < 0)
                return false;
            steps = *text == '-';
            if (steps) {
                text++;
                if (take_value(&text, low, high, names) < first)
                    return false;
            }
        }
        if (*text == '/') {
            text++;
            if (!steps || take_value(&text, 1, high, NULL) < 0)
                return false;
        }
        if (!*text)
            return true;
        if (*text++ != ',')
            return false;
    }
}

bool codec_is_cron(const char *text) {
    static const char *const words[] = {"@yearly", "@annually", "@monthly", "@weekly",
                                        "@daily",  "@midnight", "@hourly"};
    static const struct {
        int low, high;
        const char *const *names;
    } fields[] = {{0, 59, NULL}, {0, 23, NULL}, {1, 31, NULL}, {1, 12, months}, {0, 7, weekdays}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(words); i++)
        if (mac_streq(text, words[i]))
            return true;
    mac_autofree char *copy = mac_strdup(text);
    char *rest = copy;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(fields); i++) {
        char *field = strsep(&rest, " ");
        while (rest && *rest == ' ')
            rest++;
        if (!field || !cron_field(field, fields[i].low, fields[i].high, fields[i].names))
            return false;
    }
    return !rest;
}

/* HH:MM; 24:00 only as an end. */
static bool clock_time(const char **cursor, bool is_end) {
    const char *p = *cursor;
    int hour = take_value(&p, 0, is_end ? 24 : 23, NULL);
    if (hour < 0 || p - *cursor != 2 || *p++ != ':')
        return false;
    const char *minutes = p;
    int minute = take_value(&p, 0, hour == 24 ? 0 : 59, NULL);
    if (minute < 0 || p - minutes != 2)
        return false;
    *cursor = p;
    return true;
}

static bool weekday(const char **cursor) {
    for (size_t i = 0; weekdays[i]; i++)
        if (strncasecmp(*cursor, weekdays[i], 3) == 0) {
            *cursor += 3;
            return true;
        }
    return false;
}

/* 02:00-05:00 every day; Mon-Fri 01:30-04:00 on each of these days; Sat 22:00-Sun 04:00 from one day into another. */
bool codec_is_window(const char *text) {
    bool days = false, from_day = weekday(&text);
    if (from_day && *text == '-') {
        text++;
        days = true;
        if (!weekday(&text))
            return false;
    }
    if (from_day && *text++ != ' ')
        return false;
    if (!clock_time(&text, false) || *text++ != '-')
        return false;
    if (from_day && !days && weekday(&text) && *text++ != ' ')
        return false;
    return clock_time(&text, true) && !*text;
}
