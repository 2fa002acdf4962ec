/* password and users: the account files are edited as text, whole and atomically, one after the other.
 *
 * /etc is rebuilt from the image at every boot, homes are not. So that a user finds his files as his own again, the
 * number that he once got is kept in a manifest outside /etc and never given to somebody else. A user who leaves the
 * document is locked and expired, not deleted: his files keep an owner with a name. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "confd-accounts.h"
#include "confd-applicator.h"
#include "confd-files.h"

#define KEY "maculaos.users"
#define MANIFEST CONFD_APPLIED_DIR "/users"
#define SUDO "/etc/sudoers"
#define SUDOERS "/etc/sudoers.d/maculaos-users"
#define DOAS "/etc/doas.conf" /* of the image: who is in this group becomes root */
#define ADMIN_GROUP "sudo"
#define LOGIN_SHELL "/bin/bash"
#define NO_LOGIN "/usr/sbin/nologin"
#define NO_PASSWORD "*" /* keys let in, a password never does; "!" would lock keys out too */

static const char *const paths[] = {"maculaos.password", KEY, NULL};

/* What the account files shall be. */
typedef struct wanted_accounts {
    confd_accounts accounts;
    confd_table manifest; /* name:uid */
    bool has_doas, has_sudo;
    mac_buffer sudoers; /* stays empty where there is no sudo */
    mac_error *error;   /* the first thing that cannot be */
    char *manifest_text, *passwd_text, *group_text, *shadow_text;
} wanted_accounts;

static void wanted_deinit(wanted_accounts *wanted) {
    confd_accounts_deinit(&wanted->accounts);
    confd_table_deinit(&wanted->manifest);
    mac_buffer_deinit(&wanted->sudoers);
    mac_error_free(wanted->error);
    free(wanted->manifest_text);
    free(wanted->passwd_text);
    free(wanted->group_text);
    confd_secret_free(wanted->shadow_text);
}
#define autowanted __attribute__((cleanup(wanted_deinit))) wanted_accounts

static void reject(wanted_accounts *wanted, const char *path, const char *format, ...) MAC_PRINTF(3, 4);
static void reject(wanted_accounts *wanted, const char *path, const char *format, ...) {
    if (wanted->error)
        return;
    va_list arguments;
    va_start(arguments, format);
    mac_autofree char *text = mac_vasprintf(format, arguments);
    va_end(arguments);
    wanted->error = mac_error_new(MACULA__V1__ERROR_CODE__REJECTED, path, "%s", text);
}

static bool is_user_name(const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz_0123456789-";
    return *name && strlen(name) <= 32 && strspn(name, letters) == strlen(name) &&
           !((*name >= '0' && *name <= '9') || *name == '-');
}

/* ---- checks ---- */

static void check_user(const confd_context *context, size_t index, mac_problems *problems) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    const Macula__V1__UserAccount *user = section->users[index];
    mac_autofree char *path = mac_asprintf(KEY "[%zu]", index);
    if (!user->name || !is_user_name(user->name)) {
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path,
                         "expected a name of lower-case letters, digits, - and _, at most 32, beginning with a letter");
        return;
    }
    if (mac_streq(user->name, "root") || mac_streq(user->name, CONFD_LOGIN_USER))
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path,
                         "%s is always there; for " CONFD_LOGIN_USER " set maculaos.password and ssh_authorized_keys",
                         user->name);
    if (user->password && !mac_password_is_hash(user->password) && !mac_starts_with(user->password, MAC_SEAL_PREFIX))
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "the password is not a crypt(5) hash");
    if (!confd_field_valid(user->shell) || user->shell[0] != '/')
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "expected the path of a shell without a colon");
    for (size_t i = 0; i < user->n_groups; i++)
        if (!is_user_name(user->groups[i]))
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "groups[%zu] is not the name of a group", i);
    for (size_t i = 0; i < index; i++) {
        if (mac_streq(section->users[i]->name, user->name))
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "the user %s is listed twice", user->name);
        if (user->has_uid && section->users[i]->has_uid && section->users[i]->uid == user->uid)
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, path, "uid %u is that of %s already", user->uid,
                             section->users[i]->name);
    }
}

static int prepare(const confd_context *context, wanted_accounts *wanted);

