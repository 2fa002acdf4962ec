#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* cmocka needs the headers above. */
#include <cmocka.h>

#include "release/mac-armor.h"
#include "release/mac-chunks.h"
#include "release/mac-release.h"
#include "release/mac-sums.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* ---- versions ---- */

static void versions_are_ordered_as_the_standard_says(void **state) {
    (void)state;
    static const char *const order[] = {"0.9.9",      "1.0.0-alpha",  "1.0.0-alpha.1", "1.0.0-alpha.beta",
                                        "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
                                        "1.0.0",      "1.0.1",        "1.2.0",         "1.10.0",
                                        "2.0.0-0",    "2.0.0"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(order); i++)
        for (size_t j = 0; j < MAC_ARRAY_SIZE(order); j++) {
            int found = mac_semver_compare(order[i], order[j]);
            assert_int_equal(found < 0, i < j);
            assert_int_equal(found == 0, i == j);
        }
    assert_int_equal(mac_semver_compare("1.0.0+a", "1.0.0+b"), 0);
    assert_true(mac_semver_compare("1.0.0-rc.1+x", "1.0.0+y") < 0);
    assert_true(mac_semver_is_prerelease("1.0.0-rc.1"));
    assert_false(mac_semver_is_prerelease("1.0.0+rc-1"));
}

static void what_is_no_version_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"",       "1",        "1.2",        "1.2.3.4", "v1.2.3",     "01.2.3",
                                      "1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3+",  "1.2.3 ",     "1.2.x",
                                      "-1.2.3", "1.2.3\n",  "1.2.3-\xc3", "1..3",    "1.2.3/../4", "4294967296.0.0"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++)
        if (mac_semver_valid(bad[i]))
            fail_msg("%s was accepted", bad[i]);
    assert_true(mac_semver_valid("1.2.3-rc.1+20260101.x-y"));
    assert_true(mac_semver_valid("0.0.0-0a.-"));
}

/* ---- manifest ---- */

static const char good[] =
    "{\"format\":1,\"version\":\"1.4.0\",\"channel\":\"stable\",\"sequence\":7,\"date\":\"2026-01-01T00:00:00Z\","
    "\"min_version\":\"1.0.0\",\"later\":{\"key\":1},\"images\":[{\"arch\":\"amd64\",\"slot\":\"a.slot\",\"size\":"
    "16384,"
    "\"sha256\":\"" DIGEST "\",\"data_blocks\":3,\"root_hash\":\"" DIGEST
    "\",\"chunks\":{\"name\":\"a.chunks\",\"size\":44,"
    "\"sha256\":\"" DIGEST "\"}}]}";

static void a_manifest_is_read(void **state) {
    (void)state;
    mac_release release;
    assert_null(mac_release_parse(good, sizeof good - 1, &release));
    assert_string_equal(release.version, "1.4.0");
    assert_string_equal(release.min_version, "1.0.0");
    assert_int_equal(release.sequence, 7);
    const mac_release_image *image = mac_release_find(&release, "amd64");
    assert_non_null(image);
    assert_string_equal(image->slot, "a.slot");
    assert_string_equal(image->index, "a.chunks");
    assert_int_equal(image->data_blocks, 3);
    assert_null(mac_release_find(&release, "arm64"));
}

/* The manifest with one piece replaced; the error must name the place. */
static void expect_refusal(const char *piece, const char *by, const char *named) {
    mac_release release;
    const char *at = strstr(good, piece);
    assert_non_null(at);
    mac_autofree char *text = mac_asprintf("%.*s%s%s", (int)(at - good), good, by, at + strlen(piece));
    mac_autoptr(mac_error) error = mac_release_parse(text, strlen(text), &release);
    if (!error)
        fail_msg("accepted: %s", text);
    if (!strstr(error->message, named))
        fail_msg("\"%s\" does not name %s", error->message, named);
}

