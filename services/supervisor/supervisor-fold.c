#include "supervisor-fold.h"

#include <ctype.h>
#include <string.h>

#define FNV_BASIS 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

static uint64_t mix(uint64_t hash, const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * FNV_PRIME;
    return hash;
}

/* Length of the quoted text at the beginning, with its quotes. */
static size_t quoted(const char *text, size_t length) {
    size_t i = 1;
    while (i < length && text[i] != '"')
        i += text[i] == '\\' ? 2 : 1;
    return i < length ? i + 1 : length;
}

uint64_t supervisor_fold_shape(const char *level, const char *head, size_t length, bool with_values) {
    uint64_t hash = mix(FNV_BASIS, level, strlen(level) + 1);
    if (!with_values)
        return mix(hash, head, length);
    for (size_t i = 0; i < length;) {
        size_t word = 0;
        bool counts = true;
        if (head[i] == '"') {
            i += quoted(head + i, length - i);
            continue;
        }
        for (; i + word < length && head[i + word] != ' ' && head[i + word] != '"'; word++)
            counts = counts && !isdigit((unsigned char)head[i + word]);
        hash = mix(hash, counts ? head + i : "#", counts ? word : 1);
        i += word;
        while (i < length && head[i] == ' ')
            i++;
    }
    return hash;
}

static void refill(supervisor_fold_kind *kind, uint64_t now_ms) {
    uint64_t passed = now_ms - kind->filled_ms, lines = passed * SUPERVISOR_FOLD_BUDGET / SUPERVISOR_FOLD_REFILL_MS;
    if (lines == 0)
        return; /* the part of a line that was gained is not lost */
    bool full = kind->budget + lines >= SUPERVISOR_FOLD_BUDGET;
    kind->budget = full ? SUPERVISOR_FOLD_BUDGET : kind->budget + (unsigned)lines;
    kind->filled_ms = now_ms;
}

/* The kind of that shape; a new one takes the place of one whose budget is whole, else it is one of "all others". */
static supervisor_fold_kind *kind_of(supervisor_fold *fold, uint64_t now_ms, uint64_t shape) {
    supervisor_fold_kind *others = &fold->kinds[SUPERVISOR_FOLD_KINDS], *place = NULL;
    for (size_t i = 0; i < SUPERVISOR_FOLD_KINDS; i++) {
        supervisor_fold_kind *kind = &fold->kinds[i];
        if (kind->used && kind->shape == shape)
            return kind;
        if (kind->used && kind->count == 0)
            refill(kind, now_ms);
        if (!kind->used || (!place && kind->count == 0 && kind->budget == SUPERVISOR_FOLD_BUDGET))
            place = !place || place->used ? kind : place;
    }
    if (!place && others->used)
        return others;
    place = place ? place : others;
    *place = (supervisor_fold_kind){
        .shape = shape, .used = true, .budget = SUPERVISOR_FOLD_BUDGET, .filled_ms = now_ms, .last_ms = now_ms};
    return place;
}

static void keep_sample(supervisor_fold_kind *kind, const char *text, size_t length) {
    if (length > sizeof kind->sample)
        length = sizeof kind->sample;
    memcpy(kind->sample, text, length);
    kind->sample_length = length;
}

bool supervisor_fold_line(supervisor_fold *fold, uint64_t now_ms, uint64_t shape, const char *level, const char *text,
                          size_t length) {
    supervisor_fold_kind *kind = kind_of(fold, now_ms, shape);
    kind->last_ms = now_ms;
    if (kind->count == 0) {
        refill(kind, now_ms);
        if (kind->budget > 0) {
            kind->budget--;
            return true;
        }
        kind->first_ms = now_ms;
    }
    kind->count++;
    kind->level = level;
    keep_sample(kind, text, length);
    return false;
}

bool supervisor_fold_tell(supervisor_fold *fold, uint64_t now_ms, bool all, supervisor_fold_callback on_flood,
                          void *data) {
    bool lasts = false;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(fold->kinds); i++) {
        supervisor_fold_kind *kind = &fold->kinds[i];
        if (kind->count == 0)
            continue;
        bool over = all || now_ms - kind->last_ms >= SUPERVISOR_FOLD_QUIET_MS;
        if (!over && now_ms - kind->first_ms < SUPERVISOR_FOLD_REFILL_MS) {
            lasts = true;
            continue;
        }
        on_flood(kind, data);
        kind->count = 0;
        kind->budget = 0;
        kind->filled_ms = over ? kind->last_ms : now_ms; /* only quiet fills it again */
        lasts = lasts || !over;
    }
    return lasts;
}
