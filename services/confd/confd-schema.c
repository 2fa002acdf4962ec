#include "confd-schema.h"

#include <string.h>

bool confd_field_is_map(const ProtobufCFieldDescriptor *field) {
    if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label != PROTOBUF_C_LABEL_REPEATED)
        return false;
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    return entry->n_fields == 2 && mac_ends_with(entry->short_name, "Entry") &&
           mac_streq(entry->fields[0].name, "key") && mac_streq(entry->fields[1].name, "value");
}

void confd_leaf_paths(json_t *tree, const char *path, mac_strings *ret_paths) {
    if (!json_is_object(tree) || json_object_size(tree) == 0) {
        mac_strings_add(ret_paths, path);
        return;
    }
    const char *key;
    json_t *value;
    json_object_foreach (tree, key, value) {
        mac_autofree char *at = mac_path_key(path, key);
        confd_leaf_paths(value, at, ret_paths);
    }
}

void confd_changed_paths(const json_t *from, const json_t *to, mac_strings *ret_paths) {
    mac_changes changes = {0};
    mac_tree_diff(from, to, &changes);
    for (size_t i = 0; i < changes.count; i++) {
        const mac_change *change = &changes.items[i];
        json_t *whole = !change->old_value ? change->new_value : !change->new_value ? change->old_value : NULL;
        if (whole)
            confd_leaf_paths(whole, change->path, ret_paths);
        else
            mac_strings_add(ret_paths, change->path);
    }
    mac_changes_deinit(&changes);
}

bool confd_path_within(const char *path, const char *parent) {
    size_t length = strlen(parent);
    if (length == 0)
        return true;
    return strncmp(path, parent, length) == 0 && (path[length] == '\0' || path[length] == '.' || path[length] == '[');
}
