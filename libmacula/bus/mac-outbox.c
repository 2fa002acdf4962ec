#include "bus/mac-outbox.h"

#include <errno.h>
#include <string.h>

#include "base/mac-fault.h"
#include "bus/bus-internal.h"
#include "codec/mac-codec.h"
#include "log/mac-log.h"

#define BATCH 64 /* published before each flush */
#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 5000

/* AUTOINCREMENT: a revision is never used again, whatever is deleted. Both encodings are kept, so that an event of an
 * older version of the program can be published without knowing its type. */
const char *const mac_outbox_schema = "CREATE TABLE outbox ("
                                      "revision INTEGER PRIMARY KEY AUTOINCREMENT,"
                                      "topic TEXT NOT NULL,"
                                      "event BLOB NOT NULL,"
                                      "json TEXT NOT NULL)";

struct mac_outbox {
    mac_store *store;
    mac_bus *bus; /* NULL: none, or closed meanwhile */
    bus_watcher watcher;
    mac_call *flush;    /* runs: nothing else is published meanwhile */
    mac_call *pause;    /* after a failure, until the next attempt */
    unsigned retry_ms;  /* the last one's length; 0: the last attempt went well */
    int64_t published;  /* up to this revision, waits for the flush */
    int64_t confirmed;  /* the server has everything up to here */
    uint64_t next;      /* what next_revision said last */
    bool delete_failed; /* told once */
};

static void on_bus_close(void *data) {
    mac_outbox *outbox = data;
    outbox->bus = NULL;
}

mac_outbox *mac_outbox_new(mac_store *store, mac_bus *bus) {
    mac_outbox *outbox = mac_calloc(1, sizeof *outbox);
    *outbox = (mac_outbox){.store = store, .bus = bus, .next = 1};
    outbox->watcher = (bus_watcher){.on_close = on_bus_close, .data = outbox};
    if (bus)
        bus_watch(bus, &outbox->watcher);
    return outbox;
}

void mac_outbox_free(mac_outbox *outbox) {
    if (!outbox)
        return;
    if (outbox->flush)
        mac_call_cancel(outbox->flush);
    if (outbox->pause)
        mac_call_cancel(outbox->pause);
    if (outbox->bus)
        bus_unwatch(outbox->bus, &outbox->watcher);
    free(outbox);
}

static int64_t number_of(mac_outbox *outbox, const char *sql, int64_t otherwise) {
    sqlite3_stmt *statement = mac_store_query(outbox->store, sql, "");
    if (!statement)
        return otherwise;
    int code = sqlite3_step(statement);
    int64_t number = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : code == SQLITE_DONE ? 0 : otherwise;
    mac_store_done(statement);
    return number;
}

uint64_t mac_outbox_next_revision(mac_outbox *outbox) {
    int64_t last =
        number_of(outbox, "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'", (int64_t)outbox->next - 1);
    outbox->next = (uint64_t)last + 1;
    return outbox->next;
}

size_t mac_outbox_count(mac_outbox *outbox) {
    return (size_t)number_of(outbox, "SELECT count(*) FROM outbox", 0);
}

int mac_outbox_add(mac_outbox *outbox, const char *topic, const ProtobufCMessage *event) {
    size_t length, json_length;
    mac_autofree void *packed = mac_codec_pack(event, &length);
    mac_autofree char *json = mac_codec_to_json(event, MAC_CODEC_MASK, &json_length);
    if (length > MAC_BUS_PAYLOAD_MAX || json_length > MAC_BUS_PAYLOAD_MAX)
        return -EMSGSIZE;
    /* Not NULL, which would be NULL in SQL, for the empty message. */
    int r = mac_store_exec(outbox->store, "INSERT INTO outbox (topic, event, json) VALUES (?, ?, ?)", "sbs", topic,
                           packed ? packed : "", length, json);
    if (r < 0)
        return r;
    int64_t oldest = sqlite3_last_insert_rowid(mac_store_db(outbox->store)) - MAC_OUTBOX_MAX;
    return oldest > 0 ? mac_store_exec(outbox->store, "DELETE FROM outbox WHERE revision <= ?", "i", oldest) : 0;
}

/* ---- publishing ---- */

