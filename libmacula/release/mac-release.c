#include "release/mac-release.h"

#include <jansson.h>
#include <string.h>

static const char *const channel_names[] = {"stable", "beta", "nightly"};

const char *mac_release_channel_name(mac_release_channel channel) {
    return channel_names[channel];
}

bool mac_release_channel_parse(const char *text, mac_release_channel *ret_channel) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(channel_names); i++)
        if (mac_streq(text, channel_names[i])) {
            *ret_channel = (mac_release_channel)i;
            return true;
        }
    return false;
}

bool mac_release_name_valid(const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+~-";
    size_t length = strlen(name);
    return length > 0 && length <= MAC_RELEASE_NAME_MAX && strchr(letters, name[0]) && strspn(name, all) == length &&
           !strstr(name, "..");
}

bool mac_release_digest_valid(const char *text) {
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

const mac_release_image *mac_release_find(const mac_release *release, const char *arch) {
    for (size_t i = 0; i < release->image_count; i++)
        if (mac_streq(release->images[i].arch, arch))
            return &release->images[i];
    return NULL;
}

/* ---- reading; the first thing that is wrong is kept, with its path ---- */

typedef struct reader {
    mac_error *error;
    const char *place; /* "images[0]." */
} reader;

static void wrong(reader *r, const char *key, const char *expected) {
    if (!r->error)
        r->error = mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, MAC_RELEASE_MANIFEST ": %s%s: expected %s",
                                 r->place, key, expected);
}

/* A text whose bytes `valid` accepts, in ret of `size` bytes; "" stands for one that may be missing. */
static void read_text(reader *r, const json_t *tree, const char *key, bool (*valid)(const char *), const char *expected,
                      char *ret, size_t size) {
    const json_t *value = json_object_get(tree, key);
    const char *text = json_string_value(value);
    if (!text || strlen(text) != json_string_length(value) || strlen(text) >= size || !valid(text))
        wrong(r, key, expected);
    else
        memcpy(ret, text, strlen(text) + 1);
}

static uint64_t read_number(reader *r, const json_t *tree, const char *key, uint64_t least, uint64_t most,
                            const char *expected) {
    const json_t *value = json_object_get(tree, key);
    json_int_t number = json_integer_value(value);
    if (json_is_integer(value) && number >= 0 && (uint64_t)number >= least && (uint64_t)number <= most)
        return (uint64_t)number;
    wrong(r, key, expected);
    return 0;
}

