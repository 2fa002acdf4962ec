/* The end of the set-up: configuration, mark, event, restart; in this order, each step durable before the next begins.
 *
 *   bus ──▶ apply ──▶ mark ──▶ restart
 *
 * The draft says `finishing` before the first step. A start that finds that goes through the steps again: confd knows
 * the job by its id, which is made of the attempt and the configuration, and answers as it did; the mark is the same
 * file. So a power cut anywhere leaves a node that is either still asking, or finishes by itself at its next start.
 * Fault points firstboot.finish.pending, firstboot.finish.applied, firstboot.finish.marked. Of a network for another
 * place the configuration is confirmed at once, else netd would take it back; what a cut between the two has taken back
 * is applied anew. The event is on disk before the mark: firstboot-notice.h. */
#ifndef FIRSTBOOT_FINISH_H
#define FIRSTBOOT_FINISH_H

#include <uv.h>

#include "bus/mac-bus.h"
#include "firstboot-draft.h"
#include "flow/mac-flow.h"
#include "macula/v1/config.pb-c.h"
#include "macula/v1/node.pb-c.h"

typedef struct firstboot_finish_options {
    uv_loop_t *loop;
    mac_bus *bus;
    firstboot_draft *draft;
    /* `generation` is in force, and the node is about to count as configured. 0, or a negative errno: it does not. */
    int (*before_mark)(uint64_t generation, void *data);
    /* The node is configured. Tells everybody. */
    void (*on_configured)(uint64_t generation, void *data);
    /* Over: problems NULL, or why nothing was changed (owned by the callee). */
    void (*on_end)(mac_problems *problems, void *data);
    void *data;
} firstboot_finish_options;

typedef struct firstboot_finisher {
    firstboot_finish_options options;
    unsigned percent;
    const char *message;
    mac_problems *problems; /* of the last attempt; NULL: none, or it went well */
    mac_flow *flow;
    uint64_t started_ms; /* of the step that asks confd */
    mac_client config, node;
    uv_timer_t timer;
    uint64_t generation;
    char token[65]; /* that confirms it */
    bool anew;      /* this is the attempt after one that was taken back */
    bool timer_closed;
} firstboot_finisher;

void firstboot_finish_init(firstboot_finisher *finish, const firstboot_finish_options *options);
/* Runs the steps. Nothing when they run already. */
void firstboot_finish_start(firstboot_finisher *finish);
/* The answers are others now: what was wrong with those of the last attempt counts no more. */
void firstboot_finish_forget(firstboot_finisher *finish);
void firstboot_finish_close(firstboot_finisher *finish);
bool firstboot_finish_idle(const firstboot_finisher *finish);
void firstboot_finish_deinit(firstboot_finisher *finish);

#endif
