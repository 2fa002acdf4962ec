/* A partition table is extended to a larger disk, and only its last partition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "initrd-gpt.h"

#define SMALL 262144u
#define LARGE 1048576u

static void put(uint8_t *at, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t crc(const uint8_t *bytes, size_t length) {
    uint32_t value = ~0u;
    for (size_t i = 0; i < length; i++) {
        value ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
    }
    return ~value;
}

static void add(initrd_gpt *gpt, unsigned number, uint64_t first, uint64_t last) {
    uint8_t *entry = gpt->table + (number - 1) * 128;
    memset(entry, 0x42, 32);
    put(entry + 32, first, 8);
    put(entry + 40, last, 8);
}

static void seal(initrd_gpt *gpt) {
    put(gpt->header + 88, crc(gpt->table, GPT_TABLE), 4);
    put(gpt->header + 16, 0, 4);
    put(gpt->header + 16, crc(gpt->header, 92), 4);
}

/* Two partitions on a disk of 128 MiB; the second is the last. */
static void make(initrd_gpt *gpt) {
    memset(gpt, 0, sizeof *gpt);
    memcpy(gpt->header, "EFI PART\0\0\1\0", 12);
    put(gpt->header + 12, 92, 4);
    put(gpt->header + 24, 1, 8);
    put(gpt->header + 32, SMALL - 1, 8);
    put(gpt->header + 40, 34, 8);
    put(gpt->header + 48, SMALL - 34, 8);
    put(gpt->header + 72, 2, 8);
    put(gpt->header + 80, 128, 4);
    put(gpt->header + 84, 128, 4);
    add(gpt, 1, 2048, 4095);
    add(gpt, 2, 4096, SMALL - 2049);
    seal(gpt);
}

static void the_last_partition_reaches_the_end_of_a_larger_disk(void **state) {
    (void)state;
    initrd_gpt now, first, second;
    uint64_t begin, end;
    make(&now);
    assert_true(initrd_gpt_valid(&now, 1));
    assert_true(initrd_gpt_extend(&now, 2, LARGE, &first, &second));
    assert_true(initrd_gpt_valid(&first, 1));
    assert_true(initrd_gpt_valid(&second, LARGE - 1));
    assert_int_equal(initrd_gpt_other_at(&first), LARGE - 1);
    assert_int_equal(initrd_gpt_other_at(&second), 1);
    assert_int_equal(initrd_gpt_table_at(&second), LARGE - 33);
    assert_true(initrd_gpt_entry(&second, 2, &begin, &end));
    assert_int_equal(begin, 4096);
    assert_true(end > SMALL && end < LARGE - 33 && (end + 1) % 2048 == 0);
    assert_true(initrd_gpt_entry(&first, 1, &begin, &end));
    assert_int_equal(end, 4095);
}

static void extending_a_second_time_changes_nothing(void **state) {
    (void)state;
    initrd_gpt now, first, second, again;
    make(&now);
    assert_true(initrd_gpt_extend(&now, 2, LARGE, &first, &second));
    assert_false(initrd_gpt_extend(&first, 2, LARGE, &again, &second));
}

static void a_partition_with_another_behind_it_is_left_alone(void **state) {
    (void)state;
    initrd_gpt now, first, second;
    make(&now);
    assert_false(initrd_gpt_extend(&now, 1, LARGE, &first, &second));
    assert_false(initrd_gpt_extend(&now, 3, LARGE, &first, &second));
}

static void a_torn_first_copy_comes_back_from_the_second(void **state) {
    (void)state;
    initrd_gpt now, first, second, torn, mended;
    make(&now);
    assert_true(initrd_gpt_extend(&now, 2, LARGE, &first, &second));
    torn = now;
    memcpy(torn.table, first.table, GPT_TABLE);
    assert_false(initrd_gpt_valid(&torn, 1));
    initrd_gpt_mirror(&second, &mended);
    assert_true(initrd_gpt_valid(&mended, 1));
    assert_memory_equal(&mended, &first, sizeof mended);
}

