/* Changes that go back by themselves unless their author confirms them. */
#include <signal.h>

#include <signal.h>
#include <sys/wait.h>

#include "test-confd-service.h"

static const char *const no_units[] = {NULL};

#define TRY_IT(name, seconds)                                                                                          \
    "{\"text\":\"hostname: " name "\\n\",\"options\":{\"author\":\"alice\",\"confirm_s\":" #seconds "}}"

static void an_unconfirmed_change_goes_back_by_itself(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
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
    confd_node *node = node_started(no_units);
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
    confd_node *node = node_started(no_units);
    assert_done(node, "config.apply", TRY_IT("tried", 60));
    assert_done(node, "config.rollback", "{}");
    assert_body(node, "generation", "1");
    assert_file(node, "/etc/hostname", "macula-ab12\n");
    node_free(node);
}

static void a_pending_change_survives_a_restart_of_confd_but_no_power_cut(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
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
    confd_node *node = node_started(no_units);
    assert_done(node, "config.apply", TRY_IT("tried", 1));
    unsigned lost = node->states.lost;
    test_server_kill(node->bus->server);
    test_node_until_count(node->bus, &node->states.lost, lost + 1);
    for (;;) { /* nobody on the bus can tell: confd itself does */
        unsigned count = node->notice_count;
        mac_autofree char *name = box_read(node->box, "/etc/hostname");
        if (mac_streq(name, "macula-ab12\n"))
            break;
        node_await_notice(node, count);
    }
    assert_file(node, "/etc/hostname", "macula-ab12\n");
    /* An event is for those who listen: we shall, before confd finds the server again. */
    kill(node->confd, SIGSTOP);
    assert_int_equal(waitpid(node->confd, NULL, WUNTRACED), node->confd);
    test_server_again(node->bus->server);
    test_node_until_connected(node->bus, node->client);
    kill(node->confd, SIGCONT);
    node_await_event(node, "config.reverted", "not confirmed by alice in time"); /* told when somebody can hear it */
    node_await_generation(node, 1);
    node_free(node);
}

static void the_boot_phase_takes_an_unconfirmed_change_back(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unconfirmed_change_goes_back_by_itself),
        cmocka_unit_test(only_the_author_confirms),
        cmocka_unit_test(a_pending_change_can_be_rolled_back_at_once),
        cmocka_unit_test(a_pending_change_survives_a_restart_of_confd_but_no_power_cut),
        cmocka_unit_test(an_unconfirmed_change_goes_back_without_a_bus),
        cmocka_unit_test(the_boot_phase_takes_an_unconfirmed_change_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
