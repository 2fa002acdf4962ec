/* What the reader of the protocol makes of bytes, as a text: for the tests and the fuzzer. */
#ifndef TEST_BUS_TRANSCRIPT_H
#define TEST_BUS_TRANSCRIPT_H

#include "bus-protocol.h"

/* Feeds the bytes in pieces: up to `cut`, then `piece` at a time. The bytes that are there always end where their
 * memory ends, and move between two pieces, so that a sanitizer sees a look beyond them. Every item is a line; caller
 * frees. */
char *test_transcript(const char *bytes, size_t length, size_t cut, size_t piece);

#endif
