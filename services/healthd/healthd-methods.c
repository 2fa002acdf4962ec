/* The procedures of Health and HealthControl, in the order of health.proto. */
#include <string.h>

#include "healthd-manager.h"
#include "log/mac-log.h"

#define SILENCE_MAX_S (30u * 86400u)
#define WORDS_MAX 200 /* bytes of what a person says */
#define FAIL(name) MACULA__V1__ERROR_CODE__##name
#define manager_of(service, member) mac_container_of(service, healthd_manager, member)

static void answer_status(healthd_manager *manager, const char *name, Macula__V1__HealthStatus_Closure closure,
                          void *closure_data) {
    Macula__V1__HealthStatus *status = healthd_answer_status(manager, name);
    closure(status, closure_data);
    macula__v1__health_status__free_unpacked(status, NULL);
}

/* The check that a request names, or NULL after having refused. Hidden ones are nobody's. */
static healthd_check *named_check(healthd_manager *manager, const char *name, mac_request *request) {
    healthd_check *check = name && *name ? healthd_plan_find(manager->plan, name) : NULL;
    if (check && !check->hidden)
        return check;
    mac_request_fail(request, FAIL(NOT_FOUND), "name", "there is no check \"%s\"; all there are: maculaos health",
                     name ? name : "");
    return NULL;
}

/* ---- Health ---- */

static void health_status(Macula__V1__Health_Service *service, const Macula__V1__HealthStatusRequest *input,
                          Macula__V1__HealthStatus_Closure closure, void *closure_data) {
    healthd_manager *manager = manager_of(service, health);
    if (input->name && *input->name && !named_check(manager, input->name, mac_request_from(closure_data)))
        return;
    answer_status(manager, input->name && *input->name ? input->name : NULL, closure, closure_data);
}

static void health_history(Macula__V1__Health_Service *service, const Macula__V1__HealthHistoryRequest *input,
                           Macula__V1__HealthHistory_Closure closure, void *closure_data) {
    healthd_manager *manager = manager_of(service, health);
    const char *name = input->name && *input->name ? input->name : NULL;
    Macula__V1__HealthHistory *answer = healthd_history_read(&manager->history, input->before, input->limit, name);
    closure(answer, closure_data);
    macula__v1__health_history__free_unpacked(answer, NULL);
}

static void health_gate(Macula__V1__Health_Service *service, const Macula__V1__HealthGateRequest *input,
                        Macula__V1__HealthGate_Closure closure, void *closure_data) {
    (void)input;
    Macula__V1__HealthGate *gate = healthd_answer_gate(manager_of(service, health));
    closure(gate, closure_data);
    macula__v1__health_gate__free_unpacked(gate, NULL);
}

/* ---- Run ---- */

static void run_free(healthd_run *run) {
    mac_strings_deinit(&run->waiting);
    free(run->name);
    *run = (healthd_run){0};
}

static void run_answer(healthd_manager *manager, size_t at) {
    healthd_run run = manager->runs[at];
    manager->runs[at] = manager->runs[--manager->run_count];
    answer_status(manager, run.name, run.closure, run.closure_data);
    run_free(&run);
}

static void forget(mac_strings *strings, const char *name) {
    for (size_t i = 0; i < strings->count; i++) {
        if (!mac_streq(strings->items[i], name))
            continue;
        free(strings->items[i]);
        memmove(strings->items + i, strings->items + i + 1, (strings->count - i) * sizeof(char *));
        strings->count--;
        return;
    }
}

void healthd_runs_ended(healthd_manager *manager, const char *name) {
    for (size_t i = manager->run_count; i-- > 0;) {
        if (name)
            forget(&manager->runs[i].waiting, name);
        if (!name || manager->runs[i].waiting.count == 0)
            run_answer(manager, i);
    }
}

/* Services of the suite and the bus are one question to the supervisor. */
static bool is_supervisors(const healthd_check *check) {
    return check->type == HEALTHD_SERVICE || mac_streq(check->name, HEALTHD_NODE_CHECK);
}

static void run_start(healthd_manager *manager, const char *name) {
    bool ask = false;
    for (size_t i = 0; i < manager->plan->count; i++) {
        healthd_check *check = manager->plan->checks[i];
        if (check->hidden || check->type == HEALTHD_MESH || (name && !mac_streq(check->name, name)))
            continue;
        if (is_supervisors(check))
            ask = true;
        else
            healthd_probe_start(&manager->prober, check);
    }
    if (ask)
        healthd_services_ask(manager);
}

