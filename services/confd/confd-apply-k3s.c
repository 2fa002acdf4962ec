/* k3s: its configuration file, its role, whether it starts from the images of the system.
 *
 * k3s reads /etc/rancher/k3s/config.yaml, whose keys are its flags without the dashes; so k3s_args are not a command
 * line but become keys here, together with labels, taints, token and server_url. Scalars are written as JSON strings,
 * which YAML reads as they are: no value can become a key. */
#include <string.h>

#include "base/mac-k3s.h"
#include "confd-applicator.h"
#include "confd-files.h"
#include "confd-sys.h"

#define DIRECTORY "/etc/rancher/k3s"
#define CONFIG DIRECTORY "/config.yaml"
#define ROLE DIRECTORY "/role"     /* "server", "agent", or "none": not to be started */
#define AIRGAP DIRECTORY "/airgap" /* exists: the images of the system are offered to k3s when it starts */
#define SERVICE "/etc/init.d/k3s"
#define SERVICE_LIMIT_MS 120000

static const char *const paths[] = {"maculaos.k3s",
                                    "maculaos.k3s_args",
                                    "maculaos.labels",
                                    "maculaos.taints",
                                    "maculaos.token",
                                    "maculaos.server_url",
                                    NULL};

/* One key of config.yaml. values without an item: a bare flag, which is true. */
typedef struct option {
    char *name;
    mac_strings values;
} option;

typedef struct options {
    option *items;
    size_t count;
    const char *role; /* of the arguments; NULL: they name none */
} options;

static void options_deinit(options *all) {
    for (size_t i = 0; i < all->count; i++) {
        for (size_t k = 0; k < all->items[i].values.count; k++)
            mac_wipe(all->items[i].values.items[k], strlen(all->items[i].values.items[k]));
        free(all->items[i].name);
        mac_strings_deinit(&all->items[i].values);
    }
    free(all->items);
}

/* value NULL: a bare flag. A repeated option becomes a list. */
static void add_option(options *all, const char *name, const char *value) {
    option *found = NULL;
    for (size_t i = 0; i < all->count; i++)
        if (mac_streq(all->items[i].name, name))
            found = &all->items[i];
    if (!found) {
        all->items = mac_realloc(all->items, (all->count + 1) * sizeof *all->items);
        found = &all->items[all->count++];
        *found = (option){.name = mac_strdup(name)};
    }
    if (value)
        mac_strings_add(&found->values, value);
}

/* k3s's short flags that its configuration file knows by a long name. */
static const char *long_name(char flag) {
    switch (flag) {
    case 'd':
        return "data-dir";
    case 's':
        return "server";
    case 't':
        return "token";
    case 'v':
        return "v";
    default:
        return NULL;
    }
}

static bool is_option_name(const char *name) {
    return *name && *name != '-' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name);
}

/* One argument; "--name value" as one text is two, as in k3OS. *next is moved over a value that stands in an argument
 * of its own. NULL, or what is wrong with it. */
static const char *add_argument(options *all, char *const *arguments, size_t count, size_t *next) {
    const char *argument = arguments[(*next)++];
    if (argument[0] != '-') {
        if (all->role || (!mac_streq(argument, "server") && !mac_streq(argument, "agent")))
            return "expected server, agent or an option that begins with --";
        all->role = argument;
        return NULL;
    }
    bool is_long = argument[1] == '-';
    const char *start = argument + (is_long ? 2 : 1);
    size_t length = strcspn(start, "= ");
    mac_autofree char *name = mac_strndup(start, length);
    const char *spelled = is_long ? name : strlen(name) == 1 ? long_name(name[0]) : NULL;
    if (!spelled || !is_option_name(spelled))
        return "expected an option of k3s as --name or --name=value";
    if (mac_streq(spelled, "config"))
        return "the configuration file of k3s is made by MaculaOS; write its keys here instead";
    const char *value = start[length] == '=' ? start + length + 1 : start[length] ? start + length : NULL;
    if (value && start[length] == ' ')
        value += strspn(value, " ");
    if (!value && *next < count && arguments[*next][0] != '-' && !mac_streq(arguments[*next], "server") &&
        !mac_streq(arguments[*next], "agent"))
        value = arguments[(*next)++];
    add_option(all, spelled, value);
    return NULL;
}

