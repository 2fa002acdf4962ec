/* What is said about a text without a node. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "confd-validate.h"
#include "test-confd-box.h"

/* All problems, a line each; caller frees. */
static char *problems_of(const char *text) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    bool valid = confd_validate("node.yaml", text, strlen(text), problems);
    assert_int_equal(valid, mac_problems_errors(problems) == 0);
    return mac_problems_format(problems);
}

static void assert_said(const char *text, const char *expected) {
    mac_autofree char *found = problems_of(text);
    if (!strstr(found, expected))
        fail_msg("%s: expected %s, found %s", text, expected, found);
}

static void what_no_node_would_accept_is_told_with_its_place(void **state) {
    (void)state;
    assert_said("hostnam: a\n", "node.yaml:1:1: hostnam: unknown key");
    assert_said("hostname: a\nwrite_files:\n- path: /etc/a\n  encoding: gzip\n  content: no\n",
                "node.yaml:3:3: write_files[0]: the content is not what encoding");
    assert_said("write_files:\n- path: /etc/a\n- path: /etc/a\n",
                "node.yaml:3:3: write_files[1]: /etc/a is written by");
    assert_said("write_files: [{path: /var/lib/maculaos/config.yaml}]\n", "node.yaml:1:15: write_files[0]: ");
    assert_said("k3os:\n  k3s_args: [server, what]\n", "node.yaml:2:22: maculaos.k3s_args[1]: expected");
    assert_said("maculaos:\n  password: $6$cut$off\n", "node.yaml:2:13: maculaos.password: ");
    assert_said("maculaos: {password: '********'}\n", "maculaos.password: expected a secret");
    assert_said("maculaos:\n  users:\n  - name: one\n    uid: 1500\n  - name: two\n    uid: 1500\n",
                "node.yaml:5:5: maculaos.users[1]: uid 1500");
    assert_said("{\"hostname\": \"a\",\t\"maculaos\": {\"timezone\": \"/etc\"}}", "maculaos.timezone: expected");
    assert_said("hostname: [", "node.yaml:2:1: this is no valid YAML");
}

/* Exactly these lines, in any order. */
static void assert_all_said(const char *text, size_t count, const char *const *lines) {
    mac_autofree char *all = problems_of(text);
    size_t found = 0;
    for (const char *at = all; *at; at++)
        found += *at == '\n';
    for (size_t i = 0; i < count; i++)
        assert_contains(all, lines[i]);
    if (found != count)
        fail_msg("expected %zu lines, found %zu: %s", count, found, all);
}

static void one_mistake_does_not_hide_another(void **state) {
    (void)state;
    const char *const lines[] = {
        "node.yaml:1:1: hostnmae: unknown key",
        "node.yaml:3:13: maculaos.password: expected a clear password or a whole crypt(5) string",
        "node.yaml:4:26: maculaos.labels.a: \"${WHO}\" is not known",
        "node.yaml:5:13: maculaos.timezone: expected ",
        "node.yaml:7:3: write_files[0]: the content is not what encoding",
        "node.yaml:8:43: write_files[1].permissions: expected ",
    };
    assert_all_said("hostnmae: x\n"
                    "maculaos:\n"
                    "  password: \"$1$abc\"\n"
                    "  labels: {b: 'fine', a: '${WHO}'}\n"
                    "  timezone: /etc\n"
                    "write_files:\n"
                    "- {path: /etc/a, content: \"%%%%\", encoding: b64}\n"
                    "- {path: /etc/b, content: a, permissions: [no]}\n",
                    MAC_ARRAY_SIZE(lines), lines);
    const char *const twice[] = {"node.yaml:2:1: the key",
                                 "node.yaml:3:1: warning: ", "node.yaml:3:27: maculaos.k3s_args[1]",
                                 "node.yaml:4:15: write_files[0]: /proc/x"};
    assert_all_said("hostname: a\nhostname: b\nk3os: {k3s_args: [server, what]}\nwrite_files: [{path: /proc/x}]\n", 4,
                    twice);
}

static void a_place_is_found_whatever_the_key_is_called(void **state) {
    (void)state;
    assert_said("# first\nwriteFiles: [{path: /etc/a, content: '%%', encoding: b64}]\n",
                "node.yaml:2:14: write_files[0]: ");
    assert_said("maculaos:\n  environments:\n    A: b\n    B: \"a\\nb\"\n", "node.yaml:4:8: maculaos.environment.B: ");
    assert_said("macula:\n  environments: {B: \"a\\nb\"}\n", "node.yaml:2:21: maculaos.environment.B: ");
    assert_said("k3sArgs: [server, what]\n", "node.yaml:1:19: maculaos.k3s_args[1]: expected");
}

