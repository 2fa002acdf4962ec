#include "supervisor-methods.h"

#include <string.h>
#include <unistd.h>

#include "log/mac-log.h"
#include "macula/v1/config.pb-c.h"
#include "supervisor-memory.h"

struct supervisor_methods {
    Macula__V1__Supervisor_Service supervisor;
    Macula__V1__SupervisorControl_Service control;
    Macula__V1__Participant_Service participant;
    supervisor_manager *manager;
};

/* ---- status ---- */

static void fill_unit(const supervisor_unit *unit, Macula__V1__UnitStatus *ret) {
    macula__v1__unit_status__init(ret);
    ret->name = unit->name;
    ret->has_state = ret->has_restarts = ret->has_since_ms = ret->has_deaths = true;
    ret->state = (Macula__V1__UnitStatus__State)unit->state;
    ret->restarts = unit->restarts;
    ret->deaths = unit->deaths;
    ret->since_ms = unit->since_ms;
    ret->message = unit->message;
    if (unit->pid) {
        ret->has_pid = true;
        ret->pid = (uint32_t)unit->pid;
        ret->has_memory_bytes = supervisor_memory(unit->pid, &ret->memory_bytes);
    }
}

/* Without the memory, which costs something to find out. A change that nobody could be told of is seen in the status.
 */
void supervisor_methods_publish(supervisor_manager *manager, const supervisor_unit *unit) {
    if (!manager->bus || mac_bus_current_state(manager->bus) != MAC_BUS_CONNECTED)
        return;
    Macula__V1__UnitStatus event = MACULA__V1__UNIT_STATUS__INIT;
    event.name = unit->name;
    event.has_state = event.has_restarts = event.has_since_ms = event.has_deaths = true;
    event.state = (Macula__V1__UnitStatus__State)unit->state;
    event.restarts = unit->restarts;
    event.deaths = unit->deaths;
    event.since_ms = unit->since_ms;
    event.message = unit->message;
    event.has_pid = unit->pid != 0;
    event.pid = (uint32_t)unit->pid;
    if (mac_bus_publish(manager->bus, "supervisor.unit", &event.base) < 0)
        mac_log_debug("event not published", "topic=supervisor.unit");
}

static void fill_self(const supervisor_manager *manager, Macula__V1__UnitStatus *ret) {
    macula__v1__unit_status__init(ret);
    ret->name = (char *)"supervisor";
    ret->has_state = ret->has_pid = ret->has_restarts = ret->has_since_ms = true;
    ret->since_ms = manager->since_ms;
    ret->state = manager->phase == SUPERVISOR_RUNNING  ? MACULA__V1__UNIT_STATUS__STATE__ready
                 : manager->phase == SUPERVISOR_ENDING ? MACULA__V1__UNIT_STATUS__STATE__stopping
                                                       : MACULA__V1__UNIT_STATUS__STATE__starting;
    ret->pid = (uint32_t)getpid();
    ret->has_memory_bytes = supervisor_memory(getpid(), &ret->memory_bytes);
}

static void answer_status(const supervisor_manager *manager, Macula__V1__SupervisorStatus_Closure closure,
                          void *closure_data) {
    size_t count = manager->unit_count + 2;
    mac_autofree Macula__V1__UnitStatus *units = mac_calloc(count, sizeof *units);
    mac_autofree Macula__V1__UnitStatus **list = mac_calloc(count, sizeof *list);
    for (size_t i = 0; i < count; i++)
        list[i] = &units[i];
    fill_self(manager, &units[0]);
    fill_unit(&manager->server.task.unit, &units[1]);
    for (size_t i = 0; i < manager->unit_count; i++)
        fill_unit(&manager->units[i].unit, &units[i + 2]);
    Macula__V1__SupervisorStatus status = MACULA__V1__SUPERVISOR_STATUS__INIT;
    status.n_units = count;
    status.units = list;
    status.server_url = manager->server.url;
    closure(&status, closure_data);
}

static void supervisor_status(Macula__V1__Supervisor_Service *service, const Macula__V1__SupervisorStatusRequest *input,
                              Macula__V1__SupervisorStatus_Closure closure, void *closure_data) {
    (void)input;
    supervisor_methods *methods = mac_container_of(service, supervisor_methods, supervisor);
    answer_status(methods->manager, closure, closure_data);
}

/* ---- restart ---- */

/* An answer that travels over the server which is then restarted: the flush says that the server has it, but not that
 * it has passed it on, and a server that ends drops what it has not. Nothing says that; so it gets a moment. */
