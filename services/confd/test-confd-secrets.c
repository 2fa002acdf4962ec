#include <string.h>

#include "confd-parse.h"
#include "confd-secrets.h"
#include "test-confd-box.h"

static void a_label_has_no_indices(void **state) {
    (void)state;
    const char *const cases[][2] = {{"maculaos.wifi[12].passphrase", "maculaos.wifi[].passphrase"},
                                    {"maculaos.token", "maculaos.token"},
                                    {"a[\"x[1]\"].b[0]", "a[\"x[1]\"].b[]"}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        mac_autofree char *label = mac_path_label(cases[i][0]);
        assert_string_equal(label, cases[i][1]);
    }
}

/* The protected text of a config.yaml, or the problems when it is refused; caller frees. */
static char *protect(confd_box *box, const char *text, json_t *present) {
    confd_autosources sources = {0};
    box_sources(&sources, text);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_source result = {0};
    if (confd_secrets_protect(&sources.items[0], NULL, box->seal, present, NULL, problems, &result) < 0)
        return mac_problems_format(problems);
    assert_null(result.original);
    char *protected = mac_strdup(result.text);
    confd_source_deinit(&result);
    return protected;
}

static char *unseal(confd_box *box, const char *label, json_t *tree, const char *path) {
    char *plain = NULL;
    size_t length;
    const char *text = json_string_value(mac_tree_get(tree, path));
    assert_non_null(text);
    assert_int_equal(mac_unseal_text(box->seal, label, text, &plain, &length), 0);
    return plain;
}

static void secrets_are_replaced_in_the_text_and_nothing_else_is(void **state) {
    confd_box *box = *state;
    const char *before =
        "# my node\nmaculaos:\n  token: K10-clear # keep me\n  wifi:\n  - {name: a, psk: 'pass word 1'}\n"
        "  - name: b\n    passphrase: |\n      block-secret\n  # end\n  password: \"hunter2\"\n";
    mac_autofree char *after = protect(box, before, NULL);
    assert_null(strstr(after, "K10-clear"));
    assert_null(strstr(after, "pass word 1"));
    assert_null(strstr(after, "block-secret"));
    assert_null(strstr(after, "hunter2"));
    assert_contains(after, "# my node\nmaculaos:\n  token: \"sealed:v1:");
    assert_contains(after, "\" # keep me\n  wifi:\n  - {name: a, psk: \"sealed:v1:");
    assert_contains(after, "\"}\n  - name: b\n    passphrase: \"sealed:v1:");
    assert_contains(after, "\"\n  # end\n  password: \"$");
    mac_autoptr(confd_document) document = box_document(box, after);
    mac_autofree char *token = unseal(box, "maculaos.token", document->tree, "maculaos.token");
    assert_string_equal(token, "K10-clear");
    mac_autofree char *first = unseal(box, "maculaos.wifi[].passphrase", document->tree, "maculaos.wifi[0].passphrase");
    assert_string_equal(first, "pass word 1");
    mac_autofree char *second =
        unseal(box, "maculaos.wifi[].passphrase", document->tree, "maculaos.wifi[1].passphrase");
    assert_string_equal(second, "block-secret\n");
    assert_true(mac_password_is_hash(json_string_value(mac_tree_get(document->tree, "maculaos.password"))));
}

static void a_protected_text_stays_as_it_is(void **state) {
    confd_box *box = *state;
    mac_autofree char *once = protect(box, "maculaos: {token: abc, password: secret}\n", NULL);
    mac_autofree char *twice = protect(box, once, NULL);
    assert_string_equal(once, twice);
}

static void the_same_secret_again_keeps_its_sealed_form(void **state) {
    confd_box *box = *state;
    const char *text = "maculaos: {token: abc, password: secret, wifi: [{name: x, passphrase: 12345678}]}\n";
    mac_autofree char *once = protect(box, text, NULL);
    mac_autoptr(confd_document) document = box_document(box, once);
    mac_autofree char *again = protect(box, text, document->tree);
    assert_string_equal(once, again);
    mac_autofree char *other = protect(box, "maculaos: {token: abd, password: secreu}\n", document->tree);
    assert_null(strstr(once, other));
}

static void moved_keys_have_their_secrets_replaced(void **state) {
    confd_box *box = *state;
    mac_autofree char *after =
        protect(box, "token: clear-token\nk3os:\n  passwords: x\n  password: clear-password\n", NULL);
    assert_null(strstr(after, "clear-token"));
    assert_null(strstr(after, "clear-password"));
}

static void a_secret_behind_an_anchor_is_refused(void **state) {
    confd_box *box = *state;
    mac_autofree char *anchored = protect(box, "maculaos:\n  token: &t clear-token\n  password: *t\n", NULL);
    assert_contains(anchored, CONFD_FILE ":3:");
    assert_contains(anchored, "write it out");
    assert_null(strstr(anchored, "clear-token"));
    mac_autofree char *tagged = protect(box, "maculaos:\n  token: !!str clear-token\n", NULL);
    assert_null(strstr(tagged, "clear-token"));
}

