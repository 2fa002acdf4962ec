#include "flow/mac-command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define REPLACEMENT "\xef\xbf\xbd"
#define CHUNK 4096
#define LAST_LINE_MAX 200

typedef enum phase {
    PHASE_RUNNING,
    PHASE_TERMINATING, /* SIGTERM sent */
    PHASE_KILLED,      /* SIGKILL sent */
    PHASE_EXITED,      /* the pipe may be open for MAC_COMMAND_GRACE_MS */
    PHASE_ENDED,       /* on_end was called; handles are closing */
} phase;

struct mac_command {
    mac_command_options options; /* only what is used after the start: timeout, output_max, on_end, data */
    phase phase;
    bool output_ended;
    bool spawned; /* uv_spawn was called: the handle must be closed, even if it failed */
    pid_t pid;    /* and group */
    uv_process_t process;
    uv_pipe_t output, input;
    uv_timer_t timer;
    uv_write_t write;
    char *input_copy;
    mac_buffer record;
    mac_command_result result;
    uint64_t started;
    unsigned open_handles;
    char chunk[CHUNK];
};

static void on_closed(uv_handle_t *handle) {
    mac_command *command = handle->data;
    if (--command->open_handles > 0)
        return;
    free(command->input_copy);
    mac_buffer_deinit(&command->record);
    free(command);
}

static void close_handle(uv_handle_t *handle) {
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void close_handles(mac_command *command) {
    if (command->spawned)
        close_handle((uv_handle_t *)&command->process);
    close_handle((uv_handle_t *)&command->output);
    close_handle((uv_handle_t *)&command->input);
    close_handle((uv_handle_t *)&command->timer);
}

/* Length of the longest valid character at p. */
static size_t character(const char *p, size_t left) {
    for (size_t length = 1; length <= 4 && length <= left; length++)
        if (mac_utf8_valid(p, length))
            return length;
    return 0;
}

static char *replace_invalid(const mac_buffer *record, size_t *ret_length) {
    mac_buffer text = {0};
    for (size_t i = 0; i < record->length;) {
        size_t length = character(record->data + i, record->length - i);
        if (length)
            mac_buffer_append(&text, record->data + i, length);
        else
            mac_buffer_text(&text, REPLACEMENT);
        i += length ? length : 1;
    }
    *ret_length = text.length;
    return mac_buffer_take(&text);
}

static void end(mac_command *command) {
    command->phase = PHASE_ENDED;
    mac_command_result result = command->result;
    result.milliseconds = mac_now_ms() - command->started;
    mac_autofree char *output = replace_invalid(&command->record, &result.output_length);
    result.output = output;
    command->options.on_end(command, &result, command->options.data);
    close_handles(command);
}

/* To every process of the group. After the leader was reaped the number still names its group as long as a member
 * lives. */
static void signal_group(const mac_command *command, int number) {
    kill(-command->pid, number);
}

static void on_timer(uv_timer_t *timer);

static void terminate(mac_command *command) {
    command->phase = PHASE_TERMINATING;
    signal_group(command, SIGTERM);
    uv_timer_start(&command->timer, on_timer, MAC_COMMAND_KILL_MS, 0);
}

static void on_timer(uv_timer_t *timer) {
    mac_command *command = timer->data;
    switch (command->phase) {
    case PHASE_RUNNING:
        command->result.timed_out = true;
        terminate(command);
        break;
    case PHASE_TERMINATING:
        command->phase = PHASE_KILLED;
        signal_group(command, SIGKILL);
        break;
    case PHASE_EXITED:
        signal_group(command, SIGKILL);
        end(command);
        break;
    case PHASE_KILLED:
    case PHASE_ENDED:
        break;
    }
}

static void on_process_exit(uv_process_t *process, int64_t exit_status, int term_signal) {
    mac_command *command = process->data;
    bool stopped_by_us = command->phase != PHASE_RUNNING;
    command->result.exit_code = term_signal ? -1 : (int)exit_status;
    command->result.signal = term_signal;
    command->phase = PHASE_EXITED;
    if (stopped_by_us)
        signal_group(command, SIGKILL);
    if (command->output_ended)
        end(command);
    else
        uv_timer_start(&command->timer, on_timer, MAC_COMMAND_GRACE_MS, 0);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer) {
    (void)suggested;
    mac_command *command = handle->data;
    *ret_buffer = uv_buf_init(command->chunk, sizeof command->chunk);
}

static void on_output(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer) {
    mac_command *command = stream->data;
    if (length < 0) {
        uv_read_stop(stream);
        command->output_ended = true;
        if (command->phase == PHASE_EXITED)
            end(command);
        return;
    }
    size_t room = command->options.output_max - command->record.length;
    size_t kept = (size_t)length < room ? (size_t)length : room;
    mac_buffer_append(&command->record, buffer->base, kept);
    if (kept < (size_t)length)
        command->result.output_truncated = true;
}

static void on_written(uv_write_t *write, int status) {
    (void)status; /* a command that does not read its input says so by its exit code */
    mac_command *command = write->data;
    close_handle((uv_handle_t *)&command->input);
}

/* A pipe of which `ours` is a uv stream and the other end, close-on-exec too, is returned for the child. */
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

static void init_handles(mac_command *command, uv_loop_t *loop) {
    uv_pipe_init(loop, &command->output, 0);
    uv_pipe_init(loop, &command->input, 0);
    uv_timer_init(loop, &command->timer);
    command->process.data = command->output.data = command->input.data = command->timer.data = command;
    command->write.data = command;
    command->open_handles = 3;
}

static int spawn(mac_command *command, const mac_command_options *options) {
    mac_autofd output = -1, input = -1;
    int r = open_pipe(&command->output, true, &output);
    if (r >= 0 && options->input)
        r = open_pipe(&command->input, false, &input);
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD}, {.flags = UV_INHERIT_FD}};
    if (options->input) {
        stdio[0].flags = UV_INHERIT_FD;
        stdio[0].data.fd = input;
    }
    stdio[1].data.fd = stdio[2].data.fd = output;
    uv_process_options_t process = {.exit_cb = on_process_exit,
                                    .file = options->argv[0],
                                    .args = (char **)options->argv,
                                    .env = (char **)options->environment,
                                    .cwd = options->directory,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio_count = 3,
                                    .stdio = stdio};
    if (r < 0)
        return r;
    command->spawned = true;
    command->open_handles++;
    r = uv_spawn(options->loop, &command->process, &process);
    command->pid = command->process.pid;
    return r;
}

