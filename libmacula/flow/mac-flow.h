/* Short work of several steps on the loop: a table of steps, each with what takes it back and a deadline.
 *
 * A step's action starts something and returns; later, exactly once, somebody calls mac_flow_next, mac_flow_fail or
 * (internally) the deadline fails it. When a step fails or the flow is cancelled, the undo of every finished step
 * (and of the failed one if its action was started and `undo_partial` is set) runs in reverse order, each resumed by
 * mac_flow_next too. Then on_end is called once, with NULL or the first error. Undo steps have the same deadline. */
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

/* Starts at the next turn of the loop. steps and data must outlive the flow. on_step (may be NULL) is called before
 * each action: the place to persist where the flow is. The flow frees itself after on_end. */
mac_flow *mac_flow_start(uv_loop_t *loop, const mac_step *steps, void *data,
                         void (*on_step)(mac_flow *flow, const mac_step *step, bool undoing, void *data),
                         void (*on_end)(mac_flow *flow, const mac_error *error, void *data));
void mac_flow_next(mac_flow *flow);
/* Takes the error. Called while undoing it is kept as a problem of the first error, and undoing goes on. */
void mac_flow_fail(mac_flow *flow, mac_error *error);
/* As if the current step failed with CANCELLED. */
void mac_flow_cancel(mac_flow *flow, const char *reason);
bool mac_flow_undoing(const mac_flow *flow);
const char *mac_flow_step(const mac_flow *flow);

#endif
