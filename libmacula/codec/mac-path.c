#include <errno.h>
#include <string.h>

#include "codec/codec-internal.h"

/* Reads "…" with \" and \\; *cursor stands on the opening quote and ends behind the closing one. */
static char *take_quoted(const char **cursor) {
    mac_autobuffer text = {0};
    const char *p = *cursor + 1;
    for (; *p && *p != '"'; p++) {
        if (*p == '\\' && *++p != '"' && *p != '\\')
            return NULL;
        mac_buffer_append(&text, p, 1);
    }
    if (!*p)
        return NULL;
    *cursor = p + 1;
    return mac_buffer_take(&text);
}

static int take_bracket(const char **cursor, codec_segment *ret_segment) {
    const char *p = *cursor + 1;
    codec_segment segment = {0};
    if (*p == '"') {
        segment.text = take_quoted(&p);
    } else {
        size_t length = strcspn(p, "[]\"");
        if (length)
            segment.text = mac_strndup(p, length);
        segment.is_index = length && length <= 9 && strspn(p, "0123456789") == length;
        if (segment.is_index)
            segment.index = strtoul(p, NULL, 10);
        p += length;
    }
    if (!segment.text || *p != ']') {
        free(segment.text);
        return -EINVAL;
    }
    *cursor = p + 1;
    *ret_segment = segment;
    return 1;
}

int codec_segment_next(const char **cursor, codec_segment *ret_segment) {
    const char *p = *cursor;
    if (!*p)
        return 0;
    if (*p == '[') {
        int r = take_bracket(&p, ret_segment);
        if (r < 0)
            return r;
    } else {
        size_t length = strcspn(p, ".[]\"");
        if (!length)
            return -EINVAL;
        *ret_segment = (codec_segment){.text = mac_strndup(p, length)};
        p += length;
    }
    /* What follows: the end, a bracket, or a dot with a key behind it. */
    if (*p == '.' && p[1] && p[1] != '[') {
        p++;
    } else if (*p && *p != '[') {
        free(ret_segment->text);
        return -EINVAL;
    }
    *cursor = p;
    return 1;
}

static bool needs_quotes(const char *key) {
    if (!*key)
        return true;
    for (const char *p = key; *p; p++)
        if ((unsigned char)*p < 0x20 || strchr(".[]\"\\", *p))
            return true;
    return false;
}

static void append_key(mac_buffer *path, const char *key) {
    if (!needs_quotes(key)) {
        mac_buffer_printf(path, "%s%s", path->length ? "." : "", key);
        return;
    }
    mac_buffer_text(path, "[\"");
    for (; *key; key++) {
        if (*key == '"' || *key == '\\')
            mac_buffer_text(path, "\\");
        mac_buffer_append(path, key, 1);
    }
    mac_buffer_text(path, "\"]");
}

char *mac_path_key(const char *path, const char *key) {
    mac_autobuffer text = {0};
    mac_buffer_text(&text, path ? path : "");
    append_key(&text, key);
    return mac_buffer_take(&text);
}

char *mac_path_index(const char *path, size_t index) {
    return mac_asprintf("%s[%zu]", path ? path : "", index);
}

bool mac_path_cut(char *path) {
    char *dot = strrchr(path, '.'), *bracket = strrchr(path, '[');
    char *cut = dot > bracket ? dot : bracket;
    if (!cut || cut == path)
        return false;
    *cut = '\0';
    return true;
}

char *mac_path_label(const char *path) {
    mac_buffer label = {0};
    bool quoted = false;
    for (const char *c = path; *c; c++) {
        size_t digits = *c == '[' && !quoted ? strspn(c + 1, "0123456789") : 0;
        mac_buffer_append(&label, c, 1);
        if (*c == '"' && (c == path || c[-1] != '\\'))
            quoted = !quoted;
        if (digits && c[1 + digits] == ']')
            c += digits;
    }
    return mac_buffer_take(&label);
}

static void append_step(mac_buffer *path, const codec_step *step) {
    if (!step)
        return;
    append_step(path, step->up);
    if (step->key)
        append_key(path, step->key);
    else
        mac_buffer_printf(path, "[%zu]", step->index);
}

char *codec_step_path(const codec_step *step) {
    mac_autobuffer path = {0};
    append_step(&path, step);
    return mac_buffer_take(&path);
}

