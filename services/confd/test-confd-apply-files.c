/* write_files, its encodings and its manifest. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "confd-content.h"
#include "test-confd-sandbox.h"

static Macula__V1__WriteFile files[5];
static Macula__V1__WriteFile *list[5] = {&files[0], &files[1], &files[2], &files[3], &files[4]};

static void write_files(test_node *node, size_t count) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(files); i++)
        files[i] = (Macula__V1__WriteFile)MACULA__V1__WRITE_FILE__INIT;
    node->document.write_files = list;
    node->document.n_write_files = count;
}

static void one_file(test_node *node, char *path, char *content) {
    write_files(node, 1);
    files[0].path = path;
    files[0].content = content;
}

/* base64 of gzip of `length` bytes `c`. */
static char *zipped(int c, size_t length) {
    mac_autofree char *plain = mac_malloc(length);
    memset(plain, c, length);
    size_t room = length / 500 + 4096;
    mac_autofree char *packed = mac_malloc(room);
    z_stream stream = {
        .next_in = (Bytef *)plain, .avail_in = (uInt)length, .next_out = (Bytef *)packed, .avail_out = (uInt)room};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t packed_length = stream.total_out;
    deflateEnd(&stream);
    return mac_base64_encode(packed, packed_length);
}

static void files_are_written_with_parents_and_mode(void **state) {
    test_node *node = *state;
    write_files(node, 2);
    files[0].path = "/opt/acme/bin/run";
    files[0].content = "#!/bin/sh\n";
    files[0].permissions = "0750";
    files[1].path = "/etc/motd";
    files[1].content = "second";
    assert_true(is_accepted(node, &confd_apply_files));
    exercise(node, &confd_apply_files);
    assert_file(node, "/opt/acme/bin/run", "#!/bin/sh\n");
    assert_mode(node, "/opt/acme/bin/run", 0750);
    assert_mode(node, "/opt/acme/bin", 0755);
    assert_file(node, "/etc/motd", "second");

    assert_int_equal(mac_fs_chmod_chown(node->context.root, "/etc/motd",
                                        (mac_fs_attributes){.mode = 0666, .uid = (uid_t)-1, .gid = (gid_t)-1}),
                     0);
    assert_true(has_finding(node, &confd_apply_files, "/etc/motd"));
    apply_well(node, &confd_apply_files);
    assert_mode(node, "/etc/motd", 0644);
}

static void a_path_is_written_once(void **state) {
    test_node *node = *state;
    write_files(node, 3);
    files[0].path = files[2].path = "/opt/z";
    files[0].content = "A";
    files[1].path = "/opt/y";
    files[2].content = "B";
    assert_true(is_refused(node, &confd_apply_files, "write_files[2]: /opt/z is written by write_files[0] already"));
    exercise(node, &confd_apply_files); /* it was accepted once, and may be in force */
    assert_file(node, "/opt/z", "B");
    static char *const other_spellings[] = {"//opt/z", "/opt/./z", "/opt//z", "/opt/../opt/z", "/opt/z/"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(other_spellings); i++) {
        files[2].path = other_spellings[i];
        assert_true(is_refused(node, &confd_apply_files, "write_files[2]: expected the absolute path of a file"));
    }
}

static void owners_are_those_of_the_node(void **state) {
    test_node *node = *state;
    if (geteuid() != 0)
        skip();
    put_file(node, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nsvc:x:812:813::/:/bin/false\n");
    one_file(node, "/etc/svc.conf", "x");
    files[0].owner = "svc";
    exercise(node, &confd_apply_files);
    struct stat st;
    assert_int_equal(mac_fs_stat(node->context.root, "/etc/svc.conf", &st), 0);
    assert_int_equal(st.st_uid, 812);
    assert_int_equal(st.st_gid, 813);
    files[0].owner = "nosuch";
    assert_true(is_refused(node, &confd_apply_files, "no user or group"));
    apply_fails(node, &confd_apply_files, "no user or group");
}

static void an_owner_is_missed_before_the_first_accounts_are_made(void **state) {
    test_node *node = *state;
    Macula__V1__UserAccount ops = MACULA__V1__USER_ACCOUNT__INIT;
    Macula__V1__UserAccount *users[] = {&ops};
    one_file(node, "/etc/a.conf", "x");
    files[0].owner = "nobody:nogroup";
    assert_false(is_refused(node, &confd_apply_files, "no user or group")); /* without accounts nobody has an owner */
    ops.name = "ops";
    node->section.users = users;
    node->section.n_users = 1;
    assert_true(is_refused(node, &confd_apply_files, "no user or group"));
    files[0].owner = "ops:ops";
    assert_false(is_refused(node, &confd_apply_files, "no user or group"));
    files[0].owner = "1000:root";
    assert_false(is_refused(node, &confd_apply_files, "no user or group"));
    files[0].owner = "nobody:nogroup";
    confd_sys *sys = node->context.sys;
    node->context.sys = NULL; /* no node: it may be a text for one with more accounts */
    assert_false(is_refused(node, &confd_apply_files, "no user or group"));
    node->context.sys = sys;
}

static void every_encoding_is_read(void **state) {
    static char *const plain[] = {"", "text/plain"}, *const base64[] = {"b64", "base64"};
    static char *const gzip[] = {"gz",          "gzip",   "gz+b64",   "gz+base64", "gzip+b64",
                                 "gzip+base64", "b64+gz", "b64+gzip", "base64+gz", "base64+gzip"};
    test_node *node = *state;
    one_file(node, "/etc/x", "aaaa");
    for (size_t i = 0; i < MAC_ARRAY_SIZE(plain); i++) {
        files[0].encoding = plain[i];
        apply_well(node, &confd_apply_files);
        assert_file(node, "/etc/x", "aaaa");
    }
    files[0].content = "YmJi\nYg==\n";
    for (size_t i = 0; i < MAC_ARRAY_SIZE(base64); i++) {
        files[0].encoding = base64[i];
        apply_well(node, &confd_apply_files);
        assert_file(node, "/etc/x", "bbbb");
    }
    mac_autofree char *packed = zipped('c', 4);
    files[0].content = packed;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(gzip); i++) {
        files[0].encoding = gzip[i];
        apply_well(node, &confd_apply_files);
        assert_file(node, "/etc/x", "cccc");
    }
}

