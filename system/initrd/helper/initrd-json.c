#include "initrd-json.h"

#include <string.h>

typedef struct cursor {
    const char *at, *end;
} cursor;

static void skip_space(cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t' || *c->at == '\r'))
        c->at++;
}

static bool take(cursor *c, char wanted) {
    skip_space(c);
    if (c->at >= c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("._-+:~", c));
}

/* A string without escapes. */
static bool take_string(cursor *c, const char **ret_start, size_t *ret_length) {
    if (!take(c, '"'))
        return false;
    const char *start = c->at;
    while (c->at < c->end && is_plain(*c->at))
        c->at++;
    *ret_start = start;
    *ret_length = (size_t)(c->at - start);
    return take(c, '"') && c->at[-1] == '"' && start + *ret_length == c->at - 1;
}

static bool take_value(cursor *c, const char **ret_start, size_t *ret_length) {
    skip_space(c);
    if (c->at < c->end && *c->at == '"')
        return take_string(c, ret_start, ret_length);
    *ret_start = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    *ret_length = (size_t)(c->at - *ret_start);
    return *ret_length > 0;
}

bool initrd_json_value(const char *text, size_t length, const char *name, char *ret_value, size_t size) {
    cursor c = {text, text + length};
    const char *found = NULL;
    size_t found_length = 0;
    if (!take(&c, '{'))
        return false;
    do {
        const char *key, *value;
        size_t key_length, value_length;
        if (!take_string(&c, &key, &key_length) || !take(&c, ':') || !take_value(&c, &value, &value_length))
            return false;
        if (key_length == strlen(name) && memcmp(key, name, key_length) == 0) {
            found = value;
            found_length = value_length;
        }
    } while (take(&c, ','));
    if (!take(&c, '}') || !found || found_length >= size)
        return false;
    memcpy(ret_value, found, found_length);
    ret_value[found_length] = '\0';
    return true;
}
