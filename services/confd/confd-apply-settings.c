/* timezone, keyboard, locale: a few lines in files that other programs read. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "confd-applicator.h"
#include "confd-files.h"
#include "confd-sys.h"

#define ZONEINFO "/usr/share/zoneinfo"

/* A name that may stand between double quotes in a file that shells read, and in a path. */
static bool is_plain(const char *text) {
    return *text &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./@") == strlen(text) &&
           !strstr(text, "..") && text[0] != '/';
}

static void check_plain(const char *path, const char *value, const char *expected, mac_problems *problems) {
    if (!is_plain(value))
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "expected %s", expected);
}

/* ---- timezone ---- */

static const char *const timezone_paths[] = {"maculaos.timezone", NULL};

static const char *zone_of(const confd_context *context) {
    return confd_section(context->document)->timezone;
}

static bool zone_is_known(const confd_context *context, const char *zone) {
    mac_autofree char *path = mac_asprintf(ZONEINFO "/%s", zone);
    struct stat st;
    return mac_fs_stat(context->root, path, &st) == 0 || access(path, R_OK) == 0;
}

static void timezone_check(const confd_context *context, mac_problems *problems) {
    const char *zone = zone_of(context);
    check_plain("maculaos.timezone", zone, "a name of the tz database such as Europe/Berlin", problems);
    if (!is_plain(zone) || zone_is_known(context, zone))
        return;
    if (access(ZONEINFO, F_OK) == 0)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, "maculaos.timezone",
                         "there is no time zone \"%s\" in " ZONEINFO "; write a name such as Europe/Berlin", zone);
    else if (!mac_streq(zone, "UTC"))
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, "maculaos.timezone",
                         "this system has no tz database, so local time stays UTC; install tzdata");
}

static int timezone_inspect(const confd_context *context, confd_findings *findings) {
    const char *zone = zone_of(context);
    mac_autofree char *line = mac_asprintf("%s\n", zone);
    mac_autofree char *target = mac_asprintf(ZONEINFO "/%s", zone);
    mac_autofree char *found = NULL;
    confd_file_inspect(context->root, "maculaos.timezone", "/etc/timezone", line, MAC_FS_KEEP, findings);
    if (!zone_is_known(context, zone))
        return 0;
    int r = mac_fs_readlink(context->root, "/etc/localtime", &found);
    if (r < 0 && r != -ENOENT && r != -EINVAL)
        return r;
    if (!mac_streq(found, target))
        confd_findings_add(findings, "maculaos.timezone", "/etc/localtime", target, found ? found : "(absent)");
    return 0;
}

static void timezone_apply(confd_run *run, const confd_context *context) {
    const char *zone = zone_of(context);
    mac_autofree char *line = mac_asprintf("%s\n", zone);
    mac_autofree char *target = mac_asprintf(ZONEINFO "/%s", zone);
    mac_error *error =
        confd_run_write_file(run, "/etc/timezone", line, strlen(line), MAC_FS_KEEP_AS(MAC_FS_RELAXED), 0);
    if (!error && zone_is_known(context, zone))
        error = confd_run_symlink(run, target, "/etc/localtime");
    else if (!error && !mac_streq(zone, "UTC"))
        confd_run_note(run, MAC_PROBLEM_WARNING, "maculaos.timezone",
                       "there is no " ZONEINFO "/%s here, so local time stays as it was; install tzdata", zone);
    confd_run_done(run, error);
}

const confd_applicator confd_apply_timezone = {.name = "timezone",
                                               .paths = timezone_paths,
                                               .phases = CONFD_BOOT | CONFD_RUNTIME,
                                               .check = timezone_check,
                                               .inspect = timezone_inspect,
                                               .apply = timezone_apply};

/* ---- files of NAME="value" lines ---- */

typedef struct setting {
    const char *path;
    const char *name;
    char *value;
} setting;

