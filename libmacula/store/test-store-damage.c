/* What is left after a crash, on a full disk, of a damaged file, of a failed migration. */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "test-store-box.h"

#define CHILD_SKIPPED 77

static void write_text(const char *path, const char *text, size_t length) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    fclose(file);
}

static char *read_file(const char *path, size_t *ret_length) {
    mac_autoptr(mac_root) system = NULL;
    assert_int_equal(mac_root_open(NULL, false, &system), 0);
    char *data;
    assert_int_equal(mac_fs_read(system, path, 1 << 24, &data, ret_length), 0);
    return data;
}

/* Expects the file to be refused with this errno and text, and to be as it was. */
static void assert_refused(box *b, size_t count, int expected, const char *text) {
    size_t before_length, after_length;
    mac_autofree char *before = read_file(b->path, &before_length);
    mac_store *store = NULL;
    mac_autoptr(mac_error) error = NULL;
    assert_int_equal(mac_store_open(b->path, migrations, count, &store, &error), expected);
    assert_null(store);
    assert_non_null(error);
    assert_non_null(strstr(error->message, b->path));
    assert_non_null(strstr(error->message, text));
    mac_autofree char *after = read_file(b->path, &after_length);
    assert_int_equal(after_length, before_length);
    assert_memory_equal(after, before, before_length);
    assert_int_equal(mac_store_open(b->path, migrations, count, &store, NULL), expected);
}

static void garbage_is_said_and_left_alone(void **state) {
    box *b = *state;
    mac_autofree char *garbage = mac_malloc(8192);
    memset(garbage, 'g', 8192);
    write_text(b->path, garbage, 8192);
    assert_refused(b, 2, -EUCLEAN, "restore it from a backup");
    write_text(b->path, "short", 5);
    assert_refused(b, 2, -EUCLEAN, "damaged");
}

static void an_emptied_file_is_not_taken_for_a_new_one(void **state) {
    box *b = *state;
    mac_store_close(open_with(b, 2));
    assert_int_equal(truncate(b->path, 0), 0);
    assert_refused(b, 2, -EUCLEAN, "an empty file");
}

static void fill(mac_store *store, unsigned rows) {
    assert_int_equal(mac_store_begin(store), 0);
    for (unsigned i = 0; i < rows; i++)
        assert_int_equal(mac_store_exec(store, "INSERT INTO child VALUES (1, zeroblob(3000))", ""), 0);
    assert_int_equal(mac_store_commit(store), 0);
}

static void a_truncated_file_is_said(void **state) {
    box *b = *state;
    mac_store *store = open_with(b, 2);
    fill(store, 20);
    mac_store_close(store); /* the last connection folds the WAL into the file */
    struct stat status;
    assert_int_equal(stat(b->path, &status), 0);
    assert_true(status.st_size > 40000);
    assert_int_equal(truncate(b->path, status.st_size / 2), 0);
    assert_refused(b, 2, -EUCLEAN, "damaged");
}

static void a_damaged_page_in_the_middle_is_said(void **state) {
    box *b = *state;
    mac_store *store = open_with(b, 2);
    fill(store, 20);
    mac_store_close(store);
    mac_autofd fd = open(b->path, O_WRONLY | O_CLOEXEC);
    mac_autofree char *noise = mac_malloc(4096);
    memset(noise, 0xa5, 4096);
    for (off_t page = 4; page < 8; page++)
        assert_int_equal(pwrite(fd, noise, 4096, page * 4096), 4096);
    assert_refused(b, 2, -EUCLEAN, "damaged");
}

static void what_cannot_be_a_database_is_said(void **state) {
    box *b = *state;
    mac_store *store = NULL;
    assert_int_equal(mkdir(b->path, 0700), 0);
    mac_autoptr(mac_error) directory = NULL;
    assert_int_equal(mac_store_open(b->path, migrations, 2, &store, &directory), -EUCLEAN);
    mac_autofree char *nowhere = mac_asprintf("%s/missing/x.db", b->directory);
    mac_autoptr(mac_error) missing = NULL;
    assert_int_equal(mac_store_open(nowhere, migrations, 2, &store, &missing), -ENOENT);
    assert_non_null(strstr(missing->message, nowhere));
    assert_null(store);
}

