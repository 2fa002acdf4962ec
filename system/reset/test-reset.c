/* macula-reset itself, on a directory in place of the data partition: killed at every step, then started again. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "boot/test-boot-box.h"
#include "reset-wipe.h"

static void put(boot_box *b, const char *path, const char *text) {
    mac_autofree char *parent = mac_strdup(path);
    *strrchr(parent, '/') = '\0';
    assert_int_equal(mac_fs_mkdirs(b->root, parent, 0755), 0);
    assert_int_equal(mac_fs_write(b->root, path, text, strlen(text), MAC_FS_KEEP), 0);
}

static bool is_there(boot_box *b, const char *path) {
    struct stat status;
    return mac_fs_stat(b->root, path, &status) == 0;
}

static void fill(boot_box *b) {
    put(b, "/data/maculaos/config.yaml", "hostname: old");
    put(b, "/data/maculaos/identity/admin.nk", "SECRETSEED");
    put(b, "/data/rancher/k3s/server/token", "token");
    put(b, "/data/home/.hidden/file", "x");
    put(b, "/data/overlay/var/upper/log/messages", "log");
    put(b, "/data/userdata/photo", "kept");
    put(b, "/data/.hidden", "x");
}

static int box_make(void **state) {
    boot_box *b = mac_calloc(1, sizeof *b);
    boot_box_init(b);
    fill(b);
    *state = b;
    return 0;
}

static int box_remove(void **state) {
    boot_box_deinit(*state);
    free(*state);
    return 0;
}

/* Exit status of macula-reset, as wait gives it. */
static int run_reset(boot_box *b, const char *how, const char *fault) {
    mac_autofree char *program = mac_asprintf("%s/macula-reset", getenv("MACULA_BIN_DIR"));
    mac_autofree char *esp = mac_root_path(b->root, "/boot/esp"), *data = mac_root_path(b->root, "/data");
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        if (fault)
            setenv("MACULA_FAULT", fault, 1);
        (void)!freopen("/dev/null", "w", stdout);
        execl(program, program, "--esp", esp, "--data", data, "--running", "a", how, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void ask(boot_box *b, mac_boot_reset reset) {
    mac_autoptr(mac_boot) boot = NULL;
    assert_null(mac_boot_open(b->root, &boot));
    assert_null(mac_boot_set_reset(boot, reset));
}

static void expect_fresh(boot_box *b, bool kept) {
    mac_autostrings names = {0};
    assert_int_equal(mac_fs_list(b->root, "/data", &names), 0);
    assert_int_equal(names.count, kept ? 2 : 1);
    assert_string_equal(names.items[0], "maculaos");
    assert_false(is_there(b, "/data" RESET_ASIDE));
    assert_false(is_there(b, "/data/.hidden"));
    assert_false(is_there(b, "/data/maculaos/config.yaml"));
    assert_true(is_there(b, "/data" RESET_RECORD));
    assert_int_equal(is_there(b, "/data/userdata/photo"), kept);
    assert_int_equal(boot_box_state(b).reset, MAC_BOOT_RESET_NONE);
    assert_int_equal(boot_box_state(b).active, 'a');
}

static void everything_goes_when_asked_from_the_menu(void **state) {
    boot_box *b = *state;
    assert_int_equal(run_reset(b, "--all", NULL), 0);
    expect_fresh(b, false);
}

static void intend_all(boot_box *b) {
    mac_autofree char *program = mac_asprintf("%s/macula-reset", getenv("MACULA_BIN_DIR"));
    mac_autofree char *esp = mac_root_path(b->root, "/boot/esp");
    mac_autofree char *command = mac_asprintf("%s --esp %s --all --intend", program, esp);
    assert_int_equal(system(command), 0);
}

static void an_intent_alone_touches_nothing_and_leads_the_next_start_here(void **state) {
    boot_box *b = *state;
    intend_all(b);
    assert_int_equal(boot_box_state(b).reset, MAC_BOOT_RESET_ALL);
    assert_true(is_there(b, "/data/maculaos/identity/admin.nk"));
    assert_int_equal(run_reset(b, NULL, NULL), 0);
    expect_fresh(b, false);
}

static void the_users_data_stay_when_the_intent_says_so(void **state) {
    boot_box *b = *state;
    ask(b, MAC_BOOT_RESET_KEEP);
    assert_int_equal(run_reset(b, NULL, NULL), 0);
    expect_fresh(b, true);
}

static void who_asks_for_everything_gets_it_after_an_intent_to_keep_data(void **state) {
    boot_box *b = *state;
    ask(b, MAC_BOOT_RESET_KEEP);
    assert_int_equal(run_reset(b, "--all", NULL), 0);
    expect_fresh(b, false);

    fill(b);
    ask(b, MAC_BOOT_RESET_KEEP);
    intend_all(b);
    assert_int_equal(boot_box_state(b).reset, MAC_BOOT_RESET_ALL);
    assert_int_equal(run_reset(b, "--keep-data", NULL), 0);
    expect_fresh(b, false);
}

static void without_an_intent_or_a_wish_nothing_is_touched(void **state) {
    boot_box *b = *state;
    assert_int_equal(WEXITSTATUS(run_reset(b, NULL, NULL)), 3);
    assert_true(is_there(b, "/data/maculaos/identity/admin.nk"));
}

static void a_link_out_of_the_data_is_not_followed(void **state) {
    boot_box *b = *state;
    put(b, "/outside/identity/key", "mine");
    assert_int_equal(mac_fs_symlink(b->root, "../../../outside/identity", "/data/maculaos/identity/link"), 0);
    assert_int_equal(run_reset(b, "--all", NULL), 0);
    mac_autofree char *text = NULL;
    assert_int_equal(mac_fs_read(b->root, "/outside/identity/key", 64, &text, NULL), 0);
    assert_string_equal(text, "mine");
}

static void when_the_intent_cannot_be_written_nothing_is_touched(void **state) {
    boot_box *b = *state;
    assert_int_equal(mac_fs_remove(b->root, "/boot/esp/grub/state-1"), 0);
    assert_int_equal(mac_fs_remove(b->root, "/boot/esp/grub/state-2"), 0);
    assert_int_equal(WEXITSTATUS(run_reset(b, "--all", NULL)), 1);
    assert_true(is_there(b, "/data/maculaos/identity/admin.nk"));
}

/* ---- what does not want to go ---- */

/* chattr; false where the file system or this user cannot. */
static bool lock(boot_box *b, const char *path, int flag) {
    mac_autofd fd = -1;
    int flags = 0;
    assert_int_equal(mac_fs_open(b->root, path, O_RDONLY, 0, &fd), 0);
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return false;
    flags |= flag;
    return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

static void what_is_immutable_or_only_appended_to_goes(void **state) {
    boot_box *b = *state;
    put(b, "/data/.locked", "x");
    put(b, "/data/userdata/locked/file", "x");
    put(b, "/data/userdata/more/diary", "x");
    put(b, "/data/maculaos/identity/locked", "SECRETSEED");
    if (!lock(b, "/data/.locked", FS_IMMUTABLE_FL))
        skip();
    assert_true(lock(b, "/data/userdata/locked/file", FS_IMMUTABLE_FL));
    assert_true(lock(b, "/data/userdata/locked", FS_IMMUTABLE_FL));
    assert_true(lock(b, "/data/userdata/more/diary", FS_APPEND_FL));
    assert_true(lock(b, "/data/userdata/more", FS_APPEND_FL));
    assert_true(lock(b, "/data/maculaos/identity/locked", FS_IMMUTABLE_FL));
    assert_true(lock(b, "/data/maculaos", FS_IMMUTABLE_FL));
    assert_int_equal(run_reset(b, "--all", NULL), 0);
    expect_fresh(b, false);
}

static void a_tree_of_any_depth_goes(void **state) {
    boot_box *b = *state;
    mac_autofd at = -1;
    assert_int_equal(mac_fs_open(b->root, "/data/userdata", O_RDONLY | O_DIRECTORY, 0, &at), 0);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(mkdirat(at, "d", 0755), 0);
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(at);
        at = next;
        close(openat(at, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    }
    assert_int_equal(run_reset(b, "--all", NULL), 0);
    expect_fresh(b, false);
}

static void what_a_check_of_the_file_system_has_found_goes_too(void **state) {
    static const char *const hows[] = {"--all", "--keep-data"};
    boot_box *b = *state;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(hows); i++) {
        fill(b);
        put(b, "/data/lost+found/#1234", "SECRETSEED");
        put(b, "/data/lost+found/#1235/identity/admin.nk", "SECRETSEED");
        assert_int_equal(run_reset(b, hows[i], NULL), 0);
        assert_true(is_there(b, "/data/lost+found"));
        assert_false(is_there(b, "/data/lost+found/#1234"));
        assert_false(is_there(b, "/data/lost+found/#1235"));
        assert_false(is_there(b, "/data" RESET_ASIDE));
        assert_int_equal(is_there(b, "/data/userdata/photo"), i == 1);
    }
}

static void a_file_in_the_place_of_the_directory_aside_is_no_obstacle(void **state) {
    boot_box *b = *state;
    put(b, "/data" RESET_ASIDE, "x");
    assert_int_equal(run_reset(b, "--all", NULL), 0);
    expect_fresh(b, false);
}

/* Nobody can remove what is in here: for root something is mounted on it, others may not write. */
static int make_stubborn(boot_box *b, const char *path) {
    mac_autofree char *file = mac_asprintf("%s/file", path), *host = mac_root_path(b->root, path);
    int fd;
    put(b, file, "x");
    if (geteuid() == 0 && (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                           mount("tmpfs", host, "tmpfs", 0, NULL) < 0))
        return -1;
    fd = open(host, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* not by the root, which knows nothing of the mount */
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0555), 0);
    return fd;
}

static void soften(int fd) {
    mac_autofree char *path = mac_asprintf("/proc/self/fd/%d", fd);
    assert_int_equal(fchmod(fd, 0755), 0);
    if (geteuid() == 0)
        assert_int_equal(umount2(path, MNT_DETACH), 0);
    close(fd);
}

static unsigned entries_below(boot_box *b, const char *path) {
    mac_autostrings names = {0};
    unsigned count = 0;
    assert_int_equal(mac_fs_list(b->root, path, &names), 0);
    for (size_t i = 0; i < names.count; i++) {
        mac_autofree char *child = mac_asprintf("%s/%s", path, names.items[i]);
        struct stat status;
        assert_int_equal(mac_fs_stat(b->root, child, &status), 0);
        count += S_ISDIR(status.st_mode) ? entries_below(b, child) : 1;
    }
    return count;
}

static void expect_record(boot_box *b, const char *part) {
    mac_autofree char *text = NULL;
    assert_int_equal(mac_fs_read(b->root, "/data" RESET_RECORD, 4096, &text, NULL), 0);
    if (!strstr(text, part))
        fail_msg("%s expected in the record: %s", part, text);
}

static void what_cannot_be_removed_keeps_nothing_else_and_no_node_from_starting(void **state) {
    boot_box *b = *state;
    for (char name[] = "/data/userdata/0/photo"; name[15] <= '9'; name[15]++)
        put(b, name, "private");
    int held = make_stubborn(b, "/data/userdata/5/stubborn");
    if (held < 0)
        skip();
    for (unsigned attempt = 1; attempt <= RESET_ATTEMPTS; attempt++) {
        assert_int_equal(boot_box_state(b).reset, attempt == 1 ? MAC_BOOT_RESET_NONE : MAC_BOOT_RESET_ALL);
        int status = run_reset(b, attempt == 1 ? "--all" : NULL, NULL);
        assert_int_equal(WEXITSTATUS(status), attempt < RESET_ATTEMPTS ? 4 : 0);
        assert_int_equal(entries_below(b, "/data" RESET_ASIDE), 1);
        assert_false(is_there(b, "/data/maculaos/config.yaml"));
        expect_record(b, "\"left\":1,");
    }
    assert_int_equal(boot_box_state(b).reset, MAC_BOOT_RESET_NONE);
    assert_true(is_there(b, "/data" RESET_ASIDE));

    /* The next reset finds it again, and counts anew. */
    assert_int_equal(WEXITSTATUS(run_reset(b, "--all", NULL)), 4);
    soften(held);
    assert_int_equal(run_reset(b, NULL, NULL), 0);
    expect_fresh(b, false);
    mac_autofree char *text = NULL;
    assert_int_equal(mac_fs_read(b->root, "/data" RESET_RECORD, 4096, &text, NULL), 0);
    assert_null(strstr(text, "left"));
}

/* ---- cuts ---- */

/* The order of all steps; before `reset.renamed` the old node may be there whole, after it nothing of it. */
static const char *const points[] = {
    "boot.write.begin",   "boot.write.written",   "boot.write.synced",   "reset.intended",
    "reset.begin",        "reset.renamed",        "reset.overwritten",   "reset.removed",
    "fs.write.temporary", "fs.write.renamed",     "reset.recorded",      "reset.wiped",
    "boot.write.begin:2", "boot.write.written:2", "boot.write.synced:2", "reset.done",
};

static void cut_and_go_on(boot_box *b, const char *how, const char *point, bool kept) {
    int status = run_reset(b, how, point);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("%s was not reached: status %d", point, status);
    /* What starts next: with an intent the reset, without one the whole old or the whole fresh node. */
    bool old = is_there(b, "/data/maculaos/config.yaml"), record = is_there(b, "/data" RESET_RECORD);
    if (boot_box_state(b).reset == MAC_BOOT_RESET_NONE)
        assert_true(old ? is_there(b, "/data/maculaos/identity/admin.nk") && is_there(b, "/data/rancher/k3s") : record);
    status = run_reset(b, boot_box_state(b).reset == MAC_BOOT_RESET_NONE ? how : NULL, NULL);
    if (status != 0)
        fail_msg("after %s the reset does not go on: status %d", point, status);
    expect_fresh(b, kept);
}

static void cut_at_any_step_the_next_start_finishes_it(void **state) {
    boot_box *b = *state;
#ifndef MAC_FAULTS
    skip();
#endif
    for (size_t i = 0; i < MAC_ARRAY_SIZE(points); i++) {
        fill(b);
        cut_and_go_on(b, "--all", points[i], false);
        fill(b);
        cut_and_go_on(b, "--keep-data", points[i], true);
    }
}

static void cut_again_and_again_it_is_finished_at_last(void **state) {
    boot_box *b = *state;
#ifndef MAC_FAULTS
    skip();
#endif
    for (size_t i = 0; i < MAC_ARRAY_SIZE(points) - 4; i++)
        (void)!run_reset(b, "--keep-data", points[i]);
    assert_int_equal(boot_box_state(b).reset, MAC_BOOT_RESET_KEEP);
    assert_int_equal(run_reset(b, NULL, NULL), 0);
    expect_fresh(b, true);
}

#define BOX(function) cmocka_unit_test_setup_teardown(function, box_make, box_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOX(everything_goes_when_asked_from_the_menu),
        BOX(an_intent_alone_touches_nothing_and_leads_the_next_start_here),
        BOX(the_users_data_stay_when_the_intent_says_so),
        BOX(who_asks_for_everything_gets_it_after_an_intent_to_keep_data),
        BOX(without_an_intent_or_a_wish_nothing_is_touched),
        BOX(a_link_out_of_the_data_is_not_followed),
        BOX(when_the_intent_cannot_be_written_nothing_is_touched),
        BOX(what_is_immutable_or_only_appended_to_goes),
        BOX(a_tree_of_any_depth_goes),
        BOX(what_a_check_of_the_file_system_has_found_goes_too),
        BOX(a_file_in_the_place_of_the_directory_aside_is_no_obstacle),
        BOX(what_cannot_be_removed_keeps_nothing_else_and_no_node_from_starting),
        BOX(cut_at_any_step_the_next_start_finishes_it),
        BOX(cut_again_and_again_it_is_finished_at_last),
    };
    return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}
