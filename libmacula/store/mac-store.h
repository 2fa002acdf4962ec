/* SQLite the way every service uses it: WAL, synchronous=FULL (a committed transaction survives a power cut), foreign keys,
 * migrations by user_version. A damaged file is said plainly, never silently replaced. */
#ifndef MAC_STORE_H
#define MAC_STORE_H

#include <sqlite3.h>

#include "base/mac-base.h"
#include "base/mac-problem.h"

typedef struct mac_store mac_store;

/* Opens (makes, 0600) the database at a host path and runs the migrations that it has not had: migrations[i] is the SQL that
 * leads from user_version i to i+1, each in one transaction. A newer database than `count` is refused. */
int mac_store_open(const char *path, const char *const *migrations, size_t count, mac_store **ret_store,
                   mac_error **ret_error) MAC_MUST_USE;
void mac_store_close(mac_store *store);
MAC_DEFINE_AUTOPTR(mac_store, mac_store_close)
sqlite3 *mac_store_db(mac_store *store);

/* Transactions; begin takes the write lock at once. A failed commit has been rolled back. Return 0 or a negative errno
 * (ENOSPC for SQLITE_FULL, EROFS, EIO, EBUSY, EUCLEAN for corruption). */
int mac_store_begin(mac_store *store) MAC_MUST_USE;
int mac_store_commit(mac_store *store) MAC_MUST_USE;
void mac_store_rollback(mac_store *store);

/* Prepares (cached by text), binds by `types` — 'i' int64_t, 's' const char* (NULL → NULL), 'b' const void* and size_t —
 * and returns the statement to step and read. Hand it back with mac_store_done. NULL on failure (mac_store_errno). */
sqlite3_stmt *mac_store_query(mac_store *store, const char *sql, const char *types, ...);
void mac_store_done(sqlite3_stmt *statement);
/* The same for a statement without rows. */
int mac_store_exec(mac_store *store, const char *sql, const char *types, ...) MAC_MUST_USE;
/* The last failure as negative errno. */
int mac_store_errno(mac_store *store);

#endif
