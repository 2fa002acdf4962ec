/* The order in which modules are given to the kernel, which is left out: `syscall` notes the file instead. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include "initrd-modules.h"

#define DIRECTORY_MAX 256

static char root[] = "/tmp/macula-test-modules-XXXXXX";
static char directory[DIRECTORY_MAX];
static char inserted[256]; /* names, each with a space behind it */
static const char *absent; /* a module that finds nothing to drive */

long __wrap_syscall(long number, int fd, const char *options, int flags);

long __wrap_syscall(long number, int fd, const char *options, int flags) {
    char link[64], path[512] = "";
    (void)options;
    assert_int_equal(number, SYS_finit_module);
    assert_int_equal(flags, 0);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    assert_true(readlink(link, path, sizeof path - 1) > 0);
    const char *name = strrchr(path, '/') + 1;
    size_t length = strlen(inserted);
    snprintf(inserted + length, sizeof inserted - length, "%.*s ", (int)strcspn(name, "."), name);
    if (!absent || strncmp(name, absent, strlen(absent)) != 0)
        return 0;
    errno = ENODEV;
    return -1;
}

static void put(const char *name, const char *text) {
    char path[DIRECTORY_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int set_up(void **state) {
    struct utsname kernel;
    (void)state;
    assert_non_null(mkdtemp(root));
    assert_int_equal(uname(&kernel), 0);
    snprintf(directory, sizeof directory, "%s/lib", root);
    mkdir(directory, 0700);
    snprintf(directory, sizeof directory, "%s/lib/modules", root);
    mkdir(directory, 0700);
    snprintf(directory, sizeof directory, "%s/lib/modules/%s", root, kernel.release);
    assert_int_equal(mkdir(directory, 0700), 0);
    const char *names[] = {"r8169", "realtek", "libphy",   "mdio-devres", "ext4", "crc-a",
                           "crc-b", "ipmi",    "ipmi-dev", "egg",         "hen"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[64];
        snprintf(file, sizeof file, "%s.ko", names[i]);
        put(file, "");
    }
    put("modules.dep",
        "r8169.ko: mdio-devres.ko libphy.ko\nrealtek.ko: libphy.ko\nlibphy.ko:\nmdio-devres.ko: libphy.ko\n"
        "ext4.ko:\ncrc-a.ko:\ncrc-b.ko:\nipmi.ko:\nipmi-dev.ko: ipmi.ko\negg.ko:\nhen.ko:\n");
    put("modules.alias", "alias pci:v000010ECd00008168* r8169\nalias crypto-crc crc_a\nalias crypto-crc crc_b\n");
    put("modules.softdep",
        "# a comment\nsoftdep r8169 pre: realtek\nsoftdep ext4 pre: crypto-crc nobody\nsoftdep ext4\n"
        "softdep ipmi post: ipmi-dev\nsoftdep egg pre: hen\nsoftdep hen pre: egg\nsoftdep cifs sha256\n");
    return 0;
}

static int take_down(void **state) {
    char command[sizeof root + 16];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

/* What is inserted, in which order, when one module is asked for. */
static const char *order_of(const char *name, int expected) {
    inserted[0] = '\0';
    initrd_modules *modules = initrd_modules_open(root);
    assert_int_equal(initrd_modules_load(modules, name, NULL), expected);
    initrd_modules_free(modules);
    return inserted;
}

static void a_soft_dependency_is_there_before_the_module(void **state) {
    (void)state;
    assert_string_equal(order_of("r8169", 0), "libphy mdio-devres realtek r8169 ");
    assert_string_equal(order_of("pci:v000010ECd00008168sv0", 0), "libphy mdio-devres realtek r8169 ");
}

static void one_that_is_an_alias_is_all_modules_of_it_and_an_unknown_one_is_none(void **state) {
    (void)state;
    assert_string_equal(order_of("ext4", 0), "crc-a crc-b ext4 ");
    absent = "crc-b";
    assert_string_equal(order_of("ext4", 0), "crc-a crc-b ext4 ");
    absent = NULL;
}

static void what_comes_after_a_module_comes_only_when_it_is_there(void **state) {
    (void)state;
    assert_string_equal(order_of("ipmi", 0), "ipmi ipmi-dev ");
    absent = "ipmi";
    assert_string_equal(order_of("ipmi", -ENODEV), "ipmi ");
    absent = NULL;
}

static void two_that_want_each_other_before_themselves_both_come(void **state) {
    (void)state;
    assert_string_equal(order_of("egg", 0), "hen egg ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_soft_dependency_is_there_before_the_module),
        cmocka_unit_test(one_that_is_an_alias_is_all_modules_of_it_and_an_unknown_one_is_none),
        cmocka_unit_test(what_comes_after_a_module_comes_only_when_it_is_there),
        cmocka_unit_test(two_that_want_each_other_before_themselves_both_come),
    };
    return cmocka_run_group_tests(tests, set_up, take_down);
}
