/* Whole configuration files, as people write them, through the codec.
 *
 * valid/NAME.yaml must be accepted and survive the way through wire bytes, JSON and YAML. invalid/NAME.yaml must be
 * refused. Every line of NAME.expect (which a valid file need not have) must be among the problems, in that order;
 * "errors N" and "warnings N" there are their numbers, "never TEXT" a text that none of them may show. Run with names
 * of files to try only those; with --show FILE… to see the problems instead, with --json FILE to see the canonical
 * document. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <dirent.h>

#include "base/mac-base.h"
#include "codec/mac-codec.h"
#include "macula/v1/document.pb-c.h"

#define DOCUMENT (&macula__v1__document__descriptor)
#define FILES_MAX 200
#define FILE_BYTES_MAX (2u << 20)

static const char *directory;

static char *read_file(const char *path, size_t *ret_length) {
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s cannot be read", path);
    char *text = mac_malloc(FILE_BYTES_MAX + 1);
    *ret_length = fread(text, 1, FILE_BYTES_MAX, file);
    text[*ret_length] = '\0';
    assert_int_equal(fclose(file), 0);
    return text;
}

/* A file through parser and schema. The tree is NULL when it was refused. */
static json_t *load(const char *path, const char *name, mac_problems *problems) {
    size_t length;
    mac_autofree char *text = read_file(path, &length);
    mac_autoptr(json_t) tree = NULL;
    mac_autoptr(mac_marks) marks = NULL;
    json_t *canonical = NULL;
    int read = mac_codec_read_yaml(name, text, length, problems, &tree, &marks);
    if (read >= 0 && mac_codec_normalise(DOCUMENT, tree, marks, 0, problems, &canonical) < 0)
        read = -1;
    if (read == 0)
        return canonical;
    assert_true(mac_problems_errors(problems) > 0);
    json_decref(canonical);
    return NULL;
}

static void assert_same_tree(const json_t *expected, const json_t *actual, const char *what) {
    if (json_equal(expected, actual))
        return;
    mac_autofree char *a = json_dumps(expected, JSON_INDENT(1) | JSON_SORT_KEYS);
    mac_autofree char *b = json_dumps(actual, JSON_INDENT(1) | JSON_SORT_KEYS);
    fail_msg("%s changed the document\nexpected %s\nfound %s", what, a, b);
}

/* The tree without what cannot be told apart from absence on the wire: empty lists and maps. */
static json_t *without_empty(const json_t *tree) {
    if (json_is_array(tree)) {
        json_t *list = json_array();
        size_t index;
        json_t *item;
        json_array_foreach (tree, index, item)
            json_array_append_new(list, without_empty(item));
        return list;
    }
    if (!json_is_object(tree))
        return json_deep_copy(tree);
    json_t *object = json_object();
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)tree, key, value)
        if (!json_is_null(value) && !(json_is_array(value) && !json_array_size(value)))
            json_object_set_new(object, key, without_empty(value));
    return object;
}

/* Empty groups stay (their presence is on the wire); empty maps do not. Comparing both sides without any is enough
 * here. */
static json_t *bare(const json_t *tree) {
    mac_autoptr(json_t) out = without_empty(tree);
    if (!json_is_object(out))
        return mac_take(&out);
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe (out, next, key, value) {
        json_t *inner = bare(value);
        if (json_is_object(inner) && !json_object_size(inner)) {
            json_decref(inner);
            json_object_del(out, key);
        } else {
            json_object_set_new(out, key, inner);
        }
    }
    return mac_take(&out);
}

static void check_wire(const json_t *canonical) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    ProtobufCMessage *message = NULL;
    assert_int_equal(mac_codec_message(DOCUMENT, canonical, problems, &message), 0);
    size_t length;
    mac_autofree void *bytes = mac_codec_pack(message, &length);
    ProtobufCMessage *again = NULL;
    assert_int_equal(mac_codec_unpack(DOCUMENT, bytes, length, problems, &again), 0);
    mac_autoptr(json_t) tree = mac_codec_tree(again, 0);
    mac_autoptr(json_t) expected = bare(canonical);
    mac_autoptr(json_t) actual = bare(tree);
    assert_same_tree(expected, actual, "the way over the wire");
    protobuf_c_message_free_unpacked(message, NULL);
    protobuf_c_message_free_unpacked(again, NULL);
}

static void check_json(const json_t *canonical) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autofree char *text = json_dumps(canonical, JSON_COMPACT);
    mac_autoptr(json_t) tree = NULL;
    mac_autoptr(json_t) again = NULL;
    assert_int_equal(mac_codec_parse_json("again.json", text, strlen(text), problems, &tree), 0);
    if (mac_codec_normalise(DOCUMENT, tree, NULL, 0, problems, &again) < 0) {
        mac_autofree char *what = mac_problems_format(problems);
        fail_msg("the canonical form was refused:\n%s", what);
    }
    assert_same_tree(canonical, again, "the way through JSON");
}

static void check_yaml(const json_t *canonical) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autofree char *text = mac_codec_to_yaml(canonical, DOCUMENT);
    mac_autoptr(json_t) tree = NULL;
    mac_autoptr(mac_marks) marks = NULL;
    mac_autoptr(json_t) again = NULL;
    if (mac_codec_parse_yaml("again.yaml", text, strlen(text), problems, &tree, &marks) < 0 ||
        mac_codec_normalise(DOCUMENT, tree, marks, 0, problems, &again) < 0) {
        mac_autofree char *what = mac_problems_format(problems);
        fail_msg("our own YAML was refused:\n%s\n%s", what, text);
    }
    assert_same_tree(canonical, again, "the way through YAML");
}

