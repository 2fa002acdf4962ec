#include "confd-proposal.h"

#include <errno.h>
#include <string.h>

#include "confd-changes.h"
#include "confd-cmdline.h"
#include "confd-origin.h"
#include "confd-parse.h"
#include "confd-schema.h"
#include "confd-secrets.h"
#include "confd-wrong.h"

void confd_proposal_free(confd_proposal *proposal) {
    if (!proposal)
        return;
    confd_sources_deinit(&proposal->sources);
    confd_sources_deinit(&proposal->on_disk);
    confd_document_free(proposal->document);
    mac_strings_deinit(&proposal->edited);
    mac_strings_deinit(&proposal->changed);
    mac_problems_free(proposal->notes);
    free(proposal->message);
    free(proposal->name);
    free(proposal);
}

static confd_proposal *proposal_new(const confd_present *present) {
    confd_proposal *proposal = mac_calloc(1, sizeof *proposal);
    proposal->notes = mac_problems_new();
    if (present->generation)
        confd_sources_copy(&present->generation->sources, &proposal->sources);
    return proposal;
}

static const confd_sources *recorded_sources(const confd_present *present) {
    static const confd_sources none;
    return present->generation ? &present->generation->sources : &none;
}

/* Problems of config.yaml under the name that the caller gave it; NULL: it gave none. */
static void rename_places(const mac_problems *found, const char *name, mac_problems *problems) {
    for (size_t i = 0; i < mac_problems_count(found); i++) {
        const mac_problem *problem = mac_problems_get(found, i);
        mac_place place = {.file = name && mac_streq(problem->file, CONFD_FILE) ? name : problem->file,
                           .line = problem->line,
                           .column = problem->column};
        mac_problems_add(problems, problem->severity, &place, problem->path, "%s", problem->message);
    }
}

static mac_error *problems_error(const mac_problems *found, const char *name) {
    mac_problems *renamed = mac_problems_new();
    rename_places(found, name, renamed);
    return mac_error_from_problems(renamed);
}

void confd_proposal_place(const confd_proposal *proposal, const mac_problems *found, mac_problems *problems) {
    mac_autoptr(mac_problems) placed = mac_problems_new();
    confd_document_place(&proposal->sources, found, placed);
    rename_places(placed, proposal->name, problems);
}

/* Replaces the clear secrets of every source that is not as recorded. */
static int protect_sources(const confd_present *present, confd_proposal *proposal, mac_problems *problems) {
    confd_sources safe = {0};
    int result = 0;
    for (size_t i = 0; i < proposal->sources.count; i++) {
        const confd_source *source = &proposal->sources.items[i];
        const confd_source *known = confd_sources_get(recorded_sources(present), source->name);
        confd_source replaced = {0};
        if (confd_secrets_protect(source, known, present->seal, present->document ? present->document->tree : NULL,
                                  present->passwords, problems, &replaced) < 0) {
            result = -EINVAL;
            continue;
        }
        confd_sources_put(&safe, replaced.name, replaced.text, replaced.length, replaced.original);
        confd_source_deinit(&replaced);
    }
    confd_sources_deinit(result < 0 ? &safe : &proposal->sources); /* refused ones stay, to be looked at */
    if (result == 0)
        proposal->sources = safe;
    return result;
}

/* Errors only: the warnings of a text are said whenever it is parsed. */
static void add_errors(const mac_problems *found, mac_problems *problems) {
    for (size_t i = 0; i < mac_problems_count(found); i++) {
        const mac_problem *problem = mac_problems_get(found, i);
        mac_place place = {problem->file, problem->line, problem->column};
        if (problem->severity == MAC_PROBLEM_ERROR)
            mac_problems_add(problems, MAC_PROBLEM_ERROR, &place, problem->path, "%s", problem->message);
    }
}

/* From texts as given to protected texts and the document. Checks the texts as they are first, so that lengths and
 * formats of secrets are checked on the secrets themselves. */
