/* A database that a newer release has migrated, and the older release that comes back.
 *
 * A step that only adds tables is no matter to the releases before it: they go on with the same file. Which is the
 * oldest release that can is kept in the file (application_id: its number of migrations). Before any other step the
 * database is copied to FILE.before; the release of that time changes places with it when it runs again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mac-fault.h"
#include "fs/mac-fs.h"
#include "log/mac-log.h"
#include "store/mac-store-internal.h"

#define COPY_SIZE_MAX (256u << 20)
#define OBJECTS "SELECT type, name, tbl_name, sql FROM main.sqlite_schema"

/* ---- which steps older releases need not mind ---- */

bool mac_store_note_schema(sqlite3 *db) {
    return sqlite3_exec(db, "CREATE TEMP TABLE mac_before AS " OBJECTS, NULL, NULL, NULL) == SQLITE_OK;
}

/* Nothing of before is gone or changed; what is new belongs to new tables, and these refer to none of before, whose
 * rows an older release deletes without knowing. */
bool mac_store_only_added(sqlite3 *db) {
    static const char sql[] =
        "SELECT (SELECT count(*) FROM (SELECT * FROM temp.mac_before EXCEPT " OBJECTS "))"
        " + (SELECT count(*) FROM (" OBJECTS " EXCEPT SELECT * FROM temp.mac_before)"
        "    WHERE type NOT IN ('table', 'index') OR tbl_name IN (SELECT tbl_name FROM temp.mac_before))"
        " + (SELECT count(*) FROM main.sqlite_schema n, pragma_foreign_key_list(n.name) f WHERE n.type = 'table'"
        "    AND n.name NOT IN (SELECT name FROM temp.mac_before)"
        "    AND f.\"table\" IN (SELECT name FROM temp.mac_before))";
    int64_t others = 1;
    return mac_store_read_number(db, sql, &others) && others == 0;
}

/* ---- the copy ---- */

/* A path of the host, split for mac_fs: its directory as a root, and the entry in it. */
static int open_directory(const char *path, mac_root **ret_root, char **ret_entry) {
    mac_autofree char *directory = mac_strdup(path);
    char *slash = strrchr(directory, '/');
    *ret_entry = mac_asprintf("/%s" MAC_STORE_BEFORE, slash ? slash + 1 : path);
    if (slash)
        slash[slash == directory] = '\0';
    return mac_root_open(slash ? directory : ".", false, ret_root);
}

int mac_store_keep_previous(sqlite3 *db, const char *path, mac_error **ret_error) {
    mac_autoptr(mac_root) root = NULL;
    mac_autofree char *entry = NULL;
    int error = open_directory(path, &root, &entry);
    sqlite3_int64 size = 0;
    unsigned char *image = error == 0 ? sqlite3_serialize(db, "main", &size, 0) : NULL;
    if (error == 0 && !image)
        error = -ENOMEM;
    if (error == 0)
        error = mac_fs_write(root, entry, image, (size_t)size, MAC_FS_PRIVATE);
    sqlite3_free(image);
    if (error < 0)
        mac_store_say(ret_error,
                      mac_error_from_errno(error, "keeping a copy of the database %s before it is changed", path));
    MAC_FAULT_POINT("store.previous.kept");
    return error;
}

/* Whether it is whole, and one that this release can use. Looked at in memory: nothing of it is changed. */
static bool is_usable(const char *path, size_t count) {
    mac_autoptr(mac_root) root = NULL;
    mac_autofree char *entry = NULL;
    char *data = NULL;
    size_t length = 0;
    if (open_directory(path, &root, &entry) < 0 || mac_fs_read(root, entry, COPY_SIZE_MAX, &data, &length) < 0)
        return false;
    sqlite3 *db = NULL;
    bool is_ours = false;
    mac_autofree char *found = NULL;
    if (length >= 100)
        data[18] = data[19] = 1; /* in memory there is no WAL */
    if (length >= 100 && sqlite3_open(":memory:", &db) == SQLITE_OK &&
        sqlite3_deserialize(db, "main", (unsigned char *)data, (sqlite3_int64)length, (sqlite3_int64)length,
                            SQLITE_DESERIALIZE_READONLY) == SQLITE_OK) {
        is_ours = !mac_store_is_too_new(db, count);
        found = mac_store_read_text(db, "PRAGMA quick_check(1)");
    }
    sqlite3_close(db);
    free(data);
    return is_ours && mac_streq(found, "ok");
}

/* Both stay, under each other's name; a power cut leaves it done or not done. */
static int exchange(const char *path) {
    mac_autofree char *before = mac_asprintf("%s" MAC_STORE_BEFORE, path);
    mac_autofree char *directory = mac_strdup(path);
    char *slash = strrchr(directory, '/');
    if (slash)
        slash[slash == directory] = '\0';
    if (renameat2(AT_FDCWD, before, AT_FDCWD, path, RENAME_EXCHANGE) < 0)
        return -errno;
    MAC_FAULT_POINT("store.previous.exchanged");
    mac_autofd fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? 0 : -errno;
}

int mac_store_return_previous(sqlite3 *db, const char *path, size_t count, mac_error **ret_error) {
    if (!is_usable(path, count)) {
        sqlite3_close(db);
        return -ENOENT;
    }
    /* The WAL belongs to the newer file alone: everything goes into that, and the WAL away, or nothing is done. */
    mac_autofree char *mode = mac_store_read_text(db, "PRAGMA journal_mode=DELETE");
    int error = mac_streq(mode, "delete") ? 0 : -EBUSY;
    sqlite3_close(db);
    if (error == 0)
        error = exchange(path);
    if (error < 0) {
        mac_store_say(ret_error, mac_error_from_errno(error, "taking the copy of the database %s back", path));
        return error;
    }
    mac_log_warning("a newer release has changed this database: its copy of before that is used",
                    "file=%s newer=%s" MAC_STORE_BEFORE, path, path);
    return 0;
}
