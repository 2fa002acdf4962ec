#include <string.h>

#include "confd-cmdline.h"
#include "test-confd-box.h"

static json_t *parse(const char *text, char **ret_problems) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    json_t *patch = confd_cmdline_parse(text, strlen(text), problems);
    assert_int_equal(mac_problems_errors(problems), 0); /* never fatal */
    if (ret_problems)
        *ret_problems = mac_problems_format(problems);
    else if (mac_problems_count(problems)) {
        mac_autofree char *lines = mac_problems_format(problems);
        fail_msg("%s", lines);
    }
    return patch;
}

static void a_repeated_key_is_a_list(void **state) {
    (void)state;
    mac_autoptr(json_t) patch =
        parse("quiet maculaos.dns_nameservers=1.1.1.1 root=/dev/sda maculaos.dns_nameserver=9.9.9.9", NULL);
    assert_value(patch, "maculaos.dns_nameservers", "[\"1.1.1.1\",\"9.9.9.9\"]");
}

static void one_of_a_list_is_a_list(void **state) {
    (void)state;
    mac_autoptr(json_t) patch = parse("maculaos.modules=overlay maculaos.run_cmd=\"echo a  b\"", NULL);
    assert_value(patch, "maculaos.modules", "[\"overlay\"]");
    assert_value(patch, "run_cmd", "[{\"command\":\"echo a  b\"}]");
}

static void brackets_name_an_entry_of_a_map(void **state) {
    (void)state;
    mac_autoptr(json_t) patch =
        parse("maculaos.sysctl[kernel.printk]=\"4 4 1 7\" maculaos.sysctls[net.ipv4.ip_forward]=1", NULL);
    assert_value(patch, "maculaos.sysctls", "{\"kernel.printk\":\"4 4 1 7\",\"net.ipv4.ip_forward\":\"1\"}");
}

static void quotes_may_stand_around_the_whole_option(void **state) {
    (void)state;
    mac_autoptr(json_t) patch = parse("\"maculaos.sysctl[kernel.printk]=4 4 1 7\"", NULL);
    assert_value(patch, "maculaos.sysctls", "{\"kernel.printk\":\"4 4 1 7\"}");
}

static void backslashes_of_the_boot_loader_are_taken_away(void **state) {
    (void)state;
    mac_autoptr(json_t) patch =
        parse("maculaos.password=it\\'s \"maculaos.run_cmd=echo \\\"a b\\\" \\\\n \\d\" maculaos.keyboard=de", NULL);
    assert_value(patch, "maculaos.password", "\"it's\"");
    assert_value(patch, "run_cmd", "[{\"command\":\"echo \\\"a b\\\" \\\\n \\\\d\"}]");
    assert_value(patch, "maculaos.keyboard", "\"de\"");
    mac_autofree char *problems = NULL;
    json_decref(parse("maculaos.keyboard=\\", &problems)); /* nothing follows */
    assert_contains(problems, "maculaos.keyboard");
}

static void a_bare_boolean_is_true(void **state) {
    (void)state;
    mac_autoptr(json_t) patch = parse("maculaos.install.silent maculaos.install.no_format=false", NULL);
    assert_value(patch, "maculaos.install", "{\"no_format\":false,\"silent\":true}");
}

static void the_old_prefix_and_top_level_keys_are_read(void **state) {
    (void)state;
    mac_autoptr(json_t) patch = parse("k3os.hostname=edge-7 k3os.ntp_servers=pool.ntp.org", NULL);
    assert_value(patch, "hostname", "\"edge-7\"");
    assert_value(patch, "maculaos.ntp_servers", "[\"pool.ntp.org\"]");
}

static void a_number_becomes_what_the_key_wants(void **state) {
    (void)state;
    mac_autoptr(json_t) patch = parse("maculaos.labels[tier]=7 maculaos.network.interfaces.eth0.mtu=1400", NULL);
    assert_value(patch, "maculaos.labels", "{\"tier\":\"7\"}");
    assert_value(patch, "maculaos.network.interfaces.eth0.mtu", "1400");
}

static void mistakes_are_warnings_and_left_out(void **state) {
    (void)state;
    mac_autofree char *problems = NULL;
    mac_autoptr(json_t) patch = parse("maculaos.timezon=x maculaos.dns_nameservers=nonsense maculaos.timezone "
                                      "maculaos.keyboard=de k3os.=1 maculaos.a[=2",
                                      &problems);
    assert_value(patch, "", "{\"maculaos\":{\"keyboard\":\"de\"}}");
    assert_contains(problems, "kernel command line: warning: ");
    assert_contains(problems, "did you mean \"timezone\"");
    assert_contains(problems, "maculaos.dns_nameservers");
    assert_contains(problems, "maculaos.timezone: expected a value after =");
}

static void what_the_node_refuses_is_left_out_of_the_line(void **state) {
    (void)state;
    const char *line = "maculaos.timezone=Mars/X k3os.sysctl[net.a]=1 maculaos.sysctl[net.b]=\"2 3\" k3os.zone=1";
    mac_autoptr(mac_problems) wrong = mac_problems_new();
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_problems_add(wrong, MAC_PROBLEM_ERROR, NULL, "hostname", "it is too long");
    mac_problems_add(wrong, MAC_PROBLEM_WARNING, NULL, "maculaos.timezone", "it is far away");
    assert_null(confd_cmdline_without(line, strlen(line), wrong, problems));
    mac_problems_add(wrong, MAC_PROBLEM_ERROR, NULL, "maculaos.sysctls[net.a]", "it is odd");
    mac_problems_add(wrong, MAC_PROBLEM_ERROR, NULL, "maculaos.timezone", "there is none");
    mac_autofree char *rest = confd_cmdline_without(line, strlen(line), wrong, problems);
    assert_string_equal(rest, "maculaos.sysctl[net.b]=\"2 3\" k3os.zone=1");
    mac_autofree char *lines = mac_problems_format(problems);
    assert_contains(lines, "kernel command line: warning: maculaos.timezone: there is none; the option is ignored");
    assert_contains(lines, "kernel command line: warning: maculaos.sysctls[net.a]: it is odd; the option is ignored");
    const char *all = "maculaos.timezone=Mars/X";
    mac_autofree char *nothing = confd_cmdline_without(all, strlen(all), wrong, problems);
    assert_string_equal(nothing, "");
}

static void only_our_options_are_recorded(void **state) {
    confd_box *box = *state;
    setenv("MACULA_CMDLINE", "BOOT_IMAGE=/vmlinuz ro  maculaos.keyboard=de -- k3os.silent macula.slot=b", 1);
    mac_autofree char *text = confd_cmdline_read(box->root);
    assert_string_equal(text, "maculaos.keyboard=de k3os.silent");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repeated_key_is_a_list),
        cmocka_unit_test(one_of_a_list_is_a_list),
        cmocka_unit_test(brackets_name_an_entry_of_a_map),
        cmocka_unit_test(quotes_may_stand_around_the_whole_option),
        cmocka_unit_test(backslashes_of_the_boot_loader_are_taken_away),
        cmocka_unit_test(a_bare_boolean_is_true),
        cmocka_unit_test(the_old_prefix_and_top_level_keys_are_read),
        cmocka_unit_test(a_number_becomes_what_the_key_wants),
        cmocka_unit_test(mistakes_are_warnings_and_left_out),
        cmocka_unit_test(what_the_node_refuses_is_left_out_of_the_line),
        cmocka_unit_test_setup_teardown(only_our_options_are_recorded, box_setup, box_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
