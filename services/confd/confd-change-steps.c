#include "confd-change-steps.h"

#include <errno.h>
#include <string.h>

#include "base/mac-fault.h"
#include "confd-answer.h"
#include "log/mac-log.h"

/* Fails the step and remembers why, for the event that tells of the way back. */
static void fail(confd_change *change, mac_error *error) {
    if (!change->reason)
        change->reason = error->path ? mac_asprintf("%s: %s", error->path, error->message) : mac_strdup(error->message);
    mac_flow_fail(change->flow, error);
}

/* Whether a failure is only noted: where nobody can be told and there is nothing better to go back to. */
static bool only_notes(const confd_change *change) {
    return change->back || (change->kind == CONFD_CHANGE_START && !change->resumed);
}

/* Where a silent service is noted; NULL where it fails the change. A way back gets through without the dead. */
static mac_problems *silence_notes(confd_change *change) {
    bool is_rollback = change->proposal && change->proposal->taken_back;
    return is_rollback || only_notes(change) ? change->notes : NULL;
}

static void note_error(confd_change *change, const mac_error *error) {
    mac_problems_add(change->notes, MAC_PROBLEM_ERROR, NULL, error->path, "%s", error->message);
}

/* ---- check ---- */

void confd_step_check_own(mac_flow *flow, void *data) {
    confd_change *change = data;
    mac_autoptr(mac_problems) found = mac_problems_new();
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_check_all(&change->context, found);
    if (change->proposal)
        confd_proposal_place(change->proposal, found, problems);
    else
        mac_problems_join(problems, found);
    if (mac_problems_errors(problems) == 0) {
        mac_problems_join(change->notes, problems);
        mac_flow_next(flow);
        return;
    }
    mac_error *error = mac_error_from_problems(mac_take(&problems));
    error->code = MACULA__V1__ERROR_CODE__REJECTED;
    fail(change, error);
}

static void keep_problems(confd_change *change, const confd_reply *reply) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_problems_from_list(problems, reply->answer->problems, reply->answer->n_problems);
    mac_problems_join(change->notes, problems);
}

/* What the services warned of before it was done. */
static void keep_warnings(confd_change *change, const confd_round *round) {
    for (size_t i = 0; i < confd_round_count(round); i++)
        if (confd_round_reply(round, i)->answer)
            keep_problems(change, confd_round_reply(round, i));
}

/* What the services said beside yes or no. */
static void keep_replies(confd_change *change, const confd_round *round) {
    for (size_t i = 0; i < confd_round_count(round); i++) {
        const confd_reply *reply = confd_round_reply(round, i);
        if (!reply->answer)
            continue;
        confd_outcome_add_service(change->outcome, reply->service, reply->answer->actions, reply->answer->n_actions,
                                  reply->answer->reboot_required, reply->milliseconds);
        keep_problems(change, reply);
    }
}

static void on_checked(confd_round *round, void *data) {
    confd_change *change = data;
    mac_error *error = confd_round_failure(round, silence_notes(change));
    if (error) {
        fail(change, error);
        return;
    }
    if (change->kind == CONFD_CHANGE_DRY)
        keep_replies(change, round);
    else
        keep_warnings(change, round);
    mac_flow_next(change->flow);
}

static void start_round(confd_change *change, size_t slot, enum confd_question question,
                        void (*on_end)(confd_round *round, void *data)) {
    confd_round_free(change->rounds[slot]);
    change->rounds[slot] =
        confd_round_new(change->manager->bus, &change->concern.services, question, &change->others.request);
    confd_round_start(change->rounds[slot], on_end, change);
}

void confd_step_check_others(mac_flow *flow, void *data) {
    confd_change *change = data;
    if (change->concern.services.count == 0)
        mac_flow_next(flow);
    else
        start_round(change, 0, CONFD_ASK_CHECK, on_checked);
}

void confd_step_plan(mac_flow *flow, void *data) {
    confd_change *change = data;
    mac_autostrings actions = {0};
    confd_plan_all(&change->context, &actions, change->notes);
    if (actions.count)
        confd_outcome_add_service(change->outcome, CONFD_SELF, actions.items, actions.count, false, 0);
    mac_flow_next(flow);
}

/* ---- commit ---- */

