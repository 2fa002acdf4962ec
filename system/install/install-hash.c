#include "install-hash.h"

#include <string.h>

static void to_hex(const uint8_t digest[32], char ret_hex[65]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 32; i++) {
        ret_hex[2 * i] = digits[digest[i] >> 4];
        ret_hex[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_hex[64] = '\0';
}

void install_sha256_begin(install_sha256 *hash) {
    br_sha256_init(&hash->context);
}

void install_sha256_add(install_sha256 *hash, const void *data, size_t length) {
    br_sha256_update(&hash->context, data, length);
}

void install_sha256_end(install_sha256 *hash, char ret_hex[65]) {
    uint8_t digest[32];
    br_sha256_out(&hash->context, digest);
    to_hex(digest, ret_hex);
}

void install_verity_begin(install_verity *tree) {
    memset(tree, 0, sizeof *tree);
}

static void block_digest(const uint8_t *block, uint8_t ret_digest[32]) {
    br_sha256_context context;
    br_sha256_init(&context);
    br_sha256_update(&context, block, INSTALL_BLOCK);
    br_sha256_out(&context, ret_digest);
}

static void level_add(install_verity *tree, unsigned level, const uint8_t digest[32]);

/* A block of hashes is full, or the last of its level: its own hash belongs to the level above. */
static void level_finish(install_verity *tree, unsigned level) {
    uint8_t digest[32];
    memset(tree->level[level].block + tree->level[level].filled, 0, INSTALL_BLOCK - tree->level[level].filled);
    block_digest(tree->level[level].block, digest);
    tree->level[level].filled = 0;
    tree->level[level].blocks++;
    memcpy(tree->last, digest, sizeof digest);
    if (level + 1 < INSTALL_LEVELS)
        level_add(tree, level + 1, digest);
}

static void level_add(install_verity *tree, unsigned level, const uint8_t digest[32]) {
    memcpy(tree->level[level].block + tree->level[level].filled, digest, 32);
    tree->level[level].filled += 32;
    if (tree->level[level].filled == INSTALL_BLOCK)
        level_finish(tree, level);
}

void install_verity_add(install_verity *tree, const uint8_t block[INSTALL_BLOCK]) {
    uint8_t digest[32];
    block_digest(block, digest);
    tree->blocks++;
    memcpy(tree->last, digest, sizeof digest);
    level_add(tree, 0, digest);
}

/* The top is the level that has one block only. A single data block has no tree: its hash is the root. */
void install_verity_end(install_verity *tree, char ret_hex[65]) {
    for (unsigned level = 0; level < INSTALL_LEVELS && tree->blocks > 1; level++) {
        if (tree->level[level].filled)
            level_finish(tree, level);
        if (tree->level[level].blocks == 1)
            break;
    }
    to_hex(tree->last, ret_hex);
}