static mac_error *proposal_resolve(const confd_present *present, confd_proposal *proposal) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(confd_document) clear = NULL;
    if (confd_document_resolve(&proposal->sources, present->names, problems, &clear) < 0) {
        confd_wrong_find(present, &proposal->sources, problems);
        return problems_error(problems, proposal->name);
    }
    if (protect_sources(present, proposal, proposal->notes) < 0) {
        add_errors(proposal->notes, problems);
        confd_wrong_find(present, &proposal->sources, problems);
        return problems_error(problems, proposal->name);
    }
    mac_autoptr(mac_problems) again = mac_problems_new();
    if (confd_document_resolve(&proposal->sources, present->names, again, &proposal->document) < 0)
        return problems_error(again, proposal->name);
    mac_problems_free(proposal->notes);
    proposal->notes = mac_problems_new();
    rename_places(problems, proposal->name, proposal->notes);
    confd_sources_difference(recorded_sources(present), &proposal->sources, present->seal, &proposal->edited);
    if (present->document)
        confd_changed_paths(present->document->expanded, proposal->document->expanded, &proposal->changed);
    else
        confd_leaf_paths(proposal->document->expanded, "", &proposal->changed);
    return NULL;
}

static char *join(const char *prefix, const mac_strings *names) {
    mac_buffer text = {0};
    mac_buffer_text(&text, prefix);
    for (size_t i = 0; i < names->count; i++)
        mac_buffer_printf(&text, "%s%s", i ? ", " : "", names->items[i]);
    return mac_buffer_take(&text);
}

/* ---- the disk ---- */

/* Whether there are such options. What is left of the line is recorded with all of it, so that it is not taken for
 * another one at the next start. */
static bool leave_out(const confd_present *present, const mac_problems *wrong, confd_sources *sources,
                      mac_problems *problems) {
    const confd_source *source = confd_sources_get(sources, CONFD_CMDLINE);
    mac_autofree char *text = source ? confd_cmdline_without(source->text, source->length, wrong, problems) : NULL;
    if (!text)
        return false;
    mac_autofree char *original = present->seal ? confd_source_seal_original(source, present->seal) : NULL;
    confd_sources_put(sources, CONFD_CMDLINE, text, strlen(text), original);
    return true;
}

static mac_error *propose_disk(const confd_present *present, const mac_problems *wrong, confd_proposal **ret_proposal) {
    mac_autoptr(mac_problems) left_out = mac_problems_new();
    mac_autoptr(confd_proposal) proposal = proposal_new(present);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_sources_deinit(&proposal->sources);
    confd_sources_read(present->root, problems, &proposal->sources);
    if (mac_problems_errors(problems))
        return mac_error_from_problems(mac_take(&problems));
    confd_sources_copy(&proposal->sources, &proposal->on_disk);
    proposal->has_disk = true;
    if (wrong && !leave_out(present, wrong, &proposal->sources, left_out))
        return NULL;
    mac_error *error = proposal_resolve(present, proposal);
    if (error)
        return error;
    mac_problems_join(proposal->notes, left_out);
    proposal->message = join("changed on disk: ", &proposal->edited);
    *ret_proposal = mac_take(&proposal);
    return NULL;
}

mac_error *confd_propose_disk(const confd_present *present, confd_proposal **ret_proposal) {
    return propose_disk(present, NULL, ret_proposal);
}

mac_error *confd_propose_disk_without(const confd_present *present, const mac_problems *wrong,
                                      confd_proposal **ret_proposal) {
    return propose_disk(present, wrong, ret_proposal);
}

/* Files that a change is about to replace must hold what is recorded, or somebody's edit would be lost unseen. */
static mac_error *check_unedited(const confd_present *present, bool changes_only) {
    static const char *const files[] = {CONFD_CHANGES_FILE, CONFD_FILE};
    mac_autoptr(mac_problems) ignored = mac_problems_new();
    confd_autosources disk = {0};
    confd_sources_read(present->root, ignored, &disk);
    for (size_t i = 0; i < (changes_only ? 1 : MAC_ARRAY_SIZE(files)); i++) {
        const confd_source *recorded = confd_sources_get(recorded_sources(present), files[i]);
        if (confd_source_same(recorded, confd_sources_get(&disk, files[i]), present->seal))
            continue;
        mac_error *error =
            mac_error_new(MACULA__V1__ERROR_CODE__CONFLICT, NULL,
                          "%s was edited on the node and is not applied yet: apply that edit first (config "
                          "apply without a file) or take it back",
                          files[i]);
        return error;
    }
    return NULL;
}

