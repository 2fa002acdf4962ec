/* Inside the worker: getting files and parts of files from where they are: a URL, or a path of this machine.
 *
 * A transfer that breaks off goes on where it was, after a growing pause with chance; when a place fails for good the
 * next one goes on. */
#ifndef UPGRADER_TRANSFER_H
#define UPGRADER_TRANSFER_H

#include "base/mac-problem.h"

#define UPGRADER_TRIES 4u /* of one place in a row without a byte */

typedef struct upgrader_transfer {
    char *const *places; /* URLs or absolute paths, the best first */
    size_t count;
    size_t current; /* the place that is used now */
    const char *ca_file;
    uint64_t bandwidth; /* bytes a second; 0: no limit */
    uint64_t total;     /* bytes of the whole file */
    uint64_t fetched;   /* bytes that came, of all parts */
    uint32_t requests;
} upgrader_transfer;

/* false: it cannot be taken; the transfer ends with CANCELLED. */
typedef bool (*upgrader_piece)(const void *data, size_t length, void *user);

/* `length` bytes from `first` on. NULL, or the error of the first place. UNSUPPORTED: no place sends parts, or the
 * right ones. */
mac_error *upgrader_transfer_part(upgrader_transfer *transfer, uint64_t first, uint64_t length, upgrader_piece piece,
                                  void *user);
/* A whole small file from one place. */
mac_error *upgrader_transfer_file(const char *place, const char *ca_file, size_t limit, mac_buffer *ret_text);

#endif
