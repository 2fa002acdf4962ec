/* Statements and transactions. Opening and migrating is in mac-store-open.c. */
#include <errno.h>
#include <string.h>

#include "base/mac-fault.h"
#include "store/mac-store-internal.h"

static mac_store *stores; /* a handful at most; one thread uses them */

mac_store *mac_store_new(sqlite3 *db, const char *path) {
    mac_store *store = mac_calloc(1, sizeof(*store));
    store->db = db;
    store->path = mac_strdup(path);
    store->next = stores;
    stores = store;
    return store;
}

static void statement_drop(mac_store_statement *slot) {
    sqlite3_finalize(slot->statement);
    free(slot->sql);
    *slot = (mac_store_statement){0};
}

void mac_store_close(mac_store *store) {
    if (!store)
        return;
    for (mac_store **link = &stores; *link; link = &(*link)->next)
        if (*link == store) {
            *link = store->next;
            break;
        }
    mac_store_rollback(store);
    for (size_t i = 0; i < MAC_STORE_STATEMENTS_MAX; i++)
        statement_drop(&store->statements[i]);
    sqlite3_close(store->db);
    free(store->path);
    free(store);
}

sqlite3 *mac_store_db(mac_store *store) {
    return store->db;
}

/* What the operating system said of the last failing call, if it says more than SQLite's code does. */
static int system_failure(sqlite3 *db, int otherwise) {
    int number = db ? sqlite3_system_errno(db) : 0;
    if (number == ENOSPC || number == EDQUOT || number == EROFS || number == EACCES || number == EPERM ||
        number == EMFILE || number == ENFILE || number == ENOENT || number == EFBIG)
        return -number;
    return otherwise;
}

int mac_store_map(sqlite3 *db, int code) {
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EUCLEAN;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_CONSTRAINT:
        return -EEXIST;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_TOOBIG:
        return -E2BIG;
    case SQLITE_INTERRUPT:
        return -EINTR;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        return system_failure(db, -EIO);
    default: /* SQLITE_ERROR, _MISMATCH, _MISUSE, _RANGE …: a mistake in the SQL or in the call */
        return -EINVAL;
    }
}

/* Remembers a failure, and passes it on. */
static int store_fail(mac_store *store, int negative_errno) {
    store->failure = negative_errno;
    return negative_errno;
}

/* Because of a full disk, a failing one and the like SQLite ends the whole transaction, also where they hit a read,
 * which may have to make room for itself. What is asked for then must not come into force alone. Why it ended; 0: it
 * has not. */
static int lost_transaction(mac_store *store) {
    if (store->begun && !store->lost && sqlite3_get_autocommit(store->db))
        store->lost = store->failure < 0 ? store->failure : -EIO;
    return store->lost;
}

int mac_store_errno(mac_store *store) {
    /* A step by the caller has failed since, and the statement is not yet handed back. */
    int now = mac_store_map(store->db, sqlite3_extended_errcode(store->db));
    return now < 0 ? now : store->failure;
}

/* An idle statement of that text; else a free slot; else the one unused for longest, emptied; else NULL. */
static mac_store_statement *find_slot(mac_store *store, const char *sql) {
    mac_store_statement *best = NULL;
    for (size_t i = 0; i < MAC_STORE_STATEMENTS_MAX; i++) {
        mac_store_statement *slot = &store->statements[i];
        if (slot->busy)
            continue;
        if (slot->statement && strcmp(slot->sql, sql) == 0)
            return slot;
        if (!best || slot->used < best->used)
            best = slot; /* a free slot was used at 0: it wins */
    }
    if (best)
        statement_drop(best);
    return best;
}

/* How the values are bound: copied for a statement that outlives the call, else not. */
static int bind_values(sqlite3_stmt *statement, const char *types, va_list values, sqlite3_destructor_type keep) {
    if ((size_t)sqlite3_bind_parameter_count(statement) != strlen(types))
        return SQLITE_RANGE;
    int code = SQLITE_OK;
    for (int i = 0; types[i] && code == SQLITE_OK; i++) {
        if (types[i] == 'i') {
            code = sqlite3_bind_int64(statement, i + 1, va_arg(values, int64_t));
        } else if (types[i] == 's') {
            code = sqlite3_bind_text(statement, i + 1, va_arg(values, const char *), -1, keep);
        } else if (types[i] == 'b') {
            const void *data = va_arg(values, const void *);
            code = sqlite3_bind_blob64(statement, i + 1, data, va_arg(values, size_t), keep);
        } else {
            code = SQLITE_MISUSE;
        }
    }
    return code;
}

