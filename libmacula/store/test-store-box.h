/* A directory for the databases of one test. */
#ifndef TEST_STORE_BOX_H
#define TEST_STORE_BOX_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/mac-fs.h"
#include "store/mac-store.h"

typedef struct box {
    char directory[64];
    char *path; /* of the database */
} box;

static const char *const migrations[] = {
    "CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);"
    "CREATE TABLE child(parent INTEGER NOT NULL REFERENCES parent(id), data BLOB)",
    "ALTER TABLE parent ADD COLUMN note TEXT; INSERT INTO parent(id, name) VALUES (1, 'first')",
};

static inline int box_make(void **state) {
    box *b = mac_calloc(1, sizeof(*b));
    strcpy(b->directory, "/tmp/test-store.XXXXXX");
    assert_non_null(mkdtemp(b->directory));
    b->path = mac_asprintf("%s/test.db", b->directory);
    *state = b;
    return 0;
}

static inline int box_remove(void **state) {
    box *b = *state;
    mac_autoptr(mac_root) system = NULL;
    assert_int_equal(mac_root_open(NULL, false, &system), 0);
    assert_int_equal(mac_fs_remove_tree(system, b->directory), 0);
    free(b->path);
    free(b);
    return 0;
}

/* Opens with so many of the migrations; fails the test with the error's text. */
static inline mac_store *open_with(box *b, size_t count) {
    mac_store *store = NULL;
    mac_autoptr(mac_error) error = NULL;
    if (mac_store_open(b->path, migrations, count, &store, &error) < 0)
        fail_msg("%s", error ? error->message : "no text");
    return store;
}

static inline int64_t number(mac_store *store, const char *sql) {
    sqlite3_stmt *statement = mac_store_query(store, sql, "");
    assert_non_null(statement);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    mac_store_done(statement);
    return value;
}

#define BOX_TEST(function) cmocka_unit_test_setup_teardown(function, box_make, box_remove)

#endif
