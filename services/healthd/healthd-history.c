#include "healthd-history.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "codec/mac-codec.h"
#include "log/mac-log.h"

#define OLDER HEALTHD_HISTORY ".1"
#define READ_MAX (HEALTHD_HISTORY_MAX + (64u << 10))

/* NULL when the line is not a whole entry. */
static Macula__V1__HealthEntry *entry_parse(const char *line, size_t length) {
    ProtobufCMessage *message = NULL;
    mac_autoptr(mac_problems) ignored = mac_problems_new();
    if (length == 0 || mac_codec_from_json(&macula__v1__health_entry__descriptor, line, length, ignored, &message) < 0)
        return NULL;
    Macula__V1__HealthEntry *entry = (Macula__V1__HealthEntry *)message;
    if (entry->has_number)
        return entry;
    macula__v1__health_entry__free_unpacked(entry, NULL);
    return NULL;
}

/* The start of the line that ends before `end`. */
static const char *line_before(const char *text, const char *end) {
    const char *start = end;
    while (start > text && start[-1] != '\n')
        start--;
    return start;
}

/* ---- reading ---- */

typedef struct reading {
    uint64_t before;
    size_t limit;
    const char *name;
    Macula__V1__HealthHistory *answer;
} reading;

static bool reading_wants(const reading *r, const Macula__V1__HealthEntry *entry) {
    return (r->before == 0 || entry->number < r->before) && (!r->name || mac_streq(entry->name, r->name));
}

/* From the end of a file to its beginning. */
static void reading_file(reading *r, mac_root *root, const char *path) {
    mac_autofree char *text = NULL;
    size_t length = 0;
    if (r->answer->n_entries >= r->limit || mac_fs_read(root, path, READ_MAX, &text, &length) < 0)
        return;
    const char *end = text + length;
    while (end > text && r->answer->n_entries < r->limit) {
        if (end[-1] == '\n')
            end--;
        const char *start = line_before(text, end);
        Macula__V1__HealthEntry *entry = entry_parse(start, (size_t)(end - start));
        if (entry && reading_wants(r, entry))
            r->answer->entries[r->answer->n_entries++] = entry;
        else if (entry)
            macula__v1__health_entry__free_unpacked(entry, NULL);
        end = start;
    }
}

Macula__V1__HealthHistory *healthd_history_read(healthd_history *history, uint64_t before, size_t limit,
                                                const char *name) {
    reading r = {before, limit < HEALTHD_HISTORY_LIMIT ? limit : HEALTHD_HISTORY_LIMIT, name, NULL};
    r.answer = mac_malloc(sizeof *r.answer);
    macula__v1__health_history__init(r.answer);
    r.answer->entries = mac_calloc(r.limit + 1, sizeof(Macula__V1__HealthEntry *));
    reading_file(&r, history->root, HEALTHD_HISTORY);
    reading_file(&r, history->root, OLDER);
    return r.answer;
}

void healthd_history_init(healthd_history *history, mac_root *root) {
    *history = (healthd_history){.root = root};
    Macula__V1__HealthHistory *last = healthd_history_read(history, 0, 1, NULL);
    if (last->n_entries)
        history->last = last->entries[0]->number;
    macula__v1__health_history__free_unpacked(last, NULL);
}

/* ---- writing ---- */

static int append(mac_root *root, const char *line, size_t length) {
    int fd;
    int result = mac_fs_open(root, HEALTHD_HISTORY, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0600, &fd);
    if (result < 0)
        return result;
    char last = '\n';
    off_t end = lseek(fd, 0, SEEK_END);
    if (end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n' && write(fd, "\n", 1) < 0)
        result = -errno; /* a torn line stays alone */
    ssize_t written = result < 0 ? -1 : write(fd, line, length);
    if (result == 0 && written != (ssize_t)length)
        result = written < 0 ? -errno : -ENOSPC;
    close(fd);
    return result;
}

static void rotate(mac_root *root) {
    struct stat st;
    mac_autofree char *text = NULL;
    size_t length;
    if (mac_fs_stat(root, HEALTHD_HISTORY, &st) < 0 || st.st_size < (off_t)HEALTHD_HISTORY_MAX)
        return;
    if (mac_fs_read(root, HEALTHD_HISTORY, READ_MAX, &text, &length) < 0 ||
        mac_fs_write(root, OLDER, text, length, MAC_FS_PRIVATE_AS(MAC_FS_WHOLE)) == 0)
        (void)!mac_fs_remove_relaxed(root, HEALTHD_HISTORY); /* read or not: it grows no further */
}

void healthd_history_add(healthd_history *history, Macula__V1__HealthEntry *entry) {
    entry->has_number = true;
    entry->number = ++history->last;
    size_t length;
    mac_autofree char *json = mac_codec_to_json(&entry->base, 0, &length);
    mac_autofree char *line = mac_asprintf("%s\n", json);
    rotate(history->root);
    int result = append(history->root, line, length + 1);
    if (result < 0 && !history->failing)
        mac_log_warning("history not written", "file=%s error=" MAC_LOG_Q("%s"), HEALTHD_HISTORY, strerror(-result));
    history->failing = result < 0;
}
