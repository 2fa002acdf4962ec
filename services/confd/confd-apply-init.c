/* init_cmd: run by the initramfs of the next start, so all that is done here is to lay them down for it, durably. A
 * change that is taken back takes the file back, too. */
#include "confd-apply-init.h"

#include <errno.h>
#include <string.h>

#include "codec/mac-schema.h"
#include "confd-files.h"

static const char *const paths[] = {"init_cmd", NULL};

/* ---- the text ---- */

/* For the shell: what stands between single quotes is taken as it is. */
static void append_quoted(mac_buffer *out, const char *text) {
    mac_buffer_text(out, "'");
    for (const char *c = text; *c; c++) {
        if (*c == '\'')
            mac_buffer_text(out, "'\\''");
        else
            mac_buffer_append(out, c, 1);
    }
    mac_buffer_text(out, "'");
}

static char *script_of(const Macula__V1__Document *document, const char *command) {
    const Macula__V1__MaculaosSection *section = confd_section(document);
    mac_buffer out = {0};
    for (size_t i = 0; i < section->n_environment; i++) {
        mac_buffer_printf(&out, "export %s=", section->environment[i]->key);
        append_quoted(&out, section->environment[i]->value);
        mac_buffer_text(&out, "\n");
    }
    mac_buffer_text(&out, command);
    return mac_buffer_take(&out);
}

/* What the initramfs takes; a start that waits longer is none. */
#define SECONDS_MAX 86400u

static unsigned long long seconds_of(const Macula__V1__Command *command) {
    uint64_t timeout_ms = 0;
    if (mac_value_duration(command->timeout, &timeout_ms) < 0 || timeout_ms < 1000)
        return 1;
    return timeout_ms / 1000 >= SECONDS_MAX ? SECONDS_MAX : (timeout_ms + 999) / 1000;
}

/* NULL: there are none, and no file is wanted. */
static char *wanted(const Macula__V1__Document *document) {
    if (document->n_init_cmd == 0)
        return NULL;
    mac_buffer out = {0};
    for (size_t i = 0; i < document->n_init_cmd; i++) {
        mac_autofree char *script = script_of(document, document->init_cmd[i]->command);
        mac_buffer_printf(&out, "%llu %zu\n%s\n", seconds_of(document->init_cmd[i]), strlen(script), script);
    }
    return mac_buffer_take(&out);
}

int confd_init_commands_write(mac_root *root, const Macula__V1__Document *document) {
    mac_autofree char *text = wanted(document);
    if (text && confd_file_same(root, CONFD_INIT_COMMANDS, text, strlen(text), MAC_FS_PRIVATE))
        return 0;
    int r = text ? mac_fs_write(root, CONFD_INIT_COMMANDS, text, strlen(text), MAC_FS_PRIVATE)
                 : mac_fs_remove(root, CONFD_INIT_COMMANDS);
    return !text && r == -ENOENT ? 0 : r;
}

/* ---- the applicator ---- */

static void check(const confd_context *context, mac_problems *problems) {
    for (size_t i = 0; i < context->document->n_init_cmd; i++) {
        const Macula__V1__Command *command = context->document->init_cmd[i];
        mac_autofree char *path = mac_asprintf("init_cmd[%zu]", i);
        uint64_t timeout_ms = 0;
        if (!command->command || !*command->command)
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "expected a command");
        if (mac_value_duration(command->timeout, &timeout_ms) < 0 || timeout_ms == 0)
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "expected a timeout such as 30s or 5m");
    }
}

static int inspect(const confd_context *context, confd_findings *findings) {
    mac_autofree char *text = wanted(context->document);
    confd_file_inspect(context->root, "init_cmd", CONFD_INIT_COMMANDS, text, MAC_FS_PRIVATE, findings);
    return 0;
}

static bool same_commands(const Macula__V1__Document *one, const Macula__V1__Document *other) {
    bool same = one && other && one->n_init_cmd == other->n_init_cmd;
    for (size_t i = 0; same && i < one->n_init_cmd; i++)
        same = mac_streq(one->init_cmd[i]->command, other->init_cmd[i]->command) &&
               mac_streq(one->init_cmd[i]->timeout, other->init_cmd[i]->timeout);
    return same;
}

/* Another environment alone asks nobody to restart the node. */
static void apply(confd_run *run, const confd_context *context) {
    mac_autofree char *text = wanted(context->document);
    mac_error *error = text ? confd_run_write_file(run, CONFD_INIT_COMMANDS, text, strlen(text), MAC_FS_PRIVATE, 0)
                            : confd_run_remove_file(run, CONFD_INIT_COMMANDS, 0);
    if (!error && text && !same_commands(context->document, context->previous)) {
        confd_run_reboot_required(run);
        confd_run_note(run, MAC_PROBLEM_NOTE, "init_cmd",
                       "is run when the node starts: it takes effect at the next start");
    }
    confd_run_done(run, error);
}

const confd_applicator confd_apply_init_cmd = {
    .name = "init_cmd", .paths = paths, .phases = CONFD_RUNTIME, .check = check, .inspect = inspect, .apply = apply};