/* Where mac_path_resolve stands. */
typedef struct resolver {
    const ProtobufCMessageDescriptor *type; /* whose keys come next; NULL below a scalar */
    const ProtobufCFieldDescriptor *field;  /* the last one */
    const ProtobufCMessageDescriptor *owner;
    bool inside; /* field is a list or map and its item comes next */
    mac_buffer path;
    mac_problems *problems;
} resolver;

static int resolve_item(resolver *at, const codec_segment *segment) {
    const ProtobufCFieldDescriptor *value = at->field;
    const char *path = at->path.data;
    at->inside = false;
    if (codec_is_map(at->owner, at->field)) {
        append_key(&at->path, segment->text);
        value = codec_map_value(at->field);
    } else if (segment->is_index) {
        mac_buffer_printf(&at->path, "[%zu]", segment->index);
    } else {
        mac_problems_add(at->problems, MAC_PROBLEM_ERROR, NULL, path, "is a list: name one of its items as %s[0]",
                         path);
        return -EINVAL;
    }
    at->type = codec_is_message(value) ? value->descriptor : NULL;
    return 0;
}

/* Below a key of a map of plain values nothing can be: dots that follow belong to the key, as in
 * maculaos.sysctls.net.ipv4.ip_forward. One in brackets is complete. */
static void take_dots(const resolver *at, codec_segment *segment, const char **cursor) {
    const char *rest = *cursor;
    bool dotted = *rest && rest[-1] == '.' && rest[-2] != ']' && !strpbrk(rest, "[]\"");
    if (!dotted || !codec_is_map(at->owner, at->field) || codec_is_message(codec_map_value(at->field)))
        return;
    char *whole = mac_asprintf("%s.%s", segment->text, rest);
    free(segment->text);
    segment->text = whole;
    *cursor += strlen(rest);
}

static int resolve_key(resolver *at, const codec_segment *segment) {
    const char *path = at->path.length ? at->path.data : "";
    if (!at->type) {
        mac_problems_add(at->problems, MAC_PROBLEM_ERROR, NULL, path, "is %s and has no key \"%s\" below it",
                         codec_type_words(at->field), segment->text);
        return -EINVAL;
    }
    bool alias;
    const ProtobufCFieldDescriptor *field =
        segment->is_index ? NULL : codec_field_find(at->type, segment->text, &alias);
    if (!field) {
        mac_autofree char *full = mac_path_key(path, segment->text);
        mac_autofree char *hint = codec_field_hint(at->type, segment->text);
        mac_problems_add(at->problems, MAC_PROBLEM_ERROR, NULL, full, "unknown key; %s", hint);
        return -EINVAL;
    }
    append_key(&at->path, field->name);
    at->owner = at->type;
    at->field = field;
    at->inside = codec_is_list(field);
    at->type = codec_is_message(field) ? field->descriptor : NULL;
    return 0;
}

int mac_path_resolve(const ProtobufCMessageDescriptor *type, const char *path, mac_problems *problems, char **ret_path,
                     const ProtobufCFieldDescriptor **ret_field) {
    resolver at = {.type = type, .problems = problems};
    const char *cursor = path;
    int r = strlen(path) > CODEC_PATH_MAX || !mac_utf8_valid(path, strlen(path)) ? -EINVAL : 1;
    if (r < 0)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, NULL, "expected a path of at most %u bytes of UTF-8 text",
                         CODEC_PATH_MAX);
    codec_segment segment;
    while (r > 0 && (r = codec_segment_next(&cursor, &segment)) != 0) {
        if (r < 0) {
            mac_autofree char *quoted = codec_quote(path);
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, NULL,
                             "%s is no path: expected keys joined by dots such as maculaos.users[0].name", quoted);
            break;
        }
        if (at.inside)
            take_dots(&at, &segment, &cursor);
        int done = at.inside ? resolve_item(&at, &segment) : resolve_key(&at, &segment);
        free(segment.text);
        r = done < 0 ? done : 1;
    }
    if (r < 0) {
        mac_buffer_deinit(&at.path);
        return r;
    }
    *ret_path = mac_buffer_take(&at.path);
    if (ret_field)
        *ret_field = at.field;
    return 0;
}
