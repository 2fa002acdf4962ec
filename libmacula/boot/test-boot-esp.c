/* The operations on a sandbox's ESP and on a real FAT32 image; killed at every step. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "boot/mac-boot-disk.h"
#include "boot/mac-boot-sandbox.h"
#include "boot/mac-boot.h"

typedef struct box {
    char directory[64];
    mac_root *root;
    mac_boot *boot;
} box;

static void open_boot(box *b) {
    mac_boot_close(b->boot);
    b->boot = NULL;
    assert_null(mac_boot_open(b->root, &b->boot));
}

static void start(box *b) {
    assert_null(mac_boot_sandbox_start(b->root, "1.0.0", "amd64"));
    open_boot(b);
}

static int box_make(void **state) {
    box *b = mac_calloc(1, sizeof *b);
    strcpy(b->directory, "/tmp/test-boot.XXXXXX");
    assert_non_null(mkdtemp(b->directory));
    assert_int_equal(mac_root_open(b->directory, true, &b->root), 0);
    start(b);
    *state = b;
    return 0;
}

static int box_remove(void **state) {
    box *b = *state;
    mac_autoptr(mac_root) system = NULL;
    mac_boot_close(b->boot);
    mac_root_close(b->root);
    assert_int_equal(mac_root_open(NULL, false, &system), 0);
    assert_int_equal(mac_fs_remove_tree(system, b->directory), 0);
    free(b);
    return 0;
}

static mac_boot_verity some_verity(void) {
    mac_boot_verity verity = {.blocks = 77};
    memset(verity.hash, '7', 64);
    return verity;
}

static mac_boot_state state_now(box *b) {
    mac_autobootstatus status = {0};
    assert_null(mac_boot_read(b->boot, &status));
    assert_false(status.lost);
    return status.state;
}

static void expect_code(mac_error *error, Macula__V1__ErrorCode code) {
    assert_non_null(error);
    if (error->code != code)
        fail_msg("%s expected, found %s: %s", mac_error_name(code), mac_error_name(error->code), error->message);
    mac_error_free(error);
}

static void damage(box *b, const char *path, size_t at) {
    mac_autofd fd = -1;
    assert_int_equal(mac_fs_open(b->root, path, O_RDWR, 0, &fd), 0);
    assert_int_equal(pwrite(fd, "\377", 1, (off_t)at), 1);
}

static void a_pending_slot_that_runs_is_confirmed(void **state) {
    box *b = *state;
    mac_boot_verity verity = some_verity();
    expect_code(mac_boot_confirm(b->boot), MACULA__V1__ERROR_CODE__NOTHING_TO_DO);
    assert_null(mac_boot_set_pending(b->boot, 'b', &verity));
    expect_code(mac_boot_confirm(b->boot), MACULA__V1__ERROR_CODE__CONFLICT);
    start(b);
    assert_int_equal(mac_boot_get_running(b->boot)->slot, 'b');
    assert_true(mac_boot_get_running(b->boot)->pending);
    assert_null(mac_boot_confirm(b->boot));
    assert_int_equal(state_now(b).active, 'b');
    assert_int_equal(state_now(b).pending, '-');
    expect_code(mac_boot_confirm(b->boot), MACULA__V1__ERROR_CODE__NOTHING_TO_DO);
}

static void three_starts_without_confirmation_return_to_the_active_slot(void **state) {
    box *b = *state;
    mac_boot_verity verity = some_verity();
    assert_null(mac_boot_set_pending(b->boot, 'b', &verity));
    for (int i = 0; i < 3; i++) {
        start(b);
        assert_int_equal(mac_boot_get_running(b->boot)->slot, 'b');
    }
    start(b);
    assert_int_equal(mac_boot_get_running(b->boot)->slot, 'a');
    assert_int_equal(mac_boot_get_running(b->boot)->failed, 'b');
    expect_code(mac_boot_confirm(b->boot), MACULA__V1__ERROR_CODE__CONFLICT);
    assert_null(mac_boot_mark_failed(b->boot, 'b'));
    assert_int_equal(state_now(b).pending, '-');
    assert_int_equal(state_now(b).verity[1].blocks, 77);
}

static void what_runs_or_is_active_is_never_given_away(void **state) {
    box *b = *state;
    mac_boot_verity verity = some_verity();
    expect_code(mac_boot_set_pending(b->boot, 'a', &verity), MACULA__V1__ERROR_CODE__CONFLICT);
    expect_code(mac_boot_empty_slot(b->boot, 'a'), MACULA__V1__ERROR_CODE__CONFLICT);
    expect_code(mac_boot_empty_slot(b->boot, 'b'), MACULA__V1__ERROR_CODE__NOTHING_TO_DO);
    expect_code(mac_boot_empty_slot(b->boot, 'c'), MACULA__V1__ERROR_CODE__INVALID);
    assert_null(mac_boot_set_pending(b->boot, 'b', &verity));
    assert_null(mac_boot_empty_slot(b->boot, 'b'));
    assert_int_equal(state_now(b).pending, '-');
    assert_null(mac_boot_set_pending(b->boot, 'b', &verity));
    start(b);
    expect_code(mac_boot_empty_slot(b->boot, 'b'), MACULA__V1__ERROR_CODE__CONFLICT);
}

/* Somebody chose this slot in the boot menu, or the active one was passed over. */
static void open_running(box *b, char slot) {
    mac_autofree char *esp = mac_root_path(b->root, "/boot/esp");
    mac_boot_close(b->boot);
    b->boot = NULL;
    assert_null(mac_boot_open_esp(esp, slot, &b->boot));
}

