#include "confd-changes.h"

#include <string.h>

#include "confd-parse.h"
#include "confd-schema.h"

#define CHANGES_HEADER                                                                                                 \
    "# Written by confd: what `config set` and `config patch` changed, as a merge patch over config.yaml.\n"           \
    "# null removes a key. `config apply FILE` starts anew and removes this file.\n"

void confd_changes_put(confd_sources *sources, const json_t *changes) {
    mac_autofree char *yaml = mac_codec_to_yaml(changes, CONFD_DOCUMENT);
    mac_autofree char *text = mac_asprintf(CHANGES_HEADER "%s", yaml);
    confd_sources_put(sources, CONFD_CHANGES_FILE, text, strlen(text), NULL);
}

/* What the sources before 99-changes.yaml say together. They are in force, so they can be read. */
static json_t *tree_below_changes(const confd_sources *sources) {
    mac_autoptr(mac_problems) ignored = mac_problems_new();
    json_t *tree = json_object();
    for (size_t i = 0; i < sources->count && !mac_streq(sources->items[i].name, CONFD_CHANGES_FILE); i++) {
        mac_autoptr(json_t) patch = NULL;
        if (confd_parse_patch(&sources->items[i], ignored, &patch) < 0)
            continue;
        json_t *next = mac_tree_merge(tree, patch);
        json_decref(tree);
        tree = next;
    }
    return tree;
}

/* The changes so far and one more as one patch (new). Where a group of keys had been removed and now gets keys again,
 * those that it has in the sources below must stay away: the patch names them. */
static json_t *add_patch(const confd_sources *sources, const json_t *changes, const json_t *patch) {
    json_t *both = mac_tree_merge_patches(changes, patch);
    if (mac_tree_can_merge_patches(changes, patch))
        return both;
    mac_autoptr(json_t) combined = both;
    mac_autoptr(json_t) below = tree_below_changes(sources);
    mac_autoptr(json_t) before = mac_tree_merge(below, changes);
    mac_autoptr(json_t) wanted = mac_tree_merge(before, patch);
    mac_autoptr(json_t) found = mac_tree_merge(below, combined);
    mac_autoptr(json_t) removals = mac_tree_patch_between(found, wanted);
    return mac_tree_merge_patches(combined, removals);
}

/* The patch (new) without the nulls that remove nothing of `target`: kept, they would remove what somebody writes there
 * later. A group of which nothing is left goes as well, if `target` stays the same without it, or as `groups` wants. */
static json_t *without_idle_nulls(const json_t *patch, const json_t *target, bool groups) {
    json_t *kept = json_object();
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)patch, key, value) {
        const json_t *there = json_object_get(target, key);
        if (!json_is_object(value)) {
            if (there || !json_is_null(value))
                json_object_set(kept, key, value);
            continue;
        }
        mac_autoptr(json_t) below = without_idle_nulls(value, json_is_object(there) ? there : NULL, groups);
        bool emptied = json_object_size(below) == 0 && json_object_size(value) > 0;
        if (!emptied || !(json_is_object(there) || groups))
            json_object_set(kept, key, below);
    }
    return kept;
}

json_t *confd_changes_with(const confd_sources *sources, const json_t *changes, const json_t *patch) {
    mac_autoptr(json_t) below = tree_below_changes(sources);
    mac_autoptr(json_t) before = changes ? mac_tree_merge(below, changes) : json_incref(below);
    mac_autoptr(json_t) effective = without_idle_nulls(patch, before, true);
    mac_autoptr(json_t) after = mac_tree_merge(before, effective);
    if (json_object_size(effective) == 0 || json_equal(before, after))
        return NULL;
    mac_autoptr(json_t) both = changes ? add_patch(sources, changes, effective) : json_incref(effective);
    return without_idle_nulls(both, below, false);
}

/* ---- another config.yaml below them ---- */

/* Where the edit takes the place of what was set since. */
static void note_replaced(json_t *changes, json_t *edit, mac_problems *notes) {
    mac_autostrings paths = {0};
    confd_leaf_paths(edit, "", &paths);
    for (size_t i = 0; i < paths.count; i++)
        if (mac_tree_get(changes, paths.items[i]))
            mac_problems_add(notes, MAC_PROBLEM_NOTE, NULL, paths.items[i],
                             "config set or config patch had changed it, too: the edited text counts now");
}

void confd_changes_keep(confd_sources *sources, const char *yaml, mac_problems *notes) {
    mac_autoptr(mac_problems) ignored = mac_problems_new();
    const confd_source *source = confd_sources_get(sources, CONFD_CHANGES_FILE);
    mac_autoptr(json_t) changes = NULL;
    if (!source || confd_parse_patch(source, ignored, &changes) < 0)
        return;
    mac_autoptr(json_t) before = tree_below_changes(sources);
    confd_autosources edited = {0};
    confd_sources_copy(sources, &edited);
    confd_sources_put(&edited, CONFD_FILE, yaml, strlen(yaml), NULL);
    mac_autoptr(json_t) below = tree_below_changes(&edited);
    mac_autoptr(json_t) edit = mac_tree_patch_between(before, below);
    if (json_object_size(edit) == 0)
        return;
    note_replaced(changes, edit, notes);
    mac_autoptr(json_t) in_force = mac_tree_merge(before, changes);
    mac_autoptr(json_t) wanted = mac_tree_merge(in_force, edit);
    mac_autoptr(json_t) left = mac_tree_patch_between(below, wanted);
    if (json_object_size(left) == 0)
        confd_sources_remove(sources, CONFD_CHANGES_FILE);
    else if (!json_equal(left, changes))
        confd_changes_put(sources, left);
}
