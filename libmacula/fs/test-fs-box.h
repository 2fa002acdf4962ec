/* A root directory for one test, with a secret beside it that nothing in the root may reach. */
#ifndef TEST_FS_BOX_H
#define TEST_FS_BOX_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/mac-fs.h"

#define SECRET "outside"

typedef struct box {
    char outer[64]; /* holds "secret" and "root" */
    mac_root *root;
} box;

static inline int box_make(void **state) {
    box *b = mac_calloc(1, sizeof(*b));
    strcpy(b->outer, "/tmp/test-fs.XXXXXX");
    assert_non_null(mkdtemp(b->outer));
    mac_autofree char *inner = mac_asprintf("%s/root", b->outer);
    assert_int_equal(mac_root_open(inner, true, &b->root), 0);
    mac_autofree char *secret = mac_asprintf("%s/secret", b->outer);
    FILE *file = fopen(secret, "w");
    assert_non_null(file);
    fputs(SECRET, file);
    fclose(file);
    *state = b;
    return 0;
}

static inline int box_remove(void **state) {
    box *b = *state;
    mac_root_close(b->root);
    mac_autoptr(mac_root) system = NULL;
    assert_int_equal(mac_root_open(NULL, false, &system), 0);
    assert_int_equal(mac_fs_remove_tree(system, b->outer), 0);
    free(b);
    return 0;
}

static inline void assert_secret_untouched(const box *b) {
    mac_autofree char *path = mac_asprintf("%s/secret", b->outer);
    char text[32] = {0};
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof(text) - 1, file), strlen(SECRET));
    fclose(file);
    assert_string_equal(text, SECRET);
}

static inline void put(box *b, const char *path, const char *text) {
    assert_int_equal(mac_fs_write(b->root, path, text, strlen(text), MAC_FS_KEEP), 0);
}

static inline void assert_content(box *b, const char *path, const char *text) {
    mac_autofree char *data = NULL;
    size_t length = 0;
    assert_int_equal(mac_fs_read(b->root, path, 1 << 20, &data, &length), 0);
    assert_int_equal(length, strlen(text));
    assert_string_equal(data, text);
}

/* Number of entries of a directory, dot files too. */
static inline unsigned count_entries(box *b, const char *path) {
    mac_autofree char *host = mac_root_path(b->root, path);
    mac_autofree char *command = mac_asprintf("ls -A '%s' | wc -l", host);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    unsigned count = 0;
    assert_int_equal(fscanf(pipe, "%u", &count), 1);
    pclose(pipe);
    return count;
}

#define BOX_TEST(function) cmocka_unit_test_setup_teardown(function, box_make, box_remove)

#endif