static sqlite3_stmt *query(mac_store *store, const char *sql, const char *types, va_list values,
                           sqlite3_destructor_type keep) {
    if (lost_transaction(store) < 0) {
        store_fail(store, store->lost);
        return NULL;
    }
    mac_store_statement *slot = find_slot(store, sql);
    if (!slot) {
        store_fail(store, -EMFILE);
        return NULL;
    }
    int code = SQLITE_OK;
    if (!slot->statement) {
        code = sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &slot->statement, NULL);
        if (code != SQLITE_OK || !slot->statement) {
            store_fail(store, code != SQLITE_OK ? mac_store_map(store->db, code) : -EINVAL);
            return NULL;
        }
        slot->sql = mac_strdup(sql);
    }
    slot->used = ++store->uses;
    slot->busy = true;
    code = bind_values(slot->statement, types, values, keep);
    if (code == SQLITE_OK)
        return slot->statement;
    mac_store_done(slot->statement);
    store_fail(store, mac_store_map(store->db, code));
    return NULL;
}

sqlite3_stmt *mac_store_query(mac_store *store, const char *sql, const char *types, ...) {
    va_list values;
    va_start(values, types);
    sqlite3_stmt *statement = query(store, sql, types, values, SQLITE_TRANSIENT);
    va_end(values);
    return statement;
}

void mac_store_done(sqlite3_stmt *statement) {
    if (!statement)
        return;
    mac_store *store = stores;
    while (store && store->db != sqlite3_db_handle(statement))
        store = store->next;
    if (!store)
        abort();                         /* not from mac_store_query, or its store is closed */
    int code = sqlite3_reset(statement); /* repeats the failure of the last step */
    if (code != SQLITE_OK)
        store_fail(store, mac_store_map(store->db, code));
    sqlite3_clear_bindings(statement);
    for (size_t i = 0; i < MAC_STORE_STATEMENTS_MAX; i++)
        if (store->statements[i].statement == statement)
            store->statements[i].busy = false;
}

static int exec(mac_store *store, const char *sql, const char *types, va_list values) {
    sqlite3_stmt *statement = query(store, sql, types, values, SQLITE_STATIC);
    if (!statement)
        return store->failure;
    int code;
    do
        code = sqlite3_step(statement);
    while (code == SQLITE_ROW);
    int error = mac_store_map(store->db, code);
    mac_store_done(statement);
    return error < 0 ? store_fail(store, error) : 0;
}

int mac_store_exec(mac_store *store, const char *sql, const char *types, ...) {
    va_list values;
    va_start(values, types);
    int error = exec(store, sql, types, values);
    va_end(values);
    return error;
}

/* Whether commits wait for the disk; SQLite takes it between transactions only. */
static int set_synchronous(mac_store *store, bool full) {
    const char *pragma = full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL";
    int code = sqlite3_exec(store->db, pragma, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : store_fail(store, code == SQLITE_ERROR ? -EINVAL : mac_store_map(store->db, code));
}

int mac_store_exec_relaxed(mac_store *store, const char *sql, const char *types, ...) {
    int error = set_synchronous(store, false);
    if (error < 0)
        return error;
    va_list values;
    va_start(values, types);
    error = exec(store, sql, types, values);
    va_end(values);
    int again = set_synchronous(store, true);
    return error < 0 ? error : again;
}

int mac_store_begin(mac_store *store) {
    if (lost_transaction(store) < 0)
        mac_store_rollback(store);
    int error = mac_store_exec(store, "BEGIN IMMEDIATE", "");
    if (error == 0) {
        store->begun = true;
        store->failure = 0;
    }
    return error;
}

int mac_store_commit(mac_store *store) {
    MAC_FAULT_POINT("store.commit.before");
    int error = mac_store_exec(store, "COMMIT", "");
    if (error < 0)
        mac_store_rollback(store);
    store->begun = false;
    MAC_FAULT_POINT("store.commit.after");
    return error;
}

void mac_store_rollback(mac_store *store) {
    if (!sqlite3_get_autocommit(store->db)) /* else SQLite has done it already, or nothing was begun */
        (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    store->begun = false;
    store->lost = 0;
}