/* k3s.args wins over k3s_args. */
static char **arguments_of(const Macula__V1__MaculaosSection *section, size_t *ret_count, const char **ret_key) {
    if (section->k3s && section->k3s->n_args > 0) {
        *ret_count = section->k3s->n_args;
        *ret_key = "maculaos.k3s.args";
        return section->k3s->args;
    }
    *ret_count = section->n_k3s_args;
    *ret_key = "maculaos.k3s_args";
    return section->k3s_args;
}

static void check(const confd_context *context, mac_problems *problems) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    size_t count = 0, next = 0;
    const char *key = NULL;
    char **arguments = arguments_of(section, &count, &key);
    options all = {0};
    while (next < count) {
        mac_autofree char *path = mac_asprintf("%s[%zu]", key, next);
        const char *wrong = add_argument(&all, arguments, count, &next);
        if (wrong)
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "%s", wrong);
    }
    if (mac_streq(all.role, "agent") && !section->server_url)
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, "maculaos.server_url",
                         "an agent needs the URL of its server, which is not set");
    options_deinit(&all);
}

/* ---- the texts ---- */

static void append_string(mac_buffer *out, const char *text) {
    mac_buffer_text(out, "\"");
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            mac_buffer_printf(out, "\\%c", *c);
        else if (*c < 0x20 || *c == 0x7f)
            mac_buffer_printf(out, "\\u%04x", *c);
        else
            mac_buffer_append(out, c, 1);
    }
    mac_buffer_text(out, "\"");
}

static char *render(const options *all) {
    mac_buffer out = {0};
    mac_buffer_text(&out, "# Written by MaculaOS from the configuration.\n");
    for (size_t i = 0; i < all->count; i++) {
        const option *one = &all->items[i];
        mac_buffer_printf(&out, "%s:", one->name);
        if (one->values.count == 0)
            mac_buffer_text(&out, " true");
        for (size_t k = 0; k < one->values.count; k++) {
            mac_buffer_text(&out, one->values.count > 1 ? "\n  - " : " ");
            append_string(&out, one->values.items[k]);
        }
        mac_buffer_text(&out, "\n");
    }
    return mac_buffer_take(&out);
}

/* What shall be; config NULL: none of the files. */
typedef struct wanted_files {
    char *config;
    const char *role;
    bool airgap;
} wanted_files;

static mac_error *collect(const confd_context *context, options *all) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    size_t count = 0, next = 0;
    const char *key = NULL;
    char **arguments = arguments_of(section, &count, &key);
    while (next < count) {
        const char *wrong = add_argument(all, arguments, count, &next);
        if (wrong)
            return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, key, "argument %zu: %s", next - 1, wrong);
    }
    for (size_t i = 0; i < section->n_labels; i++) {
        mac_autofree char *label = mac_asprintf("%s=%s", section->labels[i]->key, section->labels[i]->value);
        add_option(all, "node-label", label);
    }
    for (size_t i = 0; i < section->n_taints; i++)
        add_option(all, "node-taint", section->taints[i]);
    if (section->server_url)
        add_option(all, "server", section->server_url);
    if (!section->token)
        return NULL;
    char *token = NULL;
    mac_error *error = confd_unseal(context, "maculaos.token", section->token, &token);
    if (!error)
        add_option(all, "token", token);
    confd_secret_free(token);
    return error;
}

static mac_error *prepare(const confd_context *context, wanted_files *wanted) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    mac_k3s_role role = mac_k3s_role_of(section);
    if (role == MAC_K3S_UNASKED)
        return NULL;
    options all = {0};
    mac_error *error = collect(context, &all);
    if (!error) {
        wanted->config = render(&all);
        wanted->role = role == MAC_K3S_OFF ? "none" : role == MAC_K3S_AGENT ? "agent" : "server";
        wanted->airgap = section->k3s ? section->k3s->airgap : true;
    }
    options_deinit(&all);
    return error;
}

