/* ConfigControl: everything that changes something, in the order of proto/macula/v1/config.proto; and the event
 * config.change, by which the admin changes something without asking for an answer. */
#include <errno.h>
#include <string.h>

#include "codec/mac-codec.h"
#include "confd-answer.h"
#include "confd-change.h"
#include "confd-manager.h"
#include "confd-pending.h"
#include "confd-wish.h"
#include "log/mac-log.h"

/* ---- Apply ---- */

static mac_error *propose_apply(const confd_wish *wish, const confd_present *present, confd_proposal **ret_proposal) {
    const Macula__V1__ConfigApplyRequest *input = (const void *)wish->input;
    if (input->text && input->keep_changes)
        return confd_propose_edit(present, input->text, input->name, ret_proposal);
    if (input->text)
        return confd_propose_text(present, input->text, input->name, false, ret_proposal);
    return confd_propose_disk(present, ret_proposal);
}

static void config_apply(Macula__V1__ConfigControl_Service *service, const Macula__V1__ConfigApplyRequest *input,
                         Macula__V1__ConfigOutcome_Closure closure, void *closure_data) {
    (void)closure;
    confd_manager *manager = confd_manager_of(service, config_control);
    confd_wish_submit(confd_wish_new(manager, mac_request_from(closure_data), input->options, propose_apply));
}

/* ---- Patch, Set ---- */

static mac_error *propose_patch(const confd_wish *wish, const confd_present *present, confd_proposal **ret_proposal) {
    const Macula__V1__ConfigPatchRequest *input = (const void *)wish->input;
    return confd_propose_patch(present, input->patch_json ? input->patch_json : "", ret_proposal);
}

static void config_patch(Macula__V1__ConfigControl_Service *service, const Macula__V1__ConfigPatchRequest *input,
                         Macula__V1__ConfigOutcome_Closure closure, void *closure_data) {
    (void)closure;
    confd_manager *manager = confd_manager_of(service, config_control);
    confd_wish_submit(confd_wish_new(manager, mac_request_from(closure_data), input->options, propose_patch));
}

static mac_error *propose_set(const confd_wish *wish, const confd_present *present, confd_proposal **ret_proposal) {
    const Macula__V1__ConfigSetRequest *input = (const void *)wish->input;
    return confd_propose_set(present, input->path ? input->path : "", input->unset ? NULL : input->value, ret_proposal);
}

static void config_set(Macula__V1__ConfigControl_Service *service, const Macula__V1__ConfigSetRequest *input,
                       Macula__V1__ConfigOutcome_Closure closure, void *closure_data) {
    (void)closure;
    mac_request *request = mac_request_from(closure_data);
    if (!input->unset && !input->value) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__INVALID, "value",
                         "expected a value, or unset to go back to the default");
        return;
    }
    confd_manager *manager = confd_manager_of(service, config_control);
    confd_wish_submit(confd_wish_new(manager, request, input->options, propose_set));
}

/* ---- Rollback ---- */

static mac_error *propose_rollback(const confd_wish *wish, const confd_present *present,
                                   confd_proposal **ret_proposal) {
    const Macula__V1__ConfigRollbackRequest *input = (const void *)wish->input;
    confd_store *store = wish->manager->store;
    confd_autohead head = {0};
    int result = confd_store_head(store, &head);
    if (result < 0)
        return mac_error_from_errno(result, "the store cannot be read");
    uint64_t number = input->has_generation ? input->generation : head.previous;
    if (number == 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL,
                             "there is no generation before %llu to go back to", (unsigned long long)head.current);
    mac_autoptr(confd_generation) target = NULL;
    result = confd_store_load(store, number, &target);
    if (result == -ENOENT)
        return mac_error_new(MACULA__V1__ERROR_CODE__NOT_FOUND, NULL,
                             "there is no generation %llu (any more); see config history", (unsigned long long)number);
    if (result < 0)
        return mac_error_from_errno(result, "generation %llu cannot be read", (unsigned long long)number);
    return confd_propose_rollback(present, target, ret_proposal);
}

static void on_reverted(confd_change *change, const mac_error *error, void *data) {
    confd_wish *wish = data;
    if (!error)
        change->outcome->generation = confd_manager_number(change->manager);
    confd_wish_remember(wish, change->outcome, error);
    confd_wish_answer(wish, change->outcome, error ? mac_error_copy(error) : NULL);
    if (error && !change->manager->stopping)
        confd_pending_arm(change->manager);
    confd_wishes_go_on(change->manager);
}

/* While a change waits to be confirmed, "back" means: do not wait any longer. */
static bool means_pending(confd_manager *manager, const Macula__V1__ConfigRollbackRequest *input) {
    confd_autohead head = {0};
    return confd_store_head(manager->store, &head) == 0 && head.pending &&
           !(input->options && input->options->dry_run) &&
           (!input->has_generation || input->generation == head.previous);
}

static void revert_pending(confd_wish *wish) {
    if (confd_wish_known(wish))
        return;
    mac_error *error = confd_wish_begin(wish);
    if (!error) {
        mac_autofree char *reason = mac_asprintf("rolled back by %s before it was confirmed", wish->author);
        error = confd_pending_revert(wish->manager, wish->author, reason, on_reverted, wish);
    }
    if (error)
        confd_wish_answer(wish, NULL, error);
}

static void config_rollback(Macula__V1__ConfigControl_Service *service, const Macula__V1__ConfigRollbackRequest *input,
                            Macula__V1__ConfigOutcome_Closure closure, void *closure_data) {
    (void)closure;
    confd_manager *manager = confd_manager_of(service, config_control);
    mac_request *request = mac_request_from(closure_data);
    confd_wish *wish = confd_wish_new(manager, request, input->options, propose_rollback);
    if (means_pending(manager, input))
        revert_pending(wish);
    else
        confd_wish_submit(wish);
}

