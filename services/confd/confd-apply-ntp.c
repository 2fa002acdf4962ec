/* ntp_servers: a file of sources for chrony, which reads it without a restart. */
#include <string.h>

#include "confd-applicator.h"
#include "confd-files.h"
#include "confd-sys.h"

#define KEY "maculaos.ntp_servers"
#define SOURCES "/etc/chrony/sources.d/maculaos.sources"

static const char *const paths[] = {KEY, NULL};

/* A name or an address: nothing that could be a second word of chrony's line. */
static bool is_host(const char *text) {
    size_t length = strlen(text);
    return length > 0 && length <= 253 && text[0] != '-' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:_") == length;
}

static void check(const confd_context *context, mac_problems *problems) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    for (size_t i = 0; i < section->n_ntp_servers; i++) {
        mac_autofree char *path = mac_asprintf(KEY "[%zu]", i);
        if (!is_host(section->ntp_servers[i]))
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "expected a host name or an address");
    }
}

/* NULL: no file. */
static char *render(const confd_context *context) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    mac_buffer out = {0};
    for (size_t i = 0; i < section->n_ntp_servers; i++)
        if (is_host(section->ntp_servers[i]))
            mac_buffer_printf(&out, "server %s iburst\n", section->ntp_servers[i]);
    return out.length > 0 ? mac_buffer_take(&out) : NULL;
}

static int inspect(const confd_context *context, confd_findings *findings) {
    mac_autofree char *text = render(context);
    confd_file_inspect(context->root, KEY, SOURCES, text, MAC_FS_KEEP, findings);
    return 0;
}

static const char *const reload[] = {"chronyc", "reload", "sources", NULL};

static void undo_reload(const confd_context *context, void *data, bool undo) {
    (void)data;
    if (undo)
        confd_sys_run(context->sys, reload, 5000, NULL, NULL, NULL);
}

static void on_reloaded(const confd_sys_result *result, void *data) {
    confd_run *run = data;
    if (result->exit_code != 0)
        confd_run_note(run, MAC_PROBLEM_NOTE, KEY, "chrony did not reload its sources; it reads them when it starts");
    confd_run_done(run, NULL);
}

/* In the boot phase: the chrony of MaculaOS starts when that is over, and reads the file then. Elsewhere it may run. */
static void on_reloaded_at_boot(const confd_sys_result *result, void *data) {
    (void)result;
    confd_run_done(data, NULL);
}

static void apply(confd_run *run, const confd_context *context) {
    mac_autofree char *text = render(context);
    bool boot = context->phase == CONFD_BOOT;
    if (!boot)
        confd_run_on_undo(run, undo_reload, NULL); /* first on the stack: called when the file is back */
    mac_error *error = text ? confd_run_write_file(run, SOURCES, text, strlen(text), MAC_FS_KEEP_AS(MAC_FS_RELAXED), 0)
                            : confd_run_remove_file(run, SOURCES, 0);
    if (error || (boot && !text))
        confd_run_done(run, error);
    else
        confd_sys_run(context->sys, reload, 5000, boot ? on_reloaded_at_boot : on_reloaded, run, NULL);
}

const confd_applicator confd_apply_ntp = {.name = "ntp_servers",
                                          .paths = paths,
                                          .phases = CONFD_BOOT | CONFD_RUNTIME,
                                          .check = check,
                                          .inspect = inspect,
                                          .apply = apply};
