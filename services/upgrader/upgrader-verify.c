#include "upgrader-verify.h"

#include <string.h>

#include "base/mac-fault.h"
#include "release/mac-hashtree.h"
#include "release/mac-release.h"

#define PIECE (1u << 20)
#define WINDOW (256u << 10) /* of the stored tree that is read at once */

typedef struct check {
    upgrader_target *target;
    bool make_tree;
    uint8_t *block; /* aligned */
    uint64_t size;  /* of the image */
    uint8_t *window;
    uint64_t window_from, window_to;
    mac_error *error;
    bool differs;
} check;

/* A block of the tree that follows from the data: stored, or compared with what is stored. */
static bool on_block(uint64_t offset, const uint8_t block[MAC_HASHTREE_BLOCK], void *data) {
    check *c = data;
    if (c->make_tree) {
        memcpy(c->block, block, MAC_HASHTREE_BLOCK);
        c->error = upgrader_target_write(c->target, offset, c->block, MAC_HASHTREE_BLOCK);
        return !c->error;
    }
    c->error = upgrader_target_read(c->target, offset, c->block, MAC_HASHTREE_BLOCK);
    c->differs = !c->error && memcmp(c->block, block, MAC_HASHTREE_BLOCK) != 0;
    return !c->error && !c->differs;
}

static bool read_block(uint64_t offset, uint8_t ret_block[MAC_HASHTREE_BLOCK], void *data) {
    check *c = data;
    if (offset < c->window_from || offset >= c->window_to) {
        size_t length = c->size - offset < WINDOW ? (size_t)(c->size - offset) : WINDOW;
        c->error = upgrader_target_read(c->target, offset, c->window, length);
        c->window_from = offset;
        c->window_to = c->error ? offset : offset + length;
    }
    if (!c->error)
        memcpy(ret_block, c->window + (offset - c->window_from), MAC_HASHTREE_BLOCK);
    return !c->error;
}

static mac_error *another(const Macula__V1__UpgradeFound *found) {
    return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL,
                         "what was written is not version %s as it was signed: its root hash differs", found->version);
}

/* Data in order through the tree. */
static mac_error *read_data(check *c, const Macula__V1__UpgradeFound *found, mac_hashtree *tree,
                            void (*on_progress)(uint64_t done, void *data), void *data) {
    mac_autofree uint8_t *piece = upgrader_aligned(PIECE);
    uint64_t size = (uint64_t)found->data_blocks * MAC_HASHTREE_BLOCK;
    for (uint64_t at = 0; at < size; at += PIECE) {
        size_t length = size - at < PIECE ? (size_t)(size - at) : PIECE;
        mac_error *error = upgrader_target_read(c->target, at, piece, length);
        if (error)
            return error;
        if (!mac_hashtree_update(tree, piece, length))
            return c->error ? mac_take(&c->error) : another(found);
        on_progress(at + length, data);
    }
    return NULL;
}

static mac_error *check_stored_tree(check *c, const Macula__V1__UpgradeFound *found) {
    mac_autofree uint8_t *window = upgrader_aligned(WINDOW);
    c->window = window;
    c->size = found->size;
    mac_error *error = upgrader_target_sync(c->target);
    if (error || mac_hashtree_check(found->data_blocks, found->root_hash, read_block, c))
        return error;
    return c->error ? mac_take(&c->error) : another(found);
}

static mac_error *verify_all(check *c, const Macula__V1__UpgradeFound *found,
                             void (*on_progress)(uint64_t done, void *data), void *data) {
    mac_autoptr(mac_hashtree) tree = mac_hashtree_new(found->data_blocks, on_block, c);
    char root[65];
    mac_error *error = read_data(c, found, tree, on_progress, data);
    if (error)
        return error;
    if (!mac_hashtree_finish(tree, root))
        return c->error ? mac_take(&c->error) : another(found);
    if (!mac_streq(root, found->root_hash))
        return another(found);
    return c->make_tree ? check_stored_tree(c, found) : NULL;
}

/* The data has been read while it came: what it leads to, and whether the stored tree says the same. */
static mac_error *verify_rest(check *c, const Macula__V1__UpgradeFound *found, upgrader_readback *readback) {
    char root[65] = "";
    mac_error *error = upgrader_readback_finish(readback, root);
    if (error)
        return error;
    return mac_streq(root, found->root_hash) ? check_stored_tree(c, found) : another(found);
}

mac_error *upgrader_verify(upgrader_target *target, const Macula__V1__UpgradeFound *found, bool make_tree,
                           upgrader_readback *readback, void (*on_progress)(uint64_t done, void *data), void *data) {
    mac_autofree uint8_t *block = upgrader_aligned(MAC_HASHTREE_BLOCK);
    check c = {.target = target, .make_tree = make_tree, .block = block};
    mac_error *error = readback ? verify_rest(&c, found, readback) : verify_all(&c, found, on_progress, data);
    MAC_FAULT_POINT("upgrader.work.verified");
    return error;
}