/* ---- a text ---- */

/* A JSON document that is not also YAML (tabs, some escapes) is written as one that is. */
static char *as_yaml(const char *text) {
    const char *start = text + strspn(text, " \t\r\n");
    if (*start != '{')
        return mac_strdup(text);
    mac_autoptr(mac_problems) ignored = mac_problems_new();
    mac_autoptr(json_t) tree = NULL;
    mac_autoptr(mac_marks) marks = NULL;
    if (mac_codec_parse_yaml("", text, strlen(text), ignored, &tree, &marks) == 0)
        return mac_strdup(text);
    mac_autoptr(json_t) json = NULL;
    if (mac_codec_parse_json("", text, strlen(text), ignored, &json) < 0)
        return mac_strdup(text);
    char *dumped = json_dumps(json, JSON_INDENT(2));
    return dumped ? dumped : mac_strdup(text);
}

/* What the text says and another source overrules. */
static void note_overruled(const confd_proposal *proposal) {
    mac_autoptr(mac_problems) ignored = mac_problems_new();
    mac_autoptr(json_t) patch = NULL;
    mac_autostrings paths = {0};
    const confd_source *source = confd_sources_get(&proposal->sources, CONFD_FILE);
    if (!source || confd_parse_patch(source, ignored, &patch) < 0)
        return;
    confd_leaf_paths(patch, "", &paths);
    mac_autoptr(confd_origins) origins = confd_origins_new(&proposal->sources);
    for (size_t i = 0; i < paths.count; i++) {
        json_t *said = mac_tree_get(patch, paths.items[i]);
        json_t *is = mac_tree_get(proposal->document->tree, paths.items[i]);
        const char *origin = confd_origins_of(origins, paths.items[i]);
        if (!json_is_null(said) && !json_equal(said, is) && origin && !mac_streq(origin, CONFD_FILE))
            mac_problems_add(proposal->notes, MAC_PROBLEM_NOTE, NULL, paths.items[i], "is overruled by %s", origin);
    }
}

/* Whether a text has nothing but blanks, comments and the marks between documents: most likely a file that was cut off
 * or never written, not the wish to unset everything. */
static bool has_nothing(const char *text) {
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *start = line + strspn(line, " \t\r");
        if (mac_starts_with(start, "---") || mac_starts_with(start, "..."))
            start += 3 + strspn(start + 3, " \t\r");
        if (*start && *start != '\n' && *start != '#')
            return false;
    }
    return true;
}

#define IS_EMPTY "the document is empty; write {} if every setting shall go back to its default"

/* What a text is for, and so what else counts. */
enum text_use { TO_REPLACE, TO_KEEP_CHANGES, TO_VALIDATE };

static mac_error *propose_text(const confd_present *present, const char *text, const char *name, enum text_use use,
                               confd_proposal **ret_proposal) {
    bool ignore_edits = use == TO_VALIDATE;
    mac_error *error = ignore_edits ? NULL : check_unedited(present, false);
    if (error)
        return error;
    if (strlen(text) > CONFD_TEXT_MAX)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "expected at most %u bytes of text, found %zu",
                             CONFD_TEXT_MAX, strlen(text));
    bool is_empty = has_nothing(text);
    if (is_empty && !ignore_edits)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, IS_EMPTY);
    mac_autoptr(confd_proposal) proposal = proposal_new(present);
    mac_autofree char *yaml = as_yaml(text);
    mac_autoptr(mac_problems) notes = mac_problems_new();
    if (use == TO_KEEP_CHANGES)
        confd_changes_keep(&proposal->sources, yaml, notes);
    else
        confd_sources_remove(&proposal->sources, CONFD_CHANGES_FILE);
    confd_sources_put(&proposal->sources, CONFD_FILE, yaml, strlen(yaml), NULL);
    proposal->name = name && *name ? mac_strdup(name) : NULL;
    error = proposal_resolve(present, proposal);
    if (error)
        return error;
    mac_problems_join(proposal->notes, notes);
    note_overruled(proposal);
    if (is_empty)
        mac_problems_add(proposal->notes, MAC_PROBLEM_WARNING, NULL, NULL, IS_EMPTY);
    proposal->message =
        mac_asprintf("%s %s", use == TO_KEEP_CHANGES ? "edit" : "apply", name && *name ? name : "a document");
    *ret_proposal = mac_take(&proposal);
    return NULL;
}

