#include "codec/mac-tree.h"

#include <errno.h>
#include <string.h>

#include "codec/codec-internal.h"

/* jansson iterates over objects only through pointers that are not const; nothing here writes through them. */
static json_t *readable(const json_t *value) {
    return (json_t *)(uintptr_t)value;
}

json_t *mac_tree_get(json_t *tree, const char *path) {
    codec_segment segment;
    int r;
    while (tree && (r = codec_segment_next(&path, &segment)) != 0) {
        if (r < 0)
            return NULL;
        if (json_is_array(tree))
            tree = segment.is_index ? json_array_get(tree, segment.index) : NULL;
        else
            tree = json_object_get(tree, segment.text);
        free(segment.text);
    }
    return tree;
}

int mac_tree_patch_for(const char *path, json_t *value, json_t **ret_patch) {
    mac_autoptr(json_t) patch = NULL;
    json_t *at = NULL; /* the object that the last key stands in */
    mac_autofree char *key = NULL;
    codec_segment segment;
    int r;
    while ((r = codec_segment_next(&path, &segment)) > 0) {
        mac_autofree char *text = segment.text;
        if (segment.is_index)
            return -ENOTSUP;
        json_t *object = json_object();
        if (at)
            json_object_set_new(at, key, object);
        else
            patch = object;
        at = object;
        free(key);
        key = mac_take(&text);
    }
    if (r < 0)
        return r;
    if (!at)
        patch = value ? json_incref(value) : json_null();
    else
        json_object_set_new(at, key, value ? json_incref(value) : json_null());
    *ret_patch = mac_take(&patch);
    return 0;
}

/* target with the patch applied, in place where it is an object; takes the reference to target, returns one. */
static json_t *merge_into(json_t *target, const json_t *patch) {
    if (!json_is_object(patch)) {
        json_decref(target);
        return json_deep_copy(patch);
    }
    if (!json_is_object(target)) {
        json_decref(target);
        target = json_object();
    }
    const char *key;
    json_t *value;
    json_object_foreach (readable(patch), key, value) {
        if (json_is_null(value)) {
            json_object_del(target, key);
            continue;
        }
        json_t *old = json_incref(json_object_get(target, key)); /* ours outlives the one that is replaced */
        json_object_set_new(target, key, merge_into(old, value));
    }
    return target;
}

json_t *mac_tree_merge(const json_t *target, const json_t *patch) {
    return merge_into(target ? json_deep_copy(target) : NULL, patch);
}

json_t *mac_tree_merge_patches(const json_t *first, const json_t *second) {
    if (!json_is_object(first) || !json_is_object(second))
        return json_deep_copy(second);
    json_t *both = json_deep_copy(first);
    const char *key;
    json_t *value;
    json_object_foreach (readable(second), key, value) {
        const json_t *old = json_object_get(first, key);
        json_object_set_new(both, key, old ? mac_tree_merge_patches(old, value) : json_deep_copy(value));
    }
    return both;
}

bool mac_tree_can_merge_patches(const json_t *first, const json_t *second) {
    if (!json_is_object(second))
        return true;
    if (!json_is_object(first))
        return false;
    const char *key;
    json_t *value;
    json_object_foreach (readable(second), key, value) {
        const json_t *old = json_object_get(first, key);
        if (old && !mac_tree_can_merge_patches(old, value))
            return false;
    }
    return true;
}

json_t *mac_tree_patch_between(const json_t *from, const json_t *to) {
    if (!json_is_object(from) || !json_is_object(to))
        return json_deep_copy(to);
    json_t *patch = json_object();
    const char *key;
    json_t *value;
    json_object_foreach (readable(from), key, value) {
        if (!json_object_get(to, key))
            json_object_set_new(patch, key, json_null());
    }
    json_object_foreach (readable(to), key, value) {
        const json_t *old = json_object_get(from, key);
        if (!old || !json_equal(old, value))
            json_object_set_new(patch, key, mac_tree_patch_between(old, value));
    }
    return patch;
}

static void add_change(mac_changes *changes, const codec_step *step, json_t *old_value, json_t *new_value) {
    if (changes->count % 16 == 0)
        changes->items = mac_realloc(changes->items, (changes->count + 16) * sizeof *changes->items);
    changes->items[changes->count++] =
        (mac_change){codec_step_path(step), json_incref(old_value), json_incref(new_value)};
}

static void diff_values(const codec_step *step, const json_t *from, const json_t *to, mac_changes *changes) {
    if (!json_is_object(from) || !json_is_object(to)) {
        if (!json_equal(from, to))
            add_change(changes, step, readable(from), readable(to));
        return;
    }
    const char *key;
    json_t *value;
    json_object_foreach (readable(from), key, value) {
        codec_step below = {step, key, 0};
        json_t *other = json_object_get(to, key);
        if (other)
            diff_values(&below, value, other, changes);
        else
            add_change(changes, &below, value, NULL);
    }
    json_object_foreach (readable(to), key, value) {
        codec_step below = {step, key, 0};
        if (!json_object_get(from, key))
            add_change(changes, &below, NULL, value);
    }
}

void mac_tree_diff(const json_t *from, const json_t *to, mac_changes *ret_changes) {
    *ret_changes = (mac_changes){0};
    if (from && to)
        diff_values(NULL, from, to, ret_changes);
    else if (from || to)
        add_change(ret_changes, NULL, readable(from), readable(to));
}

void mac_changes_deinit(mac_changes *changes) {
    for (size_t i = 0; i < changes->count; i++) {
        free(changes->items[i].path);
        json_decref(changes->items[i].old_value);
        json_decref(changes->items[i].new_value);
    }
    free(changes->items);
    *changes = (mac_changes){0};
}
