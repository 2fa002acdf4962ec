/* confd-offline on the root of a node that does not run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confd-apply-init.h"
#include "test-confd-box.h"

#define FILE_V1 "hostname: one\n"
#define FILE_V2 "hostname: two\nmaculaos:\n  environment: {A: b}\n"

typedef struct said {
    int code;
    char text[4096];
} said;

/* Runs the program with this line on its standard input. */
static said offline(confd_box *box, const char *input, const char *words) {
    said result = {0};
    mac_autofree char *command = mac_asprintf("printf '%%s' '%s' | %s/confd-offline --root %s %s 2>&1",
                                              input ? input : "", getenv("MACULA_BIN_DIR"), box->directory, words);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    result.text[fread(result.text, 1, sizeof result.text - 1, pipe)] = '\0';
    int status = pclose(pipe);
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    return result;
}

#define assert_said(outcome, expected, part)                                                                           \
    do {                                                                                                               \
        said said_ = (outcome);                                                                                        \
        if (said_.code != (expected) || !strstr(said_.text, part))                                                     \
            fail_msg("expected %d and \"%s\", found %d and: %s", expected, part, said_.code, said_.text);              \
    } while (0)

/* A generation of this text, in force, as confd would have made it. */
static void generation(confd_box *box, const char *text) {
    confd_autosources sources = {0};
    box_sources(&sources, text);
    confd_document *document = box_document(box, text);
    confd_commit commit = {
        .sources = &sources, .document = document->tree, .digest = document->digest, .author = "test", .message = text};
    uint64_t number = 0;
    assert_int_equal(confd_store_commit(box->store, &commit, &number), 0);
    assert_int_equal(confd_store_write_sources(box->store, box->root), 0);
    assert_int_equal(confd_store_applied(box->store, mac_unix_ms()), 0);
    confd_document_free(document);
}

static int two_generations(void **state) {
    box_setup(state);
    confd_box *box = *state;
    box_open_store(box);
    generation(box, FILE_V1);
    generation(box, FILE_V2);
    confd_store_close(mac_take(&box->store));
    return 0;
}

static void assert_text(confd_box *box, const char *path, const char *expected) {
    mac_autofree char *text = box_read(box, path);
    assert_non_null(text);
    assert_string_equal(text, expected);
}

static void the_generation_before_comes_back_with_its_files(void **state) {
    confd_box *box = *state;
    assert_said(offline(box, NULL, "generations"), 0, "*2");
    assert_said(offline(box, NULL, "restore"), 0, "generation 3 is in force: rollback to generation 1");
    assert_text(box, CONFD_FILE, FILE_V1);
    assert_said(offline(box, NULL, "generations"), 0, "*3");
    assert_said(offline(box, NULL, "restore 2"), 0, "generation 4");
    assert_text(box, CONFD_FILE, FILE_V2);
}

/* The next start's initramfs runs them before anything of the node could put them right. */
static void commands_of_the_initramfs_follow_the_generation(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_INIT_COMMANDS, "300 13\nwhat broke it\n");
    assert_said(offline(box, NULL, "restore 1"), 0, "generation 3");
    assert_null(box_read(box, CONFD_INIT_COMMANDS));
}

static void an_edit_that_broke_the_node_is_replaced(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_FILE, "hostname: [\n");
    box_write(box, CONFD_FRAGMENTS_DIR "/50-mine.yaml", "nonsense: true\n");
    assert_said(offline(box, NULL, "restore 1"), 0, "an edit on the node that was not applied is replaced");
    assert_text(box, CONFD_FILE, FILE_V1);
    assert_null(box_read(box, CONFD_FRAGMENTS_DIR "/50-mine.yaml"));
}

static void the_password_is_kept_as_a_hash_only(void **state) {
    confd_box *box = *state;
    said result = offline(box, "correct horse\n", "password");
    assert_said(result, 0, "generation 3 is in force: set maculaos.password");
    assert_null(strstr(result.text, "horse"));
    mac_autofree char *text = box_read(box, CONFD_CHANGES_FILE);
    assert_non_null(text);
    assert_null(strstr(text, "horse"));
    assert_non_null(strstr(text, "$"));
    assert_text(box, CONFD_FILE, FILE_V2);
}

static void an_edit_in_the_way_of_the_password_is_named(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_CHANGES_FILE, "hostname: [\n");
    assert_said(offline(box, "x\n", "password"), 1, "99-changes.yaml was edited");
    assert_text(box, CONFD_CHANGES_FILE, "hostname: [\n");
}

static void what_is_not_there_is_refused(void **state) {
    confd_box *box = *state;
    assert_said(offline(box, NULL, "restore 9"), 5, "there is no generation 9");
    assert_said(offline(box, NULL, "restore x"), 5, "expected the number");
    assert_said(offline(box, NULL, "restore 1 2"), 2, "Usage");
    assert_said(offline(box, NULL, "nonsense"), 2, "Usage");
    assert_said(offline(box, NULL, "password"), 5, "standard input");
    assert_said(offline(box, "", "--help"), 0, "Example");
    assert_text(box, CONFD_FILE, FILE_V2);
}

static void a_damaged_store_is_named_with_its_remedy(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_STORE_FILE, "this is no database, by any means");
    assert_said(offline(box, NULL, "restore"), 1, "confd.db");
    assert_text(box, CONFD_FILE, FILE_V2);
}

#define NODE(function) cmocka_unit_test_setup_teardown(function, two_generations, box_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        NODE(the_generation_before_comes_back_with_its_files), NODE(commands_of_the_initramfs_follow_the_generation),
        NODE(an_edit_that_broke_the_node_is_replaced),         NODE(the_password_is_kept_as_a_hash_only),
        NODE(an_edit_in_the_way_of_the_password_is_named),     NODE(what_is_not_there_is_refused),
        NODE(a_damaged_store_is_named_with_its_remedy),
    };
    return cmocka_run_group_tests_name("offline", tests, NULL, NULL);
}
