/* SQLite the way every service uses it: WAL, synchronous=FULL (a committed transaction survives a power cut), foreign
 * keys, migrations by user_version, a page cache of 64 kB. A damaged file is said plainly, never silently replaced.
 * Use a store from one thread. Fault points: store.migrate.applied, store.previous.kept,
 * store.previous.exchanged, store.commit.before, store.commit.after. */
#ifndef MAC_STORE_H
#define MAC_STORE_H

#include <sqlite3.h>

#include "base/mac-base.h"
#include "base/mac-problem.h"
#include "fs/mac-fs.h"

typedef struct mac_store mac_store;

/* So many prepared statements are kept, those handed out included. Beyond, the one unused for longest is thrown out;
 * when all are handed out at once, mac_store_query fails with -EMFILE. */
#define MAC_STORE_STATEMENTS_MAX 32

/* Opens (makes, 0600; its directory must exist) the database at a host path and runs the migrations that it has not
 * had: migrations[i] is the SQL that leads from user_version i to i+1, each in one transaction (write no BEGIN or
 * COMMIT in it), with foreign keys off, so that it may rebuild a table, and checked at its end. A step that fails
 * leaves the version before it. Of several processes at once each step is run by one.
 *
 * A release may be given back after it has migrated, so the one before must be able to go on. A step that only makes
 * tables (with their indexes; no rows, no reference to a table of before) keeps the database open to releases without
 * it, and a later release finds in old tables what they wrote meanwhile. Before any other step the database is copied,
 * durably, to PATH.before; a release that knows fewer steps finds that copy, and PATH and PATH.before change places: it
 * goes on where it was, and what was written since then stays in PATH.before until the next such step.
 *
 * Refused, with the file and a remedy in *ret_error (may be NULL): a newer database than `count` without such a copy
 * (-ENOTSUP), a damaged one
 * (-EUCLEAN: garbage, truncated, empty; up to 1 MB all of it is checked, of a larger one the schema, and the rest shows
 * as -EUCLEAN when it is read), a failing migration (-EINVAL), and what the operating system refuses. */
int mac_store_open(const char *path, const char *const *migrations, size_t count, mac_store **ret_store,
                   mac_error **ret_error) MAC_MUST_USE;
/* The same of the file below `root`, for who has to start on a full disk too. As also reading takes a few pages
 * beside a database, `reserve` (mac_fs_reserve) is removed then. Where that is not enough, because it is gone
 * already or somebody else was faster, the store is opened without a page: no other process can open it until it
 * is closed, and -EBUSY says that one has it open now. *ret_error must not be NULL. */
int mac_store_open_reserved(mac_root *root, const char *file, const char *reserve, const char *const *migrations,
                            size_t count, mac_store **ret_store, mac_error **ret_error) MAC_MUST_USE;
/* Rolls back what is not committed. */
void mac_store_close(mac_store *store);
MAC_DEFINE_AUTOPTR(mac_store, mac_store_close)
sqlite3 *mac_store_db(mac_store *store);

/* Transactions; begin takes the write lock at once, and waits a quarter of a second for it. A failed commit has been
 * rolled back. Where the disk is full or fails, the whole transaction may be gone at once, also because of a read: then
 * everything until the commit or rollback fails for the same reason. Return 0 or a negative errno: ENOSPC, EROFS, EIO,
 * EBUSY, EUCLEAN for damage, EEXIST for a constraint (unique, foreign key, not null, check), E2BIG, ENOMEM, EINVAL for
 * a mistake in the SQL or in `types`. */
int mac_store_begin(mac_store *store) MAC_MUST_USE;
int mac_store_commit(mac_store *store) MAC_MUST_USE;
void mac_store_rollback(mac_store *store);

/* Prepares (cached by text), binds by `types` — 'i' int64_t, 's' const char* (NULL → NULL), 'b' const void* (NULL →
 * NULL) and size_t, one for each parameter of the SQL; a plain int must be cast — and returns the statement to step and
 * read. The values are copied. Hand the statement back with mac_store_done (NULL is fine) before the store is closed.
 * NULL on failure (mac_store_errno). */
sqlite3_stmt *mac_store_query(mac_store *store, const char *sql, const char *types, ...);
void mac_store_done(sqlite3_stmt *statement);
/* The same for a statement whose rows do not matter. */
int mac_store_exec(mac_store *store, const char *sql, const char *types, ...) MAC_MUST_USE;
/* A transaction of one statement that does not wait for the disk: a killed process does not lose it, a power cut may,
 * unless another transaction was committed since. For bookkeeping that is merely done again then. -EINVAL inside of a
 * transaction. */
int mac_store_exec_relaxed(mac_store *store, const char *sql, const char *types, ...) MAC_MUST_USE;
/* The last failure, also of a step by the caller, as negative errno; 0 if there was none. */
int mac_store_errno(mac_store *store);

#endif
