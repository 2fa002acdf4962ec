/* Changes that concern other services: those are asked, told, and may refuse, fail, be silent or dead. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confd-applicator.h"
#include "test-confd-service.h"

static const char *const no_units[] = {NULL};
static const char *const health[] = {"healthd", NULL};
static const char *const two[] = {"healthd", "upgrader", NULL};

static void the_services_concerned_are_asked_and_told(void **state) {
    (void)state;
    confd_node *node = node_started(two);
    node_participant(node, "healthd", "obey");
    node_participant(node, "upgrader", "obey");
    assert_done(
        node, "config.patch",
        "{\"patch_json\":\"{\\\"hostname\\\":\\\"b\\\",\\\"maculaos\\\":{\\\"watchdog\\\":{\\\"enabled\\\":true}}}\"}");
    assert_contains(node->answer.body, "restarted the test");
    mac_autofree char *log = node_participant_log(node);
    assert_contains(log, "check 2 host=b previous=macula-ab12 changed=hostname,maculaos.watchdog.enabled\n");
    assert_contains(log, "apply 2 host=b previous=macula-ab12 changed=hostname,maculaos.watchdog.enabled\n");
    assert_int_equal(strlen(log),
                     2 * strlen("check 2 host=b previous=macula-ab12 changed=hostname,maculaos.watchdog.enabled\n"));
    node_free(node);
}

static void a_new_realm_waits_for_the_next_start(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
    assert_done(node, "config.set", "{\"path\":\"maculaos.mesh.realm\",\"value\":\"com.example.plant\"}");
    assert_body(node, "reboot_required", "true");
    assert_contains(node->answer.body, "takes effect at the next start of the node");
    assert_null(strstr(node->answer.body, "has no effect yet"));
    node_free(node);
}

static void a_refusal_changes_nothing(void **state) {
    (void)state;
    confd_node *node = node_started(health);
    node_participant(node, "healthd", "refuse");
    assert_error(node, "config.apply", "{\"text\":\"hostname: b\\nmaculaos: {watchdog: {enabled: true}}\"}", REJECTED,
                 "healthd refused: the test says no");
    assert_contains(node->answer.body, "\"path\":\"maculaos.health\"");
    assert_config(node, "hostname", "\"macula-ab12\"");
    assert_null(box_read(node->box, CONFD_FILE));
    node_await_event(node, "config.rejected", "the test says no");
    node_free(node);
}

static void a_service_that_is_installed_but_silent_prevents_a_change(void **state) {
    (void)state;
    confd_node *node = node_started(health);
    assert_error(node, "config.set", "{\"path\":\"maculaos.watchdog.enabled\",\"value\":\"true\"}", UNAVAILABLE,
                 "healthd");
    assert_done(node, "config.set", "{\"path\":\"hostname\",\"value\":\"b\"}"); /* which does not concern it */
    assert_done(node, "config.set", "{\"path\":\"maculaos.backup.enabled\",\"value\":\"true\"}");
    assert_contains(node->answer.body, "maculaos.backup");
    assert_contains(node->answer.body, "has no effect yet");
    node_free(node);
}

/* Kills all participants: they stay installed. */
static void the_dead(confd_node *node) {
    while (node->participant_count) {
        pid_t process = node->participants[--node->participant_count];
        kill(process, SIGKILL);
        assert_int_equal(waitpid(process, NULL, 0), process);
    }
}

#define WILL_APPLY "healthd does not answer; it will apply the configuration when it is back"

static void a_dead_service_does_not_bar_a_rollback(void **state) {
    (void)state;
    confd_node *node = node_started(health);
    node_participant(node, "healthd", "obey");
    assert_done(node, "config.set", "{\"path\":\"maculaos.watchdog.enabled\",\"value\":\"true\"}");
    the_dead(node);
    assert_error(node, "config.set", "{\"path\":\"maculaos.watchdog.enabled\",\"value\":\"false\"}", UNAVAILABLE,
                 "maculaos services processes");
    assert_done(node, "config.rollback", "{}");
    assert_contains(node->answer.body, WILL_APPLY);
    assert_body(node, "generation", "3");
    assert_done(node, "config.get", "{\"path\":\"maculaos.watchdog.enabled\"}");
    assert_body(node, "is_default", "true");
    node_free(node);
}

