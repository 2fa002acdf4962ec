#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test-codec-support.h"

static const ProtobufCFieldDescriptor *field(const ProtobufCMessageDescriptor *type, const char *name) {
    const ProtobufCFieldDescriptor *found = protobuf_c_message_descriptor_get_field_by_name(type, name);
    assert_non_null(found);
    return found;
}

static void rules_are_found_by_field(void **state) {
    (void)state;
    mac_schema_add_table(&test_codec_schema_table);
    mac_schema_add_table(&test_codec_schema_table);
    const Macula__V1__FieldRule *rule = mac_schema_rule(CONFIG, field(CONFIG, "hostname"));
    assert_int_equal(rule->format, MACULA__V1__FIELD_RULE__FORMAT__hostname);
    assert_true(rule->has_template_ && rule->template_);
    assert_int_equal(rule->n_alias, 2);
    assert_string_equal(rule->alias[0], "host_name");
    assert_int_equal(rule->n_phase, 2);
    assert_int_equal(rule->phase[1], MACULA__V1__FIELD_RULE__PHASE__runtime);
    assert_string_equal(rule->service, "confd");
    assert_null(rule->example);
    assert_int_equal(mac_schema_rule(CONFIG, field(CONFIG, "offset"))->min, -10);
    assert_int_equal(
        mac_schema_rule(&macula__test__interface__descriptor, field(&macula__test__interface__descriptor, "mtu"))->max,
        9000);
}

static void a_field_without_a_rule_has_an_empty_one(void **state) {
    (void)state;
    assert_false(mac_schema_rule(CONFIG, field(CONFIG, "enabled"))->has_format);
    assert_int_equal(mac_schema_rule(EVERYTHING, field(EVERYTHING, "text"))->n_alias, 0);
}

/* Every message that has a rule is found though only one of 64 slots of the cache holds it. */
static void the_suite_s_own_rules_are_linked_in(void **state) {
    (void)state;
    assert_true(macula_schema_table.count > 0);
    for (size_t i = 1; i < macula_schema_table.count; i++)
        assert_true(strcmp(macula_schema_table.messages[i - 1].name, macula_schema_table.messages[i].name) < 0);
}

static void service_and_phase_are_inherited_downwards(void **state) {
    (void)state;
    size_t count;
    assert_string_equal(mac_schema_service(CONFIG, "hostname"), "confd");
    assert_string_equal(mac_schema_service(CONFIG, "network"), "netd");
    assert_string_equal(mac_schema_service(CONFIG, "network.dhcp"), "netd");
    assert_string_equal(mac_schema_service(CONFIG, "network.interfaces.eth0.addresses[0]"), "netd");
    assert_string_equal(mac_schema_service(CONFIG, "network.interfaces.eth0.mtu"), "linkd");
    assert_string_equal(mac_schema_service(CONFIG, "network.interfaces[\"eth0.1\"].mtu"), "linkd");
    assert_string_equal(mac_schema_service(CONFIG, "users[2].name"), "confd");
    assert_null(mac_schema_service(CONFIG, "port"));
    assert_null(mac_schema_service(CONFIG, "nonsense"));
    assert_null(mac_schema_service(CONFIG, ""));
    assert_int_equal(mac_schema_phases(CONFIG, "hostname", &count)[0], MACULA__V1__FIELD_RULE__PHASE__boot);
    assert_int_equal(count, 2);
    assert_int_equal(mac_schema_phases(CONFIG, "network.dhcp", &count)[0], MACULA__V1__FIELD_RULE__PHASE__runtime);
    assert_int_equal(mac_schema_phases(CONFIG, "network.interfaces.a.mtu", &count)[0],
                     MACULA__V1__FIELD_RULE__PHASE__initrd);
    assert_null(mac_schema_phases(CONFIG, "port", &count));
    assert_int_equal(count, 0);
}