/* Several settings may be of one file: each is applied to what the one before made of it. */
static int setting_text(mac_root *root, const setting *settings, size_t count, size_t first, char **ret_text) {
    mac_autofree char *text = NULL;
    int r = confd_text_read(root, settings[first].path, &text);
    if (r < 0)
        return r;
    for (size_t i = first; i < count; i++) {
        if (!mac_streq(settings[i].path, settings[first].path))
            continue;
        char *next = confd_text_set(text, settings[i].name, settings[i].value);
        free(text);
        text = next;
    }
    *ret_text = mac_take(&text);
    return 0;
}

static int settings_inspect(const confd_context *context, const char *key, const setting *settings, size_t count,
                            confd_findings *findings) {
    for (size_t i = 0; i < count; i++) {
        mac_autofree char *text = NULL;
        int r = confd_text_read(context->root, settings[i].path, &text);
        if (r < 0)
            return r;
        mac_autofree char *found = confd_text_get(text, settings[i].name);
        if (mac_streq(found, settings[i].value))
            continue;
        mac_autofree char *what = mac_asprintf("%s of %s", settings[i].name, settings[i].path);
        confd_findings_add(findings, key, what, settings[i].value ? settings[i].value : "(absent)",
                           found ? found : "(absent)");
    }
    return 0;
}

static mac_error *settings_apply(confd_run *run, const confd_context *context, const setting *settings, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && mac_streq(settings[i].path, settings[i - 1].path))
            continue;
        mac_autofree char *text = NULL;
        int r = setting_text(context->root, settings, count, i, &text);
        mac_error *error =
            r < 0 ? mac_error_from_errno(r, "cannot read %s", settings[i].path)
                  : confd_run_write_file(run, settings[i].path, text, strlen(text), MAC_FS_KEEP_AS(MAC_FS_WHOLE), 0);
        if (error)
            return error;
    }
    return NULL;
}

static void settings_deinit(setting *settings, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(settings[i].value);
}

/* ---- keyboard ---- */

static const char *const keyboard_paths[] = {"maculaos.keyboard", NULL};
#define KEYBOARD_SETTINGS 3
#define KEYMAPS "/usr/share/maculaos/keymaps"

/* Where the maps are the image's own, its list is the whole truth. Elsewhere kbd looks for them, and says what it
 * finds. */
static bool layout_is_missing(const confd_context *context, const char *name) {
    mac_autofree char *path = mac_asprintf(KEYMAPS "/%s.bmap", name);
    struct stat st;
    return mac_fs_stat(context->root, KEYMAPS, &st) == 0 && mac_fs_stat(context->root, path, &st) == -ENOENT;
}

/* The console's map is de-latin1-nodeadkeys; X and its heirs call that the layout de with the variant nodeadkeys. */
static void keyboard_settings(const confd_context *context, setting settings[KEYBOARD_SETTINGS]) {
    static const char *const variants[] = {"nodeadkeys", "dvorak", "colemak", "neo"};
    const char *keymap = confd_section(context->document)->keyboard;
    char *variant = NULL;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(variants); i++)
        if (strchr(keymap, '-') && mac_ends_with(keymap, variants[i]))
            variant = mac_strdup(variants[i]);
    settings[0] = (setting){"/etc/vconsole.conf", "KEYMAP", mac_strdup(keymap)};
    settings[1] = (setting){"/etc/default/keyboard", "XKBLAYOUT", mac_strndup(keymap, strcspn(keymap, "-"))};
    settings[2] = (setting){"/etc/default/keyboard", "XKBVARIANT", variant};
}

static void keyboard_check(const confd_context *context, mac_problems *problems) {
    const char *layout = confd_section(context->document)->keyboard;
    check_plain("maculaos.keyboard", layout, "the name of a console key map such as us or de-latin1", problems);
    /* No error: a node whose configuration an older version took goes on with all the rest of it. */
    if (is_plain(layout) && layout_is_missing(context, layout))
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, "maculaos.keyboard",
                         "there is no key map \"%s\", so the layout stays as it is; the names are those in " KEYMAPS,
                         layout);
}

