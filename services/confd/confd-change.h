/* One change of the configuration on its way: check, commit, apply here, apply in the other services, finish.
 *
 *            check ──▶ commit ──▶ own ──▶ participants ──▶ finish
 *              │          ▲        │           │
 *      refused: nothing   └── undo ┴─── undo ──┘   failed, silent: everything back, the generation is `reverted`
 *      was changed
 *
 * The commit makes the new generation the one in force, durably, before anything is applied: a power cut at any point
 * leaves the old or the new generation, and the next start makes the node so. Kinds:
 *   NEW    a proposal, all steps
 *   DRY    a proposal, check and plan only
 *   BACK   the previous generation again, because a change was not confirmed or failed after a restart; nobody may
 *          refuse, what fails is noted
 *   START  the generation in force is applied after a start; the other services are asked only if a crash kept
 *          them from being asked
 *   MEND   drift: the generation in force is applied again */
#ifndef CONFD_CHANGE_H
#define CONFD_CHANGE_H

#include "confd-manager.h"
#include "confd-participants.h"
#include "flow/mac-flow.h"

#define CONFD_OWN_MS 900000 /* for confd's own applicators; commands have limits of their own */

enum confd_change_kind { CONFD_CHANGE_NEW, CONFD_CHANGE_DRY, CONFD_CHANGE_BACK, CONFD_CHANGE_START, CONFD_CHANGE_MEND };

typedef void (*confd_change_end)(confd_change *change, const mac_error *error, void *data);

struct confd_change {
    confd_manager *manager;
    enum confd_change_kind kind;
    confd_proposal *proposal; /* NEW and DRY */
    char *author, *message, *job;
    unsigned confirm_s;
    char *confirm_digest; /* with confirm_s */
    char *reason;         /* BACK: why; else why it is taken back, once that is known */

    const confd_document *from, *to;
    confd_document *other; /* owned: the one of the two that is not in force */
    mac_strings changed;
    confd_concern concern;
    bool back;    /* BACK, and START where a way back was interrupted */
    bool resumed; /* START: what a crash interrupted was a change; if it cannot be finished it is taken back */

    mac_flow *flow;
    confd_context context;
    confd_run *run;
    bool run_ended;
    bool run_awaits_undo;
    uint64_t run_turn;
    uint64_t run_started_ms;
    confd_round *rounds[3]; /* check, apply, apply back */
    confd_case others;      /* what the other services are asked and told */
    bool committed;
    bool bus_seen, awaits_bus; /* START */
    mac_problems *notes;
    Macula__V1__ConfigOutcome *outcome;

    confd_change_end on_end;
    void *data;
};

/* Who, why, and whether it must be confirmed. Texts are copied. */
typedef struct confd_change_options {
    const char *author;
    const char *message; /* NULL: the proposal's own */
    const char *job;
    unsigned confirm_s;
    const char *confirm_digest; /* with confirm_s: SHA-256 of the token, hex */
} confd_change_options;

/* Start one; except for DRY it is then manager->change until it ends. on_end once, later; the change is freed after it.
 * It finds the outcome in change->outcome. */
confd_change *confd_change_new(confd_manager *manager, confd_proposal *proposal, bool dry_run,
                               const confd_change_options *options, confd_change_end on_end, void *data);
/* Takes the document of the previous generation. */
confd_change *confd_change_back(confd_manager *manager, confd_document *previous, const char *author,
                                const char *reason, confd_change_end on_end, void *data);
/* before (taken; NULL: nothing was interrupted) is the document that was in force before a crash interrupted a change,
 * or, when `back`, before it interrupted the way back from one. */
confd_change *confd_change_start(confd_manager *manager, confd_document *before, bool back, confd_change_end on_end,
                                 void *data);
confd_change *confd_change_mend(confd_manager *manager, const char *author, confd_change_end on_end, void *data);
/* START: the bus is there, or is not waited for any longer. Others: nothing. */
void confd_change_bus_seen(confd_change *change);
void confd_change_cancel(confd_change *change, const char *reason);

#endif
