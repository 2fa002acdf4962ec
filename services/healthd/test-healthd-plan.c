/* What a configuration becomes, and what is refused with its path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "codec/mac-codec.h"
#include "healthd-plan.h"

/* The plan of a section's JSON; problems as text in *ret_said (may be NULL: then there are none). */
static healthd_plan *plan_of(const char *maculaos, char **ret_said) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autofree char *text = mac_asprintf("{\"maculaos\":%s}", maculaos);
    ProtobufCMessage *document = NULL;
    if (mac_codec_from_json(&macula__v1__document__descriptor, text, strlen(text), problems, &document) < 0) {
        mac_autofree char *why = mac_problems_format(problems);
        fail_msg("the schema refuses it: %s", why);
    }
    healthd_plan *plan = healthd_plan_new((const Macula__V1__Document *)document, problems);
    protobuf_c_message_free_unpacked(document, NULL);
    char *said = mac_problems_format(problems);
    if (!ret_said)
        assert_string_equal(said, "");
    if (ret_said)
        *ret_said = said;
    else
        free(said);
    return plan;
}

static void the_node_checks_itself_without_any_configuration(void **state) {
    (void)state;
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(healthd_plan) plan = healthd_plan_new(NULL, problems);
    static const char *const own[] = {"node.bus",    "node.state", "node.configuration", "node.space",
                                      "node.memory", "node.clock", "node.entropy"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(own); i++)
        assert_non_null(healthd_plan_find(plan, own[i]));
    assert_true(plan->watchdog.enabled);
    assert_int_equal(plan->watchdog.timeout_s, 60);
    assert_int_equal(plan->gate_hold_ms, 60000);
    assert_int_equal(plan->gate_limit_ms, 600000);
}

static void a_check_is_read_with_its_defaults(void **state) {
    (void)state;
    mac_autoptr(healthd_plan) plan = plan_of("{\"health\":{\"checks\":[{\"name\":\"shop\",\"type\":\"http\",\"url\":"
                                             "\"http://localhost/\",\"restart_on_failure\":true}]}}",
                                             NULL);
    const healthd_check *check = healthd_plan_find(plan, "shop");
    assert_int_equal(check->interval_ms, 30000);
    assert_int_equal(check->timeout_ms, 5000);
    assert_int_equal(check->failures, 3);
    assert_int_equal(check->max_restarts, 3);
    assert_string_equal(check->service, "shop");
    assert_true(check->restarts && check->counts && !check->gates && !check->critical);
}

static void action_none_is_only_shown(void **state) {
    (void)state;
    mac_autoptr(healthd_plan) plan =
        plan_of("{\"health\":{\"checks\":[{\"name\":\"m\",\"type\":\"memory\",\"action\":\"none\"}]}}", NULL);
    assert_false(healthd_plan_find(plan, "m")->counts);
}

static void assert_refused(const char *check, const char *path, const char *why) {
    mac_autofree char *said = NULL;
    mac_autofree char *text =
        mac_asprintf("{\"health\":{\"checks\":[{\"name\":\"first\",\"type\":\"memory\"},%s]}}", check);
    assert_null(plan_of(text, &said));
    mac_autofree char *expected = mac_asprintf("maculaos.health.checks[1].%s: ", path);
    if (!strstr(said, expected) || !strstr(said, why))
        fail_msg("expected %s… %s, found %s", expected, why, said);
}

static void what_cannot_be_checked_is_refused_with_its_path(void **state) {
    (void)state;
    assert_refused("{\"name\":\"a\",\"type\":\"process\"}", "process", "needs it");
    assert_refused("{\"name\":\"a\",\"type\":\"http\"}", "url", "needs it");
    assert_refused("{\"name\":\"a\",\"type\":\"http\",\"url\":\"ftp://x/\"}", "url", "http://");
    assert_refused("{\"name\":\"a\",\"type\":\"tcp\"}", "address", "needs it");
    assert_refused("{\"name\":\"a\",\"type\":\"disk\"}", "path", "needs it");
    assert_refused("{\"name\":\"a\",\"type\":\"exec\"}", "command", "needs it");
    assert_refused("{\"name\":\"a\",\"type\":\"bus\"}", "procedure", "needs it");
    assert_refused("{\"name\":\"a\",\"type\":\"bus\",\"procedure\":\"a.*\"}", "procedure", "service.method");
    assert_refused("{\"name\":\"a\",\"type\":\"bus\",\"procedure\":\"participant.confd.apply\"}", "procedure",
                   "no such procedure");
    assert_refused("{\"name\":\"a\",\"type\":\"bus\",\"procedure\":\"config.patch\"}", "procedure", "changes");
    assert_refused("{\"name\":\"a\",\"type\":\"bus\",\"procedure\":\"node.reboot\"}", "procedure", "changes");
    assert_refused("{\"name\":\"first\",\"type\":\"clock\"}", "name", "two checks");
    assert_refused("{\"name\":\"node.clock\",\"type\":\"clock\"}", "name", "the node's own");
    assert_refused("{\"name\":\"service.x\",\"type\":\"clock\"}", "name", "the node's own");
}

