/* One JSON file: digest of path and entries → {keys, unused_ms}. */
#include "confd-keykept.h"

#include <string.h>
#include <sys/stat.h>

#include "codec/mac-codec.h"
#include "confd-files.h"
#include "confd-sshkeys.h"
#include "crypto/mac-crypto.h"

#define RECORD CONFD_APPLIED_DIR "/ssh_kept.json"
#define UNUSED_MAX_MS (2 * 86400000LL) /* a change waits at most a day to be confirmed */

json_t *confd_keykept_load(mac_root *root) {
    mac_autofree char *text = NULL;
    json_t *kept =
        confd_text_read(root, RECORD, &text) == 0 && text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (json_is_object(kept))
        return kept;
    json_decref(kept);
    return json_object();
}

/* An entry may be a URL with a login in it: the digest keeps that to itself. */
static void digest_list(const char *path, char *const *entries, size_t count, char ret_digest[65]) {
    mac_autobuffer text = {0};
    mac_buffer_printf(&text, "%s\n", path);
    for (size_t i = 0; i < count; i++)
        mac_buffer_printf(&text, "%s\n", entries[i]);
    mac_sha256_hex(text.data, text.length, ret_digest);
}

/* The keys of a key file as it is now. A link is not followed: whose file it leads to, nobody knows. */
static json_t *keys_of_file(mac_root *root, const char *path) {
    json_t *keys = json_array();
    mac_autofree char *text = NULL;
    struct stat st;
    if (mac_fs_stat(root, path, &st) < 0 || !S_ISREG(st.st_mode) || confd_text_read(root, path, &text) < 0 || !text)
        return keys;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        line += strspn(line, " \t");
        if (*line != '#' && !confd_ssh_key_check(line, true))
            json_array_append_new(keys, json_string(line));
    }
    return keys;
}

void confd_keykept_use(json_t *kept, mac_root *root, const char *path, char *const *entries, size_t count,
                       mac_strings *ret_keys) {
    char digest[65];
    digest_list(path, entries, count, digest);
    json_t *keys = json_object_get(json_object_get(kept, digest), "keys"), *key;
    if (!json_is_array(keys)) {
        keys = keys_of_file(root, path);
        json_object_set_new(kept, digest, json_pack("{s:o}", "keys", keys));
    }
    json_object_set_new(json_object_get(kept, digest), "used", json_true());
    size_t i;
    json_array_foreach (keys, i, key) {
        const char *line = json_string_value(key);
        if (line && !confd_ssh_key_check(line, true))
            mac_strings_add(ret_keys, line);
    }
}

void confd_keykept_forget(json_t *kept, const char *path, char *const *entries, size_t count) {
    char digest[65];
    digest_list(path, entries, count, digest);
    json_object_del(kept, digest);
}

/* Whether a list that is not in force is still remembered; its time begins when it is first seen here. */
static bool still_counts(json_t *record) {
    json_int_t now = (json_int_t)mac_unix_ms();
    if (!json_is_object(record))
        return false;
    if (!json_object_get(record, "unused_ms"))
        json_object_set_new(record, "unused_ms", json_integer(now));
    json_int_t since = json_integer_value(json_object_get(record, "unused_ms"));
    return since <= now && now - since <= UNUSED_MAX_MS;
}

mac_error *confd_keykept_store(json_t *kept, confd_run *run) {
    const char *digest;
    json_t *record;
    void *next;
    json_object_foreach_safe (kept, next, digest, record) {
        if (json_object_get(record, "used")) {
            json_object_del(record, "used");
            json_object_del(record, "unused_ms");
        } else if (!still_counts(record)) {
            json_object_del(kept, digest);
        }
    }
    if (json_object_size(kept) == 0)
        return confd_run_remove_file(run, RECORD, CONFD_QUIET);
    mac_autofree char *text = json_dumps(kept, JSON_INDENT(1) | JSON_SORT_KEYS);
    return confd_run_write_file(run, RECORD, text, strlen(text), MAC_FS_PRIVATE, CONFD_QUIET);
}
