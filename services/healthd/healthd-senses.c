/* What the kernel tells by itself: that the time of day was set (a timer that is cancelled by it), and that a process
 * was killed for memory (a line of its log, listened to only while a rule of auto_heal wants it). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "healthd-manager.h"
#include "log/mac-log.h"

#define KERNEL_LOG "/dev/kmsg"
#define RECORD_MAX 8192

/* ---- the clock ---- */

static int clock_arm(int fd) {
    struct itimerspec never = {.it_value = {.tv_sec = (time_t)(INT64_MAX / 2000000000ll)}};
    return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

static void on_clock(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    healthd_manager *manager = poll->data;
    uint64_t count;
    if (read(manager->clock_fd, &count, sizeof count) >= 0 || errno != ECANCELED)
        return;
    (void)clock_arm(manager->clock_fd);
    mac_log_info("the clock was set", NULL);
    for (size_t i = 0; i < manager->plan->count; i++)
        if (manager->plan->checks[i]->type == HEALTHD_CLOCK)
            manager->plan->checks[i]->due_boot = healthd_boot_ms();
    healthd_manager_arm(manager);
}

/* ---- the kernel's log ---- */

static void on_kernel(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    healthd_manager *manager = poll->data;
    char record[RECORD_MAX];
    bool killed = false;
    for (;;) { /* one read a record; EPIPE: some were overwritten */
        ssize_t length = read(manager->kernel_fd, record, sizeof record - 1);
        if (length < 0 && (errno == EPIPE || errno == EINTR))
            continue;
        if (length <= 0)
            break;
        record[length] = '\0';
        killed = killed || strstr(record, "oom-kill:") || strstr(record, "Out of memory: Killed process");
    }
    if (killed)
        healthd_heal_oom(manager);
}

static void on_closed(uv_handle_t *handle) {
    healthd_manager *manager = handle->data;
    if (handle == (uv_handle_t *)&manager->kernel) {
        close(manager->kernel_fd);
        manager->kernel_fd = -1;
    } else {
        close(manager->clock_fd);
        manager->clock_fd = -1;
    }
    if (--manager->handles == 0 && manager->stopping)
        free(manager);
}

static void watch(healthd_manager *manager, uv_poll_t *poll, int fd, uv_poll_cb callback) {
    uv_poll_init(manager->loop, poll, fd);
    poll->data = manager;
    manager->handles++;
    uv_poll_start(poll, UV_READABLE, callback);
}

void healthd_senses_apply(healthd_manager *manager) {
    bool wanted = false;
    for (size_t i = 0; i < manager->plan->rule_count; i++)
        wanted = wanted || manager->plan->rules[i].trigger == HEALTHD_WHEN_OOM;
    if (!wanted || manager->kernel_fd >= 0 || healthd_sys_is_recording(manager->sys))
        return;
    int fd = open(KERNEL_LOG, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        mac_log_warning("kills for memory are not seen", "file=" KERNEL_LOG " error=%s", strerror(errno));
        return;
    }
    (void)lseek(fd, 0, SEEK_END);
    manager->kernel_fd = fd;
    watch(manager, &manager->kernel, fd, on_kernel);
}

void healthd_senses_open(healthd_manager *manager) {
    manager->kernel_fd = -1;
    manager->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (manager->clock_fd >= 0 && clock_arm(manager->clock_fd) == 0) {
        watch(manager, &manager->clock, manager->clock_fd, on_clock);
        return;
    }
    if (manager->clock_fd >= 0)
        close(manager->clock_fd);
    manager->clock_fd = -1;
}

void healthd_senses_close(healthd_manager *manager) {
    if (manager->clock_fd >= 0)
        uv_close((uv_handle_t *)&manager->clock, on_closed);
    if (manager->kernel_fd >= 0)
        uv_close((uv_handle_t *)&manager->kernel, on_closed);
}
