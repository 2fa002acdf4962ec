/* How a database is opened. It is made by mac_fs_create as a whole first page, so a file of no bytes is never one that
 * we are just making: it is damage, and said to be, as everything else that is not a database. Nothing here deletes or
 * replaces a file that exists. */
#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/mac-fs.h"
#include "store/mac-store-internal.h"

#define BUSY_MS 250 /* another connection (the command line, a backup) holds the write lock only briefly */

/* Up to this size the whole file is checked when it is opened: that takes about a millisecond. */
#define CHECK_SIZE_MAX (1 << 20)

static const char pragmas[] = "PRAGMA synchronous=FULL;"
                              "PRAGMA foreign_keys=OFF;" /* until the migrations are done */
                              "PRAGMA mmap_size=0;"
                              "PRAGMA cache_size=-64;" /* kB: a service shall fit into one megabyte */
                              "PRAGMA temp_store=MEMORY;"
                              "PRAGMA wal_autocheckpoint=250;"
                              "PRAGMA journal_size_limit=1048576;";

/* The first page of an empty database; caller frees with sqlite3_free. */
static void *empty_image(size_t *ret_size) {
    sqlite3 *db = NULL;
    sqlite3_int64 size = 0;
    void *image = NULL;
    if (sqlite3_open(":memory:", &db) == SQLITE_OK &&
        sqlite3_exec(db, "PRAGMA page_size=4096; PRAGMA user_version=0; CREATE TABLE t(x); DROP TABLE t; VACUUM", NULL,
                     NULL, NULL) == SQLITE_OK)
        image = sqlite3_serialize(db, "main", &size, 0);
    sqlite3_close(db);
    if (image && size > 0) {
        /* Versions for writing and reading: WAL. Said here, no two processes have to switch it at once. */
        ((uint8_t *)image)[18] = ((uint8_t *)image)[19] = 2;
        *ret_size = (size_t)size;
        return image;
    }
    sqlite3_free(image);
    return NULL;
}

/* Makes the file, 0600 (its -wal and -shm get the same mode from SQLite), unless it is there. */
static int make_file(const char *path) {
    mac_autofree char *directory = mac_strdup(path);
    char *slash = strrchr(directory, '/');
    const char *name = slash ? slash + 1 : path;
    mac_autofree char *entry = mac_asprintf("/%s", name);
    if (slash)
        slash[slash == directory] = '\0';
    mac_autoptr(mac_root) root = NULL;
    int error = mac_root_open(slash ? directory : ".", false, &root);
    if (error < 0)
        return error;
    size_t size;
    void *image = empty_image(&size);
    if (!image)
        return -ENOMEM;
    error = mac_fs_create(root, entry, image, size, MAC_FS_PRIVATE);
    sqlite3_free(image);
    return error == -EEXIST ? 0 : error;
}

/* Ends with a regular file that is not empty, readable by its owner only. */
static int prepare_file(const char *path, mac_error **ret_error) {
    struct stat status;
    if (stat(path, &status) < 0) {
        int error = errno == ENOENT ? make_file(path) : -errno;
        if (error == 0 && stat(path, &status) < 0)
            error = -errno;
        if (error < 0) {
            mac_store_say(ret_error, mac_error_from_errno(error, "making the database %s", path));
            return error;
        }
    }
    if (!S_ISREG(status.st_mode))
        return mac_store_say_damaged(ret_error, path, "something that is not a file");
    if (status.st_size == 0)
        return mac_store_say_damaged(ret_error, path, "an empty file");
    if (status.st_mode & 077) {
        static const char *const files[] = {"", "-wal", "-shm"};
        for (size_t i = 0; i < MAC_ARRAY_SIZE(files); i++) {
            mac_autofree char *file = mac_asprintf("%s%s", path, files[i]);
            (void)chmod(file, 0600); /* not ours to change: then it stays as somebody made it */
        }
    }
    return 0;
}