/* ---- Confirm ---- */

static void config_confirm(Macula__V1__ConfigControl_Service *service, const Macula__V1__ConfigConfirmRequest *input,
                           Macula__V1__ConfigOutcome_Closure closure, void *closure_data) {
    confd_manager *manager = confd_manager_of(service, config_control);
    mac_request *request = mac_request_from(closure_data);
    const char *author = input->author && *input->author ? input->author : mac_request_caller(request);
    mac_error *error = confd_check_author(author);
    if (!error)
        error = confd_pending_confirm(manager, author, input->token, input->has_generation ? input->generation : 0);
    if (error) {
        mac_request_fail_error(request, error);
        return;
    }
    Macula__V1__ConfigOutcome answer = MACULA__V1__CONFIG_OUTCOME__INIT;
    answer.has_generation = true;
    answer.generation = confd_manager_number(manager);
    closure(&answer, closure_data);
}

/* ---- DriftFix ---- */

static void on_mended(confd_change *change, const mac_error *error, void *data) {
    mac_request *request = data;
    if (error)
        mac_request_fail_error(request, mac_error_copy(error));
    else {
        change->outcome->has_nothing_to_do = true;
        change->outcome->nothing_to_do = change->outcome->n_services == 0;
        mac_request_answer(request, &change->outcome->base);
    }
    confd_wishes_go_on(change->manager);
}

static void config_drift_fix(Macula__V1__ConfigControl_Service *service, const Macula__V1__ConfigDriftRequest *input,
                             Macula__V1__ConfigOutcome_Closure closure, void *closure_data) {
    (void)closure;
    confd_manager *manager = confd_manager_of(service, config_control);
    mac_request *request = mac_request_from(closure_data);
    const char *author = input->author && *input->author ? input->author : mac_request_caller(request);
    mac_error *refused = confd_check_author(author);
    if (refused)
        mac_request_fail_error(request, refused);
    else if (manager->change || manager->stopping)
        mac_request_fail(request, MACULA__V1__ERROR_CODE__CONFLICT, NULL,
                         "a change is being applied: wait for it (config status) and try again");
    else
        confd_change_mend(manager, author, on_mended, request);
}

/* ---- Source ---- */

static const confd_source *find_source(const confd_sources *sources, const char *name) {
    const confd_source *source = confd_sources_get(sources, name);
    for (size_t i = 0; !source && i < sources->count; i++) {
        const char *slash = strrchr(sources->items[i].name, '/');
        if (slash && mac_streq(slash + 1, name) && confd_source_writable(sources->items[i].name))
            source = &sources->items[i];
    }
    return source;
}

static void config_source(Macula__V1__ConfigControl_Service *service, const Macula__V1__ConfigSourceRequest *input,
                          Macula__V1__ConfigSource_Closure closure, void *closure_data) {
    confd_manager *manager = confd_manager_of(service, config_control);
    const char *name = input->name && *input->name ? input->name : CONFD_FILE;
    const confd_source *source = manager->generation ? find_source(&manager->generation->sources, name) : NULL;
    if (!source && !mac_streq(name, CONFD_FILE)) {
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__NOT_FOUND, NULL,
                         "%s is no source of the configuration in force; see config status", name);
        return;
    }
    Macula__V1__ConfigSource answer = MACULA__V1__CONFIG_SOURCE__INIT;
    answer.name = source ? source->name : (char *)(uintptr_t)CONFD_FILE;
    answer.text = source ? source->text : (char *)(uintptr_t) "";
    answer.has_generation = true;
    answer.generation = confd_manager_number(manager);
    closure(&answer, closure_data);
}

/* ---- the event config.change ---- */

static mac_error *propose_event(const confd_wish *wish, const confd_present *present, confd_proposal **ret_proposal) {
    /* An empty text is an empty object to the codec, and so nothing to do; here nobody would hear of that. */
    if (wish->text[strspn(wish->text, " \t\r\n")] == '\0')
        return mac_error_new(
            MACULA__V1__ERROR_CODE__INVALID, NULL,
            "expected a JSON object as merge patch, such as {\"hostname\": \"edge-7\"}, found an empty "
            "message");
    return confd_propose_patch(present, wish->text, ret_proposal);
}

/* A JSON merge patch on macula.pub.{realm}.config.change; only the admin can publish into the account that hears it. */
static void on_change_event(const mac_event *event, void *data) {
    confd_manager *manager = data;
    confd_wish *wish = confd_wish_new(manager, NULL, NULL, propose_event);
    wish->text = mac_strndup(event->data, event->length);
    wish->caller = mac_strdup(event->caller);
    if (strlen(wish->text) != event->length)
        wish->refused = mac_error_new(MACULA__V1__ERROR_CODE__INVALID, NULL,
                                      "expected a JSON object as merge patch, found a NUL byte in the message");
    confd_wish_submit(wish);
}

int confd_control_methods_serve(confd_manager *manager) {
    manager->config_control = (Macula__V1__ConfigControl_Service)MACULA__V1__CONFIG_CONTROL__INIT(config_);
    int result = mac_bus_serve(manager->bus, &manager->config_control.base, NULL, "Changes the node's configuration");
    if (result < 0)
        return result;
    mac_autofree char *subject = mac_asprintf("macula.pub.%s.config.change", manager->realm);
    return mac_bus_subscribe(manager->bus, subject, on_change_event, manager, NULL);
}
