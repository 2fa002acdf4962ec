/* release.json, the indexes of chunks and SHA256SUMS.txt, and whether they fit. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "publish.h"
#include "release/mac-chunks.h"
#include "release/mac-hashtree.h"
#include "release/mac-sums.h"

/* ---- index ---- */

static void cut(const uint8_t *data, uint64_t size, mac_chunks *chunks) {
    chunks->items = mac_calloc(size / MAC_CHUNK_LEAST + 2, sizeof *chunks->items);
    chunks->size = size;
    for (uint64_t at = 0; at < size;) {
        uint64_t left = size - at;
        mac_chunk *chunk = &chunks->items[chunks->count++];
        uint8_t digest[EVP_MAX_MD_SIZE];
        unsigned length;
        chunk->offset = at;
        chunk->length = (uint32_t)mac_chunk_cut(data + at, left > MAC_CHUNK_MOST ? MAC_CHUNK_MOST : (size_t)left);
        EVP_Digest(data + at, chunk->length, digest, &length, EVP_sha256(), NULL);
        memcpy(chunk->digest, digest, MAC_CHUNK_DIGEST);
        at += chunk->length;
    }
}

static mac_error *write_file(const char *path, const void *data, size_t length) {
    FILE *stream = fopen(path, "we");
    bool written = stream && fwrite(data, 1, length, stream) == length;
    if (stream && fclose(stream) != 0)
        written = false;
    return written ? NULL : publish_errno("write", path);
}

mac_error *publish_index(const char *directory, mac_release_image *image) {
    mac_autofree char *slot = mac_asprintf("%s/%s", directory, image->slot);
    mac_autofree char *path = mac_asprintf("%s.chunks", slot);
    uint64_t size = (uint64_t)image->data_blocks * MAC_RELEASE_BLOCK;
    mac_autofd fd = open(slot, O_RDONLY | O_CLOEXEC);
    void *data = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return publish_errno("read", slot);
    mac_autochunks chunks = {0};
    cut(data, size, &chunks);
    munmap(data, size);
    size_t length;
    mac_autofree void *index = mac_chunks_encode(&chunks, &length);
    mac_error *error = write_file(path, index, length);
    if (!error)
        error = publish_digest(path, image->index_sha256, &image->index_size);
    if (!error && strlen(image->slot) + strlen(".chunks") > MAC_RELEASE_NAME_MAX)
        error = mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "%s: a shorter name expected", image->slot);
    if (!error)
        memcpy(stpcpy(image->index, image->slot), ".chunks", sizeof ".chunks");
    return error;
}

/* ---- manifest ---- */

static json_t *image_tree(const mac_release_image *image) {
    return json_pack("{ss ss sI ss sI ss s{ss sI ss}}", "arch", image->arch, "slot", image->slot, "size",
                     (json_int_t)image->size, "sha256", image->sha256, "data_blocks", (json_int_t)image->data_blocks,
                     "root_hash", image->root_hash, "chunks", "name", image->index, "size",
                     (json_int_t)image->index_size, "sha256", image->index_sha256);
}

/* The names in a directory that are slots, or (all) everything that is listed in SHA256SUMS.txt. In byte order. */
static mac_error *list(const char *directory, bool all, mac_strings *ret_names) {
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, NULL, alphasort);
    if (count < 0)
        return publish_errno("read", directory);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        bool listed = mac_release_name_valid(name) && !mac_streq(name, MAC_RELEASE_SUMS) &&
                      !mac_streq(name, MAC_RELEASE_SIGNATURE) && !mac_ends_with(name, ".slot.json");
        if (all ? listed : mac_ends_with(name, ".slot"))
            mac_strings_add(ret_names, name);
        free(entries[i]);
    }
    free(entries);
    return NULL;
}

static mac_error *read_images(const char *directory, const mac_strings *names, char version[MAC_SEMVER_MAX + 1],
                              json_t *images) {
    for (size_t i = 0; i < names->count; i++) {
        mac_release_image image;
        char found[MAC_SEMVER_MAX + 1];
        mac_error *error = publish_read_slot(directory, names->items[i], found, &image);
        if (!error && i > 0 && !mac_streq(found, version))
            error = mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "%s has version %s, others have %s",
                                  names->items[i], found, version);
        if (!error)
            error = publish_index(directory, &image);
        if (error)
            return error;
        memcpy(version, found, sizeof found);
        json_array_append_new(images, image_tree(&image));
    }
    return NULL;
}