static void a_dead_service_does_not_bar_the_way_back_of_an_unconfirmed_change(void **state) {
    (void)state;
    confd_node *node = node_started(health);
    node_participant(node, "healthd", "obey");
    for (int round = 0; round < 2; round++) { /* by hand, and because the time is over */
        mac_autofree char *text = mac_asprintf(
            "{\"text\":\"maculaos: {watchdog: {enabled: true}}\",\"options\":{\"confirm_s\":%d}}", round ? 1 : 600);
        if (round)
            node_participant(node, "healthd", "obey");
        assert_done(node, "config.apply", text);
        the_dead(node);
        if (round == 0) {
            assert_done(node, "config.rollback", "{}");
            assert_contains(node->answer.body, WILL_APPLY);
        }
        node_await_generation(node, 1);
        assert_body(node, "pending", "(none)");
    }
    node_free(node);
}

static void a_silent_service_does_not_bar_a_rollback(void **state) {
    (void)state;
    setenv("MACULA_APPLY_MS", "300", 1);
    confd_node *node = node_started(health);
    unsetenv("MACULA_APPLY_MS");
    node_participant(node, "healthd", "obey");
    assert_done(node, "config.set", "{\"path\":\"maculaos.watchdog.enabled\",\"value\":\"true\"}");
    the_dead(node);
    node_participant(node, "healthd", "silent");
    assert_done(node, "config.rollback", "{}");
    assert_contains(node->answer.body, WILL_APPLY);
    assert_done(node, "config.get", "{\"path\":\"maculaos.watchdog.enabled\"}");
    assert_body(node, "is_default", "true");
    node_free(node);
}

static void taken_back_when(const char *mode, const char *reason) {
    confd_node *node = node_started(two);
    node_participant(node, "upgrader", "obey");
    node_participant(node, "healthd", mode);
    assert_done(node, "config.apply", "{\"text\":\"hostname: a\\n\"}");
    free(node_participant_log(node));
    assert_error(node, "config.apply",
                 "{\"text\":\"hostname: b\\nmaculaos: {watchdog: {enabled: true}, upgrade: {channel: beta}}\\n\"}",
                 ROLLED_BACK, reason);
    assert_contains(node->answer.message, "generation 2 is in force again");
    assert_config(node, "hostname", "\"a\"");
    assert_file(node, CONFD_FILE, "hostname: a\n");
    assert_file(node, "/etc/hostname", "a\n");
    mac_autofree char *log = node_participant_log(node);
    assert_contains(log, "revert 2 host=a previous=b");
    node_await_event(node, "config.reverted", "healthd");
    assert_done(node, "config.history", "{}");
    assert_body(node, "generations[0].state", "\"reverted\"");
    assert_body(node, "generations[1].state", "\"current\"");
    node_stop(node);
    node_free(node);
}

static void a_service_that_fails_takes_everything_back(void **state) {
    (void)state;
    taken_back_when("fail", "the test has failed");
}

static void a_service_that_is_silent_takes_everything_back(void **state) {
    (void)state;
    setenv("MACULA_APPLY_MS", "300", 1);
    taken_back_when("silent", "did not say that it has applied");
    unsetenv("MACULA_APPLY_MS");
}

static void a_service_that_dies_takes_everything_back(void **state) {
    (void)state;
    setenv("MACULA_APPLY_MS", "300", 1);
    taken_back_when("die", "healthd");
    unsetenv("MACULA_APPLY_MS");
}

/* Starts a change that hangs at a service that says nothing, for as long as `ms`. */
static confd_node *with_a_change_that_hangs(const char *ms, const char *options) {
    setenv("MACULA_APPLY_MS", ms, 1);
    confd_node *node = node_started(health);
    unsetenv("MACULA_APPLY_MS");
    node_participant(node, "healthd", "silent");
    mac_autofree char *request =
        mac_asprintf("{\"path\":\"maculaos.watchdog.enabled\",\"value\":\"true\",\"options\":{%s}}", options);
    node_send(node, "config.set", request);
    node_await_asked(node); /* so it is committed, and hangs in the application */
    return node;
}

