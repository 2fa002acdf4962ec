#include "confd-generation-internal.h"

#include <errno.h>
#include <string.h>

/* Migrations. What is written here once is never edited: a store may have been made with it. */

static const char schema[] =
    "CREATE TABLE generation(number INTEGER PRIMARY KEY AUTOINCREMENT, author TEXT NOT NULL, message TEXT NOT NULL,"
    "  time_ms INTEGER NOT NULL, digest TEXT NOT NULL, document BLOB NOT NULL, reverted INTEGER NOT NULL DEFAULT 0, "
    "job TEXT);"
    "CREATE INDEX generation_job ON generation(job) WHERE job IS NOT NULL;"
    /* Equal texts of many generations are kept once. */
    "CREATE TABLE blob(digest TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE generation_source(number INTEGER NOT NULL REFERENCES generation(number) ON DELETE CASCADE,"
    "  path TEXT NOT NULL, digest TEXT NOT NULL REFERENCES blob(digest), original TEXT, PRIMARY KEY(number, path)) "
    "WITHOUT ROWID;"
    "CREATE INDEX generation_source_digest ON generation_source(digest);"
    "CREATE TABLE head(id INTEGER PRIMARY KEY CHECK(id = 1), current INTEGER NOT NULL, previous INTEGER NOT NULL,"
    "  last_good INTEGER NOT NULL, pending INTEGER NOT NULL, applying INTEGER NOT NULL, author TEXT,"
    "  deadline_ms INTEGER NOT NULL, deadline_boot_ms INTEGER NOT NULL, boot_id TEXT);"
    "INSERT INTO head VALUES(1, 0, 0, 0, 0, 0, NULL, 0, 0, NULL);"
    /* content NULL: the file is to be removed */
    "CREATE TABLE write_intent(path TEXT PRIMARY KEY, content BLOB) WITHOUT ROWID;"
    "CREATE TABLE outcome(id INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL UNIQUE, is_error INTEGER NOT NULL, "
    "data BLOB NOT NULL);"
    "CREATE TABLE power(id INTEGER PRIMARY KEY CHECK(id = 1), record BLOB NOT NULL);";

/* The head gets came_from. Rebuilt rather than altered, as some stores of version 2 were made with the column. What was
 * interrupted by the end of the older version had come from the generation before it. */
static const char schema_came_from[] =
    "CREATE TABLE new_head(id INTEGER PRIMARY KEY CHECK(id = 1), current INTEGER NOT NULL, previous INTEGER NOT NULL,"
    "  last_good INTEGER NOT NULL, pending INTEGER NOT NULL, applying INTEGER NOT NULL,"
    "  came_from INTEGER NOT NULL, author TEXT,"
    "  deadline_ms INTEGER NOT NULL, deadline_boot_ms INTEGER NOT NULL, boot_id TEXT);"
    "INSERT INTO new_head SELECT id, current, previous, last_good, pending, applying,"
    "  CASE WHEN applying THEN previous ELSE 0 END, author, deadline_ms, deadline_boot_ms, boot_id FROM head;"
    "DROP TABLE head;"
    "ALTER TABLE new_head RENAME TO head;";

/* What was asked for under a job's id. */
static const char schema_job[] =
    "CREATE TABLE job_request(id INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL UNIQUE,"
    "  digest TEXT NOT NULL);";

/* When the node goes down, in CLOCK_BOOTTIME of that boot; the record in `power` says what and why. */
static const char schema_power_due[] =
    "CREATE TABLE power_due(id INTEGER PRIMARY KEY CHECK(id = 1), due_boot_ms INTEGER NOT NULL,"
    "  boot_id TEXT NOT NULL);";

/* What confirms a pending change. One that waited without such a proof cannot be confirmed any more, only go back. */
static const char schema_confirm[] = "ALTER TABLE head ADD COLUMN confirm_digest TEXT;";

/* Which generation was in force when another came, 0 for the first. Without a reference to `generation`, so that the
 * release before can go on with this store; what it made meanwhile has no row here. */
static const char schema_before[] =
    "CREATE TABLE generation_before(number INTEGER PRIMARY KEY, before_it INTEGER NOT NULL);";

/* ---- room for the way back ---- */

int confd_store_reserve(mac_root *root) {
    return mac_fs_reserve(root, CONFD_RESERVE_FILE, CONFD_RESERVE_BYTES);
}

void confd_store_release_reserve(mac_root *root) {
    (void)!mac_fs_remove_relaxed(root, CONFD_RESERVE_FILE); /* -ENOENT: it is released */
}

/* ---- life ---- */

int confd_store_open(mac_root *root, confd_store **ret_store, mac_error **ret_error) {
    int result = mac_fs_mkdirs(root, CONFD_STORE_DIR, 0700);
    if (result < 0) {
        *ret_error = mac_error_from_errno(result, "%s cannot be made", CONFD_STORE_DIR);
        return result;
    }
    const char *const migrations[] = {schema,           mac_outbox_schema, schema_came_from, schema_job,
                                      schema_power_due, schema_confirm,    schema_before};
    mac_store *base = NULL;
    result = mac_store_open_reserved(root, CONFD_STORE_FILE, CONFD_RESERVE_FILE, migrations, MAC_ARRAY_SIZE(migrations),
                                     &base, ret_error);
    if (result < 0)
        return result;
    confd_store *store = mac_calloc(1, sizeof *store);
    store->base = base;
    store->outbox = mac_outbox_new(base, NULL);
    *ret_store = store;
    return 0;
}