static void a_newer_database_is_refused(void **state) {
    box *b = *state;
    mac_store_close(open_with(b, 2));
    assert_refused(b, 1, -ENOTSUP, "version 2, expected at most 1");
    mac_store_close(open_with(b, 2));
}

static void a_migration_that_fails_half_way_leaves_the_old_version(void **state) {
    box *b = *state;
    static const char *const broken[] = {
        NULL, NULL, "CREATE TABLE extra(x); DELETE FROM parent; INSERT INTO extra VALUES (1, 2, 3)", "SELECT 1"};
    const char *steps[MAC_ARRAY_SIZE(broken)];
    memcpy(steps, broken, sizeof(broken));
    steps[0] = migrations[0];
    steps[1] = migrations[1];
    for (unsigned i = 0; i < 2; i++) {
        mac_store *store = NULL;
        mac_autoptr(mac_error) error = NULL;
        assert_int_equal(mac_store_open(b->path, steps, 4, &store, &error), -EINVAL);
        assert_null(store);
        assert_non_null(strstr(error->message, "from version 2 to 3: table extra has 1 columns"));
    }
    mac_autoptr(mac_store) store = open_with(b, 2);
    assert_int_equal(number(store, "PRAGMA user_version"), 2);
    assert_int_equal(number(store, "SELECT count(*) FROM parent"), 1);
    assert_int_equal(number(store, "SELECT count(*) FROM sqlite_schema WHERE name = 'extra'"), 0);
}

static void a_migration_may_rebuild_a_table_but_not_break_references(void **state) {
    box *b = *state;
    mac_store *store = open_with(b, 2);
    fill(store, 1);
    mac_store_close(mac_take(&store));
    const char *steps[] = {
        migrations[0], migrations[1],
        "CREATE TABLE new(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO new SELECT id, name FROM parent;"
        "DROP TABLE parent; ALTER TABLE new RENAME TO parent",
        "DELETE FROM parent"};
    mac_autoptr(mac_error) error = NULL;
    assert_int_equal(mac_store_open(b->path, steps, 4, &store, &error), -EINVAL);
    assert_non_null(strstr(error->message, "from version 3 to 4: rows of the table child refer"));
    assert_int_equal(mac_store_open(b->path, steps, 3, &store, NULL), 0);
    assert_int_equal(number(store, "SELECT count(*) FROM parent"), 1);
    mac_store_close(store);
}

#ifdef MAC_FAULTS
/* A child opens the database, inserts the name and commits; it dies at the fault point. */
static void die_at(box *b, const char *fault, const char *name) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("MACULA_FAULT", fault, 1);
        mac_store *store;
        if (mac_store_open(b->path, migrations, 2, &store, NULL) < 0 || mac_store_begin(store) < 0 ||
            mac_store_exec(store, "INSERT INTO parent(name) VALUES (?)", "s", name) < 0 || mac_store_commit(store) < 0)
            _exit(1);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void a_killed_process_loses_nothing_committed_and_keeps_nothing_else(void **state) {
    box *b = *state;
    die_at(b, "store.migrate.applied:2", "never");
    mac_store *store = NULL;
    assert_int_equal(mac_store_open(b->path, migrations, 1, &store, NULL), 0); /* the second step was not made */
    assert_int_equal(number(store, "SELECT count(*) FROM parent"), 0);
    mac_store_close(store);
    die_at(b, "store.commit.before", "before");
    die_at(b, "store.commit.after", "after");
    store = open_with(b, 2);
    assert_int_equal(number(store, "SELECT count(*) FROM parent WHERE name = 'before'"), 0);
    assert_int_equal(number(store, "SELECT count(*) FROM parent WHERE name = 'after'"), 1);
    assert_int_equal(number(store, "SELECT count(*) FROM parent"), 2);
    mac_store_close(store);
}
#endif

