/* Merge patches for paths that lead into lists, which RFC 7396 only replaces as a whole. */
#include <errno.h>
#include <string.h>

#include "confd-proposal.h"

/* The first list index in a path: "a.b[3].c" → prefix length 3, index 3, rest "c". False when there is none. Quoted map
 * keys
 * (["x[0]"]) are passed over. */
static bool find_index(const char *path, size_t *ret_prefix, size_t *ret_index, const char **ret_rest) {
    for (const char *c = path; *c; c++) {
        if (*c != '[')
            continue;
        if (c[1] == '"') {
            for (c += 2; *c && *c != '"'; c++)
                if (*c == '\\' && c[1])
                    c++;
            if (!*c)
                return false;
            continue;
        }
        char *end = NULL;
        unsigned long index = strtoul(c + 1, &end, 10);
        if (end == c + 1 || *end != ']')
            continue;
        *ret_prefix = (size_t)(c - path);
        *ret_index = index;
        *ret_rest = end[1] == '.' ? end + 2 : end + 1;
        return true;
    }
    return false;
}

static int change_item(json_t *list, size_t index, const char *rest, json_t *value) {
    size_t size = json_array_size(list);
    if (index > size || (index == size && !value))
        return -EINVAL;
    if (*rest == '\0') {
        if (!value)
            return json_array_remove(list, index) < 0 ? -EINVAL : 0;
        return (index == size ? json_array_append(list, value) : json_array_set(list, index, value)) < 0 ? -EINVAL : 0;
    }
    mac_autoptr(json_t) patch = NULL;
    json_t *item = json_array_get(list, index);
    int result = confd_patch_for(item, rest, value, &patch);
    if (result < 0)
        return result;
    json_t *changed = mac_tree_merge(item, patch);
    return (index == size ? json_array_append_new(list, changed) : json_array_set_new(list, index, changed)) < 0
               ? -EINVAL
               : 0;
}

int confd_patch_for(json_t *tree, const char *path, json_t *value, json_t **ret_patch) {
    size_t prefix, index;
    const char *rest;
    if (!find_index(path, &prefix, &index, &rest))
        return mac_tree_patch_for(path, value, ret_patch);
    mac_autofree char *above = mac_strndup(path, prefix);
    json_t *present = tree ? mac_tree_get(tree, above) : NULL;
    mac_autoptr(json_t) list = json_is_array(present) ? json_deep_copy(present) : json_array();
    int result = change_item(list, index, rest, value);
    return result < 0 ? result : mac_tree_patch_for(above, list, ret_patch);
}
