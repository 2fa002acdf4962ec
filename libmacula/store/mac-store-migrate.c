/* Migrations, and how a failure is told to the person who runs the node. */
#include <errno.h>

#include "base/mac-fault.h"
#include "store/mac-store-internal.h"

void mac_store_say(mac_error **ret_error, mac_error *error) {
    if (ret_error)
        *ret_error = error;
    else
        mac_error_free(error);
}

int mac_store_say_damaged(mac_error **ret_error, const char *path, const char *found) {
    mac_store_say(
        ret_error,
        mac_error_new(
            MACULA__V1__ERROR_CODE__INTERNAL, NULL,
            "the database %s is damaged: expected an SQLite database, found: %s; restore it from a backup, or "
            "move it and its -wal and -shm files away to begin with an empty one",
            path, found));
    return -EUCLEAN;
}

int mac_store_say_failure(mac_error **ret_error, const char *path, sqlite3 *db, const char *what) {
    int error = db ? mac_store_map(db, sqlite3_extended_errcode(db)) : -ENOMEM;
    if (error == 0)
        error = -EIO;
    if (error == -EUCLEAN)
        return mac_store_say_damaged(ret_error, path, sqlite3_errmsg(db));
    if (error == -EBUSY)
        mac_store_say(ret_error, mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                                               "%s the database %s: another program keeps it locked; end that program",
                                               what, path));
    else if (error == -EINVAL || error == -EEXIST)
        mac_store_say(ret_error, mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "%s the database %s: %s", what,
                                               path, sqlite3_errmsg(db)));
    else
        mac_store_say(ret_error, mac_error_from_errno(error, "%s the database %s", what, path));
    return error;
}

bool mac_store_read_number(sqlite3 *db, const char *sql, int64_t *ret_number) {
    sqlite3_stmt *statement = NULL;
    bool read = sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW;
    if (read)
        *ret_number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return read;
}

char *mac_store_read_text(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    char *text = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        text = mac_strdup((const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return text;
}

/* Tells why a step was not made; the database is as it was. */
static int say_migration(mac_error **ret_error, const char *path, int64_t from, const char *why) {
    mac_store_say(ret_error, mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                                           "the database %s could not be brought from version %lld to %lld: %s; it is "
                                           "unchanged: report this, and start the release that ran before",
                                           path, (long long)from, (long long)from + 1, why));
    return -EINVAL;
}

static int run_sql(sqlite3 *db, const char *path, const char *sql, int64_t from, mac_error **ret_error) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        int error = mac_store_map(db, sqlite3_extended_errcode(db));
        return error == -EINVAL || error == -EEXIST ? say_migration(ret_error, path, from, sqlite3_errmsg(db))
                                                    : mac_store_say_failure(ret_error, path, db, "migrating");
    }
    mac_autofree char *table = mac_store_read_text(db, "SELECT \"table\" FROM pragma_foreign_key_check");
    if (table) {
        mac_autofree char *why = mac_asprintf("rows of the table %s refer to rows that are not there", table);
        return say_migration(ret_error, path, from, why);
    }
    return 0;
}

/* The oldest release that can use the database, by the number of its migrations. */
static int64_t oldest_release(sqlite3 *db, int64_t version) {
    int64_t oldest = 0;
    return mac_store_read_number(db, "PRAGMA application_id", &oldest) && oldest > 0 && oldest < version ? oldest
                                                                                                         : version;
}

static int finish_step(sqlite3 *db, const char *path, int64_t from, bool added, mac_error **ret_error) {
    int64_t oldest = added ? oldest_release(db, from) : from + 1;
    MAC_FAULT_POINT("store.migrate.applied");
    char version[128];
    sqlite3_snprintf(sizeof(version), version, "PRAGMA user_version=%lld; PRAGMA application_id=%lld",
                     (long long)from + 1, (long long)oldest);
    if (sqlite3_exec(db, version, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        return mac_store_say_failure(ret_error, path, db, "migrating");
    return 0;
}

/* One step, inside its transaction, which keeps the write lock: the copy is of exactly what the step changes. */
static int run_step(sqlite3 *db, const char *path, const char *sql, int64_t from, bool *kept, mac_error **ret_error) {
    if (!mac_store_note_schema(db) || sqlite3_exec(db, "SAVEPOINT step", NULL, NULL, NULL) != SQLITE_OK)
        return mac_store_say_failure(ret_error, path, db, "migrating");
    int changes = sqlite3_total_changes(db);
    int error = run_sql(db, path, sql, from, ret_error);
    if (error < 0)
        return error;
    bool added = from > 0 && sqlite3_total_changes(db) == changes && mac_store_only_added(db);
    if (from > 0 && !added && !*kept) {
        if (sqlite3_exec(db, "ROLLBACK TO step", NULL, NULL, NULL) != SQLITE_OK)
            return mac_store_say_failure(ret_error, path, db, "migrating");
        error = mac_store_keep_previous(db, path, ret_error);
        if (error == 0)
            error = run_sql(db, path, sql, from, ret_error);
        if (error < 0)
            return error;
        *kept = true;
    }
    if (sqlite3_exec(db, "DROP TABLE temp.mac_before", NULL, NULL, NULL) != SQLITE_OK)
        return mac_store_say_failure(ret_error, path, db, "migrating");
    return finish_step(db, path, from, added, ret_error);
}

/* The version is read again under the write lock: another process may migrate at the same time. */
static int step(sqlite3 *db, const char *path, const char *const *migrations, size_t count, int64_t *version,
                bool *kept, mac_error **ret_error) {
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
        !mac_store_read_number(db, "PRAGMA user_version", version))
        return mac_store_say_failure(ret_error, path, db, "migrating");
    if (*version < 0 || (uint64_t)*version >= count)
        return 0;
    int error = run_step(db, path, migrations[*version], *version, kept, ret_error);
    if (error == 0)
        ++*version;
    return error;
}

bool mac_store_is_too_new(sqlite3 *db, size_t count) {
    int64_t version;
    return mac_store_read_number(db, "PRAGMA user_version", &version) && version > 0 &&
           (uint64_t)oldest_release(db, version) > count;
}

int mac_store_migrate(sqlite3 *db, const char *path, const char *const *migrations, size_t count,
                      mac_error **ret_error) {
    int64_t version;
    if (!mac_store_read_number(db, "PRAGMA user_version", &version))
        return mac_store_say_failure(ret_error, path, db, "reading");
    int error = 0;
    bool kept = version == 0; /* of one that is just made nobody needs a copy */
    /* Foreign keys are off meanwhile, so that a step can rebuild a table; each step is checked as a whole. */
    while (error == 0 && version >= 0 && (uint64_t)version < count) {
        error = step(db, path, migrations, count, &version, &kept, ret_error);
        if (!sqlite3_get_autocommit(db))
            (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    if (error < 0)
        return error;
    if (version < 0 || mac_store_is_too_new(db, count)) {
        mac_store_say(ret_error,
                      mac_error_new(MACULA__V1__ERROR_CODE__UNSUPPORTED, NULL,
                                    "the database %s has version %lld, expected at most %zu: a newer release wrote it; "
                                    "start that release, or restore a backup made by this one",
                                    path, (long long)version, count));
        return -ENOTSUP;
    }
    if (sqlite3_exec(db, "PRAGMA foreign_keys=ON", NULL, NULL, NULL) != SQLITE_OK)
        return mac_store_say_failure(ret_error, path, db, "opening");
    return 0;
}
