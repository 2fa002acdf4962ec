#include "upgrader-store.h"

#include <errno.h>
#include <string.h>

#include "codec/mac-codec.h"
#include "store/mac-store.h"

struct upgrader_store {
    mac_store *base;
    mac_outbox *outbox;
};

/* What is written here once is never edited: a store may have been made with it. */
static const char schema[] =
    "CREATE TABLE message(name TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE number(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE job(number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, data BLOB NOT NULL);"
    "CREATE TABLE outcome(number INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB NOT NULL);"
    "CREATE TABLE refused(number INTEGER PRIMARY KEY AUTOINCREMENT, version TEXT NOT NULL UNIQUE, data BLOB NOT NULL);";

/* ---- room for the end of a trial ---- */

int upgrader_store_reserve(mac_root *root) {
    return mac_fs_reserve(root, UPGRADER_RESERVE_FILE, UPGRADER_RESERVE_BYTES);
}

void upgrader_store_release_reserve(mac_root *root) {
    (void)!mac_fs_remove_relaxed(root, UPGRADER_RESERVE_FILE); /* -ENOENT: it is released */
}

/* ---- life ---- */

int upgrader_store_open(mac_root *root, upgrader_store **ret_store, mac_error **ret_error) {
    int result = mac_fs_mkdirs(root, UPGRADER_STATE_DIR, 0700);
    if (result < 0) {
        *ret_error = mac_error_from_errno(result, "%s cannot be made", UPGRADER_STATE_DIR);
        return result;
    }
    const char *const migrations[] = {schema, mac_outbox_schema};
    upgrader_store *store = mac_calloc(1, sizeof *store);
    result = mac_store_open_reserved(root, UPGRADER_STORE_FILE, UPGRADER_RESERVE_FILE, migrations,
                                     MAC_ARRAY_SIZE(migrations), &store->base, ret_error);
    if (result < 0) {
        free(store);
        return result;
    }
    store->outbox = mac_outbox_new(store->base, NULL);
    *ret_store = store;
    return 0;
}

void upgrader_store_close(upgrader_store *store) {
    if (!store)
        return;
    mac_outbox_free(store->outbox);
    mac_store_close(store->base);
    free(store);
}

void upgrader_store_attach_bus(upgrader_store *store, mac_bus *bus) {
    mac_outbox_free(store->outbox);
    store->outbox = mac_outbox_new(store->base, bus);
}

void upgrader_store_kick(upgrader_store *store) {
    mac_outbox_kick(store->outbox);
}

size_t upgrader_store_waiting(upgrader_store *store) {
    return mac_outbox_count(store->outbox);
}

uint64_t upgrader_store_revision(upgrader_store *store) {
    return mac_outbox_next_revision(store->outbox) - 1;
}

int upgrader_store_begin(upgrader_store *store) {
    return mac_store_begin(store->base);
}

int upgrader_store_end(upgrader_store *store, int result) {
    if (result < 0) {
        mac_store_rollback(store->base);
        return result;
    }
    result = mac_store_commit(store->base);
    if (result == 0)
        mac_outbox_kick(store->outbox);
    return result;
}

/* ---- messages, numbers ---- */

int upgrader_store_put(upgrader_store *store, const char *name, const ProtobufCMessage *message) {
    if (!message)
        return mac_store_exec(store->base, "DELETE FROM message WHERE name = ?", "s", name);
    size_t length;
    mac_autofree void *data = mac_codec_pack(message, &length);
    return mac_store_exec(store->base, "INSERT OR REPLACE INTO message VALUES(?, ?)", "sb", name, data ? data : "",
                          length);
}

/* The message in a column; NULL when it cannot be read. */
static ProtobufCMessage *unpack(sqlite3_stmt *row, int column, const ProtobufCMessageDescriptor *type) {
    return protobuf_c_message_unpack(type, NULL, (size_t)sqlite3_column_bytes(row, column),
                                     sqlite3_column_blob(row, column));
}

ProtobufCMessage *upgrader_store_get(upgrader_store *store, const char *name, const ProtobufCMessageDescriptor *type) {
    sqlite3_stmt *row = mac_store_query(store->base, "SELECT data FROM message WHERE name = ?", "s", name);
    ProtobufCMessage *message = row && sqlite3_step(row) == SQLITE_ROW ? unpack(row, 0, type) : NULL;
    mac_store_done(row);
    return message;
}

int upgrader_store_set_number(upgrader_store *store, const char *name, uint64_t value) {
    return mac_store_exec(store->base, "INSERT OR REPLACE INTO number VALUES(?, ?)", "si", name, (int64_t)value);
}

uint64_t upgrader_store_number(upgrader_store *store, const char *name) {
    sqlite3_stmt *row = mac_store_query(store->base, "SELECT value FROM number WHERE name = ?", "s", name);
    uint64_t value = row && sqlite3_step(row) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(row, 0) : 0;
    mac_store_done(row);
    return value;
}

/* ---- jobs ---- */

int upgrader_store_put_job(upgrader_store *store, const Macula__V1__UpgradeJobRecord *record) {
    size_t length;
    mac_autofree void *data = mac_codec_pack(&record->base, &length);
    int result =
        mac_store_exec(store->base, "INSERT INTO job(id, data) VALUES(?1, ?2) ON CONFLICT(id) DO UPDATE SET data = ?2",
                       "sb", record->job->id, data, length);
    if (result == 0)
        result = mac_store_exec(store->base, "DELETE FROM job WHERE number <= (SELECT max(number) FROM job) - ?", "i",
                                (int64_t)UPGRADER_JOBS_MAX);
    return result;
}

