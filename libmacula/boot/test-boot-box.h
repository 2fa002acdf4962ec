/* A node below a root of its own that has nothing but boot files, for tests of programs that work on them. */
#ifndef TEST_BOOT_BOX_H
#define TEST_BOOT_BOX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/mac-boot-sandbox.h"
#include "boot/mac-boot.h"

typedef struct boot_box {
    char directory[64];
    mac_root *root;
} boot_box;

static inline void boot_box_init(boot_box *box) {
    strcpy(box->directory, "/tmp/test-boot.XXXXXX");
    assert_non_null(mkdtemp(box->directory));
    assert_int_equal(mac_root_open(box->directory, true, &box->root), 0);
    assert_null(mac_boot_sandbox_start(box->root, "1.0.0", "amd64"));
}

static inline void boot_box_deinit(boot_box *box) {
    mac_autoptr(mac_root) system = NULL;
    mac_root_close(box->root);
    assert_int_equal(mac_root_open(NULL, false, &system), 0);
    assert_int_equal(mac_fs_remove_tree(system, box->directory), 0);
}

static inline mac_boot_state boot_box_state(boot_box *box) {
    mac_autoptr(mac_boot) boot = NULL;
    mac_autobootstatus status = {0};
    assert_null(mac_boot_open(box->root, &boot));
    assert_null(mac_boot_read(boot, &status));
    return status.state;
}

#endif
