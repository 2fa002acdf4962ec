/* Config: everything that only reads. Secrets leave masked, for workloads also what is private; in the order of
 * proto/macula/v1/config.proto. */
#include <errno.h>
#include <string.h>

#include "codec/mac-codec.h"
#include "confd-answer.h"
#include "confd-change.h"
#include "confd-drift.h"
#include "confd-edits.h"
#include "confd-manager.h"
#include "confd-schema.h"
#include "confd-validate.h"
#include "confd-wish.h"

#define HISTORY_MAX 200u

static void fail_store(mac_request *request, int result) {
    mac_request_fail_error(request, mac_error_from_errno(result, "the store of generations cannot be read"));
}

static void fail_generation(mac_request *request, uint64_t number, int result) {
    if (result != -ENOENT)
        fail_store(request, result);
    else
        mac_request_fail(request, MACULA__V1__ERROR_CODE__NOT_FOUND, NULL,
                         "there is no generation %llu (any more); see config history", (unsigned long long)number);
}

/* ---- Status ---- */

/* Sections of the document in force that nobody applies. */
static void note_without_effect(const confd_manager *manager, mac_problems *notes) {
    mac_autostrings paths = {0};
    confd_autoconcern concern = {0};
    if (json_object_size(manager->document->tree))
        confd_leaf_paths(manager->document->tree, "", &paths);
    confd_concern_find(&paths, &manager->units, notes, &concern);
}

static void config_status(Macula__V1__Config_Service *service, const Macula__V1__ConfigStatusRequest *input,
                          Macula__V1__ConfigStatus_Closure closure, void *closure_data) {
    (void)input;
    confd_manager *manager = confd_manager_of(service, config);
    confd_autohead head = {0};
    int result = confd_store_head(manager->store, &head);
    if (result < 0) {
        fail_store(mac_request_from(closure_data), result);
        return;
    }
    mac_autoptr(mac_problems) notes = mac_problems_new();
    mac_problems_join(notes, manager->notes);
    mac_problems_join(notes, confd_edits_notes(manager));
    note_without_effect(manager, notes);
    Macula__V1__ConfigStatus status = MACULA__V1__CONFIG_STATUS__INIT;
    status.has_generation = status.has_last_good = status.has_applying = status.has_revision = true;
    status.generation = head.current;
    status.unusable = manager->unusable;
    status.digest = manager->document->digest;
    status.pending = confd_pending_message(&head, confd_boot_ms());
    status.last_good = head.last_good;
    status.applying = manager->change != NULL || confd_wish_hashing(manager) != NULL;
    status.revision = confd_store_revision(manager->store);
    status.notes = mac_problems_to_list(notes, &status.n_notes);
    mac_autostrings names = {0};
    for (size_t i = 0; manager->generation && i < manager->generation->sources.count; i++)
        mac_strings_add(&names, manager->generation->sources.items[i].name);
    status.sources = names.items;
    status.n_sources = names.count;
    closure(&status, closure_data);
    mac_problem_list_free(status.notes, status.n_notes);
    if (status.pending)
        macula__v1__pending_change__free_unpacked(status.pending, NULL);
}

/* ---- Get ---- */

/* The document asked about: the one in force, or of another generation (owned by *ret_owned). */
static const confd_document *pick_document(confd_manager *manager, mac_request *request, bool has_number,
                                           uint64_t number, confd_generation **ret_generation,
                                           confd_document **ret_owned) {
    if (!has_number || number == confd_manager_number(manager))
        return manager->document;
    int result = confd_store_load(manager->store, number, ret_generation);
    if (result < 0) {
        fail_generation(request, number, result);
        return NULL;
    }
    mac_autoptr(mac_problems) problems = mac_problems_new();
    if (confd_document_from_tree((*ret_generation)->document, &manager->names, problems, ret_owned) == 0)
        return *ret_owned;
    mac_request_fail_error(request, mac_error_from_problems(mac_take(&problems)));
    return NULL;
}

