#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "test-fs-box.h"
#include "test-syncs.h"

/* Gives a child its own mounts; false when the machine does not let us. The root is opened anew: a descriptor keeps
 * seeing the mounts it was opened in. */
static bool enter_private_mounts(box *b) {
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return false;
    mac_autofree char *directory = mac_root_path(b->root, "");
    mac_root_close(b->root);
    return mac_root_open(directory, false, &b->root) == 0;
}

#define CHILD_SKIPPED 77

/* Runs `act` in a child process; returns its wait status. A false of `act` is exit status 1. */
static int in_child(bool (*act)(box *b), box *b) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(act(b) ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void skip_unless_done(int status, const char *reason) {
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CHILD_SKIPPED) {
        print_message("[ reason   ] %s\n", reason);
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_file_waits_for_the_disk_as_often_as_it_has_to(void **state) {
    box *b = *state;
    const struct {
        mac_fs_durability durability;
        unsigned syncs;
    } cases[] = {{MAC_FS_DURABLE, 2}, {MAC_FS_WHOLE, 1}, {MAC_FS_RELAXED, 0}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        test_syncs_taken();
        assert_int_equal(mac_fs_write(b->root, "/f", "text", 4, MAC_FS_KEEP_AS(cases[i].durability)), 0);
        assert_int_equal(test_syncs_taken(), cases[i].syncs);
        assert_content(b, "/f", "text");
    }
    assert_int_equal(mac_fs_remove_relaxed(b->root, "/f"), 0);
    assert_int_equal(test_syncs_taken(), 0);
    assert_int_equal(mac_fs_remove_relaxed(b->root, "/f"), -ENOENT);
    put(b, "/f", "again");
    test_syncs_taken();
    assert_int_equal(mac_fs_remove(b->root, "/f"), 0);
    assert_int_equal(test_syncs_taken(), 1);
}

static void a_new_file_is_0644_and_an_old_one_keeps_its_mode_and_owner(void **state) {
    box *b = *state;
    mode_t old = umask(0);
    put(b, "/f", "one");
    struct stat status;
    assert_int_equal(mac_fs_stat(b->root, "/f", &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0644);
    mac_fs_attributes wanted = {.mode = 0640, .uid = (uid_t)-1, .gid = (gid_t)-1};
    if (geteuid() == 0)
        wanted.uid = 1234, wanted.gid = 4321;
    umask(077);
    assert_int_equal(mac_fs_write(b->root, "/f", "two", 3, wanted), 0);
    put(b, "/f", "three");
    umask(old);
    assert_int_equal(mac_fs_stat(b->root, "/f", &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0640);
    assert_int_equal(status.st_uid, geteuid() == 0 ? 1234 : geteuid());
    if (geteuid() == 0)
        assert_int_equal(status.st_gid, 4321);
    assert_content(b, "/f", "three");
    assert_int_equal(mac_fs_chmod_chown(b->root, "/f", MAC_FS_PRIVATE), 0);
    assert_int_equal(mac_fs_stat(b->root, "/f", &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
    assert_int_equal(count_entries(b, "/"), 1);
}

static void a_file_is_created_only_once(void **state) {
    box *b = *state;
    assert_int_equal(mac_fs_create(b->root, "/once", "first", 5, MAC_FS_PRIVATE), 0);
    assert_int_equal(mac_fs_create(b->root, "/once", "second", 6, MAC_FS_PRIVATE), -EEXIST);
    assert_content(b, "/once", "first");
    assert_int_equal(count_entries(b, "/"), 1);
}

static void a_directory_is_not_replaced(void **state) {
    box *b = *state;
    assert_int_equal(mac_fs_mkdirs(b->root, "/dir", 0755), 0);
    assert_int_equal(mac_fs_write(b->root, "/dir", "x", 1, MAC_FS_KEEP), -EISDIR);
    assert_int_equal(mac_fs_symlink(b->root, "x", "/dir"), -EISDIR);
    assert_int_equal(mac_fs_write(b->root, "/none/f", "x", 1, MAC_FS_KEEP), -ENOENT);
    assert_int_equal(count_entries(b, "/"), 1);
}

static void direct_writes_replace_the_content_and_make_nothing(void **state) {
    box *b = *state;
    assert_int_equal(mac_fs_write_direct(b->root, "/value", "1", 1), -ENOENT);
    put(b, "/value", "1000\n");
    assert_int_equal(mac_fs_write_direct(b->root, "/value", "2\n", 2), 0);
    assert_content(b, "/value", "2\n");
}

static bool fill_the_disk(box *b) {
    mac_autofree char *host = mac_root_path(b->root, "/small");
    if (!enter_private_mounts(b) || mount("none", host, "tmpfs", 0, "size=64k") < 0)
        _exit(CHILD_SKIPPED);
    mac_autofree char *big = mac_calloc(1, 60000);
    memset(big, 'x', 60000);
    put(b, "/small/file", "old");
    if (mac_fs_write(b->root, "/small/file", big, 60000, MAC_FS_KEEP) != 0 ||
        mac_fs_write(b->root, "/small/file", "old", 3, MAC_FS_KEEP) != 0)
        return false;
    mac_autofree char *bigger = mac_calloc(1, 100000);
    if (mac_fs_write(b->root, "/small/file", bigger, 100000, MAC_FS_KEEP) != -ENOSPC)
        return false;
    assert_content(b, "/small/file", "old");
    return count_entries(b, "/small") == 1;
}

static void a_full_disk_leaves_the_old_file(void **state) {
    box *b = *state;
    assert_int_equal(mac_fs_mkdirs(b->root, "/small", 0755), 0);
    skip_unless_done(in_child(fill_the_disk, b), "mounting a small tmpfs is not permitted here");
}

static bool exceed_the_file_size(box *b) {
    struct rlimit limit = {4096, 4096};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
        return false;
    mac_autofree char *big = mac_calloc(1, 10000);
    return mac_fs_write(b->root, "/file", big, 10000, MAC_FS_KEEP) == -EFBIG;
}

static void a_write_that_fails_half_way_leaves_the_old_file(void **state) {
    box *b = *state;
    put(b, "/file", "old");
    skip_unless_done(in_child(exceed_the_file_size, b), "");
    assert_content(b, "/file", "old");
    assert_int_equal(count_entries(b, "/"), 1);
}

static bool write_read_only(box *b) {
    mac_autofree char *host = mac_root_path(b->root, "/ro");
    if (!enter_private_mounts(b) || mount(host, host, NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, host, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
        _exit(CHILD_SKIPPED);
    bool refused = mac_fs_write(b->root, "/ro/file", "new", 3, MAC_FS_KEEP) == -EROFS &&
                   mac_fs_symlink(b->root, "x", "/ro/link") == -EROFS &&
                   mac_fs_mkdirs(b->root, "/ro/dir", 0755) == -EROFS && mac_fs_remove(b->root, "/ro/file") == -EROFS;
    return refused && mac_fs_remove_tree(b->root, "/ro") == -EXDEV;
}

static void a_read_only_file_system_is_said(void **state) {
    box *b = *state;
    assert_int_equal(mac_fs_mkdirs(b->root, "/ro", 0755), 0);
    put(b, "/ro/file", "old");
    skip_unless_done(in_child(write_read_only, b), "bind mounts are not permitted here");
    assert_content(b, "/ro/file", "old");
}

static bool remove_a_mount(box *b) {
    mac_autofree char *from = mac_root_path(b->root, "/precious");
    mac_autofree char *to = mac_root_path(b->root, "/tree/mounted");
    if (!enter_private_mounts(b) || mount(from, to, NULL, MS_BIND, NULL) < 0)
        _exit(CHILD_SKIPPED);
    return mac_fs_remove_tree(b->root, "/tree") == -EXDEV;
}

static void removing_a_tree_stops_at_a_mount(void **state) {
    box *b = *state;
    assert_int_equal(mac_fs_mkdirs(b->root, "/tree/mounted", 0755), 0);
    assert_int_equal(mac_fs_mkdirs(b->root, "/precious", 0755), 0);
    put(b, "/precious/file", "kept");
    skip_unless_done(in_child(remove_a_mount, b), "bind mounts are not permitted here");
    assert_content(b, "/precious/file", "kept");
}

#ifdef MAC_FAULTS
static const char *fault;

static bool write_and_die(box *b) {
    setenv("MACULA_FAULT", fault, 1);
    if (mac_starts_with(fault, "fs.symlink"))
        return mac_fs_symlink(b->root, "new", "/link") == 0;
    return mac_fs_write(b->root, "/file", "new", 3, MAC_FS_KEEP) == 0;
}

static void assert_killed_at(box *b, const char *name) {
    fault = name;
    int status = in_child(write_and_die, b);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void a_killed_writer_leaves_the_old_or_the_new_file(void **state) {
    box *b = *state;
    put(b, "/file", "old");
    put(b, "/.file.backup~", "not one of ours");
    assert_killed_at(b, "fs.write.temporary");
    assert_content(b, "/file", "old");
    assert_int_equal(count_entries(b, "/"), 3);
    assert_int_equal(mac_fs_clean(b->root, "/"), 0);
    assert_int_equal(count_entries(b, "/"), 2);

    assert_killed_at(b, "fs.write.renamed");
    assert_content(b, "/file", "new");
    assert_int_equal(count_entries(b, "/"), 2);

    assert_int_equal(mac_fs_symlink(b->root, "old", "/link"), 0);
    assert_killed_at(b, "fs.symlink.temporary");
    mac_autofree char *target = NULL;
    assert_int_equal(mac_fs_readlink(b->root, "/link", &target), 0);
    assert_string_equal(target, "old");
    assert_int_equal(mac_fs_clean(b->root, "/"), 0);
    assert_int_equal(count_entries(b, "/"), 3);
    assert_content(b, "/.file.backup~", "not one of ours");
}
#endif

static void cleaning_spares_a_temporary_that_is_being_written(void **state) {
    box *b = *state;
    mac_autofd fd = -1;
    assert_int_equal(mac_fs_open(b->root, "/.f.4BCDEF~", O_WRONLY | O_CREAT, 0600, &fd), 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(mac_fs_clean(b->root, "/"), 0);
    assert_int_equal(count_entries(b, "/"), 1);
    assert_int_equal(flock(fd, LOCK_UN), 0);
    assert_int_equal(mac_fs_clean(b->root, "/"), 0);
    assert_int_equal(count_entries(b, "/"), 0);
}

static bool write_many(box *b) {
    for (unsigned i = 0; i < 100; i++)
        if (mac_fs_write(b->root, "/shared", "0123456789", 10, MAC_FS_KEEP) < 0 ||
            mac_fs_symlink(b->root, "somewhere", "/link") < 0)
            return false;
    return true;
}

static void writers_and_cleaners_do_not_disturb_each_other(void **state) {
    box *b = *state;
    put(b, "/shared", "0123456789");
    pid_t writers[2];
    for (unsigned i = 0; i < 2; i++) {
        writers[i] = fork();
        assert_true(writers[i] >= 0);
        if (writers[i] == 0)
            _exit(write_many(b) ? 0 : 1);
    }
    unsigned running = 2;
    while (running > 0) {
        assert_int_equal(mac_fs_clean(b->root, "/"), 0);
        assert_content(b, "/shared", "0123456789");
        for (unsigned i = 0; i < 2; i++) {
            int status;
            if (writers[i] > 0 && waitpid(writers[i], &status, WNOHANG) == writers[i]) {
                assert_int_equal(status, 0);
                writers[i] = 0;
                running--;
            }
        }
    }
    assert_int_equal(count_entries(b, "/"), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BOX_TEST(a_file_waits_for_the_disk_as_often_as_it_has_to),
        BOX_TEST(a_new_file_is_0644_and_an_old_one_keeps_its_mode_and_owner),
        BOX_TEST(a_file_is_created_only_once),
        BOX_TEST(a_directory_is_not_replaced),
        BOX_TEST(direct_writes_replace_the_content_and_make_nothing),
        BOX_TEST(a_full_disk_leaves_the_old_file),
        BOX_TEST(a_write_that_fails_half_way_leaves_the_old_file),
        BOX_TEST(a_read_only_file_system_is_said),
        BOX_TEST(removing_a_tree_stops_at_a_mount),
#ifdef MAC_FAULTS
        BOX_TEST(a_killed_writer_leaves_the_old_or_the_new_file),
#endif
        BOX_TEST(cleaning_spares_a_temporary_that_is_being_written),
        BOX_TEST(writers_and_cleaners_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