static void health_control_run(Macula__V1__HealthControl_Service *service, const Macula__V1__HealthRunRequest *input,
                               Macula__V1__HealthStatus_Closure closure, void *closure_data) {
    healthd_manager *manager = manager_of(service, control);
    mac_request *request = mac_request_from(closure_data);
    const char *name = input->name && *input->name ? input->name : NULL;
    if (name && !named_check(manager, name, request))
        return;
    if (manager->run_count == HEALTHD_RUNS_MAX) {
        mac_request_fail(request, FAIL(EXHAUSTED), NULL, "%d requests wait for looks already; try again later",
                         HEALTHD_RUNS_MAX);
        return;
    }
    healthd_run *run = &manager->runs[manager->run_count++];
    *run =
        (healthd_run){.request = request, .closure = closure, .closure_data = closure_data, .name = mac_strdup(name)};
    mac_strings_add(&run->waiting, ""); /* ourselves, so that it does not end while it is being started */
    for (size_t i = 0; i < manager->plan->count; i++) {
        const healthd_check *check = manager->plan->checks[i];
        const char *wait = is_supervisors(check) ? HEALTHD_NODE_CHECK : check->name;
        if (!check->hidden && check->type != HEALTHD_MESH && (!name || mac_streq(check->name, name)) &&
            !mac_strings_contain(&run->waiting, wait))
            mac_strings_add(&run->waiting, wait);
    }
    run_start(manager, name);
    healthd_runs_ended(manager, "");
}

/* ---- what people say ---- */

static char *words(const char *text) {
    if (!text || !*text)
        return NULL;
    size_t length = strnlen(text, WORDS_MAX);
    while (length && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    char *copy = mac_strndup(text, length);
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    return copy;
}

static void tell_person(healthd_manager *manager, const healthd_check *check, const char *what, const char *who,
                        const char *why) {
    mac_autofree char *text = mac_asprintf("%s by %s%s%s", what, who, why ? ": " : "", why ? why : "");
    healthd_manager_tell(manager, MACULA__V1__HEALTH_ENTRY__WHAT__person, check->name, NULL, NULL, text);
    healthd_kept_save(manager);
    healthd_manager_consider(manager);
}

static void health_control_acknowledge(Macula__V1__HealthControl_Service *service,
                                       const Macula__V1__HealthAcknowledgeRequest *input,
                                       Macula__V1__HealthStatus_Closure closure, void *closure_data) {
    healthd_manager *manager = manager_of(service, control);
    mac_request *request = mac_request_from(closure_data);
    healthd_check *check = named_check(manager, input->name, request);
    if (!check)
        return;
    if (check->state != HEALTHD_FAILED) {
        mac_request_fail(request, FAIL(NOTHING_TO_DO), "name", "%s has not failed", check->name);
        return;
    }
    free(check->acknowledged_by);
    free(check->acknowledgement);
    check->acknowledged_by = words(input->author && *input->author ? input->author : mac_request_caller(request));
    check->acknowledgement = words(input->message);
    tell_person(manager, check, "acknowledged", check->acknowledged_by, check->acknowledgement);
    answer_status(manager, check->name, closure, closure_data);
}

static void health_control_silence(Macula__V1__HealthControl_Service *service,
                                   const Macula__V1__HealthSilenceRequest *input,
                                   Macula__V1__HealthStatus_Closure closure, void *closure_data) {
    healthd_manager *manager = manager_of(service, control);
    mac_request *request = mac_request_from(closure_data);
    healthd_check *check = named_check(manager, input->name, request);
    if (!check)
        return;
    if (!input->has_seconds || input->seconds > SILENCE_MAX_S) {
        mac_request_fail(request, FAIL(INVALID), "seconds", "expected between 0 and %u seconds (30 days)",
                         SILENCE_MAX_S);
        return;
    }
    check->silent_until_boot = healthd_boot_ms() + input->seconds * 1000ull;
    check->is_silenced = input->seconds > 0;
    check->silent_until_ms = input->seconds ? mac_unix_ms() + input->seconds * 1000ll : 0;
    mac_autofree char *who = words(input->author && *input->author ? input->author : mac_request_caller(request));
    mac_autofree char *why = words(input->message);
    mac_autofree char *what =
        input->seconds ? mac_asprintf("silenced for %u s", input->seconds) : mac_strdup("speaks again, allowed");
    if (!check->is_silenced)
        healthd_heal_after_silence(manager, check);
    tell_person(manager, check, what, who, why);
    answer_status(manager, check->name, closure, closure_data);
}

mac_error *healthd_methods_serve(healthd_manager *manager) {
    static const char description[] = "Whether the node is well, and what it does about it";
    manager->health = (Macula__V1__Health_Service)MACULA__V1__HEALTH__INIT(health_);
    manager->control = (Macula__V1__HealthControl_Service)MACULA__V1__HEALTH_CONTROL__INIT(health_control_);
    int result = mac_bus_serve(manager->bus, &manager->health.base, NULL, description);
    if (result == 0)
        result = mac_bus_serve(manager->bus, &manager->control.base, NULL, description);
    return result < 0 ? mac_error_from_errno(result, "the procedures cannot be served") : NULL;
}
