/* A root directory for one test. */
#ifndef TEST_CRYPTO_BOX_H
#define TEST_CRYPTO_BOX_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/mac-crypto.h"

static inline int box_make(void **state) {
    char directory[] = "/tmp/test-crypto.XXXXXX";
    mac_root *root;
    assert_non_null(mkdtemp(directory));
    assert_int_equal(mac_root_open(directory, false, &root), 0);
    *state = root;
    return 0;
}

static inline int box_remove(void **state) {
    mac_root *root = *state;
    mac_autoptr(mac_root) system = NULL;
    assert_int_equal(mac_root_open(NULL, false, &system), 0);
    assert_int_equal(mac_fs_remove_tree(system, mac_root_directory(root)), 0);
    mac_root_close(root);
    return 0;
}

static inline void from_hex(const char *hex, uint8_t *to) {
    for (unsigned byte; *hex; hex += 2) {
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        *to++ = (uint8_t)byte;
    }
}

static inline void assert_private(mac_root *root, const char *path) {
    struct stat status;
    assert_int_equal(mac_fs_stat(root, path, &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
}

#define BOX_TEST(function) cmocka_unit_test_setup_teardown(function, box_make, box_remove)

#endif
