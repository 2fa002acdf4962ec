/* The machine itself. */
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "boot/mac-boot-running.h"
#include "flow/mac-command.h"
#include "healthd-sys.h"
#include "log/mac-log.h"

#define FEEDER_MAX 32
#define FEEDER_WAIT_MS 1000 /* from SIGKILL to the end of a small program */

/* ---- the watchdog ---- */

/* Whether a process is the feeder: numbers are used again. */
static bool is_feeder(pid_t pid) {
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    mac_autofd fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, name, sizeof name - 1);
    if (length <= 0)
        return false;
    name[strcspn(name, "\n")] = '\0';
    return strcmp(name, "watchdog") == 0 || strcmp(name, "busybox") == 0;
}

/* Ends who feeds the watchdog that the initramfs has armed. SIGKILL, as on any other signal it would disarm it; that it
 * shall when the configuration names another device: nobody would feed this one. */
static void end_feeder(healthd_sys *sys, const char *device) {
    mac_autofree char *text = NULL;
    mac_autorunning running = {0};
    int signal =
        mac_boot_running_read(sys->root, &running) == 0 && mac_streq(running.watchdog, device) ? SIGKILL : SIGTERM;
    if (mac_fs_read(sys->root, HEALTHD_FEEDER_FILE, FEEDER_MAX, &text, NULL) < 0)
        return;
    pid_t pid = (pid_t)strtol(text, NULL, 10);
    mac_autofd process = pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (process >= 0 && is_feeder(pid) && syscall(SYS_pidfd_send_signal, process, signal, NULL, 0) == 0) {
        poll(&(struct pollfd){.fd = process, .events = POLLIN}, 1, FEEDER_WAIT_MS);
        mac_log_info("watchdog taken over", "from=%d", (int)pid);
    }
    (void)!mac_fs_remove_relaxed(sys->root, HEALTHD_FEEDER_FILE);
}

/* Drivers may be told never to stop. /dev/watchdog is the first one. */
static bool has_no_way_out(healthd_sys *sys, const char *device) {
    const char *name = strrchr(device, '/') + 1;
    mac_autofree char *path =
        mac_asprintf("/sys/class/watchdog/%s/nowayout", strcmp(name, "watchdog") == 0 ? "watchdog0" : name);
    mac_autofree char *text = NULL;
    return mac_fs_read(sys->root, path, 64, &text, NULL) == 0 && text[0] == '1';
}

static int watchdog_open(healthd_sys *sys, const char *device, healthd_watchdog_facts *ret_facts) {
    end_feeder(sys, device);
    int fd = open(device, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENXIO || errno == ENODEV ? -ENOENT : -errno;
    struct watchdog_info info = {0};
    int seconds = 0;
    if (ioctl(fd, WDIOC_GETSUPPORT, &info) < 0) { /* not a watchdog at all */
        int result = -errno;
        close(fd);
        return result;
    }
    sys->watchdog = fd;
    (void)ioctl(fd, WDIOC_GETTIMEOUT, &seconds);
    (void)ioctl(fd, WDIOC_KEEPALIVE, 0);
    *ret_facts = (healthd_watchdog_facts){.timeout_s = seconds > 0 ? (unsigned)seconds : 0};
    snprintf(ret_facts->identity, sizeof ret_facts->identity, "%.*s", (int)sizeof info.identity,
             (const char *)info.identity);
    ret_facts->nowayout = has_no_way_out(sys, device);
    ret_facts->software = strstr(ret_facts->identity, "Software") != NULL;
    return 0;
}

static int watchdog_timeout(healthd_sys *sys, unsigned seconds, unsigned *ret_seconds) {
    int value = (int)seconds;
    if (ioctl(sys->watchdog, WDIOC_SETTIMEOUT, &value) < 0)
        return -errno;
    *ret_seconds = value > 0 ? (unsigned)value : seconds;
    return 0;
}

static int watchdog_feed(healthd_sys *sys) {
    return ioctl(sys->watchdog, WDIOC_KEEPALIVE, 0) < 0 ? -errno : 0;
}

static void watchdog_close(healthd_sys *sys, bool disarm) {
    if (disarm && write(sys->watchdog, "V", 1) != 1)
        mac_log_warning("watchdog not disarmed", "error=%s", strerror(errno));
    close(sys->watchdog);
    sys->watchdog = -1;
}

/* ---- programs ---- */

static void on_command_end(mac_command *command, const mac_command_result *result, void *data) {
    (void)command;
    healthd_sys_call *call = data;
    mac_autoptr(mac_error) error = mac_command_error(call->name, result);
    healthd_sys_call_end(call, error);
    free(call->name);
    free(call);
}

static int run(healthd_sys *sys, const char *const *argv, unsigned timeout_ms, healthd_sys_call *call) {
    mac_command *command;
    return mac_command_start(&(mac_command_options){.loop = sys->loop,
                                                    .argv = argv,
                                                    .timeout_ms = timeout_ms,
                                                    .output_max = 4096,
                                                    .on_end = on_command_end,
                                                    .data = call},
                             &command);
}

/* busybox init takes SIGTERM for a restart. */
static void reboot_(healthd_sys *sys, const char *reason) {
    (void)sys;
    mac_log_error("machine restarts", "reason=" MAC_LOG_Q("%s"), reason);
    kill(1, SIGTERM);
}

const healthd_sys_ops healthd_sys_linux = {watchdog_open, watchdog_timeout, watchdog_feed, watchdog_close,
                                           run,           reboot_};
