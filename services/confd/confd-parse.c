#include "confd-parse.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "confd-cmdline.h"
#include "confd-schema.h"

#define SECTION "maculaos"

/* Every spelling of the section's key; which one is in use, mac_codec_normalise warns about. */
static const char *const section_names[] = {SECTION, "k3os", "macula"};

void confd_parsed_deinit(confd_parsed *parsed) {
    json_decref(parsed->tree);
    mac_marks_free(parsed->marks);
    *parsed = (confd_parsed){0};
}

/* ---- moving keys ---- */

const mac_mark *confd_parsed_mark(const confd_parsed *parsed, const char *path) {
    return parsed->marks ? mac_marks_get(parsed->marks, path) : NULL;
}

const mac_mark *confd_parsed_mark_near(const confd_parsed *parsed, const char *canonical) {
    mac_autofree char *path = mac_strdup(canonical);
    const mac_mark *mark = NULL;
    do
        mark = parsed->marks ? mac_codec_mark(CONFD_DOCUMENT, parsed->marks, path) : NULL;
    while (!mark && mac_path_cut(path));
    return mark;
}

/* `better` is how the key is written today: what the section is called in this source may be old, too. */
static void move_key(confd_parsed *parsed, json_t *from, const char *from_path, json_t *to, const char *to_path,
                     const char *better, const char *key, mac_problems *problems) {
    const mac_mark *mark = confd_parsed_mark(parsed, from_path);
    const mac_place *place = mark ? &mark->place : NULL;
    if (json_object_get(to, key)) {
        mac_problems_add(problems, MAC_PROBLEM_ERROR, place, from_path,
                         "the same key is set as %s too: keep only that one", to_path);
        json_object_del(from, key);
        return;
    }
    mac_problems_add(problems, MAC_PROBLEM_WARNING, place, from_path, "deprecated: write %s instead", better);
    json_object_set(to, key, json_object_get(from, key));
    json_object_del(from, key);
    mac_marks_move(parsed->marks, from_path, to_path);
}

static bool is_plain_key(const char *key) {
    for (const char *c = key; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return false;
    return *key != '\0';
}

/* Whether the document, or the section in it, has a key. A text may have as many keys as fit into it. */
static bool is_key(const char *key) {
    return mac_codec_field(CONFD_DOCUMENT, key) != NULL;
}

static bool is_section_key(const char *key) {
    const ProtobufCFieldDescriptor *section = protobuf_c_message_descriptor_get_field_by_name(CONFD_DOCUMENT, SECTION);
    return mac_codec_field(section->descriptor, key) != NULL;
}

static const char *find_section(const json_t *tree) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(section_names); i++)
        if (json_object_get(tree, section_names[i]))
            return section_names[i];
    return NULL;
}

/* Keys of the section that are keys of the top level only. */
static void move_up(confd_parsed *parsed, const char *name, mac_problems *problems) {
    mac_autostrings keys = {0};
    json_t *section = json_object_get(parsed->tree, name);
    const char *key;
    json_t *value;
    json_object_foreach (section, key, value) {
        if (is_plain_key(key) && !is_section_key(key) && is_key(key) && !mac_streq(key, SECTION))
            mac_strings_add(&keys, key);
    }
    for (size_t i = 0; i < keys.count; i++) {
        mac_autofree char *from = mac_asprintf("%s.%s", name, keys.items[i]);
        move_key(parsed, section, from, parsed->tree, keys.items[i], keys.items[i], keys.items[i], problems);
    }
}

/* The other way round. */
static void move_down(confd_parsed *parsed, const char *name, mac_problems *problems) {
    mac_autostrings keys = {0};
    const char *key;
    json_t *value;
    json_object_foreach (parsed->tree, key, value) {
        if (is_plain_key(key) && is_section_key(key) && !is_key(key))
            mac_strings_add(&keys, key);
    }
    if (keys.count && !name) {
        name = SECTION;
        json_object_set_new(parsed->tree, SECTION, json_object());
    }
    json_t *section = name ? json_object_get(parsed->tree, name) : NULL;
    for (size_t i = 0; i < keys.count && json_is_object(section); i++) {
        mac_autofree char *to = mac_asprintf("%s.%s", name, keys.items[i]);
        mac_autofree char *better = mac_asprintf(SECTION ".%s", keys.items[i]);
        move_key(parsed, parsed->tree, keys.items[i], section, to, better, keys.items[i], problems);
    }
}

/* ---- parsing ---- */

/* 0, MAC_CODEC_DUPLICATES when there are mistakes but a tree, or -EINVAL. */
static int parse_text(const confd_source *source, mac_problems *problems, confd_parsed *ret_parsed) {
    if (mac_streq(source->name, CONFD_CMDLINE)) {
        *ret_parsed = (confd_parsed){.tree = confd_cmdline_parse(source->text, source->length, problems)};
        return 0;
    }
    confd_parsed parsed = {0};
    size_t errors = mac_problems_errors(problems);
    int result = mac_codec_read_yaml(source->name, source->text, source->length, problems, &parsed.tree, &parsed.marks);
    if (result < 0)
        return result;
    if (json_is_object(parsed.tree)) {
        const char *section = find_section(parsed.tree);
        if (section)
            move_up(&parsed, section, problems);
        move_down(&parsed, section, problems);
    }
    *ret_parsed = parsed;
    return mac_problems_errors(problems) > errors ? MAC_CODEC_DUPLICATES : 0;
}

int confd_parse_text(const confd_source *source, mac_problems *problems, confd_parsed *ret_parsed) {
    confd_parsed parsed = {0};
    int result = parse_text(source, problems, &parsed);
    if (result == 0) {
        *ret_parsed = parsed;
        return 0;
    }
    /* The rest is still checked, so that all mistakes are seen at once. */
    mac_autoptr(json_t) patch = NULL;
    if (result > 0)
        (void)!confd_parsed_normalise(&parsed, problems, &patch);
    confd_parsed_deinit(&parsed);
    return -EINVAL;
}

json_t *confd_parse_rest(const confd_source *source, confd_parsed *ret_parsed) {
    mac_autoptr(mac_problems) ignored = mac_problems_new();
    json_t *patch = NULL;
    if (parse_text(source, ignored, ret_parsed) >= 0 &&
        mac_codec_normalise_rest(CONFD_DOCUMENT, ret_parsed->tree, ret_parsed->marks, MAC_CODEC_PATCH, ignored,
                                 &patch) < 0)
        return NULL;
    return patch;
}

int confd_parsed_normalise(const confd_parsed *parsed, mac_problems *problems, json_t **ret_patch) {
    return mac_codec_normalise(CONFD_DOCUMENT, parsed->tree, parsed->marks, MAC_CODEC_PATCH, problems, ret_patch);
}

int confd_parse_patch(const confd_source *source, mac_problems *problems, json_t **ret_patch) {
    confd_autoparsed parsed = {0};
    int result = confd_parse_text(source, problems, &parsed);
    return result < 0 ? result : confd_parsed_normalise(&parsed, problems, ret_patch);
}
