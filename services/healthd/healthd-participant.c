/* The sections health, auto_heal and watchdog of the configuration, and how long a new version has to hold: refused
 * with path and reason before anything happens, or applied at once. */
#include <string.h>

#include "healthd-manager.h"
#include "healthd-watchdog.h"
#include "log/mac-log.h"

/* NULL after having refused. */
static healthd_plan *plan_of(const Macula__V1__ParticipantRequest *input, mac_request *request,
                             mac_problems *problems) {
    if (input->document)
        return healthd_plan_new(input->document, problems);
    mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, "document", "a document expected, none found");
    (void)request;
    return NULL;
}

static void add_missing_services(healthd_manager *manager, const healthd_plan *plan, mac_problems *problems) {
    for (size_t i = 0; i < plan->count; i++) {
        const healthd_check *check = plan->checks[i];
        if (check->built_in || !check->restarts || healthd_sys_is_recording(manager->sys))
            continue;
        mac_autofree char *unit = mac_asprintf("service.%s", check->service);
        mac_autofree char *path = mac_asprintf("maculaos.health.checks[name=%s].service", check->name);
        if (!healthd_plan_find(manager->plan, unit) && !healthd_sys_has_service(manager->sys, check->service))
            mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, path,
                             "no service \"%s\" on this node could be restarted", check->service);
    }
}

static size_t own_count(const healthd_plan *plan) {
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++)
        count += !plan->checks[i]->built_in && !plan->checks[i]->hidden;
    return count;
}

static void healthd_participant_check(Macula__V1__Participant_Service *service,
                                      const Macula__V1__ParticipantRequest *input,
                                      Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    healthd_manager *manager = mac_container_of(service, healthd_manager, participant);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(healthd_plan) plan = plan_of(input, mac_request_from(closure_data), problems);
    Macula__V1__ParticipantAnswer answer = MACULA__V1__PARTICIPANT_ANSWER__INIT;
    mac_autofree char *action = NULL;
    if (plan) {
        add_missing_services(manager, plan, problems);
        action = mac_asprintf("look after %zu checks of the configuration", own_count(plan));
        answer.n_actions = 1;
        answer.actions = &action;
    }
    size_t count;
    answer.problems = mac_problems_to_list(problems, &count);
    answer.n_problems = count;
    closure(&answer, closure_data);
    mac_problem_list_free(answer.problems, count);
}

static void healthd_participant_apply(Macula__V1__Participant_Service *service,
                                      const Macula__V1__ParticipantRequest *input,
                                      Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    healthd_manager *manager = mac_container_of(service, healthd_manager, participant);
    mac_request *request = mac_request_from(closure_data);
    mac_problems *problems = mac_problems_new();
    healthd_plan *plan = plan_of(input, request, problems);
    if (!plan) {
        mac_request_fail_error(request, mac_error_from_problems(problems));
        return;
    }
    mac_problems_free(problems);
    healthd_manager_adopt(manager, plan);
    healthd_watchdog_apply(manager);
    healthd_manager_consider(manager);
    Macula__V1__ParticipantAnswer answer = MACULA__V1__PARTICIPANT_ANSWER__INIT;
    mac_autofree char *action = mac_asprintf("look after %zu checks of the configuration", own_count(plan));
    answer.n_actions = 1;
    answer.actions = &action;
    closure(&answer, closure_data);
}

mac_error *healthd_participant_serve(healthd_manager *manager) {
    manager->participant = (Macula__V1__Participant_Service)MACULA__V1__PARTICIPANT__INIT(healthd_participant_);
    int result = mac_bus_serve(manager->bus, &manager->participant.base, "participant.healthd",
                               "Applies the checks, the remedies and the watchdog of the configuration");
    return result < 0 ? mac_error_from_errno(result, "the part in the configuration cannot be taken") : NULL;
}
