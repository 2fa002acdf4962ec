/* What both implementations of healthd-sys.h share. */
#include "healthd-sys.h"

#include <string.h>

healthd_sys *healthd_sys_new(mac_root *root, uv_loop_t *loop) {
    healthd_sys *sys = mac_calloc(1, sizeof *sys);
    sys->root = root;
    sys->loop = loop;
    sys->watchdog = -1;
    sys->ops = mac_root_is_system(root) ? &healthd_sys_linux : &healthd_sys_record;
    return sys;
}

void healthd_sys_free(healthd_sys *sys) {
    if (!sys)
        return;
    mac_autoptr(mac_error) over = mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "healthd ends");
    while (sys->calls) { /* they end by themselves; who waits is told now */
        healthd_sys_call *call = sys->calls;
        healthd_sys_call_end(call, over);
        call->sys = NULL;
    }
    free(sys);
}

bool healthd_sys_is_recording(const healthd_sys *sys) {
    return sys->ops == &healthd_sys_record;
}

int healthd_sys_watchdog_open(healthd_sys *sys, const char *device, healthd_watchdog_facts *ret_facts) {
    return sys->ops->open(sys, device, ret_facts);
}

int healthd_sys_watchdog_timeout(healthd_sys *sys, unsigned seconds, unsigned *ret_seconds) {
    return sys->ops->timeout(sys, seconds, ret_seconds);
}

int healthd_sys_watchdog_feed(healthd_sys *sys) {
    return sys->ops->feed(sys);
}

void healthd_sys_watchdog_close(healthd_sys *sys, bool disarm) {
    if (sys->watchdog >= 0)
        sys->ops->close(sys, disarm);
}

static void call_forget(healthd_sys_call *call) {
    healthd_sys_call **at = &call->sys->calls;
    while (*at && *at != call)
        at = &(*at)->next;
    if (*at)
        *at = call->next;
}

void healthd_sys_call_end(healthd_sys_call *call, const mac_error *error) {
    if (!call->sys)
        return;
    call_forget(call);
    call->on_end(error, call->data);
}

void healthd_sys_run(healthd_sys *sys, const char *const *argv, unsigned timeout_ms, healthd_sys_on_end on_end,
                     void *data) {
    healthd_sys_call *call = mac_calloc(1, sizeof *call);
    *call =
        (healthd_sys_call){.sys = sys, .on_end = on_end, .data = data, .name = mac_strdup(argv[0]), .next = sys->calls};
    sys->calls = call;
    int result = sys->ops->run(sys, argv, timeout_ms, call);
    if (result == 0)
        return;
    mac_autoptr(mac_error) error = mac_error_from_errno(result, "%s cannot be run", argv[0]);
    healthd_sys_call_end(call, error);
    free(call->name);
    free(call);
}

bool healthd_sys_has_service(healthd_sys *sys, const char *name) {
    struct stat st;
    mac_autofree char *path = mac_asprintf("/etc/init.d/%s", name);
    return !strchr(name, '/') && mac_fs_stat(sys->root, path, &st) == 0;
}

void healthd_sys_reboot(healthd_sys *sys, const char *reason) {
    sys->ops->reboot(sys, reason);
}