static void damaged_content_is_refused(void **state) {
    test_node *node = *state;
    mac_autofree char *bomb = zipped(0, (size_t)CONFD_CONTENT_MAX + 1), *good = zipped('c', 4000);
    mac_autofree char *cut = mac_strndup(good, strlen(good) / 8 * 4);
    one_file(node, "/etc/x", "not base64!");
    files[0].encoding = "b64";
    assert_true(is_refused(node, &confd_apply_files, "encoding"));
    files[0].content = "YWFh"; /* base64, but no gzip in it */
    files[0].encoding = "gz+b64";
    assert_true(is_refused(node, &confd_apply_files, "encoding"));
    files[0].content = cut;
    assert_true(is_refused(node, &confd_apply_files, "encoding"));
    files[0].content = "";
    assert_true(is_refused(node, &confd_apply_files, "encoding"));
    files[0].content = bomb;
    assert_true(is_refused(node, &confd_apply_files, "larger than"));
    mac_autofree char *large = zipped('c', CONFD_CONTENT_MAX); /* each may be, but not all of them */
    write_files(node, 5);
    for (size_t i = 0; i < 5; i++) {
        static char *const paths[] = {"/etc/a", "/etc/b", "/etc/c", "/etc/d", "/etc/e"};
        files[i].path = paths[i];
        files[i].content = large;
        files[i].encoding = "gz+b64";
    }
    assert_true(is_refused(node, &confd_apply_files, "together larger"));
    node->document.n_write_files = 4;
    assert_true(is_accepted(node, &confd_apply_files));
    one_file(node, "/etc/x", "");
    files[0].encoding = "rot13";
    assert_true(is_refused(node, &confd_apply_files, "encoding"));
    apply_fails(node, &confd_apply_files, "encoding");
}

static void paths_into_the_kernel_and_our_own_state_are_refused(void **state) {
    static char *const bad[] = {"/proc/sys/kernel/x",
                                "/sys/x",
                                "/dev/sda",
                                "/run/macula/nats.conf",
                                "/var/lib/maculaos/identity/admin.nk",
                                "/var/lib/maculaos/generations/confd.db",
                                "/var/lib/maculaos/applied/users",
                                "/var/lib/maculaos/config.yaml",
                                "/var/lib/maculaos/config.d/20-x.yaml",
                                "/var/lib/maculaos/functions", /* the directory itself */
                                "/data/maculaos/config.yaml",
                                "/etc/resolv.conf",
                                "/etc/locale.conf",
                                "/etc/rancher/k3s/config.yaml",
                                "/home/macula/.ssh/authorized_keys",
                                "/etc/shadow",
                                "/etc/hostname"};
    static char *const odd[] = {"etc/x", "/etc/../x", "/etc/./x", "/etc//x", "/etc/x/", "/", "", "/etc/a\nb"};
    test_node *node = *state;
    one_file(node, NULL, "x");
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        files[0].path = bad[i];
        assert_true(is_refused(node, &confd_apply_files, "write_files[0]"));
    }
    for (size_t i = 0; i < MAC_ARRAY_SIZE(odd); i++) {
        files[0].path = odd[i];
        assert_true(is_refused(node, &confd_apply_files, "absolute path"));
    }
    static char *const good[] = {"/procession/x" /* only looks like it */, "/var/lib/maculaos/functions/on-boot.py",
                                 "/etc/hosts"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(good); i++) {
        files[0].path = good[i];
        assert_true(is_accepted(node, &confd_apply_files));
    }
}

