#include "supervisor-order.h"

#include <errno.h>
#include <string.h>

typedef enum mark {
    UNSEEN,
    OPEN, /* on the path that is being followed */
    PLACED,
} mark;

typedef struct ordering {
    const supervisor_order_item *items;
    size_t count;
    mac_problems *problems;
    mark *marks;
    size_t *path;
    size_t path_length;
    size_t *order;
    size_t placed;
} ordering;

static size_t find(const ordering *o, const char *name) {
    size_t i = 0;
    while (i < o->count && strcmp(o->items[i].name, name) != 0)
        i++;
    return i;
}

static void report_cycle(ordering *o, size_t back_to) {
    mac_autobuffer text = {0};
    size_t i = 0;
    while (o->path[i] != back_to)
        i++;
    for (; i < o->path_length; i++)
        mac_buffer_printf(&text, "%s after ", o->items[o->path[i]].name);
    mac_buffer_text(&text, o->items[back_to].name);
    mac_problems_add(o->problems, MAC_PROBLEM_ERROR, NULL, NULL, "units wait for each other: %s; remove one `after`",
                     text.data);
}

static void place(ordering *o, size_t index) {
    o->marks[index] = OPEN;
    o->path[o->path_length++] = index;
    for (size_t i = 0; i < o->items[index].after_count; i++) {
        const char *name = o->items[index].after[i];
        size_t before = find(o, name);
        if (before == o->count)
            mac_problems_add(o->problems, MAC_PROBLEM_ERROR, NULL, NULL,
                             "unit %s is to start after %s, but there is no unit %s", o->items[index].name, name, name);
        else if (o->marks[before] == OPEN)
            report_cycle(o, before);
        else if (o->marks[before] == UNSEEN)
            place(o, before);
    }
    o->path_length--;
    o->marks[index] = PLACED;
    o->order[o->placed++] = index;
}

int supervisor_order(const supervisor_order_item *items, size_t count, mac_problems *problems, size_t *ret_order) {
    mac_autofree mark *marks = mac_calloc(count + 1, sizeof *marks);
    mac_autofree size_t *path = mac_calloc(count + 1, sizeof *path);
    mac_autofree size_t *order = mac_calloc(count + 1, sizeof *order);
    ordering o = {items, count, problems, marks, path, 0, order, 0};
    size_t errors = mac_problems_errors(problems);
    for (size_t i = 0; i < count; i++) {
        if (find(&o, items[i].name) != i)
            mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, NULL, "there are two units named %s", items[i].name);
        if (marks[i] == UNSEEN)
            place(&o, i);
    }
    if (mac_problems_errors(problems) > errors)
        return -EINVAL;
    memcpy(ret_order, order, count * sizeof *order);
    return 0;
}