static void comments_are_those_of_the_file(void **state) {
    (void)state;
    mac_schema_add_comments(&test_codec_schema_comments);
    assert_string_equal(mac_schema_message_comment(EVERYTHING), "One field of every type.");
    assert_string_equal(mac_schema_field_comment(CONFIG, field(CONFIG, "hostname")), "Name of the node.");
    assert_null(mac_schema_field_comment(CONFIG, field(CONFIG, "port")));
    assert_string_equal(mac_schema_field_example(CONFIG, field(CONFIG, "hostname")), "edge-7");
    assert_null(mac_schema_field_example(CONFIG, field(CONFIG, "port")));
    assert_string_equal(mac_schema_value_comment(&macula__test__everything__color__descriptor, "infra"), "below zero");
    assert_string_equal(mac_schema_value_comment(&macula__test__strategy__descriptor, "blue_green"), "two of them");
    assert_null(mac_schema_enum_comment(&macula__test__strategy__descriptor));
    assert_string_equal(mac_schema_service_comment(&macula__test__probe__descriptor), "Reads.");
    assert_string_equal(mac_schema_method_comment(&macula__test__probe__descriptor, "Status"), "What it knows.");
    assert_string_equal(test_codec_schema_comments.comments[0].name, "macula.test.Everything");
    assert_non_null(mac_schema_comment_find(&macula_schema_comments, "macula.v1.Document.hostname"));
}

