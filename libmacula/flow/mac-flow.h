/* Short work of several steps on the loop: a table of steps, each with what takes it back and a deadline.
 *
 * A step's action starts something and returns; later, exactly once, somebody calls mac_flow_next, mac_flow_fail or
 * (internally) the deadline fails it. When a step fails or the flow is cancelled, the undo of every finished step
 * (and of the failed one if its action was started and `undo_partial` is set) runs in reverse order, each resumed by
 * mac_flow_next too. Then on_end is called once, with NULL or the first error. Undo steps have the same deadline.
 *
 * What this guarantees: steps run one after the other, each resumed from the loop and never from inside mac_flow_next,
 * so a table of steps that finish at once does not grow the stack; every finished step with an undo is undone exactly
 * once; an undo that fails or takes too long does not keep the others from being tried. What it cannot: stop what an
 * action has started. After a deadline or a cancellation that may still call back. So either its undo (with
 * undo_partial) ends it, or its callback keeps mac_flow_turn() of its action and compares before it calls; and data
 * forgets the flow in on_end. Calls for which nothing waits do nothing. */
#ifndef MAC_FLOW_H
#define MAC_FLOW_H

#include <uv.h>

#include "base/mac-problem.h"

typedef struct mac_flow mac_flow;

typedef struct mac_step {
    const char *name;
    void (*action)(mac_flow *flow, void *data); /* NULL ends the table */
    void (*undo)(mac_flow *flow, void *data);   /* may be NULL */
    unsigned deadline_ms;                       /* 0: none */
    bool undo_partial;
} mac_step;

/* Starts at the next turn of the loop; an empty table ends there too. steps and data must outlive the flow. on_step
 * (may be NULL) is called before each action: the place to persist where the flow is. The flow frees itself after
 * on_end. */
mac_flow *mac_flow_start(uv_loop_t *loop, const mac_step *steps, void *data,
                         void (*on_step)(mac_flow *flow, const mac_step *step, bool undoing, void *data),
                         void (*on_end)(mac_flow *flow, const mac_error *error, void *data));
void mac_flow_next(mac_flow *flow);
/* Takes the error. Called while undoing it is kept as a problem of the first error, and undoing goes on. */
void mac_flow_fail(mac_flow *flow, mac_error *error);
/* As if the current step failed with CANCELLED; between two steps, the one that just finished is undone too. While
 * undoing (or failing) it changes nothing. reason: a sentence for a person, may be NULL. */
void mac_flow_cancel(mac_flow *flow, const char *reason);
bool mac_flow_undoing(const mac_flow *flow);
/* Name of the step that runs or is undone; before the first one: the first's. */
const char *mac_flow_step(const mac_flow *flow);
/* A number that changes with every action and undo that is started. */
uint64_t mac_flow_turn(const mac_flow *flow);

#endif