static void a_slot_that_runs_though_another_is_active_can_stay(void **state) {
    box *b = *state;
    mac_boot_verity verity = some_verity();
    expect_code(mac_boot_stay(b->boot), MACULA__V1__ERROR_CODE__NOTHING_TO_DO);
    open_running(b, 'b'); /* of which nothing is known */
    expect_code(mac_boot_stay(b->boot), MACULA__V1__ERROR_CODE__CONFLICT);
    open_running(b, '-');
    expect_code(mac_boot_stay(b->boot), MACULA__V1__ERROR_CODE__CONFLICT);
    open_running(b, 'a');
    assert_null(mac_boot_set_pending(b->boot, 'b', &verity));
    start(b);
    assert_null(mac_boot_confirm(b->boot));

    open_running(b, 'a');
    mac_boot_state before = state_now(b);
    expect_code(mac_boot_empty_slot(b->boot, 'b'), MACULA__V1__ERROR_CODE__CONFLICT);
    assert_null(mac_boot_stay(b->boot));
    mac_boot_state after = state_now(b);
    assert_int_equal(after.seq, before.seq + 1);
    assert_int_equal(after.active, 'a');
    assert_int_equal(after.pending, '-');
    assert_true(mac_boot_verity_equal(&after.verity[1], &verity));
    expect_code(mac_boot_stay(b->boot), MACULA__V1__ERROR_CODE__NOTHING_TO_DO);
    expect_code(mac_boot_empty_slot(b->boot, 'a'), MACULA__V1__ERROR_CODE__CONFLICT);
    assert_null(mac_boot_empty_slot(b->boot, 'b'));
}

static void a_reset_cancels_what_does_not_run_and_stays_until_it_is_done(void **state) {
    box *b = *state;
    mac_boot_verity verity = some_verity();
    assert_null(mac_boot_set_pending(b->boot, 'b', &verity));
    assert_null(mac_boot_set_reset(b->boot, MAC_BOOT_RESET_KEEP));
    assert_int_equal(state_now(b).pending, '-');
    assert_int_equal(state_now(b).reset, MAC_BOOT_RESET_KEEP);
    assert_null(mac_boot_set_next(b->boot, MAC_BOOT_RECOVERY));
    assert_int_equal(state_now(b).reset, MAC_BOOT_RESET_KEEP);
    assert_null(mac_boot_set_reset(b->boot, MAC_BOOT_RESET_NONE));
    expect_code(mac_boot_set_reset(b->boot, MAC_BOOT_RESET_NONE), MACULA__V1__ERROR_CODE__NOTHING_TO_DO);
}

