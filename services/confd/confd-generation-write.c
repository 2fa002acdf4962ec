#include "confd-generation-internal.h"

#include <errno.h>
#include <string.h>

#include "base/mac-fault.h"
#include "codec/mac-codec.h"

/* ---- parts of a transaction ---- */

static int insert_generation(confd_store *store, const confd_commit *commit, uint64_t *ret_number) {
    mac_autofree char *document = json_dumps(commit->document, JSON_COMPACT | JSON_SORT_KEYS);
    if (!document)
        return -EINVAL;
    int result = mac_store_exec(store->base,
                                "INSERT INTO generation(author, message, time_ms, digest, document, job)"
                                " VALUES(?, ?, ?, ?, ?, ?)",
                                "ssisbs", commit->author ? commit->author : "", commit->message ? commit->message : "",
                                mac_unix_ms(), commit->digest, document, strlen(document), commit->job);
    if (result == 0)
        *ret_number = (uint64_t)sqlite3_last_insert_rowid(mac_store_db(store->base));
    return result;
}

static int insert_sources(confd_store *store, uint64_t number, const confd_sources *sources) {
    for (size_t i = 0; i < sources->count; i++) {
        const confd_source *source = &sources->items[i];
        char digest[65];
        mac_sha256_hex(source->text, source->length, digest);
        int result = mac_store_exec(store->base, "INSERT INTO blob VALUES(?, ?) ON CONFLICT DO NOTHING", "sb", digest,
                                    source->text, source->length);
        if (result == 0)
            result = mac_store_exec(store->base, "INSERT INTO generation_source VALUES(?, ?, ?, ?)", "isss",
                                    (int64_t)number, source->name, digest, source->original);
        if (result < 0)
            return result;
    }
    return 0;
}