static int publish_row(mac_outbox *outbox, sqlite3_stmt *row) {
    const char *topic = (const char *)sqlite3_column_text(row, 1);
    const char *realm = mac_bus_realm(outbox->bus);
    mac_autofree char *pub = mac_asprintf("macula.pub.%s.%s", realm, topic),
                      *sub = mac_asprintf("macula.sub.%s.%s", realm, topic);
    const void *event = sqlite3_column_blob(row, 2);
    int r = mac_bus_publish_raw(outbox->bus, pub, event ? event : "", (size_t)sqlite3_column_bytes(row, 2),
                                "application/protobuf");
    if (r == 0)
        r = mac_bus_publish_raw(outbox->bus, sub, sqlite3_column_text(row, 3), (size_t)sqlite3_column_bytes(row, 3),
                                "application/json");
    if (r == -EINVAL || r == -EMSGSIZE) { /* will never be taken: it must not hold up the others */
        mac_log_error("an event cannot be published and is dropped",
                      "topic=" MAC_LOG_Q("%s") " revision=%lld error=" MAC_LOG_Q("%s"), topic,
                      (long long)sqlite3_column_int64(row, 0), strerror(-r));
        return 0;
    }
    return r;
}

/* Returns how many; *ret_waits: one of them could not be published now. */
static unsigned publish_batch(mac_outbox *outbox, bool *ret_waits) {
    sqlite3_stmt *rows = mac_store_query(
        outbox->store, "SELECT revision, topic, event, json FROM outbox WHERE revision > ? ORDER BY revision LIMIT ?",
        "ii", outbox->confirmed, (int64_t)BATCH);
    unsigned count = 0;
    while (rows && !*ret_waits && sqlite3_step(rows) == SQLITE_ROW) {
        *ret_waits = publish_row(outbox, rows) < 0;
        if (*ret_waits)
            break;
        outbox->published = sqlite3_column_int64(rows, 0);
        count++;
    }
    mac_store_done(rows);
    return count;
}

/* Does not wait for the disk: after a power cut the events are merely published once more. */
static void delete_confirmed(mac_outbox *outbox) {
    int r = mac_store_exec_relaxed(outbox->store, "DELETE FROM outbox WHERE revision <= ?", "i", outbox->confirmed);
    if (r < 0 && !outbox->delete_failed)
        mac_log_warning("published events stay in the store: a restart would publish them again",
                        "error=" MAC_LOG_Q("%s"), strerror(-r));
    outbox->delete_failed = r < 0;
    MAC_FAULT_POINT("outbox.deleted");
}

static void on_pause_end(const mac_answer *answer, void *data) {
    mac_outbox *outbox = data;
    outbox->pause = NULL;
    if (answer->error->code != MACULA__V1__ERROR_CODE__CANCELLED) /* else the bus closes, or the outbox goes */
        mac_outbox_kick(outbox);                                  /* without a connection nothing: the next one kicks */
}

/* An attempt has failed though the connection is there: too many calls, a server that takes nothing or says nothing. */
static void retry_later(mac_outbox *outbox) {
    if (outbox->pause || !outbox->bus || mac_bus_current_state(outbox->bus) != MAC_BUS_CONNECTED)
        return;
    unsigned longer = outbox->retry_ms ? outbox->retry_ms * 2 : RETRY_MIN_MS;
    outbox->retry_ms = longer < RETRY_MAX_MS ? longer : RETRY_MAX_MS;
    outbox->pause = mac_bus_pause(outbox->bus, outbox->retry_ms, on_pause_end, outbox);
}

static void on_flushed(const mac_answer *answer, void *data) {
    mac_outbox *outbox = data;
    outbox->flush = NULL;
    if (answer->error && answer->error->code == MACULA__V1__ERROR_CODE__CANCELLED)
        return; /* the bus closes, or the outbox goes */
    if (answer->error) {
        retry_later(outbox); /* without a connection the next one kicks */
        return;
    }
    outbox->retry_ms = 0;
    MAC_FAULT_POINT("outbox.flushed");
    outbox->confirmed = outbox->published;
    delete_confirmed(outbox);
    mac_outbox_kick(outbox);
}

void mac_outbox_kick(mac_outbox *outbox) {
    if (!outbox->bus || outbox->flush || mac_bus_current_state(outbox->bus) != MAC_BUS_CONNECTED)
        return;
    if (outbox->delete_failed)
        delete_confirmed(outbox);
    bool waits = false;
    if (publish_batch(outbox, &waits) > 0)
        outbox->flush = mac_bus_flush(outbox->bus, on_flushed, outbox);
    else if (waits)
        retry_later(outbox);
}
