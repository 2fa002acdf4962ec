#include "release/mac-sums.h"

#include <string.h>

#include "release/mac-release.h"

typedef struct sum {
    char digest[65];
    char name[MAC_RELEASE_NAME_MAX + 1];
} sum;

struct mac_sums {
    sum *items;
    size_t count;
};

void mac_sums_free(mac_sums *sums) {
    if (!sums)
        return;
    free(sums->items);
    free(sums);
}

const char *mac_sums_get(const mac_sums *sums, const char *name) {
    for (size_t i = 0; i < sums->count; i++)
        if (mac_streq(sums->items[i].name, name))
            return sums->items[i].digest;
    return NULL;
}

size_t mac_sums_count(const mac_sums *sums) {
    return sums->count;
}

static mac_error *bad(size_t line, const char *expected) {
    return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, MAC_RELEASE_SUMS ": line %zu: expected %s", line,
                         expected);
}

/* One line without its end. */
static mac_error *read_line(mac_sums *sums, const char *line, size_t length, size_t number) {
    static const char form[] = "64 hexadecimal digits, two spaces and the plain name of a file";
    sum *item = &sums->items[sums->count];
    if (length < 67 || length - 66 > MAC_RELEASE_NAME_MAX || line[64] != ' ' || (line[65] != ' ' && line[65] != '*') ||
        memchr(line, 0, length))
        return bad(number, form);
    memcpy(item->digest, line, 64);
    memcpy(item->name, line + 66, length - 66);
    item->digest[64] = item->name[length - 66] = '\0';
    if (!mac_release_digest_valid(item->digest) || !mac_release_name_valid(item->name))
        return bad(number, form);
    if (mac_sums_get(sums, item->name))
        return bad(number, "each file once");
    sums->count++;
    return NULL;
}

mac_error *mac_sums_parse(const char *text, size_t length, mac_sums **ret_sums) {
    if (length > MAC_SUMS_MAX)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, MAC_RELEASE_SUMS ": expected at most %u bytes",
                             MAC_SUMS_MAX);
    mac_autoptr(mac_sums) sums = mac_calloc(1, sizeof *sums);
    sums->items = mac_calloc(MAC_SUMS_LINES_MAX, sizeof *sums->items);
    size_t at = 0, number = 0;
    while (at < length) {
        const char *end = memchr(text + at, '\n', length - at);
        if (!end || ++number > MAC_SUMS_LINES_MAX)
            return bad(number + 1, end ? "fewer lines" : "a line end");
        mac_error *error = read_line(sums, text + at, (size_t)(end - text) - at, number);
        if (error)
            return error;
        at = (size_t)(end - text) + 1;
    }
    if (number == 0)
        return bad(1, "at least one file");
    *ret_sums = mac_take(&sums);
    return NULL;
}
