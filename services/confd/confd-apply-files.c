/* write_files.
 *
 * The list is the truth about the files in it: what confd wrote and is no longer listed is removed, and what it
 * replaced comes back (confd-manifest.h). Refused are paths into the kernel's file systems and into the state of the
 * suite itself, also when a symbolic link leads there: the directory is opened and asked where it really is. */
#include <errno.h>
#include <string.h>

#include "codec/mac-codec.h"
#include "confd-accounts.h"
#include "confd-applicator.h"
#include "confd-content.h"
#include "confd-files.h"
#include "confd-manifest.h"
#include "confd-target.h"

#define KEY "write_files"

static const char *const paths[] = {KEY, NULL};

/* Such a list is refused; one from before it was is still in force, and its later entry counts. */
static bool is_overridden(const Macula__V1__Document *document, size_t index) {
    for (size_t i = index + 1; i < document->n_write_files; i++)
        if (mac_streq(document->write_files[i]->path, document->write_files[index]->path))
            return true;
    return false;
}

/* Whether an owner ("user" or "user:group") names this user. */
static bool owner_is(const char *owner, const char *user) {
    size_t length = user ? strlen(user) : 0;
    return length && strncmp(owner, user, length) == 0 && strchr(":", owner[length]);
}

/* A user of the document who has no account yet will have one when the files are written. */
static bool is_future_user(const Macula__V1__Document *document, const char *owner) {
    const Macula__V1__MaculaosSection *section = confd_section(document);
    for (size_t i = 0; i < section->n_users; i++)
        if (owner_is(owner, section->users[i]->name))
            return true;
    return section->password && owner_is(owner, CONFD_LOGIN_USER);
}

/* Whether there are accounts when the files are written: some are there, or the document makes the first ones of this
 * node. A text that is looked at without a node may be for one that has them all. */
static bool will_have_accounts(const confd_context *context, const confd_accounts *accounts) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    return accounts->passwd.lines.count > 0 || (context->sys && (section->n_users > 0 || section->password));
}

/* Octal, at most 07777, not 0. */
static int parse_mode(const char *text, mode_t *ret_mode) {
    mode_t mode = 0;
    size_t length = strlen(text);
    if (length == 0 || length > 5 || strspn(text, "01234567") != length)
        return -EINVAL;
    for (; *text; text++)
        mode = mode * 8 + (mode_t)(*text - '0');
    if (mode == 0 || mode > 07777)
        return -EINVAL;
    *ret_mode = mode;
    return 0;
}

/* `*total` is of all that were checked before: an alias makes many large files of a short text. */
static void check_content(const Macula__V1__WriteFile *file, const char *key, size_t *total, mac_problems *problems) {
    mac_autofree char *data = NULL;
    size_t length = 0;
    if (*total > CONFD_CONTENTS_MAX)
        return;
    int r = confd_content_decode(file->content, file->encoding, &data, &length);
    *total += length;
    if (r == -EFBIG)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, key, "the content is larger than %u MiB when decoded",
                         CONFD_CONTENT_MAX >> 20);
    else if (r < 0)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, key, "the content is not what encoding \"%s\" says",
                         file->encoding);
    else if (*total > CONFD_CONTENTS_MAX)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, key,
                         "the contents up to this one are together larger than %u MiB when decoded: fetch such files "
                         "in run_cmd",
                         CONFD_CONTENTS_MAX >> 20);
}

static void check_entry(const confd_context *context, const confd_accounts *accounts, const confd_manifest *manifest,
                        size_t index, size_t *total, mac_problems *problems) {
    const Macula__V1__WriteFile *file = context->document->write_files[index];
    mac_autofree char *key = mac_asprintf(KEY "[%zu]", index);
    mode_t mode;
    uid_t uid;
    gid_t gid;
    mac_autofree char *obstacle = confd_target_obstacle(context, manifest, file->path ? file->path : "");
    if (obstacle)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, key, "%s", obstacle);
    check_content(file, key, total, problems);
    if (parse_mode(file->permissions, &mode) < 0)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, key, "expected permissions in octal, such as 0644");
    int r = confd_accounts_owner(accounts, file->owner, &uid, &gid);
    bool is_known = r == 0 || !will_have_accounts(context, accounts) || is_future_user(context->document, file->owner);
    if (r == -EINVAL || !is_known)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, key, "there is no user or group \"%s\" on this system",
                         file->owner);
}

/* Of two entries with one path, and of two one of which needs the other's file as a directory. */
static void check_conflicts(const Macula__V1__Document *document, mac_problems *problems) {
    mac_autoptr(json_t) entries = json_object();
    for (size_t i = 0; i < document->n_write_files; i++) {
        const char *path = document->write_files[i]->path;
        mac_autofree char *key = mac_asprintf(KEY "[%zu]", i);
        const json_t *first = path ? json_object_get(entries, path) : NULL;
        if (first)
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, key, "%s is written by " KEY "[%lld] already: keep one",
                             path, (long long)json_integer_value(first));
        else if (path)
            json_object_set_new(entries, path, json_integer((json_int_t)i));
    }
    for (size_t i = 0; i < document->n_write_files; i++) {
        const char *path = document->write_files[i]->path;
        mac_autofree char *key = mac_asprintf(KEY "[%zu]", i), *above = mac_strdup(path ? path : "");
        for (char *slash; (slash = strrchr(above, '/')) && slash > above;) {
            *slash = '\0';
            const json_t *other = json_object_get(entries, above);
            if (other)
                mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, key,
                                 "%s is a file by " KEY "[%lld], so nothing can be below it", above,
                                 (long long)json_integer_value(other));
        }
    }
}

