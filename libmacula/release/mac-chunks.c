#include "release/mac-chunks.h"

#include <string.h>

static const char magic[8] = "MACCHNK1";

static uint64_t read_le(const uint8_t *p, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static void write_le(uint8_t *p, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

void mac_chunks_deinit(mac_chunks *chunks) {
    free(chunks->items);
    *chunks = (mac_chunks){0};
}

static mac_error *bad(const char *what) {
    return mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL, "the index of chunks: %s", what);
}

mac_error *mac_chunks_parse(const void *data, size_t length, uint64_t size, mac_chunks *ret_chunks) {
    const uint8_t *p = data;
    if (length < MAC_CHUNKS_HEADER || memcmp(p, magic, sizeof magic) != 0 || read_le(p + 12, 4) != 0)
        return bad("its header expected (MACCHNK1)");
    uint64_t count = read_le(p + 8, 4);
    if (read_le(p + 16, 8) != size)
        return bad("it covers another size than the manifest says");
    if (count == 0 || length != MAC_CHUNKS_HEADER + count * MAC_CHUNKS_ENTRY)
        return bad("its length and its number of chunks differ");
    mac_autochunks chunks = {.items = mac_calloc((size_t)count, sizeof *chunks.items), .size = size};
    uint64_t offset = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *entry = p + MAC_CHUNKS_HEADER + i * MAC_CHUNKS_ENTRY;
        mac_chunk *chunk = &chunks.items[chunks.count++];
        chunk->offset = offset;
        chunk->length = (uint32_t)read_le(entry, 4);
        memcpy(chunk->digest, entry + 4, sizeof chunk->digest);
        bool last = i + 1 == count;
        if (chunk->length > MAC_CHUNK_MOST || chunk->length < (last ? 1 : MAC_CHUNK_LEAST))
            return bad("a chunk of 4 to 64 KiB expected");
        offset += chunk->length;
    }
    if (offset != size)
        return bad("its chunks do not add up to its size");
    *ret_chunks = chunks;
    chunks.items = NULL;
    return NULL;
}

void *mac_chunks_encode(const mac_chunks *chunks, size_t *ret_length) {
    size_t length = MAC_CHUNKS_HEADER + chunks->count * MAC_CHUNKS_ENTRY;
    uint8_t *data = mac_calloc(1, length);
    memcpy(data, magic, sizeof magic);
    write_le(data + 8, chunks->count, 4);
    write_le(data + 16, chunks->size, 8);
    for (size_t i = 0; i < chunks->count; i++) {
        uint8_t *entry = data + MAC_CHUNKS_HEADER + i * MAC_CHUNKS_ENTRY;
        write_le(entry, chunks->items[i].length, 4);
        memcpy(entry + 4, chunks->items[i].digest, MAC_CHUNK_DIGEST);
    }
    *ret_length = length;
    return data;
}

/* ---- where to cut ---- */

/* One random-looking number a byte value: splitmix64 of it. */
static uint64_t gear(uint8_t byte) {
    static uint64_t table[256];
    if (!table[0])
        for (unsigned i = 0; i < 256; i++) {
            uint64_t x = (i + 1) * 0x9e3779b97f4a7c15ull;
            x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
            x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
            table[i] = x ^ (x >> 31);
        }
    return table[byte];
}

/* Past LEAST a cut comes with 1:16384 a byte up to 16 KiB (rarely too early), and 1:4096 from there on, so that lengths
 * gather around 16 KiB. */
#define MASK_EARLY 0xfffc000000000000ull /* 14 bits */
#define MASK_LATE 0xfff0000000000000ull  /* 12 bits */
#define NORMAL (16u << 10)

size_t mac_chunk_cut(const uint8_t *data, size_t length) {
    if (length <= MAC_CHUNK_LEAST)
        return length;
    size_t most = length < MAC_CHUNK_MOST ? length : MAC_CHUNK_MOST;
    size_t normal = most < NORMAL ? most : NORMAL;
    uint64_t hash = 0;
    /* 64 bytes before the first possible cut fill the hash. */
    for (size_t i = MAC_CHUNK_LEAST - 64; i < MAC_CHUNK_LEAST; i++)
        hash = (hash << 1) + gear(data[i]);
    size_t i = MAC_CHUNK_LEAST;
    for (; i < normal; i++) {
        hash = (hash << 1) + gear(data[i]);
        if (!(hash & MASK_EARLY))
            return i + 1;
    }
    for (; i < most; i++) {
        hash = (hash << 1) + gear(data[i]);
        if (!(hash & MASK_LATE))
            return i + 1;
    }
    return most;
}