static void check(const confd_context *context, mac_problems *problems) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    size_t errors = mac_problems_errors(problems);
    for (size_t i = 0; i < section->n_users; i++)
        check_user(context, i, problems);
    if (section->password && !mac_password_is_hash(section->password) &&
        !mac_starts_with(section->password, MAC_SEAL_PREFIX))
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, "maculaos.password", "expected a crypt(5) hash");
    struct stat st;
    if (mac_problems_errors(problems) > errors || mac_fs_stat(context->root, "/etc/group", &st) == -ENOENT)
        return; /* without any group there is nothing that the document could contradict */
    autowanted wanted = {0};
    if (prepare(context, &wanted) == 0 && wanted.error)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, wanted.error->path, "%s", wanted.error->message);
    for (size_t i = 0; i < section->n_users && mac_root_is_system(context->root); i++)
        if (section->users[i]->admin && !wanted.has_doas && !wanted.has_sudo)
            mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, KEY,
                             "%s is to be an administrator, but neither doas nor sudo is installed here",
                             section->users[i]->name);
}

/* ---- what shall be ---- */

static bool uid_is_free(const wanted_accounts *wanted, const char *text) {
    return confd_table_find_by(&wanted->accounts.passwd, PASSWD_UID, text) < 0 &&
           confd_table_find_by(&wanted->accounts.group, GROUP_GID, text) < 0 &&
           confd_table_find_by(&wanted->manifest, 1, text) < 0;
}

/* The number of a new user: the one he asks for, the one he had, or the first free one. NULL: there is none. */
static char *choose_uid(wanted_accounts *wanted, const Macula__V1__UserAccount *user, const char *path) {
    ssize_t known = confd_table_find(&wanted->manifest, user->name);
    mac_autofree char *text = known >= 0 ? confd_table_get(&wanted->manifest, known, 1) : NULL;
    if (user->has_uid) {
        mac_autofree char *asked = mac_asprintf("%u", user->uid);
        if (!mac_streq(asked, text) && !uid_is_free(wanted, asked)) {
            reject(wanted, path, "uid %u belongs to somebody else; choose another", user->uid);
            return NULL;
        }
        return mac_take(&asked);
    }
    if (text && confd_table_find_by(&wanted->accounts.passwd, PASSWD_UID, text) < 0)
        return mac_take(&text);
    for (unsigned uid = CONFD_UID_MIN; uid <= CONFD_UID_MAX; uid++) {
        mac_autofree char *next = mac_asprintf("%u", uid);
        if (uid_is_free(wanted, next))
            return mac_take(&next);
    }
    reject(wanted, path, "all uids from %u to %u are taken", CONFD_UID_MIN, CONFD_UID_MAX);
    return NULL;
}

static int add_account(wanted_accounts *wanted, const Macula__V1__UserAccount *user, const char *uid) {
    ssize_t group = confd_table_find(&wanted->accounts.group, user->name);
    mac_autofree char *gid = group >= 0 ? confd_table_get(&wanted->accounts.group, group, GROUP_GID) : mac_strdup(uid);
    mac_autofree char *home = mac_asprintf("/home/%s", user->name);
    const char *passwd[PASSWD_FIELDS] = {user->name, "x", uid, gid, "", home, user->shell};
    const char *group_line[GROUP_FIELDS] = {user->name, "x", gid, ""};
    int r = confd_table_add(&wanted->accounts.passwd, passwd, PASSWD_FIELDS);
    if (r == 0 && group < 0)
        r = confd_table_add(&wanted->accounts.group, group_line, GROUP_FIELDS);
    return r;
}

/* Hash of a user; the day of the last change moves only when it differs. */
static int set_hash(wanted_accounts *wanted, const char *name, const char *hash) {
    confd_table *shadow = &wanted->accounts.shadow;
    mac_autofree char *today = mac_asprintf("%lld", (long long)(time(NULL) / 86400));
    ssize_t row = confd_table_find(shadow, name);
    if (row < 0) {
        const char *fields[SHADOW_FIELDS] = {name, hash, today, "0", "99999", "7", "", "", ""};
        return confd_table_add(shadow, fields, SHADOW_FIELDS);
    }
    mac_autofree char *old = confd_table_get(shadow, row, SHADOW_HASH);
    mac_autofree char *expires = confd_table_get(shadow, row, SHADOW_EXPIRES);
    int r = 0;
    if (!mac_streq(old, hash)) {
        r = confd_table_set(shadow, row, SHADOW_HASH, hash);
        if (r == 0)
            r = confd_table_set(shadow, row, SHADOW_CHANGED, today);
    }
    if (r == 0 && *expires)
        r = confd_table_set(shadow, row, SHADOW_EXPIRES, "");
    confd_secret_free(mac_take(&old));
    return r;
}