static void feed(mac_command *command, const mac_command_options *options) {
    if (!options->input)
        return;
    command->input_copy = mac_memdup(options->input, options->input_length);
    uv_buf_t buffer = uv_buf_init(command->input_copy, (unsigned)options->input_length);
    if (uv_write(&command->write, (uv_stream_t *)&command->input, &buffer, 1, on_written) < 0)
        close_handle((uv_handle_t *)&command->input);
}

int mac_command_start(const mac_command_options *options, mac_command **ret_command) {
    mac_command *command = mac_calloc(1, sizeof *command);
    command->options =
        (mac_command_options){.timeout_ms = options->timeout_ms,
                              .output_max = options->output_max ? options->output_max : MAC_COMMAND_OUTPUT_MAX,
                              .on_end = options->on_end,
                              .data = options->data};
    command->started = mac_now_ms();
    init_handles(command, options->loop);
    if (options->input)
        signal(SIGPIPE, SIG_IGN);
    int r = spawn(command, options);
    if (r < 0) {
        close_handles(command);
        return r;
    }
    feed(command, options);
    uv_read_start((uv_stream_t *)&command->output, on_allocate, on_output);
    if (options->timeout_ms)
        uv_timer_start(&command->timer, on_timer, options->timeout_ms, 0);
    *ret_command = command;
    return 0;
}

void mac_command_cancel(mac_command *command) {
    if (command->phase != PHASE_RUNNING)
        return;
    command->result.cancelled = true;
    terminate(command);
}

static void on_run_end(mac_command *command, const mac_command_result *result, void *data) {
    (void)command;
    mac_command_result *copy = data;
    *copy = *result;
    copy->output = mac_memdup(result->output, result->output_length + 1);
}

int mac_command_run(const mac_command_options *options, mac_command_result *ret_result) {
    uv_loop_t loop;
    int r = uv_loop_init(&loop);
    if (r < 0)
        return r;
    mac_command_result result = {0};
    mac_command_options own = *options;
    own.loop = &loop;
    own.on_end = on_run_end;
    own.data = &result;
    mac_command *command;
    r = mac_command_start(&own, &command);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    if (r >= 0)
        *ret_result = result;
    return r;
}

/* The last line with something on it, which is where programs say what is wrong. */
static char *last_line(const mac_command_result *result) {
    size_t end_ = result->output_length;
    while (end_ > 0 && strchr(" \t\r\n", result->output[end_ - 1]))
        end_--;
    size_t begin = end_;
    while (begin > 0 && result->output[begin - 1] != '\n')
        begin--;
    size_t length = end_ - begin;
    if (length <= LAST_LINE_MAX)
        return mac_strndup(result->output + begin, length);
    length = LAST_LINE_MAX;
    while (length > 0 && !mac_utf8_valid(result->output + begin, length))
        length--;
    return mac_asprintf("%.*s…", (int)length, result->output + begin);
}

mac_error *mac_command_error(const char *name, const mac_command_result *result) {
    mac_autofree char *line = last_line(result);
    const char *colon = *line ? ": " : "";
    if (result->timed_out)
        return mac_error_new(MACULA__V1__ERROR_CODE__TIMED_OUT, NULL,
                             "%s was ended because it took longer than %.1f s%s%s", name,
                             (double)result->milliseconds / 1000, colon, line);
    if (result->cancelled)
        return mac_error_new(MACULA__V1__ERROR_CODE__CANCELLED, NULL, "%s was cancelled", name);
    if (result->signal)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "%s was ended by signal %d (%s)%s%s", name,
                             result->signal, strsignal(result->signal), colon, line);
    if (result->exit_code)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "%s ended with exit code %d%s%s", name,
                             result->exit_code, colon, line);
    return NULL;
}
