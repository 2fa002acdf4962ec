/* Any text of a source is refused or protected; what is protected has nothing left to protect, and means the same but
 * for its secrets. */
#include <stdio.h>
#include <string.h>

#include "confd-parse.h"
#include "confd-secrets.h"
#include "crypto/mac-crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static mac_seal *seal;

static void make_seal(void) {
    char directory[] = "/tmp/fuzz-confd-XXXXXX";
    mac_root *root = NULL, *host = NULL;
    if (!mkdtemp(directory) || mac_root_open(directory, false, &root) < 0 ||
        mac_seal_open_key(root, "/seal.key", true, &seal) < 0 || mac_root_open(NULL, false, &host) < 0 ||
        mac_fs_remove_tree(host, directory) < 0)
        abort();
    mac_root_close(root);
    mac_root_close(host);
}

static void blank(const char *path, const char *canonical, bool hashed, json_t *value, void *data) {
    (void)path;
    (void)canonical;
    (void)hashed;
    (void)data;
    json_string_set(value, "");
}

static json_t *patch_without_secrets(const confd_source *source) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    json_t *patch = NULL;
    if (confd_parse_patch(source, problems, &patch) < 0)
        return NULL;
    confd_secrets_visit(patch, blank, NULL);
    return patch;
}

static void check_protected(const confd_source *before, const confd_source *after) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_source again = {0};
    if (confd_secrets_protect(after, NULL, seal, NULL, NULL, problems, &again) < 0 ||
        strcmp(after->text, again.text) != 0)
        abort();
    confd_source_deinit(&again);
    mac_autoptr(json_t) old = patch_without_secrets(before);
    mac_autoptr(json_t) new = patch_without_secrets(after);
    if (old && (!new || !json_equal(old, new)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!seal)
        make_seal();
    confd_sources sources = {0};
    confd_sources_put(&sources, CONFD_FILE, (const char *)data, size, NULL);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_source result = {0};
    if (confd_secrets_protect(&sources.items[0], NULL, seal, NULL, NULL, problems, &result) == 0) {
        check_protected(&sources.items[0], &result);
        confd_source_deinit(&result);
    }
    confd_sources_deinit(&sources);
    return 0;
}