static void answer_value(confd_manager *manager, mac_request *request, const Macula__V1__ConfigGetRequest *input,
                         const char *path, const confd_document *document, const confd_generation *generation) {
    mac_autoptr(json_t) tree =
        mac_codec_tree(&document->message->base, confd_mask_for(request) | (input->defaults ? MAC_CODEC_DEFAULTS : 0));
    json_t *value = mac_tree_get(tree, path);
    json_t *set = mac_tree_get(document->tree, path);
    bool is_item = strchr(path, '[') || strchr(path, '"');
    if (!value && is_item) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__NOT_FOUND, path, "there is no such item");
        return;
    }
    const confd_sources *sources = generation ? &generation->sources : NULL;
    Macula__V1__ConfigValue answer = MACULA__V1__CONFIG_VALUE__INIT;
    mac_autofree char *json = value && (input->defaults || set) ? confd_json_text(value) : mac_strdup("null");
    answer.path = (char *)path;
    answer.json = json;
    answer.has_is_default = answer.has_generation = true;
    answer.is_default = set == NULL;
    answer.source = set && sources && *path ? (char *)confd_document_origin(sources, path) : NULL;
    answer.generation = generation ? generation->number : confd_manager_number(manager);
    mac_request_answer(request, &answer.base);
}

static void config_get(Macula__V1__Config_Service *service, const Macula__V1__ConfigGetRequest *input,
                       Macula__V1__ConfigValue_Closure closure, void *closure_data) {
    (void)closure;
    confd_manager *manager = confd_manager_of(service, config);
    mac_request *request = mac_request_from(closure_data);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autofree char *path = NULL;
    const ProtobufCFieldDescriptor *field = NULL;
    if (mac_path_resolve(CONFD_DOCUMENT, input->path ? input->path : "", problems, &path, &field) < 0) {
        mac_request_fail_error(request, mac_error_from_problems(mac_take(&problems)));
        return;
    }
    mac_autoptr(confd_generation) generation = NULL;
    mac_autoptr(confd_document) owned = NULL;
    const confd_document *document =
        pick_document(manager, request, input->has_generation, input->generation, &generation, &owned);
    if (document)
        answer_value(manager, request, input, path, document, generation ? generation : manager->generation);
}

/* ---- History, Show, Diff ---- */

static void config_history(Macula__V1__Config_Service *service, const Macula__V1__ConfigHistoryRequest *input,
                           Macula__V1__ConfigHistory_Closure closure, void *closure_data) {
    confd_manager *manager = confd_manager_of(service, config);
    unsigned limit = input->limit && input->limit < HISTORY_MAX ? input->limit : HISTORY_MAX;
    confd_generation **list = NULL;
    size_t count = 0;
    int result = confd_store_list(manager->store, limit, input->has_before ? input->before : 0, &list, &count);
    if (result < 0) {
        fail_store(mac_request_from(closure_data), result);
        return;
    }
    Macula__V1__ConfigHistory answer = MACULA__V1__CONFIG_HISTORY__INIT;
    answer.n_generations = count;
    unsigned flags = confd_mask_for(mac_request_from(closure_data));
    answer.generations = mac_calloc(count + 1, sizeof *answer.generations);
    for (size_t i = 0; i < count; i++)
        answer.generations[i] = confd_generation_message(list[i], flags);
    closure(&answer, closure_data);
    for (size_t i = 0; i < count; i++)
        macula__v1__config_generation__free_unpacked(answer.generations[i], NULL);
    free(answer.generations);
    confd_generation_list_free(list, count);
}

static void config_show(Macula__V1__Config_Service *service, const Macula__V1__ConfigShowRequest *input,
                        Macula__V1__ConfigGeneration_Closure closure, void *closure_data) {
    confd_manager *manager = confd_manager_of(service, config);
    uint64_t number = input->has_generation ? input->generation : confd_manager_number(manager);
    mac_autoptr(confd_generation) generation = NULL;
    int result = confd_store_load(manager->store, number, &generation);
    if (result < 0) {
        fail_generation(mac_request_from(closure_data), number, result);
        return;
    }
    Macula__V1__ConfigGeneration *message =
        confd_generation_message(generation, confd_mask_for(mac_request_from(closure_data)));
    closure(message, closure_data);
    macula__v1__config_generation__free_unpacked(message, NULL);
}

