/* What the files of libmacula/store share; nobody else includes it. */
#ifndef MAC_STORE_INTERNAL_H
#define MAC_STORE_INTERNAL_H

#include "store/mac-store.h"

typedef struct mac_store_statement {
    sqlite3_stmt *statement; /* NULL: the slot is free */
    char *sql;
    uint64_t used; /* when last handed out, counted in hand-outs */
    bool busy;     /* handed out, not yet done */
} mac_store_statement;

struct mac_store {
    sqlite3 *db;
    char *path;
    int failure; /* the last one, negative errno */
    bool begun;  /* a transaction, neither committed nor rolled back */
    int lost;    /* why SQLite has ended it by itself; 0: it has not */
    uint64_t uses;
    mac_store_statement statements[MAC_STORE_STATEMENTS_MAX];
    mac_store *next; /* of all open stores: a statement finds its own by its connection */
};

/* Puts a connection that is ready into a store and takes over both. */
mac_store *mac_store_new(sqlite3 *db, const char *path);
/* The negative errno of an extended result code that this connection has just given. */
int mac_store_map(sqlite3 *db, int code);

/* Gives an error to whoever wants it (ret_error may be NULL). */
void mac_store_say(mac_error **ret_error, mac_error *error);
/* Says that the file is damaged and what to do; -EUCLEAN. */
int mac_store_say_damaged(mac_error **ret_error, const char *path, const char *found);
/* Tells what the last failure of the connection means for the person who runs the node ("opening" the database …). */
int mac_store_say_failure(mac_error **ret_error, const char *path, sqlite3 *db, const char *what);

/* The one number that a statement gives; false when it fails. */
bool mac_store_read_number(sqlite3 *db, const char *sql, int64_t *ret_number);
/* The first text that a statement gives; NULL when it fails or gives none. Caller frees. */
char *mac_store_read_text(sqlite3 *db, const char *sql);

/* Behind the name: the copy of before a step that older releases cannot live with. */
#define MAC_STORE_BEFORE ".before"

/* ---- mac-store-previous.c ---- */
/* Inside of a step's transaction: what the schema is before it; then, whether the step has added tables only. */
bool mac_store_note_schema(sqlite3 *db) MAC_MUST_USE;
bool mac_store_only_added(sqlite3 *db) MAC_MUST_USE;
/* Copies the database as it is, durably. */
int mac_store_keep_previous(sqlite3 *db, const char *path, mac_error **ret_error) MAC_MUST_USE;
/* Puts the copy in the place of a database that is too new, and closes that. -ENOENT, without a text, when there is no
 * whole copy of a version up to `count`. */
int mac_store_return_previous(sqlite3 *db, const char *path, size_t count, mac_error **ret_error) MAC_MUST_USE;

/* ---- mac-store-migrate.c ---- */
/* Whether the release with `count` migrations cannot use the database. */
bool mac_store_is_too_new(sqlite3 *db, size_t count);
/* Brings the database to version `count`, and switches foreign keys on. */
int mac_store_migrate(sqlite3 *db, const char *path, const char *const *migrations, size_t count,
                      mac_error **ret_error);

#endif
