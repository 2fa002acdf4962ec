/* The few things that healthd does to the machine: its watchdog, its services beside the suite, a restart.
 *
 * Two implementations: Linux, when the root is "/", and a recording one for every other root. The recording one never
 * touches this machine: what it would have done stands in HEALTHD_RECORD below the root, a line each. What is only
 * looked at (memory, clocks, processes, file systems) is looked at in the same way in both. */
#ifndef HEALTHD_SYS_H
#define HEALTHD_SYS_H

#include <uv.h>

#include "base/mac-problem.h"
#include "fs/mac-fs.h"

#define HEALTHD_RECORD "/run/macula/healthd.record"
#define HEALTHD_RECORD_MAX 65536                       /* bytes; then it begins anew */
#define HEALTHD_FEEDER_FILE "/run/macula-watchdog.pid" /* who feeds until we do: overlay's start */
#define HEALTHD_IDENTITY_MAX 64

typedef struct healthd_sys healthd_sys;

typedef struct healthd_watchdog_facts {
    char identity[HEALTHD_IDENTITY_MAX]; /* what the driver calls itself */
    bool nowayout;                       /* cannot be disarmed */
    bool software;                       /* softdog: dies with the kernel that it watches */
    unsigned timeout_s;                  /* as the driver has it now */
} healthd_watchdog_facts;

/* The root outlives the sys. */
healthd_sys *healthd_sys_new(mac_root *root, uv_loop_t *loop);
void healthd_sys_free(healthd_sys *sys);
bool healthd_sys_is_recording(const healthd_sys *sys);

/* Opens the watchdog, which arms it or goes on with what armed it, and feeds it once. Who fed it until now (the pid in
 * HEALTHD_FEEDER_FILE) is ended first: of the same device with SIGKILL, so that it cannot disarm it on its way out; of
 * another one so that it does. -ENOENT: there is none; -EBUSY: somebody else has it. */
int healthd_sys_watchdog_open(healthd_sys *sys, const char *device, healthd_watchdog_facts *ret_facts) MAC_MUST_USE;
/* Asks for a time-out; *ret_seconds is what the driver made of it. */
int healthd_sys_watchdog_timeout(healthd_sys *sys, unsigned seconds, unsigned *ret_seconds) MAC_MUST_USE;
int healthd_sys_watchdog_feed(healthd_sys *sys) MAC_MUST_USE;
/* disarm: the magic letter, so that nothing happens when nobody feeds it. Otherwise it goes on counting. */
void healthd_sys_watchdog_close(healthd_sys *sys, bool disarm);

/* How a program ended; error NULL: well. */
typedef void (*healthd_sys_on_end)(const mac_error *error, void *data);
/* Runs a program; on_end comes later, exactly once; at the latest when the sys is freed. */
void healthd_sys_run(healthd_sys *sys, const char *const *argv, unsigned timeout_ms, healthd_sys_on_end on_end,
                     void *data);
/* Whether OpenRC knows a service of this name. */
bool healthd_sys_has_service(healthd_sys *sys, const char *name);
/* Restarts the machine by way of init. */
void healthd_sys_reboot(healthd_sys *sys, const char *reason);

/* ---- for the two implementations ---- */
typedef struct healthd_sys_call {
    healthd_sys *sys; /* NULL: it has been freed */
    healthd_sys_on_end on_end;
    void *data;
    char *name;
    uv_timer_t timer; /* recording */
    struct healthd_sys_call *next;
} healthd_sys_call;

typedef struct healthd_sys_ops {
    int (*open)(healthd_sys *sys, const char *device, healthd_watchdog_facts *ret_facts);
    int (*timeout)(healthd_sys *sys, unsigned seconds, unsigned *ret_seconds);
    int (*feed)(healthd_sys *sys);
    void (*close)(healthd_sys *sys, bool disarm);
    int (*run)(healthd_sys *sys, const char *const *argv, unsigned timeout_ms, healthd_sys_call *call);
    void (*reboot)(healthd_sys *sys, const char *reason);
} healthd_sys_ops;

struct healthd_sys {
    const healthd_sys_ops *ops;
    mac_root *root;
    uv_loop_t *loop;
    int watchdog; /* descriptor; -1: not open. Recording: 0 when open */
    bool fed;     /* recording: the last line says so */
    healthd_sys_call *calls;
};

extern const healthd_sys_ops healthd_sys_linux;
extern const healthd_sys_ops healthd_sys_record;
/* Ends a call: tells who waits, unless the sys is gone; the call is the caller's to free. */
void healthd_sys_call_end(healthd_sys_call *call, const mac_error *error);

#endif
