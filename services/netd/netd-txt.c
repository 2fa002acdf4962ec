#include "netd-txt.h"

#include <string.h>
#include <strings.h>

static bool is_node_id(const char *value) {
    return value[0] == 'U' && strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == 56 && value[56] == '\0';
}

/* Names of versions, roles and realms: one line of printable text. */
static bool is_text(const char *value) {
    return *value && mac_is_printable(value);
}

static char *take_value(const char *data, size_t length, bool (*is_valid)(const char *value)) {
    if (length > NETD_TXT_VALUE_MAX || !mac_utf8_valid(data, length)) /* that refuses NUL, too */
        return NULL;
    mac_autofree char *value = mac_strndup(data, length);
    return is_valid(value) ? mac_take(&value) : NULL;
}

void netd_txt_add(netd_txt *txt, const void *string, size_t length) {
    const struct {
        const char *key;
        char **target;
        bool (*is_valid)(const char *value);
    } fields[] = {
        {"version", &txt->version, is_text},
        {"role", &txt->role, is_text},
        {"realm", &txt->realm, is_text},
        {"node_id", &txt->node_id, is_node_id},
    };
    const char *data = string;
    const char *equals = length ? memchr(data, '=', length) : NULL;
    if (txt->strings++ >= NETD_TXT_STRINGS_MAX || !equals)
        return;
    size_t key = (size_t)(equals - data);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(fields); i++)
        if (strlen(fields[i].key) == key && strncasecmp(fields[i].key, data, key) == 0 && !*fields[i].target)
            *fields[i].target = take_value(equals + 1, length - key - 1, fields[i].is_valid);
}

void netd_txt_deinit(netd_txt *txt) {
    free(txt->version);
    free(txt->role);
    free(txt->realm);
    free(txt->node_id);
    *txt = (netd_txt){0};
}

bool netd_txt_equal(const netd_txt *a, const netd_txt *b) {
    return mac_streq(a->version, b->version) && mac_streq(a->role, b->role) && mac_streq(a->realm, b->realm) &&
           mac_streq(a->node_id, b->node_id);
}
