#include "http/mac-http-range.h"

#include <string.h>
#include <strings.h>

/* Digits only, below 2^63; NULL otherwise, else where they end. */
static const char *take_number(const char *p, uint64_t *ret_value) {
    const char *begin = p;
    uint64_t value = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (value > (INT64_MAX - 9) / 10)
            return NULL;
        value = value * 10 + (uint64_t)(*p - '0');
    }
    *ret_value = value;
    return p == begin ? NULL : p;
}

bool mac_http_range_parse(const char *value, uint64_t *ret_first, uint64_t *ret_last, uint64_t *ret_total) {
    uint64_t first, last, total = 0;
    if (strncasecmp(value, "bytes ", 6) != 0)
        return false;
    const char *p = take_number(value + 6, &first);
    if (!p || *p++ != '-' || !(p = take_number(p, &last)) || *p++ != '/')
        return false;
    p = strcmp(p, "*") == 0 ? p + 1 : take_number(p, &total);
    if (!p || *p || last < first || (total && last >= total))
        return false;
    *ret_first = first;
    *ret_last = last;
    *ret_total = total;
    return true;
}
