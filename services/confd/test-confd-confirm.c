/* Changes that go back by themselves unless their author confirms them. */
#include <signal.h>
#include <sys/wait.h>

#include "test-confd-service.h"

static const char *const no_units[] = {NULL};

#define TOKEN "3f1c-a-long-random-text"
#define TRY_IT(name, seconds)                                                                                          \
    "{\"text\":\"hostname: " name "\\n\",\"options\":{\"author\":\"alice\",\"confirm_token\":\"" TOKEN "\","           \
    "\"confirm_s\":" #seconds "}}"
#define CONFIRM "{\"author\":\"alice\",\"token\":\"" TOKEN "\"}"

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
    assert_error(node, "config.confirm", "{\"author\":\"bob\",\"token\":\"" TOKEN "\"}", DENIED, "only alice");
    assert_error(node, "config.set", "{\"path\":\"hostname\",\"value\":\"x\"}", CONFLICT, "confirmed by alice");
    assert_done(node, "config.apply", "{\"text\":\"hostname: dry\\n\",\"options\":{\"dry_run\":true}}");
    assert_done(node, "config.status", "{}");
    assert_body(node, "pending.generation", "2");
    assert_done(node, "config.confirm", CONFIRM);
    assert_done(node, "config.status", "{}");
    assert_body(node, "pending", "(none)");
    assert_body(node, "last_good", "2");
    assert_done(node, "config.set", "{\"path\":\"hostname\",\"value\":\"x\"}");
    node_free(node);
}

/* The name is only said; all who hold an admin key are alike to the server. */
static void nobody_confirms_by_saying_the_authors_name(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
    assert_done(node, "config.apply", TRY_IT("tried", 60));
    assert_body(node, "pending.token", "(none)"); /* its author has it */
    assert_error(node, "config.confirm", "{\"author\":\"alice\"}", DENIED, "config rollback");
    assert_error(node, "config.confirm", "{\"author\":\"alice\",\"token\":\"another-random-text\"}", DENIED,
                 "this is another");
    assert_done(node, "config.status", "{}");
    mac_autofree char *digest = box_value(node->body, "pending.confirm_digest");
    mac_autofree char *guess = mac_asprintf("{\"author\":\"alice\",\"token\":%s}", digest);
    assert_error(node, "config.confirm", guess, DENIED, "this is another");
    node_kill(node);
    node_start(node, NULL);
    assert_error(node, "config.confirm", "{\"author\":\"alice\"}", DENIED, "there was none");
    assert_done(node, "config.confirm", CONFIRM);
    assert_error(node, "config.confirm", CONFIRM, NOTHING_TO_DO, "nothing waits");
    node_free(node);
}

static void who_names_no_token_is_answered_one_that_is_kept_nowhere(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
    assert_done(node, "config.apply",
                "{\"text\":\"hostname: tried\\n\",\"options\":{\"author\":\"alice\",\"confirm_s\":60,\"job\":\"j\"}}");
    mac_autofree char *token = box_value(node->body, "pending.token");
    assert_int_equal(strlen(token), 64 + 2);
    mac_autofree char *bare = mac_strndup(token + 1, 64);
    assert_done(node, "config.status", "{}");
    assert_body(node, "pending.token", "(none)");
    assert_false(box_holds(node->box, CONFD_STORE_DIR, bare));
    mac_autofree char *confirm = mac_asprintf("{\"author\":\"alice\",\"token\":%s}", token);
    assert_done(node, "config.confirm", confirm);
    for (unsigned i = 0; i < node->events.count; i++)
        assert_null(strstr(node->events.items[i], bare));
    node_free(node);
}

static void a_token_that_can_be_guessed_is_refused(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
    assert_error(node, "config.apply",
                 "{\"text\":\"hostname: x\\n\",\"options\":{\"confirm_s\":60,\"confirm_token\":\"alice\"}}", INVALID,
                 "16 to 128 bytes");
    assert_config(node, "hostname", "\"macula-ab12\"");
    node_free(node);
}

/* Whoever lost the answer asks again, perhaps with a new token: the change keeps the first one. */
static void a_repeated_job_does_not_change_who_confirms(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
#define WITH_TOKEN(token)                                                                                              \
    "{\"text\":\"hostname: tried\\n\",\"options\":{\"author\":\"alice\",\"confirm_s\":60,\"job\":\"j\","               \
    "\"confirm_token\":\"" token "\"}}"
    assert_done(node, "config.apply", WITH_TOKEN(TOKEN));
    mac_autofree char *digest = box_value(node->body, "pending.confirm_digest");
    assert_done(node, "config.apply", WITH_TOKEN("another-random-text"));
    assert_body(node, "generation", "2");
    assert_body(node, "pending.confirm_digest", digest);
    assert_error(node, "config.confirm", "{\"author\":\"alice\",\"token\":\"another-random-text\"}", DENIED,
                 "this is another");
    assert_false(box_holds(node->box, CONFD_STORE_DIR, TOKEN));
    assert_done(node, "config.confirm", CONFIRM);
    node_free(node);
}

static void a_pending_change_can_be_rolled_back_at_once(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
    assert_done(node, "config.apply", "{\"text\":\"hostname: steady\\n\"}");
    assert_done(node, "config.apply", TRY_IT("tried", 60));
    assert_error(node, "config.rollback", "{\"options\":{\"expected_generation\":2}}", CONFLICT, "3 is in force");
    const char *back = "{\"options\":{\"job\":\"back-1\"}}";
    assert_done(node, "config.rollback", back);
    assert_body(node, "generation", "2");
    assert_file(node, "/etc/hostname", "steady\n");
    assert_done(node, "config.rollback", back); /* the answer was late, so it is asked again: not one more back */
    assert_body(node, "generation", "2");
    assert_file(node, "/etc/hostname", "steady\n");
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
        cmocka_unit_test(nobody_confirms_by_saying_the_authors_name),
        cmocka_unit_test(who_names_no_token_is_answered_one_that_is_kept_nowhere),
        cmocka_unit_test(a_token_that_can_be_guessed_is_refused),
        cmocka_unit_test(a_repeated_job_does_not_change_who_confirms),
        cmocka_unit_test(a_pending_change_can_be_rolled_back_at_once),
        cmocka_unit_test(a_pending_change_survives_a_restart_of_confd_but_no_power_cut),
        cmocka_unit_test(an_unconfirmed_change_goes_back_without_a_bus),
        cmocka_unit_test(the_boot_phase_takes_an_unconfirmed_change_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
