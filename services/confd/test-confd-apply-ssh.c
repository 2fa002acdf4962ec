/* ssh_authorized_keys with a key server of its own (test-confd-keyserver.py). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confd-keycache.h"
#include "confd-sshkeys.h"
#include "test-confd-keys.h"
#include "test-confd-sandbox.h"

#define HEAD "# Written by MaculaOS from the configuration: changes here are lost.\n"
#define FILE1 "/home/macula/.ssh/authorized_keys"

typedef struct key_server {
    char directory[64];
    pid_t pid;
    int input; /* it ends when this is closed */
    int port;
} key_server;

static key_server server;

static void server_start(const char *certificate, const char *key) {
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    mac_autofree char *script = mac_asprintf("%s/services/confd/test-confd-keyserver.py", getenv("MACULA_SOURCE_DIR"));
    server.pid = fork();
    assert_true(server.pid >= 0);
    if (server.pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        execlp("python3", "python3", script, server.directory, certificate, key, NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    server.input = in[1];
    FILE *answer = fdopen(out[0], "r");
    assert_int_equal(fscanf(answer, "%d", &server.port), 1);
    fclose(answer);
    mac_autofree char *url = mac_asprintf("http://127.0.0.1:%d", server.port);
    setenv("MACULA_GITHUB_URL", url, 1);
}

static void server_stop(void) {
    if (server.pid == 0)
        return;
    close(server.input);
    assert_int_equal(waitpid(server.pid, NULL, 0), server.pid);
    server.pid = 0;
}

static void serve(const char *name, const char *text) {
    mac_autofree char *path = mac_asprintf("%s/%s", server.directory, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* How often the server answered like this. */
static size_t count_requests(const char *line) {
    mac_autofree char *path = mac_asprintf("%s/requests", server.directory);
    FILE *file = fopen(path, "re");
    char found[256];
    size_t count = 0;
    while (file && fgets(found, sizeof found, file)) {
        found[strcspn(found, "\n")] = '\0';
        count += mac_streq(found, line);
    }
    if (file)
        fclose(file);
    return count;
}

static int node_and_server(void **state) {
    strcpy(server.directory, "/tmp/test-confd-keys-XXXXXX");
    assert_non_null(mkdtemp(server.directory));
    unsetenv("MACULA_CA_FILE");
    server_start(NULL, NULL);
    return test_node_new(state);
}

static int end_both(void **state) {
    server_stop();
    mac_autofree char *command = mac_asprintf("rm -r %s", server.directory);
    assert_int_equal(system(command), 0);
    return test_node_free(state);
}

static char *entries[3];
static void authorize(test_node *node, char *first, char *second) {
    entries[0] = first;
    entries[1] = second;
    node->document.ssh_authorized_keys = entries;
    node->document.n_ssh_authorized_keys = second ? 2 : 1;
}

static void put_accounts(test_node *node) {
    put_file(node, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nmacula:x:1000:1001::/home/macula:/bin/sh\n");
    assert_int_equal(mac_fs_mkdirs(node->context.root, "/home/macula", 0755), 0);
    assert_int_equal(mac_fs_mkdirs(node->context.root, "/var/lib/maculaos", 0755),
                     0); /* the cache stays after an undo */
}

/* ---- refreshing ---- */

typedef struct refreshed {
    bool ended, changed;
    char *notes;
} refreshed;

static void on_refreshed(bool changed, const mac_problems *notes, void *data) {
    refreshed *result = data;
    *result = (refreshed){.ended = true, .changed = changed, .notes = mac_problems_format(notes)};
}

static refreshed refresh(test_node *node) {
    refreshed result = {0};
    assert_non_null(confd_ssh_keys_refresh(&node->context, on_refreshed, &result));
    run_loop(node);
    assert_true(result.ended);
    return result;
}

/* ---- the applicator ---- */

static void literal_keys_are_written_for_the_login_user(void **state) {
    test_node *node = *state;
    put_accounts(node);
    authorize(node, KEY1, "from=\"10.0.0.0/8\",no-pty " KEY2);
    assert_true(is_accepted(node, &confd_apply_ssh_keys));
    exercise(node, &confd_apply_ssh_keys);
    assert_file(node, FILE1, HEAD KEY1 "\nfrom=\"10.0.0.0/8\",no-pty " KEY2 "\n");
    assert_mode(node, FILE1, 0600);
    assert_mode(node, "/home/macula/.ssh", 0700);
    struct stat st;
    assert_int_equal(mac_fs_stat(node->context.root, FILE1, &st), 0);
    if (geteuid() == 0) {
        assert_int_equal(st.st_uid, 1000);
        assert_int_equal(st.st_gid, 1001);
    }
    put_file(node, FILE1, HEAD KEY3 "\n");
    assert_true(has_finding(node, &confd_apply_ssh_keys, FILE1));
    apply_well(node, &confd_apply_ssh_keys);

    node->document.n_ssh_authorized_keys = 0;
    exercise(node, &confd_apply_ssh_keys);
    assert_no_file(node, FILE1);
}

static void without_the_login_user_root_gets_the_keys(void **state) {
    test_node *node = *state;
    put_file(node, "/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    authorize(node, KEY1, NULL);
    apply_well(node, &confd_apply_ssh_keys);
    assert_file(node, "/root/.ssh/authorized_keys", HEAD KEY1 "\n");
}

static void users_have_keys_of_their_own(void **state) {
    test_node *node = *state;
    static Macula__V1__UserAccount alice = MACULA__V1__USER_ACCOUNT__INIT;
    static Macula__V1__UserAccount *users[] = {&alice};
    static char *keys[] = {KEY2};
    put_accounts(node);
    alice.name = "alice";
    alice.ssh_authorized_keys = keys;
    alice.n_ssh_authorized_keys = 1;
    node->section.users = users;
    node->section.n_users = 1;
    apply_well(node, NULL);
    assert_file(node, "/home/alice/.ssh/authorized_keys", HEAD KEY2 "\n");
    assert_no_file(node, FILE1);
    node->section.n_users = 0;
    apply_well(node, NULL);
    assert_no_file(node, "/home/alice/.ssh/authorized_keys");
}

static void github_keys_are_fetched_and_kept(void **state) {
    test_node *node = *state;
    put_accounts(node);
    serve("octocat.keys", KEY1 "\n" KEY2 "\n");
    authorize(node, KEY3, "github:octocat");
    assert_true(confd_ssh_keys_missing(&node->context));
    exercise(node, &confd_apply_ssh_keys);
    assert_file(node, FILE1, HEAD KEY3 "\n# github:octocat\n" KEY1 "\n" KEY2 "\n");
    assert_int_equal(count_requests("/octocat.keys 200"), 1);
    assert_false(confd_ssh_keys_missing(&node->context));

    server_stop(); /* offline, and /home is new */
    assert_int_equal(mac_fs_remove_tree(node->context.root, "/home/macula/.ssh"), 0);
    node->context.phase = CONFD_BOOT;
    apply_well(node, &confd_apply_ssh_keys);
    assert_file(node, FILE1, HEAD KEY3 "\n# github:octocat\n" KEY1 "\n" KEY2 "\n");
}

static void without_network_a_change_is_still_taken(void **state) {
    test_node *node = *state;
    put_accounts(node);
    server_stop();
    authorize(node, KEY3, "github:octocat");
    start(node, &confd_apply_ssh_keys);
    assert_null(node->error);
    assert_true(has_note(node, "github:octocat could not be asked"));
    assert_true(has_note(node, "tried again later"));
    keep(node);
    assert_file(node, FILE1, HEAD KEY3 "\n");
    assert_true(confd_ssh_keys_missing(&node->context));

    server_start(NULL, NULL);
    serve("octocat.keys", KEY1 "\n");
    refreshed result = refresh(node);
    assert_true(result.changed);
    assert_string_equal(result.notes, "");
    free(result.notes);
    assert_file(node, FILE1, HEAD KEY3 "\n# github:octocat\n" KEY1 "\n");
}

static void a_source_that_never_answered_locks_nobody_out(void **state) {
    test_node *node = *state;
    put_accounts(node);
    authorize(node, KEY1, NULL);
    apply_well(node, &confd_apply_ssh_keys);
    server_stop();
    authorize(node, "github:nosuch", NULL);
    start(node, &confd_apply_ssh_keys);
    assert_null(node->error);
    assert_false(has_action(node, "remove"));
    assert_true(has_note(node, "github:nosuch could not be asked"));
    assert_true(has_note(node, "the keys that were there before stay"));
    keep(node);
    assert_file(node, FILE1, HEAD KEY1 "\n");
    assert_int_equal(count_findings(node, &confd_apply_ssh_keys), 0);
    node->context.phase = CONFD_BOOT;
    apply_well(node, &confd_apply_ssh_keys);
    node->context.phase = CONFD_RUNTIME;
    assert_file(node, FILE1, HEAD KEY1 "\n");

    authorize(node, KEY3, "github:nosuch"); /* only extended by what is known */
    apply_well(node, &confd_apply_ssh_keys);
    assert_file(node, FILE1, HEAD KEY3 "\n" KEY1 "\n");
    put_file(node, FILE1, HEAD KEY3 "\n" KEY1 "\n" KEY2 "\n"); /* what is put there by hand does not stay */
    assert_true(has_finding(node, &confd_apply_ssh_keys, FILE1));
    apply_well(node, &confd_apply_ssh_keys);
    assert_file(node, FILE1, HEAD KEY3 "\n" KEY1 "\n");

    server_start(NULL, NULL);
    serve("nosuch.keys", KEY2 "\n");
    refreshed result = refresh(node);
    assert_true(result.changed);
    free(result.notes);
    assert_file(node, FILE1, HEAD KEY3 "\n# github:nosuch\n" KEY2 "\n");
}

static void a_way_back_finds_the_keys_that_stayed(void **state) {
    test_node *node = *state;
    put_accounts(node);
    server_stop();
    put_file(node, FILE1, KEY1 "\n");
    authorize(node, "github:nosuch", NULL);
    exercise(node, &confd_apply_ssh_keys);
    assert_file(node, FILE1, HEAD KEY1 "\n");
    authorize(node, KEY2, NULL);
    apply_well(node, &confd_apply_ssh_keys);
    assert_file(node, FILE1, HEAD KEY2 "\n");
    authorize(node, "github:nosuch", NULL);
    apply_well(node, &confd_apply_ssh_keys);
    assert_file(node, FILE1, HEAD KEY1 "\n");
    authorize(node, KEY1, NULL);
    apply_well(node, &confd_apply_ssh_keys);
    assert_file(node, FILE1, HEAD KEY1 "\n");
}

static void keys_stay_through_a_kill_at_every_file(void **state) {
    test_node *node = *state;
    put_accounts(node);
    server_stop();
    put_file(node, FILE1, KEY1 "\n");
    authorize(node, KEY3, "github:nosuch");
    exercise_killed(node, &confd_apply_ssh_keys);
    assert_file(node, FILE1, HEAD KEY3 "\n" KEY1 "\n");
}

static void a_refresh_asks_only_for_what_is_new(void **state) {
    test_node *node = *state;
    put_accounts(node);
    serve("octocat.keys", KEY1 "\n");
    authorize(node, "github:octocat", NULL);
    apply_well(node, &confd_apply_ssh_keys);
    refreshed result = refresh(node);
    assert_false(result.changed);
    free(result.notes);
    assert_int_equal(count_requests("/octocat.keys 304"), 1);

    serve("octocat.keys", KEY2 "\n");
    result = refresh(node);
    assert_true(result.changed);
    free(result.notes);
    assert_file(node, FILE1, HEAD "# github:octocat\n" KEY2 "\n");

    serve("octocat.keys.status", "404");
    result = refresh(node);
    assert_false(result.changed);
    assert_non_null(strstr(result.notes, "stay in force"));
    free(result.notes);
    assert_file(node, FILE1, HEAD "# github:octocat\n" KEY2 "\n");
    assert_int_equal(count_findings(node, &confd_apply_ssh_keys), 0);

    node->document.n_ssh_authorized_keys = 0;
    assert_null(confd_ssh_keys_refresh(&node->context, on_refreshed, &result));
}

static void a_refresh_can_be_cancelled(void **state) {
    test_node *node = *state;
    put_accounts(node);
    serve("octocat.keys", KEY1 "\n");
    authorize(node, "github:octocat", NULL);
    refreshed result = {0};
    confd_ssh_refresh *asked = confd_ssh_keys_refresh(&node->context, on_refreshed, &result);
    confd_ssh_keys_refresh_cancel(asked);
    run_loop(node);
    assert_true(result.ended);
    assert_false(result.changed);
    free(result.notes);
    assert_no_file(node, FILE1);
}

static void hostile_answers_let_nobody_in(void **state) {
    static const char *const bad[] = {"<html>log in to the hotel</html>\n", "command=\"reboot\" " KEY1 "\n",
                                      "ssh-ed25519 AAAA\n", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIMASiUBfZWHHnXF\n"};
    test_node *node = *state;
    put_accounts(node);
    authorize(node, "github:octocat", NULL);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        serve("octocat.keys", bad[i]);
        start(node, &confd_apply_ssh_keys);
        assert_null(node->error);
        assert_true(has_note(node, "not a list of keys"));
        keep(node);
        assert_no_file(node, FILE1);
    }
    serve("octocat.keys", "no-pty " KEY1 "\n" KEY2 "\n\x01" KEY3 "\n");
    start(node, &confd_apply_ssh_keys);
    assert_true(has_note(node, "2 lines from github:octocat"));
    keep(node);
    assert_file(node, FILE1, HEAD "# github:octocat\n" KEY2 "\n");
}

static void a_flood_of_keys_is_refused(void **state) {
    test_node *node = *state;
    mac_autobuffer flood = {0};
    put_accounts(node);
    authorize(node, "github:octocat", NULL);
    while (flood.length < CONFD_KEYS_BYTES_MAX + 1)
        mac_buffer_text(&flood, KEY1 "\n");
    serve("octocat.keys", flood.data);
    start(node, &confd_apply_ssh_keys);
    assert_null(node->error);
    assert_true(has_note(node, "github:octocat could not be asked"));
    keep(node);
    assert_no_file(node, FILE1);
}

static void https_sources_need_a_good_certificate(void **state) {
    test_node *node = *state;
    mac_autofree char *command =
        mac_asprintf("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=test "
                     "-addext subjectAltName=IP:127.0.0.1 -keyout %1$s/key -out %1$s/cert 2>/dev/null",
                     server.directory);
    assert_int_equal(system(command), 0);
    server_stop();
    mac_autofree char *certificate = mac_asprintf("%s/cert", server.directory);
    mac_autofree char *key = mac_asprintf("%s/key", server.directory);
    server_start(certificate, key);
    serve("team.keys", KEY1 "\r\n# comment\r\n\r\n");
    mac_autofree char *url = mac_asprintf("https://127.0.0.1:%d/team.keys", server.port);
    put_accounts(node);
    authorize(node, url, NULL);
    assert_true(is_accepted(node, &confd_apply_ssh_keys));
    start(node, &confd_apply_ssh_keys);
    assert_true(has_note(node, "could not be asked"));
    keep(node);
    assert_no_file(node, FILE1);
    setenv("MACULA_CA_FILE", certificate, 1);
    apply_well(node, &confd_apply_ssh_keys);
    mac_autofree char *expected = mac_asprintf(HEAD "# %s\n" KEY1 "\n", url);
    assert_file(node, FILE1, expected);
    unsetenv("MACULA_CA_FILE");
}

static void keys_are_not_written_through_a_link(void **state) {
    test_node *node = *state;
    put_accounts(node);
    assert_int_equal(mac_fs_mkdirs(node->context.root, "/etc/victim", 0755), 0);
    put_link(node, "/home/macula/.ssh", "/etc/victim");
    authorize(node, KEY1, NULL);
    apply_fails(node, &confd_apply_ssh_keys, "symbolic link");
    assert_no_file(node, "/etc/victim/authorized_keys");
    assert_int_equal(mac_fs_remove(node->context.root, "/home/macula/.ssh"), 0);
    put_file(node, "/etc/victim/file", "untouched");
    put_link(node, FILE1, "/etc/victim/file");
    apply_well(node, &confd_apply_ssh_keys);
    assert_file(node, "/etc/victim/file", "untouched");
}

static void a_damaged_cache_counts_as_none(void **state) {
    test_node *node = *state;
    put_accounts(node);
    serve("octocat.keys", KEY1 "\n");
    authorize(node, "github:octocat", NULL);
    apply_well(node, &confd_apply_ssh_keys);
    mac_autostrings names = {0};
    assert_int_equal(mac_fs_list(node->context.root, CONFD_KEYCACHE_DIR, &names), 0);
    assert_int_equal(names.count, 1);
    mac_autofree char *path = mac_asprintf(CONFD_KEYCACHE_DIR "/%s", names.items[0]);
    put_file(node, path, "{\"source\":\"github:octocat\",\"keys\":[\"command=\\\"x\\\" " KEY1 "\"]}");
    assert_true(confd_ssh_keys_missing(&node->context));
    apply_well(node, &confd_apply_ssh_keys);
    assert_int_equal(count_requests("/octocat.keys 200"), 2);
}

static void what_is_no_key_is_refused(void **state) {
    static char *const bad[] = {"github:",
                                "github:../x",
                                "github:a/b",
                                "http://example.com/keys",
                                "hello",
                                "ssh-dss AAAAB3NzaC1kc3MAAACBAA==",
                                (KEY1 "\nssh-ed25519 x"),
                                ("command=\"x " KEY1),
                                "github:a b",
                                "https://x/\ny"};
    test_node *node = *state;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        authorize(node, bad[i], NULL);
        assert_true(is_refused(node, &confd_apply_ssh_keys, "ssh_authorized_keys[0]"));
    }
}

static void keys_survive_a_kill_at_every_file(void **state) {
    test_node *node = *state;
    put_accounts(node);
    authorize(node, KEY1, NULL);
    exercise_killed(node, &confd_apply_ssh_keys);
}

int main(void) {
    if (!getenv("MACULA_LIBEXEC") && getenv("MACULA_BIN_DIR"))
        setenv("MACULA_LIBEXEC", getenv("MACULA_BIN_DIR"), 1);
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, node_and_server, end_both)
        TEST(literal_keys_are_written_for_the_login_user),
        TEST(without_the_login_user_root_gets_the_keys),
        TEST(users_have_keys_of_their_own),
        TEST(github_keys_are_fetched_and_kept),
        TEST(without_network_a_change_is_still_taken),
        TEST(a_source_that_never_answered_locks_nobody_out),
        TEST(a_way_back_finds_the_keys_that_stayed),
        TEST(keys_stay_through_a_kill_at_every_file),
        TEST(a_refresh_asks_only_for_what_is_new),
        TEST(a_refresh_can_be_cancelled),
        TEST(hostile_answers_let_nobody_in),
        TEST(a_flood_of_keys_is_refused),
        TEST(https_sources_need_a_good_certificate),
        TEST(keys_are_not_written_through_a_link),
        TEST(a_damaged_cache_counts_as_none),
        TEST(what_is_no_key_is_refused),
        TEST(keys_survive_a_kill_at_every_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
