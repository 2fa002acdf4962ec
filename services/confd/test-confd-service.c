/* The whole service: what callers of the bus see. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test-confd-service.h"

static const char *const no_units[] = {NULL};
static const char *const health[] = {"healthd", NULL};
static const char *const two[] = {"healthd", "upgrader", NULL};

static confd_node *started(const char *const *units) {
    confd_node *node = node_new(units);
    node_start(node, NULL);
    return node;
}

/* ---- reading ---- */

static void a_node_without_any_file_has_its_defaults(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    assert_body(node, "generation", "1");
    assert_config(node, "hostname", "\"macula-ab12\"");
    assert_body(node, "is_default", "true");
    assert_config(node, "maculaos.timezone", "\"UTC\"");
    assert_file(node, "/etc/hostname", "macula-ab12\n");
    assert_error(node, "config.get", "{\"path\":\"hostnam\"}", INVALID, "did you mean");
    assert_error(node, "config.get", "{\"path\":\"maculaos.wifi[0].name\"}", NOT_FOUND, "no such item");
    struct stat status;
    assert_int_equal(mac_fs_stat(node->box->root, "/run/macula/config.pb", &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    node_stop(node);
    node_free(node);
}

static void a_value_says_where_it_comes_from(void **state) {
    (void)state;
    confd_node *node = node_new(no_units);
    box_write(node->box, CONFD_SYSTEM_FILE, "maculaos: {keyboard: de}\n");
    setenv("MACULA_CMDLINE", "maculaos.hostname=pinned", 1);
    node_start(node, NULL);
    assert_done(node, "config.get", "{\"path\":\"maculaos.keyboard\"}");
    assert_body(node, "source", "\"" CONFD_SYSTEM_FILE "\"");
    assert_done(node, "config.get", "{\"path\":\"hostname\"}");
    assert_body(node, "source", "\"" CONFD_CMDLINE "\"");
    assert_error(node, "config.set", "{\"path\":\"hostname\",\"value\":\"x\"}", INVALID, "kernel command line");
    node_free(node);
}

static void secrets_never_leave(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    assert_done(
        node, "config.apply",
        "{\"text\":\"maculaos: {token: clear-token, password: clear-password, wifi: [{name: x, psk: clear-wifi}]}\"}");
    const char *const questions[][2] = {
        {"config.get", "{}"},
        {"config.show", "{}"},
        {"config.diff", "{}"},
        {"config.history", "{}"},
        {"config.status", "{}"},
        {"config.source", "{}"},
        {"config.apply", "{\"text\":\"maculaos: {token: other-token}\",\"options\":{\"dry_run\":true}}"}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(questions); i++) {
        assert_done(node, questions[i][0], questions[i][1]);
        assert_null(strstr(node->answer.body, "clear-"));
        assert_null(strstr(node->answer.body, "other-"));
        if (i < 3)
            assert_null(strstr(node->answer.body, "sealed:"));
    }
    assert_config(node, "maculaos.wifi[0].passphrase", "\"********\"");
    const char *const files[] = {CONFD_FILE, CONFD_STORE_FILE, CONFD_STORE_FILE "-wal", "/run/macula/config.pb"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(files); i++) {
        char *data = NULL;
        size_t length = 0;
        if (mac_fs_read(node->box->root, files[i], 8u << 20, &data, &length) == 0)
            assert_null(memmem(data, length, "clear-", 6));
        free(data);
    }
    for (size_t i = 0; i < node->events.count; i++)
        assert_null(strstr(node->events.items[i], "clear-"));
    node_free(node);
}

static void history_and_differences_tell_what_happened(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    assert_done(node, "config.set",
                "{\"path\":\"hostname\",\"value\":\"a\",\"options\":{\"author\":\"alice\",\"message\":\"first\"}}");
    assert_body(node, "generation", "2");
    assert_body(node, "changes[0].path", "\"hostname\"");
    assert_done(node, "config.set", "{\"path\":\"hostname\",\"value\":\"b\"}");
    assert_done(node, "config.history", "{}");
    assert_int_equal(json_array_size(json_object_get(node->body, "generations")), 3);
    assert_body(node, "generations[0].state", "\"current\"");
    assert_body(node, "generations[1].author", "\"alice\"");
    assert_body(node, "generations[1].message", "\"first\"");
    assert_done(node, "config.diff", "{}");
    assert_body(node, "changes", "[{\"new_json\":\"\\\"b\\\"\",\"old_json\":\"\\\"a\\\"\",\"path\":\"hostname\"}]");
    assert_error(node, "config.show", "{\"generation\":77}", NOT_FOUND, "77");
    assert_done(node, "config.show", "{\"generation\":2}");
    assert_body(node, "document.hostname", "\"a\"");
    node_free(node);
}

static void a_validation_changes_nothing(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    assert_done(node, "config.validate", "{\"text\":\"hostnam: x\\nmaculaos: {mtu: 1}\",\"name\":\"f.yaml\"}");
    assert_body(node, "valid", "false");
    assert_int_equal(json_array_size(json_object_get(node->body, "problems")), 2);
    assert_body(node, "problems[0].file", "\"f.yaml\"");
    assert_done(node, "config.validate", "{\"text\":\"hostname: x\\nmaculaos: {backup: {enabled: true}}\"}");
    assert_body(node, "valid", "true");
    assert_contains(node->answer.body, "no service on this node applies it");
    assert_done(node, "config.status", "{}");
    assert_body(node, "generation", "1");
    node_free(node);
}

/* ---- changing ---- */

static void what_is_applied_is_on_the_node_and_in_the_files(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    const char *text = "# mine\nhostname: edge-7\n";
    mac_autofree char *request = mac_asprintf("{\"text\":\"# mine\\nhostname: edge-7\\n\",\"name\":\"my.yaml\"}");
    assert_done(node, "config.apply", request);
    assert_body(node, "services[0].service", "\"confd\"");
    assert_file(node, CONFD_FILE, text);
    assert_file(node, "/etc/hostname", "edge-7\n");
    node_await_event(node, "config.changed", "\"generation\":2");
    assert_done(node, "config.patch", "{\"patch_json\":\"{\\\"hostname\\\":\\\"edge-8\\\"}\"}");
    assert_file(node, CONFD_FILE, text);
    assert_file(node, "/etc/hostname", "edge-8\n");
    assert_done(node, "config.set", "{\"path\":\"hostname\",\"unset\":true}");
    assert_config(node, "hostname", "\"macula-ab12\"");
    assert_done(node, "config.apply", request);
    assert_null(box_read(node->box, CONFD_CHANGES_FILE));
    assert_done(node, "config.apply", request);
    assert_body(node, "nothing_to_do", "true");
    assert_done(node, "config.source", "{}");
    assert_body(node, "text", "\"# mine\\nhostname: edge-7\\n\"");
    node_free(node);
}

static void an_edit_is_taken_over_by_apply_and_by_a_start(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    box_write(node->box, CONFD_FILE, "hostname: by-apply\n");
    assert_done(node, "config.apply", "{}");
    assert_config(node, "hostname", "\"by-apply\"");
    node_stop(node);
    box_write(node->box, CONFD_FILE, "hostname: by-start\nmaculaos: {token: clear-token}\n");
    node_start(node, NULL);
    assert_config(node, "hostname", "\"by-start\"");
    mac_autofree char *file = box_read(node->box, CONFD_FILE);
    assert_contains(file, "token: \"sealed:v1:");
    assert_done(node, "config.history", "{}");
    assert_body(node, "generations[0].author", "\"file\"");
    assert_body(node, "generations[0].message", "\"changed on disk: " CONFD_FILE "\"");
    node_stop(node);
    box_write(node->box, CONFD_FILE, "hostname: -wrong-\n");
    node_start(node, NULL);
    assert_config(node, "hostname", "\"by-start\"");
    node_await_event(node, "config.rejected", CONFD_FILE);
    assert_done(node, "config.status", "{}");
    assert_contains(node->answer.body, "the files on disk are not applied");
    assert_file(node, CONFD_FILE, "hostname: -wrong-\n"); /* the person's text is not lost */
    node_free(node);
}

static void a_change_is_made_on_top_of_what_the_caller_knows(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    assert_error(node, "config.set", "{\"path\":\"hostname\",\"value\":\"a\",\"options\":{\"expected_generation\":9}}",
                 CONFLICT, "generation 9");
    assert_contains(node->answer.body, "\"current_revision\"");
    assert_done(node, "config.set", "{\"path\":\"hostname\",\"value\":\"a\",\"options\":{\"expected_generation\":1}}");
    node_free(node);
}

static void a_repeated_job_is_done_once(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    const char *request = "{\"path\":\"hostname\",\"value\":\"a\",\"options\":{\"job\":\"j1\"}}";
    assert_done(node, "config.set", request);
    assert_done(node, "config.set", "{\"path\":\"hostname\",\"value\":\"b\"}");
    assert_done(node, "config.set", request);
    assert_body(node, "generation", "2");
    assert_config(node, "hostname", "\"b\"");
    node_free(node);
}

static void a_dry_run_touches_nothing(void **state) {
    (void)state;
    confd_node *node = started(health);
    node_participant(node, "healthd", "obey");
    assert_done(node, "config.apply",
                "{\"text\":\"hostname: dry\\nmaculaos: {health: {checks: []}, watchdog: {enabled: true}}\","
                "\"options\":{\"dry_run\":true}}");
    assert_body(node, "dry_run", "true");
    assert_body(node, "generation", "1");
    assert_contains(node->answer.body, "restart the test");
    assert_contains(node->answer.body, "/etc/hostname");
    mac_autofree char *log = node_participant_log(node);
    assert_contains(log, "check 2 host=dry");
    assert_null(strstr(log, "apply"));
    assert_file(node, "/etc/hostname", "macula-ab12\n");
    assert_null(box_read(node->box, CONFD_FILE));
    assert_done(node, "config.status", "{}");
    assert_body(node, "generation", "1");
    node_free(node);
}

static void a_rollback_is_a_new_generation(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    assert_done(node, "config.apply", "{\"text\":\"hostname: a\\n\"}");
    assert_done(node, "config.set", "{\"path\":\"hostname\",\"value\":\"b\"}");
    assert_done(node, "config.rollback", "{\"generation\":2}");
    assert_body(node, "generation", "4");
    assert_config(node, "hostname", "\"a\"");
    assert_file(node, CONFD_FILE, "hostname: a\n");
    assert_null(box_read(node->box, CONFD_CHANGES_FILE));
    assert_done(node, "config.history", "{}");
    assert_body(node, "generations[0].message", "\"rollback to generation 2\"");
    assert_body(node, "generations[1].state", "\"reverted\"");
    assert_done(node, "config.rollback", "{}"); /* without a number: what was before */
    assert_config(node, "hostname", "\"b\"");
    node_free(node);
}

static void a_published_patch_is_applied(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    const char *patch = "{\"hostname\":\"published\"}";
    assert_int_equal(
        mac_bus_publish_raw(node->client, "macula.pub." TEST_REALM ".config.change", patch, strlen(patch), NULL), 0);
    node_await_event(node, "config.changed", "\"author\":\"admin\"");
    assert_config(node, "hostname", "\"published\"");
    patch = "{\"hostnam\":1}";
    assert_int_equal(
        mac_bus_publish_raw(node->client, "macula.pub." TEST_REALM ".config.change", patch, strlen(patch), NULL), 0);
    node_await_event(node, "config.rejected", "hostname");
    node_free(node);
}

/* ---- with others ---- */

static void the_services_concerned_are_asked_and_told(void **state) {
    (void)state;
    confd_node *node = started(two);
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
    confd_node *node = started(no_units);
    assert_done(node, "config.set", "{\"path\":\"maculaos.mesh.realm\",\"value\":\"com.example.plant\"}");
    assert_body(node, "reboot_required", "true");
    assert_contains(node->answer.body, "takes effect at the next start of the node");
    assert_null(strstr(node->answer.body, "has no effect yet"));
    node_free(node);
}

static void a_refusal_changes_nothing(void **state) {
    (void)state;
    confd_node *node = started(health);
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
    confd_node *node = started(health);
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
    confd_node *node = started(health);
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
    confd_node *node = started(health);
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
    confd_node *node = started(health);
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
    confd_node *node = started(two);
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
    confd_node *node = started(health);
    unsetenv("MACULA_APPLY_MS");
    node_participant(node, "healthd", "silent");
    mac_autofree char *request =
        mac_asprintf("{\"path\":\"maculaos.watchdog.enabled\",\"value\":\"true\",\"options\":{%s}}", options);
    node_send(node, "config.set", request);
    node_await_event(node, "config.changed", "\"generation\":2"); /* committed, so it hangs in the application */
    return node;
}

static void one_change_runs_at_a_time(void **state) {
    (void)state;
    confd_node *node = with_a_change_that_hangs("1000", "");
    assert_done(node, "config.status", "{}");
    assert_body(node, "applying", "true");
    assert_error(node, "config.set", "{\"path\":\"hostname\",\"value\":\"x\"}", CONFLICT,
                 "another change is being applied");
    assert_contains(node->answer.body, "\"current_revision\":2");
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
    confd_node *node = started(no_units);
    assert_done(node, "config.apply", "{\"text\":\"hostname: a\\n\"}");
    assert_int_equal(mac_fs_mkdirs(node->box->root, "/etc/broken.conf/x", 0755), 0);
    assert_error(node, "config.apply",
                 "{\"text\":\"hostname: b\\nwrite_files: [{path: /etc/broken.conf, content: x}]\\n\"}", ROLLED_BACK,
                 "broken.conf");
    assert_file(node, "/etc/hostname", "a\n");
    assert_file(node, CONFD_FILE, "hostname: a\n");
    node_free(node);
}

/* ---- confirming ---- */

#define TRY_IT(name, seconds)                                                                                          \
    "{\"text\":\"hostname: " name "\\n\",\"options\":{\"author\":\"alice\",\"confirm_s\":" #seconds "}}"

static void an_unconfirmed_change_goes_back_by_itself(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    assert_done(node, "config.apply", TRY_IT("tried", 1));
    assert_body(node, "pending.author", "\"alice\"");
    assert_file(node, "/etc/hostname", "tried\n");
    node_await_generation(node, 1);
    assert_file(node, "/etc/hostname", "macula-ab12\n");
    assert_null(box_read(node->box, CONFD_FILE));
    node_await_event(node, "config.reverted", "not confirmed by alice in time");
    node_free(node);
}

static void only_the_author_confirms(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    assert_error(node, "config.confirm", "{\"author\":\"alice\"}", NOTHING_TO_DO, "nothing waits");
    assert_done(node, "config.apply", TRY_IT("tried", 60));
    assert_error(node, "config.confirm", "{\"author\":\"bob\"}", DENIED, "only alice");
    assert_error(node, "config.set", "{\"path\":\"hostname\",\"value\":\"x\"}", CONFLICT, "confirmed by alice");
    assert_done(node, "config.apply", "{\"text\":\"hostname: dry\\n\",\"options\":{\"dry_run\":true}}");
    assert_done(node, "config.status", "{}");
    assert_body(node, "pending.generation", "2");
    assert_done(node, "config.confirm", "{\"author\":\"alice\"}");
    assert_done(node, "config.status", "{}");
    assert_body(node, "pending", "(none)");
    assert_body(node, "last_good", "2");
    assert_done(node, "config.set", "{\"path\":\"hostname\",\"value\":\"x\"}");
    node_free(node);
}

static void a_pending_change_can_be_rolled_back_at_once(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    assert_done(node, "config.apply", TRY_IT("tried", 60));
    assert_done(node, "config.rollback", "{}");
    assert_body(node, "generation", "1");
    assert_file(node, "/etc/hostname", "macula-ab12\n");
    node_free(node);
}

static void a_pending_change_survives_a_restart_of_confd_but_no_power_cut(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    assert_done(node, "config.apply", TRY_IT("tried", 60));
    node_kill(node);
    node_start(node, NULL);
    assert_body(node, "pending.generation", "2");
    assert_config(node, "hostname", "\"tried\"");
    node_kill(node);
    setenv("MACULA_BOOT_ID", "boot-2", 1);
    node_start(node, NULL);
    assert_body(node, "pending", "(none)");
    assert_config(node, "hostname", "\"macula-ab12\"");
    assert_file(node, "/etc/hostname", "macula-ab12\n");
    assert_null(box_read(node->box, CONFD_FILE));
    node_await_event(node, "config.reverted", "before the node went down");
    node_free(node);
}

static void an_unconfirmed_change_goes_back_without_a_bus(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    assert_done(node, "config.apply", TRY_IT("tried", 1));
    unsigned lost = node->states.lost;
    test_server_kill(node->bus->server);
    test_node_until_count(node->bus, &node->states.lost, lost + 1);
    for (int turns = 0; turns < 3000; turns++) { /* nobody can tell: the file must */
        mac_autofree char *name = box_read(node->box, "/etc/hostname");
        if (mac_streq(name, "macula-ab12\n"))
            break;
        usleep(5000);
    }
    assert_file(node, "/etc/hostname", "macula-ab12\n");
    test_server_again(node->bus->server);
    test_node_until_connected(node->bus, node->client);
    node_await_event(node, "config.reverted", "not confirmed by alice in time"); /* told when somebody can hear it */
    node_await_generation(node, 1);
    node_free(node);
}

static void the_boot_phase_takes_an_unconfirmed_change_back(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    assert_done(node, "config.apply", TRY_IT("tried", 600));
    node_kill(node);
    setenv("MACULA_BOOT_ID", "boot-2", 1);
    assert_int_equal(node_boot(node), 0);
    assert_file(node, "/etc/hostname", "macula-ab12\n");
    node_start(node, NULL);
    assert_body(node, "generation", "1");
    assert_body(node, "pending", "(none)");
    node_await_event(node, "config.reverted", "before the node went down");
    node_free(node);
}

/* ---- drift ---- */

static void drift_is_seen_and_mended(void **state) {
    (void)state;
    confd_node *node = started(no_units);
    assert_done(node, "config.drift", "{}");
    assert_body(node, "items", "(none)");
    box_write(node->box, "/etc/hostname", "somebody-else\n");
    assert_done(node, "config.drift", "{}");
    assert_body(node, "items[0].path", "\"hostname\"");
    node_await_event(node, "config.drift", "hostname");
    assert_done(node, "config.drift_fix", "{}");
    assert_file(node, "/etc/hostname", "macula-ab12\n");
    assert_done(node, "config.drift", "{}");
    assert_body(node, "items", "(none)");
    node_free(node);
}

/* ---- the node ---- */

static void the_node_says_what_it_is_and_why_it_stops(void **state) {
    (void)state;
    confd_node *node = node_new(no_units);
    setenv("MACULA_CMDLINE", "root=/dev/x macula.slot=b", 1);
    node_start(node, NULL);
    assert_done(node, "node.info", "{}");
    assert_body(node, "hostname", "\"macula-ab12\"");
    assert_body(node, "slot", "\"b\"");
    assert_body(node, "boot_id", "\"boot-1\"");
    assert_int_equal(json_string_value(json_object_get(node->body, "node_id"))[0], 'U');
    assert_error(node, "node.reboot", "{}", INVALID, "reason");
    assert_done(node, "node.reboot", "{\"reason\":\"new kernel\",\"author\":\"alice\",\"delay_s\":3600}");
    assert_contains(node->answer.body, "recorded only");
    node_await_event(node, "node.stopping", "new kernel");
    node_kill(node);
    setenv("MACULA_BOOT_ID", "boot-2", 1); /* it went down, for whatever reason */
    node_start(node, NULL);
    assert_done(node, "node", "{}");
    assert_body(node, "last_stop.reason", "\"new kernel\"");
    assert_body(node, "last_stop.action", "\"reboot\"");
    assert_body(node, "next_stop", "(none)");
    node_free(node);
}

/* ---- the boot phase ---- */

static void the_boot_phase_applies_and_leaves_the_document(void **state) {
    (void)state;
    confd_node *node = node_new(no_units);
    box_write(node->box, CONFD_FILE, "hostname: booted\n");
    assert_int_equal(node_boot(node), 0);
    assert_file(node, "/etc/hostname", "booted\n");
    assert_int_equal(mac_fs_remove(node->box->root, CONFD_STORE_FILE), 0);
    if (mac_fs_remove(node->box->root, CONFD_STORE_FILE "-wal") == 0) /* it is kept when the last one was killed */
        assert_int_equal(mac_fs_remove(node->box->root, CONFD_STORE_FILE "-shm"), 0);
    box_write(node->box, CONFD_STORE_FILE, "this is no database, by any means");
    box_write(node->box, CONFD_FILE, "hostname: with-broken-store\n");
    box_write(node->box, "/run/macula/config.pb", "the last good one");
    assert_int_equal(node_boot(node), 1); /* the files are applied, but all is not well */
    assert_file(node, "/run/macula/config.pb", "the last good one");
    assert_file(node, "/etc/hostname", "with-broken-store\n");
    box_write(node->box, CONFD_SYSTEM_FILE, "hostname: of-the-image\n");
    box_write(node->box, CONFD_FILE, "hostname: [");
    assert_int_equal(node_boot(node), 1);
    assert_file(node, "/etc/hostname", "of-the-image\n");
    assert_int_equal(mac_fs_remove(node->box->root, CONFD_SYSTEM_FILE), 0);
    assert_int_equal(node_boot(node), 1); /* no defaults in place of what nobody can read */
    assert_file(node, "/etc/hostname", "of-the-image\n");
    assert_file(node, "/run/macula/config.pb", "the last good one");
    node_free(node);
}

static void a_store_that_cannot_be_read_is_never_ready(void **state) {
    (void)state;
    const char *const damages[] = {"DROP TABLE head", "DELETE FROM head", "DELETE FROM generation",
                                   "UPDATE generation SET document = 'no json'"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(damages); i++) {
        confd_node *node = node_new(no_units);
        box_write(node->box, CONFD_FILE, "hostname: kept\n");
        node_start(node, NULL);
        node_stop(node);
        sqlite3 *db = NULL;
        mac_autofree char *path = mac_root_path(node->box->root, CONFD_STORE_FILE);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, damages[i], NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        box_write(node->box, "/run/macula/config.pb", "the last good one");
        assert_int_equal(node_start_and_fail(node), 1);
        assert_file(node, "/etc/hostname", "kept\n");
        assert_file(node, "/run/macula/config.pb", "the last good one");
        assert_int_equal(node_boot(node), 1);
        assert_file(node, "/etc/hostname", "kept\n");
        assert_file(node, "/run/macula/config.pb", "the last good one");
        node_free(node);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_without_any_file_has_its_defaults),
        cmocka_unit_test(a_value_says_where_it_comes_from),
        cmocka_unit_test(secrets_never_leave),
        cmocka_unit_test(history_and_differences_tell_what_happened),
        cmocka_unit_test(a_validation_changes_nothing),
        cmocka_unit_test(what_is_applied_is_on_the_node_and_in_the_files),
        cmocka_unit_test(an_edit_is_taken_over_by_apply_and_by_a_start),
        cmocka_unit_test(a_change_is_made_on_top_of_what_the_caller_knows),
        cmocka_unit_test(a_repeated_job_is_done_once),
        cmocka_unit_test(a_dry_run_touches_nothing),
        cmocka_unit_test(a_rollback_is_a_new_generation),
        cmocka_unit_test(a_published_patch_is_applied),
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
        cmocka_unit_test(an_unconfirmed_change_goes_back_by_itself),
        cmocka_unit_test(only_the_author_confirms),
        cmocka_unit_test(a_pending_change_can_be_rolled_back_at_once),
        cmocka_unit_test(a_pending_change_survives_a_restart_of_confd_but_no_power_cut),
        cmocka_unit_test(an_unconfirmed_change_goes_back_without_a_bus),
        cmocka_unit_test(the_boot_phase_takes_an_unconfirmed_change_back),
        cmocka_unit_test(drift_is_seen_and_mended),
        cmocka_unit_test(the_node_says_what_it_is_and_why_it_stops),
        cmocka_unit_test(the_boot_phase_applies_and_leaves_the_document),
        cmocka_unit_test(a_store_that_cannot_be_read_is_never_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