static Macula__V1__UpgradeJobRecord *take_job(sqlite3_stmt *row) {
    ProtobufCMessage *message =
        row && sqlite3_step(row) == SQLITE_ROW ? unpack(row, 0, &macula__v1__upgrade_job_record__descriptor) : NULL;
    mac_store_done(row);
    return (Macula__V1__UpgradeJobRecord *)message;
}

Macula__V1__UpgradeJobRecord *upgrader_store_job(upgrader_store *store, const char *id) {
    return take_job(mac_store_query(store->base, "SELECT data FROM job WHERE id = ?", "s", id));
}

Macula__V1__UpgradeJobRecord *upgrader_store_last_job(upgrader_store *store) {
    return take_job(mac_store_query(store->base, "SELECT data FROM job ORDER BY number DESC LIMIT 1", ""));
}

/* ---- outcomes ---- */

int upgrader_store_add_outcome(upgrader_store *store, Macula__V1__UpgradeOutcome *outcome) {
    outcome->has_time_ms = true;
    outcome->time_ms = mac_unix_ms();
    size_t length;
    mac_autofree void *data = mac_codec_pack(&outcome->base, &length);
    int result = mac_store_exec(store->base, "INSERT INTO outcome(data) VALUES(?)", "b", data, length);
    if (result == 0)
        result =
            mac_store_exec(store->base, "DELETE FROM outcome WHERE number <= (SELECT max(number) FROM outcome) - ?",
                           "i", (int64_t)UPGRADER_HISTORY_MAX);
    return result;
}

Macula__V1__UpgradeOutcome **upgrader_store_history(upgrader_store *store, size_t limit, uint64_t before,
                                                    size_t *ret_count) {
    Macula__V1__UpgradeOutcome **list = mac_calloc(limit + 1, sizeof *list);
    size_t count = 0;
    sqlite3_stmt *row =
        mac_store_query(store->base, "SELECT data, number FROM outcome WHERE number < ? ORDER BY number DESC LIMIT ?",
                        "ii", before ? (int64_t)before : INT64_MAX, (int64_t)limit);
    while (row && count < limit && sqlite3_step(row) == SQLITE_ROW) {
        list[count] = (Macula__V1__UpgradeOutcome *)unpack(row, 0, &macula__v1__upgrade_outcome__descriptor);
        if (!list[count])
            continue;
        list[count]->has_number = true;
        list[count++]->number = (uint64_t)sqlite3_column_int64(row, 1);
    }
    mac_store_done(row);
    *ret_count = count;
    return list;
}

void upgrader_outcomes_free(Macula__V1__UpgradeOutcome **outcomes, size_t count) {
    for (size_t i = 0; i < count; i++)
        macula__v1__upgrade_outcome__free_unpacked(outcomes[i], NULL);
    free(outcomes);
}

/* ---- refused versions ---- */

int upgrader_store_refuse(upgrader_store *store, Macula__V1__UpgradeRefused *refused) {
    size_t length;
    refused->has_time_ms = true;
    refused->time_ms = mac_unix_ms();
    mac_autofree void *data = mac_codec_pack(&refused->base, &length);
    int result = mac_store_exec(store->base, "INSERT OR REPLACE INTO refused(version, data) VALUES(?, ?)", "sb",
                                refused->version, data, length);
    if (result == 0)
        result =
            mac_store_exec(store->base, "DELETE FROM refused WHERE number <= (SELECT max(number) FROM refused) - ?",
                           "i", (int64_t)UPGRADER_REFUSED_MAX);
    return result;
}

int upgrader_store_forgive(upgrader_store *store, const char *version) {
    return mac_store_exec(store->base, "DELETE FROM refused WHERE version = ?", "s", version);
}

Macula__V1__UpgradeRefused **upgrader_store_refused(upgrader_store *store, size_t *ret_count) {
    Macula__V1__UpgradeRefused **list = mac_calloc(UPGRADER_REFUSED_MAX + 1, sizeof *list);
    size_t count = 0;
    sqlite3_stmt *row = mac_store_query(store->base, "SELECT data FROM refused ORDER BY number DESC", "");
    while (row && count < UPGRADER_REFUSED_MAX && sqlite3_step(row) == SQLITE_ROW) {
        list[count] = (Macula__V1__UpgradeRefused *)unpack(row, 0, &macula__v1__upgrade_refused__descriptor);
        count += list[count] != NULL;
    }
    mac_store_done(row);
    *ret_count = count;
    return list;
}

void upgrader_refused_free(Macula__V1__UpgradeRefused **refused, size_t count) {
    for (size_t i = 0; i < count; i++)
        macula__v1__upgrade_refused__free_unpacked(refused[i], NULL);
    free(refused);
}

char *upgrader_store_refusal(upgrader_store *store, const char *version) {
    sqlite3_stmt *row = mac_store_query(store->base, "SELECT data FROM refused WHERE version = ?", "s", version);
    Macula__V1__UpgradeRefused *refused = NULL;
    if (row && sqlite3_step(row) == SQLITE_ROW)
        refused = (Macula__V1__UpgradeRefused *)unpack(row, 0, &macula__v1__upgrade_refused__descriptor);
    mac_store_done(row);
    if (!refused)
        return NULL;
    char *reason = mac_strdup(refused->reason ? refused->reason : "it failed");
    macula__v1__upgrade_refused__free_unpacked(refused, NULL);
    return reason;
}

/* ---- events ---- */

int upgrader_store_event(upgrader_store *store, const char *what, Macula__V1__UpgradeEvent *event) {
    mac_autofree char *topic = mac_asprintf("upgrade.%s", what);
    event->has_revision = event->has_time_ms = true;
    event->revision = mac_outbox_next_revision(store->outbox);
    event->time_ms = mac_unix_ms();
    return mac_outbox_add(store->outbox, topic, &event->base);
}
