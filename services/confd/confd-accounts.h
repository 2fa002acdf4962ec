/* The account files of a system — /etc/passwd, /etc/group, /etc/shadow — as tables of lines with fields between colons.
 * Lines that are not ours, comments and NIS entries too, stay byte for byte as they are. Pure: no files, no clock. */
#ifndef CONFD_ACCOUNTS_H
#define CONFD_ACCOUNTS_H

#include <sys/types.h>

#include "fs/mac-fs.h"

/* Fields by number. */
enum { PASSWD_NAME, PASSWD_PASSWORD, PASSWD_UID, PASSWD_GID, PASSWD_GECOS, PASSWD_HOME, PASSWD_SHELL, PASSWD_FIELDS };
enum { GROUP_NAME, GROUP_PASSWORD, GROUP_GID, GROUP_MEMBERS, GROUP_FIELDS };
enum { SHADOW_NAME, SHADOW_HASH, SHADOW_CHANGED, SHADOW_EXPIRES = 7, SHADOW_FIELDS = 9 };

/* Numbers that people get. */
#define CONFD_UID_MIN 1000u
#define CONFD_UID_MAX 59999u

typedef struct confd_table {
    mac_strings lines;
} confd_table;

typedef struct confd_accounts {
    confd_table passwd, group, shadow;
} confd_accounts;

/* text may be NULL. */
void confd_table_parse(confd_table *table, const char *text);
char *confd_table_render(const confd_table *table); /* caller frees */
void confd_table_deinit(confd_table *table);
/* Row whose first field is the name; -1 if none. */
ssize_t confd_table_find(const confd_table *table, const char *name);
/* Row whose field has this text; -1 if none. */
ssize_t confd_table_find_by(const confd_table *table, size_t field, const char *value);
/* A copy of a field; "" when the line is shorter. */
char *confd_table_get(const confd_table *table, ssize_t row, size_t field);
/* Whether a text can be a field: no colon, no control character. */
bool confd_field_valid(const char *value);
/* Sets a field, adding empty ones before it. -EINVAL when the value cannot be one; then nothing has changed. */
int confd_table_set(confd_table *table, ssize_t row, size_t field, const char *value) MAC_MUST_USE;
/* Appends a line of these fields; -EINVAL when one cannot be. */
int confd_table_add(confd_table *table, const char *const *fields, size_t count) MAC_MUST_USE;

/* A decimal number of at most UINT32_MAX - 1, which is never a uid. -EINVAL otherwise. */
int confd_number(const char *text, uint32_t *ret_number) MAC_MUST_USE;

/* Members of a group: adds, or removes, one name. -ENOENT: no such group; -EINVAL: a name that no member can have. */
int confd_group_member(confd_accounts *accounts, const char *group, const char *name, bool member) MAC_MUST_USE;
bool confd_group_has(const confd_accounts *accounts, ssize_t row, const char *name);

/* Reads the three files below a root; missing ones are empty. */
int confd_accounts_load(confd_accounts *accounts, mac_root *root) MAC_MUST_USE;
void confd_accounts_deinit(confd_accounts *accounts);
#define confd_autoaccounts __attribute__((cleanup(confd_accounts_deinit))) confd_accounts

/* Numbers of a user and where he lives. -ENOENT: no such user, or a line that is no account. ret_home may be NULL. */
int confd_accounts_user(const confd_accounts *accounts, const char *name, uid_t *ret_uid, gid_t *ret_gid,
                        char **ret_home) MAC_MUST_USE;
/* "user", "user:group", "user:", ":group", names or numbers. A user alone keeps his own group; a number alone, group 0
 * if it is nobody's. root and 0 are known even without files. -ENOENT: no such user or group; -EINVAL: not of that
 * form. */
int confd_accounts_owner(const confd_accounts *accounts, const char *owner, uid_t *ret_uid,
                         gid_t *ret_gid) MAC_MUST_USE;

#endif