#define GRACE_MS 200

static void on_grace_over(uv_timer_t *timer) {
    supervisor_manager *manager = timer->data;
    if (manager->phase == SUPERVISOR_ENDING)
        return;
    bool asked = manager->restart_asked;
    manager->restart_asked = false;
    /* Neither: the change that wanted it has been taken back meanwhile. */
    if (!supervisor_apply_restart(manager->apply) && asked)
        supervisor_unit_restart(&manager->server.task.unit);
}

static void on_answer_flushed(const mac_answer *answer, void *data) {
    (void)answer; /* also when the bus is gone: then a restart is all the more wanted */
    supervisor_manager *manager = data;
    if (!uv_is_closing((uv_handle_t *)&manager->grace))
        uv_timer_start(&manager->grace, on_grace_over, GRACE_MS, 0);
}

static void restart_server_after_answer(supervisor_manager *manager) {
    if (manager->bus)
        mac_bus_flush(manager->bus, on_answer_flushed, manager);
    else
        on_answer_flushed(NULL, manager);
}

static void supervisor_control_restart(Macula__V1__SupervisorControl_Service *service,
                                       const Macula__V1__SupervisorRestartRequest *input,
                                       Macula__V1__SupervisorStatus_Closure closure, void *closure_data) {
    supervisor_methods *methods = mac_container_of(service, supervisor_methods, control);
    supervisor_manager *manager = methods->manager;
    mac_request *request = mac_request_from(closure_data);
    const char *name = input->name ? input->name : "";
    supervisor_task *task = supervisor_manager_unit(manager, name);
    bool is_server = strcmp(name, SUPERVISOR_SERVER_NAME) == 0;
    if (!task && !is_server) {
        mac_autobuffer names = {0};
        for (size_t i = 0; i < manager->unit_count; i++)
            mac_buffer_printf(&names, ", %s", manager->units[i].unit.name);
        mac_request_fail(request, MACULA__V1__ERROR_CODE__NOT_FOUND, "name", "no unit \"%s\"; there are %s%s", name,
                         SUPERVISOR_SERVER_NAME, names.data ? names.data : "");
        return;
    }
    if (manager->phase == SUPERVISOR_ENDING) {
        mac_request_fail(request, MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "the node is ending");
        return;
    }
    mac_log_info("restart requested", "unit=%s by=" MAC_LOG_Q("%s"), name, mac_request_caller(request));
    if (task)
        supervisor_unit_restart(&task->unit);
    answer_status(manager, closure, closure_data);
    if (is_server) {
        manager->restart_asked = true;
        restart_server_after_answer(manager);
    }
}

/* ---- the bus server's configuration ---- */

typedef struct participation {
    supervisor_manager *manager;
    mac_request *request;
    Macula__V1__ParticipantAnswer_Closure closure;
    void *closure_data;
    bool changes_realm;
    char *left_store;   /* NULL: none */
    char *other_listen; /* NULL: the bus listens as configured */
} participation;

static void participation_free(participation *p) {
    free(p->left_store);
    free(p->other_listen);
    free(p);
}

static participation *participate(supervisor_manager *manager, const Macula__V1__Document *document,
                                  Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    mac_request *request = mac_request_from(closure_data);
    if (!document || manager->phase == SUPERVISOR_ENDING) {
        mac_request_fail(request, document ? MACULA__V1__ERROR_CODE__UNAVAILABLE : MACULA__V1__ERROR_CODE__INVALID,
                         "document", document ? "the node is ending" : "a document expected, none found");
        return NULL;
    }
    participation *p = mac_malloc(sizeof *p);
    *p = (participation){manager,
                         request,
                         closure,
                         closure_data,
                         supervisor_apply_changes_realm(manager->apply, document),
                         mac_strdup(supervisor_apply_left_store(manager->apply, document)),
                         supervisor_apply_other_listen(manager->apply, document)};
    return p;
}

/* What the way means for the node, as confd shows it. */
static void say_actions(const participation *p, supervisor_way way, Macula__V1__ParticipantAnswer *answer,
                        char *actions[2]) {
    answer->actions = actions;
    switch (way) {
    case SUPERVISOR_NOTHING:
        break;
    case SUPERVISOR_RELOAD:
        actions[answer->n_actions++] = (char *)"reload nats-server";
        break;
    case SUPERVISOR_RESTART:
        actions[answer->n_actions++] = (char *)"restart nats-server";
        break;
    }
    if (p->changes_realm) {
        actions[answer->n_actions++] = (char *)"change the realm at the next start of the node";
        answer->has_reboot_required = answer->reboot_required = true;
    }
}

