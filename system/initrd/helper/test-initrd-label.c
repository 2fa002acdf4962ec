/* Labels of file systems that mkfs.vfat made (its first sectors are written down here by hand), and of damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "initrd-label.h"

static uint8_t disk[65536];

static bool read_disk(void *closure, uint64_t offset, void *ret_data, size_t length) {
    (void)closure;
    if (offset > sizeof disk || length > sizeof disk - offset)
        return false;
    memcpy(ret_data, disk + offset, length);
    return true;
}

static const char *label_of_disk(char label[INITRD_LABEL_SIZE]) {
    return initrd_label_read(read_disk, NULL, label);
}

/* FAT12 with one reserved sector, two tables of one sector, 64 entries: its root directory is at sector 3. */
static uint8_t *fat12(void) {
    static const uint8_t head[] = {0xeb, 0x3c, 0x90, 'm', 'k', 'f', 's', '.', 'f', 'a', 't', 0, 2, 4, 1, 0, 2, 64, 0};
    memset(disk, 0, sizeof disk);
    memcpy(disk, head, sizeof head);
    disk[22] = 1;
    disk[38] = 0x29;
    memcpy(disk + 43, "IN SECTOR  ", 11);
    disk[510] = 0x55;
    disk[511] = 0xaa;
    return disk + 3 * 512;
}

static void a_label_in_the_boot_sector_is_found(void **state) {
    (void)state;
    char label[INITRD_LABEL_SIZE];
    fat12();
    assert_string_equal(label_of_disk(label), "vfat");
    assert_string_equal(label, "IN SECTOR");
}

static void a_label_in_the_root_directory_counts_more(void **state) {
    (void)state;
    char label[INITRD_LABEL_SIZE];
    uint8_t *root = fat12();
    memcpy(root, "\xe5LD LABEL  \x08", 12);        /* deleted */
    memcpy(root + 32, "Al\0o\0n\0g\0 \0\x0f", 12); /* part of a long name */
    memcpy(root + 64, "CONFIG  YAM\x20", 12);
    memcpy(root + 96, "MACULA-CONF\x08", 12);
    assert_string_equal(label_of_disk(label), "vfat");
    assert_string_equal(label, "MACULA-CONF");
}

static void fat32_is_followed_to_the_first_cluster_of_its_root(void **state) {
    (void)state;
    char label[INITRD_LABEL_SIZE];
    fat12();
    disk[17] = 0; /* no entries: FAT32 */
    disk[22] = 0;
    memset(disk + 36, 0, 18);
    disk[36] = 2; /* sectors of a table */
    disk[44] = 3; /* the root's cluster: 1 + 2 * 2 + (3 - 2) * 4 = sector 9 */
    disk[66] = 0x29;
    memcpy(disk + 71, "OF SECTOR  ", 11);
    assert_string_equal(label_of_disk(label), "vfat");
    assert_string_equal(label, "OF SECTOR");
    memcpy(disk + 9 * 512, "OF ROOT    \x08", 12);
    assert_string_equal(label_of_disk(label), "vfat");
    assert_string_equal(label, "OF ROOT");
    memset(disk + 44, 0xff, 4); /* far beyond the end */
    assert_string_equal(label_of_disk(label), "vfat");
    assert_string_equal(label, "OF SECTOR");
    memset(disk + 44, 0, 4);
    assert_null(label_of_disk(label));
}

static void an_iso_is_asked_first(void **state) {
    (void)state;
    char label[INITRD_LABEL_SIZE];
    fat12();
    memcpy(disk + 32768, "\1CD001\1", 7);
    memset(disk + 32768 + 40, 'L', 32);
    assert_string_equal(label_of_disk(label), "iso9660");
    assert_string_equal(label, "LLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLL");
}

static void an_ext4_label_ends_at_its_zero_or_is_whole(void **state) {
    (void)state;
    char label[INITRD_LABEL_SIZE];
    memset(disk, 0, sizeof disk);
    disk[1024 + 56] = 0x53;
    disk[1024 + 57] = 0xef;
    memcpy(disk + 1024 + 120, "MACULA-LIVE\0old", 15);
    memset(disk + 1024 + 136, 'x', 8); /* the field behind it */
    assert_string_equal(label_of_disk(label), "ext4");
    assert_string_equal(label, "MACULA-LIVE");
    memset(disk + 1024 + 120, 'L', 16);
    assert_string_equal(label_of_disk(label), "ext4");
    assert_string_equal(label, "LLLLLLLLLLLLLLLL");
    disk[1024 + 57] = 0xee;
    assert_null(label_of_disk(label));
}

static void the_size_of_an_ext4_is_read(void **state) {
    (void)state;
    uint64_t blocks = 1, group = 1;
    memset(disk, 0, sizeof disk);
    assert_false(initrd_label_ext4_size(read_disk, NULL, &blocks, &group));
    disk[1024 + 56] = 0x53;
    disk[1024 + 57] = 0xef;
    disk[1024 + 4] = 0x10;
    disk[1024 + 7] = 0x80;
    disk[1024 + 33] = 0x80;
    disk[1024 + 336] = 2; /* means nothing in a file system of 32 bits */
    assert_true(initrd_label_ext4_size(read_disk, NULL, &blocks, &group));
    assert_int_equal(blocks, 0x80000010u);
    assert_int_equal(group, 32768);
    disk[1024 + 96] = 0xc2;
    assert_true(initrd_label_ext4_size(read_disk, NULL, &blocks, &group));
    assert_true(blocks == 0x280000010u);
}

static void what_is_none_has_no_label(void **state) {
    (void)state;
    static const struct {
        size_t offset;
        uint8_t byte;
    } damages[] = {{510, 0}, {11, 1}, {12, 3}, {13, 0}, {13, 3}, {14, 0}, {16, 0}, {16, 9}};
    char label[INITRD_LABEL_SIZE] = "untouched";
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        fat12();
        disk[damages[i].offset] = damages[i].byte;
        assert_null(label_of_disk(label));
    }
    memset(disk, 0, sizeof disk);
    assert_null(label_of_disk(label));
    assert_string_equal(label, "untouched");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_label_in_the_boot_sector_is_found),
        cmocka_unit_test(a_label_in_the_root_directory_counts_more),
        cmocka_unit_test(fat32_is_followed_to_the_first_cluster_of_its_root),
        cmocka_unit_test(an_iso_is_asked_first),
        cmocka_unit_test(an_ext4_label_ends_at_its_zero_or_is_whole),
        cmocka_unit_test(the_size_of_an_ext4_is_read),
        cmocka_unit_test(what_is_none_has_no_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