void confd_store_close(confd_store *store) {
    if (!store)
        return;
    mac_outbox_free(store->outbox);
    mac_store_close(store->base);
    free(store);
}

mac_store *confd_store_base(confd_store *store) {
    return store->base;
}

void confd_store_attach_bus(confd_store *store, mac_bus *bus, void (*on_event)(void *data), void *data) {
    store->on_event = on_event;
    store->on_event_data = data;
    mac_outbox_free(store->outbox);
    store->outbox = mac_outbox_new(store->base, bus);
}

mac_outbox *confd_store_outbox(confd_store *store) {
    return store->outbox;
}

void confd_head_deinit(confd_head *head) {
    free(head->author);
    free(head->boot_id);
    free(head->confirm_digest);
    *head = (confd_head){0};
}

void confd_generation_free(confd_generation *generation) {
    if (!generation)
        return;
    free(generation->author);
    free(generation->message);
    free(generation->job);
    json_decref(generation->document);
    confd_sources_deinit(&generation->sources);
    free(generation);
}

void confd_generation_list_free(confd_generation **list, size_t count) {
    for (size_t i = 0; i < count; i++)
        confd_generation_free(list[i]);
    free(list);
}

/* ---- reading ---- */

/* 0: a row is there; -ENOENT: none; else why it cannot be read. */
static int read_row(confd_store *store, sqlite3_stmt *row) {
    int step = sqlite3_step(row);
    return step == SQLITE_ROW ? 0 : step == SQLITE_DONE ? -ENOENT : mac_store_errno(store->base);
}

static char *column_text(sqlite3_stmt *row, int column) {
    return mac_strdup((const char *)sqlite3_column_text(row, column));
}

uint64_t confd_store_number(confd_store *store, const char *sql, const char *text) {
    sqlite3_stmt *query = text ? mac_store_query(store->base, sql, "s", text) : mac_store_query(store->base, sql, "");
    if (!query)
        return 0;
    uint64_t number = sqlite3_step(query) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(query, 0) : 0;
    mac_store_done(query);
    return number;
}

int confd_store_head(confd_store *store, confd_head *ret_head) {
    sqlite3_stmt *row = mac_store_query(store->base,
                                        "SELECT current, previous, last_good, pending, applying, author, deadline_ms,"
                                        " deadline_boot_ms, boot_id, came_from, confirm_digest FROM head",
                                        "");
    if (!row)
        return mac_store_errno(store->base);
    int result = sqlite3_step(row) == SQLITE_ROW ? 0 : -EUCLEAN;
    if (result == 0)
        *ret_head = (confd_head){
            .current = (uint64_t)sqlite3_column_int64(row, 0),
            .previous = (uint64_t)sqlite3_column_int64(row, 1),
            .last_good = (uint64_t)sqlite3_column_int64(row, 2),
            .pending = sqlite3_column_int(row, 3) != 0,
            .applying = sqlite3_column_int(row, 4) != 0,
            .author = column_text(row, 5),
            .deadline_ms = sqlite3_column_int64(row, 6),
            .deadline_boot_ms = (uint64_t)sqlite3_column_int64(row, 7),
            .boot_id = column_text(row, 8),
            .came_from = (uint64_t)sqlite3_column_int64(row, 9),
            .confirm_digest = column_text(row, 10),
        };
    mac_store_done(row);
    return result;
}

int confd_store_load_sources(confd_store *store, uint64_t number, bool texts, confd_sources *ret_sources) {
    sqlite3_stmt *row = mac_store_query(store->base,
                                        "SELECT path, content, original FROM generation_source JOIN blob USING(digest)"
                                        " WHERE number = ?",
                                        "i", (int64_t)number);
    if (!row)
        return mac_store_errno(store->base);
    int step;
    while ((step = sqlite3_step(row)) == SQLITE_ROW) {
        const void *content = sqlite3_column_blob(row, 1);
        size_t length = texts && content ? (size_t)sqlite3_column_bytes(row, 1) : 0;
        confd_sources_put(ret_sources, (const char *)sqlite3_column_text(row, 0), content ? content : "", length,
                          (const char *)sqlite3_column_text(row, 2));
    }
    mac_store_done(row);
    return step == SQLITE_DONE ? 0 : mac_store_errno(store->base);
}

#define GENERATION_COLUMNS "number, author, message, time_ms, digest, reverted, job"

