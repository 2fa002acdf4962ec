#include "upgrader-readback.h"

#include <pthread.h>

#include "release/mac-hashtree.h"

#define PIECE (1u << 20)

struct upgrader_readback {
    upgrader_target *target;
    uint64_t size; /* bytes of data, without the tree */
    mac_hashtree *tree;
    pthread_t thread;
    bool running;
    mac_error *error; /* of the thread, once it has ended */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t durable; /* under the lock */
    bool ended;
};

/* How far may be read; waits until that is more than `at`. At most `at` when nothing more will come. */
static uint64_t wait_for_more(upgrader_readback *readback, uint64_t at) {
    pthread_mutex_lock(&readback->lock);
    while (readback->durable <= at && !readback->ended)
        pthread_cond_wait(&readback->changed, &readback->lock);
    uint64_t durable = readback->ended ? 0 : readback->durable;
    pthread_mutex_unlock(&readback->lock);
    return durable;
}

static void *read_loop(void *data) {
    upgrader_readback *readback = data;
    mac_autofree uint8_t *piece = upgrader_aligned(PIECE);
    for (uint64_t at = 0; at < readback->size;) {
        uint64_t durable = wait_for_more(readback, at);
        if (durable <= at)
            break;
        size_t length = durable - at < PIECE ? (size_t)(durable - at) : PIECE;
        readback->error = upgrader_target_read(readback->target, at, piece, length);
        if (readback->error || !mac_hashtree_update(readback->tree, piece, length))
            break;
        at += length;
    }
    return NULL;
}

upgrader_readback *upgrader_readback_new(upgrader_target *target, const Macula__V1__UpgradeFound *found) {
    upgrader_readback *readback = mac_calloc(1, sizeof *readback);
    readback->target = target;
    readback->size = (uint64_t)found->data_blocks * MAC_HASHTREE_BLOCK;
    readback->tree = mac_hashtree_new(found->data_blocks, NULL, NULL);
    pthread_mutex_init(&readback->lock, NULL);
    pthread_cond_init(&readback->changed, NULL);
    if (pthread_create(&readback->thread, NULL, read_loop, readback) != 0)
        abort();
    readback->running = true;
    return readback;
}

static void join(upgrader_readback *readback) {
    if (readback->running)
        pthread_join(readback->thread, NULL);
    readback->running = false;
}

void upgrader_readback_free(upgrader_readback *readback) {
    if (!readback)
        return;
    pthread_mutex_lock(&readback->lock);
    readback->ended = true;
    pthread_cond_broadcast(&readback->changed);
    pthread_mutex_unlock(&readback->lock);
    join(readback);
    mac_error_free(readback->error);
    mac_hashtree_free(readback->tree);
    pthread_cond_destroy(&readback->changed);
    pthread_mutex_destroy(&readback->lock);
    free(readback);
}

void upgrader_readback_offer(upgrader_readback *readback, uint64_t durable) {
    pthread_mutex_lock(&readback->lock);
    if (durable > readback->size)
        durable = readback->size;
    if (durable > readback->durable)
        readback->durable = durable;
    pthread_cond_broadcast(&readback->changed);
    pthread_mutex_unlock(&readback->lock);
}

mac_error *upgrader_readback_finish(upgrader_readback *readback, char ret_root[65]) {
    join(readback);
    if (!readback->error && !mac_hashtree_finish(readback->tree, ret_root))
        ret_root[0] = '\0'; /* leads to no root hash at all */
    return mac_take(&readback->error);
}
