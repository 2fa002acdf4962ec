/* What a server says, whole and cut into pieces of any size: it must come to the same. The first byte of an input is
 * where the first cut is. */
#include <string.h>

#include "test-bus-transcript.h"

#define PIECES_MAX 4096 /* of more bytes not every one is a piece: it takes too long */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t length = size - 1;
    mac_autofree char *whole = test_transcript(bytes, length, length, length),
                      *in_two = test_transcript(bytes, length, data[0], length),
                      *in_pieces = test_transcript(bytes, length, 0, length <= PIECES_MAX ? 1 : 61);
    if (strcmp(whole, in_two) != 0 || strcmp(whole, in_pieces) != 0)
        abort();
    return 0;
}