mac_error *confd_propose_text(const confd_present *present, const char *text, const char *name, bool ignore_edits,
                              confd_proposal **ret_proposal) {
    return propose_text(present, text, name, ignore_edits ? TO_VALIDATE : TO_REPLACE, ret_proposal);
}

mac_error *confd_propose_edit(const confd_present *present, const char *text, const char *name,
                              confd_proposal **ret_proposal) {
    return propose_text(present, text, name, TO_KEEP_CHANGES, ret_proposal);
}

/* ---- a patch ---- */

/* Whether the document now is as the patch wants it. Sources that are read after 99-changes.yaml may say otherwise. */
static mac_error *check_effect(const confd_proposal *proposal, json_t *patch) {
    mac_autostrings paths = {0};
    confd_leaf_paths(patch, "", &paths);
    for (size_t i = 0; i < paths.count; i++) {
        json_t *wanted = mac_tree_get(patch, paths.items[i]);
        json_t *is = mac_tree_get(proposal->document->tree, paths.items[i]);
        bool effective = json_is_null(wanted) ? !is : json_is_object(wanted) || json_equal(wanted, is);
        if (effective)
            continue;
        const char *origin = confd_document_origin(&proposal->sources, paths.items[i]);
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, paths.items[i],
                             "is set by %s, which is read later and wins: change it there",
                             mac_streq(origin, CONFD_CMDLINE) ? "the kernel command line"
                             : origin                         ? origin
                                                              : "another source");
    }
    return NULL;
}

static char *patch_message(json_t *patch) {
    mac_autostrings paths = {0};
    confd_leaf_paths(patch, "", &paths);
    char *text = join("set ", &paths);
    if (strlen(text) > 200)
        memcpy(text + 197, "...", sizeof "...");
    return text;
}

static mac_error *propose_canonical_patch(const confd_present *present, json_t *patch, confd_proposal **ret_proposal) {
    mac_error *error = check_unedited(present, true);
    if (error)
        return error;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    if (confd_secrets_protect_tree(patch, present->seal, present->document ? present->document->tree : NULL,
                                   present->passwords, problems) < 0)
        return mac_error_from_problems(mac_take(&problems));
    mac_autoptr(confd_proposal) proposal = proposal_new(present);
    const confd_source *before = confd_sources_get(&proposal->sources, CONFD_CHANGES_FILE);
    mac_autoptr(json_t) changes = NULL;
    if (before && confd_parse_patch(before, problems, &changes) < 0)
        return mac_error_from_problems(mac_take(&problems));
    mac_autoptr(json_t) merged = confd_changes_with(&proposal->sources, changes, patch);
    if (merged)
        confd_changes_put(&proposal->sources, merged);
    error = proposal_resolve(present, proposal);
    if (!error)
        error = check_effect(proposal, patch);
    if (error)
        return error;
    proposal->message = patch_message(patch);
    *ret_proposal = mac_take(&proposal);
    return NULL;
}

mac_error *confd_propose_patch(const confd_present *present, const char *patch_json, confd_proposal **ret_proposal) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) tree = NULL;
    mac_autoptr(json_t) patch = NULL;
    if (mac_codec_read_json("patch", patch_json, strlen(patch_json), problems, &tree) < 0)
        return mac_error_from_problems(mac_take(&problems));
    if (!json_is_object(tree))
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                             "expected a JSON object as merge patch, such as {\"hostname\": \"edge-7\"}");
    if (mac_codec_normalise(CONFD_DOCUMENT, tree, NULL, MAC_CODEC_PATCH | MAC_CODEC_WRITTEN, problems, &patch) < 0)
        return mac_error_from_problems(mac_take(&problems));
    return propose_canonical_patch(present, patch, ret_proposal);
}

/* ---- one path ---- */

