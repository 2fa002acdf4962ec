/* Three JSON values a line each: target, first and second patch. Merging one after the other and both at once is the
 * same; a patch between two trees leads from one to the other; every difference is where its path says. A fourth line
 * is a path. */
#include "fuzz-codec.h"

static json_t *take_line(const char **at, const char *end) {
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    const char *stop = newline ? newline : end;
    json_t *tree = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    if (mac_codec_parse_json(NULL, *at, (size_t)(stop - *at), problems, &tree) < 0)
        tree = NULL;
    *at = newline ? newline + 1 : end;
    return tree;
}

static void check_changes(json_t *from, json_t *to) {
    mac_changes changes;
    mac_tree_diff(from, to, &changes);
    FUZZ_CHECK((changes.count == 0) == json_equal(from, to));
    for (size_t i = 0; i < changes.count; i++) {
        FUZZ_CHECK(mac_tree_get(from, changes.items[i].path) == changes.items[i].old_value);
        FUZZ_CHECK(mac_tree_get(to, changes.items[i].path) == changes.items[i].new_value);
    }
    mac_changes_deinit(&changes);
}

static void check_path(const char *path) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autofree char *once = NULL, *twice = NULL;
    const ProtobufCFieldDescriptor *field, *again;
    mac_autoptr(json_t) patch = NULL, *value = json_integer(1);
    if (mac_path_resolve(CONFIG, path, problems, &once, &field) < 0)
        return;
    if (strlen(once) <= CODEC_PATH_MAX) {
        FUZZ_CHECK(mac_path_resolve(CONFIG, once, problems, &twice, &again) == 0);
        FUZZ_CHECK(strcmp(once, twice) == 0 && field == again);
    }
    if (mac_tree_patch_for(once, value, &patch) == 0)
        FUZZ_CHECK(mac_tree_get(patch, once) == value);
    mac_schema_service(CONFIG, once);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    mac_schema_add_table(&test_codec_schema_table);
    const char *at = (const char *)data, *end = at + length;
    mac_autoptr(json_t) raw = take_line(&at, end), *first = take_line(&at, end), *second = take_line(&at, end);
    if (raw && first && second) {
        mac_autoptr(json_t) target = mac_tree_merge(NULL, raw); /* without nulls */
        mac_autoptr(json_t) once = mac_tree_merge(target, first), *both = mac_tree_merge_patches(first, second);
        mac_autoptr(json_t) twice = mac_tree_merge(once, second), *at_once = mac_tree_merge(target, both);
        FUZZ_CHECK(!mac_tree_can_merge_patches(first, second) || json_equal(twice, at_once));
        if (json_is_object(target) && json_is_object(twice)) {
            mac_autoptr(json_t) between = mac_tree_patch_between(target, twice);
            mac_autoptr(json_t) led = mac_tree_merge(target, between);
            FUZZ_CHECK(json_equal(led, twice));
        }
        check_changes(target, twice);
    }
    mac_autofree char *path = mac_strndup(at, (size_t)(end - at));
    check_path(path);
    return 0;
}
