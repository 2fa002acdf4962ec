#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test-codec-support.h"

static void resolves(const char *path, const char *canonical, const char *field_name) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autofree char *found = NULL;
    const ProtobufCFieldDescriptor *field = NULL;
    mac_schema_add_table(&test_codec_schema_table);
    int r = mac_path_resolve(CONFIG, path, problems, &found, &field);
    if (r < 0) {
        mac_autofree char *said = mac_problems_format(problems);
        fail_msg("%s: %s", path, said);
    }
    assert_string_equal(found, canonical);
    if (field_name)
        assert_string_equal(field->name, field_name);
    else
        assert_null(field);
}

static void does_not_resolve(const char *path, const char *expected_said) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    char *found = NULL;
    const ProtobufCFieldDescriptor *field = NULL;
    assert_int_equal(mac_path_resolve(CONFIG, path, problems, &found, &field), -EINVAL);
    assert_null(found);
    mac_autofree char *said = mac_problems_format(problems);
    mac_autofree char *wanted = mac_asprintf("%s\n", expected_said);
    assert_string_equal(said, wanted);
}

static void paths_are_read_in_every_spelling(void **state) {
    (void)state;
    resolves("", "", NULL);
    resolves("hostname", "hostname", "hostname");
    resolves("host_name", "hostname", "hostname");
    resolves("hostName", "hostname", "hostname");
    resolves("runCmd[0].command", "run_cmd[0].command", "command");
    resolves("run-cmd", "run_cmd", "run_cmd");
    resolves("users[0]", "users[0]", "users");
    resolves("users[12].name", "users[12].name", "name");
    resolves("net.interfaces.eth0.mtu", "network.interfaces.eth0.mtu", "mtu");
    resolves("network.interfaces[eth0.1].mtu", "network.interfaces[\"eth0.1\"].mtu", "mtu");
    resolves("network.interfaces[\"eth0.1\"].addresses[1]", "network.interfaces[\"eth0.1\"].addresses[1]", "addresses");
    resolves("sysctl[net.ipv4.ip_forward]", "sysctls[\"net.ipv4.ip_forward\"]", "sysctls");
    resolves("sysctl.net.ipv4.ip_forward", "sysctls[\"net.ipv4.ip_forward\"]", "sysctls");
    resolves("sysctls[\"a\"]", "sysctls.a", "sysctls");
    resolves("sysctls[0]", "sysctls.0", "sysctls");
    resolves("tokens[\"a\\\"b\\\\c\"]", "tokens[\"a\\\"b\\\\c\"]", "tokens");
    resolves("tokens[\"\"]", "tokens[\"\"]", "tokens");
}

static void wrong_paths_say_what_was_meant(void **state) {
    (void)state;
    does_not_resolve("hostnme", "hostnme: unknown key; did you mean \"hostname\"?");
    does_not_resolve("network.dhpc", "network.dhpc: unknown key; did you mean \"dhcp\"?");
    does_not_resolve("dhcp", "dhcp: unknown key; did you mean \"network.dhcp\"?");
    does_not_resolve("users.name", "users: is a list: name one of its items as users[0]");
    does_not_resolve("sysctls[\"a\"].b", "sysctls.a: is a group of keys and has no key \"b\" below it");
    does_not_resolve("hostname.x", "hostname: is text and has no key \"x\" below it");
    does_not_resolve("vault.q", "vault.q: unknown key; known here: text, number, list");
    static const char *const malformed[] = {".",    "a.",      ".a",         "a..b",  "a[",           "a[]",  "a]",
                                            "[\"a", "a[\"b\"", "a[\"\\x\"]", "a[0]b", "users[0]name", "a\"b", "a.[0]"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(malformed); i++) {
        mac_autoptr(mac_problems) problems = mac_problems_new();
        char *found = NULL;
        assert_int_equal(mac_path_resolve(CONFIG, malformed[i], problems, &found, NULL), -EINVAL);
        assert_int_equal(mac_problems_errors(problems), 1);
    }
}

static void keys_and_indices_are_appended(void **state) {
    (void)state;
    mac_autofree char *a = mac_path_key("", "a"), *b = mac_path_key(a, "b c"), *c = mac_path_key(b, "d.e"),
                      *d = mac_path_index(c, 3), *e = mac_path_key(NULL, "\"]");
    assert_string_equal(d, "a.b c[\"d.e\"][3]");
    assert_string_equal(e, "[\"\\\"]\"]");
}

