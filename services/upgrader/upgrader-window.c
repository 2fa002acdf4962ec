#include "upgrader-window.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define DAY 1440u
#define WEEK (7u * DAY)

/* One end of a window: an optional day and a time. Advances *text. */
static bool read_day(const char **text, int *ret_day) {
    static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    for (int i = 0; i < 7; i++)
        if (strncasecmp(*text, days[i], 3) == 0) {
            *text += 3;
            *ret_day = i;
            return true;
        }
    return false;
}

static void skip_space(const char **text) {
    *text += strspn(*text, " \t");
}

static bool read_time(const char **text, unsigned *ret_minute) {
    unsigned hour, minute;
    int used = 0;
    if (sscanf(*text, "%2u:%2u%n", &hour, &minute, &used) != 2 || hour > 24 || minute > 59)
        return false;
    *text += used;
    *ret_minute = hour * 60 + minute;
    return true;
}

static bool within(unsigned minute, unsigned begin, unsigned length) {
    return (minute + WEEK - begin % WEEK) % WEEK < length;
}

/* From a time of one or more days to a time of the same or the next day. */
static bool daily_open(int first, int last, unsigned begin, unsigned end, unsigned minute) {
    unsigned length = end > begin ? end - begin : end + DAY - begin;
    for (int i = 0, day = first;; i++, day = (day + 1) % 7) {
        if (within(minute, (unsigned)day * DAY + begin, length))
            return true;
        if (day == last || i == 7)
            return false;
    }
}

static bool one_open(const char *text, unsigned minute) {
    int first = 0, last = 6, end_day;
    unsigned begin, end;
    skip_space(&text);
    bool has_day = read_day(&text, &first);
    if (has_day) {
        last = first;
        skip_space(&text);
        if (*text == '-') {
            text++;
            skip_space(&text);
            if (!read_day(&text, &last))
                return false;
            skip_space(&text);
        }
    }
    if (!read_time(&text, &begin))
        return false;
    skip_space(&text);
    if (*text++ != '-')
        return false;
    skip_space(&text);
    if (has_day && read_day(&text, &end_day)) {
        skip_space(&text);
        if (!read_time(&text, &end))
            return false;
        unsigned from = (unsigned)first * DAY + begin, to = (unsigned)end_day * DAY + end;
        return within(minute, from, (to + WEEK - from % WEEK) % WEEK);
    }
    return read_time(&text, &end) && daily_open(first, last, begin, end, minute);
}

bool upgrader_window_open(const char *window, unsigned minute_of_week) {
    return !window || !*window || one_open(window, minute_of_week);
}

unsigned upgrader_window_now(void) {
    time_t now = time(NULL);
    struct tm parts;
    tzset(); /* localtime_r looks for the zone once a process; the configuration may have changed it since */
    localtime_r(&now, &parts);
    return (unsigned)((parts.tm_wday + 6) % 7) * DAY + (unsigned)parts.tm_hour * 60 + (unsigned)parts.tm_min;
}
