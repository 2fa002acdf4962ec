#include "upgrader-readback.h"

#include <pthread.h>

#include "release/mac-hashtree.h"

#define PIECE (512u << 10)
#define PIECES 3u

struct upgrader_readback {
    upgrader_target *target;
    uint64_t size; /* bytes of data, without the tree */
    mac_hashtree *tree;
    uint8_t *pieces[PIECES];
    pthread_t reader, hasher;
    bool running;
    mac_error *error; /* the reader's, once it has ended */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock: */
    uint64_t written;      /* may be read up to here */
    uint64_t read, hashed; /* numbers of pieces */
    bool reader_ended, ended;
};

static uint64_t end_of(const upgrader_readback *readback, uint64_t number) {
    uint64_t end = (number + 1) * PIECE;
    return end < readback->size ? end : readback->size;
}

/* ---- reading ---- */

/* False: nothing more will come. */
static bool wait_for_room_and_data(upgrader_readback *readback) {
    pthread_mutex_lock(&readback->lock);
    while (!readback->ended &&
           (readback->read - readback->hashed >= PIECES || readback->written < end_of(readback, readback->read)))
        pthread_cond_wait(&readback->changed, &readback->lock);
    bool goes_on = !readback->ended;
    pthread_mutex_unlock(&readback->lock);
    return goes_on;
}

static void *read_loop(void *data) {
    upgrader_readback *readback = data;
    for (uint64_t number = 0; number * PIECE < readback->size && wait_for_room_and_data(readback); number++) {
        uint64_t at = number * PIECE;
        readback->error = upgrader_target_read(readback->target, at, readback->pieces[number % PIECES],
                                               (size_t)(end_of(readback, number) - at));
        if (readback->error)
            break;
        pthread_mutex_lock(&readback->lock);
        readback->read++;
        pthread_cond_broadcast(&readback->changed);
        pthread_mutex_unlock(&readback->lock);
    }
    pthread_mutex_lock(&readback->lock);
    readback->reader_ended = true;
    pthread_cond_broadcast(&readback->changed);
    pthread_mutex_unlock(&readback->lock);
    return NULL;
}

/* ---- hashing ---- */

static bool wait_for_piece(upgrader_readback *readback) {
    pthread_mutex_lock(&readback->lock);
    while (readback->hashed == readback->read && !readback->reader_ended)
        pthread_cond_wait(&readback->changed, &readback->lock);
    bool is_there = readback->hashed < readback->read && !readback->ended;
    pthread_mutex_unlock(&readback->lock);
    return is_there;
}

static void *hash_loop(void *data) {
    upgrader_readback *readback = data;
    for (uint64_t number = 0; wait_for_piece(readback); number++) {
        size_t length = (size_t)(end_of(readback, number) - number * PIECE);
        bool good = mac_hashtree_update(readback->tree, readback->pieces[number % PIECES], length);
        pthread_mutex_lock(&readback->lock);
        readback->hashed++;
        readback->ended = readback->ended || !good; /* more than the tree is for: it finishes without a root hash */
        pthread_cond_broadcast(&readback->changed);
        pthread_mutex_unlock(&readback->lock);
    }
    return NULL;
}

/* ---- both ---- */

upgrader_readback *upgrader_readback_new(upgrader_target *target, const Macula__V1__UpgradeFound *found) {
    upgrader_readback *readback = mac_calloc(1, sizeof *readback);
    readback->target = target;
    readback->size = (uint64_t)found->data_blocks * MAC_HASHTREE_BLOCK;
    readback->tree = mac_hashtree_new(found->data_blocks, NULL, NULL);
    for (unsigned i = 0; i < PIECES; i++)
        readback->pieces[i] = upgrader_aligned(PIECE);
    pthread_mutex_init(&readback->lock, NULL);
    pthread_cond_init(&readback->changed, NULL);
    if (pthread_create(&readback->reader, NULL, read_loop, readback) != 0 ||
        pthread_create(&readback->hasher, NULL, hash_loop, readback) != 0)
        abort();
    readback->running = true;
    return readback;
}

static void join(upgrader_readback *readback) {
    if (readback->running) {
        pthread_join(readback->reader, NULL);
        pthread_join(readback->hasher, NULL);
    }
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
    for (unsigned i = 0; i < PIECES; i++)
        free(readback->pieces[i]);
    mac_error_free(readback->error);
    mac_hashtree_free(readback->tree);
    pthread_cond_destroy(&readback->changed);
    pthread_mutex_destroy(&readback->lock);
    free(readback);
}

void upgrader_readback_offer(upgrader_readback *readback, uint64_t written) {
    pthread_mutex_lock(&readback->lock);
    if (written > readback->written)
        readback->written = written;
    pthread_cond_broadcast(&readback->changed);
    pthread_mutex_unlock(&readback->lock);
}

mac_error *upgrader_readback_finish(upgrader_readback *readback, char ret_root[65]) {
    join(readback);
    if (!readback->error && !mac_hashtree_finish(readback->tree, ret_root))
        ret_root[0] = '\0'; /* leads to no root hash at all */
    return mac_take(&readback->error);
}
