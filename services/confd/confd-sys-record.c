/* confd-sys.h for every root that is not "/": state in files below it, programs only noted. */
#include <errno.h>
#include <string.h>

#include "confd-sys.h"

/* The kernel's own name for it, so that sysctl kernel.hostname and the host name agree as on a real machine. */
#define HOSTNAME_FILE "/proc/sys/kernel/hostname"
#define POWER_DIR "/run/macula/applied"
#define POWER_FILE POWER_DIR "/power" /* what the machine was last told to do */

static int record_sysctl_write(confd_sys *sys, const char *path, const char *value) {
    if (!value) {
        int r = mac_fs_remove_relaxed(sys->root, path);
        return r == -ENOENT ? 0 : r;
    }
    const char *slash = strrchr(path, '/');
    mac_autofree char *directory = mac_strndup(path, (size_t)(slash - path));
    int r = mac_fs_mkdirs(sys->root, directory, 0755);
    if (r < 0)
        return r;
    mac_autofree char *line = mac_asprintf("%s\n", value);
    return mac_fs_write(sys->root, path, line, strlen(line), MAC_FS_KEEP_AS(MAC_FS_RELAXED)); /* as in a kernel */
}

static int record_hostname(confd_sys *sys, char **ret_name) {
    int r = confd_sys_sysctl_read(sys, "kernel.hostname", ret_name);
    if (r != -ENOENT)
        return r;
    *ret_name = mac_strdup("");
    return 0;
}

static int record_set_hostname(confd_sys *sys, const char *name) {
    mac_strings_addf(&sys->calls, "hostname %s", name);
    return record_sysctl_write(sys, HOSTNAME_FILE, *name ? name : NULL);
}

static void record_run(confd_sys *sys, const char *const *argv, unsigned timeout_ms, confd_sys_call *call) {
    (void)timeout_ms;
    mac_autobuffer line = {0};
    mac_buffer_text(&line, "run");
    for (; *argv; argv++)
        mac_buffer_printf(&line, " %s", *argv);
    mac_strings_add(&sys->calls, line.data);
    if (sys->fail_prefix && mac_starts_with(line.data, sys->fail_prefix)) {
        call->missing = sys->fail_code == -2;
        call->exit_code = call->missing ? -1 : sys->fail_code;
    } else if (call->module && mac_fs_mkdirs(sys->root, call->module, 0755) < 0) {
        call->exit_code = 1;
    }
    confd_sys_call_end_later(call);
}

static void record_cancel(confd_sys_call *call) {
    call->exit_code = -1; /* its end is on the way */
}

static int record_power(confd_sys *sys, enum confd_power power) {
    const char *what = power == CONFD_REBOOT ? "reboot" : "poweroff";
    mac_strings_add(&sys->calls, what);
    int r = mac_fs_mkdirs(sys->root, POWER_DIR, 0755);
    return r < 0 ? r : mac_fs_write(sys->root, POWER_FILE, what, strlen(what), MAC_FS_KEEP_AS(MAC_FS_RELAXED));
}

static int record_set_time(confd_sys *sys, int64_t unix_ms) {
    mac_strings_addf(&sys->calls, "time %lld", (long long)unix_ms);
    return 0;
}

const confd_sys_ops confd_sys_record = {
    .hostname = record_hostname,
    .set_hostname = record_set_hostname,
    .sysctl_write = record_sysctl_write,
    .run = record_run,
    .cancel = record_cancel,
    .power = record_power,
    .set_time = record_set_time,
};
