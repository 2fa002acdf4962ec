#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* cmocka needs the headers above. */
#include <cmocka.h>
#include <openssl/evp.h>

#include "release/mac-hashtree.h"

/* Made with veritysetup 2.6.1: number of data blocks, root hash, and SHA-256 of data and tree. */
static const struct {
    uint32_t blocks;
    const char *root, *all;
} known[] = {
    {2, "cd849c790357e40945a0ec7b3bb058fee1d8c75fea9581f533659399c8ff28b2",
     "ca451bbf72e1970877919d2365e854b0070e6a04b6993eb71050c761bb1dddb8"},
    {128, "58b8d11562f86617220340819fc6882395f33add5f0757e391261c7f4c6949af",
     "c97554b0953a2c8759fc3f10e7c422debaeedb404cef95cff56188048b3d2039"},
    {129, "5390463a275a06e3e456e61db08898867f5702fc46d1b318bb62f2311a64541e",
     "ffe5dab7de832823236a8bfe76888c34bca425e63583468088ddabed3f3e6e00"},
    {300, "c127bfec216899ce90f6b7a6b04ca531f778937a7b05fed3a75870e6ff114424",
     "44324cecd4cc1d856a632738543728393762c6554755a27b7742b53ef1dc80ac"},
    {16385, "12277262c94024fcdcae12741bc0ec1126b772c92623d6b424383d4e259fe337",
     "92932384a01987c611fc2f19bd9dd54aadfcafbfad87d7c27c456bf4651172ac"},
};

static bool keep_block(uint64_t offset, const uint8_t block[MAC_HASHTREE_BLOCK], void *data) {
    memcpy((uint8_t *)data + offset, block, MAC_HASHTREE_BLOCK);
    return true;
}

static void fill(uint8_t *data, uint32_t blocks) {
    for (uint32_t i = 0; i < blocks; i++)
        memset(data + (size_t)i * MAC_HASHTREE_BLOCK, (int)((i * 7 + i / 251) & 255), MAC_HASHTREE_BLOCK);
}

static void sha256_hex(const uint8_t *data, size_t length, char ret_hex[65]) {
    uint8_t digest[32];
    unsigned size = sizeof digest;
    EVP_Digest(data, length, digest, &size, EVP_sha256(), NULL);
    for (unsigned i = 0; i < size; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

static void the_tree_is_the_one_that_veritysetup_makes(void **state) {
    (void)state;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(known); i++) {
        size_t size = (size_t)mac_hashtree_size(known[i].blocks);
        mac_autofree uint8_t *data = mac_calloc(1, size);
        char root[65] = "", all[65];
        fill(data, known[i].blocks);
        mac_autoptr(mac_hashtree) tree = mac_hashtree_new(known[i].blocks, keep_block, data);
        assert_true(mac_hashtree_update(tree, data, (size_t)known[i].blocks * MAC_HASHTREE_BLOCK));
        assert_true(mac_hashtree_finish(tree, root));
        assert_string_equal(root, known[i].root);
        sha256_hex(data, size, all);
        assert_string_equal(all, known[i].all);
    }
}

static bool read_block(uint64_t offset, uint8_t ret_block[MAC_HASHTREE_BLOCK], void *data) {
    memcpy(ret_block, (uint8_t *)data + offset, MAC_HASHTREE_BLOCK);
    return true;
}

static void every_damage_of_a_stored_tree_is_found(void **state) {
    (void)state;
    const uint32_t blocks = 300;
    size_t size = (size_t)mac_hashtree_size(blocks), begin = (size_t)blocks * MAC_HASHTREE_BLOCK;
    mac_autofree uint8_t *data = mac_calloc(1, size);
    char root[65];
    fill(data, blocks);
    mac_autoptr(mac_hashtree) tree = mac_hashtree_new(blocks, keep_block, data);
    assert_true(mac_hashtree_update(tree, data, begin) && mac_hashtree_finish(tree, root));
    assert_true(mac_hashtree_check(blocks, root, read_block, data));
    for (size_t at = begin; at < size; at += 1021) {
        data[at] ^= 1;
        assert_false(mac_hashtree_check(blocks, root, read_block, data));
        data[at] ^= 1;
    }
    root[0] ^= 1;
    assert_false(mac_hashtree_check(blocks, root, read_block, data));
}

static void data_that_is_missing_or_too_much_is_refused(void **state) {
    (void)state;
    uint8_t data[2 * MAC_HASHTREE_BLOCK] = {0};
    char root[65];
    mac_autoptr(mac_hashtree) tree = mac_hashtree_new(3, NULL, NULL);
    assert_true(mac_hashtree_update(tree, data, sizeof data));
    assert_false(mac_hashtree_finish(tree, root));
    assert_false(mac_hashtree_update(tree, data, sizeof data));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_is_the_one_that_veritysetup_makes),
        cmocka_unit_test(every_damage_of_a_stored_tree_is_found),
        cmocka_unit_test(data_that_is_missing_or_too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