static void an_alias_is_wrong_where_it_stands(void **state) {
    (void)state;
    const char *const lines[] = {"node.yaml:1:1: a: unknown key",
                                 "node.yaml:2:11: hostname: expected text, found a list"};
    assert_all_said("a: &a [x]\nhostname: *a\n", 2, lines);
}

static void what_the_bus_cannot_have_is_told_with_its_place(void **state) {
    (void)state;
    const char *const lines[] = {
        "node.yaml:3:18: maculaos.nats.max_payload: 64K to 64M expected, found \"1K\"",
        "node.yaml:4:18: maculaos.nats.max_pending: max_payload to 1G expected, found \"1\"",
        "node.yaml:5:21: maculaos.nats.write_deadline: a duration from 100ms to 10m expected, found \"1ms\"",
        "node.yaml:6:13: maculaos.nats.listen: 0.0.0.0:4222 is reachable from outside",
        "node.yaml:7:14: maculaos.nats.cluster.secret: a cluster needs a secret of 16 to 128",
    };
    assert_all_said("maculaos:\n  nats:\n    max_payload: 1K\n    max_pending: 1\n    write_deadline: 1ms\n"
                    "    listen: 0.0.0.0:4222\n    cluster: {enabled: true}\n",
                    MAC_ARRAY_SIZE(lines), lines);
    const char *const one[] = {"node.yaml:1:32: maculaos.nats.max_payload: 64K to 64M expected, found \"100G\""};
    assert_all_said("maculaos: {nats: {max_payload: 100G}}\n", 1, one);
    assert_all_said("maculaos: {nats: {cluster: {enabled: true, secret: 'sealed:v1:of.another.node'}}}\n", 0, NULL);
}

static void what_follows_from_a_mistake_is_not_said(void **state) {
    (void)state;
    const char *const lines[] = {"node.yaml:1:22: write_files[0].path: expected ",
                                 "node.yaml:2:19: maculaos.users: expected "};
    assert_all_said("write_files: [{path: [no]}, {path: /etc/b}]\nmaculaos: {users: 5}\n", 2, lines);
}

static void what_depends_on_the_node_is_left_to_it(void **state) {
    (void)state;
    static const char *const good[] = {
        "",
        "write_files: [{path: /etc/a, owner: 'somebody:else'}]\n",
        "maculaos: {token: 'sealed:v1:of.another.node', password: clear, users: [{name: ops, groups: [video]}]}\n",
        "maculaos: {k3s_args: [server, '--server https://10.0.0.1:6443', --disable, traefik]}\n",
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(good); i++) {
        mac_autoptr(mac_problems) problems = mac_problems_new();
        if (!confd_validate("node.yaml", good[i], strlen(good[i]), problems)) {
            mac_autofree char *all = mac_problems_format(problems);
            fail_msg("%s: %s", good[i], all);
        }
    }
}

static void nul_is_no_end(void **state) {
    (void)state;
    static const char text[] = "hostname: a\n\0hostnam: b\n";
    mac_autoptr(mac_problems) problems = mac_problems_new();
    assert_false(confd_validate("node.yaml", text, sizeof text - 1, problems));
}

static void nothing_is_left_behind(void **state) {
    confd_box *box = *state;
    setenv("TMPDIR", box->directory, 1);
    free(problems_of("hostname: a\nmaculaos: {users: [{name: ops, groups: [x]}]}\n"));
    unsetenv("TMPDIR");
    DIR *directory = opendir(box->directory);
    for (const struct dirent *entry; (entry = readdir(directory));)
        assert_false(mac_starts_with(entry->d_name, "macula-validate"));
    closedir(directory);
    setenv("TMPDIR", "/dev/null", 1);
    assert_said("hostname: a\n", "TMPDIR");
    unsetenv("TMPDIR");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_node_would_accept_is_told_with_its_place),
        cmocka_unit_test(one_mistake_does_not_hide_another),
        cmocka_unit_test(a_place_is_found_whatever_the_key_is_called),
        cmocka_unit_test(an_alias_is_wrong_where_it_stands),
        cmocka_unit_test(what_the_bus_cannot_have_is_told_with_its_place),
        cmocka_unit_test(what_follows_from_a_mistake_is_not_said),
        cmocka_unit_test(what_depends_on_the_node_is_left_to_it),
        cmocka_unit_test(nul_is_no_end),
        cmocka_unit_test_setup_teardown(nothing_is_left_behind, box_setup, box_teardown),
    };
    return cmocka_run_group_tests_name("validation without a node", tests, NULL, NULL);
}
