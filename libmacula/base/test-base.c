#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mac-base.h"
#include "base/mac-problem.h"
#include "base/mac-program.h"

static void utf8_accepts_what_rfc_3629_does(void **state) {
    (void)state;
    assert_true(mac_utf8_valid("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10));
    assert_true(mac_utf8_valid("", 0));
    static const char *bad[] = {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80",
                                "\xe2\x82", "\xff",         "\xe0\x80\xaf"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++)
        assert_false(mac_utf8_valid(bad[i], strlen(bad[i])));
    assert_false(mac_utf8_valid("a\0b", 3));
}

static void buffer_grows_and_is_taken(void **state) {
    (void)state;
    mac_buffer buffer = {0};
    for (unsigned i = 0; i < 1000; i++)
        mac_buffer_printf(&buffer, "%u,", i);
    assert_int_equal(buffer.length, strlen(buffer.data));
    mac_autofree char *text = mac_buffer_take(&buffer);
    assert_true(mac_ends_with(text, "998,999,"));
    assert_null(buffer.data);
    mac_autofree char *empty = mac_buffer_take(&buffer);
    assert_string_equal(empty, "");
}

static void problems_are_bounded_and_counted(void **state) {
    (void)state;
    mac_problems *problems = mac_problems_new();
    mac_place place = {"a.yaml", 3, 7};
    for (unsigned i = 0; i < MAC_PROBLEMS_MAX + 10; i++)
        mac_problems_add(problems, MAC_PROBLEM_ERROR, &place, "hostname", "wrong %u", i);
    assert_int_equal(mac_problems_errors(problems), MAC_PROBLEMS_MAX + 10);
    assert_int_equal(mac_problems_count(problems), MAC_PROBLEMS_MAX);
    mac_autofree char *first = mac_problem_format(mac_problems_get(problems, 0));
    assert_string_equal(first, "a.yaml:3:7: hostname: wrong 0");
    assert_string_equal(mac_problems_get(problems, MAC_PROBLEMS_MAX - 1)->message, "and 11 more problems");

    mac_autoptr(mac_error) error = mac_error_from_problems(problems);
    Macula__V1__Error *wire = mac_error_to_wire(error);
    mac_autoptr(mac_error) back = mac_error_from_wire(wire);
    assert_string_equal(back->message, error->message);
    assert_int_equal(mac_problems_count(back->problems), MAC_PROBLEMS_MAX);
    macula__v1__error__free_unpacked(wire, NULL);
}

static void every_code_has_an_exit_code(void **state) {
    (void)state;
    for (unsigned i = 0; i < macula__v1__error_code__descriptor.n_values; i++) {
        Macula__V1__ErrorCode code = (Macula__V1__ErrorCode)macula__v1__error_code__descriptor.values[i].value;
        assert_string_equal(mac_error_name(code), macula__v1__error_code__descriptor.values[i].name);
    }
    assert_int_equal(mac_error_exit(MACULA__V1__ERROR_CODE__ROLLED_BACK), 9);
    mac_autoptr(mac_error) full = mac_error_from_errno(-ENOSPC, "writing x");
    assert_int_equal(full->code, MACULA__V1__ERROR_CODE__EXHAUSTED);
}

/* Makes ROOT/PATH an executable file or, without a name at its end, a directory; its parents too. */
static void put(const char *root, const char *path, bool directory) {
    mac_autofree char *command =
        mac_asprintf(directory ? "mkdir -p %s/%s" : "install -D -m 755 /dev/null %s/%s", root, path);
    assert_int_equal(system(command), 0);
}

/* What this program, copied to ROOT/PLACE, finds: MACULA_TEST_FIND asks it to say so. Caller frees. */
static char *finds(const char *root, const char *place) {
    /* Not /proc/self/exe: under valgrind that is valgrind. */
    mac_autofree char *self = realpath(program_invocation_name, NULL);
    assert_non_null(self);
    mac_autofree char *command =
        mac_asprintf("install -D %s %s/%s && MACULA_TEST_FIND=1 %s/%s", self, root, place, root, place);
    FILE *said = popen(command, "r");
    char text[1024] = "";
    assert_non_null(said);
    assert_true(fread(text, 1, sizeof text - 1, said) > 0);
    assert_int_equal(pclose(said), 0);
    return mac_strdup(text);
}

static void assert_escaped(const char *text, size_t length, const char *expected) {
    mac_autobuffer out = {0};
    mac_buffer_escaped(&out, text, length);
    assert_string_equal(out.data, expected);
}

static void what_could_command_a_terminal_is_escaped(void **state) {
    (void)state;
    assert_escaped("a\n\r\t\x1b[2J\x7f", 9, "a\\n\\r\\t\\x1b[2J\\x7f");
    assert_escaped("\xc2\x9b\xc2\xa0\xc3\xa9", 6, "\\xc2\\x9b\xc2\xa0\xc3\xa9");
    assert_escaped("\xe2\x80\xae\xe2\x80\xa8\xe2\x81\xa6\xe2\x80\xa6", 12,
                   "\\xe2\\x80\\xae\\xe2\\x80\\xa8\\xe2\\x81\\xa6\xe2\x80\xa6");
    assert_escaped("\xff\xe2\x80", 3, "\\xff\\xe2\\x80");
    assert_escaped("a\0b", 3, "a\\x00b");
    assert_true(mac_is_printable("J\xc3\xb6rg \xe2\x82\xac"));
    assert_true(mac_is_printable(""));
    assert_false(mac_is_printable("a\nb"));
    assert_false(mac_is_printable("a\xc2"));
}

static void assert_hidden(const char *text, const char *expected) {
    mac_autofree char *hidden = mac_hide_logins(text);
    assert_string_equal(hidden, expected);
}

static void logins_of_urls_are_hidden(void **state) {
    (void)state;
    assert_hidden("https://anna:pw@host:1/a?b#c", "https://********@host:1/a?b#c");
    assert_hidden("https://anna@host", "https://********@host");
    assert_hidden("https://a@b:p@host/x", "https://********@host/x");
    assert_hidden("https://host/@scope/a@1", "https://host/@scope/a@1");
    assert_hidden("from nats://a:b@c, then http://d@e", "from nats://********@c, then http://********@e");
    assert_hidden("", "");
    assert_hidden("anna@host", "anna@host");
    assert_hidden("x://", "x://");
    assert_hidden("x://@", "x://********@");
}

static void the_suite_finds_its_parts_where_it_stands(void **state) {
    (void)state;
    char root[] = "/tmp/base-XXXXXX";
    assert_non_null(mkdtemp(root));
    unsetenv("MACULA_LIBEXEC");
    mac_autofree char *alone = finds(root, "build/bin/tool");
    assert_non_null(strstr(alone, "/build/bin/part -"));
    put(root, "build/units", true);
    mac_autofree char *built = finds(root, "build/bin/tool");
    assert_non_null(strstr(built, "/build/bin/../units"));
    put(root, "usr/libexec/macula/part", false);
    put(root, "usr/lib/macula/units", true);
    mac_autofree char *tool = finds(root, "usr/bin/tool");
    assert_non_null(strstr(tool, "/usr/bin/../libexec/macula/part "));
    assert_non_null(strstr(tool, "/usr/bin/../lib/macula/units"));
    mac_autofree char *service = finds(root, "usr/libexec/macula/service");
    assert_non_null(strstr(service, "/usr/libexec/macula/part "));
    assert_non_null(strstr(service, "/usr/libexec/macula/../../lib/macula/units"));
    mac_autofree char *remove = mac_asprintf("rm -rf %s", root);
    assert_int_equal(system(remove), 0);
}

static int say_what_is_found(void) {
    mac_autofree char *part = mac_program_find("part"), *units = mac_program_units();
    printf("%s %s\n", part, units ? units : "-");
    return 0;
}

int main(void) {
    if (getenv("MACULA_TEST_FIND"))
        return say_what_is_found();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_accepts_what_rfc_3629_does),
        cmocka_unit_test(buffer_grows_and_is_taken),
        cmocka_unit_test(problems_are_bounded_and_counted),
        cmocka_unit_test(every_code_has_an_exit_code),
        cmocka_unit_test(the_suite_finds_its_parts_where_it_stands),
        cmocka_unit_test(what_could_command_a_terminal_is_escaped),
        cmocka_unit_test(logins_of_urls_are_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
