/* boot_cmd and run_cmd.
 *
 * Both run once per boot; run_cmd again when the list changes. What has run in this boot is remembered as the digest of
 * the list and the boot's id, in /run. A command that fails is recorded and reported with its exit code, and the next
 * one runs: it is somebody's script, and what it has done cannot be taken back, so neither a boot nor a change fails
 * because of it.
 *
 * Commands are not confined. Below a root other than "/" they would act on the developer's own machine; so there they
 * only run when MACULA_RUN_COMMANDS=1, with the root as working directory and in MACULA_ROOT. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "codec/mac-schema.h"
#include "confd-applicator.h"
#include "confd-files.h"
#include "flow/mac-command.h"
#include "log/mac-log.h"

#define RESULTS "/var/lib/maculaos/commands"
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
/* So much of a command's output is kept in its record. */
#define OUTPUT_MAX (16u << 10)

typedef struct command_list {
    const char *name; /* boot_cmd */
    Macula__V1__Command *const *items;
    size_t count;
} command_list;

static command_list boot_list(const confd_context *context) {
    return (command_list){"boot_cmd", context->document->boot_cmd, context->document->n_boot_cmd};
}

static command_list run_list(const confd_context *context) {
    return (command_list){"run_cmd", context->document->run_cmd, context->document->n_run_cmd};
}

static bool may_run(const confd_context *context) {
    return mac_root_is_system(context->root) || mac_streq(getenv("MACULA_RUN_COMMANDS"), "1");
}

/* ---- what has run ---- */

static char *marker_path(const command_list *list) {
    return mac_asprintf(CONFD_APPLIED_RUN_DIR "/%s", list->name);
}

/* What the marker says once this list has run in this boot, or has been told of as one that does not run here. */
static char *marker_text(const confd_context *context, const command_list *list) {
    char boot[64] = "";
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file) {
        if (!fgets(boot, sizeof boot, file))
            boot[0] = '\0';
        fclose(file);
    }
    boot[strcspn(boot, "\n")] = '\0';
    mac_autobuffer text = {0};
    for (size_t i = 0; i < list->count; i++)
        mac_buffer_printf(&text, "%s\n%s\n", list->items[i]->command, list->items[i]->timeout);
    char digest[65];
    mac_sha256_hex(text.data ? text.data : "", text.length, digest);
    return mac_asprintf("%s%s %s\n", may_run(context) ? "" : "skipped ", boot, digest);
}

static bool is_done(const confd_context *context, const command_list *list) {
    mac_autofree char *path = marker_path(list), *wanted = marker_text(context, list), *found = NULL;
    return confd_text_read(context->root, path, &found) == 0 && mac_streq(found, wanted);
}

static void plan_list(const confd_context *context, command_list list, mac_strings *actions) {
    if (list.count == 0 || is_done(context, &list))
        return;
    for (size_t i = 0; i < list.count; i++)
        mac_strings_addf(actions, may_run(context) ? "run %s[%zu]" : "skip %s[%zu]: not on a real root", list.name, i);
}

/* ---- running ---- */

typedef struct command_job {
    confd_run *run;
    const confd_context *context;
    command_list list;
    size_t next;
    int64_t started_ms;
    mac_command *command;
    mac_strings environment;
    bool cancelled;
} command_job;

static void job_next(command_job *job);

/* The caller's environment with the configured one over it. */
static void build_environment(command_job *job) {
    const Macula__V1__MaculaosSection *section = confd_section(job->context->document);
    const char *path = getenv("PATH");
    mac_strings_addf(&job->environment, "PATH=%s", path && *path ? path : DEFAULT_PATH);
    for (size_t i = 0; i < section->n_environment; i++)
        mac_strings_addf(&job->environment, "%s=%s", section->environment[i]->key, section->environment[i]->value);
    mac_strings_add(&job->environment, "HOME=/root");
    if (!mac_root_is_system(job->context->root))
        mac_strings_addf(&job->environment, "MACULA_ROOT=%s", mac_root_directory(job->context->root));
}

