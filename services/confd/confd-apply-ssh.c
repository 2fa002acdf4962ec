/* ssh_authorized_keys: of the login user and of every user of the document.
 *
 * The key file is wholly confd's. Keys from github: or a URL come from the cache (confd-keycache.h); only a source that
 * was never fetched is fetched while a change is applied, and not getting it is a warning, not a failure: a node
 * without network must still take a configuration. Until it has answered, the keys that were there before stay
 * (confd-keykept.h). confd_ssh_keys_refresh asks all sources again from time to time.
 *
 * The file lies in a directory that its user may change. So neither the home nor .ssh may be a symbolic link: root
 * would write, in the user's name, where the link leads. As he could put a link
 * there at any moment, .ssh is opened once and the file is written into what was opened. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/mac-fault.h"
#include "confd-accounts.h"
#include "confd-applicator.h"
#include "confd-files.h"
#include "confd-keycache.h"
#include "confd-keyfetch.h"
#include "confd-keykept.h"
#include "confd-sshkeys.h"

#define KEY "ssh_authorized_keys"
#define MANIFEST CONFD_APPLIED_DIR "/ssh_keys" /* paths of the key files that confd wrote, a line each */

static const char *const paths[] = {KEY, "maculaos.users", NULL};

/* One key file. */
typedef struct target {
    char *directory; /* /home/macula/.ssh */
    char *path;
    char *text; /* NULL: no keys, no file */
    char *home;
    uid_t uid;
    gid_t gid;
    bool known; /* has an account */
} target;

typedef struct targets {
    target *items;
    size_t count;
    json_t *kept;
} targets;

static void targets_deinit(targets *all) {
    for (size_t i = 0; i < all->count; i++) {
        free(all->items[i].directory);
        free(all->items[i].path);
        free(all->items[i].text);
        free(all->items[i].home);
    }
    free(all->items);
    json_decref(all->kept);
}
#define autotargets __attribute__((cleanup(targets_deinit))) targets

/* What is known of the entries; false: a source has not answered yet. */
static bool add_known(mac_root *root, char *const *entries, size_t count, mac_strings *ret_lines) {
    bool complete = true;
    for (size_t i = 0; i < count; i++) {
        if (!confd_ssh_source_is_remote(entries[i])) {
            mac_strings_add(ret_lines, entries[i]);
        } else {
            size_t comment = ret_lines->count;
            mac_strings_addf(ret_lines, "# %s", entries[i]);
            if (confd_keycache_get(root, entries[i], ret_lines, NULL))
                continue;
            free(ret_lines->items[comment]);
            ret_lines->count = comment;
            complete = false;
        }
    }
    return complete;
}

static char *render(mac_root *root, json_t *kept, const char *path, char *const *entries, size_t count) {
    mac_autostrings lines = {0}, staying = {0};
    if (add_known(root, entries, count, &lines))
        confd_keykept_forget(kept, path, entries, count);
    else
        confd_keykept_use(kept, root, path, entries, count, &staying);
    for (size_t i = 0; i < staying.count; i++)
        if (!mac_strings_contain(&lines, staying.items[i]))
            mac_strings_add(&lines, staying.items[i]);
    size_t keys = 0;
    mac_autobuffer out = {0};
    mac_buffer_text(&out, "# Written by MaculaOS from the configuration: changes here are lost.\n");
    for (size_t i = 0; i < lines.count; i++) {
        mac_buffer_printf(&out, "%s\n", lines.items[i]);
        keys += lines.items[i][0] != '#';
    }
    return keys == 0 ? NULL : mac_buffer_take(&out);
}

static void add_target(targets *all, const confd_context *context, const confd_accounts *accounts, const char *user,
                       char *const *entries, size_t count) {
    target one = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    one.known = confd_accounts_user(accounts, user, &one.uid, &one.gid, &one.home) == 0 && one.home[0] == '/';
    if (!one.known) {
        free(one.home);
        one.home = mac_asprintf("/home/%s", user);
    }
    one.directory = mac_asprintf("%s/.ssh", one.home);
    one.path = mac_asprintf("%s/authorized_keys", one.directory);
    one.text = render(context->root, all->kept, one.path, entries, count);
    all->items = mac_realloc(all->items, (all->count + 1) * sizeof *all->items);
    all->items[all->count++] = one;
}