static mac_error *plain_hash(const confd_context *context, const char *path, const char *password, char **ret_hash) {
    if (password)
        return confd_unseal(context, path, password, ret_hash);
    *ret_hash = mac_strdup(NO_PASSWORD);
    return NULL;
}

static bool is_admin_group(const wanted_accounts *wanted, const Macula__V1__UserAccount *user, const char *group) {
    return user->admin && wanted->has_doas && mac_streq(group, ADMIN_GROUP);
}

/* Membership is what the document says for users that confd made. */
static int set_groups(wanted_accounts *wanted, const Macula__V1__UserAccount *user, const char *path) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < user->n_groups; i++) {
        r = confd_group_member(&wanted->accounts, user->groups[i], user->name, true);
        if (r == -ENOENT) {
            reject(wanted, path, "there is no group \"%s\" on this system; a group has to exist before users join it",
                   user->groups[i]);
            r = 0;
        }
    }
    if (r == 0 && is_admin_group(wanted, user, ADMIN_GROUP))
        r = confd_group_member(&wanted->accounts, ADMIN_GROUP, user->name, true);
    if (r == -ENOENT) {
        reject(wanted, path, "there is no group " ADMIN_GROUP " on this system, which " DOAS " lets become root");
        r = 0;
    }
    for (size_t row = 0; r == 0 && row < wanted->accounts.group.lines.count; row++) {
        mac_autofree char *group = confd_table_get(&wanted->accounts.group, (ssize_t)row, GROUP_NAME);
        bool listed = is_admin_group(wanted, user, group);
        for (size_t i = 0; i < user->n_groups; i++)
            listed = listed || mac_streq(user->groups[i], group);
        if (!listed && confd_group_has(&wanted->accounts, (ssize_t)row, user->name))
            r = confd_group_member(&wanted->accounts, group, user->name, false);
    }
    return r;
}

static int set_user(const confd_context *context, wanted_accounts *wanted, const Macula__V1__UserAccount *user,
                    const char *path, const char *password_path) {
    mac_autofree char *uid = NULL;
    ssize_t row = confd_table_find(&wanted->accounts.passwd, user->name);
    int r = 0;
    if (row < 0) {
        uid = choose_uid(wanted, user, path);
        r = uid ? add_account(wanted, user, uid) : 0;
    } else {
        uid = confd_table_get(&wanted->accounts.passwd, row, PASSWD_UID);
        uint32_t number = 0;
        if (confd_number(uid, &number) < 0 || number < CONFD_UID_MIN || number > CONFD_UID_MAX)
            reject(wanted, path, "%s is an account of the system (uid %s); choose another name", user->name, uid);
        else if (user->has_uid && number != user->uid)
            reject(wanted, path, "%s has uid %s already; a number cannot be changed, as files belong to it", user->name,
                   uid);
        else
            r = confd_table_set(&wanted->accounts.passwd, row, PASSWD_SHELL, user->shell);
    }
    if (r < 0 || wanted->error)
        return r;
    mac_autofree char *hash = NULL;
    wanted->error = plain_hash(context, password_path, user->password, &hash);
    if (wanted->error)
        return 0;
    r = set_hash(wanted, user->name, hash);
    if (r == 0)
        r = set_groups(wanted, user, path);
    if (user->admin && wanted->has_sudo)
        mac_buffer_printf(&wanted->sudoers, "%s ALL=(ALL:ALL) NOPASSWD: ALL\n", user->name);
    ssize_t known = confd_table_find(&wanted->manifest, user->name);
    const char *fields[] = {user->name, uid};
    if (r == 0)
        r = known < 0 ? confd_table_add(&wanted->manifest, fields, 2)
                      : confd_table_set(&wanted->manifest, known, 1, uid);
    return r;
}

static bool in_document(const Macula__V1__MaculaosSection *section, const char *name) {
    for (size_t i = 0; i < section->n_users; i++)
        if (mac_streq(section->users[i]->name, name))
            return true;
    return false;
}

