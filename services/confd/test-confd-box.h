/* A root directory of its own for each test, and short ways to put things into it. */
#ifndef TEST_CONFD_BOX_H
#define TEST_CONFD_BOX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "confd-proposal.h"

typedef struct confd_box {
    char directory[64];
    mac_root *root;
    mac_seal *seal;
    confd_names names;
    confd_store *store; /* opened by box_open_store */
} confd_box;

confd_box *box_new(void);
void box_free(confd_box *box);
int box_setup(void **state);
int box_teardown(void **state);

void box_write(confd_box *box, const char *path, const char *text);
/* Caller frees; NULL when there is no such file. */
char *box_read(confd_box *box, const char *path);
/* Whether a file in this directory holds these bytes. */
bool box_holds(confd_box *box, const char *directory, const char *bytes);
void box_open_store(confd_box *box);

/* A source set of one text in config.yaml. */
void box_sources(confd_sources *sources, const char *text);
/* The document of one text; fails the test when it is wrong. */
confd_document *box_document(confd_box *box, const char *text);
/* The problems of a text, a line each; caller frees. */
char *box_problems(confd_box *box, const char *text);
/* JSON text of the value at a path of a tree; caller frees. */
char *box_value(json_t *tree, const char *path);
#define assert_value(tree, path, expected)                                                                             \
    do {                                                                                                               \
        char *value_ = box_value(tree, path);                                                                          \
        assert_string_equal(value_, expected);                                                                         \
        free(value_);                                                                                                  \
    } while (0)
#define assert_contains(text, part)                                                                                    \
    do {                                                                                                               \
        if (!strstr(text, part))                                                                                       \
            fail_msg("expected \"%s\" in: %s", part, text);                                                            \
    } while (0)

#endif
