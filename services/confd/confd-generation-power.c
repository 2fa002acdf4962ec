/* Why and when the node goes down. */
#include "confd-generation-internal.h"

#include <errno.h>

#include "codec/mac-codec.h"

int confd_store_set_power(confd_store *store, const Macula__V1__PowerRecord *record, uint64_t due_boot_ms,
                          const char *boot_id) {
    size_t length = 0;
    mac_autofree void *data = mac_codec_pack(&record->base, &length);
    int result = mac_store_begin(store->base);
    if (result < 0)
        return result;
    result = mac_store_exec(store->base, "INSERT OR REPLACE INTO power VALUES(1, ?)", "b", data, length);
    if (result == 0)
        result = mac_store_exec(store->base, "INSERT OR REPLACE INTO power_due VALUES(1, ?, ?)", "is",
                                (int64_t)due_boot_ms, boot_id);
    if (result == 0)
        result = mac_outbox_add(store->outbox, "node.stopping", &record->base);
    return confd_store_finish(store, result);
}

int confd_store_cancel_power(confd_store *store, const Macula__V1__PowerRecord *record) {
    int result = mac_store_begin(store->base);
    if (result < 0)
        return result;
    result = mac_store_exec(store->base, "DELETE FROM power_due", "");
    if (result == 0)
        result = mac_store_exec(store->base, "DELETE FROM power", "");
    if (result == 0)
        result = mac_outbox_add(store->outbox, "node.staying", &record->base);
    return confd_store_finish(store, result);
}

int confd_store_tell(confd_store *store, const char *topic, const ProtobufCMessage *event) {
    int result = mac_store_begin(store->base);
    return result < 0 ? result : confd_store_finish(store, mac_outbox_add(store->outbox, topic, event));
}

int confd_store_power_done(confd_store *store) {
    return mac_store_exec(store->base, "DELETE FROM power_due", "");
}

int confd_store_power_due(confd_store *store, const char *boot_id, uint64_t *ret_due_boot_ms) {
    sqlite3_stmt *row =
        mac_store_query(store->base, "SELECT due_boot_ms FROM power_due WHERE boot_id = ?", "s", boot_id);
    if (!row)
        return mac_store_errno(store->base);
    int step = sqlite3_step(row);
    if (step == SQLITE_ROW)
        *ret_due_boot_ms = (uint64_t)sqlite3_column_int64(row, 0);
    mac_store_done(row);
    return step == SQLITE_ROW ? 0 : step == SQLITE_DONE ? -ENOENT : mac_store_errno(store->base);
}

int confd_store_power(confd_store *store, Macula__V1__PowerRecord **ret_record) {
    sqlite3_stmt *row = mac_store_query(store->base, "SELECT record FROM power", "");
    if (!row)
        return mac_store_errno(store->base);
    Macula__V1__PowerRecord *record = NULL;
    if (sqlite3_step(row) == SQLITE_ROW)
        record =
            macula__v1__power_record__unpack(NULL, (size_t)sqlite3_column_bytes(row, 0), sqlite3_column_blob(row, 0));
    mac_store_done(row);
    if (!record)
        return -ENOENT;
    *ret_record = record;
    return 0;
}