static void a_one_shot_mode_that_was_used_does_not_come_again(void **state) {
    box *b = *state;
    mac_boot_verity verity = some_verity();
    assert_null(mac_boot_set_next(b->boot, MAC_BOOT_RECOVERY));
    expect_code(mac_boot_set_next(b->boot, MAC_BOOT_RECOVERY), MACULA__V1__ERROR_CODE__NOTHING_TO_DO);
    assert_null(mac_boot_set_pending(b->boot, 'b', &verity));
    assert_int_equal(state_now(b).next, MAC_BOOT_RECOVERY);
    start(b);
    assert_null(mac_boot_cancel_pending(b->boot));
    assert_int_equal(state_now(b).next, MAC_BOOT_NORMAL);
}

static void one_damaged_copy_costs_nothing_and_is_mended(void **state) {
    box *b = *state;
    mac_boot_verity verity = some_verity();
    assert_null(mac_boot_set_pending(b->boot, 'b', &verity));
    mac_autobootstatus before = {0}, after = {0};
    assert_null(mac_boot_read(b->boot, &before));
    damage(b, before.in_force ? "/boot/esp/grub/state-1" : "/boot/esp/grub/state-2", 60);
    mac_boot_state now = state_now(b);
    assert_true(mac_boot_state_equal(&now, &before.state));
    assert_null(mac_boot_cancel_pending(b->boot));
    assert_null(mac_boot_read(b->boot, &after));
    assert_null(after.damage[0]);
    assert_null(after.damage[1]);
}

static void two_damaged_copies_are_made_again_from_the_slots(void **state) {
    box *b = *state;
    mac_autobootstatus status = {0};
    damage(b, "/boot/esp/grub/state-1", 30);
    damage(b, "/boot/esp/grub/state-2", 30);
    assert_null(mac_boot_read(b->boot, &status));
    assert_true(status.lost);
    assert_non_null(status.damage[0]);
    assert_null(mac_boot_set_next(b->boot, MAC_BOOT_RECOVERY));
    assert_int_equal(state_now(b).active, 'a');
    assert_int_equal(state_now(b).verity[0].blocks, 1);
}

static void unreadable_tries_are_repaired_by_the_confirmation(void **state) {
    box *b = *state;
    mac_autobootstatus status = {0};
    damage(b, "/boot/esp/grub/tries", 30);
    expect_code(mac_boot_confirm(b->boot), MACULA__V1__ERROR_CODE__NOTHING_TO_DO);
    assert_null(mac_boot_read(b->boot, &status));
    assert_null(status.tries_damage);
}

static void files_that_are_missing_or_of_another_size_are_never_made(void **state) {
    box *b = *state;
    mac_boot_mode mode = MAC_BOOT_RECOVERY;
    struct stat found;
    assert_int_equal(mac_fs_remove(b->root, "/boot/esp/grub/state-1"), 0);
    assert_int_equal(mac_fs_write(b->root, "/boot/esp/grub/tries", "short", 5, MAC_FS_KEEP), 0);
    mac_error *error = mac_boot_set_next(b->boot, mode);
    if (!error) /* the copy that is there may be the one to write */
        error = mac_boot_set_next(b->boot, MAC_BOOT_NORMAL);
    assert_non_null(error);
    assert_non_null(strstr(error->message, "/grub/state-1"));
    mac_error_free(error);
    assert_int_equal(mac_fs_stat(b->root, "/boot/esp/grub/state-1", &found), -ENOENT);
}

static void without_an_esp_this_is_no_machine(void **state) {
    box *b = *state;
    mac_boot *boot = NULL;
    assert_int_equal(mac_fs_remove_tree(b->root, "/boot"), 0);
    expect_code(mac_boot_open(b->root, &boot), MACULA__V1__ERROR_CODE__UNSUPPORTED);
}

/* ---- killed at each step ---- */