/* Texts that fit and, behind NULL, texts that do not. */
static const struct {
    Macula__V1__FieldRule__Format format;
    const char *texts[32];
} formats[] = {
#define F(name) MACULA__V1__FIELD_RULE__FORMAT__##name
    {F(text), {"", "a b\n", NULL}},
    {F(hostname),
     {"a", "edge-7", "7", "localhost-7", NULL, "localhost", "LocalHost", "localhost.localdomain", "a.localhost",
      "1.2.3.4", "", "-a", "a-", "a_b", "a.b", "a b", "ü",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},
    {F(domain), {"a", "node.example.org", "1a.b", NULL, "", ".", "a.", ".a", "a..b", "-a.b", "10.0.0.1", "a_b.c"}},
    {F(duration), {"30", "0", "30s", "5m",  "2h", "7d",  "2w",  "250ms",      "1.5h",         NULL,
                   "",   "s", "-5s", "5 s", "5S", "1e3", "5.s", "1.2345678s", "99999999999d", "18446744073709551616"}},
    {F(size),
     {"0",
      "512",
      "100M",
      "4G",
      "4GiB",
      "10MB",
      "1.5T",
      "100k",
      "7B",
      NULL,
      "",
      "M",
      "-1",
      "4X",
      "4GG",
      "1.5",
      "4 G",
      "16777216T",
      "9223372036854775808",
      "00000000000000000000000000000001M"}},
    {F(percent), {"0", "0%", "90%", "99.5%", "100%", NULL, "", "%", "101%", "100.1%", "-1%", "9 %"}},
    {F(ip), {"10.0.0.1", "::1", "2001:db8::1", NULL, "", "10.0.0", "10.0.0.256", "010.0.0.1", "::1%lo", "1:2"}},
    {F(cidr),
     {"10.0.0.1/24", "0.0.0.0/0", "2001:db8::/128", NULL, "", "10.0.0.1", "10.0.0.1/33", "10.0.0.1/", "::/129",
      "10.0.0.1/024", "10.0.0.1/-1", "/24"}},
    {F(host_port),
     {"a:1", "node.example.org:443", "[::1]:65535", "10.0.0.1:80", NULL, "", "a", ":80", "a:0", "a:65536", "::1:80",
      "[::1]", "[::1]80", "[10.0.0.1]:80", "a:8 0", "a:"}},
    {F(url),
     {"https://a.b/c?d#e", "github://OWNER/REPO", "file:///etc/x", "http://[::1]:80/", "s3://b", "http://u@h/", NULL,
      "", "a", "http://", "://a", "http:///x", "http://a b", "http://ä", "1x://a", "http://a:99999/", "http://a\"b"}},
    {F(https_url), {"https://a", NULL, "http://a", "https://", "HTTPS://a", "https:///x"}},
    {F(path), {"/", "/a", "/a/b.c/", "/...", "/a//b", "/.a", NULL, "", "a", "./a", "/a/../b", "/.", "/a/.", "/.."}},
    {F(mode), {"644", "0644", "7777", NULL, "", "64", "0o644", "888", "00644", "rwx"}},
    {F(cron), {"0 3 * * *",   "*/5 0-6,22 1 jan-mar mon",
               "@daily",      "0 0 * * 7",
               "0  3 * * *",  "59 23 31 12 sun",
               NULL,          "",
               "* * * *",     "* * * * * *",
               "60 * * * *",  "* 24 * * *",
               "* * 0 * *",   "* * * 13 *",
               "@never",      "5/2 * * * *",
               "6-5 * * * *", "*/0 * * * *",
               "a * * * *",   "1, * * * *",
               " 0 3 * * *",  "0 3 * * * "}},
    {F(interface_name),
     {"eth0", "eth0.100", "wl-p2", "abcdefghijklmno", NULL, "", ".", "..", "a/b", "a b", "a:0", "abcdefghijklmnop",
      "ä"}},
    {F(timezone),
     {"UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+1", NULL, "", "/etc", "Europe/", "../x", "a/b/c/d",
      "a b", "Europe/../x"}},
    {F(locale), {"C", "en_US.UTF-8", "sr_RS@latin", NULL, "", "a b", "../x", "_a", "a/b"}},
    {F(keymap), {"us", "de-latin1", "ru_win", NULL, "", "a b", "../x", "a/b", "-a"}},
    {F(sysctl_key),
     {"net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/forwarding", "kernel.printk", NULL, "", "kernel", "a..b", "a.", ".a",
      "a b.c", "../a", "a/../b"}},
    {F(module_name), {"br_netfilter", "8021q", "snd-hda", NULL, "", "-a", "a b", "a/b", "a.ko"}},
    {F(label_key), {"region", "example.org/region", "a.b_c-d", NULL, "", "-a", "a/", "/a", "a/b/c", "a b", "_/a"}},
    {F(label_value),
     {"", "eu-1", "A.b_c", NULL, "-a", "a-", "a b", "a/b",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},
    {F(env_name), {"A", "_a1", "HTTP_PROXY", NULL, "", "1a", "a-b", "a=b", "a b"}},
    {F(user_name), {"root", "_a", "a-1", NULL, "", "Root", "1a", "-a", "a.b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},
    {F(ssh_key),
     {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8G me@here", "github:octocat", "https://a.b/keys",
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8G", NULL, "", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIJ8G", "github:",
      "github:a/b", "http://a.b", "ssh-ed25519", "ssh-ed25519 !", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8G\nx"}},
    {F(realm), {"io.macula", "a", "a-1.b", NULL, "", "Io.macula", "a..b", "a.*", ">", "a.", "a b", "a_b"}},
    {F(identifier),
     {"a", "A.b-c_1", NULL, "", "-a", ".a", "a b", "ä",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},
    {F(device), {"/dev/sda", "/dev/disk/by-id/x", NULL, "", "/dev/", "sda", "/dev/../etc", "/etc"}},
    {F(owner), {"root", "root:adm", "1000", "1000:1000", "a:0", NULL, "", ":", "a:", ":a", "A", "a:b:c", "-1"}},
    {F(host), {"a.b", "::1", "10.0.0.1", NULL, "", "10.0.0.256", "a b", "a:1"}},
    {F(endpoint), {"a", "a:1", "[::1]:1", "::1", "nats://a:4222", NULL, "", "a b", "a:b", "://"}},
    {F(ports), {"443", "8000-8100", "1-1", NULL, "", "0", "65536", "5-4", "-5", "5-", "a", "1-2-3"}},
    {F(window),
     {"02:00-05:00", "Sat 22:00-Sun 04:00", "Mon-Fri 01:30-04:00", "sun 00:00-24:00", NULL, "", "2:00-5:00",
      "25:00-26:00", "02:60-03:00", "02:00", "Sat 22:00", "Xyz 01:00-02:00", "02:00-05:00 ", "24:00-01:00",
      "Mon-Fri 22:00-Sat 01:00", "02:00-24:30"}},
    {F(mac),
     {"52:54:00:12:34:56", "aA:bB:cC:dD:eE:fF", NULL, "", "52-54-00-12-34-56", "52:54:00:12:34", "52:54:00:12:34:5g"}},
    {F(taint),
     {"k:NoSchedule", "a.b/k=v:NoExecute", "k=:PreferNoSchedule", NULL, "", "k", "k:no", ":NoSchedule",
      "k=a b:NoExecute", "=v:NoExecute"}},
    {F(key32),
     {"YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU=", NULL, "", "YWJj", "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU",
      "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzND!="}},
    {F(user_nkey),
     {"UCBK755YTW4SFF7E54ED2FKN5W3E4GBA4QKFR6TWAPCGBGCOAEFS4UM5",
      "UAHMSXTJP5XPI72WD5LIG4R2FVRTZNTTYH7H5L4ADXJSKLM4ITNS3A2O", NULL, "",
      "UCBK755YTW4SFF7E54ED2FKN5W3E4GBA4QKFR6TWAPCGBGCOAEFS4UM4",
      "UCBK755YTW4SFF7E54ED2FKN5W3E4GBA4QKFR6TWAPCGBGCOAEFS4UM",
      "ucbk755ytw4sff7e54ed2fkn5w3e4gba4qkfr6twapcgbgcoaefs4um5",
      "ACBK755YTW4SFF7E54ED2FKN5W3E4GBA4QKFR6TWAPCGBGCOAEFS4UM5",
      "UCBK755YTW4SFF7E54ED2FKN5W3E4GBA4QKFR6TWAPCGBGCOAEFS4UM\n"}},
    {F(disk),
     {"/dev/sda", "/dev/disk/by-id/x", "vda", "nvme0n1", "S1234X", "WD-WX 12/3", NULL, "", "/dev/", "/etc",
      "/dev/../etc", " vda", "vda ", "v\nda", "vd\xc3\xa4"}},
#undef F
};

static void every_format_takes_what_fits_and_nothing_else(void **state) {
    (void)state;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(formats); i++) {
        bool fits = true;
        assert_int_equal(formats[i].format, i); /* none is left out */
        for (size_t j = 0; j < MAC_ARRAY_SIZE(formats[i].texts); j++) {
            const char *text = formats[i].texts[j];
            if (!text && !fits)
                break;
            if (!text) {
                fits = false;
                continue;
            }
            if ((mac_format_check(formats[i].format, text) == NULL) != fits)
                fail_msg("format %zu: \"%s\" should %sfit", i, text, fits ? "" : "not ");
        }
    }
    assert_int_equal(MAC_ARRAY_SIZE(formats), macula__v1__field_rule__format__descriptor.n_values);
    assert_non_null(mac_format_check((Macula__V1__FieldRule__Format)999, "x"));
}

static uint64_t duration(const char *text) {
    uint64_t ms = UINT64_MAX;
    assert_int_equal(mac_value_duration(text, &ms), 0);
    return ms;
}

static uint64_t size(const char *text) {
    uint64_t bytes = UINT64_MAX;
    assert_int_equal(mac_value_size(text, &bytes), 0);
    return bytes;
}

static void values_are_what_the_text_says(void **state) {
    (void)state;
    double percent;
    uint64_t untouched = 42;
    assert_int_equal(duration("30"), 30000);
    assert_int_equal(duration("250ms"), 250);
    assert_int_equal(duration("1.5h"), 5400000);
    assert_int_equal(duration("0.001s"), 1);
    assert_int_equal(duration("7d"), 604800000);
    assert_int_equal(size("512"), 512);
    assert_int_equal(size("1K"), 1024);
    assert_int_equal(size("1.5k"), 1536);
    assert_int_equal(size("4GiB"), UINT64_C(4) << 30);
    assert_int_equal(size("8191P"), UINT64_C(8191) << 50);
    assert_int_equal(size("9223372036854775807"), INT64_MAX);
    assert_int_equal(mac_value_percent("99.5%", &percent), 0);
    assert_true(percent > 99.4 && percent < 99.6);
    assert_int_equal(mac_value_size("8192P", &untouched), -22);
    assert_int_equal(mac_value_duration("no", &untouched), -22);
    assert_int_equal(untouched, 42);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_found_by_field),
        cmocka_unit_test(a_field_without_a_rule_has_an_empty_one),
        cmocka_unit_test(the_suite_s_own_rules_are_linked_in),
        cmocka_unit_test(service_and_phase_are_inherited_downwards),
        cmocka_unit_test(comments_are_those_of_the_file),
        cmocka_unit_test(every_format_takes_what_fits_and_nothing_else),
        cmocka_unit_test(values_are_what_the_text_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
