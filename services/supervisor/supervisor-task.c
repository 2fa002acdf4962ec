#include "supervisor-task.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "supervisor-log.h"

char **supervisor_environment(const mac_strings *added) {
    size_t count = 0, used = 0;
    while (environ[count])
        count++;
    char **result = mac_calloc(count + added->count + 1, sizeof *result);
    for (size_t i = 0; i < count; i++) {
        size_t name = strcspn(environ[i], "=") + 1;
        bool replaced = false;
        for (size_t j = 0; j < added->count && !replaced; j++)
            replaced = strncmp(environ[i], added->items[j], name) == 0;
        if (!replaced)
            result[used++] = environ[i];
    }
    for (size_t j = 0; j < added->count; j++)
        result[used++] = added->items[j];
    return result;
}

static void on_line(const char *line, size_t length, void *data) {
    supervisor_task *task = data;
    if (!task->hooks.line || task->hooks.line(task, line, length, task->hooks.data))
        supervisor_log_line(task->unit.name, line, length);
}

static void on_exit_(int wait_status, void *data) {
    supervisor_task *task = data;
    task->process = NULL;
    supervisor_unit_exited(&task->unit, wait_status);
}

/* A sanitizer's shadow of the memory is larger than any limit. */
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) ||               \
    __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

static uint64_t data_max_of(const Macula__V1__Unit *file) {
    return IS_SANITIZED ? 0 : file->memory_max_bytes;
}

static int spawn(supervisor_unit *unit, pid_t *ret_pid, char **ret_message, void *data) {
    supervisor_task *task = data;
    mac_autofree char *program = NULL;
    mac_autostrings arguments = {0}, environment = {0};
    int result = task->hooks.prepare(task, &program, &arguments, &environment, ret_message, task->hooks.data);
    if (result < 0)
        return result;
    mac_autofree char **all = supervisor_environment(&environment);
    supervisor_process_options options = {
        .program = program,
        .arguments = arguments.items,
        .environment = all,
        .death_signal = task->death_signal,
        .data_max = task->data_max ? task->data_max : data_max_of(unit->file),
        .files_max = unit->file->files_max,
        .on_line = on_line,
        .on_exit = on_exit_,
        .data = task,
    };
    result = supervisor_process_start(task->host->children, &options, &task->process);
    if (result < 0) {
        *ret_message = mac_asprintf("%s cannot be started: %s", program, strerror(-result));
        return result;
    }
    *ret_pid = supervisor_process_pid(task->process);
    return 0;
}

static void kill_(supervisor_unit *unit, pid_t pid, int signal_number, void *data) {
    (void)unit;
    (void)pid;
    supervisor_task *task = data;
    if (task->process)
        supervisor_process_kill(task->process, signal_number);
}

static void on_timer(uv_timer_t *timer) {
    supervisor_task *task = timer->data;
    supervisor_unit_timer(&task->unit);
}

static void arm(supervisor_unit *unit, uint64_t ms, void *data) {
    (void)unit;
    supervisor_task *task = data;
    uv_update_time(task->host->loop);
    if (ms)
        uv_timer_start(&task->timer, on_timer, ms, 0);
    else
        uv_timer_stop(&task->timer);
}

static uint64_t now_ms(void *data) {
    (void)data;
    return mac_now_ms();
}

static uint32_t chance(void *data) {
    (void)data;
    uint32_t value;
    mac_random(&value, sizeof value);
    return value;
}

static void changed(supervisor_unit *unit, supervisor_state from, void *data) {
    (void)unit;
    supervisor_task *task = data;
    task->hooks.changed(task, from, task->hooks.data);
}

void supervisor_task_init(supervisor_task *task, supervisor_host *host, const char *name, Macula__V1__Unit *file,
                          supervisor_policy policy, const supervisor_task_hooks *hooks) {
    supervisor_unit_ops ops = {spawn, kill_, arm, now_ms, chance, changed, task};
    *task = (supervisor_task){.host = host, .hooks = *hooks, .death_signal = SIGKILL};
    supervisor_unit_init(&task->unit, name, file, policy, &ops);
    uv_timer_init(host->loop, &task->timer);
    task->timer.data = task;
}

void supervisor_task_close(supervisor_task *task, uv_close_cb on_closed) {
    uv_close((uv_handle_t *)&task->timer, on_closed);
}

void supervisor_task_free(supervisor_task *task) {
    supervisor_unit_deinit(&task->unit);
}