static int commit(confd_change *change, Macula__V1__ConfigEvent *event, uint64_t *ret_number) {
    confd_manager *manager = change->manager;
    const confd_proposal *proposal = change->proposal;
    event->has_pending = event->pending = change->confirm_s > 0;
    confd_commit commit = {
        .sources = &proposal->sources,
        .document = change->to->tree,
        .digest = change->to->digest,
        .author = change->author,
        .message = change->message,
        .job = change->job,
        .on_disk = proposal->has_disk ? &proposal->on_disk : NULL,
        .taken_back = proposal->taken_back,
        .confirm_s = change->confirm_s,
        .boot_id = manager->boot_id,
        .confirm_digest = change->confirm_digest,
        .now_boot_ms = confd_boot_ms(),
        .event = event,
    };
    return confd_store_commit(manager->store, &commit, ret_number);
}

/* Nothing is begun that a full disk would keep from being taken back. */
static mac_error *no_way_back(int result) {
    if (result != -ENOSPC && result != -EDQUOT)
        return mac_error_from_errno(result, CONFD_RESERVE_FILE " cannot be made");
    return mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                         "the disk of " CONFD_STATE_DIR
                         " is full: a change needs %u MiB there, so that it can be taken "
                         "back; free some space and try again",
                         CONFD_RESERVE_BYTES >> 20);
}

void confd_step_commit(mac_flow *flow, void *data) {
    confd_change *change = data;
    confd_manager *manager = change->manager;
    uint64_t number = 0;
    int result = confd_store_reserve(manager->root);
    if (result < 0) {
        fail(change, no_way_back(result));
        return;
    }
    Macula__V1__ConfigEvent *event = confd_event_new(change->author, change->message, &change->changed);
    result = commit(change, event, &number);
    if (result == -ENOSPC && change->proposal->taken_back) {
        confd_store_release_reserve(manager->root); /* it is for ways back */
        result = commit(change, event, &number);
    }
    macula__v1__config_event__free_unpacked(event, NULL);
    if (result < 0) {
        fail(change, mac_error_from_errno(result, "the new generation cannot be stored"));
        return;
    }
    change->committed = true;
    change->outcome->has_previous = true;
    change->outcome->previous = change->outcome->generation;
    change->outcome->generation = number;
    change->other = confd_manager_switch(manager, mac_take(&change->other));
    mac_log_info("generation committed", "generation=%llu author=" MAC_LOG_Q("%s"), (unsigned long long)number,
                 change->author);
    result = confd_store_write_sources(manager->store, manager->root);
    if (result < 0)
        fail(change, mac_error_from_errno(result, "the configuration files cannot be written"));
    else
        mac_flow_next(flow);
}

/* The head, the files and config.pb as they were; for undo and for BACK. */
static mac_error *go_back(confd_change *change) {
    confd_manager *manager = change->manager;
    confd_store_release_reserve(manager->root);
    Macula__V1__ConfigEvent *event = confd_event_new(change->author, change->message, &change->changed);
    confd_event_set_reason(event, change->reason ? change->reason : "a step took too long");
    int result = confd_store_revert(manager->store, NULL, event);
    macula__v1__config_event__free_unpacked(event, NULL);
    if (result < 0)
        return mac_error_from_errno(result, "the previous generation cannot be made the current one");
    change->other = confd_manager_switch(manager, mac_take(&change->other));
    mac_log_warning("generation reverted", "generation=%llu reason=" MAC_LOG_Q("%s"),
                    (unsigned long long)confd_manager_number(manager),
                    change->reason ? change->reason : "a step took too long");
    result = confd_store_write_sources(manager->store, manager->root);
    return result < 0 ? mac_error_from_errno(result, "the configuration files cannot be written") : NULL;
}

void confd_undo_commit(mac_flow *flow, void *data) {
    confd_change *change = data;
    if (!change->committed) {
        mac_flow_next(flow);
        return;
    }
    change->committed = false;
    mac_error *error = go_back(change);
    int result = error ? 0 : confd_store_applied(change->manager->store, mac_unix_ms());
    if (result < 0)
        error = mac_error_from_errno(result, "the end of the change cannot be stored");
    if (error) {
        mac_log_error("a change that failed cannot be taken back", "reason=" MAC_LOG_Q("%s"), error->message);
        mac_flow_fail(flow, error);
    } else {
        mac_flow_next(flow);
    }
}

void confd_step_back(mac_flow *flow, void *data) {
    confd_change *change = data;
    mac_error *error = go_back(change);
    if (error)
        mac_flow_fail(flow, error);
    else
        mac_flow_next(flow);
}

/* ---- own applicators ---- */

static void undo_run(confd_change *change) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_run_undo(mac_take(&change->run), problems);
    if (mac_problems_count(problems) == 0) {
        mac_flow_next(change->flow);
        return;
    }
    mac_problems_join(change->notes, problems);
    mac_flow_fail(change->flow, mac_error_from_problems(mac_take(&problems)));
}