/* Neither password nor key lets a locked user in: expired since 1970, no shell, no groups. */
static int lock_user(wanted_accounts *wanted, const char *name) {
    confd_accounts *accounts = &wanted->accounts;
    ssize_t row = confd_table_find(&accounts->passwd, name), shadow = confd_table_find(&accounts->shadow, name);
    int r = row >= 0 ? confd_table_set(&accounts->passwd, row, PASSWD_SHELL, NO_LOGIN) : 0;
    if (r == 0 && shadow >= 0) {
        mac_autofree char *hash = confd_table_get(&accounts->shadow, shadow, SHADOW_HASH);
        mac_autofree char *locked = mac_asprintf("!%s", hash);
        if (hash[0] != '!')
            r = confd_table_set(&accounts->shadow, shadow, SHADOW_HASH, locked);
        if (r == 0)
            r = confd_table_set(&accounts->shadow, shadow, SHADOW_EXPIRES, "1");
    }
    const Macula__V1__UserAccount nobody = {.name = (char *)(uintptr_t)name};
    return r == 0 ? set_groups(wanted, &nobody, KEY) : r;
}

static int lock_removed(const confd_context *context, wanted_accounts *wanted) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < wanted->manifest.lines.count; i++) {
        mac_autofree char *name = confd_table_get(&wanted->manifest, (ssize_t)i, 0);
        if (!in_document(confd_section(context->document), name) && !mac_streq(name, CONFD_LOGIN_USER) &&
            confd_table_find(&wanted->accounts.passwd, name) >= 0)
            r = lock_user(wanted, name);
    }
    return r;
}

/* The login user's password. The image has that account; elsewhere it is made like any other. */
static int set_login_user(const confd_context *context, wanted_accounts *wanted) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    bool exists = confd_table_find(&wanted->accounts.passwd, CONFD_LOGIN_USER) >= 0;
    if (!section->password) {
        bool had = context->previous && confd_section(context->previous)->password;
        return had && exists ? set_hash(wanted, CONFD_LOGIN_USER, NO_PASSWORD) : 0;
    }
    if (!exists) {
        Macula__V1__UserAccount user = MACULA__V1__USER_ACCOUNT__INIT;
        user.name = (char *)(uintptr_t)CONFD_LOGIN_USER;
        user.password = section->password;
        user.shell = (char *)(uintptr_t)LOGIN_SHELL;
        return set_user(context, wanted, &user, "maculaos.password", "maculaos.password");
    }
    mac_autofree char *hash = NULL;
    wanted->error = confd_unseal(context, "maculaos.password", section->password, &hash);
    return wanted->error ? 0 : set_hash(wanted, CONFD_LOGIN_USER, hash);
}

static bool is_there(mac_root *root, const char *path) {
    struct stat st;
    return mac_fs_stat(root, path, &st) == 0;
}

static int prepare(const confd_context *context, wanted_accounts *wanted) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    mac_autofree char *manifest = NULL;
    wanted->has_doas = is_there(context->root, DOAS);
    wanted->has_sudo = is_there(context->root, SUDO);
    int r = confd_accounts_load(&wanted->accounts, context->root);
    if (r == 0)
        r = confd_text_read(context->root, MANIFEST, &manifest);
    if (r < 0)
        return r;
    confd_table_parse(&wanted->manifest, manifest);
    r = set_login_user(context, wanted);
    for (size_t i = 0; r == 0 && !wanted->error && i < section->n_users; i++) {
        mac_autofree char *path = mac_asprintf(KEY "[%zu]", i);

        r = set_user(context, wanted, section->users[i], path, KEY "[].password");
    }
    if (r == 0 && !wanted->error)
        r = lock_removed(context, wanted);
    if (r < 0)
        return r;
    wanted->manifest_text = confd_table_render(&wanted->manifest);
    wanted->passwd_text = confd_table_render(&wanted->accounts.passwd);
    wanted->group_text = confd_table_render(&wanted->accounts.group);
    wanted->shadow_text = confd_table_render(&wanted->accounts.shadow);
    return 0;
}

/* ---- inspect, apply ---- */

/* A file that exists keeps its mode and owner; a new /etc/shadow is private. An empty one is not made. */
static bool is_nothing(mac_root *root, const char *path, const char *text) {
    struct stat st;
    return !*text && mac_fs_stat(root, path, &st) == -ENOENT;
}

