/* password, users, and the tables beneath them. */
#include <errno.h>
#include <string.h>

#include "confd-accounts.h"
#include "test-confd-sandbox.h"

#define HASH "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1"
#define PASSWD "root:x:0:0:root:/root:/bin/bash\n# a comment\n+nis\nmacula:x:1000:1000::/home/macula:/bin/bash\n"
#define GROUP "root:x:0:\nvideo:x:44:\nsudo:x:27:macula\nmacula:x:1000:\n"
#define SHADOW "root:*:19000:0:99999:7:::\nmacula:!:19000:0:99999:7:::\n"

static Macula__V1__UserAccount alice, bob;
static Macula__V1__UserAccount *users[2] = {&alice, &bob};

static void put_accounts(test_node *node) {
    put_file(node, "/etc/passwd", PASSWD);
    put_file(node, "/etc/group", GROUP);
    put_file(node, "/etc/shadow", SHADOW);
    assert_int_equal(mac_fs_chmod_chown(node->context.root, "/etc/shadow",
                                        (mac_fs_attributes){.mode = 0640, .uid = (uid_t)-1, .gid = (gid_t)-1}),
                     0);
    alice = (Macula__V1__UserAccount)MACULA__V1__USER_ACCOUNT__INIT;
    bob = alice;
    alice.name = "alice";
    bob.name = "bob";
    node->section.users = users;
}

/* A field of a line of an account file. */
static char *field(test_node *node, const char *path, const char *name, size_t number) {
    mac_autofree char *text = read_file(node, path);
    confd_table table = {0};
    confd_table_parse(&table, text);
    ssize_t row = confd_table_find(&table, name);
    char *value = row >= 0 ? confd_table_get(&table, row, number) : NULL;
    confd_table_deinit(&table);
    return value;
}

static void assert_field(test_node *node, const char *path, const char *name, size_t number, const char *expected) {
    mac_autofree char *value = field(node, path, name, number);
    if (!value)
        fail_msg("%s is not in %s", name, path);
    assert_string_equal(value, expected);
}

static void the_password_of_the_login_user_is_set(void **state) {
    test_node *node = *state;
    put_accounts(node);
    node->section.password = HASH;
    assert_true(is_accepted(node, &confd_apply_users));
    exercise(node, &confd_apply_users);
    assert_field(node, "/etc/shadow", "macula", SHADOW_HASH, HASH);
    assert_field(node, "/etc/shadow", "root", SHADOW_CHANGED, "19000");
    assert_mode(node, "/etc/shadow", 0640);
    assert_file(node, "/etc/passwd", PASSWD);

    confd_autofindings findings = {0};
    put_file(node, "/etc/shadow", SHADOW);
    assert_int_equal(confd_apply_users.inspect(&node->context, &findings), 0);
    assert_int_equal(findings.count, 1);
    assert_null(strstr(findings.items[0].expected, "$6$"));
    start(node, &confd_apply_users);
    assert_false(has_action(node, "$6$"));
    keep(node);

    Macula__V1__Document before = node->document;
    Macula__V1__MaculaosSection section = node->section;
    before.maculaos = &section;
    node->context.previous = &before;
    node->section.password = NULL;
    apply_well(node, &confd_apply_users);
    assert_field(node, "/etc/shadow", "macula", SHADOW_HASH, "*");
}

static void a_clear_password_never_reaches_a_file(void **state) {
    test_node *node = *state;
    put_accounts(node);
    node->section.password = "hunter2";
    assert_true(is_refused(node, &confd_apply_users, "crypt"));
    node->section.password = HASH ":0:0";
    assert_true(is_refused(node, &confd_apply_users, "crypt"));
}

static void users_are_made(void **state) {
    test_node *node = *state;
    static char *groups[] = {"video"};
    put_accounts(node);
    put_file(node, "/etc/sudoers", "");
    alice.password = HASH;
    alice.groups = groups;
    alice.n_groups = 1;
    alice.admin = true;
    bob.has_uid = true;
    bob.uid = 1500;
    bob.shell = "/bin/sh";
    node->section.n_users = 2;
    assert_true(is_accepted(node, &confd_apply_users));
    exercise(node, &confd_apply_users);
    assert_file(node, "/etc/passwd",
                PASSWD "alice:x:1001:1001::/home/alice:/bin/bash\nbob:x:1500:1500::/home/bob:/bin/sh\n");
    assert_file(node, "/etc/group",
                "root:x:0:\nvideo:x:44:alice\nsudo:x:27:macula\nmacula:x:1000:\nalice:x:1001:\nbob:x:1500:\n");
    assert_field(node, "/etc/shadow", "alice", SHADOW_HASH, HASH);
    assert_field(node, "/etc/shadow", "bob", SHADOW_HASH, "*");
    assert_file(node, "/etc/sudoers.d/maculaos-users", "alice ALL=(ALL:ALL) NOPASSWD: ALL\n");
    assert_mode(node, "/etc/sudoers.d/maculaos-users", 0440);
    assert_mode(node, "/home/alice", 0750);
}