static void values_are_found_by_path(void **state) {
    (void)state;
    mac_autoptr(json_t) tree = json_of("{\"a\":{\"b.c\":[1,{\"d\":2}],\"0\":3},\"n\":null}");
    assert_ptr_equal(mac_tree_get(tree, ""), tree);
    assert_int_equal(json_integer_value(mac_tree_get(tree, "a[\"b.c\"][1].d")), 2);
    assert_int_equal(json_integer_value(mac_tree_get(tree, "a.0")), 3);
    assert_int_equal(json_integer_value(mac_tree_get(tree, "a[0]")), 3);
    assert_true(json_is_null(mac_tree_get(tree, "n")));
    static const char *const absent[] = {"x", "a.x", "a[\"b.c\"][2]", "a[\"b.c\"].d", "n.x", "a..b", "a["};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(absent); i++)
        assert_null(mac_tree_get(tree, absent[i]));
}

static void a_path_becomes_a_patch(void **state) {
    (void)state;
    mac_autoptr(json_t) value = json_integer(1), *set = NULL, *removed = NULL, *whole = NULL;
    assert_int_equal(mac_tree_patch_for("a[\"b.c\"].d", value, &set), 0);
    trees_equal(set, "{\"a\":{\"b.c\":{\"d\":1}}}");
    assert_int_equal(mac_tree_patch_for("a.b", NULL, &removed), 0);
    trees_equal(removed, "{\"a\":{\"b\":null}}");
    assert_int_equal(mac_tree_patch_for("", value, &whole), 0);
    assert_ptr_equal(whole, value);
    json_t *untouched = value;
    assert_int_equal(mac_tree_patch_for("a[0]", value, &untouched), -ENOTSUP);
    assert_int_equal(mac_tree_patch_for("a.b[0].c", value, &untouched), -ENOTSUP);
    assert_int_equal(mac_tree_patch_for("a..b", value, &untouched), -EINVAL);
    assert_ptr_equal(untouched, value);
}