static bool fill_the_disk(box *b) {
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", b->directory, "tmpfs", 0, "size=512k") < 0)
        _exit(CHILD_SKIPPED);
    mac_store *store = open_with(b, 2);
    int error = 0;
    unsigned rows = 0;
    for (; error == 0 && rows < 1000; rows++) {
        if (mac_store_begin(store) < 0)
            return false;
        error = mac_store_exec(store, "INSERT INTO child VALUES (1, zeroblob(3000))", "");
        if (error == 0)
            error = mac_store_commit(store);
    }
    mac_store_rollback(store);
    if (error != -ENOSPC || mac_store_errno(store) != -ENOSPC)
        return false;
    /* What was committed is there, and the store works on once there is room. */
    bool kept = number(store, "SELECT count(*) FROM child") == rows - 1;
    bool mounted = mount(NULL, b->directory, NULL, MS_REMOUNT, "size=4m") == 0;
    bool works = mac_store_exec(store, "INSERT INTO child VALUES (1, NULL)", "") == 0;
    mac_store_close(store);
    store = open_with(b, 2);
    works = works && number(store, "SELECT count(*) FROM child") == rows;
    mac_store_close(store);
    return kept && mounted && works;
}

/* A read whose failure nobody asks for; it goes over the whole table, so pages that were changed have to make room. */
static void look(mac_store *store) {
    sqlite3_stmt *rows = mac_store_query(store, "SELECT sum(length(data)) FROM child", "");
    if (rows)
        (void)sqlite3_step(rows);
    mac_store_done(rows);
}

/* A transaction with a read in it. SQLite ends the whole transaction where the disk gets full, also in the read. */
static int change_and_look(mac_store *store, unsigned rows) {
    int error = mac_store_begin(store);
    for (unsigned i = 0; i < rows && error == 0; i++)
        error = mac_store_exec(store, "UPDATE child SET data = randomblob(3000) WHERE rowid = ?", "i", (int64_t)i + 1);
    if (error == 0) {
        look(store);
        error = mac_store_exec(store, "INSERT INTO parent(name) VALUES ('late')", "");
    }
    if (error == 0)
        return mac_store_commit(store);
    mac_store_rollback(store);
    return error;
}

/* Leaves so many pages of the file system. */
static bool fill_but(box *b, off_t pages) {
    static const char page[4096];
    mac_autofree char *path = mac_asprintf("%s/filler", b->directory);
    mac_autofd fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (fd >= 0 && write(fd, page, sizeof(page)) == (ssize_t)sizeof(page))
        continue;
    off_t end = lseek(fd, 0, SEEK_CUR);
    return end > pages * 4096 && ftruncate(fd, end - pages * 4096) == 0;
}

