/* modules and sysctls. */
#include <errno.h>
#include <string.h>

#include "confd-applicator.h"
#include "confd-files.h"
#include "confd-sys.h"
#include "log/mac-log.h"

/* ---- modules ---- */

#define MODULES "maculaos.modules"
static const char *const module_paths[] = {MODULES, NULL};

/* "name opt=1 other=2" → words; the first is the name. */
static void split_words(const char *text, mac_strings *ret_words) {
    while (*text) {
        text += strspn(text, " \t");
        size_t length = strcspn(text, " \t");
        if (length > 0)
            mac_strings_addf(ret_words, "%.*s", (int)length, text);
        text += length;
    }
}

static void modules_check(const confd_context *context, mac_problems *problems) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    for (size_t i = 0; i < section->n_modules; i++) {
        mac_autostrings words = {0};
        mac_autofree char *path = mac_asprintf(MODULES "[%zu]", i);
        split_words(section->modules[i], &words);
        if (words.count == 0 || words.items[0][0] == '-' || strchr(words.items[0], '/') || words.items[0][0] == '.' ||
            confd_has_control(section->modules[i])) {
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path,
                             "expected the name of a kernel module such as br_netfilter, with parameters behind it");
            continue;
        }
        for (size_t k = 1; k < words.count; k++)
            if (words.items[k][0] == '-')
                mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path,
                                 "expected parameters as name=value, found an option of modprobe");
    }
}

static int modules_inspect(const confd_context *context, confd_findings *findings) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    for (size_t i = 0; i < section->n_modules; i++) {
        mac_autostrings words = {0};
        split_words(section->modules[i], &words);
        if (words.count == 0 || confd_sys_module_loaded(context->sys, words.items[0]))
            continue;
        mac_autofree char *what = mac_asprintf("kernel module %s", words.items[0]);
        confd_findings_add(findings, MODULES, what, "loaded", "not loaded");
    }
    return 0;
}

/* Loading one after the other. A loaded module is not taken out by an undo: one that is used cannot be, and one that is
 * not used does nothing. */
typedef struct module_job {
    confd_run *run;
    const confd_context *context;
    size_t next;
    char *name;
    char *path; /* of the configuration */
    confd_sys_call *call;
    mac_error *error; /* the first; at boot the others are tried all the same */
    bool cancelled;
} module_job;

static void modules_next(module_job *job);

static void on_module_end(const confd_sys_result *result, void *data) {
    module_job *job = data;
    job->call = NULL;
    if (result->exit_code == 0)
        confd_run_action(job->run, "load kernel module %s", job->name);
    else
        job->error = confd_run_keep_first(job->run, job->error,
                                          mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, job->path,
                                                        "kernel module %s could not be loaded: %s", job->name,
                                                        result->missing ? "there is no modprobe" : result->output));
    modules_next(job);
}

static void modules_cancel(void *data) {
    module_job *job = data;
    job->cancelled = true;
    if (job->call)
        confd_sys_cancel(job->call);
}

static void modules_next(module_job *job) {
    const Macula__V1__MaculaosSection *section = confd_section(job->context->document);
    bool stop = job->cancelled || (job->error && job->context->phase != CONFD_BOOT);
    while (!stop && job->next < section->n_modules) {
        mac_autostrings words = {0};
        split_words(section->modules[job->next++], &words);
        if (words.count == 0 || confd_sys_module_loaded(job->context->sys, words.items[0]))
            continue;
        free(job->name);
        free(job->path);
        job->name = mac_strdup(words.items[0]);
        job->path = mac_asprintf(MODULES "[%zu]", job->next - 1);
        confd_sys_module_load(job->context->sys, job->name, (const char *const *)words.items + 1, on_module_end, job,
                              &job->call);
        return;
    }
    confd_run *run = job->run;
    mac_error *error = job->error;
    free(job->name);
    free(job->path);
    free(job);
    confd_run_done(run, error);
}

static void modules_apply(confd_run *run, const confd_context *context) {
    module_job *job = mac_calloc(1, sizeof *job);
    job->run = run;
    job->context = context;
    confd_run_on_cancel(run, modules_cancel, job);
    modules_next(job);
}

