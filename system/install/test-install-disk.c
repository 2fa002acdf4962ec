/* What lsblk says of machines, made up and real: which disks can be installed to, why not, and which one a name means.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "install-disk.h"

#define GIB (1ull << 30)

static const char machine[] =
    "{\"blockdevices\":["
    "{\"name\":\"zram0\",\"path\":\"/dev/zram0\",\"type\":\"disk\",\"size\":8589934592},"
    "{\"name\":\"sr0\",\"path\":\"/dev/sr0\",\"type\":\"rom\",\"size\":99999999999,\"mountpoints\":[\"/run/live\"]},"
    "{\"name\":\"sda\",\"path\":\"/dev/sda\",\"type\":\"disk\",\"size\":64000000000,\"model\":\"Stick "
    "\\u001b[2J\",\"serial\":\"S1\","
    "\"ro\":false,\"log-sec\":512,\"mountpoints\":[\"/run/live\"]},"
    "{\"name\":\"sdb\",\"path\":\"/dev/"
    "sdb\",\"type\":\"disk\",\"size\":64000000000,\"serial\":\"S2\",\"ro\":false,\"log-sec\":512,"
    "\"mountpoints\":[null],\"pttype\":\"gpt\",\"children\":[{\"name\":\"sdb1\",\"path\":\"/dev/"
    "sdb1\",\"type\":\"part\","
    "\"size\":1073741824,\"fstype\":\"ext4\",\"partlabel\":\"photos\",\"mountpoints\":[null],\"children\":["
    "{\"name\":\"dm-0\",\"path\":\"/dev/dm-0\",\"type\":\"crypt\",\"size\":1,\"mountpoints\":[\"/home\"]}]}]},"
    "{\"name\":\"sdc\",\"path\":\"/dev/"
    "sdc\",\"type\":\"disk\",\"size\":64000000000,\"serial\":\"S2\",\"ro\":true,\"log-sec\":512},"
    "{\"name\":\"sdd\",\"path\":\"/dev/sdd\",\"type\":\"disk\",\"size\":1073741824,\"ro\":false,\"log-sec\":512},"
    "{\"name\":\"sde\",\"path\":\"/dev/sde\",\"type\":\"disk\",\"size\":64000000000,\"ro\":false,\"log-sec\":4096},"
    "{\"name\":\"vda\",\"path\":\"/dev/"
    "vda\",\"type\":\"disk\",\"size\":64000000000,\"ro\":false,\"log-sec\":512,\"children\":["
    "{\"name\":\"vda1\",\"path\":\"/dev/"
    "vda1\",\"type\":\"part\",\"size\":1073741824,\"fstype\":\"ntfs\",\"label\":\"C\"}]}"
    "]}";

static install_disks parse(const char *json) {
    install_disks disks = {0};
    assert_null(install_disks_parse(json, 2 * GIB, "/dev/sda", &disks));
    return disks;
}

static const install_disk *named(const install_disks *disks, const char *name) {
    for (size_t i = 0; i < disks->count; i++)
        if (strcmp(disks->items[i].name, name) == 0)
            return &disks->items[i];
    return NULL;
}

static void each_reason_against_a_disk_is_said(void **state) {
    (void)state;
    install_autodisks disks = parse(machine);
    assert_int_equal(disks.count, 6);
    assert_string_equal(named(&disks, "sda")->refusal, "this installer runs from it");
    assert_string_equal(named(&disks, "sdb")->refusal, "it is in use: mounted at /home");
    assert_string_equal(named(&disks, "sdc")->refusal, "it is write-protected");
    assert_string_equal(named(&disks, "sdd")->refusal, "it is too small: 2.0 GiB needed, 1.0 GiB there");
    assert_non_null(strstr(named(&disks, "sde")->refusal, "4096"));
    assert_null(named(&disks, "vda")->refusal);
}

static void what_is_on_a_disk_is_said_without_control_characters(void **state) {
    (void)state;
    install_autodisks disks = parse(machine);
    assert_string_equal(named(&disks, "sda")->model, "Stick ?[2J");
    assert_string_equal(named(&disks, "vda")->holds, "C ntfs 1.0 GiB");
    assert_string_equal(named(&disks, "sdb")->holds, "photos ext4 1.0 GiB");
    assert_null(named(&disks, "sdd")->holds);
}

static void expect_refusal(const install_disks *disks, const char *text, const char *why) {
    const install_disk *disk = NULL;
    mac_autoptr(mac_error) error = install_disks_find(disks, text, &disk);
    assert_non_null(error);
    if (!strstr(error->message, why))
        fail_msg("%s: %s", text, error->message);
    assert_null(disk);
}

static void a_name_means_one_disk_or_is_refused(void **state) {
    (void)state;
    install_autodisks disks = parse(machine);
    const install_disk *disk = NULL;
    assert_null(install_disks_find(&disks, "vda", &disk));
    assert_string_equal(disk->path, "/dev/vda");
    expect_refusal(&disks, "S2", "means both /dev/sdb and /dev/sdc");
    expect_refusal(&disks, "S1", "this installer runs from it");
    expect_refusal(&disks, "sdd", "too small");
    expect_refusal(&disks, "sdz", "there is no disk sdz; there are: /dev/sda");
    expect_refusal(&disks, "", "there is no disk");
}

static void auto_means_the_only_one_that_can_be_used(void **state) {
    (void)state;
    install_autodisks disks = parse(machine);
    const install_disk *disk = NULL;
    assert_null(install_disks_find(&disks, "auto", &disk));
    assert_string_equal(disk->name, "vda");
    free(disks.items[5].refusal);
    disks.items[5].refusal = mac_strdup("it is old");
    expect_refusal(&disks, "auto", "no disk can be installed to");
    for (size_t i = 3; i < 6; i++) {
        free(disks.items[i].refusal);
        disks.items[i].refusal = NULL;
    }
    expect_refusal(&disks, "auto", "more than one");
}

static void the_medium_with_the_configuration_is_not_installed_to(void **state) {
    (void)state;
    install_autodisks disks =
        parse("{\"blockdevices\":["
              "{\"name\":\"sda\",\"path\":\"/dev/sda\",\"type\":\"disk\",\"size\":64000000000,\"fstype\":\"vfat\","
              "\"label\":\"MACULA-CONF\"},"
              "{\"name\":\"sdb\",\"path\":\"/dev/sdb\",\"type\":\"disk\",\"size\":64000000000,\"fstype\":\"vfat\","
              "\"label\":\"MACULA-CONF\"},"
              "{\"name\":\"sdc\",\"path\":\"/dev/sdc\",\"type\":\"disk\",\"size\":64000000000,\"children\":["
              "{\"name\":\"sdc1\",\"path\":\"/dev/sdc1\",\"type\":\"part\",\"size\":64000000,\"fstype\":\"vfat\","
              "\"label\":\"MACULA-CONF\"}]},"
              "{\"name\":\"sdd\",\"path\":\"/dev/sdd\",\"type\":\"disk\",\"size\":1073741824}]}");
    for (size_t i = 1; i < 3; i++)
        assert_string_equal(disks.items[i].refusal, "it holds the configuration for new nodes (label MACULA-CONF)");
    expect_refusal(&disks, "sdb", "the configuration for new nodes");
    expect_refusal(&disks, "sdc", "the configuration for new nodes");
    expect_refusal(&disks, "auto", "no disk can be installed to");
}

static void a_machine_without_disks_has_an_empty_list(void **state) {
    (void)state;
    install_autodisks disks = parse("{\"blockdevices\":[]}");
    assert_int_equal(disks.count, 0);
    expect_refusal(&disks, "auto", "there are: none");
}

static void what_is_no_list_is_an_error(void **state) {
    (void)state;
    install_disks disks = {0};
    static const char *const texts[] = {"", "{}", "[]", "{\"blockdevices\":3}"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(texts); i++) {
        mac_autoptr(mac_error) error = install_disks_parse(texts[i], 0, NULL, &disks);
        assert_non_null(error);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reason_against_a_disk_is_said),
        cmocka_unit_test(what_is_on_a_disk_is_said_without_control_characters),
        cmocka_unit_test(a_name_means_one_disk_or_is_refused),
        cmocka_unit_test(auto_means_the_only_one_that_can_be_used),
        cmocka_unit_test(the_medium_with_the_configuration_is_not_installed_to),
        cmocka_unit_test(a_machine_without_disks_has_an_empty_list),
        cmocka_unit_test(what_is_no_list_is_an_error),
    };
    return cmocka_run_group_tests_name("install-disk", tests, NULL, NULL);
}