static mac_fs_attributes attributes_of(mac_root *root, const char *path, mode_t new_mode) {
    struct stat st;
    return mac_fs_stat(root, path, &st) == 0 ? MAC_FS_KEEP : confd_attributes(new_mode, 0, 0);
}

static void inspect_home(const confd_context *context, const char *name, confd_findings *findings) {
    mac_autofree char *home = mac_asprintf("/home/%s", name);
    struct stat st;
    if (mac_fs_stat(context->root, home, &st) == -ENOENT)
        confd_findings_add(findings, KEY, home, "a directory", "(absent)");
}

static int inspect(const confd_context *context, confd_findings *findings) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    autowanted wanted = {0};
    int r = prepare(context, &wanted);
    if (r < 0)
        return r;
    if (wanted.error) {
        confd_findings_add(findings, KEY, "accounts", "(as configured)", wanted.error->message);
        return 0;
    }
    const struct {
        const char *path, *text;
    } files[] = {{MANIFEST, wanted.manifest_text},
                 {"/etc/group", wanted.group_text},
                 {"/etc/shadow", wanted.shadow_text},
                 {"/etc/passwd", wanted.passwd_text}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(files); i++)
        if (!is_nothing(context->root, files[i].path, files[i].text))
            confd_file_inspect(context->root, KEY, files[i].path, files[i].text, MAC_FS_KEEP, findings);
    confd_file_inspect(context->root, KEY, SUDOERS, wanted.sudoers.data, confd_attributes(0440, 0, 0), findings);
    for (size_t i = 0; i < section->n_users; i++)
        inspect_home(context, section->users[i]->name, findings);
    return 0;
}

static mac_error *make_home(confd_run *run, const confd_context *context, const wanted_accounts *wanted,
                            const char *name) {
    mac_autofree char *home = mac_asprintf("/home/%s", name);
    struct stat st;
    uid_t uid;
    gid_t gid;
    if (mac_fs_stat(context->root, home, &st) == 0)
        return NULL;
    int r = confd_run_make_dirs(run, home, 0750);
    if (r == 0)
        r = confd_accounts_user(&wanted->accounts, name, &uid, &gid, NULL);
    if (r == 0)
        r = mac_fs_chmod_chown(context->root, home, confd_attributes(0750, uid, gid));
    if (r < 0)
        return mac_error_from_errno(r, "cannot make the home directory %s", home);
    confd_run_action(run, "make the home directory %s", home);
    return NULL;
}

static mac_error *write_accounts(confd_run *run, const confd_context *context, const wanted_accounts *wanted) {
    const struct {
        const char *path, *text;
        mode_t mode;
        unsigned flags;
    } files[] = {{MANIFEST, wanted->manifest_text, 0600, CONFD_QUIET},
                 {"/etc/group", wanted->group_text, 0644, 0},
                 {"/etc/shadow", wanted->shadow_text, 0600, 0},
                 {"/etc/passwd", wanted->passwd_text, 0644, 0}};
    mac_error *error = NULL;
    for (size_t i = 0; !error && i < MAC_ARRAY_SIZE(files); i++)
        if (!is_nothing(context->root, files[i].path, files[i].text))
            error = confd_run_write_file(run, files[i].path, files[i].text, strlen(files[i].text),
                                         attributes_of(context->root, files[i].path, files[i].mode), files[i].flags);
    return error;
}

static void apply(confd_run *run, const confd_context *context) {
    const Macula__V1__MaculaosSection *section = confd_section(context->document);
    autowanted wanted = {0};
    int r = prepare(context, &wanted);
    mac_error *error = r < 0 ? mac_error_from_errno(r, "cannot read the account files") : mac_take(&wanted.error);
    if (!error)
        error = write_accounts(run, context, &wanted);
    for (size_t i = 0; !error && i < section->n_users; i++)
        error = make_home(run, context, &wanted, section->users[i]->name);
    if (!error)
        error = wanted.sudoers.length > 0 ? confd_run_write_file(run, SUDOERS, wanted.sudoers.data,
                                                                 wanted.sudoers.length, confd_attributes(0440, 0, 0), 0)
                                          : confd_run_remove_file(run, SUDOERS, 0);
    confd_run_done(run, error);
}

const confd_applicator confd_apply_users = {.name = "users",
                                            .paths = paths,
                                            .phases = CONFD_BOOT | CONFD_RUNTIME,
                                            .check = check,
                                            .inspect = inspect,
                                            .apply = apply};
