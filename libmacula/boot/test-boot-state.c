#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "boot/mac-boot-sandbox.h"
#include "boot/mac-boot-slot.h"

#define TRANSITIONS 6

static mac_boot_verity verity_of(char digit, uint32_t blocks) {
    mac_boot_verity verity = {.blocks = blocks};
    memset(verity.hash, digit, 64);
    return verity;
}

static mac_boot_state confirmed(uint32_t seq) {
    mac_boot_state state = mac_boot_state_initial();
    state.seq = seq;
    state.verity[0] = verity_of('a', 20480);
    return state;
}

/* The states that an upgrade, a return and a reset pass through, each one seq after the other. */
static void transitions(uint32_t seq, mac_boot_state ret_states[TRANSITIONS]) {
    for (uint32_t i = 0; i < TRANSITIONS; i++)
        ret_states[i] = confirmed(seq + i);
    ret_states[1].pending = 'b';
    ret_states[1].verity[1] = verity_of('7', 30000);
    ret_states[2].active = 'b';
    ret_states[2].verity[1] = verity_of('7', 30000);
    ret_states[3].next = MAC_BOOT_RECOVERY;
    ret_states[4].reset = MAC_BOOT_RESET_KEEP;
    ret_states[4].next = MAC_BOOT_RESET;
    ret_states[5].verity[1] = verity_of('0', 0);
}

static void encode(const mac_boot_state *state, uint8_t *ret_block) {
    assert_null(mac_boot_state_encode(state, ret_block));
}

static bool decode(const uint8_t *block, mac_boot_state *ret_state) {
    mac_error *error = mac_boot_state_decode(block, MAC_BOOT_BLOCK, ret_state);
    mac_error_free(error);
    return !error;
}

static void a_block_is_what_grub_and_the_book_say(void **unused) {
    (void)unused;
    uint8_t block[MAC_BOOT_BLOCK];
    mac_boot_state state = confirmed(7), back = {0};
    encode(&state, block);
    static const char expected[] = "# GRUB Environment Block\nseq=0000000007\nactive=a\npending=-\nnext=normal--\n"
                                   "reset=none\nverity_a=aaaaaaaa";
    assert_memory_equal(block, expected, sizeof expected - 1);
    assert_int_equal(block[MAC_BOOT_SECTOR - 1], '#');
    assert_int_equal(block[MAC_BOOT_BLOCK - 1], '#');
    assert_true(decode(block, &back));
    assert_true(mac_boot_state_equal(&state, &back));
    assert_int_equal(mac_boot_crc32("123456789", 9), 0xcbf43926u);
}

/* What GRUB checks: header, seq equals end. Both at the places that the widths give. */
static bool grub_accepts(const uint8_t *block) {
    const char *text = (const char *)block;
    char copy[MAC_BOOT_BLOCK + 1] = {0};
    memcpy(copy, text, MAC_BOOT_BLOCK);
    char *seq = strstr(copy, "\nseq="), *end = strstr(copy, "\nend=");
    return strncmp(copy, "# GRUB Environment Block\n", 25) == 0 && seq && end && strncmp(seq + 5, end + 5, 11) == 0;
}

/* After a torn write both readers have the old state or the new one in force, and the same. */
static void expect_old_or_new(const uint8_t *untouched, const uint8_t *torn, const mac_boot_state *old,
                              const mac_boot_state *new) {
    mac_boot_state first, second = {0};
    assert_true(decode(untouched, &first));
    bool valid = decode(torn, &second);
    assert_int_equal(grub_accepts(torn), valid);
    int chosen = mac_boot_state_choose(&first, true, &second, valid);
    const mac_boot_state *force = chosen ? &second : &first;
    assert_true(mac_boot_state_equal(force, old) || mac_boot_state_equal(force, new));
}

static void no_torn_write_of_any_transition_shows_a_third_state(void **unused) {
    (void)unused;
    static const uint32_t starts[] = {1, 8, 9, 98, 99, 997, 99998, 4294967288u};
    unsigned tried = 0;
    for (size_t s = 0; s < MAC_ARRAY_SIZE(starts); s++) {
        mac_boot_state states[TRANSITIONS];
        uint8_t blocks[TRANSITIONS][MAC_BOOT_BLOCK], torn[MAC_BOOT_BLOCK];
        transitions(starts[s], states);
        for (int i = 0; i < TRANSITIONS; i++)
            encode(&states[i], blocks[i]);
        /* State i is written over state i - 2, while i - 1 is in force. */
        for (int i = 2; i < TRANSITIONS; i++) {
            for (size_t cut = 0; cut <= MAC_BOOT_BLOCK; cut++, tried += 3) {
                memcpy(torn, blocks[i - 2], MAC_BOOT_BLOCK);
                memcpy(torn, blocks[i], cut);
                expect_old_or_new(blocks[i - 1], torn, &states[i - 1], &states[i]);
                memcpy(torn, blocks[i], MAC_BOOT_BLOCK);
                memcpy(torn, blocks[i - 2], cut); /* the end arrived first */
                expect_old_or_new(blocks[i - 1], torn, &states[i - 1], &states[i]);
                memset(torn, 0xff, MAC_BOOT_BLOCK); /* flash that was erased, then written so far */
                memcpy(torn, blocks[i], cut);
                expect_old_or_new(blocks[i - 1], torn, &states[i - 1], &states[i]);
            }
        }
    }
    assert_true(tried > 90000);
}