static void check(const confd_context *context, mac_problems *problems) {
    confd_autoaccounts accounts = {0};
    confd_automanifest manifest = {0};
    int r = confd_accounts_load(&accounts, context->root);
    if (r < 0)
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, KEY, "owners cannot be checked: %s", strerror(-r));
    r = confd_manifest_load(&manifest, context->root);
    size_t total = 0;
    for (size_t i = 0; i < context->document->n_write_files; i++)
        check_entry(context, &accounts, r == 0 ? &manifest : NULL, i, &total, problems);
    check_conflicts(context->document, problems);
}

/* One entry, ready to be written. */
typedef struct entry {
    const char *path;
    char *data;
    size_t length;
    mac_fs_attributes attributes;
} entry;

static mac_error *prepare(const confd_context *context, const confd_accounts *accounts, size_t index,
                          entry *ret_entry) {
    const Macula__V1__WriteFile *file = context->document->write_files[index];
    mac_autofree char *key = mac_asprintf(KEY "[%zu]", index);
    mode_t mode = 0;
    uid_t uid = 0;
    gid_t gid = 0;
    char *data = NULL;
    size_t length = 0;
    mac_autofree char *obstacle = confd_target_obstacle(context, NULL, file->path);
    if (obstacle)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, key, "%s", obstacle);
    if (parse_mode(file->permissions, &mode) < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, key, "expected permissions in octal, such as 0644");
    int r = confd_accounts_owner(accounts, file->owner, &uid, &gid);
    /* Without account files, or without the right to give files away, the owner stays who we are. */
    if (r < 0 && accounts->passwd.lines.count > 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, key, "there is no user or group \"%s\"", file->owner);
    if (confd_content_decode(file->content, file->encoding, &data, &length) < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, key, "the content is not what encoding \"%s\" says",
                             file->encoding);
    *ret_entry = (entry){file->path, data, length, confd_attributes(mode, uid, gid)};
    return NULL;
}

static int inspect(const confd_context *context, confd_findings *findings) {
    confd_autoaccounts accounts = {0};
    confd_automanifest manifest = {0};
    int r = confd_accounts_load(&accounts, context->root);
    if (r == 0)
        r = confd_manifest_load(&manifest, context->root);
    if (r < 0)
        return r;
    for (size_t i = 0; i < context->document->n_write_files; i++) {
        entry file = {0};
        if (is_overridden(context->document, i))
            continue;
        mac_autoptr(mac_error) error = prepare(context, &accounts, i, &file);
        const char *path = context->document->write_files[i]->path;
        if (error) {
            confd_findings_add(findings, KEY, path, "(as configured)", error->message);
        } else if (!confd_file_same(context->root, path, file.data, file.length, file.attributes) ||
                   !confd_manifest_is(&manifest, path, file.data, file.length)) {
            mac_autofree char *found =
                confd_file_describe(context->root, path, file.data, file.length, file.attributes);
            confd_findings_add(findings, KEY, path, "(as configured)", found);
        }
        free(file.data);
    }
    const char *path;
    json_t *value;
    json_object_foreach (manifest.files, path, value) {
        if (!confd_target_listed(context->document, path))
            confd_findings_add(findings, KEY, path, "(absent)", "(no longer configured)");
    }
    return 0;
}

static mac_error *write_entry(confd_run *run, const confd_context *context, const confd_accounts *accounts,
                              confd_manifest *manifest, size_t index) {
    entry file = {0};
    mac_error *error = prepare(context, accounts, index, &file);
    if (!error && (!confd_manifest_is(manifest, file.path, file.data, file.length) ||
                   !confd_file_same(context->root, file.path, file.data, file.length, file.attributes)))
        error = confd_manifest_enter(manifest, run, context, file.path, file.data, file.length);
    if (!error)
        error = confd_run_write_file(run, file.path, file.data, file.length, file.attributes, 0);
    free(file.data);
    return error;
}

static mac_error *drop_unlisted(confd_run *run, const confd_context *context, confd_manifest *manifest) {
    mac_autostrings gone = {0};
    const char *path;
    json_t *value;
    json_object_foreach (manifest->files, path, value) {
        if (!confd_target_listed(context->document, path))
            mac_strings_add(&gone, path);
    }
    mac_error *error = NULL;
    for (size_t i = 0; !error && i < gone.count; i++)
        error = confd_manifest_leave(manifest, run, context, gone.items[i]);
    return error;
}

static void apply(confd_run *run, const confd_context *context) {
    confd_autoaccounts accounts = {0};
    confd_automanifest manifest = {0};
    int r = confd_accounts_load(&accounts, context->root);
    if (r == 0)
        r = confd_manifest_load(&manifest, context->root);
    mac_error *error = r < 0 ? mac_error_from_errno(r, "cannot read what write_files wrote before") : NULL;
    if (!error)
        error = drop_unlisted(run, context, &manifest);
    for (size_t i = 0; r == 0 && i < context->document->n_write_files; i++) {
        if (error && context->phase != CONFD_BOOT)
            break;
        if (!is_overridden(context->document, i))
            error = confd_run_keep_first(run, error, write_entry(run, context, &accounts, &manifest, i));
    }
    confd_run_done(run, error);
}

const confd_applicator confd_apply_files = {.name = "write_files",
                                            .paths = paths,
                                            .phases = CONFD_BOOT | CONFD_RUNTIME,
                                            .check = check,
                                            .inspect = inspect,
                                            .apply = apply};