/* People log in as the login user; on a system that has no such account but root, as root. */
static const char *login_user(const confd_accounts *accounts) {
    bool root_only =
        confd_table_find(&accounts->passwd, CONFD_LOGIN_USER) < 0 && confd_table_find(&accounts->passwd, "root") >= 0;
    return root_only ? "root" : CONFD_LOGIN_USER;
}

static int collect(const confd_context *context, targets *all) {
    const Macula__V1__Document *document = context->document;
    const Macula__V1__MaculaosSection *section = confd_section(document);
    confd_autoaccounts accounts = {0};
    int r = confd_accounts_load(&accounts, context->root);
    if (r < 0)
        return r;
    all->kept = confd_keykept_load(context->root);
    add_target(all, context, &accounts, login_user(&accounts), document->ssh_authorized_keys,
               document->n_ssh_authorized_keys);
    for (size_t i = 0; i < section->n_users; i++)
        add_target(all, context, &accounts, section->users[i]->name, section->users[i]->ssh_authorized_keys,
                   section->users[i]->n_ssh_authorized_keys);
    return 0;
}

static bool is_wanted(const targets *all, const char *path) {
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].text && mac_streq(all->items[i].path, path))
            return true;
    return false;
}

static int read_manifest(mac_root *root, confd_table *ret_paths) {
    mac_autofree char *text = NULL;
    int r = confd_text_read(root, MANIFEST, &text);
    if (r == 0)
        confd_table_parse(ret_paths, text);
    return r;
}

/* ---- check, inspect, plan ---- */

static void check_entries(const char *path, char *const *entries, size_t count, mac_problems *problems) {
    for (size_t i = 0; i < count; i++) {
        mac_autofree char *place = mac_asprintf("%s[%zu]", path, i);
        if (confd_ssh_source_is_remote(entries[i])) {
            mac_autofree char *url = confd_ssh_source_url(entries[i]);
            if (!url || confd_has_control(entries[i]))
                mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, place,
                                 "expected github: and the name of an account there, or an https URL");
            continue;
        }
        const char *wrong = confd_ssh_key_check(entries[i], true);
        if (wrong)
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, place,
                             "expected an OpenSSH public key, github:NAME or an https URL: %s", wrong);
    }
}

static void check(const confd_context *context, mac_problems *problems) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    check_entries(KEY, context->document->ssh_authorized_keys, context->document->n_ssh_authorized_keys, problems);
    for (size_t i = 0; i < section->n_users; i++) {
        mac_autofree char *path = mac_asprintf("maculaos.users[%zu]." KEY, i);
        check_entries(path, section->users[i]->ssh_authorized_keys, section->users[i]->n_ssh_authorized_keys, problems);
    }
}

static int inspect(const confd_context *context, confd_findings *findings) {
    autotargets all = {0};
    confd_table written = {0};
    int r = collect(context, &all);
    if (r == 0)
        r = read_manifest(context->root, &written);
    for (size_t i = 0; r == 0 && i < all.count; i++)
        if (all.items[i].text)
            confd_file_inspect(context->root, KEY, all.items[i].path, all.items[i].text,
                               confd_attributes(0600, all.items[i].uid, all.items[i].gid), findings);
    for (size_t i = 0; r == 0 && i < written.lines.count; i++)
        if (!is_wanted(&all, written.lines.items[i]))
            confd_findings_add(findings, KEY, written.lines.items[i], "(absent)", "(no longer configured)");
    confd_table_deinit(&written);
    return r;
}

/* Sources without any answer so far. */
static void missing_sources(const confd_context *context, mac_strings *ret_missing) {
    mac_autostrings sources = {0};
    confd_keyfetch_sources(context->document, &sources);
    for (size_t i = 0; i < sources.count; i++)
        if (!confd_keycache_get(context->root, sources.items[i], NULL, NULL))
            mac_strings_add(ret_missing, sources.items[i]);
}

bool confd_ssh_keys_missing(const confd_context *context) {
    mac_autostrings missing = {0};
    missing_sources(context, &missing);
    return missing.count > 0;
}