static void where_doas_is_an_administrator_joins_its_group(void **state) {
    test_node *node = *state;
    put_accounts(node);
    put_file(node, "/etc/doas.conf", "permit nopass :sudo\n");
    alice.admin = true;
    node->section.n_users = 2;
    exercise(node, &confd_apply_users);
    assert_field(node, "/etc/group", "sudo", GROUP_MEMBERS, "macula,alice");
    assert_no_file(node, "/etc/sudoers.d/maculaos-users");
    alice.admin = false;
    apply_well(node, &confd_apply_users);
    assert_field(node, "/etc/group", "sudo", GROUP_MEMBERS, "macula");
    alice.admin = true;
    apply_well(node, &confd_apply_users);
    node->section.n_users = 0;
    apply_well(node, &confd_apply_users);
    assert_field(node, "/etc/group", "sudo", GROUP_MEMBERS, "macula");
    put_file(node, "/etc/group", "root:x:0:\n");
    node->section.n_users = 1;
    assert_true(is_refused(node, &confd_apply_users, "no group sudo"));
}

static void users_are_made_where_there_is_nothing(void **state) {
    test_node *node = *state;
    put_accounts(node);
    assert_int_equal(mac_fs_remove_tree(node->context.root, "/etc"), 0);
    node->section.n_users = 1;
    node->section.password = HASH;
    exercise(node, &confd_apply_users);
    assert_file(node, "/etc/passwd",
                "macula:x:1000:1000::/home/macula:/bin/bash\nalice:x:1001:1001::/home/alice:/bin/bash\n");
    assert_mode(node, "/etc/shadow", 0600);
}

static void a_user_who_leaves_is_locked_and_keeps_his_number(void **state) {
    test_node *node = *state;
    static char *groups[] = {"video"};
    put_accounts(node);
    alice.password = HASH;
    alice.groups = groups;
    alice.n_groups = 1;
    alice.admin = true;
    put_file(node, "/etc/sudoers", "");
    node->section.n_users = 1;
    apply_well(node, &confd_apply_users);
    node->section.n_users = 0;
    exercise(node, &confd_apply_users);
    assert_field(node, "/etc/shadow", "alice", SHADOW_HASH, "!" HASH);
    assert_field(node, "/etc/shadow", "alice", SHADOW_EXPIRES, "1");
    assert_field(node, "/etc/passwd", "alice", PASSWD_SHELL, "/usr/sbin/nologin");
    assert_field(node, "/etc/group", "video", GROUP_MEMBERS, "");
    assert_no_file(node, "/etc/sudoers.d/maculaos-users");

    users[0] = &bob; /* somebody new does not get her number, not even after a boot with a new /etc */
    put_accounts(node);
    node->section.n_users = 1;
    apply_well(node, &confd_apply_users);
    assert_field(node, "/etc/passwd", "bob", PASSWD_UID, "1002");
    put_accounts(node);
    node->section.n_users = 1;
    users[0] = &alice;
    node->context.phase = CONFD_BOOT;
    exercise(node, &confd_apply_users);
    assert_field(node, "/etc/passwd", "alice", PASSWD_UID, "1001");
    assert_field(node, "/etc/passwd", "alice", PASSWD_SHELL, "/bin/bash");
    assert_field(node, "/etc/shadow", "alice", SHADOW_EXPIRES, "");
}

static void hostile_users_are_refused(void **state) {
    static const struct {
        char *name, *shell, *text;
    } bad[] = {{"a:0:0", "/bin/sh", "users[0]"}, {"a\nroot2:x:0:0", "/bin/sh", "users[0]"},
               {"root", "/bin/sh", "always"},    {"macula", "/bin/sh", "always"},
               {"-x", "/bin/sh", "users[0]"},    {"../x", "/bin/sh", "users[0]"},
               {"", "/bin/sh", "users[0]"},      {"eve", "/bin/sh\nx:x:0:0::/:/bin/sh", "shell"},
               {"eve", "/bin/sh:x", "shell"},    {"eve", "sh", "shell"},
               {"Alice", "/bin/sh", "users[0]"}};
    test_node *node = *state;
    put_accounts(node);
    node->section.n_users = 1;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        alice.name = bad[i].name;
        alice.shell = bad[i].shell;
        assert_true(is_refused(node, &confd_apply_users, bad[i].text));
    }
}

