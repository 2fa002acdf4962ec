/* A file of its own, so that a test can bring another clock. */
#include <time.h>

#include "healthd-probe.h"

uint64_t healthd_boot_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