static void run_and_be_killed(box *b, const char *where) {
    pid_t child = fork();
    if (child == 0) {
        mac_boot_verity verity = some_verity();
        setenv("MACULA_FAULT", where, 1);
        (void)!mac_boot_set_pending(b->boot, 'b', &verity);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void killed_at_any_step_the_old_or_the_new_state_is_in_force(void **state) {
    box *b = *state;
    static const char *const points[] = {"boot.write.begin", "boot.write.written", "boot.write.synced"};
#ifndef MAC_FAULTS
    skip();
#endif
    for (size_t i = 0; i < MAC_ARRAY_SIZE(points); i++) {
        mac_boot_state before = state_now(b);
        run_and_be_killed(b, points[i]);
        mac_boot_state after = state_now(b);
        assert_int_equal(mac_boot_state_equal(&before, &after), i == 0);
        assert_int_equal(after.pending, i == 0 ? '-' : 'b');
        mac_error_free(mac_boot_cancel_pending(b->boot));
    }
}

static void writers_at_once_do_one_after_the_other(void **state) {
    box *b = *state;
    uint32_t first = state_now(b).seq;
    enum { WRITERS = 6, TIMES = 20 };
    for (int i = 0; i < WRITERS; i++) {
        if (fork() != 0)
            continue;
        box own = {.root = b->root};
        mac_boot_verity verity = some_verity();
        open_boot(&own); /* a lock of its own: a descriptor that was inherited is the same lock */
        for (uint32_t n = 0; n < TIMES; n++) {
            verity.blocks = n + 1;
            if (mac_boot_set_pending(own.boot, 'b', &verity))
                _exit(1);
        }
        _exit(0);
    }
    for (int i = 0, status; i < WRITERS; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(state_now(b).seq, first + WRITERS * TIMES);
}

/* ---- a FAT32 file system ---- */

static bool run(const char *format, const char *directory) {
    mac_autofree char *inner = mac_asprintf("cd %s && export PATH=$PATH:/usr/sbin:/sbin && %s", directory, format);
    return system(inner) == 0;
}

static void make_image(box *b) {
    if (!run("command -v mkfs.vfat >/dev/null && command -v mcopy >/dev/null", b->directory))
        skip(); /* dosfstools and mtools are not installed */
    /* Pieces of 512 bytes with another file in between: the two sectors of a copy do not lie side by side. */
    assert_true(run("truncate -s 64M esp.img && mkfs.vfat -F 32 -s 1 esp.img >/dev/null && "
                    "mmd -i esp.img ::grub && mcopy -i esp.img boot/esp/grub/state-1 boot/esp/grub/state-2 "
                    "boot/esp/grub/tries ::grub/ && cp esp.img before.img",
                    b->directory));
}

static void a_fat_file_system_is_changed_in_one_sector_only(void **state) {
    box *b = *state;
    mac_boot *boot = NULL;
    mac_boot_verity verity = some_verity();
    make_image(b);
    mac_autofree char *image = mac_asprintf("%s/esp.img", b->directory);
    assert_null(mac_boot_open_esp(image, 'a', &boot));
    assert_null(mac_boot_set_pending(boot, 'b', &verity));
    mac_autobootstatus status = {0};
    assert_null(mac_boot_read(boot, &status));
    assert_int_equal(status.state.pending, 'b');
    mac_boot_close(boot);
    assert_true(run("test $(cmp -l before.img esp.img | awk '{print int(($1-1)/512)}' | sort -u | wc -l) = 1 && "
                    "mcopy -i esp.img ::grub/state-1 one && mcopy -i esp.img ::grub/state-2 two && "
                    "{ grep -q pending=b one || grep -q pending=b two; } && fsck.vfat -n esp.img >/dev/null",
                    b->directory));
}

static void a_full_file_system_is_no_matter(void **state) {
    box *b = *state;
    mac_boot *boot = NULL;
    make_image(b);
    (void)!run("head -c 70000000 /dev/zero > fill && mcopy -i esp.img fill ::fill 2>/dev/null", b->directory);
    mac_autofree char *image = mac_asprintf("%s/esp.img", b->directory);
    assert_null(mac_boot_open_esp(image, 'a', &boot));
    assert_null(mac_boot_set_next(boot, MAC_BOOT_RECOVERY));
    mac_boot_close(boot);
}

static void a_damaged_fat_file_system_is_an_error(void **state) {
    box *b = *state;
    mac_boot *boot = NULL;
    mac_autobootstatus status = {0};
    make_image(b);
    assert_true(run("dd if=/dev/zero of=esp.img bs=512 count=1 conv=notrunc 2>/dev/null", b->directory));
    mac_autofree char *image = mac_asprintf("%s/esp.img", b->directory);
    assert_null(mac_boot_open_esp(image, 'a', &boot));
    mac_error *error = mac_boot_read(boot, &status);
    assert_non_null(error);
    assert_non_null(strstr(error->message, "FAT32"));
    mac_error_free(error);
    mac_boot_close(boot);
}

/* ---- partitions ---- */

static void sys_file(box *b, const char *path, const char *text) {
    mac_autofree char *parent = mac_strdup(path);
    *strrchr(parent, '/') = '\0';
    assert_int_equal(mac_fs_mkdirs(b->root, parent, 0755), 0);
    assert_int_equal(mac_fs_write(b->root, path, text, strlen(text), MAC_FS_KEEP), 0);
}

static void add_disk(box *b, const char *disk, const char *const *partitions) {
    for (unsigned i = 0; partitions[i]; i++) {
        mac_autofree char *base = mac_asprintf("/sys/devices/x/block/%s/%s%u", disk, disk, i + 1);
        mac_autofree char *uevent = mac_asprintf("%s/uevent", base), *size = mac_asprintf("%s/size", base);
        mac_autofree char *text = mac_asprintf("DEVTYPE=partition\nPARTNAME=%s\n", partitions[i]);
        mac_autofree char *link = mac_asprintf("/sys/class/block/%s%u", disk, i + 1);
        mac_autofree char *target = mac_asprintf("../../devices/x/block/%s/%s%u", disk, disk, i + 1);
        sys_file(b, uevent, text);
        sys_file(b, size, "2048\n");
        assert_int_equal(mac_fs_mkdirs(b->root, "/sys/class/block", 0755), 0);
        assert_int_equal(mac_fs_symlink(b->root, target, link), 0);
    }
    mac_autofree char *link = mac_asprintf("/sys/class/block/%s", disk);
    mac_autofree char *target = mac_asprintf("../../devices/x/block/%s", disk);
    assert_int_equal(mac_fs_symlink(b->root, target, link), 0);
}

static void partitions_are_taken_from_the_disk_of_the_esp_only(void **state) {
    box *b = *state;
    static const char *const ours[] = {"bios", "esp", "rootfs-A", "rootfs-B", "data", NULL};
    static const char *const twice[] = {"esp", "data", "data", NULL};
    mac_boot_partition partition;
    add_disk(b, "sda", ours);
    add_disk(b, "sdb", ours);
    add_disk(b, "sdc", twice);
    assert_int_equal(mac_boot_disk_partition(b->root, "/dev/sdb2", "rootfs-A", &partition), 0);
    assert_string_equal(partition.device, "/dev/sdb3");
    assert_int_equal(partition.size, 1048576);
    assert_int_equal(mac_boot_disk_partition(b->root, "/dev/sda2", "rootfs", &partition), -ENOENT);
    assert_int_equal(mac_boot_disk_partition(b->root, "/dev/sdc1", "data", &partition), -ENOTUNIQ);
    assert_int_equal(mac_boot_disk_partition(b->root, "/dev/sdd1", "data", &partition), -ENOENT);
    assert_int_equal(mac_boot_disk_partition(b->root, "sda", "data", &partition), -EINVAL);
}

#define BOX(function) cmocka_unit_test_setup_teardown(function, box_make, box_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOX(a_pending_slot_that_runs_is_confirmed),
        BOX(three_starts_without_confirmation_return_to_the_active_slot),
        BOX(what_runs_or_is_active_is_never_given_away),
        BOX(a_slot_that_runs_though_another_is_active_can_stay),
        BOX(a_reset_cancels_what_does_not_run_and_stays_until_it_is_done),
        BOX(a_one_shot_mode_that_was_used_does_not_come_again),
        BOX(one_damaged_copy_costs_nothing_and_is_mended),
        BOX(two_damaged_copies_are_made_again_from_the_slots),
        BOX(unreadable_tries_are_repaired_by_the_confirmation),
        BOX(files_that_are_missing_or_of_another_size_are_never_made),
        BOX(without_an_esp_this_is_no_machine),
        BOX(killed_at_any_step_the_old_or_the_new_state_is_in_force),
        BOX(writers_at_once_do_one_after_the_other),
        BOX(a_fat_file_system_is_changed_in_one_sector_only),
        BOX(a_full_file_system_is_no_matter),
        BOX(a_damaged_fat_file_system_is_an_error),
        BOX(partitions_are_taken_from_the_disk_of_the_esp_only),
    };
    return cmocka_run_group_tests_name("boot-esp", tests, NULL, NULL);
}
