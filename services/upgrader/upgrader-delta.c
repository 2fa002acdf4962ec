#include "upgrader-delta.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "release/mac-release.h"

#define WINDOW (1u << 20) /* of a stream that is cut */

static void digest_of(const uint8_t *data, size_t length, uint8_t ret_digest[MAC_CHUNK_DIGEST]) {
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size;
    EVP_Digest(data, length, digest, &size, EVP_sha256(), NULL);
    memcpy(ret_digest, digest, MAC_CHUNK_DIGEST);
}

/* ---- finding chunks by their digest ---- */

typedef struct table {
    uint32_t *slots; /* number of a chunk + 1; 0: free */
    uint32_t mask;
    uint32_t *next; /* of a chunk: another one with the same digest + 1 */
} table;

static uint32_t hash_of(const uint8_t digest[MAC_CHUNK_DIGEST]) {
    uint32_t hash;
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

static uint32_t *find(const table *t, const mac_chunks *chunks, const uint8_t digest[MAC_CHUNK_DIGEST]) {
    uint32_t at = hash_of(digest) & t->mask;
    while (t->slots[at] && memcmp(chunks->items[t->slots[at] - 1].digest, digest, MAC_CHUNK_DIGEST) != 0)
        at = (at + 1) & t->mask;
    return &t->slots[at];
}

static void table_fill(table *t, const mac_chunks *chunks) {
    uint32_t size = 64;
    while (size < chunks->count * 2)
        size *= 2;
    t->slots = mac_calloc(size, sizeof *t->slots);
    t->next = mac_calloc(chunks->count + 1, sizeof *t->next);
    t->mask = size - 1;
    for (uint32_t i = 0; i < chunks->count; i++) {
        uint32_t *slot = find(t, chunks, chunks->items[i].digest);
        t->next[i] = *slot;
        *slot = i + 1;
    }
}

/* ---- what is in the running slot ---- */

static void note_chunk(upgrader_delta *delta, const table *t, const uint8_t *data, size_t length, uint64_t offset) {
    uint8_t digest[MAC_CHUNK_DIGEST];
    digest_of(data, length, digest);
    for (uint32_t i = *find(t, &delta->chunks, digest); i; i = t->next[i - 1])
        if (delta->chunks.items[i - 1].length == length && delta->origins[i - 1] == UPGRADER_FETCH)
            delta->origins[i - 1] = (int64_t)offset;
}

/* The size of the data in a slot, by its trailer; 0 when it says nothing. */
static uint64_t data_size(const char *path) {
    mac_boot_slot slot;
    mac_error *error = mac_boot_slot_read(path, &slot);
    uint64_t size = error ? 0 : (uint64_t)slot.verity.blocks * MAC_RELEASE_BLOCK;
    mac_error_free(error);
    return size;
}

static void scan_seed(upgrader_delta *delta, const table *t, const char *path) {
    uint64_t size = data_size(path), offset = 0;
    mac_autofd fd = open(path, O_RDONLY | O_CLOEXEC);
    mac_autofree uint8_t *window = mac_malloc(WINDOW);
    size_t have = 0;
    if (fd < 0)
        return;
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    while (offset < size) {
        while (have < WINDOW && offset + have < size) {
            size_t want = size - offset - have < WINDOW - have ? (size_t)(size - offset - have) : WINDOW - have;
            ssize_t got = pread(fd, window + have, want, (off_t)(offset + have));
            if (got <= 0)
                return; /* what was found so far is right */
            have += (size_t)got;
        }
        size_t at = 0;
        while (have - at >= MAC_CHUNK_MOST || (offset + have == size && at < have)) {
            size_t cut = mac_chunk_cut(window + at, have - at);
            note_chunk(delta, t, window + at, cut, offset + at);
            at += cut;
        }
        memmove(window, window + at, have - at);
        offset += at;
        have -= at;
    }
}

/* ---- what an earlier write has left ---- */

/* Reads any bytes of the target through aligned pieces. */
static mac_error *read_unaligned(upgrader_target *target, uint64_t offset, uint8_t *data, size_t length,
                                 uint8_t *scratch) {
    uint64_t begin = offset / MAC_RELEASE_BLOCK * MAC_RELEASE_BLOCK;
    uint64_t end = (offset + length + MAC_RELEASE_BLOCK - 1) / MAC_RELEASE_BLOCK * MAC_RELEASE_BLOCK;
    mac_error *error = upgrader_target_read(target, begin, scratch, (size_t)(end - begin));
    if (!error)
        memcpy(data, scratch + (offset - begin), length);
    return error;
}

#define SCRATCH (MAC_CHUNK_MOST + 2 * MAC_RELEASE_BLOCK)

static void scan_target(upgrader_delta *delta, upgrader_target *target) {
    mac_autofree uint8_t *scratch = upgrader_aligned(SCRATCH), *data = mac_malloc(MAC_CHUNK_MOST);
    uint8_t digest[MAC_CHUNK_DIGEST];
    for (size_t i = 0; i < delta->chunks.count; i++) {
        const mac_chunk *chunk = &delta->chunks.items[i];
        mac_error *error = read_unaligned(target, chunk->offset, data, chunk->length, scratch);
        if (error) {
            mac_error_free(error);
            return;
        }
        digest_of(data, chunk->length, digest);
        if (memcmp(digest, chunk->digest, sizeof digest) == 0)
            delta->origins[i] = UPGRADER_KEEP;
    }
}

/* ---- the plan ---- */

static mac_error *fetch_index(const Macula__V1__UpgradeWriteRequest *request, mac_chunks *ret_chunks) {
    const Macula__V1__UpgradeFound *found = request->found;
    mac_autoptr(mac_error) first = NULL;
    for (size_t i = 0; i < found->n_index_places; i++) {
        mac_autobuffer text = {0};
        uint8_t digest[EVP_MAX_MD_SIZE];
        unsigned length;
        char hex[65] = "";
        mac_error *error = upgrader_transfer_file(found->index_places[i], request->ca_file, found->index_size, &text);
        EVP_Digest(text.data ? text.data : "", text.length, digest, &length, EVP_sha256(), NULL);
        for (unsigned j = 0; j < 32; j++)
            snprintf(hex + 2 * j, 3, "%02x", digest[j]);
        if (!error && !mac_streq(hex, found->index_sha256)) {
            mac_autofree char *shown = mac_hide_logins(found->index_places[i]);
            error = mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, NULL, "%s is not the index that was signed", shown);
        }
        if (!error)
            return mac_chunks_parse(text.data, text.length, (uint64_t)found->data_blocks * MAC_RELEASE_BLOCK,
                                    ret_chunks);
        if (first)
            mac_error_free(error);
        else
            first = error;
    }
    return first ? mac_take(&first)
                 : mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "the release has no index of chunks");
}

