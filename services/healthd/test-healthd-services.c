/* Looks at the services of the suite, with a supervisor that answers when the test wants it to. */
#include "test-bus-node.h"

#include <string.h>

#include "healthd-manager.h"
#include "macula/v1/supervisor.pb-c.h"

#define QUESTIONS_MAX 16
#define STATE(name) MACULA__V1__UNIT_STATUS__STATE__##name

/* ---- the supervisor ---- */

static uint64_t now = 1000;

uint64_t healthd_boot_ms(void) {
    return now;
}

static mac_request *questions[QUESTIONS_MAX];
static unsigned asked;
static unsigned deaths; /* of netd */
static const char *message;

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
    unit.has_deaths = true;
    unit.deaths = deaths;
    unit.message = (char *)message;
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
    asked = deaths = 0;
    message = NULL;
    s->node = test_node_new(NULL);
    s->node->service = test_node_bus(s->node, "supervisor", NULL, NULL);
    assert_int_equal(mac_bus_serve(s->node->service, &supervisor.base, NULL, "Says how the services are"), 0);
    test_node_until_connected(s->node, s->node->service);
    s->node->client = test_node_bus(s->node, "healthd", NULL, NULL);
    test_node_until_connected(s->node, s->node->client);
    mac_autofree char *directory = mac_asprintf("%s/root", test_server_directory(s->node->server));
    assert_int_equal(mac_root_open(directory, true, &manager->root), 0);
    assert_int_equal(mac_fs_mkdirs(manager->root, HEALTHD_DIRECTORY, 0700), 0);
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
    healthd_gate_deinit(&manager->gate);
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

/* ---- deaths ---- */

static scene *gate_holds_scene(void) {
    scene *s = scene_new();
    healthd_manager *manager = &s->manager;
    healthd_plan_add_service(manager->plan, "netd");
    for (size_t i = 0; i < manager->plan->count; i++)
        healthd_check_set(manager->plan->checks[i], true, "well", now, 1);
    manager->gate = (healthd_gate){.state = HEALTHD_GATE_HOLDING, .started_boot = now};
    healthd_manager_consider(manager);
    assert_true(manager->gate.holds);
    return s;
}

static healthd_check *netd_of(scene *s) {
    return healthd_plan_find(s->manager.plan, "service.netd");
}

/* What the supervisor says now, a second later. */
static void netd_is(scene *s, Macula__V1__UnitStatus__State state, unsigned died, const char *why) {
    unsigned question = asked;
    told t = {0};
    deaths = died;
    message = why;
    now += 1000;
    ask(s, &t);
    test_node_until_count(s->node, &asked, question + 1);
    answer_with(question, state);
    test_node_until_count(s->node, &t.count, 1);
}

static mac_strings deaths_in_history(scene *s) {
    mac_strings list = {0};
    Macula__V1__HealthHistory *history = healthd_history_read(&s->manager.history, 0, 100, NULL);
    for (size_t i = 0; i < history->n_entries; i++)
        if (history->entries[i]->what == MACULA__V1__HEALTH_ENTRY__WHAT__death)
            mac_strings_addf(&list, "%s %s", history->entries[i]->name, history->entries[i]->message);
    macula__v1__health_history__free_unpacked(history, NULL);
    return list;
}

static void a_service_that_dies_and_comes_back_begins_the_hold_anew_and_is_named(void **state) {
    (void)state;
    scene *s = gate_holds_scene();
    netd_is(s, STATE(waiting), 1, "killed by signal 6 (Aborted)");
    assert_int_equal(netd_of(s)->state, HEALTHD_OK);
    assert_false(s->manager.gate.holds);
    assert_string_equal(s->manager.gate.reasons.items[0], "service.netd: waiting: killed by signal 6 (Aborted)");
    netd_is(s, STATE(starting), 1, NULL);
    assert_false(s->manager.gate.holds);
    netd_is(s, STATE(ready), 1, "serving");
    assert_true(s->manager.gate.holds);
    assert_int_equal(s->manager.gate.since_boot, now);
    netd_is(s, STATE(ready), 2, "serving"); /* no event of it has come */
    assert_true(s->manager.gate.holds);
    assert_int_equal(s->manager.gate.since_boot, now);
    mac_autostrings named = deaths_in_history(s);
    assert_int_equal(named.count, 2);
    assert_string_equal(named.items[0], "service.netd died (runs again); deaths within the hour: 2");
    assert_string_equal(named.items[1], "service.netd died (killed by signal 6 (Aborted)); deaths within the hour: 1");
    scene_free(s);
}

