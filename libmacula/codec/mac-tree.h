/* Paths, merge patch (RFC 7396) and differences over canonical trees.
 *
 * A path is keys joined by dots, list items in brackets from 0, map keys with dots or brackets in them quoted:
 * maculaos.network.interfaces.eth0.mtu · write_files[0].path · maculaos.sysctls["net.ipv4.ip_forward"] (also read
 * without quotes inside the brackets). The empty path is the whole tree. */
#ifndef MAC_TREE_H
#define MAC_TREE_H

#include "codec/mac-codec.h"

/* Appends one key or index to a path; caller frees. */
char *mac_path_key(const char *path, const char *key);
char *mac_path_index(const char *path, size_t index);
/* A canonical path without its list indices (maculaos.wifi[].passphrase): the label under which the secret that stands
 * there is sealed (crypto/mac-crypto.h), so that an item may move within its list. Caller frees. */
char *mac_path_label(const char *path);
/* Shortens a path to that of what it stands in; false: it stands in nothing. */
bool mac_path_cut(char *path);
/* Canonical spelling of a path for a message type (aliases, camelCase, [k] for map keys, which may stand with their
 * dots at the end of the path). -EINVAL with a problem: unknown key, "did you mean". *ret_field is the descriptor of
 * the last field, NULL for the whole message, an item of a map or list gives its field. */
int mac_path_resolve(const ProtobufCMessageDescriptor *type, const char *path, mac_problems *problems, char **ret_path,
                     const ProtobufCFieldDescriptor **ret_field) MAC_MUST_USE;
/* The value at a canonical path (borrowed), or NULL. */
json_t *mac_tree_get(json_t *tree, const char *path);
/* A new merge patch that sets (value non-NULL, reference kept) or removes (NULL) what is at a canonical path.
 * List items cannot be addressed by a merge patch: -ENOTSUP. */
int mac_tree_patch_for(const char *path, json_t *value, json_t **ret_patch) MAC_MUST_USE;

/* RFC 7396. Returns a new tree. */
json_t *mac_tree_merge(const json_t *target, const json_t *patch);
/* Combines two patches into one with the effect of applying first and then second (nulls are kept). No merge patch says
 * "replace by an object": where first removes, or sets to a plain value, what second gives keys again, the keys that
 * the target has there and second does not name come back. mac_tree_can_merge_patches says whether that is so. */
json_t *mac_tree_merge_patches(const json_t *first, const json_t *second);
bool mac_tree_can_merge_patches(const json_t *first, const json_t *second);
/* A new merge patch that makes `to` of `from`; `to` holds no null. */
json_t *mac_tree_patch_between(const json_t *from, const json_t *to);

typedef struct mac_change {
    char *path;
    json_t *old_value; /* NULL: added */
    json_t *new_value; /* NULL: removed */
} mac_change;

typedef struct mac_changes {
    mac_change *items;
    size_t count;
} mac_changes;

/* What differs, in document order; lists are compared as a whole. */
void mac_tree_diff(const json_t *from, const json_t *to, mac_changes *ret_changes);
void mac_changes_deinit(mac_changes *changes);

#endif