/* The patch that sets a path to a value, if the schema takes it. */
static json_t *try_value(json_t *tree, const char *path, json_t *value, unsigned flags, mac_problems *problems) {
    mac_autoptr(json_t) patch = NULL;
    json_t *canonical = NULL;
    if (confd_patch_for(tree, path, value, &patch) < 0) {
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "there is no such item in the list");
        return NULL;
    }
    if (mac_codec_normalise(CONFD_DOCUMENT, patch, NULL, MAC_CODEC_PATCH | flags, problems, &canonical) < 0)
        return NULL;
    return canonical;
}

static bool is_group(const char *text) {
    const char *start = text + strspn(text, " \t\r\n");
    return *start == '{' || *start == '[';
}

/* The JSON that a value is (new); NULL: it is none. */
static json_t *literal_of(const char *text) {
    mac_autoptr(mac_problems) ignored = mac_problems_new();
    json_t *literal = NULL;
    if (!is_group(text))
        return json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    return mac_codec_read_json("", text, strlen(text), ignored, &literal) < 0 ? NULL : literal;
}

/* A value as a person types it: JSON where the key takes it so, else a text. A number alone is not made a text of: the
 * text that was typed is. */
static json_t *value_patch(json_t *tree, const char *path, const char *text, mac_problems *problems) {
    mac_autoptr(json_t) literal = literal_of(text);
    mac_autoptr(json_t) word = json_string(text);
    mac_autoptr(mac_problems) as_literal = mac_problems_new();
    mac_autoptr(mac_problems) as_word = mac_problems_new();
    unsigned flags = is_group(text) ? MAC_CODEC_WRITTEN : 0;
    json_t *patch = literal ? try_value(tree, path, literal, flags, as_literal) : NULL;
    if (!patch && word)
        patch = try_value(tree, path, word, 0, as_word);
    if (!word)
        mac_problems_add(as_word, MAC_PROBLEM_ERROR, NULL, path, "expected text in UTF-8");
    if (!patch)
        mac_problems_join(problems, literal ? as_literal : as_word);
    return patch;
}

mac_error *confd_propose_set(const confd_present *present, const char *path, const char *value,
                             confd_proposal **ret_proposal) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autofree char *canonical = NULL;
    const ProtobufCFieldDescriptor *field = NULL;
    if (mac_path_resolve(CONFD_DOCUMENT, path, problems, &canonical, &field) < 0)
        return mac_error_from_problems(mac_take(&problems));
    if (!field)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                             "expected the path of a key; the whole document is replaced by `config apply FILE`");
    json_t *tree = present->document ? present->document->tree : NULL;
    mac_autoptr(json_t) patch =
        value ? value_patch(tree, canonical, value, problems) : try_value(tree, canonical, NULL, 0, problems);
    if (!patch)
        return mac_error_from_problems(mac_take(&problems));
    return propose_canonical_patch(present, patch, ret_proposal);
}

/* ---- back ---- */

mac_error *confd_propose_rollback(const confd_present *present, const confd_generation *target,
                                  confd_proposal **ret_proposal) {
    mac_autoptr(confd_proposal) proposal = proposal_new(present);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_sources_read(present->root, problems, &proposal->on_disk);
    proposal->has_disk = true;
    for (size_t i = proposal->sources.count; i-- > 0;) /* what cannot be written stays as it is now */
        if (confd_source_writable(proposal->sources.items[i].name))
            confd_sources_remove(&proposal->sources, proposal->sources.items[i].name);
    for (size_t i = 0; i < target->sources.count; i++) {
        const confd_source *source = &target->sources.items[i];
        if (confd_source_writable(source->name))
            confd_sources_put(&proposal->sources, source->name, source->text, source->length, NULL);
    }
    mac_error *error = proposal_resolve(present, proposal);
    if (error)
        return error;
    mac_autostrings lost = {0};
    confd_sources_difference(recorded_sources(present), &proposal->on_disk, present->seal, &lost);
    for (size_t i = 0; i < lost.count; i++)
        if (confd_source_writable(lost.items[i]))
            mac_problems_add(proposal->notes, MAC_PROBLEM_WARNING, &(mac_place){.file = lost.items[i]}, NULL,
                             "an edit on the node that was not applied is replaced");
    proposal->taken_back = true;
    proposal->message = mac_asprintf("rollback to generation %llu", (unsigned long long)target->number);
    *ret_proposal = mac_take(&proposal);
    return NULL;
}
