/* The procedures, in the order of firstboot.proto. */
#include <errno.h>
#include <string.h>

#include "firstboot-manager.h"
#include "firstboot-qr.h"

#define manager_of(service, member) ((firstboot_manager *)((char *)(service)-offsetof(firstboot_manager, member)))

/* ---- Status ---- */

static void answer_status(firstboot_manager *manager, mac_request *request) {
    firstboot_view view = firstboot_manager_view(manager, NULL);
    Macula__V1__FirstbootStatus status = MACULA__V1__FIRSTBOOT_STATUS__INIT;
    const firstboot_step *next = firstboot_draft_next(view.draft);
    bool stranger = mac_request_is_workload(request);
    char *urls[] = {manager->url};
    size_t count = 0;
    mac_autofree char *qr = NULL;
    status.has_phase = status.has_revision = status.has_pairing = status.has_percent = true;
    status.phase = view.draft->phase;
    status.step = (char *)(uintptr_t)(next ? next->name : NULL);
    status.revision = view.draft->revision;
    status.pairing = view.pairing.state;
    status.percent = view.finish.percent;
    status.message = (char *)(uintptr_t)view.finish.message;
    if (view.finish.problems)
        status.problems = mac_problems_to_list(view.finish.problems, &count);
    status.n_problems = count;
    if (manager->url) {
        status.n_urls = 1;
        status.urls = urls;
    }
    if (!stranger) { /* who owns the node, and where it may be claimed, is not for everybody on it */
        status.pairing_error = (char *)(uintptr_t)view.pairing.error;
        status.user_name = (char *)(uintptr_t)view.pairing.user_name;
        status.organisation = (char *)(uintptr_t)view.pairing.organisation;
        status.authorise_url = (char *)(uintptr_t)view.pairing.authorise_url;
        status.node_code = (char *)(uintptr_t)(view.pairing.authorise_url ? view.pairing.node_code : NULL);
        qr = view.pairing.authorise_url ? firstboot_qr_console(view.pairing.authorise_url) : NULL;
        status.authorise_qr = qr;
    }
    mac_request_answer(request, &status.base);
    mac_problem_list_free(status.problems, count);
}

static void firstboot_status(Macula__V1__Firstboot_Service *service, const Macula__V1__FirstbootStatusRequest *input,
                             Macula__V1__FirstbootStatus_Closure closure, void *closure_data) {
    (void)input;
    (void)closure;
    answer_status(manager_of(service, methods), mac_request_from(closure_data));
}

/* ---- Console ---- */

static void firstboot_console(Macula__V1__FirstbootControl_Service *service,
                              const Macula__V1__FirstbootStatusRequest *input,
                              Macula__V1__FirstbootConsole_Closure closure, void *closure_data) {
    (void)input;
    firstboot_manager *manager = manager_of(service, control);
    Macula__V1__FirstbootConsole answer = MACULA__V1__FIRSTBOOT_CONSOLE__INIT;
    firstboot_console_update(manager);
    mac_autofree char *target = mac_asprintf("%s/?code=%s", manager->url, manager->door.code);
    mac_autofree char *qr = firstboot_qr_console(target);
    answer.url = manager->url;
    answer.code = manager->door.code;
    answer.has_expires_s = true;
    answer.expires_s = (uint32_t)((manager->door.code_until_ms - mac_now_ms()) / 1000);
    answer.qr = qr;
    closure(&answer, closure_data);
}

/* ---- Steps ---- */

static Macula__V1__FirstbootField *make_field(const firstboot_manager *manager, const firstboot_field *field) {
    Macula__V1__FirstbootField *to = mac_malloc(sizeof *to);
    *to = (Macula__V1__FirstbootField)MACULA__V1__FIRSTBOOT_FIELD__INIT;
    const json_t *own = json_object_get(manager->draft.values, field->name);
    const char *value = own ? json_string_value(own) : firstboot_field_default(field, &manager->facts);
    const mac_strings *list = firstboot_field_suggestions(field, &manager->facts);
    to->name = mac_strdup(field->name);
    to->label = mac_strdup(firstboot_text_get(field->label));
    to->hint = mac_strdup(firstboot_text_get(field->hint));
    to->has_kind = true;
    to->kind = field->kind;
    to->value = mac_strdup(field->secret && *value ? MAC_CODEC_MASKED : value);
    to->when = mac_strdup(field->when);
    mac_strings options = {0};
    for (size_t i = 0; list && i < list->count; i++)
        mac_strings_add(&options, list->items[i]);
    for (const firstboot_option *option = field->options; option && option->value; option++)
        mac_strings_add(&options, option->value);
    for (size_t i = 0; mac_streq(field->name, "net_interface") && i < manager->facts.interface_count; i++)
        mac_strings_add(&options, manager->facts.interfaces[i].name);
    to->n_options = options.count;
    to->options = options.items;
    mac_strings labels = {0};
    for (const firstboot_option *option = field->options; option && option->value; option++)
        mac_strings_add(&labels, firstboot_text_get(option->label));
    to->n_option_labels = labels.count;
    to->option_labels = labels.items;
    return to;
}