static void a_link_leads_neither_out_nor_into_what_is_forbidden(void **state) {
    test_node *node = *state;
    put_file(node, "/var/lib/maculaos/identity/admin.nk", "seed");
    put_link(node, "/etc/sneaky", "/var/lib/maculaos");
    one_file(node, "/etc/sneaky/identity/admin.nk", "mine");
    assert_true(is_refused(node, &confd_apply_files, "symbolic link"));
    apply_fails(node, &confd_apply_files, "MaculaOS itself");
    assert_file(node, "/var/lib/maculaos/identity/admin.nk", "seed");

    put_link(node, "/etc/missing", "../var/lib/maculaos/generations"); /* not even when it does not exist yet */
    files[0].path = "/etc/sneaky/generations/confd.db";
    assert_true(is_refused(node, &confd_apply_files, "symbolic link"));

    put_link(node, "/etc/outside", "/../../../../tmp"); /* stays below the root */
    assert_int_equal(mac_fs_mkdirs(node->context.root, "/tmp", 0755), 0);
    mac_autofree char *name = mac_asprintf("/etc/outside/%s", strrchr(node->directory, '/') + 1);
    mac_autofree char *host = mac_asprintf("/tmp/%s", strrchr(node->directory, '/') + 1);
    files[0].path = name;
    apply_well(node, &confd_apply_files);
    assert_file(node, host, "mine");

    put_file(node, "/etc/target", "untouched");
    put_link(node, "/etc/final", "/etc/target"); /* a link at the very end is replaced, not followed */
    files[0].path = "/etc/final";
    exercise(node, &confd_apply_files);
    assert_file(node, "/etc/target", "untouched");
}

static void a_file_that_leaves_the_list_goes_and_its_original_comes_back(void **state) {
    test_node *node = *state;
    put_file(node, "/etc/issue", "original");
    assert_int_equal(mac_fs_chmod_chown(node->context.root, "/etc/issue",
                                        (mac_fs_attributes){.mode = 0604, .uid = (uid_t)-1, .gid = (gid_t)-1}),
                     0);
    put_link(node, "/etc/alias", "issue");
    mac_autofree char *before = snapshot(node);
    write_files(node, 3);
    files[0].path = "/etc/issue";
    files[0].content = "ours";
    files[1].path = "/etc/new";
    files[1].content = "new";
    files[2].path = "/etc/alias";
    files[2].content = "no link";
    apply_well(node, &confd_apply_files);
    files[0].content = "ours, changed"; /* the original is still the first one */
    apply_well(node, &confd_apply_files);
    node->document.n_write_files = 0;
    exercise(node, &confd_apply_files);
    assert_int_equal(mac_fs_remove_tree(node->context.root, "/var"), 0);
    mac_autofree char *after = snapshot(node);
    assert_string_equal(after, before);
}

static void what_somebody_changed_since_is_left_to_him(void **state) {
    test_node *node = *state;
    one_file(node, "/etc/new", "ours");
    apply_well(node, &confd_apply_files);
    put_file(node, "/etc/new", "precious");
    node->document.n_write_files = 0;
    start(node, &confd_apply_files);
    assert_null(node->error);
    assert_true(has_note(node, "changed since"));
    keep(node);
    assert_file(node, "/etc/new", "precious");
    assert_int_equal(count_findings(node, &confd_apply_files), 0);
}

static void a_drift_that_is_mended_does_not_become_the_original(void **state) {
    test_node *node = *state;
    put_file(node, "/etc/issue", "original");
    one_file(node, "/etc/issue", "ours");
    apply_well(node, &confd_apply_files);
    put_file(node, "/etc/issue", "scribbled");
    files[0].content = "ours, changed";
    apply_well(node, &confd_apply_files);
    node->document.n_write_files = 0;
    apply_well(node, &confd_apply_files);
    assert_file(node, "/etc/issue", "original");
}

static void after_an_upgrade_the_original_is_the_new_image_s(void **state) {
    test_node *node = *state;
    put_file(node, "/etc/issue", "image 1");
    one_file(node, "/etc/issue", "ours");
    apply_well(node, &confd_apply_files);
    put_file(node, "/etc/issue", "image 2"); /* /etc is new at every boot */
    node->context.phase = CONFD_BOOT;
    apply_well(node, &confd_apply_files);
    assert_file(node, "/etc/issue", "ours");
    node->context.phase = CONFD_RUNTIME;
    node->document.n_write_files = 0;
    apply_well(node, &confd_apply_files);
    assert_file(node, "/etc/issue", "image 2");
}