static bool arch_valid(const char *text) {
    size_t length = strlen(text);
    return length > 0 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

/* 2026-01-01T00:00:00Z: for people, sequence is what counts. */
static bool date_valid(const char *text) {
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
    if (strlen(text) != sizeof form - 1)
        return false;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    return true;
}

#define NAME "the plain name of a file beside the manifest"
#define DIGEST "64 lower-case hexadecimal digits"

static void read_index(reader *r, const json_t *tree, mac_release_image *image) {
    if (!tree)
        return;
    if (!json_is_object(tree)) {
        wrong(r, "chunks", "an object");
        return;
    }
    mac_autofree char *place = mac_asprintf("%schunks.", r->place);
    const char *before = r->place;
    r->place = place;
    read_text(r, tree, "name", mac_release_name_valid, NAME, image->index, sizeof image->index);
    read_text(r, tree, "sha256", mac_release_digest_valid, DIGEST, image->index_sha256, sizeof image->index_sha256);
    image->index_size = read_number(r, tree, "size", 1, MAC_RELEASE_INDEX_MAX, "a size in bytes of at most 64 MiB");
    r->place = before;
}

/* The hash tree follows the data: one hash of 32 bytes a block, and the levels above. */
static uint64_t size_with_tree(uint64_t data_blocks) {
    uint64_t blocks = data_blocks, level = data_blocks;
    while (level > 1) {
        level = (level + 127) / 128;
        blocks += level;
    }
    return blocks * MAC_RELEASE_BLOCK;
}

static void read_image(reader *r, const json_t *tree, mac_release_image *image) {
    if (!json_is_object(tree)) {
        wrong(r, "", "an object");
        return;
    }
    read_text(r, tree, "arch", arch_valid, "an architecture such as amd64", image->arch, sizeof image->arch);
    read_text(r, tree, "slot", mac_release_name_valid, NAME, image->slot, sizeof image->slot);
    read_text(r, tree, "sha256", mac_release_digest_valid, DIGEST, image->sha256, sizeof image->sha256);
    read_text(r, tree, "root_hash", mac_release_digest_valid, DIGEST, image->root_hash, sizeof image->root_hash);
    image->size =
        read_number(r, tree, "size", MAC_RELEASE_BLOCK, MAC_RELEASE_IMAGE_MAX, "a size in bytes of at most 16 GiB");
    image->data_blocks = (uint32_t)read_number(r, tree, "data_blocks", 2, MAC_RELEASE_IMAGE_MAX / MAC_RELEASE_BLOCK,
                                               "a number of blocks of 4096 bytes");
    if (!r->error && image->size != size_with_tree(image->data_blocks))
        wrong(r, "size", "the size of data_blocks with their hash tree");
    read_index(r, json_object_get(tree, "chunks"), image);
}

static void read_images(reader *r, const json_t *tree, mac_release *release) {
    size_t count = json_array_size(tree);
    if (!json_is_array(tree) || count == 0 || count > MAC_RELEASE_IMAGES_MAX) {
        wrong(r, "images", "a list of 1 to 8 images");
        return;
    }
    for (size_t i = 0; i < count && !r->error; i++) {
        mac_autofree char *place = mac_asprintf("images[%zu].", i);
        r->place = place;
        read_image(r, json_array_get(tree, i), &release->images[i]);
        if (!r->error && mac_release_find(release, release->images[i].arch))
            wrong(r, "arch", "another architecture than the images before");
        release->image_count = i + 1;
        r->place = "";
    }
}

static void read_release(reader *r, const json_t *tree, mac_release *release) {
    const char *channel = json_string_value(json_object_get(tree, "channel"));
    read_text(r, tree, "version", mac_semver_valid, "a version MAJOR.MINOR.PATCH", release->version,
              sizeof release->version);
    if (!channel || !mac_release_channel_parse(channel, &release->channel))
        wrong(r, "channel", "stable, beta or nightly");
    release->sequence = read_number(r, tree, "sequence", 1, MAC_RELEASE_SEQUENCE_MAX, "a number that grows");
    read_text(r, tree, "date", date_valid, "a time such as 2026-01-01T00:00:00Z", release->date, sizeof release->date);
    if (json_object_get(tree, "min_version"))
        read_text(r, tree, "min_version", mac_semver_valid, "a version MAJOR.MINOR.PATCH", release->min_version,
                  sizeof release->min_version);
    read_images(r, json_object_get(tree, "images"), release);
}

mac_error *mac_release_parse(const char *text, size_t length, mac_release *ret_release) {
    if (length > MAC_RELEASE_MANIFEST_MAX)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                             MAC_RELEASE_MANIFEST ": expected at most %u bytes, found %zu", MAC_RELEASE_MANIFEST_MAX,
                             length);
    json_error_t place;
    json_t *tree = json_loadb(text, length, JSON_REJECT_DUPLICATES, &place);
    if (!tree)
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                             MAC_RELEASE_MANIFEST ": line %d, column %d: this is not JSON", place.line, place.column);
    reader r = {.place = ""};
    mac_release *release = mac_calloc(1, sizeof *release);
    const json_t *format = json_object_get(tree, "format");
    if (!json_is_object(tree))
        wrong(&r, "", "an object");
    else if (json_is_integer(format) && json_integer_value(format) > MAC_RELEASE_FORMAT)
        r.error = mac_error_new(MACULA__V1__ERROR_CODE__UNSUPPORTED, NULL,
                                MAC_RELEASE_MANIFEST ": format %d expected, found a later one: upgrade to an earlier "
                                                     "version first",
                                MAC_RELEASE_FORMAT);
    else if (!json_is_integer(format) || json_integer_value(format) != MAC_RELEASE_FORMAT)
        wrong(&r, "format", "the number 1");
    else
        read_release(&r, tree, release);
    json_decref(tree);
    if (!r.error)
        *ret_release = *release;
    free(release);
    return r.error;
}