static void times_out_of_range_are_refused(void **state) {
    (void)state;
    assert_refused("{\"name\":\"a\",\"type\":\"memory\",\"interval\":\"0\"}", "interval", "out of range");
    assert_refused("{\"name\":\"a\",\"type\":\"memory\",\"interval\":\"1ms\"}", "interval", "out of range");
    assert_refused("{\"name\":\"a\",\"type\":\"memory\",\"interval\":\"3650d\"}", "interval", "out of range");
    assert_refused("{\"name\":\"a\",\"type\":\"memory\",\"timeout\":\"0\"}", "timeout", "out of range");
    assert_refused("{\"name\":\"a\",\"type\":\"memory\",\"timeout\":\"2h\"}", "timeout", "out of range");
    assert_refused("{\"name\":\"a\",\"type\":\"memory\",\"restart_on_failure\":true,\"max_restarts\":1000}",
                   "max_restarts", "too many");
}

static void every_mistake_is_said_at_once(void **state) {
    (void)state;
    mac_autofree char *said = NULL;
    assert_null(
        plan_of("{\"health\":{\"checks\":[{\"name\":\"a\",\"type\":\"http\"},{\"name\":\"a\",\"type\":\"tcp\"}]},"
                "\"watchdog\":{\"timeout\":\"1s\"},\"upgrade\":{\"health_hold\":\"1h\"}}",
                &said));
    assert_non_null(strstr(said, "maculaos.health.checks[0].url"));
    assert_non_null(strstr(said, "maculaos.health.checks[1].address"));
    assert_non_null(strstr(said, "maculaos.health.checks[1].name"));
    assert_non_null(strstr(said, "maculaos.watchdog.timeout"));
    assert_non_null(strstr(said, "maculaos.upgrade.health_hold"));
}

static void private_values_are_not_quoted(void **state) {
    (void)state;
    mac_autofree char *said = NULL;
    assert_null(
        plan_of("{\"health\":{\"checks\":[{\"name\":\"a\",\"type\":\"http\",\"url\":\"ftp://sesame/\"}]}}", &said));
    assert_null(strstr(said, "sesame"));
}

static void triggers_and_remedies_are_understood(void **state) {
    (void)state;
    mac_autofree char *said = NULL;
    mac_autoptr(healthd_plan) plan =
        plan_of("{\"auto_heal\":{\"actions\":{\"full\":{\"trigger\":\"disk_usage > 90%\",\"action\":\"cleanup_disk\"},"
                "\"mem\":{\"trigger\":\"memory_usage>95%\",\"action\":\"echo hello\"},"
                "\"oom\":{\"trigger\":\"oom_kill_detected\",\"action\":\"restart_pod\"},"
                "\"svc\":{\"trigger\":\"service_failed\",\"action\":\"restart_service\"}}}}",
                &said);
    assert_non_null(plan);
    assert_int_equal(plan->rule_count, 4);
    const healthd_check *full = healthd_plan_find(plan, "heal.full");
    assert_true(full->hidden && full->threshold == 90.0);
    assert_non_null(strstr(said, "maculaos.auto_heal.actions.oom.action"));
    assert_non_null(strstr(said, "has no effect yet"));
}

static void triggers_that_mean_nothing_are_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"disk_usage", "disk_usage > lots", "disk_usage < 90%", "on tuesdays",
                                        "disk_usage > 900%"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(wrong); i++) {
        mac_autofree char *said = NULL;
        mac_autofree char *text = mac_asprintf(
            "{\"auto_heal\":{\"actions\":{\"x\":{\"trigger\":\"%s\",\"action\":\"cleanup_disk\"}}}}", wrong[i]);
        assert_null(plan_of(text, &said));
        assert_non_null(strstr(said, "maculaos.auto_heal.actions.x.trigger"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_node_checks_itself_without_any_configuration),
        cmocka_unit_test(a_check_is_read_with_its_defaults),
        cmocka_unit_test(action_none_is_only_shown),
        cmocka_unit_test(what_cannot_be_checked_is_refused_with_its_path),
        cmocka_unit_test(times_out_of_range_are_refused),
        cmocka_unit_test(every_mistake_is_said_at_once),
        cmocka_unit_test(private_values_are_not_quoted),
        cmocka_unit_test(triggers_and_remedies_are_understood),
        cmocka_unit_test(triggers_that_mean_nothing_are_refused),
    };
    return cmocka_run_group_tests_name("healthd plan", tests, NULL, NULL);
}