static void a_restart_that_was_asked_for_is_no_death(void **state) {
    (void)state;
    scene *s = gate_holds_scene();
    uint64_t since = s->manager.gate.since_boot;
    netd_is(s, STATE(stopping), 0, NULL);
    netd_is(s, STATE(starting), 0, NULL);
    netd_is(s, STATE(ready), 0, NULL);
    assert_true(s->manager.gate.holds);
    assert_int_equal(s->manager.gate.since_boot, since);
    mac_autostrings named = deaths_in_history(s);
    assert_int_equal(named.count, 0);
    scene_free(s);
}

static void five_deaths_within_an_hour_fail_its_check_until_the_hour_is_over(void **state) {
    (void)state;
    scene *s = gate_holds_scene();
    healthd_manager *manager = &s->manager;
    for (unsigned i = 1; i <= 7; i++) {
        netd_is(s, STATE(waiting), i, "killed by signal 6 (Aborted)");
        assert_int_equal(netd_of(s)->state, i < HEALTHD_DEATHS_MAX ? HEALTHD_OK : HEALTHD_FAILED);
    }
    netd_is(s, STATE(ready), 7, "serving");
    assert_string_equal(netd_of(s)->message, "died 7 times within the hour (ready: serving)");
    assert_string_equal(manager->gate.reasons.items[0], "service.netd: died 7 times within the hour (ready: serving)");
    assert_int_equal(manager->state, HEALTHD_NODE(degraded)); /* it is there, after all */
    assert_int_equal(netd_of(s)->restart_count, 0);           /* and no restart would help */
    mac_autostrings named = deaths_in_history(s);
    assert_int_equal(named.count, HEALTHD_DEATHS_MAX);
    now = netd_of(s)->due_boot;
    netd_is(s, STATE(ready), 7, "serving");
    assert_int_equal(netd_of(s)->state, HEALTHD_OK);
    assert_int_equal(manager->state, HEALTHD_NODE(ok));
    scene_free(s);
}

static void one_that_was_given_up_and_is_mended_begins_anew(void **state) {
    (void)state;
    scene *s = gate_holds_scene();
    netd_is(s, STATE(failed), 8, "gave up after 8 attempts");
    assert_int_equal(s->manager.state, HEALTHD_NODE(failed));
    netd_is(s, STATE(ready), 8, "serving");
    assert_int_equal(netd_of(s)->state, HEALTHD_OK);
    scene_free(s);
}

/* It has no look of its own: only this brings the next restart. */
static void one_whose_restarts_are_spent_is_restarted_again_when_the_hour_is_over(void **state) {
    (void)state;
    scene *s = gate_holds_scene();
    uint64_t first = now + 1000;
    netd_is(s, STATE(failed), 0, "gave up");
    while (netd_of(s)->restart_count < netd_of(s)->max_restarts) {
        assert_true(netd_of(s)->due_boot > now);
        now = netd_of(s)->due_boot;
        netd_is(s, STATE(failed), 0, "gave up");
    }
    now = healthd_check_backoff(netd_of(s), now);
    netd_is(s, STATE(failed), 0, "gave up");
    assert_int_equal(netd_of(s)->due_boot, first + HEALTHD_HOUR_MS);
    scene_free(s);
}

static void one_that_fails_while_it_is_silenced_is_restarted_when_that_is_over(void **state) {
    (void)state;
    scene *s = gate_holds_scene();
    netd_of(s)->silent_until_boot = now + 60000;
    netd_of(s)->is_silenced = true;
    netd_is(s, STATE(failed), 0, "gave up");
    assert_int_equal(netd_of(s)->restart_count, 0);
    now += 60000;
    healthd_manager_arm(&s->manager);
    while (netd_of(s)->restart_count == 0)
        uv_run(s->manager.loop, UV_RUN_ONCE);
    assert_false(netd_of(s)->is_silenced);
    scene_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_asks_is_told_what_the_supervisor_says),
        cmocka_unit_test(who_asks_during_a_look_is_told_what_is_so_after_it),
        cmocka_unit_test(a_supervisor_that_goes_away_leaves_nobody_without_an_answer),
        cmocka_unit_test(a_service_that_dies_and_comes_back_begins_the_hold_anew_and_is_named),
        cmocka_unit_test(a_restart_that_was_asked_for_is_no_death),
        cmocka_unit_test(five_deaths_within_an_hour_fail_its_check_until_the_hour_is_over),
        cmocka_unit_test(one_that_was_given_up_and_is_mended_begins_anew),
        cmocka_unit_test(one_whose_restarts_are_spent_is_restarted_again_when_the_hour_is_over),
        cmocka_unit_test(one_that_fails_while_it_is_silenced_is_restarted_when_that_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