/* Wherever the disk gets full: it is said, and of a transaction there is all or nothing. */
static bool fill_at_every_page(box *b) {
    bool good = true, was_full = false;
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        _exit(CHILD_SKIPPED);
    for (unsigned trial = 0; trial < 40 && good; trial++) {
        unsigned rows = trial / 4 + 8, pages = trial % 4 * 4;
        if (mount("none", b->directory, "tmpfs", 0, "size=4m") < 0)
            _exit(CHILD_SKIPPED);
        mac_store *store = open_with(b, 2);
        fill(store, 30);
        (void)sqlite3_wal_checkpoint_v2(mac_store_db(store), NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        good = fill_but(b, pages);
        int error = change_and_look(store, rows);
        int64_t late = number(store, "SELECT count(*) FROM parent WHERE name = 'late'");
        if (late != (error == 0) || (error < 0 && error != -ENOSPC)) {
            (void)fprintf(stderr, "%u rows, %u pages: %s, late: %d\n", rows, pages, strerror(-error), (int)late);
            good = false;
        }
        was_full = was_full || error < 0;
        mac_store_close(store);
        umount2(b->directory, MNT_DETACH);
    }
    return good && was_full;
}

/* Opening makes the database, its WAL and the index of that: a new one, and one that is there. */
static bool open_at_every_page(box *b) {
    bool good = true, was_full = false;
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        _exit(CHILD_SKIPPED);
    for (unsigned trial = 0; trial < 60 && good; trial++) {
        if (mount("none", b->directory, "tmpfs", 0, "size=1m") < 0)
            _exit(CHILD_SKIPPED);
        mac_store *store = NULL;
        if (trial % 2)
            mac_store_close(open_with(b, 2));
        good = fill_but(b, trial / 2);
        int error = mac_store_open(b->path, migrations, 2, &store, NULL);
        if (error == 0)
            error = mac_store_exec(store, "INSERT INTO child VALUES (1, zeroblob(3000))", "");
        if (error < 0 && error != -ENOSPC) {
            (void)fprintf(stderr, "%u pages: %s\n", trial / 2, strerror(-error));
            good = false;
        }
        was_full = was_full || error < 0;
        mac_store_close(store);
        umount2(b->directory, MNT_DETACH);
    }
    return good && was_full;
}

static bool open_read_only(box *b) {
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(b->directory, b->directory, NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, b->directory, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
        _exit(CHILD_SKIPPED);
    mac_store *store = NULL;
    mac_autoptr(mac_error) error = NULL;
    mac_autofree char *other = mac_asprintf("%s/other.db", b->directory);
    return mac_store_open(b->path, migrations, 2, &store, &error) == -EROFS && strstr(error->message, "read-only") &&
           mac_store_open(other, migrations, 2, &store, NULL) == -EROFS;
}

static void in_child(bool (*act)(box *b), box *b) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(act(b) ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CHILD_SKIPPED) {
        print_message("[ reason   ] mounting is not permitted here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_full_disk_is_said_and_loses_nothing(void **state) {
    in_child(fill_the_disk, *state);
}

static void a_disk_that_is_full_at_any_page_leaves_no_half_transaction(void **state) {
    in_child(fill_at_every_page, *state);
}

static void a_disk_that_is_full_at_any_page_of_an_opening_is_said(void **state) {
    in_child(open_at_every_page, *state);
}

static void a_read_only_file_system_is_said(void **state) {
    box *b = *state;
    mac_store_close(open_with(b, 2));
    in_child(open_read_only, b);
}

static void processes_that_open_a_new_database_at_once_all_succeed(void **state) {
    box *b = *state;
    int start[2];
    assert_int_equal(pipe(start), 0);
    pid_t racers[4];
    for (unsigned i = 0; i < 4; i++) {
        racers[i] = fork();
        assert_true(racers[i] >= 0);
        if (racers[i] > 0)
            continue;
        char go;
        mac_store *store;
        close(start[1]);
        _exit(read(start[0], &go, 1) == 0 && mac_store_open(b->path, migrations, 2, &store, NULL) == 0 ? 0 : 1);
    }
    close(start[1]);
    close(start[0]);
    for (unsigned i = 0; i < 4; i++) {
        int status;
        assert_int_equal(waitpid(racers[i], &status, 0), racers[i]);
        assert_int_equal(status, 0);
    }
    mac_autoptr(mac_store) store = open_with(b, 2);
    assert_int_equal(number(store, "SELECT count(*) FROM parent"), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BOX_TEST(garbage_is_said_and_left_alone),
        BOX_TEST(an_emptied_file_is_not_taken_for_a_new_one),
        BOX_TEST(a_truncated_file_is_said),
        BOX_TEST(a_damaged_page_in_the_middle_is_said),
        BOX_TEST(what_cannot_be_a_database_is_said),
        BOX_TEST(a_newer_database_is_refused),
        BOX_TEST(a_migration_that_fails_half_way_leaves_the_old_version),
        BOX_TEST(a_migration_may_rebuild_a_table_but_not_break_references),
#ifdef MAC_FAULTS
        BOX_TEST(a_killed_process_loses_nothing_committed_and_keeps_nothing_else),
#endif
        BOX_TEST(a_disk_that_is_full_at_any_page_leaves_no_half_transaction),
        BOX_TEST(a_disk_that_is_full_at_any_page_of_an_opening_is_said),
        BOX_TEST(a_full_disk_is_said_and_loses_nothing),
        BOX_TEST(a_read_only_file_system_is_said),
        BOX_TEST(processes_that_open_a_new_database_at_once_all_succeed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
