/* confd killed at each persisted step of a change: afterwards the node has the old or the new configuration, whole. */
#include <string.h>

#include "test-confd-service.h"

static const char *const health[] = {"healthd", NULL};

#define OLD_TEXT "hostname: old\n"
#define OLD_HOSTS "127.0.0.1\tlocalhost\n127.0.1.1\told\n10.9.8.7\tprinter\n"
#define NEW_TEXT "hostname: new\nmaculaos: {watchdog: {enabled: true}}\n"

typedef struct fault_case {
    const char *name;
    bool is_new;  /* which configuration is in force afterwards */
    bool is_told; /* the other service hears of the new one after the restart, if not before */
} fault_case;

/* A START passes the points of applying once, so those of the change are the second. */
static const fault_case cases[] = {
    {"confd.commit.before", false, false},      {"confd.commit.done", true, true},
    {"fs.write.temporary:3", true, true},       {"confd.sources.written:1", true, true},
    {"confd.sources.written:2", true, true},    {"confd.apply.own:2", true, true},
    {"confd.apply.write", true, true},          {"confd.apply.written", true, true},
    {"confd.apply.participants:2", true, true}, {"confd.finish:2", true, true},
};

/* From the old configuration, set in two files, to the new one. */
static confd_node *with_old_configuration(void) {
    confd_node *node = node_new(health);
    node_participant(node, "healthd", "obey");
    node_start(node, NULL);
    assert_done(node, "config.apply", "{\"text\":\"hostname: older\\n\"}");
    assert_done(node, "config.set", "{\"path\":\"hostname\",\"value\":\"old\"}");
    node_stop(node);
    free(node_participant_log(node));
    return node;
}

static void change_and_die(confd_node *node, const char *fault, const char *options) {
    node_start(node, fault);
    mac_autofree char *request = mac_asprintf(
        "{\"text\":\"hostname: new\\nmaculaos: {watchdog: {enabled: true}}\\n\",\"options\":{%s}}", options);
    node_send(node, "config.apply", request);
    node_await_death(node);
}

static void assert_whole(confd_node *node, bool is_new) {
    assert_done(node, "config.status", "{}");
    assert_body(node, "generation", is_new ? "4" : "3");
    assert_body(node, "last_good", is_new ? "4" : "3");
    assert_body(node, "notes", "(none)");
    assert_file(node, "/etc/hostname", is_new ? "new\n" : "old\n");
    assert_file(node, CONFD_FILE, is_new ? NEW_TEXT : "hostname: older\n");
    mac_autofree char *changes = box_read(node->box, CONFD_CHANGES_FILE);
    assert_int_equal(changes == NULL, is_new);
    assert_config(node, "hostname", is_new ? "\"new\"" : "\"old\"");
    /* And it goes on. */
    assert_done(node, "config.set", "{\"path\":\"hostname\",\"value\":\"next\"}");
    assert_file(node, "/etc/hostname", "next\n");
}

static void a_power_cut_leaves_the_old_or_the_new_configuration(void **state) {
    (void)state;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        print_message("  killed at %s\n", cases[i].name);
        confd_node *node = with_old_configuration();
        change_and_die(node, cases[i].name, "");
        node_start(node, NULL);
        mac_autofree char *log = node_participant_log(node);
        assert_int_equal(strstr(log, "apply 4 host=new previous=old") != NULL, cases[i].is_told);
        if (cases[i].is_new)
            node_await_event(node, "config.changed", "\"generation\":4");
        assert_whole(node, cases[i].is_new);
        node_stop(node);
        node_free(node);
    }
}

/* What confd does not wait for, as a power cut may leave it. */
static void lose_what_is_made_again(confd_node *node) {
    static const char *const relaxed[] = {"/etc/hostname", "/etc/profile.d/maculaos.sh", "/run/macula/config.pb"};
    struct stat status;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(relaxed); i++)
        if (mac_fs_stat(node->box->root, relaxed[i], &status) == 0)
            box_write(node->box, relaxed[i], "");
    box_write(node->box, "/etc/hosts", OLD_HOSTS);
    box_write(node->box, "/proc/sys/kernel/hostname", "(none)\n");
}

static void assert_made_again(confd_node *node) {
    assert_file(node, "/etc/hostname", "new\n");
    assert_file(node, "/etc/profile.d/maculaos.sh",
                "# Written by MaculaOS from the configuration.\nexport COLOUR='blue'\n");
    assert_file(node, "/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tnew\n10.9.8.7\tprinter\n");
    assert_file(node, "/proc/sys/kernel/hostname", "new\n");
    mac_autofree char *resolved = box_read(node->box, "/run/macula/config.pb");
    assert_contains(resolved, "new");
    assert_done(node, "config.drift", "{}");
    assert_body(node, "items", "(none)");
}