/* What the node does otherwise than somebody might think who reads only the document. */
static void add_warnings(const participation *p, mac_problems *problems) {
    if (p->left_store)
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, "maculaos.nats.jetstream.store_dir",
                         "the streams in %s stay there and are no longer served; to keep them, stop the node and move "
                         "what is in that directory to the new one, or set the key back",
                         p->left_store);
    if (p->other_listen)
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, "maculaos.nats.listen",
                         "the bus listens on %s: the port that the node was started with (MACULA_NATS_PORT, --port, or "
                         "a free one in place of 4222) goes before this one, until it is started without",
                         p->other_listen);
}

static void on_checked(supervisor_way way, mac_error *error, void *data) {
    participation *p = data;
    if (error && error->code == MACULA__V1__ERROR_CODE__UNAVAILABLE) { /* no fault of the document */
        mac_request_fail_error(p->request, error);
        participation_free(p);
        return;
    }
    Macula__V1__ParticipantAnswer answer = MACULA__V1__PARTICIPANT_ANSWER__INIT;
    char *actions[2];
    mac_autoptr(mac_problems) problems = mac_problems_new();
    size_t count = 0;
    if (error && error->problems)
        mac_problems_join(problems, error->problems);
    else if (error)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, NULL, error->path, "%s", error->message);
    else
        add_warnings(p, problems);
    Macula__V1__Problem **list = mac_problems_to_list(problems, &count);
    answer.problems = list;
    answer.n_problems = count;
    if (!error)
        say_actions(p, way, &answer, actions);
    p->closure(&answer, p->closure_data);
    mac_problem_list_free(list, count);
    mac_error_free(error);
    participation_free(p);
}

static void on_applied(supervisor_way way, mac_error *error, void *data) {
    participation *p = data;
    supervisor_manager *manager = p->manager;
    if (error) {
        mac_request_fail_error(p->request, error);
        participation_free(p);
        return;
    }
    Macula__V1__ParticipantAnswer answer = MACULA__V1__PARTICIPANT_ANSWER__INIT;
    char *actions[2];
    say_actions(p, way, &answer, actions);
    p->closure(&answer, p->closure_data);
    participation_free(p);
    if (way == SUPERVISOR_RESTART)
        restart_server_after_answer(manager);
}

static void supervisor_participant_check(Macula__V1__Participant_Service *service,
                                         const Macula__V1__ParticipantRequest *input,
                                         Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    supervisor_methods *methods = mac_container_of(service, supervisor_methods, participant);
    participation *p = participate(methods->manager, input->document, closure, closure_data);
    if (p)
        supervisor_apply_check(methods->manager->apply, input->document, on_checked, p);
}

static void supervisor_participant_apply(Macula__V1__Participant_Service *service,
                                         const Macula__V1__ParticipantRequest *input,
                                         Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    supervisor_methods *methods = mac_container_of(service, supervisor_methods, participant);
    participation *p = participate(methods->manager, input->document, closure, closure_data);
    if (p && !input->revert)
        methods->manager->generation = input->generation;
    else if (p)
        methods->manager->generation = 0; /* there is nothing to go back to from what was gone back to */
    if (p)
        supervisor_apply_start(methods->manager->apply, input->document, on_applied, p);
}

/* ---- assembly ---- */

supervisor_methods *supervisor_methods_new(supervisor_manager *manager) {
    supervisor_methods *methods = mac_calloc(1, sizeof *methods);
    *methods = (supervisor_methods){
        .supervisor = MACULA__V1__SUPERVISOR__INIT(supervisor_),
        .control = MACULA__V1__SUPERVISOR_CONTROL__INIT(supervisor_control_),
        .participant = MACULA__V1__PARTICIPANT__INIT(supervisor_participant_),
        .manager = manager,
    };
    return methods;
}

void supervisor_methods_free(supervisor_methods *methods) {
    free(methods);
}

int supervisor_methods_serve(supervisor_methods *methods, mac_bus *bus) {
    static const char description[] = "Runs the bus and the services of this node";
    int result = mac_bus_serve(bus, &methods->supervisor.base, NULL, description);
    if (result == 0)
        result = mac_bus_serve(bus, &methods->control.base, NULL, description);
    if (result == 0)
        result = mac_bus_serve(bus, &methods->participant.base, "participant.supervisor",
                               "Applies the bus section of the configuration");
    return result;
}
