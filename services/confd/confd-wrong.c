#include "confd-wrong.h"

#include <string.h>

#include "confd-parse.h"
#include "confd-schema.h"
#include "confd-secrets.h"

/* Whether one of the two paths leads to the other, or through it. */
static bool is_same_way(const char *one, const char *other) {
    size_t shorter = strlen(one) < strlen(other) ? strlen(one) : strlen(other);
    return strncmp(one, other, shorter) == 0 && strchr(".[", one[shorter]) && strchr(".[", other[shorter]);
}

static bool is_said(const mac_problems *problems, const mac_problem *problem) {
    for (size_t i = 0; i < mac_problems_count(problems); i++) {
        const mac_problem *said = mac_problems_get(problems, i);
        if (said->severity == MAC_PROBLEM_ERROR && said->path && is_same_way(said->path, problem->path))
            return true;
    }
    return false;
}

/* `before`: two errors of one look may have one path. */
static void add_new(const mac_problems *before, const mac_problems *found, mac_problems *problems) {
    for (size_t i = 0; i < mac_problems_count(found); i++) {
        const mac_problem *problem = mac_problems_get(found, i);
        mac_place place = {problem->file, problem->line, problem->column};
        if (problem->severity == MAC_PROBLEM_ERROR && problem->path && !is_said(before, problem))
            mac_problems_add(problems, MAC_PROBLEM_ERROR, problem->file ? &place : NULL, problem->path, "%s",
                             problem->message);
    }
}

static json_t *merge_rests(const confd_sources *sources) {
    json_t *merged = json_object();
    for (size_t i = 0; i < sources->count; i++) {
        confd_autoparsed parsed = {0};
        mac_autoptr(json_t) patch = confd_parse_rest(&sources->items[i], &parsed);
        json_t *next = patch ? mac_tree_merge(merged, patch) : json_incref(merged);
        json_decref(merged);
        merged = next;
    }
    return merged;
}

/* What is wrong with templates of a canonical tree, and what the applicators refuse of it when they are expanded. */
static void check_tree(const confd_present *present, json_t *tree, mac_problems *templates, mac_problems *refused) {
    confd_names names = {.suffix = mac_strdup(present->names->suffix),
                         .arch = mac_strdup(present->names->arch),
                         .node_id = mac_strdup(present->names->node_id)};
    mac_autoptr(mac_problems) ignored = mac_problems_new();
    ProtobufCMessage *message = NULL;
    confd_template_expand(&names, CONFD_DOCUMENT, tree, templates);
    if (present->check && mac_codec_message(CONFD_DOCUMENT, tree, ignored, &message) == 0) {
        present->check(present->root, (const Macula__V1__Document *)message, refused);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    confd_names_deinit(&names);
}

void confd_wrong_find(const confd_present *present, const confd_sources *sources, mac_problems *problems) {
    if (mac_problems_errors(problems) >= MAC_PROBLEMS_MAX)
        return;
    mac_autoptr(mac_problems) found = mac_problems_new();
    mac_autoptr(mac_problems) refused = mac_problems_new();
    mac_autoptr(mac_problems) said = mac_problems_new();
    mac_autoptr(mac_problems) new = mac_problems_new();
    mac_autoptr(confd_passwords) none = confd_passwords_new(true);
    mac_autoptr(json_t) merged = merge_rests(sources);
    mac_autoptr(json_t) tree = NULL;
    if (mac_codec_normalise_rest(CONFD_DOCUMENT, merged, NULL, 0, found, &tree) < 0)
        return;
    (void)!confd_secrets_protect_tree(tree, present->seal, present->document ? present->document->tree : NULL, none,
                                      found);
    check_tree(present, tree, found, refused);
    add_new(problems, found, new);
    mac_problems_join(said, problems);
    mac_problems_join(said, new);
    add_new(said, refused, new);
    confd_document_place(sources, new, problems);
}
