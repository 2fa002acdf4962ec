#include "test-confd-box.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "confd-schema.h"

confd_box *box_new(void) {
    confd_box *box = mac_calloc(1, sizeof *box);
    strcpy(box->directory, "/tmp/test-confd-XXXXXX");
    assert_non_null(mkdtemp(box->directory));
    assert_int_equal(mac_root_open(box->directory, false, &box->root), 0);
    assert_int_equal(mac_fs_mkdirs(box->root, CONFD_FRAGMENTS_DIR, 0700), 0);
    assert_int_equal(mac_fs_mkdirs(box->root, CONFD_STATE_DIR "/identity", 0700), 0);
    assert_int_equal(mac_fs_mkdirs(box->root, "/macula/system", 0755), 0);
    assert_int_equal(mac_seal_open_key(box->root, CONFD_STATE_DIR "/identity/seal.key", true, &box->seal), 0);
    box_write(box, CONFD_STATE_DIR "/identity/suffix", "ab12\n");
    assert_int_equal(confd_names_load(box->root, "UNODE", &box->names), 0);
    setenv("MACULA_CMDLINE", "", 1);
    return box;
}

void box_free(confd_box *box) {
    confd_store_close(box->store);
    mac_seal_free(box->seal);
    confd_names_deinit(&box->names);
    mac_root_close(box->root);
    mac_root *host = NULL;
    assert_int_equal(mac_root_open(NULL, false, &host), 0);
    assert_int_equal(mac_fs_remove_tree(host, box->directory), 0);
    mac_root_close(host);
    free(box);
}

int box_setup(void **state) {
    *state = box_new();
    return 0;
}

int box_teardown(void **state) {
    box_free(*state);
    return 0;
}

void box_write(confd_box *box, const char *path, const char *text) {
    assert_int_equal(mac_fs_write(box->root, path, text, strlen(text), MAC_FS_KEEP), 0);
}

char *box_read(confd_box *box, const char *path) {
    char *text = NULL;
    return mac_fs_read(box->root, path, 1 << 20, &text, NULL) < 0 ? NULL : text;
}

bool box_holds(confd_box *box, const char *directory, const char *bytes) {
    mac_autostrings names = {0};
    bool found = false;
    assert_int_equal(mac_fs_list(box->root, directory, &names), 0);
    assert_true(names.count > 0);
    for (size_t i = 0; i < names.count; i++) {
        mac_autofree char *path = mac_asprintf("%s/%s", directory, names.items[i]), *data = NULL;
        size_t length;
        int result = mac_fs_read(box->root, path, 16 << 20, &data, &length);
        if (result == -EISDIR)
            continue;
        assert_int_equal(result, 0);
        found |= memmem(data, length, bytes, strlen(bytes)) != NULL;
    }
    return found;
}

void box_open_store(confd_box *box) {
    mac_error *error = NULL;
    confd_store_close(mac_take(&box->store));
    if (confd_store_open(box->root, &box->store, &error) < 0)
        fail_msg("%s", error->message);
}

void box_sources(confd_sources *sources, const char *text) {
    confd_sources_put(sources, CONFD_FILE, text, strlen(text), NULL);
}

confd_document *box_document(confd_box *box, const char *text) {
    confd_autosources sources = {0};
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_document *document = NULL;
    box_sources(&sources, text);
    if (confd_document_resolve(&sources, &box->names, problems, &document) < 0) {
        mac_autofree char *lines = mac_problems_format(problems);
        fail_msg("%s", lines);
    }
    return document;
}

char *box_problems(confd_box *box, const char *text) {
    confd_autosources sources = {0};
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(confd_document) document = NULL;
    box_sources(&sources, text);
    int result = confd_document_resolve(&sources, &box->names, problems, &document);
    assert_int_equal(result<0, mac_problems_errors(problems)> 0);
    return mac_problems_format(problems);
}

char *box_value(json_t *tree, const char *path) {
    json_t *value = mac_tree_get(tree, path);
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    return text ? text : mac_strdup("(none)");
}
