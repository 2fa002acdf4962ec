#include "confd-cmdline.h"

#include <ctype.h>
#include <string.h>

#include "confd-schema.h"
#include "confd-sources.h"

#define PREFIX "maculaos."
#define PREFIX_OLD "k3os."

static const mac_place cmdline_place = {.file = CONFD_CMDLINE};

/* ---- taking apart ---- */

void confd_options_deinit(confd_options *options) {
    for (size_t i = 0; i < options->count; i++) {
        free(options->items[i].key);
        if (options->items[i].value)
            mac_wipe(options->items[i].value, strlen(options->items[i].value));
        free(options->items[i].value);
    }
    free(options->items);
    *options = (confd_options){0};
}

/* GRUB puts a backslash before each quote and backslash that somebody typed (grub-core/lib/cmdline.c). */
static bool is_escape(const char *text, size_t at, size_t end) {
    return text[at] == '\\' && at + 1 < end && text[at + 1] != '\0' && strchr("\\\"'", text[at + 1]);
}

/* The text of [start, end) without its double quotes, as the kernel reads it, and without the boot loader's
 * backslashes. */
static char *unquoted(const char *text, size_t start, size_t end) {
    char *result = mac_malloc(end - start + 1);
    size_t length = 0;
    for (size_t i = start; i < end; i++) {
        if (is_escape(text, i, end))
            result[length++] = text[++i];
        else if (text[i] != '"')
            result[length++] = text[i];
    }
    result[length] = '\0';
    return result;
}

static bool is_ours(const char *key) {
    return mac_starts_with(key, PREFIX) || mac_starts_with(key, PREFIX_OLD);
}

/* Where key and value part: the first '=' outside of brackets. */
static size_t find_equals(const char *text, size_t start, size_t end) {
    bool bracket = false;
    for (size_t i = start; i < end; i++) {
        if (text[i] == '[')
            bracket = true;
        else if (text[i] == ']')
            bracket = false;
        else if (text[i] == '=' && !bracket)
            return i;
    }
    return end;
}

static void options_add(confd_options *options, const char *text, size_t start, size_t end) {
    size_t equals = find_equals(text, start, end);
    mac_autofree char *key = unquoted(text, start, equals);
    if (!is_ours(key))
        return;
    options->items = mac_realloc(options->items, (options->count + 1) * sizeof *options->items);
    options->items[options->count++] = (confd_option){
        .key = mac_take(&key),
        .value = equals < end ? unquoted(text, equals + 1, end) : NULL,
        .start = start,
        .end = end,
    };
}

void confd_cmdline_split(const char *text, size_t length, confd_options *ret_options) {
    confd_options options = {0};
    if (length > CONFD_CMDLINE_MAX)
        length = CONFD_CMDLINE_MAX;
    for (size_t i = 0; i < length && options.count < CONFD_CMDLINE_OPTIONS;) {
        if (isspace((unsigned char)text[i]) || text[i] == '\0') {
            i++;
            continue;
        }
        size_t start = i;
        for (bool quoted = false; i < length && text[i] && (quoted || !isspace((unsigned char)text[i])); i++) {
            if (is_escape(text, i, length))
                i++;
            else if (text[i] == '"')
                quoted = !quoted;
        }
        options_add(&options, text, start, i);
    }
    *ret_options = options;
}

char *confd_cmdline_read(mac_root *root) {
    mac_autofree char *text = mac_strdup(getenv("MACULA_CMDLINE"));
    size_t length = text ? strlen(text) : 0;
    if (!text && mac_fs_read(root, "/proc/cmdline", CONFD_CMDLINE_MAX, &text, &length) < 0)
        return NULL;
    confd_options options = {0};
    confd_cmdline_split(text, length, &options);
    mac_buffer result = {0};
    for (size_t i = 0; i < options.count; i++) {
        if (i)
            mac_buffer_text(&result, " ");
        mac_buffer_append(&result, text + options.items[i].start, options.items[i].end - options.items[i].start);
    }
    confd_options_deinit(&options);
    return mac_buffer_take(&result);
}

/* ---- meaning ---- */

char *confd_cmdline_path(const char *key, mac_problems *problems, const ProtobufCFieldDescriptor **ret_field) {
    const char *rest = key + strlen(mac_starts_with(key, PREFIX) ? PREFIX : PREFIX_OLD);
    mac_autofree char *spelled = mac_asprintf(PREFIX "%s", rest);
    mac_autoptr(mac_problems) wrong = mac_problems_new();
    mac_autoptr(mac_problems) ignored = mac_problems_new();
    char *path = NULL;
    if (!mac_utf8_valid(key, strlen(key)))
        mac_problems_add(wrong, MAC_PROBLEM_ERROR, NULL, NULL, "an option's name is not valid UTF-8");
    else if (mac_path_resolve(CONFD_DOCUMENT, spelled, wrong, &path, ret_field) == 0 ||
             mac_path_resolve(CONFD_DOCUMENT, rest, ignored, &path, ret_field) == 0) {
        if (*ret_field)
            return path;
        free(path);
        mac_problems_add(wrong, MAC_PROBLEM_ERROR, NULL, NULL, "expected the name of a key after %s", PREFIX);
    }
    for (size_t i = 0; i < mac_problems_count(wrong); i++)
        mac_problems_add(problems, MAC_PROBLEM_WARNING, &cmdline_place, mac_problems_get(wrong, i)->path,
                         "%s; the option is ignored", mac_problems_get(wrong, i)->message);
    return NULL;
}