/* Chunks between two needed ones that are not worth a request of their own. */
static void close_gaps(upgrader_delta *delta) {
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < delta->chunks.count; i++) {
        if (delta->origins[i] != UPGRADER_FETCH)
            continue;
        const mac_chunk *from = last == SIZE_MAX ? NULL : &delta->chunks.items[last];
        if (from && delta->chunks.items[i].offset - from->offset - from->length <= UPGRADER_DELTA_GAP)
            for (size_t j = last + 1; j < i; j++)
                delta->origins[j] = UPGRADER_FETCH;
        last = i;
    }
}

static void count(upgrader_delta *delta) {
    bool before = false;
    for (size_t i = 0; i < delta->chunks.count; i++) {
        bool fetch = delta->origins[i] == UPGRADER_FETCH;
        if (fetch)
            delta->fetch += delta->chunks.items[i].length;
        else
            delta->reuse += delta->chunks.items[i].length;
        delta->runs += fetch && !before;
        before = fetch;
    }
}

mac_error *upgrader_delta_plan(const Macula__V1__UpgradeWriteRequest *request, upgrader_target *target,
                               upgrader_delta *ret_delta, bool *ret_useful) {
    upgrader_delta delta = {.fetch = 0};
    mac_error *error = fetch_index(request, &delta.chunks);
    if (error)
        return error;
    delta.origins = mac_calloc(delta.chunks.count + 1, sizeof *delta.origins);
    for (size_t i = 0; i < delta.chunks.count; i++)
        delta.origins[i] = UPGRADER_FETCH;
    if (target && upgrader_target_mark(target) > 0)
        scan_target(&delta, target);
    table t;
    table_fill(&t, &delta.chunks);
    if (request->seed && delta.chunks.count)
        scan_seed(&delta, &t, request->seed);
    free(t.slots);
    free(t.next);
    close_gaps(&delta);
    count(&delta);
    *ret_useful = delta.fetch * 100 < delta.chunks.size * UPGRADER_DELTA_MOST;
    *ret_delta = delta;
    return NULL;
}

void upgrader_delta_deinit(upgrader_delta *delta) {
    mac_chunks_deinit(&delta->chunks);
    free(delta->origins);
    *delta = (upgrader_delta){.fetch = 0};
}

/* ---- putting it together ---- */

typedef struct run {
    upgrader_target *target;
    void (*on_progress)(uint64_t done, void *data);
    void *data;
    uint64_t done;
} run;

static bool put(const void *data, size_t length, void *user) {
    run *r = user;
    r->done += length;
    r->on_progress(r->done, r->data);
    return upgrader_target_put(r->target, data, length);
}

static mac_error *copy_seed(int seed, int64_t origin, const mac_chunk *chunk, uint8_t *data, run *r) {
    uint8_t digest[MAC_CHUNK_DIGEST];
    if (pread(seed, data, chunk->length, (off_t)origin) != (ssize_t)chunk->length)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "the running slot cannot be read at byte %lld",
                             (long long)origin);
    digest_of(data, chunk->length, digest);
    if (memcmp(digest, chunk->digest, sizeof digest) != 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "the running slot has changed at byte %lld",
                             (long long)origin);
    return put(data, chunk->length, r) ? NULL : mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "not taken");
}

mac_error *upgrader_delta_run(const upgrader_delta *delta, const Macula__V1__UpgradeWriteRequest *request,
                              upgrader_target *target, upgrader_transfer *transfer,
                              void (*on_progress)(uint64_t done, void *data), void *data) {
    mac_autofd seed = request->seed ? open(request->seed, O_RDONLY | O_CLOEXEC) : -1;
    mac_autofree uint8_t *bytes = mac_malloc(MAC_CHUNK_MOST), *scratch = upgrader_aligned(SCRATCH);
    run r = {target, on_progress, data, 0};
    mac_error *error = NULL;
    const mac_chunk *items = delta->chunks.items;
    for (size_t i = 0; i < delta->chunks.count && !error;) {
        size_t end = i + 1;
        if (delta->origins[i] == UPGRADER_FETCH) {
            uint64_t length = items[i].length;
            for (; end < delta->chunks.count && delta->origins[end] == UPGRADER_FETCH; end++)
                length += items[end].length;
            error = upgrader_transfer_part(transfer, items[i].offset, length, put, &r);
        } else if (delta->origins[i] == UPGRADER_KEEP) {
            error = read_unaligned(target, items[i].offset, bytes, items[i].length, scratch);
            if (!error && !put(bytes, items[i].length, &r))
                error = mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "not taken");
        } else {
            error = copy_seed(seed, delta->origins[i], &items[i], bytes, &r);
        }
        i = end;
    }
    return error;
}
