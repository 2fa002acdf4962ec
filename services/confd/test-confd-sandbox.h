/* A node of a test: a root in a temporary directory, a document, and verbs that read like sentences. */
#ifndef TEST_CONFD_SANDBOX_H
#define TEST_CONFD_SANDBOX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "confd-applicator.h"
#include "confd-sys.h"

typedef struct test_node {
    char directory[64];
    uv_loop_t loop;
    confd_context context;
    Macula__V1__Document document;
    Macula__V1__MaculaosSection section;
    confd_run *run;   /* of the last start, until keep or take_back */
    mac_error *error; /* of the last run */
    bool ended;
} test_node;

/* For setup and teardown of cmocka. */
int test_node_new(void **state);
int test_node_free(void **state);

/* ---- files ---- */
void put_file(test_node *node, const char *path, const char *text);
void put_link(test_node *node, const char *path, const char *target);
char *read_file(test_node *node, const char *path); /* NULL: there is none */
void assert_file(test_node *node, const char *path, const char *text);
void assert_no_file(test_node *node, const char *path);
void assert_mode(test_node *node, const char *path, mode_t mode);
/* Every file, link and directory with mode, owner and content. Records of commands and the cache of keys are left out:
 * they tell what happened and are not undone. */
char *snapshot(test_node *node);

/* ---- runs ---- */
/* Runs one applicator, or all of them (NULL), to its end; the run stays open. */
void start(test_node *node, const confd_applicator *applicator);
void keep(test_node *node);                                           /* commit */
void take_back(test_node *node);                                      /* undo; no problem may arise */
void apply_well(test_node *node, const confd_applicator *applicator); /* start, no error, keep */
/* The error of a run that must fail; it is taken back, and then everything must be as before. */
void apply_fails(test_node *node, const confd_applicator *applicator, const char *text_in_error);
size_t count_findings(test_node *node, const confd_applicator *applicator);
bool has_finding(test_node *node, const confd_applicator *applicator, const char *what);
bool has_action(test_node *node, const char *text); /* of the open run */
bool has_note(test_node *node, const char *text);
void run_loop(test_node *node);
/* Whether check refuses the document with such a text. */
bool is_refused(test_node *node, const confd_applicator *applicator, const char *text);
bool is_accepted(test_node *node, const confd_applicator *applicator);

/* What every applicator must do: plan without touching, apply, find nothing to do the second time, undo to exactly what
 * was, apply again. */
void exercise(test_node *node, const confd_applicator *applicator);
/* Kills a process at every file that the applicator writes; after each, a new apply must lead where one without
 * interruption leads. */
void exercise_killed(test_node *node, const confd_applicator *applicator);

extern const confd_applicator confd_apply_users, confd_apply_files, confd_apply_environment, confd_apply_modules,
    confd_apply_sysctls, confd_apply_hostname, confd_apply_timezone, confd_apply_keyboard, confd_apply_locale,
    confd_apply_ssh_keys, confd_apply_ntp, confd_apply_k3s, confd_apply_init_cmd, confd_apply_boot_cmd,
    confd_apply_run_cmd;

#endif
