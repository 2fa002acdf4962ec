/* SHA-256 of a stream, and the root hash of the dm-verity tree that belongs to a stream of blocks: format 1, SHA-256,
 * blocks of 4096 bytes, no salt (as veritysetup and the kernel reckon). */
#ifndef INSTALL_HASH_H
#define INSTALL_HASH_H

#include <bearssl.h>

#include "base/mac-base.h"

#define INSTALL_BLOCK 4096u
#define INSTALL_LEVELS 6u /* 128^6 blocks: more than a disk has */

typedef struct install_sha256 {
    br_sha256_context context;
} install_sha256;

void install_sha256_begin(install_sha256 *hash);
void install_sha256_add(install_sha256 *hash, const void *data, size_t length);
void install_sha256_end(install_sha256 *hash, char ret_hex[65]);

typedef struct install_verity {
    struct {
        uint8_t block[INSTALL_BLOCK];
        size_t filled;
        uint64_t blocks; /* finished ones */
    } level[INSTALL_LEVELS];
    uint8_t last[32]; /* of the block added last */
    uint64_t blocks;
} install_verity;

void install_verity_begin(install_verity *tree);
void install_verity_add(install_verity *tree, const uint8_t block[INSTALL_BLOCK]);
void install_verity_end(install_verity *tree, char ret_hex[65]);

#endif