static void what_a_power_cut_takes_of_the_files_that_are_not_synced_is_made_again(void **state) {
    (void)state;
    const char *const points[] = {"confd.commit.done",          "confd.apply.written:1", "confd.apply.written:2",
                                  "confd.apply.participants:2", "confd.finish:2",        NULL};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(points); i++) {
        print_message("  killed at %s\n", points[i] ? points[i] : "(the end)");
        confd_node *node = with_old_configuration();
        box_write(node->box, "/etc/hosts", OLD_HOSTS);
        node_start(node, points[i]);
        const char *request = "{\"text\":\"hostname: new\\nmaculaos: {environment: {COLOUR: blue}}\\n\"}";
        if (points[i]) {
            node_send(node, "config.apply", request);
            node_await_death(node);
        } else {
            assert_done(node, "config.apply", request);
            node_kill(node);
        }
        lose_what_is_made_again(node);
        if (i % 2) /* the boot phase does, and so does a start */
            assert_int_equal(node_boot(node), 0);
        node_start(node, NULL);
        assert_made_again(node);
        node_stop(node);
        node_free(node);
    }
}

static void a_power_cut_in_a_change_to_be_confirmed_leaves_the_old_configuration(void **state) {
    (void)state;
    const char *const points[] = {"confd.commit.done", "confd.sources.written:1", "confd.apply.own:2",
                                  "confd.apply.participants:2", "confd.finish:2"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(points); i++) {
        print_message("  killed at %s\n", points[i]);
        confd_node *node = with_old_configuration();
        change_and_die(node, points[i], "\"confirm_s\":600,\"author\":\"alice\"");
        setenv("MACULA_BOOT_ID", "boot-2", 1);
        node_start(node, NULL);
        node_await_event(node, "config.reverted", "before the node went down");
        assert_done(node, "config.status", "{}");
        assert_body(node, "generation", "3");
        assert_body(node, "pending", "(none)");
        assert_file(node, "/etc/hostname", "old\n");
        assert_file(node, CONFD_FILE, "hostname: older\n");
        node_stop(node);
        node_free(node);
    }
}

static void a_way_back_that_is_interrupted_is_gone_to_its_end(void **state) {
    (void)state;
    const char *const points[] = {"confd.commit.done:2", "confd.sources.written:3", "confd.apply.own:3",
                                  "confd.finish:3"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(points); i++) {
        print_message("  killed at %s\n", points[i]);
        confd_node *node = with_old_configuration();
        node_start(node, points[i]);
        assert_done(
            node, "config.apply",
            "{\"text\":\"hostname: new\\nmaculaos: {watchdog: {enabled: true}}\\n\",\"options\":{\"confirm_s\":600}}");
        node_send(node, "config.rollback", "{}");
        node_await_death(node);
        node_start(node, NULL);
        assert_done(node, "config.status", "{}");
        assert_body(node, "generation", "3");
        assert_body(node, "pending", "(none)");
        assert_file(node, "/etc/hostname", "old\n");
        assert_file(node, CONFD_FILE, "hostname: older\n");
        mac_autofree char *log = node_participant_log(node);
        assert_contains(log, " 3 host=old previous=new");
        node_stop(node);
        node_free(node);
    }
}

static void an_interrupted_change_that_cannot_be_finished_is_taken_back(void **state) {
    (void)state;
    confd_node *node = node_new(health);
    node_participant(node, "healthd", "fail");
    node_start(node, NULL);
    assert_done(node, "config.apply", "{\"text\":\"hostname: old\\n\"}");
    node_stop(node);
    change_and_die(node, "confd.apply.participants:2", "");
    node_start(node, NULL);
    node_await_generation(node, 2);
    node_await_event(node, "config.reverted", "the test has failed");
    assert_file(node, "/etc/hostname", "old\n");
    assert_file(node, CONFD_FILE, OLD_TEXT);
    node_free(node);
}

static void a_repeated_job_after_a_power_cut_is_not_done_twice(void **state) {
    (void)state;
    confd_node *node = with_old_configuration();
    change_and_die(node, "confd.finish:2", "\"job\":\"j1\"");
    node_start(node, NULL);
    assert_done(node, "config.apply",
                "{\"text\":\"hostname: new\\nmaculaos: {watchdog: {enabled: true}}\\n\",\"options\":{\"job\":\"j1\"}}");
    assert_body(node, "generation", "4");
    assert_done(node, "config.status", "{}");
    assert_body(node, "generation", "4");
    node_free(node);
}

static void a_start_that_is_interrupted_is_started_again(void **state) {
    (void)state;
    const char *const points[] = {"confd.commit.before", "confd.commit.done",        "confd.apply.own",
                                  "confd.apply.write",   "confd.apply.participants", "confd.finish"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(points); i++) {
        confd_node *node = node_new(health);
        box_write(node->box, CONFD_FILE, "hostname: first\nmaculaos: {token: clear-token}\n");
        node_start_and_die(node, points[i]);
        node_start(node, NULL);
        assert_body(node, "generation", "1");
        assert_file(node, "/etc/hostname", "first\n");
        mac_autofree char *text = box_read(node->box, CONFD_FILE);
        assert_null(strstr(text, "clear-token"));
        node_stop(node);
        node_free(node);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_leaves_the_old_or_the_new_configuration),
        cmocka_unit_test(what_a_power_cut_takes_of_the_files_that_are_not_synced_is_made_again),
        cmocka_unit_test(a_power_cut_in_a_change_to_be_confirmed_leaves_the_old_configuration),
        cmocka_unit_test(a_way_back_that_is_interrupted_is_gone_to_its_end),
        cmocka_unit_test(an_interrupted_change_that_cannot_be_finished_is_taken_back),
        cmocka_unit_test(a_repeated_job_after_a_power_cut_is_not_done_twice),
        cmocka_unit_test(a_start_that_is_interrupted_is_started_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
