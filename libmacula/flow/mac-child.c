#include "flow/mac-child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "flow/mac-command.h"

static void on_closed(uv_handle_t *handle) {
    mac_child *child = handle->data;
    if (--child->open_handles > 0)
        return;
    if (child->input_copy)
        explicit_bzero(child->input_copy, child->input_length);
    free(child->input_copy);
    child->on_free(child);
}

static void close_handle(uv_handle_t *handle) {
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void close_handles(mac_child *child) {
    if (child->spawned)
        close_handle((uv_handle_t *)&child->process);
    close_handle((uv_handle_t *)&child->pipe);
    close_handle((uv_handle_t *)&child->input);
    close_handle((uv_handle_t *)&child->timer);
}

static void end(mac_child *child) {
    child->phase = MAC_CHILD_ENDED;
    child->on_end(child);
    close_handles(child);
}

/* To every process of the group. After the leader was reaped the number still names its group as long as a member
 * lives. */
static bool signal_group(const mac_child *child, int number) {
    return kill(-child->pid, number) == 0;
}

static void on_timer(uv_timer_t *timer);

static void terminate(mac_child *child) {
    child->phase = MAC_CHILD_TERMINATING;
    signal_group(child, SIGTERM);
    uv_timer_start(&child->timer, on_timer, child->kill_ms, 0);
}

void mac_child_kill(mac_child *child) {
    if (child->phase == MAC_CHILD_RUNNING || child->phase == MAC_CHILD_TERMINATING) {
        child->phase = MAC_CHILD_KILLED;
        uv_timer_stop(&child->timer);
        signal_group(child, SIGKILL);
    }
}

void mac_child_cancel(mac_child *child) {
    if (child->phase != MAC_CHILD_RUNNING)
        return;
    child->cancelled = true;
    terminate(child);
}

static void on_timer(uv_timer_t *timer) {
    mac_child *child = timer->data;
    switch (child->phase) {
    case MAC_CHILD_RUNNING:
        child->timed_out = true;
        terminate(child);
        break;
    case MAC_CHILD_TERMINATING:
        mac_child_kill(child);
        break;
    case MAC_CHILD_EXITED:
        child->cut_short = signal_group(child, SIGKILL);
        end(child);
        break;
    case MAC_CHILD_KILLED:
    case MAC_CHILD_ENDED:
        break;
    }
}

static void on_process_exit(uv_process_t *process, int64_t exit_status, int term_signal) {
    mac_child *child = process->data;
    bool ended_by_us = child->phase != MAC_CHILD_RUNNING;
    child->exit_code = term_signal ? -1 : (int)exit_status;
    child->signal = term_signal;
    child->phase = MAC_CHILD_EXITED;
    if (ended_by_us)
        signal_group(child, SIGKILL);
    if (child->pipe_ended)
        end(child);
    else
        uv_timer_start(&child->timer, on_timer, MAC_COMMAND_GRACE_MS, 0);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer) {
    (void)suggested;
    mac_child *child = handle->data;
    *ret_buffer = uv_buf_init(child->chunk, sizeof child->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer) {
    mac_child *child = stream->data;
    if (length >= 0) {
        child->on_data(child, buffer->base, (size_t)length);
        return;
    }
    uv_read_stop(stream);
    child->pipe_ended = true;
    if (child->phase == MAC_CHILD_EXITED)
        end(child);
}

static void on_written(uv_write_t *write, int status) {
    (void)status; /* a child that does not read its input says so by how it ends */
    mac_child *child = write->data;
    close_handle((uv_handle_t *)&child->input);
}

/* A pipe of which one end is a uv stream and the other, close-on-exec too, is for the child. */
static int open_pipe(uv_pipe_t *stream, bool reading, int *ret_child_end) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    int r = uv_pipe_open(stream, ends[reading ? 0 : 1]);
    if (r < 0) {
        close(ends[0]);
        close(ends[1]);
        return r;
    }
    *ret_child_end = ends[reading ? 1 : 0];
    return 0;
}

static void init_handles(mac_child *child, uv_loop_t *loop) {
    uv_pipe_init(loop, &child->pipe, 0);
    uv_pipe_init(loop, &child->input, 0);
    uv_timer_init(loop, &child->timer);
    child->process.data = child->pipe.data = child->input.data = child->timer.data = child;
    child->write.data = child;
    child->open_handles = 3;
}

static uv_stdio_container_t inherit(int fd) {
    return (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = fd};
}

/* The supervisor limits the memory of services, not of the commands of people and of the workers that they start. Those
 * inherit what is ours at that moment. */
static int spawn_without_limit(uv_loop_t *loop, uv_process_t *process, const uv_process_options_t *options) {
    struct rlimit ours;
    bool limited = getrlimit(RLIMIT_DATA, &ours) == 0 && ours.rlim_cur != ours.rlim_max;
    if (limited)
        setrlimit(RLIMIT_DATA, &(struct rlimit){.rlim_cur = ours.rlim_max, .rlim_max = ours.rlim_max});
    int r = uv_spawn(loop, process, options);
    if (limited)
        setrlimit(RLIMIT_DATA, &ours);
    return r;
}

static int spawn(mac_child *child, const mac_child_options *options) {
    mac_autofd output = -1, input = -1;
    int r = open_pipe(&child->pipe, true, &output);
    if (r >= 0 && options->input)
        r = open_pipe(&child->input, false, &input);
    if (r < 0)
        return r;
    uv_stdio_container_t stdio[4] = {{.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
    if (options->input)
        stdio[0] = inherit(input);
    switch (options->wiring) {
    case MAC_CHILD_OUTPUT:
        stdio[1] = stdio[2] = inherit(output);
        break;
    case MAC_CHILD_REPORT:
        stdio[2] = inherit(STDERR_FILENO);
        stdio[3] = inherit(output);
        break;
    }
    const uv_process_options_t process = {.exit_cb = on_process_exit,
                                          .file = options->file,
                                          .args = (char **)options->argv,
                                          .env = (char **)options->environment,
                                          .cwd = options->directory,
                                          .flags = UV_PROCESS_DETACHED,
                                          .stdio_count = options->wiring == MAC_CHILD_REPORT ? 4 : 3,
                                          .stdio = stdio};
    /* From here on the handle must be closed, even if this fails. */
    child->spawned = true;
    child->open_handles++;
    r = spawn_without_limit(options->loop, &child->process, &process);
    child->pid = child->process.pid;
    return r;
}

static void feed(mac_child *child, const mac_child_options *options) {
    if (!options->input)
        return;
    child->input_copy = mac_memdup(options->input, options->input_length);
    child->input_length = options->input_length;
    uv_buf_t buffer = uv_buf_init(child->input_copy, (unsigned)options->input_length);
    if (uv_write(&child->write, (uv_stream_t *)&child->input, &buffer, 1, on_written) < 0)
        close_handle((uv_handle_t *)&child->input);
}

int mac_child_start(mac_child *child, const mac_child_options *options) {
    child->started_ms = mac_now_ms();
    child->kill_ms = options->kill_ms;
    init_handles(child, options->loop);
    if (options->input)
        signal(SIGPIPE, SIG_IGN);
    int r = spawn(child, options);
    if (r < 0) {
        close_handles(child);
        return r;
    }
    feed(child, options);
    uv_read_start((uv_stream_t *)&child->pipe, on_allocate, on_read);
    uv_update_time(options->loop);
    if (options->timeout_ms)
        uv_timer_start(&child->timer, on_timer, options->timeout_ms, 0);
    return 0;
}
