/* Tables of lines with fields between colons. */
#include "confd-accounts.h"

#include <errno.h>
#include <string.h>

#include "confd-files.h"

void confd_table_parse(confd_table *table, const char *text) {
    for (const char *line = text ? text : ""; *line;) {
        size_t length = strcspn(line, "\n");
        mac_strings_addf(&table->lines, "%.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

char *confd_table_render(const confd_table *table) {
    mac_buffer out = {0};
    for (size_t i = 0; i < table->lines.count; i++)
        mac_buffer_printf(&out, "%s\n", table->lines.items[i]);
    return mac_buffer_take(&out);
}

void confd_table_deinit(confd_table *table) {
    mac_strings_deinit(&table->lines);
}

/* Start and length of a field; false when the line is shorter. */
static bool find_field(const char *line, size_t field, const char **ret_start, size_t *ret_length) {
    for (; field > 0; field--) {
        line = strchr(line, ':');
        if (!line)
            return false;
        line++;
    }
    *ret_start = line;
    *ret_length = strcspn(line, ":");
    return true;
}

ssize_t confd_table_find_by(const confd_table *table, size_t field, const char *value) {
    size_t length = strlen(value), found = 0;
    const char *start = NULL;
    for (size_t i = 0; i < table->lines.count; i++)
        if (find_field(table->lines.items[i], field, &start, &found) && found == length &&
            memcmp(start, value, length) == 0 && strchr(table->lines.items[i], ':'))
            return (ssize_t)i;
    return -1;
}

ssize_t confd_table_find(const confd_table *table, const char *name) {
    return confd_table_find_by(table, 0, name);
}

char *confd_table_get(const confd_table *table, ssize_t row, size_t field) {
    const char *start = NULL;
    size_t length = 0;
    if (row < 0 || (size_t)row >= table->lines.count || !find_field(table->lines.items[row], field, &start, &length))
        return mac_strdup("");
    return mac_strndup(start, length);
}

bool confd_field_valid(const char *value) {
    return !strchr(value, ':') && !confd_has_control(value);
}

/* The value may hold whatever the line held before; it must be without colon and line break. */
static void replace_field(confd_table *table, ssize_t row, size_t field, const char *value) {
    char *line = table->lines.items[row];
    const char *start = NULL;
    size_t length = 0;
    mac_buffer out = {0};
    if (find_field(line, field, &start, &length)) {
        mac_buffer_append(&out, line, (size_t)(start - line));
        mac_buffer_text(&out, value);
        mac_buffer_text(&out, start + length);
    } else {
        size_t fields = 1;
        for (const char *c = line; *c; c++)
            fields += *c == ':';
        mac_buffer_text(&out, line);
        for (; fields <= field; fields++)
            mac_buffer_text(&out, ":");
        mac_buffer_text(&out, value);
    }
    mac_wipe(line, strlen(line)); /* it may have been of /etc/shadow */
    free(line);
    table->lines.items[row] = mac_buffer_take(&out);
}

int confd_table_set(confd_table *table, ssize_t row, size_t field, const char *value) {
    if (!confd_field_valid(value) || row < 0 || (size_t)row >= table->lines.count)
        return -EINVAL;
    replace_field(table, row, field, value);
    return 0;
}

int confd_table_add(confd_table *table, const char *const *fields, size_t count) {
    mac_autobuffer line = {0};
    for (size_t i = 0; i < count; i++) {
        if (!confd_field_valid(fields[i]))
            return -EINVAL;
        mac_buffer_printf(&line, i > 0 ? ":%s" : "%s", fields[i]);
    }
    mac_strings_add(&table->lines, line.data);
    return 0;
}

int confd_number(const char *text, uint32_t *ret_number) {
    uint64_t number = 0;
    if (!*text)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        number = number * 10 + (uint64_t)(*text - '0');
        if (number >= UINT32_MAX)
            return -EINVAL;
    }
    *ret_number = (uint32_t)number;
    return 0;
}

bool confd_group_has(const confd_accounts *accounts, ssize_t row, const char *name) {
    mac_autofree char *members = confd_table_get(&accounts->group, row, GROUP_MEMBERS);
    char *rest = members;
    for (char *member; (member = strsep(&rest, ","));)
        if (mac_streq(member, name))
            return true;
    return false;
}

int confd_group_member(confd_accounts *accounts, const char *group, const char *name, bool member) {
    ssize_t row = confd_table_find(&accounts->group, group);
    if (row < 0)
        return -ENOENT;
    if (!*name || !confd_field_valid(name) || strchr(name, ','))
        return -EINVAL;
    if (confd_group_has(accounts, row, name) == member)
        return 0;
    mac_autofree char *members = confd_table_get(&accounts->group, row, GROUP_MEMBERS);
    mac_autobuffer out = {0};
    char *rest = members;
    for (char *one; (one = strsep(&rest, ","));)
        if (*one && !mac_streq(one, name))
            mac_buffer_printf(&out, out.length ? ",%s" : "%s", one);
    if (member)
        mac_buffer_printf(&out, out.length ? ",%s" : "%s", name);
    replace_field(&accounts->group, row, GROUP_MEMBERS, out.data ? out.data : "");
    return 0;
}

int confd_accounts_load(confd_accounts *accounts, mac_root *root) {
    static const char *const files[] = {"/etc/passwd", "/etc/group", "/etc/shadow"};
    confd_table *const tables[] = {&accounts->passwd, &accounts->group, &accounts->shadow};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(files); i++) {
        mac_autofree char *text = NULL;
        int r = confd_text_read(root, files[i], &text);
        if (r < 0)
            return r;
        confd_table_parse(tables[i], text);
        if (text)
            mac_wipe(text, strlen(text));
    }
    return 0;
}

void confd_accounts_deinit(confd_accounts *accounts) {
    for (size_t i = 0; i < accounts->shadow.lines.count; i++)
        mac_wipe(accounts->shadow.lines.items[i], strlen(accounts->shadow.lines.items[i]));
    confd_table_deinit(&accounts->passwd);
    confd_table_deinit(&accounts->group);
    confd_table_deinit(&accounts->shadow);
}

int confd_accounts_user(const confd_accounts *accounts, const char *name, uid_t *ret_uid, gid_t *ret_gid,
                        char **ret_home) {
    ssize_t row = confd_table_find(&accounts->passwd, name);
    mac_autofree char *uid = confd_table_get(&accounts->passwd, row, PASSWD_UID);
    mac_autofree char *gid = confd_table_get(&accounts->passwd, row, PASSWD_GID);
    uint32_t uid_number, gid_number;
    if (row < 0 || confd_number(uid, &uid_number) < 0 || confd_number(gid, &gid_number) < 0)
        return -ENOENT;
    *ret_uid = uid_number;
    *ret_gid = gid_number;
    if (ret_home)
        *ret_home = confd_table_get(&accounts->passwd, row, PASSWD_HOME);
    return 0;
}

/* The user's part. A number that is nobody's has group 0. */
static int resolve_user(const confd_accounts *accounts, const char *name, uid_t *ret_uid, gid_t *ret_gid) {
    if (confd_accounts_user(accounts, name, ret_uid, ret_gid, NULL) == 0)
        return 0;
    uint32_t number = 0;
    if (!mac_streq(name, "root") && confd_number(name, &number) < 0)
        return -ENOENT;
    ssize_t row = confd_table_find_by(&accounts->passwd, PASSWD_UID, name);
    mac_autofree char *gid = confd_table_get(&accounts->passwd, row, PASSWD_GID);
    uint32_t gid_number = 0;
    if (row >= 0 && confd_number(gid, &gid_number) < 0)
        gid_number = 0;
    *ret_uid = number;
    *ret_gid = gid_number;
    return 0;
}

static int resolve_group(const confd_accounts *accounts, const char *name, gid_t *ret_gid) {
    ssize_t row = confd_table_find(&accounts->group, name);
    mac_autofree char *gid = confd_table_get(&accounts->group, row, GROUP_GID);
    uint32_t number = 0;
    if (confd_number(row >= 0 ? gid : name, &number) < 0 && !mac_streq(name, "root"))
        return -ENOENT;
    *ret_gid = number;
    return 0;
}

int confd_accounts_owner(const confd_accounts *accounts, const char *owner, uid_t *ret_uid, gid_t *ret_gid) {
    const char *colon = strchr(owner, ':');
    mac_autofree char *user = mac_strndup(owner, colon ? (size_t)(colon - owner) : strlen(owner));
    const char *group = colon ? colon + 1 : "";
    if ((!*user && !*group) || strchr(group, ':'))
        return -EINVAL;
    uid_t uid = 0;
    gid_t gid = 0;
    int r = *user ? resolve_user(accounts, user, &uid, &gid) : 0;
    if (r == 0 && *group)
        r = resolve_group(accounts, group, &gid);
    if (r < 0)
        return r;
    *ret_uid = uid;
    *ret_gid = gid;
    return 0;
}
