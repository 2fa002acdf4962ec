#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "test-fs-box.h"

static void nothing_leads_out_of_the_root(void **state) {
    box *b = *state;
    assert_int_equal(mac_fs_mkdirs(b->root, "/etc/deep", 0755), 0);
    mac_autofree char *absolute = mac_asprintf("%s/secret", b->outer);
    assert_int_equal(mac_fs_symlink(b->root, absolute, "/etc/absolute"), 0);
    assert_int_equal(mac_fs_symlink(b->root, "../../secret", "/etc/relative"), 0);
    assert_int_equal(mac_fs_symlink(b->root, "../../..", "/etc/up"), 0);
    assert_int_equal(mac_fs_symlink(b->root, b->outer, "/etc/outer"), 0);
    static const char *const paths[] = {"/../secret",    "/etc/../../secret", "/etc/absolute",
                                        "/etc/relative", "/etc/outer/secret", "/etc/deep/../../../secret"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(paths); i++) {
        mac_autofree char *data = NULL;
        size_t length;
        assert_int_equal(mac_fs_read(b->root, paths[i], 100, &data, &length), -ENOENT);
        assert_null(data);
        int fd;
        assert_int_equal(mac_fs_open(b->root, paths[i], O_RDWR, 0, &fd), -ENOENT);
    }
    assert_int_equal(mac_fs_write_direct(b->root, "/etc/relative", "x", 1), -ENOENT);
    /* "/etc/up" is the root itself: a file written there lands inside. */
    put(b, "/etc/up/secret", "inside");
    assert_content(b, "/secret", "inside");
    assert_content(b, "/etc/relative", "inside");
    assert_content(b, "/../secret", "inside");
    assert_secret_untouched(b);
}

static void the_last_component_is_replaced_not_followed(void **state) {
    box *b = *state;
    mac_autofree char *absolute = mac_asprintf("%s/secret", b->outer);
    assert_int_equal(mac_fs_symlink(b->root, absolute, "/absolute"), 0);
    put(b, "/absolute", "mine");
    assert_content(b, "/absolute", "mine");
    struct stat status;
    assert_int_equal(mac_fs_stat(b->root, "/absolute", &status), 0);
    assert_true(S_ISREG(status.st_mode));

    assert_int_equal(mac_fs_symlink(b->root, "../secret", "/link"), 0);
    assert_int_equal(mac_fs_chmod_chown(b->root, "/link", MAC_FS_PRIVATE), -ELOOP);
    assert_int_equal(mac_fs_remove(b->root, "/link"), 0);
    assert_int_equal(mac_fs_remove(b->root, "/link"), -ENOENT);
    assert_int_equal(mac_fs_remove(b->root, "/../secret"), -ENOENT);
    assert_secret_untouched(b);
}