static void job_end(command_job *job) {
    confd_run *run = job->run;
    mac_autofree char *path = marker_path(&job->list), *text = marker_text(job->context, &job->list);
    mac_error *error = NULL;
    if (!job->cancelled)
        error = confd_run_write_file(run, path, text, strlen(text), MAC_FS_PRIVATE, CONFD_QUIET);
    mac_strings_deinit(&job->environment);
    free(job);
    confd_run_done(run, error);
}

/* The record: never undone, because what it tells has happened. */
static void record(command_job *job, size_t index, const mac_command_result *result) {
    mac_autofree char *path = mac_asprintf(RESULTS "/%s-%zu.json", job->list.name, index);
    size_t length = result->output_length < OUTPUT_MAX ? result->output_length : OUTPUT_MAX;
    while (length > 0 && length < result->output_length && ((unsigned char)result->output[length] & 0xC0u) == 0x80u)
        length--;
    json_t *tree = json_pack(
        "{s:s, s:s, s:i, s:i, s:b, s:b, s:I, s:I, s:b, s:o*}", "command", job->list.items[index]->command, "timeout",
        job->list.items[index]->timeout, "exit_code", result->exit_code, "signal", result->signal, "timed_out",
        result->timed_out, "background_killed", result->cut_short, "started_ms", (json_int_t)job->started_ms,
        "milliseconds", (json_int_t)result->milliseconds, "output_truncated",
        result->output_truncated || length < result->output_length, "output", json_stringn(result->output, length));
    char *text = tree ? json_dumps(tree, JSON_INDENT(1)) : NULL;
    json_decref(tree);
    int r = text ? mac_fs_mkdirs(job->context->root, RESULTS, 0700) : -EINVAL;
    if (r == 0)
        r = mac_fs_write(job->context->root, path, text, strlen(text), MAC_FS_PRIVATE);
    if (r < 0)
        confd_run_note(job->run, MAC_PROBLEM_WARNING, job->list.name, "the result of command %zu could not be kept: %s",
                       index, strerror(-r));
    free(text);
}

static void on_command_end(mac_command *command, const mac_command_result *result, void *data) {
    (void)command;
    command_job *job = data;
    size_t index = job->next - 1;
    mac_autofree char *path = mac_asprintf("%s[%zu]", job->list.name, index);
    job->command = NULL;
    record(job, index, result);
    confd_run_action(job->run, "run %s", path);
    mac_log_info("command ended", "command=%s exit_code=%d ms=%llu", path, result->exit_code,
                 (unsigned long long)result->milliseconds);
    if (result->timed_out)
        confd_run_note(job->run, MAC_PROBLEM_WARNING, path, "the command was ended after its timeout of %s",
                       job->list.items[index]->timeout);
    else if (result->signal)
        confd_run_note(job->run, MAC_PROBLEM_WARNING, path, "the command was killed by signal %d", result->signal);
    else if (result->exit_code != 0)
        confd_run_note(job->run, MAC_PROBLEM_WARNING, path,
                       "the command failed with exit code %d; its output is in " RESULTS "/%s-%zu.json",
                       result->exit_code, job->list.name, index);
    if (result->cut_short && !result->timed_out && !job->cancelled)
        confd_run_note(job->run, MAC_PROBLEM_WARNING, path,
                       "what the command left in the background still held its output, and was killed: start it with "
                       ">/dev/null 2>&1, or as a service");
    job_next(job);
}

