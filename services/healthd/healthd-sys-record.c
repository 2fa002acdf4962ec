/* A machine that is only written down: HEALTHD_RECORD below the root. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "healthd-sys.h"

static void record(healthd_sys *sys, const char *line) {
    int fd;
    struct stat st;
    int more = mac_fs_stat(sys->root, HEALTHD_RECORD, &st) == 0 && st.st_size > HEALTHD_RECORD_MAX ? O_TRUNC : 0;
    if (mac_fs_open(sys->root, HEALTHD_RECORD, O_WRONLY | O_APPEND | O_CREAT | more, 0600, &fd) < 0)
        return;
    mac_autofree char *text = mac_asprintf("%s\n", line);
    if (write(fd, text, strlen(text)) < 0)
        (void)errno; /* nobody waits for it */
    close(fd);
}

static int record_open(healthd_sys *sys, const char *device, healthd_watchdog_facts *ret_facts) {
    mac_autofree char *line = mac_asprintf("watchdog open %s", device);
    record(sys, line);
    sys->watchdog = 0;
    sys->fed = false;
    *ret_facts = (healthd_watchdog_facts){.identity = "recorded", .timeout_s = 60};
    return 0;
}

static int record_timeout(healthd_sys *sys, unsigned seconds, unsigned *ret_seconds) {
    mac_autofree char *line = mac_asprintf("watchdog timeout %u", seconds);
    record(sys, line);
    *ret_seconds = seconds;
    return 0;
}

static int record_feed(healthd_sys *sys) {
    if (!sys->fed)
        record(sys, "watchdog feed"); /* once for all that follow each other */
    sys->fed = true;
    return 0;
}

static void record_close(healthd_sys *sys, bool disarm) {
    record(sys, disarm ? "watchdog disarm" : "watchdog close armed");
    sys->watchdog = -1;
}

static void on_timer_closed(uv_handle_t *handle) {
    healthd_sys_call *call = handle->data;
    free(call->name);
    free(call);
}

static void on_timer(uv_timer_t *timer) {
    healthd_sys_call_end(timer->data, NULL);
    uv_close((uv_handle_t *)timer, on_timer_closed);
}

static int record_run(healthd_sys *sys, const char *const *argv, unsigned timeout_ms, healthd_sys_call *call) {
    (void)timeout_ms;
    mac_autobuffer line = {0};
    mac_buffer_text(&line, "run");
    for (size_t i = 0; argv[i]; i++)
        mac_buffer_printf(&line, " %s", argv[i]);
    record(sys, line.data);
    uv_timer_init(sys->loop, &call->timer);
    call->timer.data = call;
    uv_timer_start(&call->timer, on_timer, 0, 0);
    return 0;
}

static void record_reboot(healthd_sys *sys, const char *reason) {
    mac_autofree char *line = mac_asprintf("reboot %s", reason);
    record(sys, line);
}

const healthd_sys_ops healthd_sys_record = {record_open,  record_timeout, record_feed,
                                            record_close, record_run,     record_reboot};