static int keyboard_inspect(const confd_context *context, confd_findings *findings) {
    setting settings[KEYBOARD_SETTINGS];
    keyboard_settings(context, settings);
    int r = settings_inspect(context, keyboard_paths[0], settings, KEYBOARD_SETTINGS, findings);
    settings_deinit(settings, KEYBOARD_SETTINGS);
    return r;
}

static void on_keys_loaded(const confd_sys_result *result, void *data) {
    confd_run *run = data;
    if (result->missing)
        confd_run_note(run, MAC_PROBLEM_WARNING, keyboard_paths[0],
                       "there is no loadkeys here, so the layout of the console stays as it is; install kbd");
    else if (result->exit_code != 0)
        confd_run_note(run, MAC_PROBLEM_WARNING, keyboard_paths[0],
                       "loadkeys failed, the layout of the console stays as it is: %s", result->output);
    confd_run_done(run, NULL);
}

/* us is the kernel's own map: who never asked for another one need not hear that none can be loaded. */
static void on_us_loaded(const confd_sys_result *result, void *data) {
    confd_sys_result quiet = *result;
    quiet.exit_code = result->missing ? 0 : result->exit_code;
    quiet.missing = false;
    on_keys_loaded(&quiet, data);
}

static void keyboard_apply(confd_run *run, const confd_context *context) {
    setting settings[KEYBOARD_SETTINGS];
    keyboard_settings(context, settings);
    mac_error *error = settings_apply(run, context, settings, KEYBOARD_SETTINGS);
    settings_deinit(settings, KEYBOARD_SETTINGS);
    if (error) {
        confd_run_done(run, error);
        return;
    }
    const char *layout = confd_section(context->document)->keyboard;
    const char *argv[] = {"loadkeys", "--", layout, NULL};
    confd_sys_run(context->sys, argv, 10000, mac_streq(layout, "us") ? on_us_loaded : on_keys_loaded, run, NULL);
}

const confd_applicator confd_apply_keyboard = {.name = "keyboard",
                                               .paths = keyboard_paths,
                                               .phases = CONFD_BOOT | CONFD_RUNTIME,
                                               .check = keyboard_check,
                                               .inspect = keyboard_inspect,
                                               .apply = keyboard_apply};

/* ---- locale ---- */

static const char *const locale_paths[] = {"maculaos.locale", NULL};
#define LOCALE_SETTINGS 2

static void locale_settings(const confd_context *context, setting settings[LOCALE_SETTINGS]) {
    const char *locale = confd_section(context->document)->locale;
    settings[0] = (setting){"/etc/locale.conf", "LANG", mac_strdup(locale)};
    settings[1] = (setting){"/etc/default/locale", "LANG", mac_strdup(locale)};
}

static void locale_check(const confd_context *context, mac_problems *problems) {
    check_plain("maculaos.locale", confd_section(context->document)->locale, "a locale such as en_US.UTF-8", problems);
}

static int locale_inspect(const confd_context *context, confd_findings *findings) {
    setting settings[LOCALE_SETTINGS];
    locale_settings(context, settings);
    int r = settings_inspect(context, locale_paths[0], settings, LOCALE_SETTINGS, findings);
    settings_deinit(settings, LOCALE_SETTINGS);
    return r;
}

static void locale_apply(confd_run *run, const confd_context *context) {
    setting settings[LOCALE_SETTINGS];
    locale_settings(context, settings);
    mac_error *error = settings_apply(run, context, settings, LOCALE_SETTINGS);
    settings_deinit(settings, LOCALE_SETTINGS);
    confd_run_done(run, error);
}

const confd_applicator confd_apply_locale = {.name = "locale",
                                             .paths = locale_paths,
                                             .phases = CONFD_BOOT | CONFD_RUNTIME,
                                             .check = locale_check,
                                             .inspect = locale_inspect,
                                             .apply = locale_apply};
