/* JSON text → tree. */
#include <errno.h>
#include <string.h>

#include "codec/codec-internal.h"

static int refuse(mac_problems *problems, const mac_place *place, const char *message) {
    mac_problems_add(problems, MAC_PROBLEM_ERROR, place, NULL, "%s", message);
    return -EINVAL;
}

/* Behind the string that begins at text[at]. */
static size_t skip_string(const char *text, size_t length, size_t at) {
    for (at++; at < length && text[at] != '"'; at++)
        if (text[at] == '\\')
            at++;
    return at + 1;
}

/* Deepest nesting of brackets. The text need not be valid: then the parser says so. */
static unsigned depth_of(const char *text, size_t length) {
    unsigned depth = 0, deepest = 0;
    for (size_t i = 0; i < length;) {
        char c = text[i];
        if (c == '"') {
            i = skip_string(text, length, i);
            continue;
        }
        if ((c == '{' || c == '[') && ++depth > deepest)
            deepest = depth;
        if ((c == '}' || c == ']') && depth)
            depth--;
        i++;
    }
    return deepest;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_large(const char *number) {
    codec_integer integer;
    return codec_integer_parse(number, false, &integer) == 0 && !integer.negative && integer.magnitude > INT64_MAX;
}

/* A number that jansson holds, but not as it is written: 1.10 would come back as 1.1. */
static bool is_fraction(const char *number) {
    return strpbrk(number, ".eE") != NULL;
}

/* The text again with every number of one kind as a string, which is the other form the JSON mapping knows. False when
 * there is none. */
static bool quote_numbers(const char *text, size_t length, bool (*is_meant)(const char *number), mac_buffer *ret_text) {
    bool changed = false;
    for (size_t i = 0; i < length;) {
        size_t start = i;
        if (text[i] == '"') {
            i = skip_string(text, length, i);
            i = i < length ? i : length;
        } else if (is_digit(text[i]) || text[i] == '-') {
            while (i < length && (is_digit(text[i]) || (text[i] && strchr("+-.eE", text[i]))))
                i++;
            mac_autofree char *number = mac_strndup(text + start, i - start);
            if (is_meant(number)) {
                mac_buffer_printf(ret_text, "\"%s\"", number);
                changed = true;
                continue;
            }
        } else {
            i++;
        }
        mac_buffer_append(ret_text, text + start, i - start);
    }
    return changed;
}

/* What jansson says, without the words and texts that it quotes: they may be a secret. */
#define WORD "\"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
static int refuse_syntax(const char *file, const json_error_t *error, mac_problems *problems) {
    mac_place place = {file, error->line > 0 ? (unsigned)error->line : 0,
                       error->column > 0 ? (unsigned)error->column : 0};
    mac_autofree char *message = mac_strdup(error->text);
    char *near = strstr(message, " near '");
    if (json_error_code(error) == json_error_numeric_overflow) {
        mac_problems_add(problems, MAC_PROBLEM_ERROR, &place, NULL, "a number is too large: expected at most 64 bits");
        return -EINVAL;
    }
    if (json_error_code(error) == json_error_null_character) {
        mac_problems_add(problems, MAC_PROBLEM_ERROR, &place, NULL, "text cannot hold the character NUL");
        return -EINVAL;
    }
    if (json_error_code(error) != json_error_duplicate_key && near && strpbrk(near + strlen(" near '"), WORD))
        *near = '\0';
    mac_problems_add(problems, MAC_PROBLEM_ERROR, &place, NULL, "this is no valid JSON: %s", message);
    return -EINVAL;
}

int mac_codec_parse_json(const char *file, const char *text, size_t length, mac_problems *problems, json_t **ret_tree) {
    mac_place whole = {file, 0, 0};
    if (length > MAC_CODEC_MAX_BYTES)
        return refuse(problems, &whole, "the document is too large: expected at most 1 MiB");
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        length -= 3;
    }
    size_t space = 0;
    while (space < length && text[space] && strchr(" \t\r\n", text[space]))
        space++;
    if (space == length) {
        *ret_tree = json_object();
        return 0;
    }
    if (depth_of(text, length) > MAC_CODEC_MAX_DEPTH)
        return refuse(problems, &whole, "the document is nested too deeply: expected at most 32 levels");
    json_error_t error;
    json_t *tree = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    /* jansson holds signed 64 bits only; those beyond, but within unsigned 64 bits, become text. */
    mac_autobuffer quoted = {0};
    if (!tree && json_error_code(&error) == json_error_numeric_overflow &&
        quote_numbers(text, length, is_large, &quoted)) {
        json_error_t second;
        tree = json_loadb(quoted.data, quoted.length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &second);
        if (!tree)
            error = second;
    }
    if (!tree)
        return refuse_syntax(file, &error, problems);
    *ret_tree = tree;
    return 0;
}

int mac_codec_read_json(const char *file, const char *text, size_t length, mac_problems *problems, json_t **ret_tree) {
    mac_autoptr(json_t) tree = NULL;
    mac_autobuffer quoted = {0};
    int r = mac_codec_parse_json(file, text, length, problems, &tree);
    if (r < 0)
        return r;
    if (quote_numbers(text, length, is_fraction, &quoted)) /* only now: quotes can make sense of what is no JSON */
        return mac_codec_parse_json(file, quoted.data, quoted.length, problems, ret_tree);
    *ret_tree = mac_take(&tree);
    return 0;
}
