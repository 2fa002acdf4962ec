/* A release migrates a database and is given back: the one before goes on with it, whatever the step was. */
#include <sys/stat.h>

#include "test-store-box.h"

/* Three releases: the first two know what test-store-box.h says; then one that adds a table, one that changes one. */
static const char only_adds[] =
    "CREATE TABLE extra(x INTEGER PRIMARY KEY, y TEXT UNIQUE); CREATE INDEX extra_y ON extra(y)";
static const char changes[] = "ALTER TABLE parent ADD COLUMN colour TEXT";

static mac_store *open_steps(box *b, size_t count, const char *third, const char *fourth) {
    const char *steps[] = {migrations[0], migrations[1], third, fourth};
    mac_store *store = NULL;
    mac_autoptr(mac_error) error = NULL;
    if (mac_store_open(b->path, steps, count, &store, &error) < 0)
        fail_msg("%s", error ? error->message : "no text");
    return store;
}

static bool has_copy(box *b) {
    mac_autofree char *path = mac_asprintf("%s.before", b->path);
    return access(path, F_OK) == 0;
}

static void insert(mac_store *store, const char *name) {
    assert_int_equal(mac_store_exec(store, "INSERT INTO parent(name) VALUES (?)", "s", name), 0);
}

static int64_t count_of(mac_store *store, const char *name) {
    sqlite3_stmt *row = mac_store_query(store, "SELECT count(*) FROM parent WHERE name = ?", "s", name);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(row, 0);
    mac_store_done(row);
    return count;
}

static void the_release_before_goes_on_with_a_database_that_only_has_more_tables(void **state) {
    box *b = *state;
    mac_store_close(open_with(b, 2));
    mac_store *newer = open_steps(b, 3, only_adds, NULL);
    insert(newer, "during");
    mac_store_close(newer);
    assert_false(has_copy(b));
    mac_store *older = open_with(b, 2);
    assert_int_equal(count_of(older, "during"), 1);
    insert(older, "after");
    mac_store_close(older);
    mac_autoptr(mac_store) again = open_steps(b, 3, only_adds, NULL);
    assert_int_equal(count_of(again, "after"), 1);
    assert_int_equal(number(again, "PRAGMA user_version"), 3);
}