static void a_directory_is_not_replaced(void **state) {
    test_node *node = *state;
    assert_int_equal(mac_fs_mkdirs(node->context.root, "/etc/d", 0755), 0);
    one_file(node, "/etc/d", "x");
    assert_true(is_refused(node, &confd_apply_files, "/etc/d is a directory"));
    apply_fails(node, &confd_apply_files, "/etc/d is a directory");
}

static void what_is_in_the_way_is_said_before_anything_happens(void **state) {
    test_node *node = *state;
    put_link(node, "/etc/nowhere", "/outside/of/this/root");
    put_link(node, "/etc/loop", "/etc/loop");
    put_link(node, "/etc/tofile", "/etc/file");
    put_file(node, "/etc/file", "x");
    one_file(node, "/etc/nowhere/x", "x");
    assert_true(is_refused(node, &confd_apply_files,
                           "/etc/nowhere is a symbolic link to /outside/of/this/root, and there is no such directory"));
    apply_fails(node, &confd_apply_files, "no such directory on this node");
    files[0].path = "/etc/loop/x";
    assert_true(is_refused(node, &confd_apply_files, "loop of symbolic links"));
    files[0].path = "/etc/tofile/x";
    assert_true(is_refused(node, &confd_apply_files, "which is no directory"));
    files[0].path = "/etc/file/a/b";
    assert_true(is_refused(node, &confd_apply_files, "/etc/file is a file, so nothing can be below it"));
    write_files(node, 3);
    files[0].path = "/opt/a/b";
    files[1].path = "/opt/ab";
    files[2].path = "/opt/a";
    assert_true(is_refused(node, &confd_apply_files, "/opt/a is a file by write_files[2]"));
    files[2].path = "/opt/abc";
    assert_true(is_accepted(node, &confd_apply_files));
}

static void a_file_of_ours_gives_way_to_a_directory(void **state) {
    test_node *node = *state;
    one_file(node, "/etc/thing", "x");
    apply_well(node, &confd_apply_files);
    one_file(node, "/etc/thing/part", "y");
    assert_true(is_accepted(node, &confd_apply_files));
    apply_well(node, &confd_apply_files);
    assert_file(node, "/etc/thing/part", "y");
}

static void at_boot_one_bad_file_does_not_keep_the_others_away(void **state) {
    test_node *node = *state;
    assert_int_equal(mac_fs_mkdirs(node->context.root, "/etc/d", 0755), 0);
    write_files(node, 2);
    files[0].path = "/etc/d";
    files[1].path = "/etc/e";
    files[1].content = "e";
    node->context.phase = CONFD_BOOT;
    start(node, &confd_apply_files);
    assert_true(has_note(node, "/etc/d"));
    keep(node);
    assert_file(node, "/etc/e", "e");
}

static void files_survive_a_kill_at_every_step(void **state) {
    test_node *node = *state;
    put_file(node, "/etc/issue", "original");
    write_files(node, 2);
    files[0].path = "/etc/issue";
    files[0].content = "ours";
    files[1].path = "/opt/new";
    files[1].content = "new";
    exercise_killed(node, &confd_apply_files);
}

static void removal_survives_a_kill_at_every_step(void **state) {
#ifndef MAC_FAULTS
    skip(); /* built without fault points: nothing pulls the plug */
#endif
    test_node *node = *state;
    put_file(node, "/etc/issue", "original");
    one_file(node, "/etc/issue", "ours");
    apply_well(node, &confd_apply_files);
    node->document.n_write_files = 0;
    exercise_killed(node, &confd_apply_files);
    apply_well(node, &confd_apply_files); /* the same again; in a build without fault points, for the first time */
    assert_file(node, "/etc/issue", "original");
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, test_node_new, test_node_free)
        TEST(files_are_written_with_parents_and_mode),
        TEST(a_path_is_written_once),
        TEST(owners_are_those_of_the_node),
        TEST(an_owner_is_missed_before_the_first_accounts_are_made),
        TEST(every_encoding_is_read),
        TEST(damaged_content_is_refused),
        TEST(paths_into_the_kernel_and_our_own_state_are_refused),
        TEST(a_link_leads_neither_out_nor_into_what_is_forbidden),
        TEST(a_file_that_leaves_the_list_goes_and_its_original_comes_back),
        TEST(what_somebody_changed_since_is_left_to_him),
        TEST(a_drift_that_is_mended_does_not_become_the_original),
        TEST(after_an_upgrade_the_original_is_the_new_image_s),
        TEST(a_directory_is_not_replaced),
        TEST(what_is_in_the_way_is_said_before_anything_happens),
        TEST(a_file_of_ours_gives_way_to_a_directory),
        TEST(at_boot_one_bad_file_does_not_keep_the_others_away),
        TEST(files_survive_a_kill_at_every_step),
        TEST(removal_survives_a_kill_at_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
