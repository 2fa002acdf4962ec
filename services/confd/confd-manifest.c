/* The manifest of write_files and the originals beside it. */
#include "confd-manifest.h"

#include <errno.h>
#include <string.h>

#include "confd-files.h"

#define MANIFEST CONFD_APPLIED_DIR "/write_files.json"
#define ORIGINALS CONFD_APPLIED_DIR "/originals"

/* Room for the longest list of files with the longest paths. */
#define MANIFEST_MAX (8u << 20)

int confd_manifest_load(confd_manifest *manifest, mac_root *root) {
    mac_autofree char *text = NULL;
    size_t length = 0;
    int r = mac_fs_read(root, MANIFEST, MANIFEST_MAX, &text, &length);
    if (r == -ENOENT) {
        manifest->files = json_object();
        return 0;
    }
    if (r < 0)
        return r;
    manifest->files = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    return json_is_object(manifest->files) ? 0 : -EBADMSG;
}

void confd_manifest_deinit(confd_manifest *manifest) {
    json_decref(manifest->files);
    manifest->files = NULL;
}

mac_error *confd_manifest_store(const confd_manifest *manifest, confd_run *run) {
    if (json_object_size(manifest->files) == 0)
        return confd_run_remove_file(run, MANIFEST, CONFD_QUIET);
    char *text = json_dumps(manifest->files, JSON_INDENT(1) | JSON_SORT_KEYS);
    mac_error *error = confd_run_write_file(run, MANIFEST, text, strlen(text), MAC_FS_PRIVATE, CONFD_QUIET);
    free(text);
    return error;
}

bool confd_manifest_is(const confd_manifest *manifest, const char *path, const void *data, size_t length) {
    char digest[65];
    mac_sha256_hex(data, length, digest);
    return mac_streq(digest, json_string_value(json_object_get(json_object_get(manifest->files, path), "digest")));
}

static char *original_path(const char *path) {
    char hex[65];
    mac_sha256_hex(path, strlen(path), hex);
    return mac_asprintf(ORIGINALS "/%s", hex);
}

/* The file, or target of the symbolic link, as it is now; *ret_exists says whether there is one. */
static int read_present(mac_root *root, const char *path, bool *ret_exists, struct stat *ret_stat, char **ret_data,
                        size_t *ret_length) {
    int r = mac_fs_stat(root, path, ret_stat);
    if (r == -ENOENT || r == -ENOTDIR) {
        *ret_exists = false;
        return 0;
    }
    if (r == 0 && S_ISLNK(ret_stat->st_mode)) {
        r = mac_fs_readlink(root, path, ret_data);
        *ret_length = r == 0 ? strlen(*ret_data) : 0;
        *ret_exists = r == 0;
        return r;
    }
    if (r == 0)
        r = mac_fs_read(root, path, CONFD_SAVE_MAX, ret_data, ret_length);
    *ret_exists = r == 0;
    return r;
}

static mac_error *present_error(int r, const char *path) {
    if (r == -EISDIR || r == -EINVAL)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "write_files",
                             "%s is not a regular file, so it is not replaced", path);
    if (r == -EFBIG)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "write_files",
                             "%s is larger than %u MiB, so it is not replaced; move it away first", path,
                             CONFD_SAVE_MAX >> 20);
    return mac_error_from_errno(r, "cannot read %s", path);
}

mac_error *confd_manifest_enter(confd_manifest *manifest, confd_run *run, const confd_context *context,
                                const char *path, const void *data, size_t length) {
    mac_autofree char *present = NULL, *saved = original_path(path);
    size_t present_length = 0;
    struct stat st = {0};
    bool exists = false;
    int r = read_present(context->root, path, &exists, &st, &present, &present_length);
    if (r < 0)
        return present_error(r, path);
    char digest[65], present_digest[65] = "";
    mac_sha256_hex(data, length, digest);
    if (exists && S_ISREG(st.st_mode))
        mac_sha256_hex(present, present_length, present_digest);
    json_t *entry = json_object_get(manifest->files, path);
    const char *ours = json_string_value(json_object_get(entry, "digest"));
    mac_error *error = NULL;
    /* At runtime the first original counts, whatever somebody wrote over our file since. At boot a file that is not
     * what we left is the image's. */
    if (!entry ||
        (context->phase == CONFD_BOOT && !mac_streq(present_digest, ours) && !mac_streq(present_digest, digest))) {
        if (!entry) {
            entry = json_object();
            json_object_set_new(manifest->files, path, entry);
        }
        json_object_set_new(entry, "original", json_boolean(exists));
        json_object_set_new(entry, "link", json_boolean(exists && S_ISLNK(st.st_mode)));
        if (exists) {
            json_object_set_new(entry, "mode", json_integer(st.st_mode & 07777));
            json_object_set_new(entry, "uid", json_integer(st.st_uid));
            json_object_set_new(entry, "gid", json_integer(st.st_gid));
            error = confd_run_write_file(run, saved, present, present_length, MAC_FS_PRIVATE, CONFD_QUIET);
        } else {
            error = confd_run_remove_file(run, saved, CONFD_QUIET);
        }
    }
    json_object_set_new(entry, "digest", json_string(digest));
    return error ? error : confd_manifest_store(manifest, run);
}

/* Puts the original back, with the owner and mode that it had. */
static mac_error *restore(confd_run *run, const confd_context *context, const char *path, const char *saved,
                          const json_t *entry) {
    mac_autofree char *data = NULL;
    size_t length = 0;
    int r = mac_fs_read(context->root, saved, CONFD_SAVE_MAX, &data, &length);
    if (r < 0)
        return mac_error_from_errno(r, "cannot read what %s was before", path);
    if (json_is_true(json_object_get(entry, "link")))
        return confd_run_symlink(run, data, path);
    mac_fs_attributes attributes = confd_attributes((mode_t)json_integer_value(json_object_get(entry, "mode")),
                                                    (uid_t)json_integer_value(json_object_get(entry, "uid")),
                                                    (gid_t)json_integer_value(json_object_get(entry, "gid")));
    return confd_run_write_file(run, path, data, length, attributes, 0);
}

mac_error *confd_manifest_leave(confd_manifest *manifest, confd_run *run, const confd_context *context,
                                const char *path) {
    json_t *entry = json_object_get(manifest->files, path);
    mac_autofree char *present = NULL, *saved = original_path(path);
    size_t present_length = 0;
    struct stat st = {0};
    bool exists = false;
    char digest[65] = "";
    int r = read_present(context->root, path, &exists, &st, &present, &present_length);
    if (r == 0 && exists)
        mac_sha256_hex(present, present_length, digest);
    bool ours = exists && S_ISREG(st.st_mode) && mac_streq(digest, json_string_value(json_object_get(entry, "digest")));
    mac_error *error = NULL;
    if (r < 0 || (exists && !ours))
        confd_run_note(run, MAC_PROBLEM_WARNING, "write_files",
                       "%s left the configuration but was changed since, so it stays as it is", path);
    else if (json_is_true(json_object_get(entry, "original")))
        error = restore(run, context, path, saved, entry);
    else
        error = confd_run_remove_file(run, path, 0);
    if (error)
        return error;
    error = confd_run_remove_file(run, saved, CONFD_QUIET);
    json_object_del(manifest->files, path);
    return error ? error : confd_manifest_store(manifest, run);
}