static void plan(const confd_context *context, mac_strings *actions) {
    mac_autostrings missing = {0};
    if (context->phase == CONFD_BOOT)
        return; /* no network yet */
    missing_sources(context, &missing);
    for (size_t i = 0; i < missing.count; i++)
        mac_strings_addf(actions, "fetch ssh keys from %s", missing.items[i]);
}

/* ---- writing ---- */

/* 0, or -ELOOP when it is something else than a directory of its own. */
static int check_directory(mac_root *root, const char *path) {
    struct stat st;
    int r = mac_fs_stat(root, path, &st);
    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : S_ISDIR(st.st_mode) ? 0 : -ELOOP;
}

/* Writes the key file into the directory that is there now, whatever is put in its place meanwhile. */
static int write_in_directory(confd_run *run, mac_root *root, const target *one) {
    mac_fs_attributes attributes = confd_attributes(0600, one->uid, one->gid);
    mac_autoptr(mac_root) directory = NULL;
    mac_autofd fd = -1;
    if (confd_file_same(root, one->path, one->text, strlen(one->text), attributes))
        return 0;
    int r = confd_run_save_file(run, one->path);
    if (r == 0)
        r = mac_fs_open(root, one->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd);
    if (r < 0)
        return r;
    mac_autofree char *itself = mac_asprintf("/proc/self/fd/%d", fd);
    r = mac_root_open(itself, false, &directory);
    MAC_FAULT_POINT("confd.apply.write");
    if (r == 0)
        r = mac_fs_write(directory, "/authorized_keys", one->text, strlen(one->text), attributes);
    if (r < 0)
        return r;
    MAC_FAULT_POINT("confd.apply.written");
    confd_run_action(run, "write %s", one->path);
    return 0;
}

static mac_error *write_target(confd_run *run, const confd_context *context, const target *one) {
    mac_root *root = context->root;
    struct stat st;
    bool had_home = mac_fs_stat(root, one->home, &st) == 0, had = mac_fs_stat(root, one->directory, &st) == 0;
    int r = check_directory(root, one->home);
    if (r == 0)
        r = check_directory(root, one->directory);
    if (r == -ELOOP)
        return mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, KEY,
                             "%s or the directory above is a symbolic link or a file; keys are only written to a real "
                             "directory",
                             one->directory);
    if (r == 0)
        r = confd_run_make_dirs(run, one->directory, 0700);
    if (r == 0 && !had_home)
        r = mac_fs_chmod_chown(root, one->home, confd_attributes(0750, one->uid, one->gid));
    if (r == 0 && !had)
        r = mac_fs_chmod_chown(root, one->directory, confd_attributes(0700, one->uid, one->gid));
    if (r < 0)
        return mac_error_from_errno(r, "cannot make %s", one->directory);
    r = write_in_directory(run, root, one);
    return r < 0 ? mac_error_from_errno(r, "cannot write %s", one->path) : NULL;
}

static mac_error *write_all(confd_run *run, const confd_context *context) {
    autotargets all = {0};
    confd_table written = {0};
    mac_autobuffer manifest = {0};
    int r = collect(context, &all);
    if (r == 0)
        r = read_manifest(context->root, &written);
    mac_error *error = r < 0 ? mac_error_from_errno(r, "cannot read who may log in") : NULL;
    for (size_t i = 0; !error && i < all.count; i++)
        if (all.items[i].text)
            mac_buffer_printf(&manifest, "%s\n", all.items[i].path);
    for (size_t i = 0; !error && i < written.lines.count; i++)
        if (!is_wanted(&all, written.lines.items[i]))
            error = confd_run_remove_file(run, written.lines.items[i], 0);
    /* What stays and the list first: a file that they name and that is not there yet does no harm. */
    if (!error)
        error = confd_keykept_store(all.kept, run);
    if (!error)
        error = manifest.length > 0
                    ? confd_run_write_file(run, MANIFEST, manifest.data, manifest.length, MAC_FS_PRIVATE, CONFD_QUIET)
                    : confd_run_remove_file(run, MANIFEST, CONFD_QUIET);
    for (size_t i = 0; !error && i < all.count; i++)
        if (all.items[i].text)
            error = write_target(run, context, &all.items[i]);
    confd_table_deinit(&written);
    return error;
}

/* ---- apply ---- */

