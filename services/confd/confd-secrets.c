#include "confd-secrets.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "confd-cmdline.h"
#include "confd-parse.h"
#include "confd-schema.h"

/* ---- finding secrets ---- */

typedef struct secret_visit {
    confd_secret_visitor visitor;
    void *data;
} secret_visit;

static void visit_object(const secret_visit *visit, const ProtobufCMessageDescriptor *type, const char *path,
                         const char *canonical, json_t *object);

static void visit_value(const secret_visit *visit, const ProtobufCFieldDescriptor *field,
                        const Macula__V1__FieldRule *rule, const char *path, const char *canonical, json_t *value) {
    if (json_is_object(value) && field->type == PROTOBUF_C_TYPE_MESSAGE)
        visit_object(visit, field->descriptor, path, canonical, value);
    else if (json_is_string(value) && (rule->secret || rule->hashed))
        visit->visitor(path, canonical, rule->hashed, value, visit->data);
}

static void visit_field(const secret_visit *visit, const ProtobufCFieldDescriptor *field,
                        const Macula__V1__FieldRule *rule, const char *path, const char *canonical, json_t *value) {
    if (json_is_object(value) && confd_field_is_map(field)) {
        const ProtobufCMessageDescriptor *entry = field->descriptor;
        const char *key;
        json_t *item;
        json_object_foreach (value, key, item) {
            mac_autofree char *at = mac_path_key(path, key);
            mac_autofree char *canonical_at = mac_path_key(canonical, key);
            visit_value(visit, &entry->fields[1], rule, at, canonical_at, item);
        }
        return;
    }
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        visit_value(visit, field, rule, path, canonical, value);
        return;
    }
    if (!json_is_array(value)) { /* one item, written without the list */
        mac_autofree char *canonical_at = mac_path_index(canonical, 0);
        visit_value(visit, field, rule, path, canonical_at, value);
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        mac_autofree char *at = mac_path_index(path, i);
        mac_autofree char *canonical_at = mac_path_index(canonical, i);
        visit_value(visit, field, rule, at, canonical_at, json_array_get(value, i));
    }
}

static void visit_object(const secret_visit *visit, const ProtobufCMessageDescriptor *type, const char *path,
                         const char *canonical, json_t *object) {
    const char *key;
    json_t *value;
    json_object_foreach (object, key, value) {
        const ProtobufCFieldDescriptor *field = mac_codec_field(type, key);
        if (!field)
            continue;
        mac_autofree char *at = mac_path_key(path, key);
        mac_autofree char *canonical_at = mac_path_key(canonical, field->name);
        visit_field(visit, field, mac_schema_rule(type, field), at, canonical_at, value);
    }
}

void confd_secrets_visit(json_t *tree, confd_secret_visitor visitor, void *data) {
    secret_visit visit = {visitor, data};
    visit_object(&visit, CONFD_DOCUMENT, "", "", tree);
}

/* ---- replacing one ---- */

/* What there is to replace with, and where complaints go. */
typedef struct secret_keeper {
    const mac_seal *seal;
    json_t *present;            /* the document in force; may be NULL */
    confd_passwords *passwords; /* NULL: they are hashed here and now */
    mac_problems *problems;
} secret_keeper;

static bool is_seal_of(const mac_seal *seal, const char *label, const char *sealed, const char *value) {
    char *plain = NULL;
    size_t length = 0;
    if (!seal || mac_unseal_text(seal, label, sealed, &plain, &length) < 0)
        return false;
    bool same = length == strlen(value) && mac_equal_constant_time(plain, value, length);
    mac_wipe(plain, length);
    free(plain);
    return same;
}

typedef struct known_search {
    const secret_keeper *keeper;
    const char *canonical, *label, *value; /* value: of a sealed secret */
    char *found;                           /* the sealed form that is of it */
    mac_strings hashes; /* all that such keys have, of the key itself first: others may have the same password */
} known_search;