/* The newer one leaves its changes in the WAL, as one that is killed does. */
static void migrate_and_die(box *b, size_t count, const char *third, const char *fourth) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        insert(open_steps(b, count, third, fourth), "during");
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void the_release_before_finds_its_database_when_a_table_was_changed(void **state) {
    box *b = *state;
    mac_store *store = open_with(b, 2);
    insert(store, "before");
    mac_store_close(store);
    migrate_and_die(b, 3, changes, NULL);
    assert_true(has_copy(b));
    for (unsigned start = 0; start < 2; start++) {
        mac_store *older = open_with(b, 2);
        assert_int_equal(number(older, "PRAGMA user_version"), 2);
        assert_int_equal(count_of(older, "before"), 1);
        assert_int_equal(count_of(older, "during"), 0);
        assert_int_equal(count_of(older, "after"), start);
        if (start == 0)
            insert(older, "after");
        mac_store_close(older);
    }
    struct stat status;
    assert_int_equal(stat(b->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    /* The newer one again: it begins with what the older one has. */
    mac_autoptr(mac_store) newer = open_steps(b, 3, changes, NULL);
    assert_int_equal(count_of(newer, "after"), 1);
    assert_int_equal(number(newer, "SELECT count(colour) FROM parent"), 0);
}

static void a_copy_is_made_before_the_first_step_that_matters(void **state) {
    box *b = *state;
    mac_store_close(open_with(b, 2));
    migrate_and_die(b, 4, only_adds, changes);
    assert_true(has_copy(b));
    mac_autoptr(mac_store) older = open_with(b, 2); /* the copy has the new table already, which is no matter */
    assert_int_equal(number(older, "PRAGMA user_version"), 3);
    assert_int_equal(count_of(older, "during"), 0);
}

static void steps_that_do_more_than_add_a_table_are_known(void **state) {
    box *b = *state;
    static const char *const more[] = {
        "CREATE TABLE extra(x); INSERT INTO extra VALUES (1)",
        "CREATE TABLE extra(x REFERENCES parent(id))",
        "CREATE TABLE extra(x); CREATE UNIQUE INDEX parent_note ON parent(note)",
        "CREATE TABLE extra(x); CREATE TRIGGER t AFTER INSERT ON parent BEGIN INSERT INTO extra VALUES (1); END",
        "UPDATE parent SET note = 'x'",
        "DROP TABLE child",
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(more); i++) {
        mac_store_close(open_with(b, 2));
        mac_store_close(open_steps(b, 3, more[i], NULL));
        assert_true(has_copy(b));
        mac_store *older = open_with(b, 2);
        assert_int_equal(number(older, "PRAGMA user_version"), 2);
        mac_store_close(older);
        mac_autofree char *copy = mac_asprintf("%s.before", b->path);
        assert_int_equal(unlink(copy), 0);
    }
}

static void a_copy_that_is_damaged_is_not_taken(void **state) {
    box *b = *state;
    mac_store_close(open_with(b, 2));
    migrate_and_die(b, 3, changes, NULL);
    mac_autofree char *copy = mac_asprintf("%s.before", b->path);
    assert_int_equal(truncate(copy, 5000), 0);
    mac_store *store = NULL;
    mac_autoptr(mac_error) error = NULL;
    assert_int_equal(mac_store_open(b->path, migrations, 2, &store, &error), -ENOTSUP);
    assert_non_null(strstr(error->message, "a newer release wrote it"));
    mac_autoptr(mac_store) newer = open_steps(b, 3, changes, NULL);
    assert_int_equal(count_of(newer, "during"), 1);
}

static void a_database_in_use_is_not_exchanged(void **state) {
    box *b = *state;
    mac_store_close(open_with(b, 2));
    mac_autoptr(mac_store) newer = open_steps(b, 3, changes, NULL);
    insert(newer, "during");
    mac_store *store = NULL;
    mac_autoptr(mac_error) error = NULL;
    /* Locks of one process do not keep each other out: another one asks. */
    pid_t child = fork();
    if (child == 0)
        _exit(mac_store_open(b->path, migrations, 2, &store, &error) == -EBUSY ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(count_of(newer, "during"), 1);
}

static void a_crash_at_each_step_leaves_one_of_the_two(void **state) {
    box *b = *state;
    static const char *const points[] = {"store.previous.kept", "store.migrate.applied", "store.previous.exchanged"};
    mac_store *store = open_with(b, 2);
    insert(store, "before");
    mac_store_close(store);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(points); i++) {
        if (i == 2)
            migrate_and_die(b, 3, changes, NULL);
        pid_t child = fork();
        if (child == 0) {
            setenv("MACULA_FAULT", points[i], 1);
            mac_store_close(i < 2 ? open_steps(b, 3, changes, NULL) : open_with(b, 2));
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        mac_store *older = open_with(b, 2);
        assert_int_equal(count_of(older, "before"), 1);
        assert_int_equal(count_of(older, "during"), 0);
        mac_store_close(older);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BOX_TEST(the_release_before_goes_on_with_a_database_that_only_has_more_tables),
        BOX_TEST(the_release_before_finds_its_database_when_a_table_was_changed),
        BOX_TEST(a_copy_is_made_before_the_first_step_that_matters),
        BOX_TEST(steps_that_do_more_than_add_a_table_are_known),
        BOX_TEST(a_copy_that_is_damaged_is_not_taken),
        BOX_TEST(a_database_in_use_is_not_exchanged),
        BOX_TEST(a_crash_at_each_step_leaves_one_of_the_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
