#include "confd-change.h"

#include <string.h>

#include "confd-answer.h"
#include "confd-change-steps.h"
#include "confd-schema.h"

/* The services have deadlines of their own (confd-participants.h), so those steps end. */
static const mac_step steps_new[] = {
    {"check", confd_step_check_own, NULL, 0, false},
    {"check by the services", confd_step_check_others, NULL, 0, false},
    {"commit", confd_step_commit, confd_undo_commit, 0, true},
    {"apply", confd_step_own, confd_undo_own, CONFD_OWN_MS, true},
    {"apply by the services", confd_step_participants, confd_undo_participants, 0, true},
    {"finish", confd_step_finish, NULL, 0, false},
    {0},
};

static const mac_step steps_dry[] = {
    {"check", confd_step_check_own, NULL, 0, false},
    {"check by the services", confd_step_check_others, NULL, 0, false},
    {"plan", confd_step_plan, NULL, 0, false},
    {0},
};

static const mac_step steps_back[] = {
    {"back", confd_step_back, NULL, 0, false},
    {"apply", confd_step_own, confd_undo_own, CONFD_OWN_MS, true},
    {"apply by the services", confd_step_participants, NULL, 0, false},
    {"finish", confd_step_finish, NULL, 0, false},
    {0},
};

static const mac_step steps_start[] = {
    {"apply", confd_step_own, confd_undo_own, CONFD_OWN_MS, true},
    {"wait for the bus", confd_step_bus, NULL, 0, false},
    {"apply by the services", confd_step_participants, NULL, 0, false},
    {"finish", confd_step_finish, NULL, 0, false},
    {0},
};

static const mac_step steps_mend[] = {
    {"apply", confd_step_own, confd_undo_own, CONFD_OWN_MS, true},
    {"finish", confd_step_finish, NULL, 0, false},
    {0},
};

static const mac_step *steps_of(enum confd_change_kind kind) {
    switch (kind) {
    case CONFD_CHANGE_NEW:
        return steps_new;
    case CONFD_CHANGE_DRY:
        return steps_dry;
    case CONFD_CHANGE_BACK:
        return steps_back;
    case CONFD_CHANGE_START:
        return steps_start;
    case CONFD_CHANGE_MEND:
        return steps_mend;
    }
    return NULL;
}

static void change_free(confd_change *change) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(change->rounds); i++)
        confd_round_free(change->rounds[i]);
    confd_proposal_free(change->proposal);
    confd_document_free(change->other);
    mac_strings_deinit(&change->changed);
    confd_concern_deinit(&change->concern);
    mac_problems_free(change->notes);
    if (change->outcome)
        macula__v1__config_outcome__free_unpacked(change->outcome, NULL);
    free(change->author);
    free(change->message);
    free(change->job);
    free(change->confirm_digest);
    free(change->reason);
    free(change);
}

/* What the caller is told: a change that was tried and taken back says so, and one that could not be taken back. */
static mac_error *told_error(const confd_change *change, const mac_error *error) {
    bool tried = change->kind == CONFD_CHANGE_NEW && change->outcome->has_previous;
    if (!tried)
        return mac_error_copy(error);
    uint64_t number = confd_manager_number(change->manager);
    bool stuck = change->outcome->generation == number;
    mac_error *told = mac_error_new(stuck ? error->code : MACULA__V1__ERROR_CODE__ROLLED_BACK, error->path,
                                    stuck ? "%s; the change cannot be taken back either: generation %llu, a part of "
                                            "which is applied, stays in force until that is mended"
                                          : "%s; the change was taken back, generation %llu is in force again",
                                    error->message, (unsigned long long)number);
    told->problems = error->problems ? mac_problems_new() : NULL;
    mac_problems_join(told->problems, error->problems);
    return told;
}

static void tell_status(const confd_manager *manager) {
    mac_autofree char *text = mac_asprintf(manager->change ? "generation %llu is in force, a change is being applied"
                                                           : "generation %llu is in force",
                                           (unsigned long long)confd_manager_number(manager));
    mac_service_status(text);
}

static void on_flow_end(mac_flow *flow, const mac_error *error, void *data) {
    (void)flow;
    confd_change *change = data;
    confd_manager *manager = change->manager;
    change->flow = NULL;
    if (manager->change == change)
        manager->change = NULL;
    if (change->run) /* a START or BACK whose undo could not run */
        confd_run_commit(mac_take(&change->run));
    confd_outcome_add_notes(change->outcome, change->notes);
    if (change->concern.reboot)
        change->outcome->has_reboot_required = change->outcome->reboot_required = true;
    bool counted = change->kind != CONFD_CHANGE_DRY;
    mac_error *told = error ? told_error(change, error) : NULL;
    change->on_end(change, told, change->data);
    mac_error_free(told);
    change_free(change);
    if (counted)
        tell_status(manager);
}