static confd_generation *generation_from_row(sqlite3_stmt *row, const confd_head *head) {
    confd_generation *generation = mac_calloc(1, sizeof *generation);
    generation->number = (uint64_t)sqlite3_column_int64(row, 0);
    generation->author = column_text(row, 1);
    generation->message = column_text(row, 2);
    generation->time_ms = sqlite3_column_int64(row, 3);
    const char *digest = (const char *)sqlite3_column_text(row, 4);
    strncpy(generation->digest, digest ? digest : "", sizeof generation->digest - 1);
    generation->job = column_text(row, 6);
    if (generation->number == head->current)
        generation->state = head->pending ? MACULA__V1__CONFIG_GENERATION__STATE__pending
                                          : MACULA__V1__CONFIG_GENERATION__STATE__current;
    else
        generation->state = sqlite3_column_int(row, 5) ? MACULA__V1__CONFIG_GENERATION__STATE__reverted
                                                       : MACULA__V1__CONFIG_GENERATION__STATE__past;
    return generation;
}

int confd_store_load(confd_store *store, uint64_t number, confd_generation **ret_generation) {
    confd_autohead head = {0};
    int result = confd_store_head(store, &head);
    if (result < 0)
        return result;
    sqlite3_stmt *row = mac_store_query(
        store->base, "SELECT " GENERATION_COLUMNS ", document FROM generation WHERE number = ?", "i", (int64_t)number);
    if (!row)
        return mac_store_errno(store->base);
    result = read_row(store, row);
    if (result < 0) {
        mac_store_done(row);
        return result;
    }
    mac_autoptr(confd_generation) generation = generation_from_row(row, &head);
    const char *text = sqlite3_column_blob(row, 7);
    generation->document = text ? json_loadb(text, (size_t)sqlite3_column_bytes(row, 7), 0, NULL) : NULL;
    mac_store_done(row);
    if (!generation->document)
        return -EUCLEAN;
    result = confd_store_load_sources(store, number, true, &generation->sources);
    if (result == 0)
        *ret_generation = mac_take(&generation);
    return result;
}

int confd_store_list(confd_store *store, unsigned limit, uint64_t before, confd_generation ***ret_list,
                     size_t *ret_count) {
    confd_autohead head = {0};
    int result = confd_store_head(store, &head);
    if (result < 0)
        return result;
    sqlite3_stmt *row = mac_store_query(store->base,
                                        "SELECT " GENERATION_COLUMNS " FROM generation WHERE number < ?"
                                        " ORDER BY number DESC LIMIT ?",
                                        "ii", before ? (int64_t)before : INT64_MAX, (int64_t)limit);
    if (!row)
        return mac_store_errno(store->base);
    confd_generation **list = NULL;
    size_t count = 0;
    while ((result = read_row(store, row)) == 0) {
        list = mac_realloc(list, (count + 1) * sizeof *list);
        list[count++] = generation_from_row(row, &head);
    }
    mac_store_done(row);
    result = result == -ENOENT ? 0 : result;
    for (size_t i = 0; i < count && result == 0; i++)
        result = confd_store_load_sources(store, list[i]->number, false, &list[i]->sources);
    if (result < 0) {
        confd_generation_list_free(list, count);
        return result;
    }
    *ret_list = list;
    *ret_count = count;
    return 0;
}

uint64_t confd_store_next_number(confd_store *store) {
    return confd_store_number(store, "SELECT seq FROM sqlite_sequence WHERE name = 'generation'", NULL) + 1;
}

uint64_t confd_store_before(confd_store *store, uint64_t number) {
    sqlite3_stmt *row = mac_store_query(store->base,
                                        "SELECT coalesce((SELECT before_it FROM generation_before b JOIN generation g"
                                        "  ON g.number = b.before_it WHERE b.number = ?1),"
                                        " (SELECT max(number) FROM generation WHERE number < ?1 AND NOT reverted),"
                                        " (SELECT max(number) FROM generation WHERE number < ?1), 0)",
                                        "i", (int64_t)number);
    if (!row)
        return 0;
    uint64_t before = sqlite3_step(row) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(row, 0) : 0;
    mac_store_done(row);
    return before;
}

uint64_t confd_store_job_generation(confd_store *store, const char *job) {
    return confd_store_number(store, "SELECT max(number) FROM generation WHERE job = ?", job);
}

uint64_t confd_store_revision(confd_store *store) {
    return mac_outbox_next_revision(store->outbox) - 1;
}

int confd_store_outcome(confd_store *store, const char *job, bool *ret_is_error, void **ret_data, size_t *ret_length) {
    sqlite3_stmt *row = mac_store_query(store->base, "SELECT is_error, data FROM outcome WHERE job = ?", "s", job);
    if (!row)
        return mac_store_errno(store->base);
    int result = read_row(store, row);
    if (result == 0) {
        *ret_is_error = sqlite3_column_int(row, 0) != 0;
        *ret_length = (size_t)sqlite3_column_bytes(row, 1);
        *ret_data = mac_memdup(*ret_length ? sqlite3_column_blob(row, 1) : "", *ret_length);
    }
    mac_store_done(row);
    return result;
}

int confd_store_job_request(confd_store *store, const char *job, char **ret_digest) {
    sqlite3_stmt *row = mac_store_query(store->base, "SELECT digest FROM job_request WHERE job = ?", "s", job);
    if (!row)
        return mac_store_errno(store->base);
    int result = read_row(store, row);
    if (result == 0)
        *ret_digest = column_text(row, 0);
    mac_store_done(row);
    return result;
}