static void job_next(command_job *job) {
    if (job->cancelled || job->next >= job->list.count) {
        job_end(job);
        return;
    }
    const Macula__V1__Command *item = job->list.items[job->next++];
    const char *argv[] = {"/bin/sh", "-c", item->command, NULL};
    uint64_t timeout_ms = 0;
    int r = mac_value_duration(item->timeout, &timeout_ms);
    mac_command_options options = {
        .loop = job->context->loop,
        .argv = argv,
        .environment = (const char *const *)job->environment.items,
        .directory = mac_root_is_system(job->context->root) ? "/" : mac_root_directory(job->context->root),
        .timeout_ms = timeout_ms > UINT32_MAX ? UINT32_MAX : (unsigned)timeout_ms,
        .output_max = OUTPUT_MAX,
        .on_end = on_command_end,
        .data = job};
    job->started_ms = mac_unix_ms();
    if (r == 0)
        r = mac_command_start(&options, &job->command);
    if (r == 0)
        return;
    confd_run_note(job->run, MAC_PROBLEM_WARNING, job->list.name, "command %zu could not be started: %s", job->next - 1,
                   strerror(-r));
    job_next(job);
}

static void job_cancel(void *data) {
    command_job *job = data;
    job->cancelled = true;
    if (job->command)
        mac_command_cancel(job->command);
}

static void apply_list(confd_run *run, const confd_context *context, command_list list) {
    if (!may_run(context)) {
        confd_run_note(run, MAC_PROBLEM_NOTE, list.name,
                       "commands are not run below %s, as they would act on this machine; set MACULA_RUN_COMMANDS=1 to "
                       "run them",
                       mac_root_directory(context->root));
        mac_autofree char *path = marker_path(&list), *text = marker_text(context, &list);
        confd_run_done(run, confd_run_write_file(run, path, text, strlen(text), MAC_FS_PRIVATE, CONFD_QUIET));
        return;
    }
    command_job *job = mac_calloc(1, sizeof *job);
    job->run = run;
    job->context = context;
    job->list = list;
    build_environment(job);
    confd_run_on_cancel(run, job_cancel, job);
    job_next(job);
}

/* ---- the two applicators ---- */

static void check_list(command_list list, mac_problems *problems) {
    for (size_t i = 0; i < list.count; i++) {
        mac_autofree char *path = mac_asprintf("%s[%zu]", list.name, i);
        uint64_t timeout_ms = 0;
        if (!list.items[i]->command || !*list.items[i]->command)
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "expected a command");
        if (mac_value_duration(list.items[i]->timeout, &timeout_ms) < 0 || timeout_ms == 0)
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "expected a timeout such as 30s or 5m");
    }
}

/* A command is not a state: nothing about it can drift. */
static int inspect_nothing(const confd_context *context, confd_findings *findings) {
    (void)context;
    (void)findings;
    return 0;
}

static void boot_check(const confd_context *context, mac_problems *problems) {
    check_list(boot_list(context), problems);
}

static void boot_plan(const confd_context *context, mac_strings *actions) {
    plan_list(context, boot_list(context), actions);
}

static void boot_apply(confd_run *run, const confd_context *context) {
    apply_list(run, context, boot_list(context));
}

static void run_check(const confd_context *context, mac_problems *problems) {
    check_list(run_list(context), problems);
}

static void run_plan(const confd_context *context, mac_strings *actions) {
    plan_list(context, run_list(context), actions);
}

static void run_apply(confd_run *run, const confd_context *context) {
    apply_list(run, context, run_list(context));
}

static const char *const boot_paths[] = {"boot_cmd", NULL};
static const char *const run_paths[] = {"run_cmd", NULL};

const confd_applicator confd_apply_boot_cmd = {.name = "boot_cmd",
                                               .paths = boot_paths,
                                               .phases = CONFD_BOOT,
                                               .check = boot_check,
                                               .inspect = inspect_nothing,
                                               .plan = boot_plan,
                                               .apply = boot_apply};

const confd_applicator confd_apply_run_cmd = {.name = "run_cmd",
                                              .paths = run_paths,
                                              .phases = CONFD_RUNTIME,
                                              .check = run_check,
                                              .inspect = inspect_nothing,
                                              .plan = run_plan,
                                              .apply = run_apply};
