#include "bench-common.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void bench_pin(void) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(0, &cores);
    if (sched_setaffinity(0, sizeof cores, &cores) < 0)
        perror("bench: cannot pin to core 0");
}

uint64_t bench_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void bench_report(const char *name, uint64_t *samples_ns, size_t count, double seconds) {
    qsort(samples_ns, count, sizeof *samples_ns, compare);
    printf("{\"name\": \"%s\", \"p50_us\": %.1f, \"p99_us\": %.1f, \"per_s\": %.0f}\n", name,
           (double)samples_ns[count / 2] / 1000, (double)samples_ns[count * 99 / 100] / 1000,
           BENCH_BATCH_CALLS / seconds);
}
