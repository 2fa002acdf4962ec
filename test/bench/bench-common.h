/* What the call benchmarks share: pinning, the clock, percentiles and the line of JSON that test/bench/run reads. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_PAYLOAD 64         /* bytes each way */
#define BENCH_WARM_UP 2000       /* calls that are not counted */
#define BENCH_CALLS 30000        /* one at a time */
#define BENCH_BATCH_CALLS 200000 /* BENCH_WINDOW in flight */
#define BENCH_WINDOW 16

/* Everything of a benchmark, children included, runs on one core: what is measured is work, not the scheduler's luck.
 */
void bench_pin(void);
uint64_t bench_now_ns(void);
/* Sorts the samples; prints {"name": …, "p50_us": …, "p99_us": …, "per_s": …}. seconds: of the batch of
 * BENCH_BATCH_CALLS. */
void bench_report(const char *name, uint64_t *samples_ns, size_t count, double seconds);

#endif