static bool same_text(const confd_source *a, const confd_source *b) {
    return a && b && a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

/* What must be written so that the files that hold `from` hold `to`. */
static int insert_intents(confd_store *store, const confd_sources *from, const confd_sources *to) {
    int result = 0;
    for (size_t i = 0; i < to->count && result == 0; i++) {
        const confd_source *source = &to->items[i];
        if (confd_source_writable(source->name) && !same_text(confd_sources_get(from, source->name), source))
            result = mac_store_exec(store->base, "INSERT OR REPLACE INTO write_intent VALUES(?, ?)", "sb", source->name,
                                    source->text, source->length);
    }
    for (size_t i = 0; i < from->count && result == 0; i++)
        if (confd_source_writable(from->items[i].name) && !confd_sources_get(to, from->items[i].name))
            result = mac_store_exec(store->base, "INSERT OR REPLACE INTO write_intent VALUES(?, NULL)", "s",
                                    from->items[i].name);
    return result;
}

static int add_event(confd_store *store, const char *topic, Macula__V1__ConfigEvent *event) {
    if (!event)
        return 0;
    event->has_revision = true;
    event->revision = mac_outbox_next_revision(store->outbox);
    event->has_time_ms = true;
    event->time_ms = mac_unix_ms();
    return mac_outbox_add(store->outbox, topic, &event->base);
}

int confd_store_finish(confd_store *store, int result) {
    if (result < 0) {
        mac_store_rollback(store->base);
        return result;
    }
    MAC_FAULT_POINT("confd.commit.before");
    result = mac_store_commit(store->base);
    if (result == 0) {
        MAC_FAULT_POINT("confd.commit.done");
        mac_outbox_kick(store->outbox);
        if (store->on_event)
            store->on_event(store->on_event_data);
    }
    return result;
}

/* ---- a new generation ---- */

static int set_head(confd_store *store, const confd_commit *commit, uint64_t number, const confd_head *head) {
    uint64_t came_from = head->applying && head->came_from ? head->came_from : head->current;
    bool pending = commit->confirm_s > 0;
    return mac_store_exec(
        store->base,
        "UPDATE head SET current = ?, previous = ?, came_from = ?, pending = ?, applying = 1, author = ?,"
        " deadline_ms = ?, deadline_boot_ms = ?, boot_id = ?, confirm_digest = ?",
        "iiiisiiss", (int64_t)number, (int64_t)head->current, (int64_t)came_from, (int64_t)pending,
        pending ? commit->author : NULL, pending ? mac_unix_ms() + commit->confirm_s * 1000LL : 0,
        pending ? (int64_t)(commit->now_boot_ms + commit->confirm_s * 1000ULL) : 0, pending ? commit->boot_id : NULL,
        pending ? commit->confirm_digest : NULL);
}

static int commit_steps(confd_store *store, const confd_commit *commit, const confd_head *head, uint64_t *ret_number) {
    confd_autosources recorded = {0};
    uint64_t number = 0;
    int result = insert_generation(store, commit, &number);
    if (result == 0)
        result = mac_store_exec(store->base, "INSERT INTO generation_before VALUES(?, ?)", "ii", (int64_t)number,
                                (int64_t)head->current);
    if (result == 0)
        result = insert_sources(store, number, commit->sources);
    if (result == 0 && !commit->on_disk && head->current)
        result = confd_store_load_sources(store, head->current, true, &recorded);
    if (result == 0)
        result = insert_intents(store, commit->on_disk ? commit->on_disk : &recorded, commit->sources);
    if (result == 0 && commit->taken_back)
        result = mac_store_exec(store->base, "UPDATE generation SET reverted = 1 WHERE number = ?", "i",
                                (int64_t)head->current);
    if (result == 0)
        result = set_head(store, commit, number, head);
    if (result == 0 && commit->event) {
        commit->event->has_generation = true;
        commit->event->generation = number;
        commit->event->has_previous = head->current != 0;
        commit->event->previous = head->current;
        result = add_event(store, "config.changed", commit->event);
    }
    *ret_number = number;
    return result;
}

int confd_store_commit(confd_store *store, const confd_commit *commit, uint64_t *ret_number) {
    confd_autohead head = {0};
    int result = mac_store_begin(store->base);
    if (result < 0)
        return result;
    uint64_t number = 0;
    result = confd_store_head(store, &head);
    if (result == 0)
        result = commit_steps(store, commit, &head, &number);
    result = confd_store_finish(store, result);
    if (result == 0)
        *ret_number = number;
    return result;
}

int confd_store_confirm(confd_store *store, Macula__V1__ConfigEvent *event) {
    int result = mac_store_begin(store->base);
    if (result < 0)
        return result;
    result = mac_store_exec(store->base,
                            "UPDATE head SET pending = 0, last_good = current, author = NULL, deadline_ms = 0,"
                            " deadline_boot_ms = 0, boot_id = NULL, confirm_digest = NULL",
                            "");
    if (result == 0)
        result = add_event(store, "config.changed", event);
    return confd_store_finish(store, result);
}

/* ---- back ---- */

static int revert_steps(confd_store *store, const confd_head *head, const confd_sources *on_disk,
                        Macula__V1__ConfigEvent *event) {
    confd_autosources recorded = {0}, back = {0};
    int result = on_disk ? 0 : confd_store_load_sources(store, head->current, true, &recorded);
    if (result == 0)
        result = confd_store_load_sources(store, head->previous, true, &back);
    if (result == 0)
        result = insert_intents(store, on_disk ? on_disk : &recorded, &back);
    if (result == 0)
        result = mac_store_exec(store->base, "UPDATE generation SET reverted = 1 WHERE number = ?", "i",
                                (int64_t)head->current);
    if (result == 0)
        result = mac_store_exec(store->base, "UPDATE generation SET reverted = 0 WHERE number = ?", "i",
                                (int64_t)head->previous);
    if (result == 0)
        result = mac_store_exec(
            store->base,
            "UPDATE head SET came_from = current, current = previous, last_good = previous, previous = coalesce("
            "(SELECT max(number) FROM generation WHERE number < head.previous AND NOT reverted), 0),"
            " pending = 0, applying = 1, author = NULL, deadline_ms = 0, deadline_boot_ms = 0, boot_id = NULL,"
            " confirm_digest = NULL",
            "");
    if (result == 0 && event) {
        event->has_generation = true;
        event->generation = head->previous;
        event->has_previous = true;
        event->previous = head->current;
        result = add_event(store, "config.reverted", event);
    }
    return result;
}

int confd_store_revert(confd_store *store, const confd_sources *on_disk, Macula__V1__ConfigEvent *event) {
    confd_autohead head = {0};
    int result = mac_store_begin(store->base);
    if (result < 0)
        return result;
    result = confd_store_head(store, &head);
    if (result == 0 && !head.previous)
        result = -ENOENT;
    if (result == 0)
        result = revert_steps(store, &head, on_disk, event);
    return confd_store_finish(store, result);
}

int confd_store_event(confd_store *store, const char *topic, Macula__V1__ConfigEvent *event) {
    int result = mac_store_begin(store->base);
    return result < 0 ? result : confd_store_finish(store, add_event(store, topic, event));
}

/* ---- files ---- */

static int write_source(mac_root *root, const char *path, const void *content, size_t length) {
    if (!content) {
        int result = mac_fs_remove(root, path);
        return result == -ENOENT ? 0 : result;
    }
    const char *directory = mac_starts_with(path, CONFD_FRAGMENTS_DIR "/") ? CONFD_FRAGMENTS_DIR : CONFD_STATE_DIR;
    int result = mac_fs_mkdirs(root, directory, 0700);
    return result < 0 ? result : mac_fs_write(root, path, content, length, MAC_FS_PRIVATE);
}

int confd_store_write_sources(confd_store *store, mac_root *root) {
    for (;;) {
        sqlite3_stmt *row =
            mac_store_query(store->base, "SELECT path, content FROM write_intent ORDER BY path LIMIT 1", "");
        if (!row)
            return mac_store_errno(store->base);
        int step = sqlite3_step(row);
        if (step != SQLITE_ROW) {
            mac_store_done(row);
            return step == SQLITE_DONE ? 0 : mac_store_errno(store->base);
        }
        mac_autofree char *path = mac_strdup((const char *)sqlite3_column_text(row, 0));
        bool removes = sqlite3_column_type(row, 1) == SQLITE_NULL;
        size_t length = (size_t)sqlite3_column_bytes(row, 1);
        mac_autofree char *content = removes ? NULL : mac_memdup(length ? sqlite3_column_blob(row, 1) : "", length);
        mac_store_done(row);
        int result = write_source(root, path, removes ? NULL : content, length);
        if (result == 0) {
            MAC_FAULT_POINT("confd.sources.written");
            result = mac_store_exec_relaxed(store->base, "DELETE FROM write_intent WHERE path = ?", "s", path);
        }
        if (result < 0)
            return result;
    }
}

/* ---- the end of a change ---- */

static int prune(confd_store *store, int64_t now_ms) {
    int result = mac_store_exec(
        store->base,
        "DELETE FROM generation WHERE number NOT IN (SELECT current FROM head UNION SELECT previous FROM head"
        "  UNION SELECT last_good FROM head UNION SELECT came_from FROM head)"
        " AND (number NOT IN (SELECT number FROM generation ORDER BY number DESC LIMIT ?)"
        "  OR (time_ms < ? AND number NOT IN (SELECT number FROM generation ORDER BY number DESC LIMIT ?)))",
        "iii", (int64_t)CONFD_KEEP_MAX, (int64_t)(now_ms - CONFD_KEEP_MS), (int64_t)CONFD_KEEP_MIN);
    if (result == 0)
        result = mac_store_exec(
            store->base, "DELETE FROM generation_before WHERE number NOT IN (SELECT number FROM generation)", "");
    if (result == 0)
        result = mac_store_exec(store->base,
                                "DELETE FROM blob WHERE digest NOT IN (SELECT digest FROM generation_source)", "");
    return result;
}

int confd_store_applied(confd_store *store, int64_t now_ms) {
    int result = mac_store_begin(store->base);
    if (result < 0)
        return result;
    result = mac_store_exec(
        store->base,
        "UPDATE head SET applying = 0, came_from = 0, last_good = CASE WHEN pending THEN last_good ELSE current END",
        "");
    if (result == 0)
        result = prune(store, now_ms);
    if (result == 0)
        return mac_store_commit(store->base);
    mac_store_rollback(store->base);
    return result;
}

int confd_store_set_outcome(confd_store *store, const char *job, bool is_error, const void *data, size_t length) {
    int result = mac_store_begin(store->base);
    if (result < 0)
        return result;
    result = mac_store_exec(store->base, "INSERT OR REPLACE INTO outcome(job, is_error, data) VALUES(?, ?, ?)", "sib",
                            job, (int64_t)is_error, data, length);
    if (result == 0)
        result = mac_store_exec(store->base, "DELETE FROM outcome WHERE id <= (SELECT max(id) FROM outcome) - ?", "i",
                                (int64_t)CONFD_OUTCOMES_MAX);
    if (result < 0) {
        mac_store_rollback(store->base);
        return result;
    }
    return mac_store_commit(store->base);
}

int confd_store_set_job_request(confd_store *store, const char *job, const char *digest) {
    /* The commit of the generation makes it durable; without that, there is nothing that could be done twice. */
    int result = mac_store_exec_relaxed(store->base, "INSERT OR REPLACE INTO job_request(job, digest) VALUES(?, ?)",
                                        "ss", job, digest);
    if (result == 0)
        result = mac_store_exec_relaxed(store->base,
                                        "DELETE FROM job_request WHERE id <= (SELECT max(id) FROM job_request) - ?",
                                        "i", (int64_t)CONFD_OUTCOMES_MAX);
    return result;
}
