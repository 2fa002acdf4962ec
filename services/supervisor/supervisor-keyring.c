#include "supervisor-keyring.h"

#include <string.h>

#include "supervisor-prepare.h"

/* One key, and the file it was read from: another content has another time of change (ctime, which nobody can set). */
typedef struct entry {
    const char *name;
    char public[MAC_NKEY_PUBLIC_SIZE];
    ino_t inode;
    struct timespec changed;
} entry;

struct supervisor_keyring {
    supervisor_host *host;
    const mac_strings *names;
    entry entries[MAC_NATS_SERVICES_MAX];
    size_t count;
    mac_nats_key keys[MAC_NATS_SERVICES_MAX + 1];
};

supervisor_keyring *supervisor_keyring_new(supervisor_host *host, const mac_strings *names) {
    supervisor_keyring *ring = mac_calloc(1, sizeof *ring);
    ring->host = host;
    ring->names = names;
    return ring;
}

void supervisor_keyring_free(supervisor_keyring *ring) {
    free(ring);
}

static bool is_same_file(const entry *e, const struct stat *st) {
    return e->public[0] && e->inode == st->st_ino && e->changed.tv_sec == st->st_ctim.tv_sec &&
           e->changed.tv_nsec == st->st_ctim.tv_nsec;
}

/* Looks at the file before it is read: what replaces it meanwhile is then seen by the next call. */
static mac_error *refresh(supervisor_keyring *ring, entry *e) {
    mac_autofree char *path = mac_asprintf(SUPERVISOR_IDENTITY "/%s.nk", e->name);
    struct stat st = {0};
    if (mac_fs_stat(ring->host->root, path, &st) == 0 && is_same_file(e, &st))
        return NULL;
    e->public[0] = '\0';
    mac_error *error = supervisor_prepare_key(ring->host, e->name, e->public, NULL);
    if (error)
        return error;
    e->inode = st.st_ino;
    e->changed = st.st_ctim;
    return NULL;
}

static mac_error *add(supervisor_keyring *ring, const char *name) {
    if (ring->count == MAC_NATS_SERVICES_MAX)
        return mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL, "more than %d keys on the bus",
                             MAC_NATS_SERVICES_MAX);
    entry *e = &ring->entries[ring->count];
    if (!mac_streq(e->name, name))
        *e = (entry){.name = name};
    mac_error *error = refresh(ring, e);
    if (error)
        return error;
    ring->keys[ring->count++] = (mac_nats_key){e->name, e->public};
    ring->keys[ring->count] = (mac_nats_key){0};
    return NULL;
}

mac_error *supervisor_keyring_get(supervisor_keyring *ring, const mac_nats_key **ret_keys) {
    mac_error *error = NULL;
    ring->count = 0;
    for (size_t i = 0; i < ring->names->count && !error; i++)
        error = add(ring, ring->names->items[i]);
    if (!error) /* those who have it may use it, also where nobody must */
        error = add(ring, MAC_NATS_WORKLOAD_KEY);
    *ret_keys = ring->keys;
    return error;
}
