#include "supervisor-process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor-lines.h"

#define PIPE_BYTES (64u << 10)

struct supervisor_process {
    supervisor_children *children;
    supervisor_process *next;
    pid_t pid;
    uv_poll_t output;
    int fd;
    supervisor_lines lines;
    void (*on_line)(const char *line, size_t length, void *data);
    void (*on_exit)(int wait_status, void *data);
    void *data;
};

struct supervisor_children {
    uv_signal_t signal;
    supervisor_process *first;
    size_t closing; /* uv handles that the loop still holds */
    void (*on_closed)(void *data);
    void *data;
};

/* ---- output ---- */

/* Reads what is there now, but no more than a pipe holds: one that writes all the time must not keep the loop. */
static void drain(supervisor_process *process) {
    char bytes[4096];
    for (size_t i = 0; i < PIPE_BYTES / sizeof bytes; i++) {
        ssize_t got = read(process->fd, bytes, sizeof bytes);
        if (got > 0) {
            supervisor_lines_feed(&process->lines, bytes, (size_t)got, process->on_line, process->data);
            continue;
        }
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            uv_poll_stop(&process->output);
        return;
    }
}

static void on_output(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    drain(poll->data);
}

/* ---- the child's side: nothing here may allocate or lock ---- */

typedef struct launch {
    const supervisor_process_options *options;
    pid_t parent;
    int null_fd, output_fd, error_fd;
} launch;

static void limit(int resource, uint64_t value, uint64_t hard) {
    if (value) {
        struct rlimit rlimit = {.rlim_cur = value, .rlim_max = hard};
        setrlimit(resource, &rlimit); /* higher than ours: refused, ours stays */
    }
}

/* Only the soft limit: what the process starts may have more (mac_child gives it the hard one). */
static void limit_data(uint64_t value) {
    struct rlimit ours;
    if (getrlimit(RLIMIT_DATA, &ours) == 0)
        limit(RLIMIT_DATA, value, ours.rlim_max);
}

__attribute__((noreturn)) static void run_child(const launch *start) {
    const supervisor_process_options *options = start->options;
    sigset_t none;
    setpgid(0, 0);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, options->death_signal);
    if (getppid() != start->parent) /* the supervisor died before the line above */
        _exit(127);
    dup2(start->null_fd, STDIN_FILENO);
    dup2(start->output_fd, STDOUT_FILENO);
    dup2(start->output_fd, STDERR_FILENO);
    limit_data(options->data_max);
    limit(RLIMIT_NOFILE, options->files_max, options->files_max);
    execve(options->program, options->arguments, options->environment);
    int error = errno;
    if (write(start->error_fd, &error, sizeof error) < 0)
        _exit(126);
    _exit(127);
}

/* Forks; waits until the child has become the program. */
static int fork_and_exec(const supervisor_process_options *options, int output_fd, pid_t *ret_pid) {
    int errors[2], failure = 0;
    mac_autofd null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0 || pipe2(errors, O_CLOEXEC) < 0)
        return -errno;
    launch start = {options, getpid(), null_fd, output_fd, errors[1]};
    pid_t pid = fork();
    if (pid == 0)
        run_child(&start);
    int fork_error = errno;
    close(errors[1]);
    ssize_t got = 0;
    do {
        got = pid > 0 ? read(errors[0], &failure, sizeof failure) : 0;
    } while (got < 0 && errno == EINTR);
    close(errors[0]);
    if (pid < 0)
        return -fork_error;
    if (got == (ssize_t)sizeof failure) {
        waitpid(pid, NULL, 0);
        return -failure;
    }
    *ret_pid = pid;
    return 0;
}

/* ---- ours ---- */

int supervisor_process_start(supervisor_children *children, const supervisor_process_options *options,
                             supervisor_process **ret_process) {
    int ends[2];
    pid_t pid = 0;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    /* Only our end is non-blocking: a program does not expect that of its standard output. */
    fcntl(ends[1], F_SETFL, 0);
    int result = fork_and_exec(options, ends[1], &pid);
    close(ends[1]);
    if (result < 0) {
        close(ends[0]);
        return result;
    }
    supervisor_process *process = mac_calloc(1, sizeof *process);
    process->children = children;
    process->pid = pid;
    process->fd = ends[0];
    process->on_line = options->on_line;
    process->on_exit = options->on_exit;
    process->data = options->data;
    process->next = children->first;
    children->first = process;
    uv_poll_init(children->signal.loop, &process->output, process->fd);
    process->output.data = process;
    uv_poll_start(&process->output, UV_READABLE, on_output);
    *ret_process = process;
    return 0;
}

pid_t supervisor_process_pid(const supervisor_process *process) {
    return process->pid;
}

void supervisor_process_kill(supervisor_process *process, int signal_number) {
    if (process->pid > 0)
        kill(signal_number == SIGKILL ? -process->pid : process->pid, signal_number);
}

static void closed_one(supervisor_children *children) {
    if (--children->closing > 0 || !children->on_closed)
        return;
    void (*on_closed)(void *data) = children->on_closed;
    void *data = children->data;
    free(children);
    on_closed(data);
}

static void on_output_closed(uv_handle_t *handle) {
    supervisor_process *process = handle->data;
    supervisor_children *children = process->children;
    close(process->fd);
    free(process);
    closed_one(children);
}

static void unlink_process(supervisor_process *process) {
    supervisor_process **link = &process->children->first;
    while (*link != process)
        link = &(*link)->next;
    *link = process->next;
}

static void ended(supervisor_process *process, int wait_status) {
    process->pid = 0;
    drain(process);
    supervisor_lines_end(&process->lines, process->on_line, process->data);
    unlink_process(process);
    process->children->closing++;
    void (*on_exit)(int status, void *data) = process->on_exit;
    void *data = process->data;
    uv_close((uv_handle_t *)&process->output, on_output_closed);
    if (on_exit)
        on_exit(wait_status, data);
}

static void on_child(uv_signal_t *handle, int number) {
    (void)number;
    supervisor_children *children = handle->data;
    for (;;) {
        /* Looked at before it is reaped: as long as it is a zombie its number means its group. */
        siginfo_t info = {0};
        int status;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return;
        supervisor_process *process = children->first;
        while (process && process->pid != info.si_pid)
            process = process->next;
        if (process) /* else an orphan that came to us */
            kill(-process->pid, SIGKILL);
        if (waitpid(info.si_pid, &status, 0) == info.si_pid && process)
            ended(process, status);
    }
}

supervisor_children *supervisor_children_new(uv_loop_t *loop) {
    supervisor_children *children = mac_calloc(1, sizeof *children);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    uv_signal_init(loop, &children->signal);
    children->signal.data = children;
    uv_signal_start(&children->signal, on_child, SIGCHLD);
    uv_unref((uv_handle_t *)&children->signal);
    return children;
}

static void on_signal_closed(uv_handle_t *handle) {
    closed_one(handle->data);
}

void supervisor_children_close(supervisor_children *children, void (*on_closed)(void *data), void *data) {
    children->on_closed = on_closed;
    children->data = data;
    while (children->first) {
        supervisor_process *process = children->first;
        int status = 0;
        kill(-process->pid, SIGKILL);
        waitpid(process->pid, &status, 0);
        ended(process, status);
    }
    children->closing++;
    uv_close((uv_handle_t *)&children->signal, on_signal_closed);
}