static void numbers_that_belong_to_others_are_refused(void **state) {
    test_node *node = *state;
    put_accounts(node);
    node->section.n_users = 1;
    alice.has_uid = true;
    alice.uid = 1000;
    assert_true(is_refused(node, &confd_apply_users, "somebody else"));
    apply_fails(node, &confd_apply_users, "somebody else");
    alice.has_uid = false;
    put_file(node, "/etc/passwd", PASSWD "alice:x:104:104::/:/bin/false\n");
    assert_true(is_refused(node, &confd_apply_users, "account of the system"));
    static char *groups[] = {"nosuch"};
    put_file(node, "/etc/passwd", PASSWD);
    alice.groups = groups;
    alice.n_groups = 1;
    assert_true(is_refused(node, &confd_apply_users, "no group"));
    apply_fails(node, &confd_apply_users, "no group");
    alice.n_groups = 0;
    bob.name = "alice";
    node->section.n_users = 2;
    assert_true(is_refused(node, &confd_apply_users, "twice"));
}

static void accounts_survive_a_kill_at_every_file(void **state) {
    test_node *node = *state;
    put_accounts(node);
    alice.password = HASH;
    alice.admin = true;
    node->section.n_users = 2;
    node->section.password = HASH;
    exercise_killed(node, &confd_apply_users);
}

/* ---- tables ---- */

static void fields_cannot_hold_what_separates_them(void **state) {
    (void)state;
    confd_table table = {0};
    confd_table_parse(&table, "a:b\n\nc");
    assert_int_equal(confd_table_set(&table, 0, 1, "x:y"), -EINVAL);
    assert_int_equal(confd_table_set(&table, 0, 1, "x\ny"), -EINVAL);
    assert_int_equal(confd_table_set(&table, 9, 1, "x"), -EINVAL);
    assert_int_equal(confd_table_set(&table, 0, 4, "x"), 0);
    const char *fields[] = {"n", "o\n"};
    assert_int_equal(confd_table_add(&table, fields, 2), -EINVAL);
    mac_autofree char *text = confd_table_render(&table);
    assert_string_equal(text, "a:b:::x\n\nc\n");
    assert_int_equal(confd_table_find(&table, "c"), -1); /* a line without a colon is no entry */
    confd_table_deinit(&table);
}

static void owners_are_resolved_in_the_node_s_own_files(void **state) {
    static const struct {
        const char *owner;
        int result;
        uid_t uid;
        gid_t gid;
    } cases[] = {{"root", 0, 0, 0},
                 {"macula", 0, 1000, 1000},
                 {"macula:video", 0, 1000, 44},
                 {"1000", 0, 1000, 1000},
                 {"7:8", 0, 7, 8},
                 {":video", 0, 0, 44},
                 {"macula:", 0, 1000, 1000},
                 {"nobody-here", -ENOENT, 0, 0},
                 {"macula:nogroup", -ENOENT, 0, 0},
                 {"", -EINVAL, 0, 0},
                 {":", -EINVAL, 0, 0},
                 {"a:b:c", -EINVAL, 0, 0},
                 {"4294967295", -ENOENT, 0, 0},
                 {"-1", -ENOENT, 0, 0}};
    test_node *node = *state;
    put_accounts(node);
    confd_autoaccounts accounts = {0};
    assert_int_equal(confd_accounts_load(&accounts, node->context.root), 0);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        uid_t uid = 0;
        gid_t gid = 0;
        int r = confd_accounts_owner(&accounts, cases[i].owner, &uid, &gid);
        if (r != cases[i].result || uid != cases[i].uid || gid != cases[i].gid)
            fail_msg("%s: %d, %u:%u", cases[i].owner, r, uid, gid);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, test_node_new, test_node_free)
        TEST(the_password_of_the_login_user_is_set),
        TEST(a_clear_password_never_reaches_a_file),
        TEST(users_are_made),
        TEST(where_doas_is_an_administrator_joins_its_group),
        TEST(users_are_made_where_there_is_nothing),
        TEST(a_user_who_leaves_is_locked_and_keeps_his_number),
        TEST(hostile_users_are_refused),
        TEST(numbers_that_belong_to_others_are_refused),
        TEST(accounts_survive_a_kill_at_every_file),
        TEST(fields_cannot_hold_what_separates_them),
        TEST(owners_are_resolved_in_the_node_s_own_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