/* RFC 7396, section 3 and appendix A. */
static const char *const rfc[][3] = {
    {"{\"a\":\"b\",\"c\":{\"d\":\"e\",\"f\":\"g\"}}", "{\"a\":\"z\",\"c\":{\"f\":null}}",
     "{\"a\":\"z\",\"c\":{\"d\":\"e\"}}"},
    {"{\"title\":\"Goodbye!\",\"author\":{\"givenName\":\"John\",\"familyName\":\"Doe\"},\"tags\":[\"example\","
     "\"sample\"],"
     "\"content\":\"This will be unchanged\"}",
     "{\"title\":\"Hello!\",\"phoneNumber\":\"+01-123-456-7890\",\"author\":{\"familyName\":null},\"tags\":["
     "\"example\"]}",
     "{\"title\":\"Hello!\",\"author\":{\"givenName\":\"John\"},\"tags\":[\"example\"],"
     "\"content\":\"This will be unchanged\",\"phoneNumber\":\"+01-123-456-7890\"}"},
    {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
    {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
    {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
    {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
    {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
    {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
    {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
    {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
    {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
    {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
    {"{\"a\":\"foo\"}", "null", "null"},
    {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
    {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
    {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
    {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
};

static void merging_does_what_the_rfc_says(void **state) {
    (void)state;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(rfc); i++) {
        mac_autoptr(json_t) target = json_of(rfc[i][0]), *patch = json_of(rfc[i][1]);
        mac_autoptr(json_t) merged = mac_tree_merge(target, patch);
        trees_equal(merged, rfc[i][2]);
        trees_equal(target, rfc[i][0]);
        trees_equal(patch, rfc[i][1]);
    }
    mac_autoptr(json_t) patch = json_of("{\"a\":{\"b\":null}}");
    mac_autoptr(json_t) merged = mac_tree_merge(NULL, patch);
    trees_equal(merged, "{\"a\":{}}");
}

/* A small linear congruential generator: the same trees in every run. */
static unsigned pick(unsigned *seed, unsigned below) {
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 16) % below;
}

static json_t *random_tree(unsigned *seed, unsigned depth, bool nulls) {
    unsigned kind = pick(seed, depth ? 8 : 4);
    if (kind == 0 && nulls)
        return json_null();
    if (kind < 3)
        return json_integer((json_int_t)pick(seed, 3));
    if (kind == 3)
        return json_pack("[i]", (int)pick(seed, 3));
    json_t *object = json_object();
    for (unsigned i = pick(seed, 4); i > 0; i--) {
        char key[2] = {(char)('a' + pick(seed, 4)), '\0'};
        json_object_set_new(object, key, random_tree(seed, depth - 1, nulls));
    }
    return object;
}

static void two_patches_combine_into_one(void **state) {
    (void)state;
    unsigned seed = 1, exact = 0;
    for (unsigned round = 0; round < 20000; round++) {
        mac_autoptr(json_t) target = random_tree(&seed, 3, false), *first = random_tree(&seed, 3, true),
                            *second = random_tree(&seed, 3, true);
        if (!mac_tree_can_merge_patches(first, second))
            continue;
        exact++;
        mac_autoptr(json_t) once = mac_tree_merge(target, first);
        mac_autoptr(json_t) twice = mac_tree_merge(once, second), *both = mac_tree_merge_patches(first, second);
        mac_autoptr(json_t) at_once = mac_tree_merge(target, both);
        if (!json_equal(twice, at_once))
            fail_msg("round %u: %s", round, json_dumps(both, JSON_ENCODE_ANY));
    }
    assert_true(exact > 5000);
    mac_autoptr(json_t) remove = json_of("{\"a\":null}"), *set = json_of("{\"a\":{\"b\":1}}");
    assert_false(mac_tree_can_merge_patches(remove, set));
    mac_autoptr(json_t) both = mac_tree_merge_patches(remove, set);
    trees_equal(both, "{\"a\":{\"b\":1}}");
}

static void a_patch_between_two_trees_leads_from_one_to_the_other(void **state) {
    (void)state;
    unsigned seed = 2;
    for (unsigned round = 0; round < 20000; round++) {
        mac_autoptr(json_t) from = random_tree(&seed, 3, false), *to = random_tree(&seed, 3, false);
        mac_autoptr(json_t) patch = mac_tree_patch_between(from, to);
        mac_autoptr(json_t) merged = mac_tree_merge(from, patch);
        assert_true(json_equal(merged, to));
    }
}

static void differences_name_every_place_once(void **state) {
    (void)state;
    mac_autoptr(json_t) from = json_of("{\"a\":1,\"b\":{\"c.d\":[1],\"e\":2},\"f\":{\"g\":1},\"h\":1}");
    mac_autoptr(json_t) to = json_of("{\"a\":1,\"b\":{\"c.d\":[1,2],\"e\":2,\"i\":3},\"f\":5,\"j\":{\"k\":1}}");
    mac_changes changes;
    mac_tree_diff(from, to, &changes);
    static const char *const paths[] = {"b[\"c.d\"]", "b.i", "f", "h", "j"};
    assert_int_equal(changes.count, MAC_ARRAY_SIZE(paths));
    for (size_t i = 0; i < changes.count; i++) {
        assert_string_equal(changes.items[i].path, paths[i]);
        assert_ptr_equal(changes.items[i].old_value, mac_tree_get(from, paths[i]));
        assert_ptr_equal(changes.items[i].new_value, mac_tree_get(to, paths[i]));
    }
    mac_changes_deinit(&changes);
    mac_tree_diff(from, from, &changes);
    assert_int_equal(changes.count, 0);
    mac_changes_deinit(&changes);
    mac_tree_diff(NULL, to, &changes);
    assert_int_equal(changes.count, 1);
    assert_string_equal(changes.items[0].path, "");
    mac_changes_deinit(&changes);
}

static void many_differences_are_all_kept(void **state) {
    (void)state;
    mac_autoptr(json_t) from = json_object(), *to = json_object();
    for (int i = 0; i < 100; i++) {
        mac_autofree char *key = mac_asprintf("k%d", i);
        json_object_set_new(to, key, json_integer(i));
    }
    mac_changes changes;
    mac_tree_diff(from, to, &changes);
    assert_int_equal(changes.count, 100);
    assert_string_equal(changes.items[99].path, "k99");
    mac_changes_deinit(&changes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_read_in_every_spelling),
        cmocka_unit_test(wrong_paths_say_what_was_meant),
        cmocka_unit_test(keys_and_indices_are_appended),
        cmocka_unit_test(values_are_found_by_path),
        cmocka_unit_test(a_path_becomes_a_patch),
        cmocka_unit_test(merging_does_what_the_rfc_says),
        cmocka_unit_test(two_patches_combine_into_one),
        cmocka_unit_test(a_patch_between_two_trees_leads_from_one_to_the_other),
        cmocka_unit_test(differences_name_every_place_once),
        cmocka_unit_test(many_differences_are_all_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