static void a_hostile_manifest_is_refused_by_place(void **state) {
    (void)state;
    expect_refusal("1.4.0", "1.4", "version");
    expect_refusal("1.4.0", "1.4.0/../x", "version");
    expect_refusal("1.4.0", "1.4.\\u0660", "version");
    expect_refusal("1.4.0", "1.4.0\\u0000", "JSON");
    expect_refusal("\"1.4.0\"", "14", "version");
    expect_refusal("stable", "Stable", "channel");
    expect_refusal("\"sequence\":7", "\"sequence\":-7", "sequence");
    expect_refusal("\"sequence\":7", "\"sequence\":7.5", "sequence");
    expect_refusal("\"sequence\":7", "\"sequence\":9223372036854775807", "sequence");
    expect_refusal("2026-01-01T", "2026-01-01 ", "date");
    expect_refusal("a.slot", "../a.slot", "images[0].slot");
    expect_refusal("a.slot", "/dev/sda", "images[0].slot");
    expect_refusal("a.slot", "a\\nb", "images[0].slot");
    expect_refusal("a.slot", "-a", "images[0].slot");
    expect_refusal("a.slot", "a..slot", "images[0].slot");
    expect_refusal("\"size\":16384", "\"size\":16385", "images[0].size");
    expect_refusal("\"size\":16384", "\"size\":1e99", "images[0].size");
    expect_refusal("\"size\":16384", "\"size\":99999999999999", "images[0].size");
    expect_refusal("\"data_blocks\":3", "\"data_blocks\":4", "images[0].size");
    expect_refusal("\"data_blocks\":3", "\"data_blocks\":4294967299", "images[0].data_blocks");
    expect_refusal("\"root_hash\":\"0123", "\"root_hash\":\"G123", "images[0].root_hash");
    expect_refusal("a.chunks", "a/b", "images[0].chunks.name");
    expect_refusal("\"size\":44", "\"size\":0", "images[0].chunks.size");
    expect_refusal("\"format\":1", "\"format\":2", "format");
    expect_refusal("\"format\":1", "\"format\":1,\"format\":1", "JSON");
    expect_refusal("}]}", "}]", "JSON");
    expect_refusal("amd64", "amd64\xff", "JSON");
}

static void a_manifest_that_is_too_long_is_refused_unread(void **state) {
    (void)state;
    mac_release release;
    mac_autofree char *text = mac_calloc(1, MAC_RELEASE_MANIFEST_MAX + 2);
    memset(text, ' ', MAC_RELEASE_MANIFEST_MAX + 1);
    mac_autoptr(mac_error) error = mac_release_parse(text, MAC_RELEASE_MANIFEST_MAX + 1, &release);
    assert_non_null(error);
}

/* ---- sums ---- */

static void sums_are_read(void **state) {
    (void)state;
    mac_autoptr(mac_sums) sums = NULL;
    static const char text[] = DIGEST "  release.json\n" DIGEST " *a.slot\n";
    assert_null(mac_sums_parse(text, sizeof text - 1, &sums));
    assert_int_equal(mac_sums_count(sums), 2);
    assert_string_equal(mac_sums_get(sums, "a.slot"), DIGEST);
    assert_null(mac_sums_get(sums, "b.slot"));
}

static void sums_of_any_other_form_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      DIGEST "  release.json",
                                      DIGEST " release.json\n",
                                      DIGEST "  ../release.json\n",
                                      DIGEST "  a\n" DIGEST "  a\n",
                                      DIGEST "  a\r\n",
                                      DIGEST "  a\n\n",
                                      "# a comment\n",
                                      "\\" DIGEST "  a\n",
                                      "0123  a\n"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        mac_sums *sums = NULL;
        mac_error *error = mac_sums_parse(bad[i], strlen(bad[i]), &sums);
        if (!error)
            fail_msg("accepted: %s", bad[i]);
        mac_error_free(error);
    }
}

/* ---- chunks ---- */

static uint64_t random_state = 1;
static uint8_t random_byte(void) {
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint8_t)(random_state >> 56);
}

static size_t cut_all(const uint8_t *data, size_t length, mac_chunk *chunks) {
    size_t count = 0;
    for (size_t at = 0; at < length; count++) {
        size_t cut = mac_chunk_cut(data + at, length - at);
        chunks[count] = (mac_chunk){.offset = at, .length = (uint32_t)cut};
        memcpy(chunks[count].digest, data + at, MAC_CHUNK_DIGEST);
        at += cut;
    }
    return count;
}

#define STREAM (4u << 20)

