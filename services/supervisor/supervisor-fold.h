/* Keeps one origin from drowning the log of all: lines of a kind beyond a budget are counted, not written, and their
 * number is said once the flood is over, or now and then while it lasts. Pure; the bounds below are all the memory.
 *
 * Of one kind are lines that differ only in what a client can choose or what counts: in a line of the suite everything
 * but level and message, in another's the words with a digit and all between double quotes. So a client that tries a
 * thousand forbidden subjects makes one kind, and what its origin says of other things is still written. */
#ifndef SUPERVISOR_FOLD_H
#define SUPERVISOR_FOLD_H

#include "base/mac-base.h"

#define SUPERVISOR_FOLD_BUDGET 50       /* lines of one kind written at once; the next ones are counted */
#define SUPERVISOR_FOLD_REFILL_MS 10000 /* until an empty budget is whole again; a flood is told of as often */
#define SUPERVISOR_FOLD_QUIET_MS 1000   /* without a line of the kind: the flood is over */
#define SUPERVISOR_FOLD_KINDS 16        /* with a budget of their own; those beyond share one */
#define SUPERVISOR_FOLD_SAMPLE 160      /* bytes kept of the last line that was not written */

typedef struct supervisor_fold_kind {
    uint64_t shape;
    uint64_t filled_ms; /* when `budget` was true */
    unsigned budget;    /* lines that may still be written */
    bool used;
    uint64_t first_ms, last_ms; /* of the lines not written; last_ms: of any */
    uint64_t count;             /* of them; > 0: a flood lasts */
    const char *level;
    char sample[SUPERVISOR_FOLD_SAMPLE];
    size_t sample_length;
} supervisor_fold_kind;

typedef struct supervisor_fold {
    supervisor_fold_kind kinds[SUPERVISOR_FOLD_KINDS + 1]; /* the last one: all others */
} supervisor_fold;

/* What a flood was, at its end or in its midst. */
typedef void (*supervisor_fold_callback)(const supervisor_fold_kind *flood, void *data);

/* The kind of a line; head is what stands for it (with_values: digits and quoted text in it do not count). */
uint64_t supervisor_fold_shape(const char *level, const char *head, size_t length, bool with_values);
/* Whether the line is to be written. level is kept by reference. */
bool supervisor_fold_line(supervisor_fold *fold, uint64_t now_ms, uint64_t shape, const char *level, const char *text,
                          size_t length);
/* Tells of the floods that are over, that last long, or, with `all`, of each. Returns whether one still lasts. */
bool supervisor_fold_tell(supervisor_fold *fold, uint64_t now_ms, bool all, supervisor_fold_callback on_flood,
                          void *data);

#endif