static void one_change_runs_at_a_time(void **state) {
    (void)state;
    confd_node *node = with_a_change_that_hangs("1000", "");
    assert_done(node, "config.status", "{}");
    assert_body(node, "applying", "true");
    assert_error(node, "config.set", "{\"path\":\"hostname\",\"value\":\"x\"}", CONFLICT,
                 "generation 2 by tester is being applied, before it 1 was in force: wait for it");
    assert_contains(node->answer.body, "\"expected_revision\":1");
    assert_contains(node->answer.body, "\"current_revision\":2");
    assert_error(node, "config.set", "{\"path\":\"hostname\",\"value\":\"x\",\"options\":{\"expected_generation\":7}}",
                 CONFLICT, "by tester");
    assert_contains(node->answer.body, "\"expected_revision\":7");
    assert_error(node, "config.drift_fix", "{}", CONFLICT, "being applied");
    assert_done(node, "config.apply", "{\"text\":\"hostname: dry\",\"options\":{\"dry_run\":true}}");
    node_await_generation(node, 1);
    assert_done(node, "config.set", "{\"path\":\"hostname\",\"value\":\"x\"}");
    node_free(node);
}

static void the_same_job_joins_the_change_that_runs(void **state) {
    (void)state;
    confd_node *node = with_a_change_that_hangs("500", "\"job\":\"j1\"");
    const char *other = "{\"path\":\"hostname\",\"value\":\"other\",\"options\":{\"job\":\"j1\"}}";
    const char *again = "{\"path\":\"maculaos.watchdog.enabled\",\"value\":\"true\",\"options\":{\"job\":\"j1\"}}";
    assert_error(node, "config.set", other, CONFLICT, "job j1 was another request");
    assert_error(node, "config.set", again, ROLLED_BACK, "healthd");
    assert_error(node, "config.set", again, ROLLED_BACK, "healthd"); /* and later, from memory */
    assert_config(node, "hostname", "\"macula-ab12\"");
    node_free(node);
}

static void a_change_that_runs_when_confd_ends_is_taken_back(void **state) {
    (void)state;
    confd_node *node = with_a_change_that_hangs("20000", "");
    free(node_participant_log(node));
    node_stop(node);
    mac_autofree char *log = node_participant_log(node);
    assert_contains(log, "revert 1 ");
    node_start(node, NULL);
    assert_body(node, "generation", "1");
    node_await_event(node, "config.reverted", "");
    node_free(node);
}

static void own_failures_take_everything_back(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
    assert_done(node, "config.apply", "{\"text\":\"hostname: a\\n\"}");
    /* Too large to be kept, which is seen when it is about to be replaced. */
    mac_autofd large = -1;
    assert_int_equal(mac_fs_open(node->box->root, "/etc/broken.conf", O_CREAT | O_WRONLY, 0644, &large), 0);
    assert_int_equal(ftruncate(large, (off_t)CONFD_SAVE_MAX + 1), 0);
    assert_error(node, "config.apply",
                 "{\"text\":\"hostname: b\\nwrite_files: [{path: /etc/broken.conf, content: x}]\\n\"}", ROLLED_BACK,
                 "broken.conf");
    assert_file(node, "/etc/hostname", "a\n");
    assert_file(node, CONFD_FILE, "hostname: a\n");
    node_free(node);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_services_concerned_are_asked_and_told),
        cmocka_unit_test(a_new_realm_waits_for_the_next_start),
        cmocka_unit_test(a_refusal_changes_nothing),
        cmocka_unit_test(a_service_that_is_installed_but_silent_prevents_a_change),
        cmocka_unit_test(a_dead_service_does_not_bar_a_rollback),
        cmocka_unit_test(a_dead_service_does_not_bar_the_way_back_of_an_unconfirmed_change),
        cmocka_unit_test(a_silent_service_does_not_bar_a_rollback),
        cmocka_unit_test(a_service_that_fails_takes_everything_back),
        cmocka_unit_test(a_service_that_is_silent_takes_everything_back),
        cmocka_unit_test(a_service_that_dies_takes_everything_back),
        cmocka_unit_test(one_change_runs_at_a_time),
        cmocka_unit_test(the_same_job_joins_the_change_that_runs),
        cmocka_unit_test(a_change_that_runs_when_confd_ends_is_taken_back),
        cmocka_unit_test(own_failures_take_everything_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
