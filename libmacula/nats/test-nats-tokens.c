#include "test-nats-tokens.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

static const char *const words[] = {
    "host",
    "port",
    "pid_file",
    "ports_file_dir",
    "logtime",
    "false",
    "max_payload",
    "max_connections",
    "max_subscriptions",
    "max_pending",
    "max_control_line",
    "write_deadline",
    "jetstream",
    "store_dir",
    "max_file_store",
    "max_memory_store",
    "cluster",
    "name",
    "authorization",
    "user",
    "password",
    "routes",
    "server_name",
    "no_auth_user",
    "accounts",
    "users",
    "nkey",
    "permissions",
    "publish",
    "subscribe",
    "allow",
    "deny",
    "exports",
    "imports",
    "service",
    "stream",
    "response_type",
    "account",
    "subject",
    "to",
    "share",
    "true",
    "mappings",
    "enabled",
};

static bool is_ours(const char *word, size_t length) {
    size_t digits = strspn(word, "-0123456789");
    if (digits >= length)
        return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == length && strncmp(words[i], word, length) == 0)
            return true;
    return false;
}

/* Past the closing quote; NULL when the string does not end on its line or has an escape we do not write. */
static const char *skip_string(const char *c) {
    for (c++; *c != '"'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return NULL;
        if (*c == '\\' && *++c != '"' && *c != '\\')
            return NULL;
    }
    return c + 1;
}

bool test_tokens_are_ours(const char *text, const char **ret_wrong) {
    char open[64];
    size_t depth = 0;
    for (const char *c = text; *c;) {
        *ret_wrong = c;
        if (*c == '#') {
            size_t length = strcspn(c, "\n");
            c += length;
        } else if (*c == '"') {
            c = skip_string(c);
            if (!c)
                return false;
        } else if (isalnum((unsigned char)*c) || *c == '_' || *c == '-') {
            size_t length = 0;
            while (isalnum((unsigned char)c[length]) || c[length] == '_' || c[length] == '-')
                length++;
            if (!is_ours(c, length))
                return false;
            c += length;
        } else if (*c == '{' || *c == '[') {
            if (depth == sizeof open)
                return false;
            open[depth++] = *c++;
        } else if (*c == '}' || *c == ']') {
            if (depth == 0 || open[--depth] != (*c++ == '}' ? '{' : '['))
                return false;
        } else if (!strchr(" \n:,", *c++)) {
            return false;
        }
    }
    return depth == 0;
}
