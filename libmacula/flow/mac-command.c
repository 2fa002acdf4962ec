#include "flow/mac-command.h"

#include <signal.h>
#include <string.h>

#include "flow/mac-child.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define LAST_LINE_MAX 200
/* From SIGTERM to SIGKILL when we are asked to end ourselves: shorter than the patience of whoever asked. */
#define HURRY_MS 1000

struct mac_command {
    mac_child child; /* first: see mac_child */
    void (*on_end)(mac_command *command, const mac_command_result *result, void *data);
    void *data;
    size_t output_max;
    bool output_truncated;
    mac_buffer record;
};

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

static void on_child_end(mac_child *child) {
    mac_command *command = (mac_command *)child;
    mac_command_result result = {.exit_code = child->exit_code,
                                 .signal = child->signal,
                                 .timed_out = child->timed_out,
                                 .output_truncated = command->output_truncated,
                                 .milliseconds = mac_now_ms() - child->started_ms,
                                 .cancelled = child->cancelled,
                                 .cut_short = child->cut_short};
    mac_autofree char *output = replace_invalid(&command->record, &result.output_length);
    result.output = output;
    command->on_end(command, &result, command->data);
}

static void on_child_data(mac_child *child, const char *data, size_t length) {
    mac_command *command = (mac_command *)child;
    size_t room = command->output_max - command->record.length;
    size_t kept = length < room ? length : room;
    mac_buffer_append(&command->record, data, kept);
    if (kept < length)
        command->output_truncated = true;
}

static void on_child_free(mac_child *child) {
    mac_command *command = (mac_command *)child;
    mac_buffer_deinit(&command->record);
    free(command);
}

int mac_command_start(const mac_command_options *options, mac_command **ret_command) {
    mac_command *command = mac_calloc(1, sizeof *command);
    command->child.on_data = on_child_data;
    command->child.on_end = on_child_end;
    command->child.on_free = on_child_free;
    command->on_end = options->on_end;
    command->data = options->data;
    command->output_max = options->output_max ? options->output_max : MAC_COMMAND_OUTPUT_MAX;
    int r = mac_child_start(&command->child, &(mac_child_options){.loop = options->loop,
                                                                  .wiring = MAC_CHILD_OUTPUT,
                                                                  .file = options->argv[0],
                                                                  .argv = options->argv,
                                                                  .environment = options->environment,
                                                                  .directory = options->directory,
                                                                  .input = options->input,
                                                                  .input_length = options->input_length,
                                                                  .timeout_ms = options->timeout_ms,
                                                                  .kill_ms = MAC_COMMAND_KILL_MS});
    if (r >= 0)
        *ret_command = command;
    return r;
}

void mac_command_cancel(mac_command *command) {
    mac_child_cancel(&command->child);
}

/* ---- without a loop of the caller's ---- */

typedef struct run {
    mac_command *command;
    mac_command_result result;
    uv_signal_t term;
    bool asked_to_end;
} run;

static void on_run_end(mac_command *command, const mac_command_result *result, void *data) {
    (void)command;
    run *running = data;
    running->result = *result;
    running->result.output = mac_memdup(result->output, result->output_length + 1);
    uv_close((uv_handle_t *)&running->term, NULL);
}

static void on_run_term(uv_signal_t *handle, int number) {
    (void)number;
    run *running = handle->data;
    running->asked_to_end = true;
    if (!running->command)
        return;
    running->command->child.kill_ms = HURRY_MS;
    mac_command_cancel(running->command);
}

/* Whether SIGTERM would simply end us: a caller's own handler is left in charge. */
static bool term_is_default(void) {
    struct sigaction action;
    return sigaction(SIGTERM, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_DFL;
}

int mac_command_run(const mac_command_options *options, mac_command_result *ret_result) {
    uv_loop_t loop;
    int r = uv_loop_init(&loop);
    if (r < 0)
        return r;
    run running = {0};
    mac_command_options own = *options;
    own.loop = &loop;
    own.on_end = on_run_end;
    own.data = &running;
    /* The command is in a group of its own, so whoever ends us would leave it behind: it is ended first, then we are.
     */
    uv_signal_init(&loop, &running.term);
    running.term.data = &running;
    if (term_is_default())
        uv_signal_start(&running.term, on_run_term, SIGTERM);
    uv_unref((uv_handle_t *)&running.term);
    r = mac_command_start(&own, &running.command);
    if (r < 0)
        uv_close((uv_handle_t *)&running.term, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    if (running.asked_to_end)
        raise(SIGTERM);
    if (r >= 0)
        *ret_result = running.result;
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
