#include <sys/stat.h>

#include "fs/test-syncs.h"
#include "test-store-box.h"

static void assert_mode(box *b, const char *suffix, unsigned mode) {
    mac_autofree char *path = mac_asprintf("%s%s", b->path, suffix);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, mode);
}

static void a_new_database_is_private_durable_and_strict(void **state) {
    box *b = *state;
    mode_t old = umask(0);
    mac_autoptr(mac_store) store = open_with(b, 2);
    assert_int_equal(mac_store_exec(store, "INSERT INTO parent(name) VALUES ('x')", ""), 0);
    umask(old);
    assert_mode(b, "", 0600);
    assert_mode(b, "-wal", 0600);
    assert_mode(b, "-shm", 0600);
    assert_int_equal(number(store, "PRAGMA user_version"), 2);
    assert_int_equal(number(store, "PRAGMA synchronous"), 2);
    assert_int_equal(number(store, "PRAGMA foreign_keys"), 1);
    assert_int_equal(number(store, "PRAGMA trusted_schema"), 0);
    sqlite3_stmt *mode = mac_store_query(store, "PRAGMA journal_mode", "");
    assert_int_equal(sqlite3_step(mode), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(mode, 0), "wal");
    mac_store_done(mode);
}

static void bookkeeping_does_not_wait_for_the_disk(void **state) {
    box *b = *state;
    mac_autoptr(mac_store) store = open_with(b, 1);
    assert_int_equal(mac_store_exec(store, "INSERT INTO parent(name) VALUES ('x')", ""), 0);
    test_syncs_taken();
    assert_int_equal(mac_store_exec_relaxed(store, "INSERT INTO parent(name) VALUES (?)", "s", "y"), 0);
    assert_int_equal(mac_store_exec_relaxed(store, "INSERT INTO parent(name) VALUES (?)", "s", NULL), -EEXIST);
    assert_int_equal(test_syncs_taken(), 0);
    assert_int_equal(number(store, "PRAGMA synchronous"), 2);
    assert_int_equal(mac_store_exec(store, "INSERT INTO parent(name) VALUES ('z')", ""), 0);
    assert_int_equal(test_syncs_taken(), 1);
    assert_int_equal(number(store, "SELECT count(*) FROM parent"), 3);
    assert_int_equal(mac_store_begin(store), 0);
    assert_int_equal(mac_store_exec_relaxed(store, "DELETE FROM parent", ""), -EINVAL);
    assert_int_equal(mac_store_commit(store), 0);
    assert_int_equal(number(store, "SELECT count(*) FROM parent"), 3);
}

static void a_database_that_others_can_read_is_made_private(void **state) {
    box *b = *state;
    mac_store_close(open_with(b, 1));
    assert_int_equal(chmod(b->path, 0644), 0);
    mac_store_close(open_with(b, 1));
    assert_mode(b, "", 0600);
}

static void values_come_back_as_they_were_bound(void **state) {
    box *b = *state;
    mac_autoptr(mac_store) store = open_with(b, 1);
    assert_int_equal(mac_store_exec(store, "INSERT INTO parent VALUES (?, ?)", "is", INT64_MIN, "a'b\xc3\xa9"), 0);
    assert_int_equal(mac_store_exec(store, "INSERT INTO child VALUES (?, ?)", "ib", INT64_MIN, "a\0b", (size_t)3), 0);
    assert_int_equal(mac_store_exec(store, "INSERT INTO child VALUES (?, ?)", "ib", INT64_MIN, NULL, (size_t)0), 0);
    sqlite3_stmt *read = mac_store_query(
        store, "SELECT name, data, parent FROM child JOIN parent ON id = parent WHERE name = ? ORDER BY data", "s",
        "a'b\xc3\xa9");
    assert_non_null(read);
    assert_int_equal(sqlite3_step(read), SQLITE_ROW);
    assert_int_equal(sqlite3_column_type(read, 1), SQLITE_NULL);
    assert_int_equal(sqlite3_step(read), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(read, 0), "a'b\xc3\xa9");
    assert_int_equal(sqlite3_column_bytes(read, 1), 3);
    assert_memory_equal(sqlite3_column_blob(read, 1), "a\0b", 3);
    assert_true(sqlite3_column_int64(read, 2) == INT64_MIN);
    assert_int_equal(sqlite3_step(read), SQLITE_DONE);
    mac_store_done(read);
    assert_int_equal(mac_store_exec(store, "INSERT INTO parent(name) VALUES (?)", "s", NULL), -EEXIST);
}

