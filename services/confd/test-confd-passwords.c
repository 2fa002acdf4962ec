/* Hashing a password keeps nobody waiting who asks for something else. */
#include "test-confd-service.h"

static const char *const no_units[] = {NULL};

/* Comparing a password with this takes a quarter of an hour: nothing here waits for that. */
#define COSTLY                                                                                                         \
    "$6$rounds=999999999$saltsalt$"                                                                                    \
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefgh"
#define SET_PASSWORD "{\"path\":\"maculaos.password\",\"value\":\"correct-horse\",\"options\":{\"author\":\"alice\"}}"

typedef struct late_answer {
    bool came;
    bool failed;
    char *message;
} late_answer;

static void on_late_answer(const mac_answer *answer, void *data) {
    late_answer *late = data;
    if (late->came)
        return;
    late->came = true;
    late->failed = answer->error != NULL;
    late->message = mac_strdup(answer->error ? answer->error->message : NULL);
}

/* A node where setting a password takes long, and somebody who has asked for it. */
static confd_node *node_hashing(late_answer *late) {
    confd_node *node = node_started(no_units);
    assert_done(node, "config.apply", "{\"text\":\"maculaos: {password: '" COSTLY "'}\\n\"}");
    mac_bus_request(node->client, "macula.rpc." TEST_REALM ".config.set", SET_PASSWORD, strlen(SET_PASSWORD), false,
                    false, 60000, on_late_answer, late);
    test_node_flush(node->bus, node->client);
    do { /* the server has the request; confd may not have it yet */
        assert_done(node, "config.status", "{}");
        assert_false(late->came);
    } while (!json_is_true(json_object_get(node->body, "applying")));
    return node;
}

static void questions_are_answered_while_a_password_is_hashed(void **state) {
    (void)state;
    late_answer late = {0};
    confd_node *node = node_hashing(&late);
    assert_done(node, "config.status", "{}");
    assert_body(node, "applying", "true");
    assert_config(node, "hostname", "\"macula-ab12\"");
    assert_false(late.came);
    assert_done(node, "config.validate", "{\"text\":\"maculaos: {password: correct-horse}\\n\"}");
    assert_body(node, "valid", "true");
    assert_false(late.came);
    node_free(node);
    free(late.message);
}

static void a_second_change_is_told_of_the_first(void **state) {
    (void)state;
    late_answer late = {0};
    confd_node *node = node_hashing(&late);
    assert_error(node, "config.set", "{\"path\":\"hostname\",\"value\":\"x\"}", CONFLICT, "another change");
    assert_done(node, "config.apply", "{\"text\":\"hostname: x\\n\",\"options\":{\"dry_run\":true}}");
    assert_false(late.came);
    node_free(node);
    free(late.message);
}

static void what_is_wrong_is_said_without_hashing(void **state) {
    (void)state;
    confd_node *node = node_started(no_units);
    assert_done(node, "config.apply", "{\"text\":\"maculaos: {password: '" COSTLY "'}\\n\"}");
    assert_error(node, "config.apply", "{\"text\":\"hostname: -x-\\nmaculaos: {password: correct-horse}\\n\"}", INVALID,
                 "hostname");
    node_free(node);
}

static void an_end_does_not_wait_for_the_hash(void **state) {
    (void)state;
    late_answer late = {0};
    confd_node *node = node_hashing(&late);
    node_stop(node);
    test_node_until(node->bus, &late.came);
    assert_true(late.failed);
    assert_contains(late.message, "about to end");
    node_start(node, NULL);
    assert_body(node, "generation", "2");
    node_free(node);
    free(late.message);
}

static void each_password_gets_a_hash_and_keeps_it(void **state) {
    (void)state;
    const char *text = "{\"text\":\"maculaos: {password: correct-horse, users: [{name: a, password: battery-staple}, "
                       "{name: b, password: battery-staple}]}\\n\"}";
    confd_node *node = node_started(no_units);
    assert_done(node, "config.apply", text);
    assert_false(box_holds(node->box, "/var/lib/maculaos", "correct-horse"));
    mac_autofree char *first = box_read(node->box, "/var/lib/maculaos/config.yaml");
    assert_non_null(strstr(first, "password: \"$"));
    assert_done(node, "config.apply", text);
    assert_body(node, "nothing_to_do", "true");
    assert_done(node, "config.set", "{\"path\":\"maculaos.password\",\"value\":\"another-horse\"}");
    assert_body(node, "generation", "3");
    assert_error(node, "config.set", "{\"path\":\"maculaos.users[0].password\",\"value\":\"********\"}", INVALID,
                 "stands for one");
    node_free(node);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_are_answered_while_a_password_is_hashed),
        cmocka_unit_test(a_second_change_is_told_of_the_first),
        cmocka_unit_test(what_is_wrong_is_said_without_hashing),
        cmocka_unit_test(an_end_does_not_wait_for_the_hash),
        cmocka_unit_test(each_password_gets_a_hash_and_keeps_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