const confd_applicator confd_apply_modules = {.name = "modules",
                                              .paths = module_paths,
                                              .phases = CONFD_BOOT | CONFD_RUNTIME,
                                              .check = modules_check,
                                              .inspect = modules_inspect,
                                              .apply = modules_apply};

/* ---- sysctls ---- */

#define SYSCTLS "maculaos.sysctls"
static const char *const sysctl_paths[] = {SYSCTLS, NULL};

/* What the kernel said before the configuration changed it, for keys that leave the document again: key=value lines,
 * forgotten with the kernel at a reboot. */
#define SYSCTL_ORIGINALS CONFD_APPLIED_RUN_DIR "/sysctls"

static bool values_equal(const char *found, const char *expected) {
    mac_autostrings a = {0}, b = {0};
    split_words(found, &a);
    split_words(expected, &b);
    bool equal = a.count == b.count;
    for (size_t i = 0; equal && i < a.count; i++)
        equal = mac_streq(a.items[i], b.items[i]);
    return equal;
}

static void sysctls_check(const confd_context *context, mac_problems *problems) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    for (size_t i = 0; i < section->n_sysctls; i++) {
        mac_autofree char *path = mac_asprintf(SYSCTLS "[%s]", section->sysctls[i]->key);
        mac_autofree char *file = NULL;
        if (confd_sys_sysctl_path(section->sysctls[i]->key, &file) < 0)
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path,
                             "expected a kernel parameter such as net.ipv4.ip_forward");
        if (confd_has_control(section->sysctls[i]->value))
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "a value is one line without control characters");
    }
}

static const char *find_sysctl(const Macula__V1__MaculaosSection *section, const char *key) {
    for (size_t i = 0; i < section->n_sysctls; i++)
        if (mac_streq(section->sysctls[i]->key, key))
            return section->sysctls[i]->value;
    return NULL;
}

/* Keys of the originals that the document no longer names, with what they were. */
static int stale_sysctls(const confd_context *context, mac_strings *ret_keys, mac_strings *ret_values) {
    mac_autofree char *text = NULL;
    int r = confd_text_read(context->root, SYSCTL_ORIGINALS, &text);
    if (r < 0)
        return r;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *value = strchr(line, '=');
        if (!value)
            continue;
        *value++ = '\0';
        if (find_sysctl(confd_section(context->document), line))
            continue;
        mac_strings_add(ret_keys, line);
        mac_strings_add(ret_values, value);
    }
    return 0;
}

static int inspect_sysctl(const confd_context *context, const char *key, const char *expected,
                          confd_findings *findings) {
    mac_autofree char *found = NULL;
    int r = confd_sys_sysctl_read(context->sys, key, &found);
    if (r < 0 && r != -ENOENT)
        return r;
    if (found && values_equal(found, expected))
        return 0;
    mac_autofree char *what = mac_asprintf("sysctl %s", key);
    confd_findings_add(findings, SYSCTLS, what, expected, found ? found : "(absent)");
    return 0;
}

static int sysctls_inspect(const confd_context *context, confd_findings *findings) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    mac_autostrings keys = {0}, values = {0};
    int r = stale_sysctls(context, &keys, &values);
    for (size_t i = 0; r >= 0 && i < section->n_sysctls; i++)
        r = inspect_sysctl(context, section->sysctls[i]->key, section->sysctls[i]->value, findings);
    for (size_t i = 0; r >= 0 && i < keys.count; i++)
        r = inspect_sysctl(context, keys.items[i], values.items[i], findings);
    return r;
}

typedef struct sysctl_undo {
    char *key;
    char *value; /* NULL: there was none (recording only) */
} sysctl_undo;

static void undo_sysctl(const confd_context *context, void *data, bool undo) {
    sysctl_undo *old = data;
    int r = undo ? confd_sys_sysctl_write(context->sys, old->key, old->value) : 0;
    if (r < 0)
        mac_log_warning("a kernel parameter could not be put back", "key=%s error=" MAC_LOG_Q("%s"), old->key,
                        strerror(-r));
    free(old->key);
    free(old->value);
    free(old);
}

