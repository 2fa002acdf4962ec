/* The few things that confd does to the kernel and to other programs.
 *
 * Two implementations: Linux, when the root is "/", and a recording one for every other root. The recording one never
 * touches this machine: it keeps the state in files below the root (DIR/proc/sys/…, DIR/sys/module/…), so that inspect
 * and drift see what was applied, and it remembers the programs that it would have run. */
#ifndef CONFD_SYS_H
#define CONFD_SYS_H

#include <uv.h>

#include "fs/mac-fs.h"

typedef struct confd_sys confd_sys;
typedef struct confd_sys_call confd_sys_call; /* a program that runs */

enum confd_power {
    CONFD_POWER_OFF, /* install with power_off, `maculaos power off` */
    CONFD_REBOOT,    /* a change that needs it */
};

/* How a program ended. exit_code -1: killed, or it could not be started (then output says why). */
typedef struct confd_sys_result {
    int exit_code;
    bool missing; /* there is no such program */
    const char *output;
} confd_sys_result;
typedef void (*confd_sys_on_end)(const confd_sys_result *result, void *data);

/* Linux if the root is the system, else recording. Both outlive the sys. */
confd_sys *confd_sys_new(mac_root *root, uv_loop_t *loop);
/* Calls that still run (an undo starts some that nobody waits for) end by themselves on the loop. */
void confd_sys_free(confd_sys *sys);

/* The kernel's host name. Caller frees. */
int confd_sys_hostname(confd_sys *sys, char **ret_name) MAC_MUST_USE;
int confd_sys_set_hostname(confd_sys *sys, const char *name) MAC_MUST_USE;

/* A kernel parameter by its key in sysctl's spelling: net.ipv4.ip_forward or net/ipv4/conf/eth0.7/forwarding. The value
 * has its white space made single and trimmed. -ENOENT: there is none; -EINVAL: not a key. Writing NULL forgets a
 * recorded one; on Linux it is -EINVAL. */
int confd_sys_sysctl_read(confd_sys *sys, const char *key, char **ret_value) MAC_MUST_USE;
int confd_sys_sysctl_write(confd_sys *sys, const char *key, const char *value) MAC_MUST_USE;
/* Path of a key below /proc/sys; -EINVAL for a key that leads elsewhere. Caller frees. */
int confd_sys_sysctl_path(const char *key, char **ret_path) MAC_MUST_USE;

/* Whether a module is loaded or built in. */
bool confd_sys_module_loaded(confd_sys *sys, const char *name);
/* modprobe with parameters ("opt=1 other=2", may be NULL). on_end comes later, exactly once. */
void confd_sys_module_load(confd_sys *sys, const char *name, const char *const *parameters, confd_sys_on_end on_end,
                           void *data, confd_sys_call **ret_call);

/* Runs a helper program; on_end comes later, exactly once. ret_call may be NULL: then it cannot be cancelled. */
void confd_sys_run(confd_sys *sys, const char *const *argv, unsigned timeout_ms, confd_sys_on_end on_end, void *data,
                   confd_sys_call **ret_call);
void confd_sys_cancel(confd_sys_call *call);

/* Powers off or reboots by way of init. */
int confd_sys_power(confd_sys *sys, enum confd_power power) MAC_MUST_USE;
/* Sets the clock, milliseconds of Unix time. */
int confd_sys_set_time(confd_sys *sys, int64_t unix_ms) MAC_MUST_USE;

/* ---- of the recording one, for tests ---- */
bool confd_sys_is_recording(const confd_sys *sys);
/* What it would have done, a line each: "run modprobe overlay", "reboot". */
const mac_strings *confd_sys_record_calls(const confd_sys *sys);
/* From now on programs whose line begins with `prefix` end with this code (-2: as if missing). One prefix; NULL: none.
 */
void confd_sys_record_fail(confd_sys *sys, const char *prefix, int exit_code);

/* ---- for the two implementations ---- */
typedef struct confd_sys_ops {
    int (*hostname)(confd_sys *sys, char **ret_name);
    int (*set_hostname)(confd_sys *sys, const char *name);
    int (*sysctl_write)(confd_sys *sys, const char *path, const char *value);
    void (*run)(confd_sys *sys, const char *const *argv, unsigned timeout_ms, confd_sys_call *call);
    void (*cancel)(confd_sys_call *call);
    int (*power)(confd_sys *sys, enum confd_power power);
    int (*set_time)(confd_sys *sys, int64_t unix_ms);
} confd_sys_ops;

struct confd_sys {
    const confd_sys_ops *ops;
    mac_root *root;
    uv_loop_t *loop;
    size_t running;    /* calls without an end yet */
    bool freed;        /* the last of them destroys it */
    mac_strings calls; /* recording */
    char *fail_prefix; /* recording */
    int fail_code;
};

struct confd_sys_call {
    confd_sys *sys;
    confd_sys_on_end on_end;
    void *data;
    void *handle; /* the implementation's */
    uv_timer_t timer;
    int exit_code;
    bool missing;
    char *module; /* recording: appears as loaded when the call succeeds */
};

extern const confd_sys_ops confd_sys_linux;
extern const confd_sys_ops confd_sys_record;
/* Calls on_end from the next turn of the loop and frees the call. */
void confd_sys_call_end_later(confd_sys_call *call);
/* Calls on_end now and frees the call. */
void confd_sys_call_end(confd_sys_call *call, const confd_sys_result *result);

#endif
