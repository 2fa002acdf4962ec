#include "test-crypto-box.h"

static void assert_sha256(const char *data, size_t length, const char *expected) {
    char hex[65];
    mac_sha256_hex(data, length, hex);
    assert_string_equal(hex, expected);
}

static void sha256_gives_the_digests_of_fips_180(void **state) {
    (void)state;
    assert_sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_sha256("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    mac_autofree char *million = mac_malloc(1000000);
    memset(million, 'a', 1000000);
    assert_sha256(million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void comparing_sees_every_byte(void **state) {
    (void)state;
    uint8_t a[32] = {0}, b[32] = {0};
    assert_true(mac_equal_constant_time(a, b, sizeof(a)));
    assert_true(mac_equal_constant_time(NULL, NULL, 0));
    for (size_t i = 0; i < sizeof(a); i++) {
        b[i] = 0x80;
        assert_false(mac_equal_constant_time(a, b, sizeof(a)));
        b[i] = 0;
    }
}

static void wiping_and_randomness_touch_all_they_should(void **state) {
    (void)state;
    uint8_t data[600];
    memset(data, 1, sizeof(data));
    mac_wipe(data + 1, sizeof(data) - 2);
    for (size_t i = 1; i < sizeof(data) - 1; i++)
        assert_int_equal(data[i], 0);
    assert_int_equal(data[0], 1);
    assert_int_equal(data[sizeof(data) - 1], 1);
    mac_wipe(NULL, 0);
    uint8_t other[600];
    mac_random(data, sizeof(data));
    mac_random(other, sizeof(other));
    assert_memory_not_equal(data, other, sizeof(data));
    assert_memory_not_equal(data + 584, other + 584, 16);
}

static void base64_is_that_of_rfc_4648(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"},
                                           {"\xff\xef\xbe", "/+++"}};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(pairs); i++) {
        mac_autofree char *text = mac_base64_encode(pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(text, pairs[i][1]);
        void *data;
        size_t length;
        assert_int_equal(mac_base64_decode(text, strlen(text), &data, &length), 0);
        assert_int_equal(length, strlen(pairs[i][0]));
        assert_string_equal(data, pairs[i][0]);
        free(data);
    }
    void *data;
    size_t length;
    assert_int_equal(mac_base64_decode(" Zm9v\r\n\tYm Fy\n", 14, &data, &length), 0);
    assert_string_equal(data, "foobar");
    free(data);
}

static void base64_refuses_what_is_not(void **state) {
    (void)state;
    static const char *const bad[] = {"Z",    "Zg",   "Zg=",  "Zm9",   "=",     "====", "Z===",  "Zg==Zg==",
                                      "Zh==", "Zm9=", "Zg=v", "Zm9v=", "Zm9v!", "Zm-_", "Zg==x", "Z\xc3g="};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        void *data = NULL;
        size_t length;
        assert_int_equal(mac_base64_decode(bad[i], strlen(bad[i]), &data, &length), -EINVAL);
        assert_null(data);
    }
    void *data = NULL;
    size_t length;
    assert_int_equal(mac_base64_decode("Zm\0v", 4, &data, &length), -EINVAL);
}

static mac_seal *seal_open(mac_root *root, const char *path) {
    mac_seal *seal;
    assert_int_equal(mac_seal_open_key(root, path, true, &seal), 0);
    return seal;
}

static void the_aead_is_that_of_rfc_8439(void **state) {
    mac_root *root = *state;
    uint8_t key[32], raw[12 + 114 + 16];
    for (unsigned i = 0; i < 32; i++)
        key[i] = (uint8_t)(0x80 + i);
    from_hex("070000004041424344454647"
             "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a"
             "9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9d"
             "e576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
             raw);
    assert_int_equal(mac_fs_write(root, "/seal.key", key, sizeof(key), MAC_FS_PRIVATE), 0);
    mac_autoptr(mac_seal) seal = seal_open(root, "/seal.key");
    mac_autofree char *encoded = mac_base64_encode(raw, sizeof(raw));
    mac_autofree char *text = mac_asprintf(MAC_SEAL_PREFIX "%s", encoded);
    mac_autofree char *data = NULL;
    size_t length = 0;
    assert_int_equal(mac_unseal_text(seal, "PQRS\xc0\xc1\xc2\xc3\xc4\xc5\xc6\xc7", text, &data, &length), 0);
    assert_int_equal(length, 114);
    assert_string_equal(data,
                        "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
                        "sunscreen would be it.");
}

static void a_sealed_value_opens_only_as_it_was_sealed(void **state) {
    mac_root *root = *state;
    mac_autoptr(mac_seal) seal = seal_open(root, "/identity/seal.key");
    mac_autoptr(mac_seal) other = seal_open(root, "/identity/other.key");
    mac_autofree char *text = mac_seal_text(seal, "network.wifi.psk", "s3cret\0x", 8);
    mac_autofree char *again = mac_seal_text(seal, "network.wifi.psk", "s3cret\0x", 8);
    assert_true(mac_starts_with(text, MAC_SEAL_PREFIX));
    assert_string_not_equal(text, again);
    char *data = NULL;
    size_t length = 0;
    assert_int_equal(mac_unseal_text(seal, "network.wifi.psk", text, &data, &length), 0);
    assert_int_equal(length, 8);
    assert_memory_equal(data, "s3cret\0x", 9);
    free(mac_take(&data));
    assert_int_equal(mac_unseal_text(seal, "network.wifi.psk2", text, &data, &length), -EBADMSG);
    assert_int_equal(mac_unseal_text(seal, "", text, &data, &length), -EBADMSG);
    assert_int_equal(mac_unseal_text(other, "network.wifi.psk", text, &data, &length), -EBADMSG);
    assert_int_equal(mac_unseal_text(seal, "network.wifi.psk", text + 1, &data, &length), -EBADMSG);
    assert_int_equal(mac_unseal_text(seal, "network.wifi.psk", MAC_SEAL_PREFIX, &data, &length), -EBADMSG);
    assert_int_equal(mac_unseal_text(seal, "network.wifi.psk", MAC_SEAL_PREFIX "%%%", &data, &length), -EBADMSG);
    for (size_t cut = strlen(text) - 1; cut > 0; cut--) {
        mac_autofree char *shorter = mac_strndup(text, cut);
        assert_int_equal(mac_unseal_text(seal, "network.wifi.psk", shorter, &data, &length), -EBADMSG);
    }
    assert_null(data);
    mac_autofree char *empty = mac_seal_text(seal, "x", NULL, 0);
    assert_int_equal(mac_unseal_text(seal, "x", empty, &data, NULL), 0);
    assert_string_equal(data, "");
    free(data);
}

static void no_bit_of_a_sealed_value_can_be_flipped(void **state) {
    mac_root *root = *state;
    mac_autoptr(mac_seal) seal = seal_open(root, "/seal.key");
    mac_autofree char *text = mac_seal_text(seal, "label", "password", 8);
    void *decoded;
    size_t total;
    const char *encoded = text + strlen(MAC_SEAL_PREFIX);
    assert_int_equal(mac_base64_decode(encoded, strlen(encoded), &decoded, &total), 0);
    uint8_t *raw = decoded;
    assert_int_equal(total, 12 + 8 + 16);
    for (size_t bit = 0; bit < total * 8; bit++) {
        raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
        mac_autofree char *flipped = mac_base64_encode(raw, total);
        mac_autofree char *sealed = mac_asprintf(MAC_SEAL_PREFIX "%s", flipped);
        char *data = NULL;
        size_t length;
        assert_int_equal(mac_unseal_text(seal, "label", sealed, &data, &length), -EBADMSG);
        assert_null(data);
        raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(decoded);
}

static void a_sealing_key_is_private_and_must_have_its_size(void **state) {
    mac_root *root = *state;
    mac_seal *seal = NULL;
    assert_int_equal(mac_seal_open_key(root, "/identity/seal.key", false, &seal), -ENOENT);
    assert_int_equal(mac_fs_write(root, "/short", "too short", 9, MAC_FS_PRIVATE), 0);
    assert_int_equal(mac_seal_open_key(root, "/short", true, &seal), -EBADMSG);
    assert_int_equal(mac_fs_write(root, "/empty", "", 0, MAC_FS_PRIVATE), 0);
    assert_int_equal(mac_seal_open_key(root, "/empty", true, &seal), -EBADMSG);
    assert_null(seal);
    assert_int_equal(mac_seal_open_key(root, "/identity/seal.key", true, &seal), 0);
    mac_seal_free(seal);
    mac_seal_free(NULL);
    assert_private(root, "/identity/seal.key");
    struct stat status;
    assert_int_equal(mac_fs_stat(root, "/identity", &status), 0);
    assert_int_equal(status.st_mode, S_IFDIR | 0700);
    mac_fs_attributes loose = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
    assert_int_equal(mac_fs_chmod_chown(root, "/identity/seal.key", loose), 0);
    assert_int_equal(mac_seal_open_key(root, "/identity/seal.key", true, &seal), 0);
    mac_seal_free(seal);
    assert_private(root, "/identity/seal.key");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_digests_of_fips_180),
        cmocka_unit_test(comparing_sees_every_byte),
        cmocka_unit_test(wiping_and_randomness_touch_all_they_should),
        cmocka_unit_test(base64_is_that_of_rfc_4648),
        cmocka_unit_test(base64_refuses_what_is_not),
        BOX_TEST(the_aead_is_that_of_rfc_8439),
        BOX_TEST(a_sealed_value_opens_only_as_it_was_sealed),
        BOX_TEST(no_bit_of_a_sealed_value_can_be_flipped),
        BOX_TEST(a_sealing_key_is_private_and_must_have_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
