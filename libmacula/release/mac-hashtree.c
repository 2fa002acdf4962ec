#include "release/mac-hashtree.h"

#include <openssl/evp.h>
#include <string.h>

#define HASH 32u
#define FANOUT (MAC_HASHTREE_BLOCK / HASH)

typedef struct level {
    uint64_t start; /* block of the slot where this level begins */
    uint64_t done;  /* finished blocks */
    size_t filled;  /* bytes of the block that is being filled */
    uint8_t block[MAC_HASHTREE_BLOCK];
} level;

struct mac_hashtree {
    EVP_MD_CTX *context;
    EVP_MD *digest;
    uint32_t data_blocks, seen;
    unsigned count; /* levels; [0] hashes the data */
    level levels[MAC_HASHTREE_LEVELS];
    uint8_t root[HASH];
    mac_hashtree_block on_block;
    void *data;
};

/* The level on top stands first in the slot, the one of the data last. */
static unsigned plan(uint32_t data_blocks, uint64_t sizes[MAC_HASHTREE_LEVELS]) {
    unsigned count = 0;
    uint64_t blocks = data_blocks;
    do {
        blocks = (blocks + FANOUT - 1) / FANOUT;
        sizes[count++] = blocks;
    } while (blocks > 1 && count < MAC_HASHTREE_LEVELS);
    return count;
}

uint64_t mac_hashtree_size(uint32_t data_blocks) {
    uint64_t sizes[MAC_HASHTREE_LEVELS], blocks = data_blocks;
    unsigned count = plan(data_blocks, sizes);
    for (unsigned i = 0; i < count; i++)
        blocks += sizes[i];
    return blocks * MAC_HASHTREE_BLOCK;
}

mac_hashtree *mac_hashtree_new(uint32_t data_blocks, mac_hashtree_block on_block, void *data) {
    mac_hashtree *tree = mac_calloc(1, sizeof *tree);
    uint64_t sizes[MAC_HASHTREE_LEVELS], start = data_blocks;
    tree->context = EVP_MD_CTX_new();
    tree->digest = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!tree->context || !tree->digest)
        abort();
    tree->data_blocks = data_blocks;
    tree->count = plan(data_blocks, sizes);
    for (unsigned i = tree->count; i-- > 0;) {
        tree->levels[i].start = start;
        start += sizes[i];
    }
    tree->on_block = on_block;
    tree->data = data;
    return tree;
}

void mac_hashtree_free(mac_hashtree *tree) {
    if (!tree)
        return;
    EVP_MD_CTX_free(tree->context);
    EVP_MD_free(tree->digest);
    free(tree);
}

static void hash_block(mac_hashtree *tree, const uint8_t *block, uint8_t ret_hash[HASH]) {
    unsigned length = HASH;
    EVP_DigestInit_ex2(tree->context, tree->digest, NULL);
    EVP_DigestUpdate(tree->context, block, MAC_HASHTREE_BLOCK);
    EVP_DigestFinal_ex(tree->context, ret_hash, &length);
}

static bool add_hash(mac_hashtree *tree, unsigned index, const uint8_t hash[HASH]);

static bool finish_block(mac_hashtree *tree, unsigned index) {
    level *l = &tree->levels[index];
    uint8_t hash[HASH];
    memset(l->block + l->filled, 0, sizeof l->block - l->filled);
    hash_block(tree, l->block, hash);
    uint64_t offset = (l->start + l->done) * MAC_HASHTREE_BLOCK;
    l->done++;
    l->filled = 0;
    if (tree->on_block && !tree->on_block(offset, l->block, tree->data))
        return false;
    if (index + 1 < tree->count)
        return add_hash(tree, index + 1, hash);
    memcpy(tree->root, hash, HASH);
    return true;
}

static bool add_hash(mac_hashtree *tree, unsigned index, const uint8_t hash[HASH]) {
    level *l = &tree->levels[index];
    memcpy(l->block + l->filled, hash, HASH);
    l->filled += HASH;
    return l->filled < sizeof l->block || finish_block(tree, index);
}

bool mac_hashtree_update(mac_hashtree *tree, const uint8_t *data, size_t length) {
    uint8_t hash[HASH];
    for (size_t at = 0; at + MAC_HASHTREE_BLOCK <= length; at += MAC_HASHTREE_BLOCK) {
        if (tree->seen++ >= tree->data_blocks)
            return false;
        hash_block(tree, data + at, hash);
        if (!add_hash(tree, 0, hash))
            return false;
    }
    return true;
}

static void to_hex(const uint8_t hash[HASH], char ret_hex[65]) {
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < HASH; i++) {
        ret_hex[2 * i] = digits[hash[i] >> 4];
        ret_hex[2 * i + 1] = digits[hash[i] & 15];
    }
    ret_hex[64] = '\0';
}

bool mac_hashtree_check(uint32_t data_blocks, const char *root,
                        bool (*read_block)(uint64_t offset, uint8_t ret_block[MAC_HASHTREE_BLOCK], void *data),
                        void *data) {
    mac_autoptr(mac_hashtree) tree = mac_hashtree_new(data_blocks, NULL, NULL);
    uint64_t sizes[MAC_HASHTREE_LEVELS];
    uint8_t block[MAC_HASHTREE_BLOCK], parent[MAC_HASHTREE_BLOCK], hash[HASH];
    char hex[65];
    unsigned count = plan(data_blocks, sizes);
    for (unsigned i = 0; i < count; i++)
        for (uint64_t j = 0; j < sizes[i]; j++) {
            if (!read_block((tree->levels[i].start + j) * MAC_HASHTREE_BLOCK, block, data))
                return false;
            hash_block(tree, block, hash);
            to_hex(hash, hex);
            if (i + 1 == count)
                return strcmp(hex, root) == 0;
            if (j % FANOUT == 0 &&
                !read_block((tree->levels[i + 1].start + j / FANOUT) * MAC_HASHTREE_BLOCK, parent, data))
                return false;
            if (memcmp(parent + (j % FANOUT) * HASH, hash, HASH) != 0)
                return false;
        }
    return false;
}

bool mac_hashtree_finish(mac_hashtree *tree, char ret_root[65]) {
    if (tree->seen != tree->data_blocks)
        return false;
    for (unsigned i = 0; i < tree->count; i++)
        if (tree->levels[i].filled && !finish_block(tree, i))
            return false;
    to_hex(tree->root, ret_root);
    return true;
}
