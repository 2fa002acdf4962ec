#include "confd-sources.h"

#include <errno.h>
#include <string.h>

#include "confd-cmdline.h"

#define CONFD_LABEL_ORIGINAL "source:" /* label of sealed originals: source:/macula/system/config.yaml */

static void source_deinit(confd_source *source) {
    if (source->text)
        mac_wipe(source->text, source->length);
    free(source->name);
    free(source->text);
    free(source->original);
}

void confd_sources_deinit(confd_sources *sources) {
    for (size_t i = 0; i < sources->count; i++)
        source_deinit(&sources->items[i]);
    free(sources->items);
    *sources = (confd_sources){0};
}

static int source_rank(const char *name) {
    if (mac_streq(name, CONFD_SYSTEM_FILE))
        return 0;
    if (mac_streq(name, CONFD_FILE))
        return 1;
    return mac_streq(name, CONFD_CMDLINE) ? 3 : 2;
}

int confd_source_compare_names(const char *a, const char *b) {
    int rank = source_rank(a) - source_rank(b);
    return rank ? rank : strcmp(a, b);
}

bool confd_source_writable(const char *name) {
    return mac_streq(name, CONFD_FILE) || mac_starts_with(name, CONFD_FRAGMENTS_DIR "/");
}

void confd_sources_put(confd_sources *sources, const char *name, const char *text, size_t length,
                       const char *original) {
    confd_source source = {.name = mac_strdup(name), .length = length, .original = mac_strdup(original)};
    source.text = mac_malloc(length + 1); /* may hold NULs until the parser refuses it */
    memcpy(source.text, text, length);
    source.text[length] = '\0';
    size_t at = 0;
    while (at < sources->count && confd_source_compare_names(sources->items[at].name, name) < 0)
        at++;
    if (at < sources->count && mac_streq(sources->items[at].name, name)) {
        source_deinit(&sources->items[at]);
        sources->items[at] = source;
        return;
    }
    sources->items = mac_realloc(sources->items, (sources->count + 1) * sizeof *sources->items);
    memmove(&sources->items[at + 1], &sources->items[at], (sources->count - at) * sizeof *sources->items);
    sources->items[at] = source;
    sources->count++;
}

void confd_sources_remove(confd_sources *sources, const char *name) {
    for (size_t i = 0; i < sources->count; i++) {
        if (!mac_streq(sources->items[i].name, name))
            continue;
        source_deinit(&sources->items[i]);
        sources->count--;
        memmove(&sources->items[i], &sources->items[i + 1], (sources->count - i) * sizeof *sources->items);
        return;
    }
}

const confd_source *confd_sources_get(const confd_sources *sources, const char *name) {
    for (size_t i = 0; i < sources->count; i++)
        if (mac_streq(sources->items[i].name, name))
            return &sources->items[i];
    return NULL;
}

void confd_sources_copy(const confd_sources *from, confd_sources *ret_sources) {
    confd_sources copy = {0};
    for (size_t i = 0; i < from->count; i++) {
        const confd_source *source = &from->items[i];
        confd_sources_put(&copy, source->name, source->text, source->length, source->original);
    }
    *ret_sources = copy;
}

/* ---- reading ---- */

static void read_file(mac_root *root, const char *path, mac_problems *problems, confd_sources *sources) {
    mac_autofree char *text = NULL;
    size_t length = 0;
    int result = mac_fs_read(root, path, CONFD_SOURCE_MAX, &text, &length);
    mac_place place = {.file = path};
    if (result == -EFBIG)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, &place, NULL,
                         "expected at most %u bytes, found more: move large files out of the configuration",
                         CONFD_SOURCE_MAX);
    else if (result < 0 && result != -ENOENT && result != -ENOTDIR)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, &place, NULL, "cannot be read: %s", strerror(-result));
    else if (result >= 0)
        confd_sources_put(sources, path, text, length, NULL);
    if (text)
        mac_wipe(text, length);
}

static void read_fragments(mac_root *root, mac_problems *problems, confd_sources *sources) {
    mac_autostrings names = {0};
    int result = mac_fs_list(root, CONFD_FRAGMENTS_DIR, &names);
    mac_place place = {.file = CONFD_FRAGMENTS_DIR};
    if (result < 0 && result != -ENOENT)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, &place, NULL, "cannot be read: %s", strerror(-result));
    size_t found = 0;
    for (size_t i = 0; i < names.count; i++) {
        mac_autofree char *path = mac_asprintf("%s/%s", CONFD_FRAGMENTS_DIR, names.items[i]);
        if (!mac_ends_with(path, ".yaml"))
            continue;
        if (++found > CONFD_FRAGMENTS_MAX) {
            mac_problems_add(problems, MAC_PROBLEM_ERROR, &place, NULL,
                             "expected at most %d fragments, found more: merge some into one file",
                             CONFD_FRAGMENTS_MAX);
            return;
        }
        read_file(root, path, problems, sources);
    }
}

void confd_sources_read(mac_root *root, mac_problems *problems, confd_sources *ret_sources) {
    confd_sources sources = {0};
    read_file(root, CONFD_SYSTEM_FILE, problems, &sources);
    read_file(root, CONFD_FILE, problems, &sources);
    read_fragments(root, problems, &sources);
    mac_autofree char *options = confd_cmdline_read(root);
    if (options && *options)
        confd_sources_put(&sources, CONFD_CMDLINE, options, strlen(options), NULL);
    *ret_sources = sources;
}

/* ---- comparing ---- */

char *confd_source_seal_original(const confd_source *source, const mac_seal *seal) {
    mac_autofree char *label = mac_asprintf(CONFD_LABEL_ORIGINAL "%s", source->name);
    return mac_seal_text(seal, label, source->text, source->length);
}

bool confd_source_same(const confd_source *recorded, const confd_source *found, const mac_seal *seal) {
    if (!recorded || !found)
        return recorded == found;
    if (recorded->length == found->length && memcmp(recorded->text, found->text, found->length) == 0)
        return true;
    if (!recorded->original)
        return false;
    if (!seal)
        return false;
    mac_autofree char *label = mac_asprintf(CONFD_LABEL_ORIGINAL "%s", recorded->name);
    char *text = NULL;
    size_t length = 0;
    if (mac_unseal_text(seal, label, recorded->original, &text, &length) < 0)
        return false;
    bool same = length == found->length && memcmp(text, found->text, length) == 0;
    mac_wipe(text, length);
    free(text);
    return same;
}

void confd_sources_difference(const confd_sources *recorded, const confd_sources *found, const mac_seal *seal,
                              mac_strings *ret_names) {
    for (size_t a = 0, b = 0;;) {
        const confd_source *left = a < recorded->count ? &recorded->items[a] : NULL;
        const confd_source *right = b < found->count ? &found->items[b] : NULL;
        if (!left && !right)
            return;
        int order = !left ? 1 : !right ? -1 : confd_source_compare_names(left->name, right->name);
        if (order != 0 || !confd_source_same(left, right, seal))
            mac_strings_add(ret_names, order <= 0 ? left->name : right->name);
        a += order <= 0;
        b += order >= 0;
    }
}