/* Whether the schema takes this value at the path; then in canonical form. Takes the value. */
static json_t *accepted(const char *path, json_t *value, mac_problems *problems) {
    mac_autoptr(json_t) owned = value;
    mac_autoptr(json_t) patch = NULL;
    mac_autoptr(json_t) canonical = NULL;
    if (!owned || mac_tree_patch_for(path, owned, &patch) < 0)
        return NULL;
    if (mac_codec_normalise(CONFD_DOCUMENT, patch, NULL, MAC_CODEC_PATCH, problems, &canonical) < 0)
        return NULL;
    return json_incref(mac_tree_get(canonical, path));
}

/* A text has no type: the schema is asked in turn for what it may stand for, so that "8080" can be a label or a port.
 */
static json_t *option_value(const confd_option *option, const char *path, bool list, mac_problems *problems) {
    mac_autoptr(mac_problems) ignored = mac_problems_new();
    if (!option->value) {
        json_t *value = accepted(path, json_true(), ignored);
        if (!value)
            mac_problems_add(problems, MAC_PROBLEM_WARNING, &cmdline_place, path,
                             "expected a value after =, found none; the option is ignored");
        return value;
    }
    mac_autoptr(mac_problems) wrong = mac_problems_new();
    json_t *(*text)(const char *) = json_string;
    json_t *value = NULL;
    mac_autoptr(json_t) literal = json_loads(option->value, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (list)
        value = accepted(path, json_pack("[o*]", text(option->value)), wrong);
    if (!value)
        value = accepted(path, text(option->value), list ? ignored : wrong);
    if (!value && literal)
        value = accepted(path, json_incref(literal), ignored);
    if (!value && literal && list)
        value = accepted(path, json_pack("[O]", literal), ignored);
    for (size_t i = 0; !value && i < mac_problems_count(wrong); i++)
        mac_problems_add(problems, MAC_PROBLEM_WARNING, &cmdline_place, path, "%s; the option is ignored",
                         mac_problems_get(wrong, i)->message);
    if (!value && mac_problems_count(wrong) == 0)
        mac_problems_add(problems, MAC_PROBLEM_WARNING, &cmdline_place, path,
                         "expected text that this key takes; the option is ignored");
    return value;
}

static void merge_option(json_t **patch, const char *path, json_t *value) {
    json_t *present = mac_tree_get(*patch, path);
    if (json_is_array(present) && json_is_array(value)) {
        json_array_extend(present, value);
        return;
    }
    mac_autoptr(json_t) one = NULL;
    if (mac_tree_patch_for(path, value, &one) < 0)
        return;
    json_t *merged = mac_tree_merge_patches(*patch, one);
    json_decref(*patch);
    *patch = merged;
}

json_t *confd_cmdline_parse(const char *text, size_t length, mac_problems *problems) {
    json_t *patch = json_object();
    confd_options options = {0};
    confd_cmdline_split(text, length, &options);
    for (size_t i = 0; i < options.count; i++) {
        const ProtobufCFieldDescriptor *field = NULL;
        mac_autofree char *path = confd_cmdline_path(options.items[i].key, problems, &field);
        if (!path)
            continue;
        bool list = field->label == PROTOBUF_C_LABEL_REPEATED;
        mac_autoptr(json_t) value = option_value(&options.items[i], path, list, problems);
        if (value)
            merge_option(&patch, path, value);
    }
    confd_options_deinit(&options);
    return patch;
}

/* ---- what the node refuses ---- */

/* Whether a is b, or a part of it. */
static bool is_within(const char *a, const char *b) {
    size_t length = strlen(b);
    return strncmp(a, b, length) == 0 && strchr(".[", a[length]);
}

/* The error about what is set at this path: at it, in it, or about all around it. */
static const mac_problem *find_wrong(const mac_problems *wrong, const char *path) {
    for (size_t i = 0; i < mac_problems_count(wrong); i++) {
        const mac_problem *problem = mac_problems_get(wrong, i);
        mac_autoptr(mac_problems) ignored = mac_problems_new();
        const ProtobufCFieldDescriptor *field = NULL;
        mac_autofree char *canonical = NULL;
        bool is_elsewhere = problem->file && !mac_streq(problem->file, CONFD_CMDLINE);
        if (problem->severity != MAC_PROBLEM_ERROR || !problem->path || is_elsewhere)
            continue;
        (void)!mac_path_resolve(CONFD_DOCUMENT, problem->path, ignored, &canonical, &field);
        const char *at = canonical ? canonical : problem->path;
        if (*at && (is_within(at, path) || is_within(path, at)))
            return problem;
    }
    return NULL;
}

char *confd_cmdline_without(const char *text, size_t length, const mac_problems *wrong, mac_problems *problems) {
    mac_buffer kept = {0};
    confd_options options = {0};
    bool is_less = false;
    confd_cmdline_split(text, length, &options);
    for (size_t i = 0; i < options.count; i++) {
        const confd_option *option = &options.items[i];
        mac_autoptr(mac_problems) ignored = mac_problems_new();
        const ProtobufCFieldDescriptor *field = NULL;
        mac_autofree char *path = confd_cmdline_path(option->key, ignored, &field);
        const mac_problem *problem = path ? find_wrong(wrong, path) : NULL;
        if (problem) {
            is_less = true;
            mac_problems_add(problems, MAC_PROBLEM_WARNING, &cmdline_place, problem->path, "%s; the option is ignored",
                             problem->message);
            continue;
        }
        if (kept.length)
            mac_buffer_text(&kept, " ");
        mac_buffer_append(&kept, text + option->start, option->end - option->start);
    }
    confd_options_deinit(&options);
    mac_autofree char *rest = mac_buffer_take(&kept);
    return is_less ? mac_take(&rest) : NULL;
}
