/* Changes of a configuration, for people: of a long value what differs, of a list its items. */
#include <string.h>

#include "cli-config.h"
#include "cli-output.h"
#include "codec/mac-tree.h"

#define VALUE_MAX 200u /* bytes of a value that are shown whole */
#define VALUE_CUT 160u /* shown of a longer one */
#define VALUE_LEAD 40u /* shown before the place where two long ones begin to differ */

/* A value as short text, from `start` on; caller frees. */
static char *short_text(const char *json, size_t start) {
    size_t length = strlen(json);
    if (length <= VALUE_MAX)
        return mac_strdup(json);
    while (start > 0 && ((unsigned char)json[start] & 0xC0u) == 0x80u)
        start--; /* never within a character */
    size_t end = length - start > VALUE_CUT ? start + VALUE_CUT : length;
    while (end < length && end > start && ((unsigned char)json[end] & 0xC0u) == 0x80u)
        end--;
    return mac_asprintf("%s%.*s%s (%zu bytes)", start ? "…" : "", (int)(end - start), json + start,
                        end < length ? "…" : "", length);
}

/* Where what is shown of both begins: at the start, unless they are longer and differ only after that. */
static size_t shown_from(const char *from, const char *to) {
    size_t same = 0;
    while (from[same] && from[same] == to[same])
        same++;
    return same < VALUE_CUT / 2 ? 0 : same - VALUE_LEAD;
}

static void texts_show(const char *path, const char *from, const char *to) {
    if (from && to && strcmp(from, to) == 0) { /* secrets, and what is too long to be sent */
        cli_print(CLI_YELLOW, "~ %s: changed, in what is not shown\n", path);
        return;
    }
    size_t start = from && to ? shown_from(from, to) : 0;
    mac_autofree char *old = from ? short_text(from, start) : NULL, *new = to ? short_text(to, start) : NULL;
    if (old)
        cli_print(CLI_RED, "- %s: %s\n", path, old);
    if (new)
        cli_print(CLI_GREEN, "+ %s: %s\n", path, new);
}

static void value_show(const char *path, const json_t *from, const json_t *to);

/* Two items at the same place: what differs in them. */
static void item_show(const char *path, const json_t *from, const json_t *to) {
    mac_changes changes = {0};
    if (json_is_object(from) && json_is_object(to))
        mac_tree_diff(from, to, &changes);
    for (size_t i = 0; i < changes.count; i++) {
        const mac_change *change = &changes.items[i];
        mac_autofree char *at = mac_asprintf("%s%s%s", path, *change->path == '[' ? "" : ".", change->path);
        value_show(at, change->old_value, change->new_value);
    }
    if (changes.count == 0)
        value_show(path, from, to);
    mac_changes_deinit(&changes);
}

/* Equal items at both ends are left out. As many left as there were: each beside the one in its place; else those that
 * went and those that came. */
static void list_show(const char *path, const json_t *from, const json_t *to) {
    size_t old = json_array_size(from), new = json_array_size(to), first = 0;
    while (first < old && first < new &&json_equal(json_array_get(from, first), json_array_get(to, first)))
        first++;
    for (; old > first && new > first &&json_equal(json_array_get(from, old - 1), json_array_get(to, new - 1)); old--)
        new --;
    bool paired = old == new;
    for (size_t i = first; i < old; i++) {
        const json_t *item = json_array_get(from, i), *other = json_array_get(to, i);
        mac_autofree char *at = mac_asprintf("%s[%zu]", path, i);
        if (!paired)
            value_show(at, item, NULL);
        else if (!json_equal(item, other))
            item_show(at, item, other);
    }
    for (size_t i = first; i < new && !paired; i++) {
        mac_autofree char *at = mac_asprintf("%s[%zu]", path, i);
        value_show(at, NULL, json_array_get(to, i));
    }
}

static void value_show(const char *path, const json_t *from, const json_t *to) {
    if (json_is_array(from) && json_is_array(to) && !json_equal(from, to)) {
        list_show(path, from, to);
        return;
    }
    mac_autofree char *old = from ? cli_json_text(from, JSON_COMPACT | JSON_ENCODE_ANY) : NULL,
                      *new = to ? cli_json_text(to, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    texts_show(path, old, new);
}

static void change_show(const Macula__V1__ConfigChange *change) {
    mac_autoptr(json_t) from = change->old_json ? json_loads(change->old_json, JSON_DECODE_ANY, NULL) : NULL;
    mac_autoptr(json_t) to = change->new_json ? json_loads(change->new_json, JSON_DECODE_ANY, NULL) : NULL;
    if (from && to)
        value_show(change->path, from, to);
    else
        texts_show(change->path, change->old_json, change->new_json);
}

void cli_changes_show(Macula__V1__ConfigChange *const *changes, size_t count, uint32_t left_out) {
    for (size_t i = 0; i < count; i++)
        change_show(changes[i]);
    if (left_out)
        cli_print(CLI_DIM, "and %u more\n", left_out);
}