static void links_inside_the_root_work(void **state) {
    box *b = *state;
    assert_int_equal(mac_fs_mkdirs(b->root, "/usr/share/zoneinfo", 0755), 0);
    put(b, "/usr/share/zoneinfo/UTC", "utc");
    assert_int_equal(mac_fs_symlink(b->root, "/usr/share/zoneinfo/UTC", "/localtime"), 0);
    assert_content(b, "/localtime", "utc");
    mac_autofree char *target = NULL;
    assert_int_equal(mac_fs_readlink(b->root, "/localtime", &target), 0);
    assert_string_equal(target, "/usr/share/zoneinfo/UTC");
    struct stat status;
    assert_int_equal(mac_fs_stat(b->root, "/localtime", &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(mac_fs_symlink(b->root, "elsewhere", "/localtime"), 0);
    char *untouched = target;
    assert_int_equal(mac_fs_readlink(b->root, "/usr/share/zoneinfo/UTC", &untouched), -EINVAL);
    assert_ptr_equal(untouched, target);
    assert_int_equal(count_entries(b, "/"), 2);
}

static void names_that_are_no_names_are_refused(void **state) {
    box *b = *state;
    static const char *const paths[] = {"", "relative", "/", "//", "/.", "/..", "/etc/.."};
    assert_int_equal(mac_fs_mkdirs(b->root, "/etc", 0755), 0);
    for (size_t i = 0; i < MAC_ARRAY_SIZE(paths); i++) {
        assert_int_equal(mac_fs_write(b->root, paths[i], "x", 1, MAC_FS_KEEP), -EINVAL);
        assert_int_equal(mac_fs_remove(b->root, paths[i]), -EINVAL);
        assert_int_equal(mac_fs_remove_tree(b->root, paths[i]), -EINVAL);
    }
    char longest[300] = "/";
    memset(longest + 1, 'n', 255);
    longest[256] = '\0';
    put(b, longest, "the longest name there is");
    assert_content(b, longest, "the longest name there is");
    longest[256] = 'n';
    assert_int_equal(mac_fs_write(b->root, longest, "x", 1, MAC_FS_KEEP), -ENAMETOOLONG);
    put(b, "/etc/with\nnewline and \xff", "odd");
    assert_content(b, "/etc/with\nnewline and \xff", "odd");
    mac_autostrings names = {0};
    assert_int_equal(mac_fs_list(b->root, "/etc", &names), 0);
    assert_int_equal(names.count, 1);
    assert_string_equal(names.items[0], "with\nnewline and \xff");
}

static void reading_is_bounded(void **state) {
    box *b = *state;
    put(b, "/ten", "0123456789");
    char *data = NULL;
    size_t length;
    assert_int_equal(mac_fs_read(b->root, "/ten", 9, &data, &length), -EFBIG);
    assert_null(data);
    assert_int_equal(mac_fs_read(b->root, "/ten", 10, &data, NULL), 0);
    assert_string_equal(data, "0123456789");
    free(data);
    put(b, "/empty", "");
    assert_int_equal(mac_fs_read(b->root, "/empty", 0, &data, &length), 0);
    assert_int_equal(length, 0);
    assert_string_equal(data, "");
    free(data);
    assert_int_equal(mac_fs_write(b->root, "/nul", "a\0b", 3, MAC_FS_KEEP), 0);
    assert_int_equal(mac_fs_read(b->root, "/nul", SIZE_MAX, &data, &length), 0);
    assert_int_equal(length, 3);
    assert_memory_equal(data, "a\0b", 4);
    free(data);
}

static void files_of_proc_have_no_size_and_are_read_whole_and_bounded(void **state) {
    (void)state;
    mac_autoptr(mac_root) system = NULL;
    assert_int_equal(mac_root_open("/", false, &system), 0);
    assert_true(mac_root_is_system(system));
    mac_autofree char *data = NULL;
    size_t length = 0;
    assert_int_equal(mac_fs_read(system, "/proc/kallsyms", 100, &data, &length), -EFBIG);
    assert_int_equal(mac_fs_read(system, "/proc/self/status", 1 << 16, &data, &length), 0);
    assert_true(length > 0);
    assert_int_equal(strlen(data), length);
    int fd;
    assert_int_equal(mac_fs_open(system, "/proc/self/fd/0", O_RDONLY, 0, &fd), -ELOOP);
}

static void fifos_and_devices_are_not_read(void **state) {
    box *b = *state;
    mac_autofree char *fifo = mac_root_path(b->root, "/fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    char *data = NULL;
    size_t length;
    assert_int_equal(mac_fs_read(b->root, "/fifo", 100, &data, &length), -EINVAL);
    assert_int_equal(mac_fs_read(b->root, "/", 100, &data, &length), -EISDIR);
    assert_int_equal(mac_fs_write(b->root, "/fifo", "x", 1, MAC_FS_KEEP), -EINVAL);
    mac_autofree char *device = mac_root_path(b->root, "/zero");
    if (mknod(device, S_IFCHR | 0600, makedev(1, 5)) == 0)
        assert_int_equal(mac_fs_read(b->root, "/zero", 100, &data, &length), -EINVAL);
    assert_null(data);
}

static void directories_get_their_mode_whatever_the_umask(void **state) {
    box *b = *state;
    mode_t old = umask(077);
    assert_int_equal(mac_fs_mkdirs(b->root, "/var/lib/x/", 0750), 0);
    umask(old);
    struct stat status;
    assert_int_equal(mac_fs_stat(b->root, "/var/lib/x", &status), 0);
    assert_int_equal(status.st_mode, S_IFDIR | 0750);
    assert_int_equal(mac_fs_stat(b->root, "/var/lib", &status), 0);
    assert_int_equal(status.st_mode, S_IFDIR | 0755);
    assert_int_equal(mac_fs_mkdirs(b->root, "/var/lib/x", 0700), 0);
    assert_int_equal(mac_fs_stat(b->root, "/var/lib/x", &status), 0);
    assert_int_equal(status.st_mode, S_IFDIR | 0750);
    assert_int_equal(mac_fs_mkdirs(b->root, "/", 0700), 0);
    put(b, "/file", "");
    assert_int_equal(mac_fs_mkdirs(b->root, "/file/below", 0755), -ENOTDIR);
    assert_int_equal(mac_fs_symlink(b->root, "/nowhere", "/dangling"), 0);
    assert_int_equal(mac_fs_mkdirs(b->root, "/dangling/below", 0755), -EEXIST);
    assert_int_equal(mac_fs_symlink(b->root, "../../../..", "/escape"), 0);
    assert_int_equal(mac_fs_mkdirs(b->root, "/escape/made", 0755), 0);
    assert_int_equal(mac_fs_stat(b->root, "/made", &status), 0);
}

static void lists_are_sorted_by_bytes_and_leave_out_dot_files(void **state) {
    box *b = *state;
    put(b, "/b", "");
    put(b, "/B", "");
    put(b, "/a10", "");
    put(b, "/a9", "");
    put(b, "/.hidden", "");
    mac_autostrings names = {0};
    assert_int_equal(mac_fs_list(b->root, "/", &names), 0);
    assert_int_equal(names.count, 4);
    static const char *const expected[] = {"B", "a10", "a9", "b"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(names.items[i], expected[i]);
    assert_null(names.items[4]);
    mac_strings none = {0};
    assert_int_equal(mac_fs_mkdirs(b->root, "/dir", 0755), 0);
    assert_int_equal(mac_fs_list(b->root, "/dir", &none), 0);
    assert_int_equal(none.count, 0);
    mac_strings_deinit(&none);
    assert_int_equal(mac_fs_list(b->root, "/b", &none), -ENOTDIR);
}

static void removing_a_tree_does_not_follow_links(void **state) {
    box *b = *state;
    assert_int_equal(mac_fs_mkdirs(b->root, "/tree/a/b/c", 0755), 0);
    assert_int_equal(mac_fs_mkdirs(b->root, "/kept", 0755), 0);
    put(b, "/kept/file", "kept");
    put(b, "/tree/a/.dot", "");
    put(b, "/tree/a/b/new\nline", "");
    assert_int_equal(mac_fs_symlink(b->root, "../../../kept", "/tree/a/b/link"), 0);
    assert_int_equal(mac_fs_symlink(b->root, b->outer, "/tree/out"), 0);
    assert_int_equal(mac_fs_remove(b->root, "/tree"), -EISDIR);
    assert_int_equal(mac_fs_remove_tree(b->root, "/tree"), 0);
    assert_int_equal(mac_fs_remove_tree(b->root, "/tree"), -ENOENT);
    assert_content(b, "/kept/file", "kept");
    assert_int_equal(count_entries(b, "/"), 1);
    assert_secret_untouched(b);
}

static void a_tree_that_is_too_deep_is_refused(void **state) {
    box *b = *state;
    mac_autobuffer path = {0};
    for (unsigned i = 0; i <= MAC_FS_DEPTH_MAX; i++)
        mac_buffer_text(&path, "/d");
    assert_int_equal(mac_fs_mkdirs(b->root, path.data, 0755), 0);
    assert_int_equal(mac_fs_remove_tree(b->root, "/d"), -ELOOP);
    assert_int_equal(mac_fs_remove_tree(b->root, "/d/d"), 0);
}

static void a_root_is_made_and_spelt_as_given(void **state) {
    box *b = *state;
    mac_autofree char *name = mac_asprintf("%s/new/er//", b->outer);
    mac_root *root = NULL;
    assert_int_equal(mac_root_open(name, false, &root), -ENOENT);
    assert_null(root);
    assert_int_equal(mac_root_open(name, true, &root), 0);
    assert_false(mac_root_is_system(root));
    mac_autofree char *path = mac_root_path(root, "/etc/hostname");
    mac_autofree char *expected = mac_asprintf("%s/new/er/etc/hostname", b->outer);
    assert_string_equal(path, expected);
    mac_root_close(root);
    mac_root_close(NULL);
    assert_int_equal(mac_root_open("", false, &root), 0);
    assert_string_equal(mac_root_directory(root), "");
    mac_root_close(root);
}

static void room_is_set_aside_or_not_at_all(void **state) {
    box *b = *state;
    mac_root *root = b->root;
    struct stat st;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mac_fs_reserve(root, "/reserve", 256 << 10), 0);
        assert_int_equal(mac_fs_stat(root, "/reserve", &st), 0);
        assert_true(st.st_blocks * 512 >= 256 << 10);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    int result = mac_fs_reserve(root, "/reserve", (size_t)1 << 50);
    assert_true(result == -ENOSPC || result == -EFBIG);
    assert_int_equal(mac_fs_stat(root, "/reserve", &st), -ENOENT);
    assert_int_equal(mac_fs_symlink(root, "/elsewhere", "/reserve"), 0);
    assert_int_equal(mac_fs_reserve(root, "/reserve", 4096), -ELOOP);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BOX_TEST(nothing_leads_out_of_the_root),
        BOX_TEST(the_last_component_is_replaced_not_followed),
        BOX_TEST(links_inside_the_root_work),
        BOX_TEST(names_that_are_no_names_are_refused),
        BOX_TEST(reading_is_bounded),
        BOX_TEST(files_of_proc_have_no_size_and_are_read_whole_and_bounded),
        BOX_TEST(fifos_and_devices_are_not_read),
        BOX_TEST(directories_get_their_mode_whatever_the_umask),
        BOX_TEST(lists_are_sorted_by_bytes_and_leave_out_dot_files),
        BOX_TEST(room_is_set_aside_or_not_at_all),
        BOX_TEST(removing_a_tree_does_not_follow_links),
        BOX_TEST(a_tree_that_is_too_deep_is_refused),
        BOX_TEST(a_root_is_made_and_spelt_as_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