static void values_of_a_query_are_copied(void **state) {
    box *b = *state;
    mac_autoptr(mac_store) store = open_with(b, 1);
    char name[] = "before";
    sqlite3_stmt *echo = mac_store_query(store, "SELECT ?", "s", name);
    memcpy(name, "after!", 6);
    assert_int_equal(sqlite3_step(echo), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(echo, 0), "before");
    mac_store_done(echo);
    mac_store_done(NULL);
}

static void mistakes_are_told_and_leave_the_store_usable(void **state) {
    box *b = *state;
    mac_autoptr(mac_store) store = open_with(b, 2);
    assert_int_equal(mac_store_errno(store), 0);
    assert_int_equal(mac_store_exec(store, "NONSENSE", ""), -EINVAL);
    assert_int_equal(mac_store_exec(store, "", ""), -EINVAL);
    assert_int_equal(mac_store_exec(store, "SELECT ?, ?", "i", (int64_t)1), -EINVAL);
    assert_int_equal(mac_store_exec(store, "SELECT ?", "x", (int64_t)1), -EINVAL);
    assert_null(mac_store_query(store, "SELECT * FROM nowhere", ""));
    assert_int_equal(mac_store_errno(store), -EINVAL);
    assert_int_equal(mac_store_exec(store, "INSERT INTO parent(name) VALUES ('first')", ""), -EEXIST);
    assert_int_equal(mac_store_exec(store, "INSERT INTO child VALUES (999, NULL)", ""), -EEXIST);
    assert_int_equal(mac_store_errno(store), -EEXIST);
    sqlite3_stmt *insert = mac_store_query(store, "INSERT INTO child VALUES (?, NULL)", "i", (int64_t)999);
    assert_int_equal(sqlite3_step(insert), SQLITE_CONSTRAINT_FOREIGNKEY);
    assert_int_equal(mac_store_errno(store), -EEXIST);
    mac_store_done(insert);
    assert_int_equal(number(store, "SELECT count(*) FROM parent"), 1);
}

static void a_statement_in_use_is_not_given_out_again(void **state) {
    box *b = *state;
    mac_autoptr(mac_store) store = open_with(b, 2);
    const char *sql = "SELECT ? + 0";
    sqlite3_stmt *outer = mac_store_query(store, sql, "i", (int64_t)1);
    assert_int_equal(sqlite3_step(outer), SQLITE_ROW);
    sqlite3_stmt *inner = mac_store_query(store, sql, "i", (int64_t)2);
    assert_ptr_not_equal(inner, outer);
    assert_int_equal(sqlite3_step(inner), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int64(inner, 0), 2);
    mac_store_done(inner);
    assert_int_equal(sqlite3_column_int64(outer, 0), 1);
    mac_store_done(outer);
    sqlite3_stmt *again = mac_store_query(store, sql, "i", (int64_t)3);
    assert_true(again == outer || again == inner);
    mac_store_done(again);
}

static void the_statement_cache_is_bounded(void **state) {
    box *b = *state;
    mac_autoptr(mac_store) store = open_with(b, 2);
    for (unsigned i = 0; i < 3 * MAC_STORE_STATEMENTS_MAX; i++) {
        char sql[32];
        snprintf(sql, sizeof(sql), "SELECT %u", i);
        assert_int_equal(number(store, sql), i);
    }
    unsigned kept = 0;
    for (sqlite3_stmt *s = NULL; (s = sqlite3_next_stmt(mac_store_db(store), s));)
        kept++;
    assert_int_equal(kept, MAC_STORE_STATEMENTS_MAX);
    sqlite3_stmt *all[MAC_STORE_STATEMENTS_MAX];
    for (unsigned i = 0; i < MAC_STORE_STATEMENTS_MAX; i++)
        assert_non_null(all[i] = mac_store_query(store, "SELECT 1", ""));
    assert_null(mac_store_query(store, "SELECT 1", ""));
    assert_int_equal(mac_store_errno(store), -EMFILE);
    for (unsigned i = 0; i < MAC_STORE_STATEMENTS_MAX; i++)
        mac_store_done(all[i]);
    assert_int_equal(number(store, "SELECT 7"), 7);
}