static confd_change *change_new(confd_manager *manager, enum confd_change_kind kind, const char *author,
                                const char *message, confd_change_end on_end, void *data) {
    confd_change *change = mac_calloc(1, sizeof *change);
    *change = (confd_change){.manager = manager, .kind = kind, .on_end = on_end, .data = data};
    change->author = mac_strdup(author ? author : "");
    change->message = mac_strdup(message ? message : "");
    change->notes = mac_problems_new();
    uint64_t number = confd_manager_number(manager);
    change->outcome = confd_outcome_new(number, 0);
    change->from = change->to = manager->document;
    return change;
}

static void change_begin(confd_change *change) {
    confd_manager *manager = change->manager;
    confd_concern_find(&change->changed, &manager->units, change->notes, &change->concern);
    change->context = confd_manager_context(manager, change->to, change->from, CONFD_RUNTIME);
    Macula__V1__ParticipantRequest *request = &change->others.request;
    macula__v1__participant_request__init(request);
    request->has_generation = true;
    request->generation = change->kind == CONFD_CHANGE_NEW || change->kind == CONFD_CHANGE_DRY
                              ? confd_store_next_number(manager->store)
                              : confd_manager_number(manager);
    request->changed = change->changed.items;
    request->n_changed = change->changed.count;
    request->has_confirm_s = change->confirm_s > 0;
    request->confirm_s = change->confirm_s;
    confd_case_documents(&change->others, change->to->message, change->from ? change->from->message : NULL);
    if (change->kind != CONFD_CHANGE_DRY) {
        manager->change = change;
        tell_status(manager);
    }
    change->flow = mac_flow_start(manager->loop, steps_of(change->kind), change, NULL, on_flow_end);
}

static void copy_strings(const mac_strings *from, mac_strings *to) {
    for (size_t i = 0; i < from->count; i++)
        mac_strings_add(to, from->items[i]);
}

confd_change *confd_change_new(confd_manager *manager, confd_proposal *proposal, bool dry_run,
                               const confd_change_options *options, confd_change_end on_end, void *data) {
    enum confd_change_kind kind = dry_run ? CONFD_CHANGE_DRY : CONFD_CHANGE_NEW;
    confd_change *change =
        change_new(manager, kind, options->author,
                   options->message && *options->message ? options->message : proposal->message, on_end, data);
    change->job = mac_strdup(options->job);
    change->confirm_s = options->confirm_s;
    change->confirm_digest = mac_strdup(options->confirm_digest);
    change->proposal = proposal;
    change->other = mac_take(&proposal->document);
    change->to = change->other;
    copy_strings(&proposal->changed, &change->changed);
    mac_problems_join(change->notes, proposal->notes);
    confd_outcome_add_changes(change->outcome, change->from->tree, change->to->tree);
    change->outcome->has_dry_run = change->outcome->dry_run = dry_run;
    change_begin(change);
    return change;
}

confd_change *confd_change_back(confd_manager *manager, confd_document *previous, const char *author,
                                const char *reason, confd_change_end on_end, void *data) {
    confd_change *change =
        change_new(manager, CONFD_CHANGE_BACK, author, "the previous configuration again", on_end, data);
    change->back = true;
    change->reason = mac_strdup(reason);
    change->other = previous;
    change->to = previous;
    confd_changed_paths(change->from->expanded, change->to->expanded, &change->changed);
    confd_outcome_add_changes(change->outcome, change->from->tree, change->to->tree);
    change_begin(change);
    return change;
}

confd_change *confd_change_start(confd_manager *manager, confd_document *before, bool back, confd_change_end on_end,
                                 void *data) {
    confd_change *change = change_new(manager, CONFD_CHANGE_START, "", "start", on_end, data);
    change->other = before;
    change->from = before;
    change->back = before && back;
    change->resumed = before && !back;
    if (before)
        confd_changed_paths(before->expanded, change->to->expanded, &change->changed);
    change_begin(change);
    return change;
}

confd_change *confd_change_mend(confd_manager *manager, const char *author, confd_change_end on_end, void *data) {
    confd_change *change = change_new(manager, CONFD_CHANGE_MEND, author, "drift is mended", on_end, data);
    change_begin(change);
    return change;
}

void confd_change_bus_seen(confd_change *change) {
    change->bus_seen = true;
    if (!change->awaits_bus)
        return;
    change->awaits_bus = false;
    mac_flow_next(change->flow);
}

void confd_change_cancel(confd_change *change, const char *reason) {
    mac_flow_cancel(change->flow, reason);
}
