/* environment: a block in /etc/environment, which pam_env reads, and /etc/profile.d/maculaos.sh for shells.
 *
 * pam_env knows no quoting: it strips one pair of quotes and cuts at `#`. So what it cannot hold is refused or, where a
 * shell still gets it right, warned about. */
#include <string.h>

#include "confd-applicator.h"
#include "confd-files.h"

#define KEY "maculaos.environment"
#define PAM_FILE "/etc/environment"
#define PROFILE_FILE "/etc/profile.d/maculaos.sh"

static const char *const paths[] = {KEY, NULL};

/* [A-Za-z_][A-Za-z0-9_]* */
static bool is_name(const char *name) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    return *name && !(*name >= '0' && *name <= '9') && strspn(name, letters) == strlen(name);
}

static void check(const confd_context *context, mac_problems *problems) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    for (size_t i = 0; i < section->n_environment; i++) {
        mac_autofree char *path = mac_asprintf(KEY ".%s", section->environment[i]->key);
        const char *value = section->environment[i]->value;
        if (!is_name(section->environment[i]->key))
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, KEY,
                             "expected names of letters, digits and underscores that begin with no digit");
        if (confd_has_control(value))
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path,
                             "a value with a line break or control character cannot be written to " PAM_FILE);
        else if (strpbrk(value, "#\"'\\"))
            mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, path,
                             "shells get this value as it is, but programs that read " PAM_FILE
                             " may not: it has no way to write #, quotes or backslashes");
    }
}

/* Both texts, empty when there are no variables. Names in the order of the document, which is sorted. */
static void render(const confd_context *context, char **ret_block, char **ret_profile) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    mac_buffer block = {0}, profile = {0};
    for (size_t i = 0; i < section->n_environment; i++) {
        const char *name = section->environment[i]->key, *value = section->environment[i]->value;
        mac_buffer_printf(&block, strpbrk(value, " \t") ? "%s=\"%s\"\n" : "%s=%s\n", name, value);
        mac_buffer_printf(&profile, "export %s='", name);
        for (const char *c = value; *c; c++)
            if (*c == '\'')
                mac_buffer_text(&profile, "'\\''");
            else
                mac_buffer_append(&profile, c, 1);
        mac_buffer_text(&profile, "'\n");
    }
    *ret_block = mac_buffer_take(&block);
    *ret_profile = mac_buffer_take(&profile);
}

static int wanted(const confd_context *context, char **ret_pam, char **ret_profile) {
    mac_autofree char *old = NULL, *block = NULL, *profile = NULL;
    int r = confd_text_read(context->root, PAM_FILE, &old);
    if (r < 0)
        return r;
    render(context, &block, &profile);
    /* Without a file and without variables there shall still be no file. */
    *ret_pam = !old && !*block ? NULL : confd_text_block(old, block);
    *ret_profile = *profile ? mac_asprintf("# Written by MaculaOS from the configuration.\n%s", profile) : NULL;
    return 0;
}

static int inspect(const confd_context *context, confd_findings *findings) {
    mac_autofree char *pam = NULL, *profile = NULL;
    int r = wanted(context, &pam, &profile);
    if (r < 0)
        return r;
    confd_file_inspect(context->root, KEY, PAM_FILE, pam, MAC_FS_KEEP, findings);
    confd_file_inspect(context->root, KEY, PROFILE_FILE, profile, MAC_FS_KEEP, findings);
    return 0;
}

static mac_error *write_or_remove(confd_run *run, const char *path, const char *text, mac_fs_durability durability) {
    return text && *text ? confd_run_write_file(run, path, text, strlen(text), MAC_FS_KEEP_AS(durability), 0)
                         : confd_run_remove_file(run, path, 0);
}

static void apply(confd_run *run, const confd_context *context) {
    mac_autofree char *pam = NULL, *profile = NULL;
    int r = wanted(context, &pam, &profile);
    mac_error *error = r < 0 ? mac_error_from_errno(r, "cannot read " PAM_FILE) : NULL;
    if (!error && pam)
        error = write_or_remove(run, PAM_FILE, pam, MAC_FS_WHOLE);
    if (!error)
        error = write_or_remove(run, PROFILE_FILE, profile, MAC_FS_RELAXED);
    confd_run_done(run, error);
}

const confd_applicator confd_apply_environment = {.name = "environment",
                                                  .paths = paths,
                                                  .phases = CONFD_BOOT | CONFD_RUNTIME,
                                                  .check = check,
                                                  .inspect = inspect,
                                                  .apply = apply};