static mac_error *write_sums(const char *directory) {
    mac_autostrings names = {0};
    mac_autobuffer text = {0};
    mac_error *error = list(directory, true, &names);
    for (size_t i = 0; !error && i < names.count; i++) {
        mac_autofree char *path = mac_asprintf("%s/%s", directory, names.items[i]);
        char sha256[65];
        uint64_t size;
        error = publish_digest(path, sha256, &size);
        if (!error)
            mac_buffer_printf(&text, "%s  %s\n", sha256, names.items[i]);
    }
    mac_autofree char *path = mac_asprintf("%s/" MAC_RELEASE_SUMS, directory);
    return error ? error : write_file(path, text.data, text.length);
}

mac_error *publish_manifest(const char *directory, const char *channel, uint64_t sequence, const char *min_version) {
    mac_autostrings names = {0};
    mac_error *error = list(directory, false, &names);
    if (!error && names.count == 0)
        error = mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "%s has no *.slot", directory);
    if (error)
        return error;
    char version[MAC_SEMVER_MAX + 1] = "", date[32];
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t now = epoch ? (time_t)strtoull(epoch, NULL, 10) : time(NULL);
    struct tm parts;
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    json_t *images = json_array();
    error = read_images(directory, &names, version, images);
    json_t *tree = json_pack("{si ss ss sI ss}", "format", MAC_RELEASE_FORMAT, "version", version, "channel", channel,
                             "sequence", (json_int_t)sequence, "date", date);
    if (min_version)
        json_object_set_new(tree, "min_version", json_string(min_version));
    json_object_set_new(tree, "images", images);
    mac_autofree char *dump = json_dumps(tree, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    mac_autofree char *text = mac_asprintf("%s\n", dump);
    mac_autofree char *path = mac_asprintf("%s/" MAC_RELEASE_MANIFEST, directory);
    json_decref(tree);
    mac_release release;
    if (!error)
        error = mac_release_parse(text, strlen(text), &release);
    if (!error)
        error = write_file(path, text, strlen(text));
    return error ? error : write_sums(directory);
}

/* ---- verify ---- */

static mac_error *read_file(const char *directory, const char *name, size_t limit, mac_buffer *ret_text) {
    mac_autofree char *path = mac_asprintf("%s/%s", directory, name);
    FILE *stream = fopen(path, "re");
    char piece[4096];
    size_t got;
    if (!stream)
        return publish_errno("read", path);
    while (ret_text->length <= limit && (got = fread(piece, 1, sizeof piece, stream)) > 0)
        mac_buffer_append(ret_text, piece, got);
    fclose(stream);
    return NULL;
}

static mac_error *verify_file(const char *directory, const mac_sums *sums, const char *name, const char *said) {
    char found[65];
    uint64_t size;
    mac_autofree char *path = mac_asprintf("%s/%s", directory, name);
    const char *listed = mac_sums_get(sums, name);
    mac_error *error = publish_digest(path, found, &size);
    if (!error && (!mac_streq(listed, found) || !mac_streq(said, found)))
        error =
            mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                          "%s is not the file that " MAC_RELEASE_SUMS " and " MAC_RELEASE_MANIFEST " speak of", name);
    return error;
}

mac_error *publish_verify(const char *directory) {
    mac_autobuffer manifest = {0}, list_text = {0};
    mac_autoptr(mac_sums) sums = NULL;
    mac_release release;
    char sha256[65];
    mac_error *error = read_file(directory, MAC_RELEASE_SUMS, MAC_SUMS_MAX, &list_text);
    if (!error)
        error = read_file(directory, MAC_RELEASE_MANIFEST, MAC_RELEASE_MANIFEST_MAX, &manifest);
    if (!error)
        error = mac_sums_parse(list_text.data, list_text.length, &sums);
    if (!error)
        error = mac_release_parse(manifest.data, manifest.length, &release);
    mac_autofree char *path = mac_asprintf("%s/" MAC_RELEASE_MANIFEST, directory);
    uint64_t size;
    if (!error)
        error = publish_digest(path, sha256, &size);
    if (!error)
        error = verify_file(directory, sums, MAC_RELEASE_MANIFEST, sha256);
    for (size_t i = 0; !error && i < release.image_count; i++) {
        error = verify_file(directory, sums, release.images[i].slot, release.images[i].sha256);
        if (!error && release.images[i].index[0])
            error = verify_file(directory, sums, release.images[i].index, release.images[i].index_sha256);
    }
    return error;
}