static void on_run_end(confd_run *run, const mac_error *error, void *data) {
    confd_change *change = data;
    change->run_ended = true;
    if (change->run_awaits_undo) {
        undo_run(change);
        return;
    }
    if (mac_flow_turn(change->flow) != change->run_turn)
        return; /* its deadline has passed: the undo that follows finds it ended */
    mac_problems_join(change->notes, confd_run_notes(run));
    const mac_strings *actions = confd_run_actions(run);
    if (actions->count)
        confd_outcome_add_service(change->outcome, CONFD_SELF, actions->items, actions->count,
                                  confd_run_needs_reboot(run), (uint32_t)(mac_now_ms() - change->run_started_ms));
    if (error && !only_notes(change)) {
        fail(change, mac_error_copy(error));
        return;
    }
    if (error)
        note_error(change, error);
    mac_flow_next(change->flow);
}

void confd_step_own(mac_flow *flow, void *data) {
    confd_change *change = data;
    MAC_FAULT_POINT("confd.apply.own");
    change->run_turn = mac_flow_turn(flow);
    change->run_started_ms = mac_now_ms();
    change->run = confd_run_start(&change->context, on_run_end, change);
}

void confd_undo_own(mac_flow *flow, void *data) {
    confd_change *change = data;
    confd_store_release_reserve(change->manager->root); /* what was written before may be on the same disk */
    if (!change->run) {
        mac_flow_next(flow);
    } else if (change->run_ended) {
        undo_run(change);
    } else {
        change->run_awaits_undo = true;
        confd_run_cancel(change->run, "the change is taken back");
    }
}

/* ---- the other services ---- */

/* After a start a service that is not there yet is no failure: it reads config.pb when it comes. */
static mac_error *round_failure(confd_change *change, const confd_round *round) {
    mac_error *error = confd_round_failure(round, silence_notes(change));
    if (error && change->kind == CONFD_CHANGE_START && error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE) {
        note_error(change, error);
        mac_error_free(error);
        return NULL;
    }
    return error;
}

static void on_applied(confd_round *round, void *data) {
    confd_change *change = data;
    mac_error *error = round_failure(change, round);
    keep_replies(change, round);
    if (error && !only_notes(change)) {
        fail(change, error);
        return;
    }
    if (error)
        note_error(change, error);
    mac_error_free(error);
    mac_flow_next(change->flow);
}

void confd_step_bus(mac_flow *flow, void *data) {
    confd_change *change = data;
    if (change->bus_seen || change->concern.services.count == 0)
        mac_flow_next(flow);
    else
        change->awaits_bus = true; /* confd_change_bus_seen */
}

void confd_step_participants(mac_flow *flow, void *data) {
    confd_change *change = data;
    MAC_FAULT_POINT("confd.apply.participants");
    change->others.request.has_generation = true;
    change->others.request.generation = confd_manager_number(change->manager);
    change->others.request.has_revert = change->others.request.revert = change->back;
    if (change->concern.services.count == 0)
        mac_flow_next(flow);
    else
        start_round(change, 1, CONFD_ASK_APPLY, on_applied);
}

static void on_applied_back(confd_round *round, void *data) {
    confd_change *change = data;
    mac_error *error = confd_round_failure(round, change->notes);
    if (error)
        mac_flow_fail(change->flow, error);
    else
        mac_flow_next(change->flow);
}

void confd_undo_participants(mac_flow *flow, void *data) {
    confd_change *change = data;
    confd_round_free(mac_take(&change->rounds[1])); /* nobody is waited for any longer */
    if (change->concern.services.count == 0) {
        mac_flow_next(flow);
        return;
    }
    Macula__V1__ParticipantRequest *request = &change->others.request;
    request->generation = change->outcome->previous;
    request->has_revert = request->revert = true;
    confd_case_documents(&change->others, change->from ? change->from->message : NULL, change->to->message);
    start_round(change, 2, CONFD_ASK_APPLY, on_applied_back);
}

/* ---- the end ---- */

void confd_step_finish(mac_flow *flow, void *data) {
    confd_change *change = data;
    confd_manager *manager = change->manager;
    MAC_FAULT_POINT("confd.finish");
    if (change->run)
        confd_run_commit(mac_take(&change->run));
    if (change->kind != CONFD_CHANGE_MEND && manager->store) {
        int result = confd_store_applied(manager->store, mac_unix_ms());
        if (result < 0) /* the node is as it should be; a restart would only apply it again */
            mac_problems_add(change->notes, MAC_PROBLEM_WARNING, NULL, NULL,
                             "the end of the change cannot be stored: %s", strerror(-result));
    }
    mac_flow_next(flow);
}
