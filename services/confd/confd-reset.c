#include "confd-reset.h"

#include <errno.h>
#include <string.h>

#include "log/mac-log.h"

#define RECORD_MAX 4096

/* The record as JSON; NULL when there is none. */
static json_t *read_tree(mac_root *root) {
    mac_autofree char *text = NULL;
    int result = mac_fs_read(root, CONFD_RESET_FILE, RECORD_MAX, &text, NULL);
    json_t *tree = result == 0 ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (!tree && result != -ENOENT)
        mac_log_warning("the record of the factory reset cannot be read", "file=" CONFD_RESET_FILE " error=%s",
                        result < 0 ? strerror(-result) : "no JSON");
    return tree;
}

static Macula__V1__ResetRecord *record_of(const json_t *tree) {
    Macula__V1__ResetRecord *record = mac_malloc(sizeof *record);
    macula__v1__reset_record__init(record);
    record->has_time_ms = record->has_kept_data = true;
    record->time_ms = json_integer_value(json_object_get(tree, "time_ms"));
    record->kept_data = json_is_true(json_object_get(tree, "kept_data"));
    json_int_t left = json_integer_value(json_object_get(tree, "left"));
    const char *reason = json_string_value(json_object_get(tree, "left_reason"));
    record->has_left = left > 0;
    record->left = left > 0 && left < UINT32_MAX ? (uint32_t)left : 0;
    record->left_reason = mac_strdup(reason);
    return record;
}

Macula__V1__ResetRecord *confd_reset_read(mac_root *root) {
    mac_autoptr(json_t) tree = read_tree(root);
    return tree ? record_of(tree) : NULL;
}

void confd_reset_tell(confd_manager *manager) {
    mac_autoptr(json_t) tree = read_tree(manager->root);
    if (!tree || json_is_true(json_object_get(tree, "told")))
        return;
    Macula__V1__ResetRecord *record = record_of(tree);
    if (record->has_left)
        mac_log_error("the factory reset could not remove everything",
                      "entries=%u directory=/data/.reset reason=" MAC_LOG_Q("%s"), record->left,
                      record->left_reason ? record->left_reason : "");
    int result = confd_store_tell(manager->store, "node.reset", &record->base);
    macula__v1__reset_record__free_unpacked(record, NULL);
    if (result == 0 && json_object_set_new(tree, "told", json_true()) == 0) {
        mac_autofree char *text = json_dumps(tree, JSON_COMPACT);
        result = text ? mac_fs_write(manager->root, CONFD_RESET_FILE, text, strlen(text), MAC_FS_KEEP) : -ENOMEM;
    }
    if (result < 0)
        mac_log_error("the factory reset cannot be told of", "error=" MAC_LOG_Q("%s"), strerror(-result));
}