static bool configure(sqlite3 *db, bool alone) {
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_MS);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
    /* Said before the WAL is opened, its index is in memory and not in the -shm file (https://sqlite.org/wal.html). */
    if (alone && sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL) != SQLITE_OK)
        return false;
    if (sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL) != SQLITE_OK ||
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK)
        return false;
    mac_autofree char *mode = mac_store_read_text(db, "PRAGMA journal_mode=WAL");
    return mac_streq(mode, "wal") && sqlite3_exec(db, pragmas, NULL, NULL, NULL) == SQLITE_OK;
}

/* Reads what must be readable: the schema, and of a small database everything. */
static int check(sqlite3 *db, const char *path, mac_error **ret_error) {
    int64_t pages = 0, page_size = 0, tables = 0;
    if (!mac_store_read_number(db, "SELECT count(*) FROM sqlite_schema", &tables) ||
        !mac_store_read_number(db, "PRAGMA page_count", &pages) ||
        !mac_store_read_number(db, "PRAGMA page_size", &page_size))
        return mac_store_say_failure(ret_error, path, db, "reading");
    if (pages * page_size > CHECK_SIZE_MAX)
        return 0;
    mac_autofree char *found = mac_store_read_text(db, "PRAGMA quick_check(1)");
    if (!found)
        return mac_store_say_failure(ret_error, path, db, "checking");
    return mac_streq(found, "ok") ? 0 : mac_store_say_damaged(ret_error, path, found);
}

static int open_connection(const char *path, bool alone, sqlite3 **ret_db, mac_error **ret_error) {
    sqlite3 *db = NULL;
    int error = 0;
    bool is_open = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK;
    if (is_open && sqlite3_db_readonly(db, "main") == 1) {
        /* SQLite has quietly opened it for reading; without a place for the WAL it would fail less clearly later. */
        error = access(path, W_OK) < 0 ? -errno : -EROFS;
        mac_store_say(ret_error, mac_error_from_errno(error, "opening the database %s for writing", path));
    } else if (!is_open || !configure(db, alone)) {
        error = mac_store_say_failure(ret_error, path, db, "opening");
    } else {
        error = check(db, path, ret_error);
    }
    if (error < 0)
        sqlite3_close(db);
    else
        *ret_db = db;
    return error;
}

static int open_store(const char *path, bool alone, const char *const *migrations, size_t count, mac_store **ret_store,
                      mac_error **ret_error) {
    /* No bulk of page memory in advance, no statistics: must be said before the first connection, later is refused. */
    (void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int error = prepare_file(path, ret_error);
    if (error < 0)
        return error;
    sqlite3 *db;
    error = open_connection(path, alone, &db, ret_error);
    if (error == 0 && mac_store_is_too_new(db, count)) {
        error = mac_store_return_previous(db, path, count, ret_error);
        if (error == 0 || error == -ENOENT) /* without a copy it stays, and is refused below */
            error = open_connection(path, alone, &db, ret_error);
    }
    if (error < 0)
        return error;
    error = mac_store_migrate(db, path, migrations, count, ret_error);
    if (error < 0) {
        sqlite3_close(db);
        return error;
    }
    /* Checking and migrating have filled the page cache: some 150 kB that are not needed again soon. */
    sqlite3_db_release_memory(db);
    malloc_trim(0);
    *ret_store = mac_store_new(db, path);
    return 0;
}

int mac_store_open(const char *path, const char *const *migrations, size_t count, mac_store **ret_store,
                   mac_error **ret_error) {
    return open_store(path, false, migrations, count, ret_store, ret_error);
}

int mac_store_open_reserved(mac_root *root, const char *file, const char *reserve, const char *const *migrations,
                            size_t count, mac_store **ret_store, mac_error **ret_error) {
    mac_autofree char *path = mac_root_path(root, file);
    int result = open_store(path, false, migrations, count, ret_store, ret_error);
    if (result == -ENOSPC && mac_fs_remove_relaxed(root, reserve) == 0) {
        mac_error_free(mac_take(ret_error));
        result = open_store(path, false, migrations, count, ret_store, ret_error);
    }
    if (result == -ENOSPC) {
        mac_error_free(mac_take(ret_error));
        result = open_store(path, true, migrations, count, ret_store, ret_error);
    }
    return result;
}
