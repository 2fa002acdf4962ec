/* hostname: /etc/hostname, the line of 127.0.1.1 in /etc/hosts (unless write_files has all of that file), and the
 * kernel's host name. */
#include <string.h>

#include "confd-applicator.h"
#include "confd-files.h"
#include "confd-sys.h"
#include "confd-target.h"
#include "log/mac-log.h"

#define HOSTS "/etc/hosts"
#define HOSTS_ADDRESS "127.0.1.1"

static const char *const paths[] = {"hostname", NULL};

/* /etc/hosts with our line where the old one was, or at the end; every other line as it is. */
static char *render_hosts(const char *text, const char *name) {
    mac_buffer out = {0};
    bool done = false;
    for (const char *line = text ? text : "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"; *line;) {
        const char *end = strchrnul(line, '\n');
        const char *word = line + strspn(line, " \t");
        bool ours = strncmp(word, HOSTS_ADDRESS, strlen(HOSTS_ADDRESS)) == 0 &&
                    (word[strlen(HOSTS_ADDRESS)] == ' ' || word[strlen(HOSTS_ADDRESS)] == '\t');
        if (!ours) {
            mac_buffer_append(&out, line, (size_t)(end - line));
            mac_buffer_text(&out, "\n");
        } else if (!done) {
            mac_buffer_printf(&out, HOSTS_ADDRESS "\t%s\n", name);
            done = true;
        }
        line = *end ? end + 1 : end;
    }
    if (!done)
        mac_buffer_printf(&out, HOSTS_ADDRESS "\t%s\n", name);
    return mac_buffer_take(&out);
}

/* *ret_hosts NULL: there is no such file, and none is wanted. */
static int wanted(const confd_context *context, char **ret_file, char **ret_hosts) {
    mac_autofree char *old = NULL;
    int r = confd_text_read(context->root, HOSTS, &old);
    if (r < 0)
        return r;
    *ret_file = mac_asprintf("%s\n", context->document->hostname);
    *ret_hosts =
        confd_target_listed(context->document, HOSTS) ? mac_take(&old) : render_hosts(old, context->document->hostname);
    return 0;
}

static void check(const confd_context *context, mac_problems *problems) {
    const char *name = context->document->hostname;
    size_t length = strlen(name);
    bool good = length > 0 && length <= 63 && name[0] != '-' && name[length - 1] != '-' &&
                strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == length;
    if (!good)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, "hostname",
                         "expected a name of at most 63 letters, digits and inner hyphens");
}

static int inspect(const confd_context *context, confd_findings *findings) {
    mac_autofree char *file = NULL, *hosts = NULL, *kernel = NULL;
    int r = wanted(context, &file, &hosts);
    if (r < 0)
        return r;
    mac_autofree char *old = NULL;
    r = confd_text_read(context->root, "/etc/hostname", &old);
    if (r < 0)
        return r;
    if (!mac_streq(old, file)) {
        if (old)
            old[strcspn(old, "\n")] = '\0';
        confd_findings_add(findings, "hostname", "/etc/hostname", context->document->hostname, old ? old : "(absent)");
    }
    if (hosts)
        confd_file_inspect(context->root, "hostname", HOSTS, hosts, MAC_FS_KEEP, findings);
    r = confd_sys_hostname(context->sys, &kernel);
    if (r < 0)
        return r;
    if (!mac_streq(kernel, context->document->hostname))
        confd_findings_add(findings, "hostname", "the kernel's host name", context->document->hostname, kernel);
    return 0;
}

static void undo_kernel(const confd_context *context, void *data, bool undo) {
    mac_autofree char *old = data;
    int r = undo ? confd_sys_set_hostname(context->sys, old) : 0;
    if (r < 0)
        mac_log_warning("the host name could not be put back", "name=%s error=" MAC_LOG_Q("%s"), old, strerror(-r));
}

static mac_error *set_kernel(confd_run *run, const confd_context *context) {
    mac_autofree char *old = NULL;
    int r = confd_sys_hostname(context->sys, &old);
    if (r == 0 && mac_streq(old, context->document->hostname))
        return NULL;
    if (r == 0)
        r = confd_sys_set_hostname(context->sys, context->document->hostname);
    if (r < 0)
        return mac_error_from_errno(r, "cannot set the host name");
    confd_run_on_undo(run, undo_kernel, mac_take(&old));
    confd_run_action(run, "set the host name to %s", context->document->hostname);
    return NULL;
}

static void apply(confd_run *run, const confd_context *context) {
    mac_autofree char *file = NULL, *hosts = NULL;
    int r = wanted(context, &file, &hosts);
    if (r < 0) {
        confd_run_done(run, mac_error_from_errno(r, "cannot read " HOSTS));
        return;
    }
    mac_error *error =
        confd_run_write_file(run, "/etc/hostname", file, strlen(file), MAC_FS_KEEP_AS(MAC_FS_RELAXED), 0);
    if (!error && hosts)
        error = confd_run_write_file(run, HOSTS, hosts, strlen(hosts), MAC_FS_KEEP_AS(MAC_FS_WHOLE), 0);
    if (!error)
        error = set_kernel(run, context);
    confd_run_done(run, error);
}

const confd_applicator confd_apply_hostname = {.name = "hostname",
                                               .paths = paths,
                                               .phases = CONFD_BOOT | CONFD_RUNTIME,
                                               .check = check,
                                               .inspect = inspect,
                                               .apply = apply};
