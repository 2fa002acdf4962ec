#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/test-syncs.h"
#include "test-confd-box.h"

/* Commits a generation whose config.yaml is this text; its number. */
static uint64_t commit(confd_box *box, const char *text, confd_commit *with) {
    confd_autosources sources = {0};
    box_sources(&sources, text);
    mac_autoptr(json_t) document = json_pack("{s:s}", "hostname", text);
    confd_commit commit = with ? *with : (confd_commit){0};
    commit.sources = &sources;
    commit.document = document;
    commit.digest = "digest";
    commit.author = commit.author ? commit.author : "test";
    commit.message = "a message";
    uint64_t number = 0;
    assert_int_equal(confd_store_commit(box->store, &commit, &number), 0);
    return number;
}

static void write_files(confd_box *box) {
    assert_int_equal(confd_store_write_sources(box->store, box->root), 0);
}

#define assert_file(box, path, expected)                                                                               \
    do {                                                                                                               \
        mac_autofree char *text_ = box_read(box, path);                                                                \
        assert_non_null(text_);                                                                                        \
        assert_string_equal(text_, expected);                                                                          \
    } while (0)

static confd_head head_of(confd_box *box) {
    confd_head head = {0};
    assert_int_equal(confd_store_head(box->store, &head), 0);
    return head;
}

static void a_new_store_has_no_generation(void **state) {
    confd_box *box = *state;
    box_open_store(box);
    confd_autohead head = head_of(box);
    assert_int_equal(head.current, 0);
    assert_int_equal(confd_store_next_number(box->store), 1);
    mac_autoptr(confd_generation) generation = NULL;
    assert_int_equal(confd_store_load(box->store, 1, &generation), -ENOENT);
}

static void a_generation_keeps_everything(void **state) {
    confd_box *box = *state;
    box_open_store(box);
    confd_autosources sources = {0};
    box_sources(&sources, "hostname: a\n");
    confd_sources_put(&sources, CONFD_CMDLINE, "maculaos.token=sealed", 21, "sealed-original");
    mac_autoptr(json_t) document = json_pack("{s:s}", "hostname", "a");
    confd_commit commit = {
        .sources = &sources, .document = document, .digest = "d1", .author = "alice", .message = "why", .job = "job-1"};
    uint64_t number = 0;
    assert_int_equal(confd_store_commit(box->store, &commit, &number), 0);
    box_open_store(box); /* after a restart */
    mac_autoptr(confd_generation) generation = NULL;
    assert_int_equal(confd_store_load(box->store, number, &generation), 0);
    assert_string_equal(generation->author, "alice");
    assert_string_equal(generation->message, "why");
    assert_string_equal(generation->digest, "d1");
    assert_string_equal(generation->job, "job-1");
    assert_int_equal(generation->state, MACULA__V1__CONFIG_GENERATION__STATE__current);
    assert_true(json_equal(generation->document, document));
    assert_int_equal(generation->sources.count, 2);
    assert_string_equal(generation->sources.items[0].text, "hostname: a\n");
    assert_string_equal(generation->sources.items[1].original, "sealed-original");
    assert_int_equal(confd_store_job_generation(box->store, "job-1"), number);
    assert_int_equal(confd_store_job_generation(box->store, "job-2"), 0);
}