/* dir/name.yaml → dir/name.expect */
static char *expect_path(const char *path) {
    mac_autofree char *stem = mac_strndup(path, strlen(path) - strlen(".yaml"));
    return mac_asprintf("%s.expect", stem);
}

static void assert_expected(const char *path, const mac_problems *problems) {
    size_t length, errors = 0;
    mac_autofree char *expect = read_file(path, &length);
    mac_autofree char *text = mac_problems_format(problems);
    const char *at = text;
    unsigned lines = 0;
    size_t warnings = SIZE_MAX;
    char *rest = NULL;
    for (char *line = strtok_r(expect, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        lines++;
        if (sscanf(line, "errors %zu", &errors) == 1)
            continue;
        if (sscanf(line, "warnings %zu", &warnings) == 1)
            continue;
        if (mac_starts_with(line, "never ")) {
            assert_null(strstr(text, line + strlen("never ")));
            continue;
        }
        const char *found = strstr(at, line);
        if (!found)
            fail_msg("expected among the problems, in this order:\n%s\nfound:\n%s", line, text);
        at = found + strlen(line);
    }
    assert_true(lines > 0);
    if (warnings != SIZE_MAX && warnings != mac_problems_count(problems) - mac_problems_errors(problems))
        fail_msg("expected %zu warnings, found:\n%s", warnings, text);
    if (errors && errors != mac_problems_errors(problems))
        fail_msg("expected %zu errors, found:\n%s", errors, text);
}

static void valid_file_is_accepted_and_survives_every_encoding(void **state) {
    mac_autofree char *path = mac_asprintf("%s/valid/%s", directory, (const char *)*state);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) canonical = load(path, *state, problems);
    mac_autofree char *text = mac_problems_format(problems);
    if (!canonical)
        fail_msg("refused:\n%s", text);
    mac_autofree char *expect = expect_path(path);
    if (access(expect, R_OK) == 0)
        assert_expected(expect, problems);
    check_wire(canonical);
    check_json(canonical);
    check_yaml(canonical);
}

static void invalid_file_is_refused_for_the_right_reason(void **state) {
    mac_autofree char *path = mac_asprintf("%s/invalid/%s", directory, (const char *)*state);
    mac_autofree char *expect = expect_path(path);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) canonical = load(path, *state, problems);
    assert_null(canonical);
    assert_expected(expect, problems);
}

static int is_yaml(const struct dirent *entry) {
    return mac_ends_with(entry->d_name, ".yaml");
}

static bool is_wanted(const char *name, int count, char **wanted) {
    for (int i = 0; i < count; i++)
        if (mac_streq(wanted[i], name))
            return true;
    return count == 0;
}

/* Adds a test for each file of a directory; names live as long as the program. */
static size_t add_tests(struct CMUnitTest *tests, size_t count, const char *kind, CMUnitTestFunction function,
                        int wanted_count, char **wanted) {
    mac_autofree char *path = mac_asprintf("%s/%s", directory, kind);
    struct dirent **entries = NULL;
    int found = scandir(path, &entries, is_yaml, alphasort);
    for (int i = 0; i < found; i++) {
        if (count < FILES_MAX && is_wanted(entries[i]->d_name, wanted_count, wanted)) {
            char *name = mac_strdup(entries[i]->d_name);
            tests[count++] = (struct CMUnitTest){mac_asprintf("%s/%s", kind, name), function, NULL, NULL, name};
        }
        free(entries[i]);
    }
    free(entries);
    return count;
}

static int show(int count, char **paths) {
    for (int i = 0; i < count; i++) {
        const char *slash = strrchr(paths[i], '/');
        mac_autoptr(mac_problems) problems = mac_problems_new();
        mac_autoptr(json_t) canonical = load(paths[i], slash ? slash + 1 : paths[i], problems);
        mac_autofree char *text = mac_problems_format(problems);
        printf("%s%s", text, canonical ? "accepted\n" : "");
    }
    return 0;
}

static int show_json(const char *path) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(json_t) canonical = load(path, path, problems);
    mac_autofree char *text = canonical ? json_dumps(canonical, JSON_COMPACT) : mac_problems_format(problems);
    puts(text);
    return canonical ? 0 : 1;
}

int main(int argc, char **argv) {
    if (argc == 3 && mac_streq(argv[1], "--json"))
        return show_json(argv[2]);
    if (argc > 1 && mac_streq(argv[1], "--show"))
        return show(argc - 2, argv + 2);
    const char *source = getenv("MACULA_SOURCE_DIR");
    mac_autofree char *path = mac_asprintf("%s/test/config", source ? source : ".");
    directory = path;
    static struct CMUnitTest tests[FILES_MAX];
    size_t count = add_tests(tests, 0, "valid", valid_file_is_accepted_and_survives_every_encoding, argc - 1, argv + 1);
    count = add_tests(tests, count, "invalid", invalid_file_is_refused_for_the_right_reason, argc - 1, argv + 1);
    if (!count) {
        fprintf(stderr, "no configuration files in %s\n", directory);
        return 1;
    }
    int failed = _cmocka_run_group_tests("configuration files", tests, count, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        free((char *)(uintptr_t)tests[i].name);
        free(tests[i].initial_state);
    }
    return failed;
}