/* originals: NULL when the value put back is itself an original. */
static mac_error *write_sysctl(confd_run *run, const confd_context *context, const char *key, const char *value,
                               mac_buffer *originals) {
    mac_autofree char *found = NULL;
    int r = confd_sys_sysctl_read(context->sys, key, &found);
    if (r == 0 && values_equal(found, value))
        return NULL;
    if (r == 0 || (r == -ENOENT && confd_sys_is_recording(context->sys)))
        r = confd_sys_sysctl_write(context->sys, key, value);
    mac_autofree char *path = mac_asprintf(SYSCTLS "[%s]", key);
    if (r == -ENOENT)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, path,
                             "this kernel has no parameter %s; is its module under maculaos.modules?", key);
    if (r < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, path, "the kernel refused \"%s\" for %s: %s", value, key,
                             strerror(-r));
    mac_autofree char *prefix = mac_asprintf("%s=", key);
    mac_autofree char *line_prefix = mac_asprintf("\n%s=", key);
    if (originals && found && !mac_starts_with(originals->data ? originals->data : "", prefix) &&
        !strstr(originals->data ? originals->data : "", line_prefix))
        mac_buffer_printf(originals, "%s=%s\n", key, found);
    sysctl_undo *old = mac_calloc(1, sizeof *old);
    old->key = mac_strdup(key);
    old->value = mac_take(&found);
    confd_run_on_undo(run, undo_sysctl, old);
    confd_run_action(run, "set sysctl %s to \"%s\"", key, value);
    return NULL;
}

/* The lines of keys that the document still names. */
static void kept_originals(const Macula__V1__MaculaosSection *section, const char *text, mac_buffer *ret_lines) {
    for (const char *line = text ? text : ""; *line;) {
        size_t length = strcspn(line, "\n");
        mac_autofree char *key = mac_strndup(line, strcspn(line, "=\n"));
        if (find_sysctl(section, key)) {
            mac_buffer_append(ret_lines, line, length);
            mac_buffer_text(ret_lines, "\n");
        }
        line += length + (line[length] == '\n');
    }
}

static mac_error *write_originals(confd_run *run, const mac_buffer *lines) {
    if (lines->length == 0)
        return confd_run_remove_file(run, SYSCTL_ORIGINALS, CONFD_QUIET);
    return confd_run_write_file(run, SYSCTL_ORIGINALS, lines->data, lines->length, MAC_FS_PRIVATE_AS(MAC_FS_RELAXED),
                                CONFD_QUIET);
}

static void sysctls_apply(confd_run *run, const confd_context *context) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    mac_autobuffer originals = {0};
    mac_autofree char *old = NULL;
    mac_autostrings keys = {0}, values = {0};
    mac_error *error = NULL;
    int r = confd_text_read(context->root, SYSCTL_ORIGINALS, &old);
    if (r >= 0)
        r = stale_sysctls(context, &keys, &values);
    if (r < 0)
        error = mac_error_from_errno(r, "cannot read " SYSCTL_ORIGINALS);
    kept_originals(section, old, &originals);
    bool stop = error;
    for (size_t i = 0; !stop && i < keys.count; i++) {
        error = confd_run_keep_first(run, error, write_sysctl(run, context, keys.items[i], values.items[i], NULL));
        stop = error && context->phase != CONFD_BOOT;
    }
    for (size_t i = 0; !stop && i < section->n_sysctls; i++) {
        error = confd_run_keep_first(
            run, error, write_sysctl(run, context, section->sysctls[i]->key, section->sysctls[i]->value, &originals));
        stop = error && context->phase != CONFD_BOOT;
    }
    confd_run_done(run, confd_run_keep_first(run, error, write_originals(run, &originals)));
}

const confd_applicator confd_apply_sysctls = {.name = "sysctls",
                                              .paths = sysctl_paths,
                                              .phases = CONFD_BOOT | CONFD_RUNTIME,
                                              .check = sysctls_check,
                                              .inspect = sysctls_inspect,
                                              .apply = sysctls_apply};
