/* confd-sys.h on a real machine: the root is "/". */
#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "confd-sys.h"
#include "flow/mac-command.h"

#define HOSTNAME_MAX 64

static int linux_hostname(confd_sys *sys, char **ret_name) {
    (void)sys;
    char name[HOSTNAME_MAX + 1] = {0};
    if (gethostname(name, HOSTNAME_MAX) < 0)
        return -errno;
    *ret_name = mac_strdup(name);
    return 0;
}

static int linux_set_hostname(confd_sys *sys, const char *name) {
    (void)sys;
    return sethostname(name, strlen(name)) < 0 ? -errno : 0;
}

static int linux_sysctl_write(confd_sys *sys, const char *path, const char *value) {
    return value ? mac_fs_write_direct(sys->root, path, value, strlen(value)) : -EINVAL;
}

static void on_command_end(mac_command *command, const mac_command_result *result, void *data) {
    (void)command;
    confd_sys_result end = {.exit_code = result->exit_code,
                            .output = result->timed_out ? "it took too long" : result->output};
    confd_sys_call_end(data, &end);
}

static void linux_run(confd_sys *sys, const char *const *argv, unsigned timeout_ms, confd_sys_call *call) {
    mac_command_options options = {.loop = sys->loop,
                                   .argv = argv,
                                   .timeout_ms = timeout_ms,
                                   .output_max = 4096,
                                   .on_end = on_command_end,
                                   .data = call};
    mac_command *command = NULL;
    int r = mac_command_start(&options, &command);
    call->handle = command;
    if (r < 0) {
        call->exit_code = -1;
        call->missing = r == -ENOENT;
        confd_sys_call_end_later(call);
    }
}

static void linux_cancel(confd_sys_call *call) {
    if (call->handle)
        mac_command_cancel(call->handle);
}

static int linux_power(confd_sys *sys, enum confd_power power) {
    const char *argv[] = {power == CONFD_REBOOT ? "reboot" : "poweroff", NULL};
    confd_sys_run(sys, argv, 0, NULL, NULL, NULL);
    return 0;
}

static int linux_set_time(confd_sys *sys, int64_t unix_ms) {
    (void)sys;
    struct timeval time = {.tv_sec = unix_ms / 1000, .tv_usec = unix_ms % 1000 * 1000};
    return settimeofday(&time, NULL) < 0 ? -errno : 0;
}

const confd_sys_ops confd_sys_linux = {
    .hostname = linux_hostname,
    .set_hostname = linux_set_hostname,
    .sysctl_write = linux_sysctl_write,
    .run = linux_run,
    .cancel = linux_cancel,
    .power = linux_power,
    .set_time = linux_set_time,
};
