/* The root hash, against what veritysetup says of the same bytes; the vectors were made with it:
 * veritysetup format --no-superblock --salt=- --data-block-size=4096 --hash-block-size=4096 --hash=sha256 DATA TREE */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "install-hash.h"

/* Block n is filled with the byte n % 251. */
static void root_of(unsigned blocks, char ret_hex[65]) {
    uint8_t block[INSTALL_BLOCK];
    install_verity tree;
    install_verity_begin(&tree);
    for (unsigned n = 0; n < blocks; n++) {
        memset(block, (int)(n % 251), sizeof block);
        install_verity_add(&tree, block);
    }
    install_verity_end(&tree, ret_hex);
}

static void trees_of_every_height_have_the_root_hash_that_veritysetup_says(void **state) {
    (void)state;
    static const struct {
        unsigned blocks;
        const char *root;
    } known[] = {
        {1, "ad7facb2586fc6e966c004d7d1d16b024f5805ff7cb47c7a85dabd8b48892ca7"},
        {2, "dd9c4d99ab2332f88ff3bd4cb99e3db16fea710ecbc8cef4b7e237fc5765401b"},
        {127, "8096b6716394affce704c69ebd751a5478d910b3517fbdfe21215fd4f0e98539"},
        {128, "eade1212c3a6dd9dd817bf456bf067c41cdb483af154c5d0890d32744b7e4f6b"},
        {129, "f0dbc433d6188c4e8e30ee2de31ee90ab1edf2fd7438d97feab12f75375886ad"},
        {16384, "ccc30c071fc793fdaed1bad31da7ef407d01a182dd3f6cf9fb299703c057772e"},
        {16385, "782e251d56bb96c667a59e2bcd44726d659bd335a49621cbfc23c1f2715e725d"},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(known); i++) {
        char found[65];
        root_of(known[i].blocks, found);
        assert_string_equal(found, known[i].root);
    }
}

static void one_changed_bit_changes_the_root_hash(void **state) {
    (void)state;
    char one[65], other[65];
    uint8_t block[INSTALL_BLOCK] = {0};
    install_verity tree;
    root_of(200, one);
    install_verity_begin(&tree);
    for (unsigned n = 0; n < 200; n++) {
        memset(block, (int)n, sizeof block);
        block[7] ^= n == 150;
        install_verity_add(&tree, block);
    }
    install_verity_end(&tree, other);
    assert_string_not_equal(one, other);
}

static void a_stream_in_pieces_has_the_digest_of_the_whole(void **state) {
    (void)state;
    install_sha256 hash;
    char found[65];
    install_sha256_begin(&hash);
    install_sha256_add(&hash, "a", 1);
    install_sha256_add(&hash, "bc", 2);
    install_sha256_end(&hash, found);
    assert_string_equal(found, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_of_every_height_have_the_root_hash_that_veritysetup_says),
        cmocka_unit_test(one_changed_bit_changes_the_root_hash),
        cmocka_unit_test(a_stream_in_pieces_has_the_digest_of_the_whole),
    };
    return cmocka_run_group_tests_name("install-hash", tests, NULL, NULL);
}