static void a_disk_made_from_an_image_gets_numbers_of_its_own_once(void **state) {
    (void)state;
    static const uint8_t image[16] = {0x55, 0x43, 0x41, 0x4d, 0x41, 0x4c, 0x53, 0x4f};
    static uint8_t random[GPT_RANDOM];
    initrd_gpt now, first, second, again;
    uint64_t begin, end;
    memset(random, 0xa5, sizeof random);
    memset(random + 16, 0x5a, 16);
    make(&now);
    assert_false(initrd_gpt_own(&now, random, &first, &second)); /* not the image's */
    memcpy(now.header + 56, image, sizeof image);
    seal(&now);
    assert_true(initrd_gpt_own(&now, random, &first, &second));
    assert_true(initrd_gpt_valid(&first, 1));
    assert_true(initrd_gpt_valid(&second, SMALL - 1));
    assert_int_equal(initrd_gpt_table_at(&second), SMALL - 33);
    assert_int_equal(first.table[16], 0x5a);
    assert_int_equal(first.table[16 + 7] >> 4, 4);
    assert_int_equal(first.table[128 + 16], 0xa5);
    assert_memory_equal(first.table + 256, now.table + 256, GPT_TABLE - 256); /* entries that nobody uses */
    assert_true(initrd_gpt_entry(&first, 2, &begin, &end));
    assert_int_equal(end, SMALL - 2049);
    assert_false(initrd_gpt_own(&first, random, &again, &second));
    assert_true(initrd_gpt_extend(&first, 2, LARGE, &again, &second));
    assert_int_equal(again.table[16], 0x5a);
}

#define UUID_OF_2 "42424242-4242-4242-4242-4242424242a5"

static void only_a_disk_with_the_wanted_partition_is_written_to(void **state) {
    (void)state;
    initrd_gpt now, first, second, torn;
    char text[GPT_UUID_SIZE];
    make(&now);
    now.table[128 + 31] = 0xa5;
    seal(&now);
    initrd_gpt_uuid((const uint8_t[16]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, text);
    assert_string_equal(text, "03020100-0504-0706-0809-0a0b0c0d0e0f");
    assert_true(initrd_gpt_extend(&now, 2, LARGE, &first, &second));
    torn = now;
    memset(torn.table + 128, 0xee, GPT_TABLE - 128);
    assert_true(initrd_gpt_is_ours(&torn, &second, UUID_OF_2));
    assert_true(initrd_gpt_is_ours(&torn, &second, "42424242-4242-4242-4242-4242424242A5"));
    assert_false(initrd_gpt_is_ours(&torn, &second, "42424242-4242-4242-4242-4242424242a6"));
    assert_true(initrd_gpt_is_ours(&now, &torn, UUID_OF_2)); /* torn while numbers of its own were written */
    memset(torn.header, 0, 8);
    assert_false(initrd_gpt_is_ours(&torn, &second, UUID_OF_2));
}

static void each_changed_byte_is_noticed(void **state) {
    (void)state;
    initrd_gpt now;
    make(&now);
    for (size_t i = 0; i < 92; i++) {
        now.header[i] ^= 1;
        assert_false(initrd_gpt_valid(&now, 1));
        now.header[i] ^= 1;
    }
    now.table[300] ^= 1;
    assert_false(initrd_gpt_valid(&now, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_partition_reaches_the_end_of_a_larger_disk),
        cmocka_unit_test(extending_a_second_time_changes_nothing),
        cmocka_unit_test(a_partition_with_another_behind_it_is_left_alone),
        cmocka_unit_test(a_torn_first_copy_comes_back_from_the_second),
        cmocka_unit_test(a_disk_made_from_an_image_gets_numbers_of_its_own_once),
        cmocka_unit_test(only_a_disk_with_the_wanted_partition_is_written_to),
        cmocka_unit_test(each_changed_byte_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