static void an_insertion_moves_only_the_cuts_beside_it(void **state) {
    (void)state;
    mac_autofree uint8_t *data = mac_malloc(STREAM + 100);
    mac_autofree mac_chunk *before = mac_calloc(STREAM / MAC_CHUNK_LEAST + 2, sizeof *before);
    mac_autofree mac_chunk *after = mac_calloc(STREAM / MAC_CHUNK_LEAST + 2, sizeof *after);
    for (size_t i = 0; i < STREAM; i++)
        data[i] = random_byte();
    size_t count = cut_all(data, STREAM, before);
    assert_in_range(STREAM / count, 10u << 10, 24u << 10);
    memmove(data + STREAM / 2 + 100, data + STREAM / 2, STREAM / 2);
    size_t count_after = cut_all(data, STREAM + 100, after);
    size_t same = 0;
    for (size_t i = 1; i <= count && i <= count_after; i++)
        same += before[count - i].offset + 100 == after[count_after - i].offset;
    assert_in_range(same, count / 2 - 5, count);
}

static void an_index_is_read_as_it_was_written(void **state) {
    (void)state;
    mac_chunk items[] = {{.offset = 0, .length = 4096, .digest = "first"},
                         {.offset = 4096, .length = 10, .digest = "x"}};
    mac_chunks chunks = {items, 2, 4106};
    size_t length;
    mac_autofree uint8_t *data = mac_chunks_encode(&chunks, &length);
    mac_autochunks read = {0};
    assert_null(mac_chunks_parse(data, length, 4106, &read));
    assert_int_equal(read.count, 2);
    assert_int_equal(read.items[1].offset, 4096);
    assert_memory_equal(read.items[0].digest, items[0].digest, MAC_CHUNK_DIGEST);
    for (size_t i = 0; i < length; i++) { /* every damage of the header or of a length is noticed */
        bool digest = i >= MAC_CHUNKS_HEADER && (i - MAC_CHUNKS_HEADER) % MAC_CHUNKS_ENTRY >= 4;
        data[i] ^= 0x40;
        mac_autochunks damaged = {0};
        mac_autoptr(mac_error) error = mac_chunks_parse(data, length, 4106, &damaged);
        assert_int_equal(error == NULL, digest);
        data[i] ^= 0x40;
    }
    mac_autoptr(mac_error) shorter = mac_chunks_parse(data, length - 1, 4106, &read);
    mac_autoptr(mac_error) other = mac_chunks_parse(data, length, 4107, &read);
    assert_non_null(shorter);
    assert_non_null(other);
}

/* ---- keys ---- */

static void an_armoured_key_becomes_binary(void **state) {
    (void)state;
    static const char text[] = "some words\n-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: x\n\nxo0EYWJj\nZGU=\n=abcd\n"
                               "-----END PGP PUBLIC KEY BLOCK-----\n";
    static const uint8_t expected[] = {0xc6, 0x8d, 0x04, 'a', 'b', 'c', 'd', 'e'};
    mac_autobuffer keyring = {0};
    assert_null(mac_armor_keys(text, sizeof text - 1, &keyring));
    assert_int_equal(keyring.length, sizeof expected);
    assert_memory_equal(keyring.data, expected, sizeof expected);
    mac_autoptr(mac_error) private = mac_armor_keys("-----BEGIN PGP PRIVATE KEY BLOCK-----\n", 38, &keyring);
    mac_autoptr(mac_error) nothing = mac_armor_keys("hello", 5, &keyring);
    mac_autoptr(mac_error) endless = mac_armor_keys(text, sizeof text - 30, &keyring);
    assert_non_null(strstr(private->message, "private"));
    assert_non_null(nothing);
    assert_non_null(endless);
    assert_int_equal(keyring.length, sizeof expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_ordered_as_the_standard_says),
        cmocka_unit_test(what_is_no_version_is_refused),
        cmocka_unit_test(a_manifest_is_read),
        cmocka_unit_test(a_hostile_manifest_is_refused_by_place),
        cmocka_unit_test(a_manifest_that_is_too_long_is_refused_unread),
        cmocka_unit_test(sums_are_read),
        cmocka_unit_test(sums_of_any_other_form_are_refused),
        cmocka_unit_test(an_insertion_moves_only_the_cuts_beside_it),
        cmocka_unit_test(an_index_is_read_as_it_was_written),
        cmocka_unit_test(an_armoured_key_becomes_binary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