static void the_mask_is_no_secret(void **state) {
    confd_box *box = *state;
    mac_autofree char *text = protect(box, "maculaos: {token: '********'}\n", NULL);
    assert_contains(text, "maculaos.token: expected a secret, found ********");
}

static void a_damaged_hash_is_not_taken_for_a_password(void **state) {
    confd_box *box = *state;
    static const char *const damaged[] = {"$6$rounds=5000$abcdefgh$xyz", "$y$j9T$short",
                                          "$1$salt$qJH7.N4xYta3aEG/dfqo/0", "$2a$10$N9qo8uLOickgx2ZMRZoMye"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(damaged); i++) {
        mac_autofree char *login = mac_asprintf("maculaos:\n  password: '%s'\n", damaged[i]);
        mac_autofree char *said = protect(box, login, NULL);
        assert_contains(said, CONFD_FILE ":2:13: maculaos.password: expected a clear password or a whole crypt(5)");
        assert_null(strstr(said, damaged[i]));
        mac_autoptr(json_t) tree =
            json_pack("{s:{s:[{s:s, s:s}]}}", "maculaos", "users", "name", "ann", "password", damaged[i]);
        mac_autoptr(mac_problems) problems = mac_problems_new();
        assert_true(confd_secrets_protect_tree(tree, box->seal, NULL, NULL, problems) < 0);
        mac_autofree char *text = mac_problems_format(problems);
        assert_contains(text, "maculaos.users[0].password: ");
        assert_null(strstr(text, damaged[i]));
    }
    mac_autofree char *money = protect(box, "maculaos: {password: '$money$'}\n", NULL);
    assert_null(strstr(money, "money"));
    assert_contains(money, "password: \"$");
}

static void a_seal_of_another_key_or_node_is_refused(void **state) {
    confd_box *box = *state;
    mac_autofree char *sealed = mac_seal_text(box->seal, "maculaos.other", "x", 1);
    mac_autofree char *yaml = mac_asprintf("maculaos: {token: '%s'}\n", sealed);
    mac_autofree char *text = protect(box, yaml, NULL);
    assert_contains(text, "maculaos.token: expected a value sealed by this node for this key");
}

static void without_the_key_no_secret_is_accepted(void **state) {
    confd_box *box = *state;
    mac_seal_free(mac_take(&box->seal));
    mac_autofree char *text = protect(box, "maculaos: {token: clear}\n", NULL);
    assert_contains(text, "seal.key");
}

static void secrets_of_a_source_that_cannot_be_written_are_protected_in_the_record(void **state) {
    confd_box *box = *state;
    confd_autosources sources = {0}, other = {0};
    const char *line = "maculaos.token=clear-token maculaos.keyboard=de \"maculaos.password=pass word\"";
    confd_sources_put(&sources, CONFD_CMDLINE, line, strlen(line), NULL);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_source recorded = {0}, again = {0};
    assert_int_equal(confd_secrets_protect(&sources.items[0], NULL, box->seal, NULL, NULL, problems, &recorded), 0);
    assert_null(strstr(recorded.text, "clear-token"));
    assert_null(strstr(recorded.text, "pass word"));
    assert_contains(recorded.text, " maculaos.keyboard=de ");
    assert_null(strstr(recorded.original, "clear-token"));
    assert_true(confd_source_same(&recorded, &sources.items[0], box->seal));
    /* The same line at the next boot is the same record, though every seal is another one. */
    assert_int_equal(confd_secrets_protect(&sources.items[0], &recorded, box->seal, NULL, NULL, problems, &again), 0);
    assert_string_equal(recorded.text, again.text);
    confd_sources_put(&other, CONFD_CMDLINE, "maculaos.token=x", 16, NULL);
    assert_false(confd_source_same(&recorded, &other.items[0], box->seal));
    mac_autoptr(json_t) patch = NULL;
    assert_int_equal(confd_parse_patch(&recorded, problems, &patch), 0);
    mac_autofree char *token = unseal(box, "maculaos.token", patch, "maculaos.token");
    assert_string_equal(token, "clear-token");
    confd_source_deinit(&recorded);
    confd_source_deinit(&again);
}

#define BOX_TEST(name) cmocka_unit_test_setup_teardown(name, box_setup, box_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_label_has_no_indices),
        BOX_TEST(secrets_are_replaced_in_the_text_and_nothing_else_is),
        BOX_TEST(a_protected_text_stays_as_it_is),
        BOX_TEST(the_same_secret_again_keeps_its_sealed_form),
        BOX_TEST(moved_keys_have_their_secrets_replaced),
        BOX_TEST(a_secret_behind_an_anchor_is_refused),
        BOX_TEST(the_mask_is_no_secret),
        BOX_TEST(a_damaged_hash_is_not_taken_for_a_password),
        BOX_TEST(a_seal_of_another_key_or_node_is_refused),
        BOX_TEST(without_the_key_no_secret_is_accepted),
        BOX_TEST(secrets_of_a_source_that_cannot_be_written_are_protected_in_the_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