static int inspect(const confd_context *context, confd_findings *findings) {
    wanted_files wanted = {0};
    mac_autoptr(mac_error) error = prepare(context, &wanted);
    if (error) {
        confd_findings_add(findings, error->path, CONFIG, "(as configured)", error->message);
        return 0;
    }
    mac_autofree char *role = wanted.role ? mac_asprintf("%s\n", wanted.role) : NULL;
    confd_file_inspect(context->root, "maculaos.k3s", CONFIG, wanted.config, confd_attributes(0600, 0, 0), findings);
    confd_file_inspect(context->root, "maculaos.k3s.args", ROLE, role, MAC_FS_KEEP, findings);
    confd_file_inspect(context->root, "maculaos.k3s.airgap", AIRGAP, wanted.airgap ? "" : NULL, MAC_FS_KEEP, findings);
    confd_secret_free(wanted.config);
    return 0;
}

/* ---- apply ---- */

static bool exists(const confd_context *context, const char *path) {
    struct stat st;
    return mac_fs_stat(context->root, path, &st) == 0;
}

/* Whether k3s is a service of ours that has to follow: the boot phase is over before it starts, and elsewhere (Debian
 * with systemd) whoever installed k3s starts it. */
static bool is_ours(const confd_context *context) {
    return context->phase != CONFD_BOOT && exists(context, SERVICE);
}

/* As the service itself looks for it. */
static bool is_installed(const confd_context *context) {
    return exists(context, "/usr/local/bin/k3s") || exists(context, "/usr/bin/k3s");
}

/* What brings k3s to where its files, as they are now, want it. NULL: there is no program that could be started. */
static const char *const *command_for_files(const confd_context *context) {
    static const char *const stop[] = {"rc-service", "--ifstarted", "k3s", "stop", NULL};
    static const char *const restart[] = {"rc-service", "k3s", "restart", NULL}; /* also starts one that is stopped */
    mac_autofree char *role = NULL;
    if (mac_fs_read(context->root, ROLE, 64, &role, NULL) < 0 || mac_streq(role, "none\n"))
        return stop;
    return is_installed(context) ? restart : NULL;
}

static void undo_follow(const confd_context *context, void *data, bool undo) {
    (void)data;
    const char *const *command = undo ? command_for_files(context) : NULL;
    if (command)
        confd_sys_run(context->sys, command, SERVICE_LIMIT_MS, NULL, NULL, NULL);
}

static void on_followed(const confd_sys_result *result, void *data) {
    mac_error *error = result->exit_code == 0
                           ? NULL
                           : mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, "maculaos.k3s",
                                           "k3s did not start or stop as this configuration says: %s", result->output);
    confd_run_done(data, error);
}

static void follow(confd_run *run, const confd_context *context) {
    const char *const *command = command_for_files(context);
    if (command) {
        confd_run_action(run, "%s k3s", mac_streq(command[1], "k3s") ? "start anew" : "stop");
        confd_sys_run(context->sys, command, SERVICE_LIMIT_MS, on_followed, run, NULL);
        return;
    }
    confd_run_note(run, MAC_PROBLEM_NOTE, "maculaos.k3s",
                   "this system has no k3s; put it into /usr/local/bin, or use an image that brings it");
    confd_run_done(run, NULL);
}

static mac_error *write_or_remove(confd_run *run, const char *path, const char *text, mac_fs_attributes attributes) {
    return text ? confd_run_write_file(run, path, text, strlen(text), attributes, 0)
                : confd_run_remove_file(run, path, 0);
}

static void apply(confd_run *run, const confd_context *context) {
    wanted_files wanted = {0};
    mac_error *error = prepare(context, &wanted);
    mac_autofree char *role = wanted.role ? mac_asprintf("%s\n", wanted.role) : NULL;
    if (is_ours(context))
        confd_run_on_undo(run, undo_follow, NULL); /* first on the stack: called when the files are back */
    if (!error)
        error = write_or_remove(run, CONFIG, wanted.config, confd_attributes(0600, 0, 0));
    if (!error)
        error = write_or_remove(run, ROLE, role, MAC_FS_KEEP);
    if (!error)
        error = write_or_remove(run, AIRGAP, wanted.airgap ? "" : NULL, MAC_FS_KEEP);
    confd_secret_free(wanted.config);
    if (error || !is_ours(context))
        confd_run_done(run, error);
    else
        follow(run, context);
}

const confd_applicator confd_apply_k3s = {.name = "k3s",
                                          .paths = paths,
                                          .phases = CONFD_BOOT | CONFD_RUNTIME,
                                          .check = check,
                                          .inspect = inspect,
                                          .apply = apply};
