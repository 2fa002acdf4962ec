/* Account files: the first line of the input is a name, the second a value, the rest a file. Whatever is in them, an
 * edit changes one field of one line and leaves every other byte. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "confd-accounts.h"

/* Counts in builds without assert too. */
#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_edit(const confd_table *original, const char *text, const char *name, const char *value) {
    confd_table table = {0};
    confd_table_parse(&table, text);
    ssize_t row = confd_table_find(&table, name);
    if (row >= 0 && confd_table_set(&table, row, PASSWD_SHELL, value) == 0) {
        MUST(confd_field_valid(value));
        MUST(table.lines.count == original->lines.count);
        for (size_t i = 0; i < table.lines.count; i++)
            MUST(i == (size_t)row || strcmp(table.lines.items[i], original->lines.items[i]) == 0);
        mac_autofree char *found = confd_table_get(&table, row, PASSWD_SHELL);
        MUST(strcmp(found, value) == 0);
        for (size_t field = 0; field < PASSWD_SHELL; field++) {
            mac_autofree char *before = confd_table_get(original, row, field);
            mac_autofree char *after = confd_table_get(&table, row, field);
            MUST(strcmp(before, after) == 0);
        }
        MUST(confd_table_find(&table, name) == row);
    }
    const char *fields[] = {name, "x", value};
    size_t lines = table.lines.count;
    if (confd_table_add(&table, fields, 3) == 0)
        MUST(table.lines.count == lines + 1 && confd_field_valid(name) && confd_field_valid(value));
    mac_autofree char *rendered = confd_table_render(&table);
    confd_table again = {0};
    confd_table_parse(&again, rendered);
    MUST(again.lines.count == table.lines.count);
    confd_table_deinit(&again);
    confd_table_deinit(&table);
}

static void try_accounts(const char *text, const char *name, const char *owner) {
    confd_autoaccounts accounts = {0};
    uid_t uid = 0;
    gid_t gid = 0;
    confd_table_parse(&accounts.passwd, text);
    confd_table_parse(&accounts.group, text);
    if (confd_accounts_owner(&accounts, owner, &uid, &gid) == 0)
        MUST(uid != (uid_t)-1 && gid != (gid_t)-1);
    if (confd_field_valid(name) && *name && !strchr(name, ',') &&
        confd_group_member(&accounts, owner, name, true) == 0) {
        ssize_t row = confd_table_find(&accounts.group, owner);
        MUST(confd_group_has(&accounts, row, name));
        MUST(confd_group_member(&accounts, owner, name, false) == 0);
        MUST(!confd_group_has(&accounts, row, name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mac_autofree char *text = mac_strndup((const char *)data, size);
    char *rest = text;
    const char *name = strsep(&rest, "\n"), *value = rest ? strsep(&rest, "\n") : "";
    confd_table original = {0};
    confd_table_parse(&original, rest);
    try_edit(&original, rest, name, value);
    try_accounts(rest, name, value);
    confd_table_deinit(&original);
    return 0;
}
