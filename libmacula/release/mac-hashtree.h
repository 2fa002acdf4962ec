/* The dm-verity hash tree of a slot, as `veritysetup format --no-superblock --hash=sha256 --data-block-size=4096
 * --hash-block-size=4096 --salt=-` makes it behind the data: computed block by block while data passes, in constant
 * memory. SHA-256 is libcrypto's. */
#ifndef MAC_HASHTREE_H
#define MAC_HASHTREE_H

#include "base/mac-base.h"

#define MAC_HASHTREE_BLOCK 4096u
#define MAC_HASHTREE_LEVELS 5u /* 128^5 blocks are far more than an image may have */

typedef struct mac_hashtree mac_hashtree;

/* Called for each finished block of the tree, `offset` counts from the beginning of the slot. false ends the work. */
typedef bool (*mac_hashtree_block)(uint64_t offset, const uint8_t block[MAC_HASHTREE_BLOCK], void *data);

mac_hashtree *mac_hashtree_new(uint32_t data_blocks, mac_hashtree_block on_block, void *data);
void mac_hashtree_free(mac_hashtree *tree);
MAC_DEFINE_AUTOPTR(mac_hashtree, mac_hashtree_free)
/* The next data blocks, in order; length is a multiple of MAC_HASHTREE_BLOCK. false: more than was announced, or
 * on_block said so. */
bool mac_hashtree_update(mac_hashtree *tree, const uint8_t *data, size_t length);
/* After the last data block: the root hash as 64 hexadecimal digits. false: data is missing, or on_block said so. */
bool mac_hashtree_finish(mac_hashtree *tree, char ret_root[65]);
/* Whether a stored tree leads from its lowest level up to the root hash, as dm-verity would find: `read_block` fetches
 * a block of the slot. The data itself is not looked at. */
bool mac_hashtree_check(uint32_t data_blocks, const char *root,
                        bool (*read_block)(uint64_t offset, uint8_t ret_block[MAC_HASHTREE_BLOCK], void *data),
                        void *data);
/* Bytes of data and tree. */
uint64_t mac_hashtree_size(uint32_t data_blocks);

#endif