static void files_follow_the_generation_and_only_those_that_changed(void **state) {
    confd_box *box = *state;
    box_open_store(box);
    commit(box, "one", NULL);
    write_files(box);
    assert_file(box, CONFD_FILE, "one");
    struct stat status;
    assert_int_equal(mac_fs_stat(box->root, CONFD_FILE, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    box_write(box, CONFD_FILE, "edited by hand");
    commit(box, "one", NULL); /* the text is the same as recorded: not touched */
    write_files(box);
    assert_file(box, CONFD_FILE, "edited by hand");
    confd_autosources disk = {0};
    box_sources(&disk, "edited by hand");
    confd_sources_put(&disk, CONFD_CHANGES_FILE, "x", 1, NULL);
    box_write(box, CONFD_CHANGES_FILE, "x");
    confd_commit with = {.on_disk = &disk};
    commit(box, "one", &with); /* told what is on disk: made so */
    write_files(box);
    assert_file(box, CONFD_FILE, "one");
    assert_null(box_read(box, CONFD_CHANGES_FILE));
}

static void a_change_waits_for_the_disk_only_for_what_must_stay(void **state) {
    confd_box *box = *state;
    box_open_store(box);
    commit(box, "one", NULL);
    write_files(box);
    assert_int_equal(confd_store_applied(box->store, mac_unix_ms()), 0);
    test_syncs_taken();
    commit(box, "two", NULL);
    assert_int_equal(test_syncs_taken(), 1);
    write_files(box); /* the file and its directory, but not the end of the intent */
    assert_int_equal(test_syncs_taken(), 2);
    assert_int_equal(confd_store_applied(box->store, mac_unix_ms()), 0);
    assert_int_equal(test_syncs_taken(), 1);
}

static void the_head_goes_back_with_its_files(void **state) {
    confd_box *box = *state;
    box_open_store(box);
    uint64_t first = commit(box, "one", NULL);
    assert_int_equal(confd_store_applied(box->store, mac_unix_ms()), 0);
    confd_commit with = {.confirm_s = 60, .boot_id = "boot-1", .now_boot_ms = 1000, .author = "alice"};
    uint64_t second = commit(box, "two", &with);
    write_files(box);
    confd_autohead head = head_of(box);
    assert_true(head.pending && head.applying);
    assert_string_equal(head.author, "alice");
    assert_int_equal(head.deadline_boot_ms, 61000);
    assert_int_equal(head.last_good, first);
    assert_int_equal(confd_store_revert(box->store, NULL, NULL), 0);
    write_files(box);
    assert_file(box, CONFD_FILE, "one");
    confd_autohead back = head_of(box);
    assert_int_equal(back.current, first);
    assert_false(back.pending);
    mac_autoptr(confd_generation) generation = NULL;
    assert_int_equal(confd_store_load(box->store, second, &generation), 0);
    assert_int_equal(generation->state, MACULA__V1__CONFIG_GENERATION__STATE__reverted);
    assert_int_equal(commit(box, "three", NULL), second + 1); /* a number is never used twice */
}

static void it_is_known_what_was_in_force_before_each(void **state) {
    confd_box *box = *state;
    box_open_store(box);
    uint64_t first = commit(box, "one", NULL);
    uint64_t bad = commit(box, "bad", NULL);
    assert_int_equal(confd_store_revert(box->store, NULL, NULL), 0);
    uint64_t good = commit(box, "good", NULL);
    confd_commit back = {.taken_back = true};
    uint64_t rolled_back = commit(box, "one", &back);
    assert_int_equal(confd_store_before(box->store, first), 0);
    assert_int_equal(confd_store_before(box->store, bad), first);
    assert_int_equal(confd_store_before(box->store, good), first);
    assert_int_equal(confd_store_before(box->store, rolled_back), good);
    /* Not recorded, as by the release before: at least none that was taken back. */
    assert_int_equal(mac_store_exec(confd_store_base(box->store), "DELETE FROM generation_before", ""), 0);
    assert_int_equal(confd_store_before(box->store, good), first);
}

static void a_confirmed_generation_is_the_last_good_one(void **state) {
    confd_box *box = *state;
    box_open_store(box);
    confd_commit with = {.confirm_s = 60, .boot_id = "b"};
    commit(box, "one", NULL);
    uint64_t second = commit(box, "two", &with);
    assert_int_equal(confd_store_applied(box->store, mac_unix_ms()), 0);
    confd_autohead before = head_of(box);
    assert_int_not_equal(before.last_good, second);
    assert_int_equal(confd_store_confirm(box->store, NULL), 0);
    confd_autohead head = head_of(box);
    assert_int_equal(head.last_good, second);
    assert_false(head.pending);
}

static void each_commit_has_its_event(void **state) {
    confd_box *box = *state;
    box_open_store(box);
    Macula__V1__ConfigEvent event = MACULA__V1__CONFIG_EVENT__INIT;
    confd_commit with = {.event = &event};
    uint64_t number = commit(box, "one", &with);
    assert_int_equal(event.generation, number);
    assert_int_equal(event.revision, 1);
    assert_int_equal(confd_store_revision(box->store), 1);
    assert_int_equal(mac_outbox_count(confd_store_outbox(box->store)), 1);
    box_open_store(box);
    commit(box, "two", &with);
    assert_int_equal(event.revision, 2);
    assert_int_equal(event.previous, number);
    assert_int_equal(mac_outbox_count(confd_store_outbox(box->store)), 2);
}

static void outcomes_are_remembered_and_bounded(void **state) {
    confd_box *box = *state;
    box_open_store(box);
    bool is_error = false;
    size_t length = 0;
    for (int i = 0; i < CONFD_OUTCOMES_MAX + 5; i++) {
        mac_autofree char *job = mac_asprintf("job-%d", i);
        assert_int_equal(confd_store_set_outcome(box->store, job, i % 2, "data", 4), 0);
    }
    mac_autofree void *old = NULL;
    assert_int_equal(confd_store_outcome(box->store, "job-3", &is_error, &old, &length), -ENOENT);
    mac_autofree void *new = NULL;
    assert_int_equal(confd_store_outcome(box->store, "job-7", &is_error, &new, &length), 0);
    assert_true(is_error);
    assert_int_equal(length, 4);
}

static void old_generations_go_but_never_those_that_count(void **state) {
    confd_box *box = *state;
    box_open_store(box);
    uint64_t good = commit(box, "good", NULL);
    assert_int_equal(confd_store_applied(box->store, mac_unix_ms()), 0);
    confd_commit unconfirmed = {.confirm_s = 60, .boot_id = "b"};
    for (int i = 0; i < CONFD_KEEP_MAX + 10; i++) {
        mac_autofree char *text = mac_asprintf("text %d", i);
        commit(box, text, &unconfirmed); /* the first stays the last good one */
    }
    confd_generation **list = NULL;
    size_t count = 0;
    assert_int_equal(confd_store_applied(box->store, mac_unix_ms()), 0);
    assert_int_equal(confd_store_list(box->store, 1000, 0, &list, &count), 0);
    assert_int_equal(count, CONFD_KEEP_MAX + 1);
    assert_int_equal(list[count - 1]->number, good);
    assert_int_equal(list[0]->state, MACULA__V1__CONFIG_GENERATION__STATE__pending);
    assert_int_equal(list[0]->sources.count, 1);
    confd_generation_list_free(list, count);
    assert_int_equal(confd_store_applied(box->store, mac_unix_ms() + CONFD_KEEP_MS + 1000), 0);
    assert_int_equal(confd_store_list(box->store, 1000, 0, &list, &count), 0);
    assert_int_equal(count, CONFD_KEEP_MIN + 1);
    confd_generation_list_free(list, count);
    sqlite3_stmt *row = mac_store_query(confd_store_base(box->store), "SELECT count(*) FROM blob", "");
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(row, 0), CONFD_KEEP_MIN + 1);
    mac_store_done(row);
}

static void the_last_stop_is_remembered(void **state) {
    confd_box *box = *state;
    box_open_store(box);
    Macula__V1__PowerRecord *found = NULL;
    assert_int_equal(confd_store_power(box->store, &found), -ENOENT);
    Macula__V1__PowerRecord record = MACULA__V1__POWER_RECORD__INIT;
    char action[] = "reboot", reason[] = "new kernel";
    record.action = action;
    record.reason = reason;
    assert_int_equal(confd_store_set_power(box->store, &record, 5000, "boot-1"), 0);
    assert_int_equal(confd_store_power(box->store, &found), 0);
    assert_string_equal(found->reason, "new kernel");
    macula__v1__power_record__free_unpacked(mac_take(&found), NULL);
    uint64_t due = 0;
    assert_int_equal(confd_store_power_due(box->store, "boot-1", &due), 0);
    assert_int_equal(due, 5000);
    assert_int_equal(confd_store_power_due(box->store, "boot-2", &due), -ENOENT);
    assert_int_equal(confd_store_power_done(box->store), 0);
    assert_int_equal(confd_store_power_due(box->store, "boot-1", &due), -ENOENT);
    assert_int_equal(confd_store_power(box->store, &found), 0); /* why it last went down is remembered */
    macula__v1__power_record__free_unpacked(mac_take(&found), NULL);
    assert_int_equal(confd_store_set_power(box->store, &record, 5000, "boot-1"), 0);
    assert_int_equal(confd_store_cancel_power(box->store, &record), 0);
    assert_int_equal(confd_store_power_due(box->store, "boot-1", &due), -ENOENT);
    assert_int_equal(confd_store_power(box->store, &found), -ENOENT);
}

#ifdef MAC_FAULTS
/* In a process of its own, with a fault point armed: from generation "one" to "two". */
static void change_and_die(confd_box *box, const char *fault) {
    confd_store_close(mac_take(&box->store));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("MACULA_FAULT", fault, 1);
        mac_error *error = NULL;
        if (confd_store_open(box->root, &box->store, &error) < 0)
            _exit(1);
        confd_autosources sources = {0};
        box_sources(&sources, "two");
        confd_sources_put(&sources, CONFD_CHANGES_FILE, "two-b", 5, NULL);
        mac_autoptr(json_t) document = json_pack("{s:s}", "hostname", "two");
        confd_commit commit = {.sources = &sources, .document = document, .digest = "d", .author = "a", .message = "m"};
        uint64_t number = 0;
        if (confd_store_commit(box->store, &commit, &number) < 0 ||
            confd_store_write_sources(box->store, box->root) < 0)
            _exit(1);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    box_open_store(box);
    write_files(box);
}

static void a_power_cut_leaves_the_old_or_the_new_generation_with_its_files(void **state) {
    confd_box *box = *state;
    const struct {
        const char *fault;
        bool is_new;
    } cases[] = {
        {"confd.commit.before", false},    {"store.commit.before", false},    {"store.commit.after", true},
        {"confd.commit.done", true},       {"fs.write.temporary:1", true},    {"fs.write.renamed:1", true},
        {"confd.sources.written:1", true}, {"confd.sources.written:2", true}, {"fs.write.temporary:2", true},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        box_open_store(box);
        uint64_t first = commit(box, "one", NULL);
        write_files(box);
        change_and_die(box, cases[i].fault);
        confd_autohead head = head_of(box);
        if (cases[i].is_new != (head.current == first + 1))
            fail_msg("after %s the generation is %d", cases[i].fault, (int)head.current);
        assert_file(box, CONFD_FILE, cases[i].is_new ? "two" : "one");
        mac_autofree char *changes = box_read(box, CONFD_CHANGES_FILE);
        assert_int_equal(cases[i].is_new, changes != NULL);
        mac_autoptr(confd_generation) generation = NULL;
        assert_int_equal(confd_store_load(box->store, head.current, &generation), 0);
        assert_string_equal(generation->sources.items[0].text, cases[i].is_new ? "two" : "one");
    }
}
#endif

/* ---- stores of older versions ---- */

#define OLDER_GENERATION                                                                                               \
    "CREATE TABLE generation(number INTEGER PRIMARY KEY AUTOINCREMENT, author TEXT NOT NULL, message TEXT NOT NULL,"   \
    "  time_ms INTEGER NOT NULL, digest TEXT NOT NULL, document BLOB NOT NULL, reverted INTEGER NOT NULL DEFAULT 0,"   \
    "  job TEXT);"                                                                                                     \
    "CREATE TABLE blob(digest TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;"                                 \
    "CREATE TABLE generation_source(number INTEGER NOT NULL REFERENCES generation(number) ON DELETE CASCADE,"          \
    "  path TEXT NOT NULL, digest TEXT NOT NULL REFERENCES blob(digest), original TEXT, PRIMARY KEY(number, path))"    \
    "  WITHOUT ROWID;"                                                                                                 \
    "CREATE TABLE write_intent(path TEXT PRIMARY KEY, content BLOB) WITHOUT ROWID;"                                    \
    "CREATE TABLE outcome(id INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL UNIQUE, is_error INTEGER NOT NULL,"  \
    "  data BLOB NOT NULL);"                                                                                           \
    "CREATE TABLE power(id INTEGER PRIMARY KEY CHECK(id = 1), record BLOB NOT NULL);"                                  \
    "INSERT INTO generation VALUES(1, 'alice', 'm', 1, 'd', '{}', 0, NULL), (2, 'bob', 'm', 2, 'd', '{}', 0, 'j');"    \
    "INSERT INTO outcome VALUES(1, 'j', 0, 'o');"
#define OLDER_HEAD(column, value)                                                                                      \
    "CREATE TABLE head(id INTEGER PRIMARY KEY CHECK(id = 1), current INTEGER NOT NULL, previous INTEGER NOT NULL,"     \
    "  last_good INTEGER NOT NULL, pending INTEGER NOT NULL, applying INTEGER NOT NULL," column " author TEXT,"        \
    "  deadline_ms INTEGER NOT NULL, deadline_boot_ms INTEGER NOT NULL, boot_id TEXT);"                                \
    "INSERT INTO head VALUES(1, 2, 1, 1, 0, 1, " value " NULL, 0, 0, NULL);"

static void a_store_of_an_older_version_is_taken_over(void **state) {
    confd_box *box = *state;
    const struct {
        const char *head;
        bool has_outbox;
    } versions[] = {{OLDER_HEAD("", ""), false},
                    {OLDER_HEAD("", ""), true},
                    {OLDER_HEAD("came_from INTEGER NOT NULL,", "1,"), true}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(versions); i++) {
        confd_store_close(mac_take(&box->store));
        int result = mac_fs_remove(box->root, CONFD_STORE_FILE);
        assert_true(result == 0 || result == -ENOENT);
        assert_int_equal(mac_fs_mkdirs(box->root, CONFD_STORE_DIR, 0700), 0);
        mac_autofree char *path = mac_root_path(box->root, CONFD_STORE_FILE);
        mac_autofree char *first = mac_asprintf("%s%s", OLDER_GENERATION, versions[i].head);
        const char *const migrations[] = {first, mac_outbox_schema};
        mac_store *older = NULL;
        assert_int_equal(mac_store_open(path, migrations, versions[i].has_outbox ? 2 : 1, &older, NULL), 0);
        mac_store_close(older);
        box_open_store(box);
        confd_autohead head = head_of(box);
        assert_int_equal(head.current, 2);
        assert_int_equal(head.previous, 1);
        assert_int_equal(head.last_good, 1);
        assert_true(head.applying);
        assert_int_equal(head.came_from, 1);
        mac_autoptr(confd_generation) generation = NULL;
        assert_int_equal(confd_store_load(box->store, 2, &generation), 0);
        assert_string_equal(generation->author, "bob");
        assert_int_equal(commit(box, "three", NULL), 3);
    }
}

#define BOX_TEST(name) cmocka_unit_test_setup_teardown(name, box_setup, box_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOX_TEST(a_new_store_has_no_generation),
        BOX_TEST(a_generation_keeps_everything),
        BOX_TEST(files_follow_the_generation_and_only_those_that_changed),
        BOX_TEST(a_change_waits_for_the_disk_only_for_what_must_stay),
        BOX_TEST(the_head_goes_back_with_its_files),
        BOX_TEST(it_is_known_what_was_in_force_before_each),
        BOX_TEST(a_confirmed_generation_is_the_last_good_one),
        BOX_TEST(each_commit_has_its_event),
        BOX_TEST(outcomes_are_remembered_and_bounded),
        BOX_TEST(old_generations_go_but_never_those_that_count),
        BOX_TEST(the_last_stop_is_remembered),
        BOX_TEST(a_store_of_an_older_version_is_taken_over),
#ifdef MAC_FAULTS
        BOX_TEST(a_power_cut_leaves_the_old_or_the_new_generation_with_its_files),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