typedef struct ssh_job {
    confd_run *run;
    const confd_context *context;
    confd_keyfetch *fetch;
} ssh_job;

static void on_fetched(const mac_problems *notes, void *data) {
    ssh_job *job = data;
    confd_run *run = job->run;
    for (size_t i = 0; i < mac_problems_count(notes); i++) {
        const mac_problem *note = mac_problems_get(notes, i);
        confd_run_note(run, note->severity, note->path, "%s", note->message);
    }
    mac_error *error = write_all(run, job->context);
    free(job);
    confd_run_done(run, error);
}

static void cancel_fetch(void *data) {
    ssh_job *job = data;
    confd_keyfetch_cancel(job->fetch);
}

static void apply(confd_run *run, const confd_context *context) {
    mac_error *error = write_all(run, context);
    if (error || context->phase == CONFD_BOOT || !confd_ssh_keys_missing(context)) {
        confd_run_done(run, error);
        return;
    }
    ssh_job *job = mac_calloc(1, sizeof *job);
    job->run = run;
    job->context = context;
    int r = confd_keyfetch_start(context, on_fetched, job, &job->fetch);
    if (r < 0) {
        free(job);
        confd_run_note(run, MAC_PROBLEM_WARNING, KEY, "keys cannot be fetched, confd-worker did not start: %s",
                       strerror(-r));
        confd_run_done(run, NULL);
        return;
    }
    confd_run_on_cancel(run, cancel_fetch, job);
}

const confd_applicator confd_apply_ssh_keys = {.name = KEY,
                                               .paths = paths,
                                               .phases = CONFD_BOOT | CONFD_RUNTIME,
                                               .check = check,
                                               .inspect = inspect,
                                               .plan = plan,
                                               .apply = apply};

/* ---- refresh ---- */

struct confd_ssh_refresh {
    confd_context context;
    confd_keyfetch *fetch; /* NULL once it has ended */
    mac_problems *notes;
    void (*on_end)(bool changed, const mac_problems *notes, void *data);
    void *data;
};

static void write_only(confd_run *run, const confd_context *context) {
    confd_run_done(run, write_all(run, context));
}

static const confd_applicator ssh_write_only = {
    .name = KEY, .paths = paths, .phases = CONFD_BOOT | CONFD_RUNTIME, .inspect = inspect, .apply = write_only};
static const confd_applicator *const ssh_write_only_table[] = {&ssh_write_only, NULL};

static void on_refresh_written(confd_run *run, const mac_error *error, void *data) {
    confd_ssh_refresh *refresh = data;
    bool changed = !error && confd_run_actions(run)->count > 0;
    if (error)
        mac_problems_add(refresh->notes, MAC_PROBLEM_ERROR, NULL, KEY, "%s", error->message);
    if (error)
        confd_run_undo(run, refresh->notes);
    else
        confd_run_commit(run);
    refresh->on_end(changed, refresh->notes, refresh->data);
    mac_problems_free(refresh->notes);
    free(refresh);
}

static void on_refresh_fetched(const mac_problems *notes, void *data) {
    confd_ssh_refresh *refresh = data;
    refresh->fetch = NULL;
    mac_problems_join(refresh->notes, notes);
    confd_run_start_some(&refresh->context, ssh_write_only_table, on_refresh_written, refresh);
}

confd_ssh_refresh *confd_ssh_keys_refresh(const confd_context *context,
                                          void (*on_end)(bool changed, const mac_problems *notes, void *data),
                                          void *data) {
    mac_autostrings sources = {0};
    confd_keyfetch_sources(context->document, &sources);
    if (sources.count == 0)
        return NULL;
    confd_ssh_refresh *refresh = mac_calloc(1, sizeof *refresh);
    refresh->context = *context;
    refresh->context.phase = CONFD_RUNTIME;
    refresh->notes = mac_problems_new();
    refresh->on_end = on_end;
    refresh->data = data;
    if (confd_keyfetch_start(&refresh->context, on_refresh_fetched, refresh, &refresh->fetch) == 0)
        return refresh;
    mac_problems_free(refresh->notes);
    free(refresh);
    return NULL;
}

void confd_ssh_keys_refresh_cancel(confd_ssh_refresh *refresh) {
    if (refresh->fetch)
        confd_keyfetch_cancel(refresh->fetch);
}
