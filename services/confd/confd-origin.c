#include "confd-origin.h"

#include <string.h>

#include "confd-parse.h"

typedef struct origin {
    const char *name;
    confd_parsed parsed;
    json_t *patch; /* NULL: it cannot be read */
} origin;

struct confd_origins {
    origin *items;
    size_t count;
};

confd_origins *confd_origins_new(const confd_sources *sources) {
    confd_origins *origins = mac_calloc(1, sizeof *origins);
    origins->items = mac_calloc(sources->count + 1, sizeof *origins->items);
    origins->count = sources->count;
    for (size_t i = 0; i < sources->count; i++) {
        origin *read = &origins->items[i];
        read->name = sources->items[i].name;
        read->patch = confd_parse_rest(&sources->items[i], &read->parsed);
    }
    return origins;
}

void confd_origins_free(confd_origins *origins) {
    if (!origins)
        return;
    for (size_t i = 0; i < origins->count; i++) {
        confd_parsed_deinit(&origins->items[i].parsed);
        json_decref(origins->items[i].patch);
    }
    free(origins->items);
    free(origins);
}

/* Whether a patch says something about a path: sets it or something below it, or sets or removes something above it. */
static bool patch_touches(json_t *patch, const char *path) {
    if (mac_tree_get(patch, path))
        return true;
    mac_autofree char *above = mac_strdup(path);
    while (mac_path_cut(above)) {
        json_t *value = mac_tree_get(patch, above);
        if (value)
            return !json_is_object(value);
    }
    return false;
}

const char *confd_origins_of(const confd_origins *origins, const char *path) {
    for (size_t i = origins->count; i-- > 0;)
        if (origins->items[i].patch && patch_touches(origins->items[i].patch, path))
            return origins->items[i].name;
    return NULL;
}

const mac_mark *confd_origins_mark(const confd_origins *origins, const char *source, const char *path) {
    for (size_t i = 0; source && i < origins->count; i++)
        if (strcmp(origins->items[i].name, source) == 0)
            return origins->items[i].parsed.tree ? confd_parsed_mark_near(&origins->items[i].parsed, path) : NULL;
    return NULL;
}
