/* Any bytes as an index of chunks, for the size that it says itself: what is accepted is encoded to the same bytes. And
 * the bytes cut as a stream: no cut is empty or too long. */
#include <stdlib.h>
#include <string.h>

#include "release/mac-chunks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t covered = 0;
    if (size >= MAC_CHUNKS_HEADER)
        memcpy(&covered, data + 16, sizeof covered);
    mac_autochunks chunks = {0};
    mac_error *error = mac_chunks_parse(data, size, covered, &chunks);
    if (!error) {
        size_t length;
        mac_autofree uint8_t *again = mac_chunks_encode(&chunks, &length);
        if (length != size || memcmp(again, data, size) != 0)
            abort();
    }
    mac_error_free(error);
    for (size_t at = 0; at < size;) {
        size_t cut = mac_chunk_cut(data + at, size - at);
        if (cut == 0 || cut > size - at || cut > MAC_CHUNK_MOST)
            abort();
        at += cut;
    }
    return 0;
}
