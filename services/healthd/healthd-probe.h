/* One look of a check: started, bounded by the check's time-out, over when it has said what it saw.
 *
 * At most one look of a check runs. What cannot be ended at its time-out (a worker that hangs in the kernel) stays
 * beside the check, and the looks that come meanwhile are bad without starting anything more: hangs do not pile up. */
#ifndef HEALTHD_PROBE_H
#define HEALTHD_PROBE_H

#include <uv.h>

#include "bus/mac-bus.h"
#include "fs/mac-fs.h"
#include "healthd-check.h"

#define HEALTHD_PROBE_END_MS 5000 /* a look that was ended is gone by then, or hangs */

typedef struct healthd_prober {
    uv_loop_t *loop;
    mac_bus *bus;
    mac_root *root;
    const char *realm;
    /* What a look saw; perhaps before healthd_probe_start returns. */
    void (*on_look)(healthd_check *check, bool good, const char *message, uint32_t took_ms, void *data);
    /* Something has happened that makes a look worth while now. */
    void (*on_event)(healthd_check *check, void *data);
    /* The last of the looks and watches is gone, after healthd_prober_end. */
    void (*on_idle)(void *data);
    void *data;
    size_t alive;
    bool ending;
} healthd_prober;

/* One that runs counts for this, too; after one that is just going, another one is made. */
void healthd_probe_start(healthd_prober *prober, healthd_check *check);
/* The check goes away: nothing is said any more. */
void healthd_probe_abandon(healthd_check *check);
/* Every check has been abandoned; on_idle comes when nothing runs any more, perhaps before this returns. */
void healthd_prober_end(healthd_prober *prober);

/* Milliseconds since the machine's start, sleep included. */
uint64_t healthd_boot_ms(void);

/* ---- between the healthd-probe-*.c ---- */
typedef struct healthd_probe healthd_probe;
struct healthd_probe {
    healthd_prober *prober;
    healthd_check *check; /* NULL: abandoned */
    uv_timer_t timer;
    uint64_t started_ms;
    unsigned parts; /* handles, requests, children that still have to end; the timer is one */
    bool said;
    bool hung;                          /* HEALTHD_PROBE_END_MS after that it is there still */
    bool again;                         /* another look was asked for meanwhile */
    void (*stop)(healthd_probe *probe); /* ends what runs, which then lets go of its part; may be called again */
    void *work;                         /* of the kind of look; freed with the probe */
};

/* Says what was seen (once counts) and stops what runs. */
void healthd_probe_say(healthd_probe *probe, bool good, const char *format, ...) MAC_PRINTF(3, 4);
/* A part has ended. A probe that has said nothing by then says that it ended without an answer. */
void healthd_probe_release(healthd_probe *probe);

void healthd_probe_tcp(healthd_probe *probe);
void healthd_probe_http(healthd_probe *probe);
void healthd_probe_https(healthd_probe *probe);
void healthd_probe_disk(healthd_probe *probe);
void healthd_probe_exec(healthd_probe *probe);
void healthd_probe_bus(healthd_probe *probe);

/* healthd-probe-kernel.c: at once. */
void healthd_probe_memory(healthd_probe *probe);
void healthd_probe_clock(healthd_probe *probe);
void healthd_probe_entropy(healthd_probe *probe);

/* healthd-process.c: a process is found by its name once; then the kernel tells when it ends. */
void healthd_probe_process(healthd_probe *probe);
bool healthd_process_is_watched(const healthd_check *check);
void healthd_process_forget(healthd_check *check);

#endif