static void a_mix_of_old_and_new_sectors_is_old_or_new(void **unused) {
    (void)unused;
    mac_boot_state states[TRANSITIONS];
    transitions(41, states);
    for (int i = 2; i < TRANSITIONS; i++) {
        uint8_t old[MAC_BOOT_BLOCK], new[MAC_BOOT_BLOCK], between[MAC_BOOT_BLOCK], mix[MAC_BOOT_BLOCK];
        encode(&states[i - 2], old);
        encode(&states[i - 1], between);
        encode(&states[i], new);
        for (unsigned which = 0; which < 4; which++) {
            memcpy(mix, which & 1 ? new : old, MAC_BOOT_SECTOR);
            memcpy(mix + MAC_BOOT_SECTOR, (which & 2 ? new : old) + MAC_BOOT_SECTOR, MAC_BOOT_SECTOR);
            expect_old_or_new(between, mix, &states[i - 1], &states[i]);
        }
    }
}

static void every_changed_byte_of_the_fields_is_refused(void **unused) {
    (void)unused;
    uint8_t block[MAC_BOOT_BLOCK];
    mac_boot_state state = confirmed(1234), back;
    encode(&state, block);
    const uint8_t *last = memmem(block, sizeof block, "end=", 4);
    assert_non_null(last);
    for (size_t i = 0; i < (size_t)(last - block) + strlen("end=0000000000\n"); i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            block[i] ^= (uint8_t)(1u << bit);
            assert_false(decode(block, &back));
            block[i] ^= (uint8_t)(1u << bit);
        }
    }
}

static void expect_refusal(const char *part, const char *replacement, const char *reason) {
    uint8_t block[MAC_BOOT_BLOCK + 1] = {0};
    mac_boot_state state = confirmed(5), back;
    encode(&state, block);
    char *at = strstr((char *)block, part);
    assert_non_null(at);
    memcpy(at, replacement, strlen(replacement));
    mac_error *error = mac_boot_state_decode(block, MAC_BOOT_BLOCK, &back);
    assert_non_null(error);
    if (!strstr(error->message, reason))
        fail_msg("\"%s\" expected in \"%s\"", reason, error->message);
    mac_error_free(error);
}

static void a_refusal_says_what_and_where(void **unused) {
    (void)unused;
    expect_refusal("# GRUB", "# FRUB", "byte 0: the line");
    expect_refusal("seq=", "sex=", "byte 25: seq expected");
    expect_refusal("seq=0000000005", "seq=9999999999", "up to 4294967295");
    expect_refusal("seq=0000000005", "seq=00000000x5", "ten decimal digits");
    expect_refusal("active=a", "active=c", "known values");
    expect_refusal("end=0000000005", "end=0000000006", "a write was interrupted");
    expect_refusal("verity_a=a", "verity_a=b", "crc");
    expect_refusal("end=0000000005\n##########", "end=0000000005\nactive=b\n#", "a line after the last field");
    mac_boot_state state = confirmed(1), back;
    mac_error *error = mac_boot_state_decode((const uint8_t *)"", 0, &back);
    assert_non_null(strstr(error->message, "1024 bytes expected, found 0"));
    mac_error_free(error);
    uint8_t block[MAC_BOOT_BLOCK];
    state.pending = 'b';
    error = mac_boot_state_encode(&state, block);
    assert_non_null(strstr(error->message, "slot b is empty"));
    mac_error_free(error);
}

static void the_newer_valid_copy_counts(void **unused) {
    (void)unused;
    mac_boot_state old = confirmed(9), new = confirmed(10);
    assert_int_equal(mac_boot_state_choose(&old, true, &new, true), 1);
    assert_int_equal(mac_boot_state_choose(&new, true, &old, true), 0);
    assert_int_equal(mac_boot_state_choose(&old, true, &new, false), 0);
    assert_int_equal(mac_boot_state_choose(&old, false, &new, true), 1);
    assert_int_equal(mac_boot_state_choose(&old, false, &new, false), -1);
}