/* As the page shows it above the questions. */
static void add_found(const firstboot_facts *facts, Macula__V1__FirstbootStep *to) {
    mac_strings found = {0};
    for (size_t i = 0; i < facts->interface_count; i++) {
        mac_autofree char *text = firstboot_interface_text(&facts->interfaces[i]);
        mac_strings_addf(&found, "%s: %s", facts->interfaces[i].name, text);
    }
    if (facts->interface_count == 0)
        mac_strings_add(&found, T(NETWORK_NONE));
    for (size_t i = 0; facts->wireless && i < facts->heard_count; i++) {
        mac_autofree char *text = firstboot_heard_text(&facts->heard[i]);
        mac_strings_addf(&found, "%s: %s", facts->heard[i].name, text);
    }
    to->n_found = found.count;
    to->found = found.items;
}

static Macula__V1__FirstbootStep *make_step(const firstboot_manager *manager, const firstboot_step *step) {
    Macula__V1__FirstbootStep *to = mac_malloc(sizeof *to);
    *to = (Macula__V1__FirstbootStep)MACULA__V1__FIRSTBOOT_STEP__INIT;
    to->name = mac_strdup(step->name);
    to->title = mac_strdup(firstboot_text_get(step->title));
    to->has_answered = true;
    to->answered = firstboot_draft_answered(&manager->draft, step->name);
    to->fields = mac_calloc(FIRSTBOOT_FIELDS_MAX, sizeof *to->fields);
    for (const firstboot_field *field = step->fields; field->name; field++)
        to->fields[to->n_fields++] = make_field(manager, field);
    mac_strings warnings = {0};
    firstboot_answers_warn(step, manager->draft.values, &manager->facts, &warnings);
    to->n_warnings = warnings.count;
    to->warnings = warnings.items;
    if (mac_streq(step->name, "network"))
        add_found(&manager->facts, to);
    return to;
}

static void answer_steps(firstboot_manager *manager, mac_request *request) {
    Macula__V1__FirstbootSteps *answer = mac_malloc(sizeof *answer);
    *answer = (Macula__V1__FirstbootSteps)MACULA__V1__FIRSTBOOT_STEPS__INIT;
    size_t count = 0;
    while (firstboot_all_steps[count].name)
        count++;
    answer->steps = mac_calloc(count, sizeof *answer->steps);
    for (const firstboot_step *step = firstboot_all_steps; step->name; step++)
        answer->steps[answer->n_steps++] = make_step(manager, step);
    answer->has_revision = true;
    answer->revision = manager->draft.revision;
    mac_request_answer(request, &answer->base);
    macula__v1__firstboot_steps__free_unpacked(answer, NULL);
}

static void firstboot_steps(Macula__V1__FirstbootControl_Service *service,
                            const Macula__V1__FirstbootStatusRequest *input, Macula__V1__FirstbootSteps_Closure closure,
                            void *closure_data) {
    (void)input;
    (void)closure;
    answer_steps(manager_of(service, control), mac_request_from(closure_data));
}

/* ---- Submit ---- */

static bool take_answers(const Macula__V1__FirstbootSubmitRequest *input, firstboot_form *form) {
    for (size_t i = 0; i < input->n_answers; i++) {
        const Macula__V1__FirstbootAnswer *answer = input->answers[i];
        if (!answer->name || form->count == FIRSTBOOT_FORM_FIELDS || firstboot_form_get(form, answer->name) ||
            (answer->value && strlen(answer->value) > FIRSTBOOT_FORM_VALUE))
            return false;
        firstboot_form_add(form, mac_strdup(answer->name), mac_strdup(answer->value ? answer->value : ""));
    }
    return true;
}

