/* The index of an image's chunks: where its content may be cut, and a digest of each piece, so that a node can find out
 * which pieces it has already.
 *
 * Form, little-endian: the 8 bytes "MACCHNK1"; u32 number of chunks; u32 zero; u64 size of what is covered; then for
 * each chunk u32 length and the first 16 bytes of its SHA-256. The chunks follow each other from offset 0. Covered are
 * the data blocks of a slot only: its hash tree is computed, not fetched.
 *
 * Nothing depends on a digest of 16 bytes alone: what was put together is verified as a whole. */
#ifndef MAC_CHUNKS_H
#define MAC_CHUNKS_H

#include "base/mac-problem.h"

#define MAC_CHUNK_LEAST (4u << 10)
#define MAC_CHUNK_MOST (64u << 10)
#define MAC_CHUNK_DIGEST 16u
#define MAC_CHUNKS_HEADER 24u
#define MAC_CHUNKS_ENTRY 20u

typedef struct mac_chunk {
    uint64_t offset;
    uint32_t length;
    uint8_t digest[MAC_CHUNK_DIGEST];
} mac_chunk;

typedef struct mac_chunks {
    mac_chunk *items;
    size_t count;
    uint64_t size;
} mac_chunks;
#define mac_autochunks __attribute__((cleanup(mac_chunks_deinit))) mac_chunks

/* NULL, or INVALID: `size` is what the manifest says is covered. */
mac_error *mac_chunks_parse(const void *data, size_t length, uint64_t size, mac_chunks *ret_chunks);
/* The file; caller frees. */
void *mac_chunks_encode(const mac_chunks *chunks, size_t *ret_length);
void mac_chunks_deinit(mac_chunks *chunks);

/* Cuts a stream into chunks by its content, so that an insertion moves cuts only near to it: a gear hash, on average
 * 16 KiB, at least MAC_CHUNK_LEAST, at most MAC_CHUNK_MOST. Answers the length of the first chunk of `data`; the caller
 * offers at least MAC_CHUNK_MOST bytes unless the stream ends sooner. Part of the format: publishers and nodes must cut
 * alike. */
size_t mac_chunk_cut(const uint8_t *data, size_t length);

#endif
