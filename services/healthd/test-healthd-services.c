/* Looks at the services of the suite, with a supervisor that answers when the test wants it to. */
#include "test-bus-node.h"

#include <string.h>

#include "healthd-manager.h"
#include "macula/v1/supervisor.pb-c.h"

#define QUESTIONS_MAX 4
#define STATE(name) MACULA__V1__UNIT_STATUS__STATE__##name

/* ---- the supervisor ---- */

static mac_request *questions[QUESTIONS_MAX];
static unsigned asked;

static void supervisor_status(Macula__V1__Supervisor_Service *service, const Macula__V1__SupervisorStatusRequest *input,
                              Macula__V1__SupervisorStatus_Closure closure, void *data) {
    (void)service;
    (void)input;
    (void)closure;
    assert_true(asked < QUESTIONS_MAX);
    questions[asked++] = mac_request_from(data);
}

static Macula__V1__Supervisor_Service supervisor = MACULA__V1__SUPERVISOR__INIT(supervisor_);

static void answer_with(unsigned question, Macula__V1__UnitStatus__State netd) {
    Macula__V1__UnitStatus unit = MACULA__V1__UNIT_STATUS__INIT, *units[] = {&unit};
    Macula__V1__SupervisorStatus status = MACULA__V1__SUPERVISOR_STATUS__INIT;
    unit.name = (char *)"netd";
    unit.has_state = true;
    unit.state = netd;
    status.units = units;
    status.n_units = 1;
    mac_request_answer(questions[question], &status.base);
}

/* ---- healthd, without what it looks at by itself ---- */

typedef struct scene {
    test_node *node;
    healthd_manager manager;
} scene;

static scene *scene_new(void) {
    scene *s = mac_calloc(1, sizeof *s);
    healthd_manager *manager = &s->manager;
    mac_autoptr(mac_problems) none = mac_problems_new();
    asked = 0;
    s->node = test_node_new(NULL);
    s->node->service = test_node_bus(s->node, "supervisor", NULL, NULL);
    assert_int_equal(mac_bus_serve(s->node->service, &supervisor.base, NULL, "Says how the services are"), 0);
    test_node_until_connected(s->node, s->node->service);
    s->node->client = test_node_bus(s->node, "healthd", NULL, NULL);
    test_node_until_connected(s->node, s->node->client);
    mac_autofree char *directory = mac_asprintf("%s/root", test_server_directory(s->node->server));
    assert_int_equal(mac_root_open(directory, true, &manager->root), 0);
    manager->loop = &s->node->loop;
    manager->bus = s->node->client;
    manager->sys = healthd_sys_new(manager->root, manager->loop);
    manager->gate.state = HEALTHD_GATE_PASSED;
    manager->plan = healthd_plan_new(NULL, none);
    healthd_history_init(&manager->history, manager->root);
    uv_timer_init(manager->loop, &manager->timer);
    manager->timer.data = manager;
    return s;
}

static void scene_free(scene *s) {
    healthd_manager *manager = &s->manager;
    uv_close((uv_handle_t *)&manager->timer, NULL);
    healthd_sys_free(manager->sys);
    healthd_plan_free(manager->plan);
    mac_strings_deinit(&manager->reasons);
    test_node_free(s->node);
    mac_root_close(manager->root);
    free(s);
}

/* What somebody who asked for a look was told. */
typedef struct told {
    unsigned count;
    Macula__V1__HealthCheck__State netd;
} told;

static void on_told(const Macula__V1__HealthStatus *status, void *data) {
    told *t = data;
    t->count++;
    for (size_t i = 0; i < status->n_checks; i++)
        if (mac_streq(status->checks[i]->name, "service.netd"))
            t->netd = status->checks[i]->state;
}

/* As health_control_run does for what only the supervisor knows. */
static void ask(scene *s, told *t) {
    healthd_manager *manager = &s->manager;
    healthd_run *run = &manager->runs[manager->run_count++];
    *run = (healthd_run){.closure = on_told, .closure_data = t};
    mac_strings_add(&run->waiting, HEALTHD_NODE_CHECK);
    healthd_services_ask(manager);
}

/* ---- the tests ---- */

static void who_asks_is_told_what_the_supervisor_says(void **state) {
    (void)state;
    scene *s = scene_new();
    told t = {0};
    ask(s, &t);
    test_node_until_count(s->node, &asked, 1);
    assert_int_equal(t.count, 0);
    answer_with(0, STATE(ready));
    test_node_until_count(s->node, &t.count, 1);
    assert_int_equal(t.netd, MACULA__V1__HEALTH_CHECK__STATE__ok);
    scene_free(s);
}

/* An answer that was under way already says what was so before: who asks meanwhile waits for the next one. */
static void who_asks_during_a_look_is_told_what_is_so_after_it(void **state) {
    (void)state;
    scene *s = scene_new();
    told t = {0};
    healthd_services_ask(&s->manager); /* as after each connection */
    test_node_until_count(s->node, &asked, 1);
    ask(s, &t);
    answer_with(0, STATE(starting));
    test_node_until_count(s->node, &asked, 2);
    assert_int_equal(t.count, 0);
    answer_with(1, STATE(ready));
    test_node_until_count(s->node, &t.count, 1);
    assert_int_equal(t.netd, MACULA__V1__HEALTH_CHECK__STATE__ok);
    assert_int_equal(asked, 2);
    scene_free(s);
}

static void a_supervisor_that_goes_away_leaves_nobody_without_an_answer(void **state) {
    (void)state;
    scene *s = scene_new();
    told t = {0};
    ask(s, &t);
    test_node_until_count(s->node, &asked, 1);
    ask(s, &t);
    mac_request_fail(questions[0], MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "about to end");
    test_node_until_count(s->node, &asked, 2);
    mac_request_fail(questions[1], MACULA__V1__ERROR_CODE__UNAVAILABLE, NULL, "about to end");
    test_node_until_count(s->node, &t.count, 2);
    scene_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_asks_is_told_what_the_supervisor_says),
        cmocka_unit_test(who_asks_during_a_look_is_told_what_is_so_after_it),
        cmocka_unit_test(a_supervisor_that_goes_away_leaves_nobody_without_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