static void compare_present(const char *path, const char *canonical, bool hashed, json_t *value, void *data) {
    (void)path;
    known_search *search = data;
    mac_autofree char *label = mac_path_label(canonical);
    const char *kept = json_string_value(value);
    if (search->found || !mac_streq(label, search->label))
        return;
    if (hashed && mac_password_is_hash(kept)) {
        mac_strings_add(&search->hashes, kept);
        if (mac_streq(canonical, search->canonical)) {
            char *own = search->hashes.items[search->hashes.count - 1];
            search->hashes.items[search->hashes.count - 1] = search->hashes.items[0];
            search->hashes.items[0] = own;
        }
    }
    if (!hashed && is_seal_of(search->keeper->seal, label, kept, search->value))
        search->found = mac_strdup(kept);
}

static char *seal_value(const secret_keeper *keeper, const char *canonical, const char *value, const mac_place *place) {
    if (!keeper->seal) {
        mac_problems_add(keeper->problems, MAC_PROBLEM_ERROR, place, canonical,
                         "a secret cannot be kept: the node's key (identity/seal.key) is missing or damaged");
        return NULL;
    }
    mac_autofree char *label = mac_path_label(canonical);
    if (!mac_starts_with(value, MAC_SEAL_PREFIX))
        return mac_seal_text(keeper->seal, label, value, strlen(value));
    char *plain = NULL;
    size_t length = 0;
    if (mac_unseal_text(keeper->seal, label, value, &plain, &length) < 0)
        mac_problems_add(
            keeper->problems, MAC_PROBLEM_ERROR, place, canonical,
            "expected a value sealed by this node for this key, found one that is damaged or from elsewhere: "
            "write the secret itself, it is sealed when it is accepted");
    if (plain)
        mac_wipe(plain, length);
    free(plain);
    return NULL;
}

static char *hash_value(const secret_keeper *keeper, const char *canonical, const char *value, const mac_strings *known,
                        const mac_place *place) {
    char *hash = NULL;
    if (keeper->passwords)
        return confd_passwords_kept(keeper->passwords, canonical, value, known);
    int result = confd_password_hash(value, known->items, known->count, &hash);
    if (result < 0)
        mac_problems_add(keeper->problems, MAC_PROBLEM_ERROR, place, canonical, "the password cannot be hashed: %s",
                         strerror(-result));
    return hash;
}

/* What is kept instead of a clear secret; NULL when the value may stay as it is, or with an error in problems. */
static char *protected_value(const secret_keeper *keeper, const char *canonical, bool hashed, const char *value,
                             const mac_place *place) {
    if (mac_streq(value, MAC_CODEC_MASKED)) {
        mac_problems_add(keeper->problems, MAC_PROBLEM_ERROR, place, canonical,
                         "expected a secret, found " MAC_CODEC_MASKED
                         ", which only stands for one: write the secret, or "
                         "edit the source with its sealed values (config edit)");
        return NULL;
    }
    if (*value == '\0' || (hashed && mac_password_is_hash(value)))
        return NULL;
    if (hashed && mac_password_begins_as_hash(value)) {
        mac_problems_add(keeper->problems, MAC_PROBLEM_ERROR, place, canonical,
                         "expected a clear password or a whole crypt(5) string ($6$, $5$, $y$, $gy$, $2b$, $7$), found "
                         "one that is cut off, damaged or of another method: copy it whole (in a shell, between single "
                         "quotes), or make a new one with mkpasswd -m sha-512");
        return NULL;
    }
    if (!hashed && !keeper->seal && keeper->passwords && confd_passwords_only_look(keeper->passwords))
        return NULL; /* nothing is kept, on no node */
    mac_autofree char *label = mac_path_label(canonical);
    known_search search = {.keeper = keeper, .canonical = canonical, .label = label, .value = value};
    if (keeper->present && !mac_starts_with(value, MAC_SEAL_PREFIX))
        confd_secrets_visit(keeper->present, compare_present, &search);
    char *kept = search.found ? search.found
                 : hashed     ? hash_value(keeper, canonical, value, &search.hashes, place)
                              : seal_value(keeper, canonical, value, place);
    mac_strings_deinit(&search.hashes);
    return kept;
}

