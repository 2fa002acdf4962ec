/* The whole service: what callers of the bus see. */
#include <string.h>

#include "test-confd-service.h"

static const char *const no_units[] = {NULL};
static const char *const health[] = {"healthd", NULL};

/* ---- reading ---- */

static void a_node_without_any_file_has_its_defaults(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
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
    confd_node *node = node_started(no_units);
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
    confd_node *node = node_started(no_units);
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
    confd_node *node = node_started(no_units);
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
    confd_node *node = node_started(no_units);
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
    confd_node *node = node_started(no_units);
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
    assert_contains(node->answer.body, "files on the node were edited and are wrong");
    assert_file(node, CONFD_FILE, "hostname: -wrong-\n"); /* the person's text is not lost */
    node_free(node);
}

static void a_change_is_made_on_top_of_what_the_caller_knows(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
    assert_error(node, "config.set", "{\"path\":\"hostname\",\"value\":\"a\",\"options\":{\"expected_generation\":9}}",
                 CONFLICT, "generation 9");
    assert_contains(node->answer.body, "\"current_revision\"");
    assert_done(node, "config.set", "{\"path\":\"hostname\",\"value\":\"a\",\"options\":{\"expected_generation\":1}}");
    node_free(node);
}

static void a_repeated_job_is_done_once(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
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
    confd_node *node = node_started(health);
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
    confd_node *node = node_started(no_units);
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

static void maps_are_written_the_same_after_a_restart_and_a_boot(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
    assert_done(node, "config.apply",
                "{\"text\":\"maculaos:\\n  environment: {http_proxy: a, X: b}\\n  labels: {zeta: z, alpha: a}\\n\"}");
    mac_autofree char *environment = box_read(node->box, "/etc/environment");
    mac_autofree char *k3s = box_read(node->box, "/etc/rancher/k3s/config.yaml");
    assert_contains(environment, "X=b\nhttp_proxy=a\n");
    assert_contains(k3s, "alpha=a");
    node_stop(node);
    node_start(node, NULL);
    assert_done(node, "config.set", "{\"path\":\"hostname\",\"value\":\"env3\"}");
    assert_contains(node->answer.body, "/etc/hostname");
    assert_null(strstr(node->answer.body, "/etc/environment"));
    assert_null(strstr(node->answer.body, "k3s"));
    assert_int_equal(node_boot(node), 0);
    assert_file(node, "/etc/environment", environment);
    assert_done(node, "config.drift", "{}");
    assert_null(strstr(node->answer.body, "/etc/environment"));
    assert_null(strstr(node->answer.body, "k3s"));
    node_free(node);
}

static void a_published_patch_is_applied(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
    const char *patch = "{\"hostname\":\"published\"}";
    assert_int_equal(
        mac_bus_publish_raw(node->client, "macula.pub." TEST_REALM ".config.change", patch, strlen(patch), NULL), 0);
    node_await_event(node, "config.changed", "\"author\":\"admin\"");
    node_await_event(node, "config.audit",
                     "\"procedure\":\"config.change\",\"caller\":\"admin\",\"denied\":false,\"outcome\":\"OK\"");
    node_await_generation(node, 2); /* while it is being applied, the next one would be refused for that alone */
    assert_config(node, "hostname", "\"published\"");
    assert_int_equal(
        mac_bus_publish_raw(node->client, "macula.pub." TEST_REALM ".config.change", patch, strlen(patch), NULL), 0);
    node_await_event(node, "config.changed", "\"generation\":2,\"previous\":2,"); /* it is so already */
    patch = "{\"hostnam\":1}";
    assert_int_equal(
        mac_bus_publish_raw(node->client, "macula.pub." TEST_REALM ".config.change", patch, strlen(patch), NULL), 0);
    node_await_event(node, "config.rejected", "hostname");
    node_await_event(node, "config.audit",
                     "\"procedure\":\"config.change\",\"caller\":\"admin\",\"denied\":false,\"outcome\":\"INVALID\"");
    static const char *const empty[] = {"", " \n"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(empty); i++) {
        assert_int_equal(mac_bus_publish_raw(node->client, "macula.pub." TEST_REALM ".config.change", empty[i],
                                             strlen(empty[i]), NULL),
                         0);
        node_await_event(node, "config.rejected", "found an empty message");
    }
    static const char cut[] = "{\"hostname\":\"cut\"}\0{";
    assert_int_equal(
        mac_bus_publish_raw(node->client, "macula.pub." TEST_REALM ".config.change", cut, sizeof(cut) - 1, NULL), 0);
    node_await_event(node, "config.rejected", "found a NUL byte");
    assert_config(node, "hostname", "\"published\"");
    node_free(node);
}

/* ---- drift ---- */

static void drift_is_seen_and_mended(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
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
        cmocka_unit_test(maps_are_written_the_same_after_a_restart_and_a_boot),
        cmocka_unit_test(a_published_patch_is_applied),
        cmocka_unit_test(drift_is_seen_and_mended),
        cmocka_unit_test(the_node_says_what_it_is_and_why_it_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