static void a_pending_slot_is_tried_three_times_and_comes_back(void **unused) {
    (void)unused;
    mac_boot_tries tries = {.next = 0};
    mac_boot_state state = confirmed(50);
    state.pending = 'b';
    state.verity[1] = verity_of('1', 10);
    for (int i = 0; i < 3; i++) {
        mac_boot_choice choice = mac_boot_choose(&state, &tries);
        assert_int_equal(choice.slot, 'b');
        assert_true(choice.pending && choice.tries_changed);
        tries = choice.tries;
    }
    for (int i = 0; i < 2; i++) {
        mac_boot_choice choice = mac_boot_choose(&state, &tries);
        assert_int_equal(choice.slot, 'a');
        assert_int_equal(choice.failed, 'b');
        assert_false(choice.pending || choice.tries_changed);
    }
    assert_int_equal(mac_boot_choose(&state, NULL).slot, 'a');
}

static void a_slot_that_holds_nothing_is_passed_over(void **unused) {
    (void)unused;
    mac_boot_tries tries = {.next = 0};
    mac_boot_state state = confirmed(50);
    state.pending = 'b';
    state.verity[1] = mac_boot_verity_none();
    mac_boot_choice choice = mac_boot_choose(&state, &tries);
    assert_int_equal(choice.slot, 'a');
    assert_int_equal(choice.failed, 'b');
    assert_false(choice.pending);
    assert_true(choice.tries_changed);
    state.pending = '-';
    state.verity[1] = state.verity[0];
    state.verity[0] = mac_boot_verity_none();
    choice = mac_boot_choose(&state, &tries);
    assert_int_equal(choice.slot, 'b');
    assert_int_equal(choice.failed, 'a');
    state.verity[1] = mac_boot_verity_none();
    assert_int_equal(mac_boot_choose(&state, &tries).slot, 'a');
}

static void a_one_shot_mode_comes_once_and_a_reset_until_it_is_done(void **unused) {
    (void)unused;
    mac_boot_tries tries = {.next = 0};
    mac_boot_state state = confirmed(3);
    state.next = MAC_BOOT_RECOVERY;
    mac_boot_choice choice = mac_boot_choose(&state, &tries);
    assert_int_equal(choice.mode, MAC_BOOT_RECOVERY);
    assert_int_equal(mac_boot_choose(&state, &choice.tries).mode, MAC_BOOT_NORMAL);
    state.reset = MAC_BOOT_RESET_ALL;
    assert_int_equal(mac_boot_choose(&state, &choice.tries).mode, MAC_BOOT_RESET);
    assert_int_equal(mac_boot_choose(&state, NULL).mode, MAC_BOOT_RESET);
}

static void expect_trailer(const char *text, bool good) {
    uint8_t trailer[MAC_BOOT_TRAILER] = {0};
    mac_boot_slot slot;
    memcpy(trailer, text, strlen(text));
    mac_error *error = mac_boot_slot_parse(trailer, 1u << 20, &slot);
    assert_int_equal(error == NULL, good);
    mac_error_free(error);
}

static void a_trailer_is_believed_only_as_far_as_it_fits(void **unused) {
    (void)unused;
#define HASH "\"root_hash\":\"1111111111111111111111111111111111111111111111111111111111111111\"}"
    expect_trailer("{\"version\":\"1.2.3\",\"arch\":\"amd64\",\"size\":8192,\"data_blocks\":1," HASH, true);
    expect_trailer("{\"version\":\"1.2.3\",\"arch\":\"amd64\",\"size\":1048576,\"data_blocks\":1," HASH, false);
    expect_trailer("{\"version\":\"1.2.3\",\"arch\":\"amd64\",\"size\":8192,\"data_blocks\":3," HASH, false);
    expect_trailer("{\"version\":\"1/../2\",\"arch\":\"amd64\",\"size\":8192,\"data_blocks\":1," HASH, false);
    expect_trailer("{\"version\":\"1.2.3\"}", false);
    expect_trailer("", false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_what_grub_and_the_book_say),
        cmocka_unit_test(no_torn_write_of_any_transition_shows_a_third_state),
        cmocka_unit_test(a_mix_of_old_and_new_sectors_is_old_or_new),
        cmocka_unit_test(every_changed_byte_of_the_fields_is_refused),
        cmocka_unit_test(a_refusal_says_what_and_where),
        cmocka_unit_test(the_newer_valid_copy_counts),
        cmocka_unit_test(a_pending_slot_is_tried_three_times_and_comes_back),
        cmocka_unit_test(a_slot_that_holds_nothing_is_passed_over),
        cmocka_unit_test(a_one_shot_mode_comes_once_and_a_reset_until_it_is_done),
        cmocka_unit_test(a_trailer_is_believed_only_as_far_as_it_fits),
    };
    return cmocka_run_group_tests_name("boot-state", tests, NULL, NULL);
}
