/* Slot images: making one of any bytes, and reading what one holds. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "publish.h"
#include "release/mac-hashtree.h"

#define PIECE (1u << 20)

mac_error *publish_errno(const char *doing, const char *path) {
    return mac_error_from_errno(-errno, "cannot %s %s", doing, path);
}

mac_error *publish_digest(const char *path, char ret_hex[65], uint64_t *ret_size) {
    mac_autofd fd = open(path, O_RDONLY | O_CLOEXEC);
    mac_autofree uint8_t *piece = mac_malloc(PIECE);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    ssize_t got = fd < 0 ? -1 : 0;
    uint64_t size = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    while (fd >= 0 && (got = read(fd, piece, PIECE)) > 0) {
        EVP_DigestUpdate(context, piece, (size_t)got);
        size += (uint64_t)got;
    }
    EVP_DigestFinal_ex(context, digest, &length);
    EVP_MD_CTX_free(context);
    if (got < 0)
        return publish_errno("read", path);
    for (unsigned i = 0; i < 32; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
    *ret_size = size;
    return NULL;
}

typedef struct target {
    int fd;
    const char *path;
} target;

static bool put_block(uint64_t offset, const uint8_t block[MAC_HASHTREE_BLOCK], void *data) {
    const target *t = data;
    return pwrite(t->fd, block, MAC_HASHTREE_BLOCK, (off_t)offset) == MAC_HASHTREE_BLOCK;
}

/* The data in whole blocks, and its hash tree behind it. */
static bool copy_blocks(int from, target *to, uint32_t blocks, char ret_root[65]) {
    mac_autoptr(mac_hashtree) tree = mac_hashtree_new(blocks, put_block, to);
    for (uint32_t i = 0; i < blocks; i++) {
        uint8_t block[MAC_HASHTREE_BLOCK] = {0};
        if (pread(from, block, sizeof block, (off_t)i * MAC_HASHTREE_BLOCK) < 0 ||
            pwrite(to->fd, block, sizeof block, (off_t)i * MAC_HASHTREE_BLOCK) != sizeof block ||
            !mac_hashtree_update(tree, block, sizeof block))
            return false;
    }
    return mac_hashtree_finish(tree, ret_root);
}

static mac_error *write_facts(const char *slot, const char *version, const char *arch, uint32_t blocks,
                              const char *root) {
    char sha256[65];
    uint64_t size;
    mac_error *error = publish_digest(slot, sha256, &size);
    if (error)
        return error;
    mac_autofree char *path = mac_asprintf("%s.json", slot);
    json_t *facts = json_pack("{ss ss sI sI ss ss}", "version", version, "arch", arch, "size", (json_int_t)size,
                              "data_blocks", (json_int_t)blocks, "root_hash", root, "sha256", sha256);
    if (!facts || json_dump_file(facts, path, JSON_COMPACT) < 0)
        error = publish_errno("write", path);
    json_decref(facts);
    return error;
}

mac_error *publish_slot(const char *data, const char *slot, const char *version, const char *arch) {
    char root[65];
    if (!mac_semver_valid(version))
        return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "\"%s\" is no version MAJOR.MINOR.PATCH", version);
    mac_autofd from = open(data, O_RDONLY | O_CLOEXEC);
    off_t length = from < 0 ? -1 : lseek(from, 0, SEEK_END);
    if (length < 0)
        return publish_errno("read", data);
    target to = {.path = slot, .fd = open(slot, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (to.fd < 0)
        return publish_errno("write", slot);
    uint64_t blocks = ((uint64_t)length + MAC_HASHTREE_BLOCK - 1) / MAC_HASHTREE_BLOCK;
    bool done = blocks >= 2 && blocks <= MAC_RELEASE_IMAGE_MAX / MAC_HASHTREE_BLOCK &&
                copy_blocks(from, &to, (uint32_t)blocks, root);
    mac_error *error = done ? NULL : publish_errno("write", slot);
    close(to.fd);
    return error ? error : write_facts(slot, version, arch, (uint32_t)blocks, root);
}

static const char *text_of(const json_t *tree, const char *key) {
    const char *text = json_string_value(json_object_get(tree, key));
    return text ? text : "";
}

mac_error *publish_read_slot(const char *directory, const char *name, char ret_version[MAC_SEMVER_MAX + 1],
                             mac_release_image *ret_image) {
    mac_release_image image = {.arch = ""};
    mac_autofree char *path = mac_asprintf("%s/%s", directory, name), *facts = mac_asprintf("%s.json", path);
    mac_error *error = publish_digest(path, image.sha256, &image.size);
    if (error)
        return error;
    json_t *tree = json_load_file(facts, JSON_REJECT_DUPLICATES, NULL);
    const char *version = text_of(tree, "version"), *arch = text_of(tree, "arch"), *root = text_of(tree, "root_hash");
    json_int_t blocks = json_integer_value(json_object_get(tree, "data_blocks"));
    bool good = mac_semver_valid(version) && *arch && strlen(arch) < sizeof image.arch &&
                mac_release_name_valid(name) && mac_release_digest_valid(root) &&
                mac_streq(text_of(tree, "sha256"), image.sha256) && blocks > 1 &&
                blocks <= (json_int_t)(MAC_RELEASE_IMAGE_MAX / MAC_RELEASE_BLOCK);
    if (good) {
        image.data_blocks = (uint32_t)blocks;
        snprintf(image.arch, sizeof image.arch, "%s", arch);
        snprintf(image.slot, sizeof image.slot, "%s", name);
        snprintf(image.root_hash, sizeof image.root_hash, "%s", root);
        snprintf(ret_version, MAC_SEMVER_MAX + 1, "%s", version);
        *ret_image = image;
    }
    json_decref(tree);
    return good ? NULL
                : mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                                "%s does not describe %s: expected version, arch, data_blocks, root_hash and sha256 as "
                                "the image is",
                                facts, name);
}
