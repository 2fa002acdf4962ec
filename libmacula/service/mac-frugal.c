/* A service is one loop with some kilobytes of state; most of what it costs is what its libraries do without being
 * asked.
 *
 * - Where a library starts a thread after all, glibc would give it a heap of its own. One is enough.
 * - libuv would start four threads at the first use of its pool. A service computes little there; one does. */
#include "service/mac-frugal.h"

#include <malloc.h>
#include <stdlib.h>

void mac_frugal(void) {
    mallopt(M_ARENA_MAX, 1);
    setenv("UV_THREADPOOL_SIZE", "1", 0);
}