/* ---- in a text ---- */

typedef struct text_edit {
    size_t start, end;
    char *text;
    char *label;
} text_edit;

typedef struct text_protection {
    const confd_source *source;
    const confd_parsed *parsed;
    secret_keeper keeper;
    text_edit *edits;
    size_t count;
} text_protection;

static void protection_deinit(text_protection *protection) {
    for (size_t i = 0; i < protection->count; i++) {
        free(protection->edits[i].text);
        free(protection->edits[i].label);
    }
    free(protection->edits);
}

static void add_edit(text_protection *protection, const char *label, size_t start, size_t end, char *text) {
    protection->edits = mac_realloc(protection->edits, (protection->count + 1) * sizeof(text_edit));
    protection->edits[protection->count++] = (text_edit){start, end, text, mac_strdup(label)};
}

/* The same bytes used twice (an alias) for the same key need one edit; for another key they would need two seals. */
static bool already_edited(text_protection *protection, const char *label, size_t start, const mac_place *place,
                           const char *canonical) {
    for (size_t i = 0; i < protection->count; i++) {
        if (protection->edits[i].start != start)
            continue;
        if (!mac_streq(protection->edits[i].label, label))
            mac_problems_add(protection->keeper.problems, MAC_PROBLEM_ERROR, place, canonical,
                             "one secret is used for two keys through an alias: write it out at each");
        return true;
    }
    return false;
}

static void protect_yaml_value(const char *path, const char *canonical, bool hashed, json_t *value, void *data) {
    text_protection *protection = data;
    const mac_mark *mark = confd_parsed_mark(protection->parsed, path);
    mac_place place = mark ? mark->place : (mac_place){.file = protection->source->name};
    mac_autofree char *text = protected_value(&protection->keeper, canonical, hashed, json_string_value(value), &place);
    if (!text)
        return;
    const char *source = protection->source->text;
    if (!mark || mark->end <= mark->start || mark->end > protection->source->length ||
        strchr("&*!", source[mark->start])) {
        mac_problems_add(protection->keeper.problems, MAC_PROBLEM_ERROR, &place, canonical,
                         "a secret cannot stand behind an anchor, alias or tag: write it out here, without &, * or !");
        return;
    }
    mac_autofree char *label = mac_path_label(canonical);
    if (already_edited(protection, label, mark->start, &place, canonical))
        return;
    size_t end = mark->end; /* a block scalar's mark ends with its line breaks, which stay */
    while (end > mark->start + 1 && isspace((unsigned char)source[end - 1]))
        end--;
    add_edit(protection, label, mark->start, end, mac_asprintf("\"%s\"", text));
}

static void protect_option_value(const char *path, const char *canonical, bool hashed, json_t *value, void *data) {
    (void)path;
    text_protection *protection = data;
    mac_place place = {.file = protection->source->name};
    char *text = protected_value(&protection->keeper, canonical, hashed, json_string_value(value), &place);
    if (text) /* the place is filled in by protect_options */
        add_edit(protection, canonical, 0, 0, text);
}