static void config_diff(Macula__V1__Config_Service *service, const Macula__V1__ConfigDiffRequest *input,
                        Macula__V1__ConfigDiff_Closure closure, void *closure_data) {
    confd_manager *manager = confd_manager_of(service, config);
    mac_request *request = mac_request_from(closure_data);
    uint64_t to = input->has_to ? input->to : confd_manager_number(manager);
    uint64_t from = input->has_from ? input->from : confd_store_before(manager->store, to);
    mac_autoptr(confd_generation) old = NULL;
    mac_autoptr(confd_generation) new = NULL;
    mac_autoptr(json_t) empty = json_object();
    int result = confd_store_load(manager->store, to, &new);
    if (result == 0 && from)
        result = confd_store_load(manager->store, from, &old);
    if (result < 0) {
        fail_generation(request, new ? from : to, result);
        return;
    }
    Macula__V1__ConfigDiff answer = MACULA__V1__CONFIG_DIFF__INIT;
    answer.has_from = answer.has_to = true;
    answer.from = from;
    answer.to = to;
    answer.changes = confd_change_list(old ? old->document : empty, new->document, confd_mask_for(request),
                                       &answer.n_changes, &answer.left_out);
    answer.has_left_out = answer.left_out > 0;
    closure(&answer, closure_data);
    confd_change_list_free(answer.changes, answer.n_changes);
}

/* ---- Validate ---- */

static void answer_validation(const mac_problems *problems, Macula__V1__ConfigValidation_Closure closure,
                              void *closure_data) {
    Macula__V1__ConfigValidation answer = MACULA__V1__CONFIG_VALIDATION__INIT;
    answer.has_valid = true;
    answer.valid = mac_problems_errors(problems) == 0;
    answer.problems = mac_problems_to_list(problems, &answer.n_problems);
    closure(&answer, closure_data);
    mac_problem_list_free(answer.problems, answer.n_problems);
}

/* For anybody: what there is on the node is not told, neither its files nor its other sources. */
static void validate_alone(const Macula__V1__ConfigValidateRequest *input, Macula__V1__ConfigValidation_Closure closure,
                           void *closure_data) {
    const char *text = input->text ? input->text : "";
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_validate(input->name && *input->name ? input->name : CONFD_FILE, text, strlen(text), problems);
    answer_validation(problems, closure, closure_data);
}

static void config_validate(Macula__V1__Config_Service *service, const Macula__V1__ConfigValidateRequest *input,
                            Macula__V1__ConfigValidation_Closure closure, void *closure_data) {
    confd_manager *manager = confd_manager_of(service, config);
    if (mac_request_is_workload(mac_request_from(closure_data))) {
        validate_alone(input, closure, closure_data);
        return;
    }
    confd_present present = confd_manager_present(manager);
    mac_autoptr(confd_passwords) none = confd_passwords_new(true); /* nothing is kept, and anybody may ask */
    present.passwords = none;
    mac_autoptr(confd_proposal) proposal = NULL;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_error *error = confd_propose_text(&present, input->text ? input->text : "", input->name, true, &proposal);
    if (!error) {
        confd_context context = confd_manager_context(manager, proposal->document, manager->document, CONFD_RUNTIME);
        mac_problems_join(problems, proposal->notes);
        mac_autoptr(mac_problems) found = mac_problems_new();
        confd_check_all(&context, found);
        confd_proposal_place(proposal, found, problems);
        confd_autoconcern concern = {0};
        confd_concern_find(&proposal->changed, &manager->units, problems, &concern);
    } else if (error->problems) {
        mac_problems_join(problems, error->problems);
    } else {
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, error->path, "%s", error->message);
    }
    answer_validation(problems, closure, closure_data);
    mac_error_free(error);
}

/* ---- Drift ---- */

static void config_drift(Macula__V1__Config_Service *service, const Macula__V1__ConfigDriftRequest *input,
                         Macula__V1__ConfigDrift_Closure closure, void *closure_data) {
    (void)input;
    confd_manager *manager = confd_manager_of(service, config);
    confd_autofindings findings = {0};
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_drift_find(manager, &findings, problems);
    Macula__V1__ConfigDrift *answer = confd_drift_message(&findings);
    confd_drift_report(manager, &findings);
    closure(answer, closure_data);
    macula__v1__config_drift__free_unpacked(answer, NULL);
}

int confd_methods_serve(confd_manager *manager) {
    manager->config = (Macula__V1__Config_Service)MACULA__V1__CONFIG__INIT(config_);
    return mac_bus_serve(manager->bus, &manager->config.base, NULL, "The node's configuration and its history");
}