static void firstboot_submit(Macula__V1__FirstbootControl_Service *service,
                             const Macula__V1__FirstbootSubmitRequest *input,
                             Macula__V1__FirstbootSteps_Closure closure, void *closure_data) {
    (void)closure;
    firstboot_manager *manager = manager_of(service, control);
    mac_request *request = mac_request_from(closure_data);
    const firstboot_step *step = firstboot_step_named(input->step);
    firstboot_autoform form = {0};
    mac_autoptr(json_t) values = NULL;
    /* 1. validate */
    if (!step || !take_answers(input, &form)) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__INVALID, step ? "answers" : "step",
                         step ? "expected at most %d answers, each name once, each value at most %d bytes"
                              : "expected one of network, system, mesh",
                         FIRSTBOOT_FORM_FIELDS, FIRSTBOOT_FORM_VALUE);
        return;
    }
    if (input->has_revision && input->revision != manager->draft.revision) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__CONFLICT, "revision", "%s", T(CHANGED_ELSEWHERE));
        return;
    }
    /* 2. act, 3. answer */
    mac_problems *problems = mac_problems_new();
    int result = firstboot_manager_submit(manager, step, &form, problems, &values);
    if (result == -EINVAL) {
        mac_request_fail_error(request, mac_error_from_problems(problems));
        return;
    }
    mac_problems_free(problems);
    if (result == -EBUSY)
        mac_request_fail(request, MACULA__V1__ERROR_CODE__CONFLICT, NULL, "%s", T(NO_MORE_ANSWERS));
    else if (result < 0)
        mac_request_fail_error(request, mac_error_from_errno(result, "%s", T(ANSWERS_NOT_KEPT)));
    else
        answer_steps(manager, request);
}

/* ---- Pair, Finish ---- */

static void firstboot_pair(Macula__V1__FirstbootControl_Service *service, const Macula__V1__FirstbootPairRequest *input,
                           Macula__V1__FirstbootStatus_Closure closure, void *closure_data) {
    (void)closure;
    firstboot_manager *manager = manager_of(service, control);
    mac_request *request = mac_request_from(closure_data);
    int result = 0;
    if (manager->draft.phase != FIRSTBOOT_ASKING) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__CONFLICT, NULL, "%s", T(BEING_FINISHED));
        return;
    }
    if (input->leave)
        result = firstboot_pairing_leave(&manager->pairing);
    else if (input->cancel)
        firstboot_pairing_cancel(&manager->pairing);
    else
        firstboot_pairing_start(&manager->pairing, input->code && *input->code ? input->code : NULL);
    if (result < 0)
        mac_request_fail_error(request, mac_error_from_errno(result, "%s", T(PAIR_NOT_REMOVED)));
    else
        answer_status(manager, request);
}

static void firstboot_finish(Macula__V1__FirstbootControl_Service *service,
                             const Macula__V1__FirstbootFinishRequest *input,
                             Macula__V1__FirstbootStatus_Closure closure, void *closure_data) {
    (void)closure;
    firstboot_manager *manager = manager_of(service, control);
    mac_request *request = mac_request_from(closure_data);
    const firstboot_step *next = firstboot_draft_next(&manager->draft);
    int result = firstboot_manager_finish(manager, input->reboot && mac_root_is_system(manager->root));
    if (result == -EINVAL)
        mac_request_fail(request, MACULA__V1__ERROR_CODE__INVALID, next ? next->name : NULL, "%s", T(REVIEW_MISSING));
    else if (result < 0 && result != -EALREADY)
        mac_request_fail_error(request, mac_error_from_errno(result, "%s", T(CANNOT_FINISH)));
    else
        answer_status(manager, request);
}

int firstboot_methods_serve(firstboot_manager *manager) {
    manager->methods = (Macula__V1__Firstboot_Service)MACULA__V1__FIRSTBOOT__INIT(firstboot_);
    manager->control = (Macula__V1__FirstbootControl_Service)MACULA__V1__FIRSTBOOT_CONTROL__INIT(firstboot_);
    int result = mac_bus_serve(manager->bus, &manager->methods.base, NULL, "Sets up a node that is not configured");
    if (result == 0)
        result = mac_bus_serve(manager->bus, &manager->control.base, NULL, "Sets up a node that is not configured");
    return result;
}