static void protect_options(text_protection *protection) {
    confd_options options = {0};
    confd_cmdline_split(protection->source->text, protection->source->length, &options);
    for (size_t i = 0; i < options.count; i++) {
        const confd_option *option = &options.items[i];
        mac_autoptr(mac_problems) ignored = mac_problems_new();
        const ProtobufCFieldDescriptor *field = NULL;
        mac_autofree char *path = confd_cmdline_path(option->key, ignored, &field);
        mac_autoptr(json_t) patch = NULL;
        mac_autoptr(json_t) value = option->value ? json_string(option->value) : NULL;
        if (!path || !value || mac_tree_patch_for(path, value, &patch) < 0)
            continue;
        size_t before = protection->count;
        confd_secrets_visit(patch, protect_option_value, protection);
        if (protection->count == before)
            continue;
        text_edit *edit = &protection->edits[before];
        char *whole = mac_asprintf("%s=%s", option->key, edit->text);
        free(edit->text);
        *edit = (text_edit){option->start, option->end, whole, edit->label};
    }
    confd_options_deinit(&options);
}

static int compare_edits(const void *a, const void *b) {
    const text_edit *left = a, *right = b;
    return left->start < right->start ? -1 : left->start > right->start;
}

static char *edited_text(text_protection *protection) {
    const confd_source *source = protection->source;
    if (protection->count)
        qsort(protection->edits, protection->count, sizeof(text_edit), compare_edits);
    mac_buffer text = {0};
    size_t at = 0;
    for (size_t i = 0; i < protection->count; i++) {
        mac_buffer_append(&text, source->text + at, protection->edits[i].start - at);
        mac_buffer_text(&text, protection->edits[i].text);
        at = protection->edits[i].end;
    }
    mac_buffer_append(&text, source->text + at, source->length - at);
    return mac_buffer_take(&text);
}

void confd_source_deinit(confd_source *source) {
    free(source->name);
    free(source->text);
    free(source->original);
    *source = (confd_source){0};
}

static void copy_source(const confd_source *from, confd_source *ret_source) {
    *ret_source = (confd_source){.name = mac_strdup(from->name),
                                 .text = mac_strdup(from->text),
                                 .length = from->length,
                                 .original = mac_strdup(from->original)};
}

int confd_secrets_protect(const confd_source *source, const confd_source *known, const mac_seal *seal, json_t *present,
                          confd_passwords *passwords, mac_problems *problems, confd_source *ret_source) {
    if (known && confd_source_same(known, source, seal)) {
        copy_source(known, ret_source);
        return 0;
    }
    confd_autoparsed parsed = {0};
    int result = confd_parse_text(source, problems, &parsed);
    if (result < 0)
        return result;
    size_t errors = mac_problems_errors(problems);
    text_protection protection = {.source = source, .parsed = &parsed, .keeper = {seal, present, passwords, problems}};
    if (parsed.marks)
        confd_secrets_visit(parsed.tree, protect_yaml_value, &protection);
    else
        protect_options(&protection);
    if (mac_problems_errors(problems) == errors) {
        mac_autofree char *text = edited_text(&protection);
        bool changed = protection.count > 0;
        *ret_source = (confd_source){.name = mac_strdup(source->name), .length = strlen(text)};
        if (source->original) /* the text is what was left of it */
            ret_source->original = mac_strdup(source->original);
        else if (changed && seal && !confd_source_writable(source->name))
            ret_source->original = confd_source_seal_original(source, seal);
        ret_source->text = mac_take(&text);
    } else {
        result = -EINVAL;
    }
    protection_deinit(&protection);
    return result;
}

/* ---- in a tree ---- */

static void protect_tree_value(const char *path, const char *canonical, bool hashed, json_t *value, void *data) {
    (void)path;
    text_protection *protection = data;
    mac_autofree char *text = protected_value(&protection->keeper, canonical, hashed, json_string_value(value), NULL);
    if (text)
        json_string_set(value, text);
}

int confd_secrets_protect_tree(json_t *tree, const mac_seal *seal, json_t *present, confd_passwords *passwords,
                               mac_problems *problems) {
    size_t errors = mac_problems_errors(problems);
    text_protection protection = {.keeper = {seal, present, passwords, problems}};
    confd_secrets_visit(tree, protect_tree_value, &protection);
    return mac_problems_errors(problems) > errors ? -EINVAL : 0;
}
