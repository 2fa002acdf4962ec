/* A service is one loop with some kilobytes of state; most of what it costs is what its libraries do without being
 * asked.
 *
 * - libnats starts threads; glibc would give each a heap of its own. One is enough.
 * - libuv would start four threads at the first use of its pool. A service computes little there; one does.
 * - libnats takes the seed of its message ids from OpenSSL's RAND_bytes, nothing else of OpenSSL on a connection
 * without TLS, as ours to the server on the loopback are. That one call makes OpenSSL initialise itself: configuration
 * file, providers, tables of error texts, generators. It is answered here instead, by the same source OpenSSL would ask
 * (getrandom(2)). The dynamic linker finds this definition first because the program comes before its libraries.
 * OpenSSL itself is bound to its own (-Bsymbolic), so a connection with TLS works as ever. */
#include "service/mac-frugal.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/random.h>

int RAND_bytes(unsigned char *data, int length);

/* RAND_bytes(3ssl): 1, or 0 when there is no randomness. */
__attribute__((visibility("default"), used)) int RAND_bytes(unsigned char *data, int length) {
    for (int done = 0; done < length;) {
        ssize_t n = getrandom(data + done, (size_t)(length - done), 0);
        if (n < 0 && errno != EINTR)
            return 0;
        done += n > 0 ? (int)n : 0;
    }
    return 1;
}

void mac_frugal(void) {
    mallopt(M_ARENA_MAX, 1);
    setenv("UV_THREADPOOL_SIZE", "1", 0);
}