static void transactions_are_all_or_nothing(void **state) {
    box *b = *state;
    mac_autoptr(mac_store) store = open_with(b, 1);
    assert_int_equal(mac_store_begin(store), 0);
    assert_int_equal(mac_store_begin(store), -EINVAL);
    assert_int_equal(mac_store_exec(store, "INSERT INTO parent(name) VALUES ('a')", ""), 0);
    mac_store_rollback(store);
    mac_store_rollback(store);
    assert_int_equal(mac_store_commit(store), -EINVAL);
    assert_int_equal(number(store, "SELECT count(*) FROM parent"), 0);
    assert_int_equal(mac_store_begin(store), 0);
    assert_int_equal(mac_store_exec(store, "INSERT INTO parent(name) VALUES ('a')", ""), 0);
    assert_int_equal(mac_store_commit(store), 0);
    assert_int_equal(number(store, "SELECT count(*) FROM parent"), 1);
}

static void a_locked_database_is_busy_and_does_not_hang(void **state) {
    box *b = *state;
    mac_autoptr(mac_store) first = open_with(b, 2);
    mac_autoptr(mac_store) second = open_with(b, 2);
    assert_int_equal(mac_store_begin(first), 0);
    assert_int_equal(mac_store_begin(second), -EBUSY);
    assert_int_equal(mac_store_exec(second, "INSERT INTO parent(name) VALUES ('b')", ""), -EBUSY);
    assert_int_equal(number(second, "SELECT count(*) FROM parent"), 1); /* readers go on */
    assert_int_equal(mac_store_commit(first), 0);
    assert_int_equal(mac_store_begin(second), 0);
}

static void closing_rolls_back_and_forgets_statements_in_use(void **state) {
    box *b = *state;
    mac_store *store = open_with(b, 2);
    assert_int_equal(mac_store_begin(store), 0);
    assert_int_equal(mac_store_exec(store, "DELETE FROM parent", ""), 0);
    assert_int_equal(sqlite3_step(mac_store_query(store, "SELECT 1", "")), SQLITE_ROW);
    mac_store_close(store);
    mac_store_close(NULL);
    store = open_with(b, 2);
    assert_int_equal(number(store, "SELECT count(*) FROM parent"), 1);
    mac_store_close(store);
}

static void migrations_run_once_each_and_in_order(void **state) {
    box *b = *state;
    mac_autoptr(mac_store) first = open_with(b, 1);
    assert_int_equal(number(first, "PRAGMA user_version"), 1);
    mac_store_close(mac_take(&first));
    for (unsigned i = 0; i < 2; i++) {
        mac_autoptr(mac_store) second = open_with(b, 2);
        assert_int_equal(number(second, "SELECT count(note IS NULL) FROM parent"), 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BOX_TEST(a_new_database_is_private_durable_and_strict),
        BOX_TEST(bookkeeping_does_not_wait_for_the_disk),
        BOX_TEST(a_database_that_others_can_read_is_made_private),
        BOX_TEST(values_come_back_as_they_were_bound),
        BOX_TEST(values_of_a_query_are_copied),
        BOX_TEST(mistakes_are_told_and_leave_the_store_usable),
        BOX_TEST(a_statement_in_use_is_not_given_out_again),
        BOX_TEST(the_statement_cache_is_bounded),
        BOX_TEST(transactions_are_all_or_nothing),
        BOX_TEST(a_locked_database_is_busy_and_does_not_hang),
        BOX_TEST(closing_rolls_back_and_forgets_statements_in_use),
        BOX_TEST(migrations_run_once_each_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
