/* One JSON file for each source, named by its digest. */
#include "confd-keycache.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "confd-sshkeys.h"
#include "crypto/mac-crypto.h"

static char *cache_path(const char *source) {
    char digest[65];
    mac_sha256_hex(source, strlen(source), digest);
    return mac_asprintf(CONFD_KEYCACHE_DIR "/%.32s.json", digest);
}

bool confd_keycache_get(mac_root *root, const char *source, mac_strings *ret_keys, char **ret_etag) {
    mac_autofree char *path = cache_path(source), *text = NULL;
    size_t length = 0;
    if (mac_fs_read(root, path, 4 * CONFD_KEYS_BYTES_MAX, &text, &length) < 0)
        return false;
    json_t *tree = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    json_t *keys = json_object_get(tree, "keys"), *key;
    bool good = json_is_array(keys) && mac_streq(json_string_value(json_object_get(tree, "source")), source);
    size_t i;
    json_array_foreach (keys, i, key)
        good = good && json_is_string(key) && !confd_ssh_key_check(json_string_value(key), false);
    if (good && ret_keys) {
        json_array_foreach (keys, i, key)
            mac_strings_add(ret_keys, json_string_value(key));
    }
    if (good && ret_etag)
        *ret_etag = mac_strdup(json_string_value(json_object_get(tree, "etag")));
    json_decref(tree);
    return good;
}

int confd_keycache_put(mac_root *root, const Macula__V1__SshKeysFetched *fetched) {
    const char *etag = fetched->etag && mac_utf8_valid(fetched->etag, strlen(fetched->etag)) ? fetched->etag : NULL;
    json_t *keys = json_array();
    for (size_t i = 0; i < fetched->n_keys; i++)
        json_array_append_new(keys, json_string(fetched->keys[i]));
    json_t *tree = json_pack("{s:s, s:s?, s:I, s:o}", "source", fetched->source, "etag", etag, "fetched_ms",
                             (json_int_t)mac_unix_ms(), "keys", keys);
    char *text = tree ? json_dumps(tree, JSON_INDENT(1)) : NULL;
    json_decref(tree);
    if (!text)
        return -EINVAL;
    mac_autofree char *path = cache_path(fetched->source);
    int r = mac_fs_mkdirs(root, CONFD_KEYCACHE_DIR, 0700);
    if (r == 0)
        r = mac_fs_write(root, path, text, strlen(text), MAC_FS_PRIVATE);
    free(text);
    return r;
}
