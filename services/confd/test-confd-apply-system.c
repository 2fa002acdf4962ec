/* hostname, timezone, keyboard, locale, environment, modules, sysctls, ntp_servers, k3s. */
#include <errno.h>
#include <string.h>

#include "test-confd-sandbox.h"

/* A map of the document. Entries live as long as the test. */
#define ENTRIES(type, list, ...)                                                                                       \
    static type list##_entries[] = {__VA_ARGS__};                                                                      \
    static type *list[MAC_ARRAY_SIZE(list##_entries)];                                                                 \
    for (size_t i_ = 0; i_ < MAC_ARRAY_SIZE(list); i_++)                                                               \
    list[i_] = &list##_entries[i_]
#define SYSCTL(name, text)                                                                                             \
    {                                                                                                                  \
        .base = PROTOBUF_C_MESSAGE_INIT(&macula__v1__maculaos_section__sysctls_entry__descriptor), .key = name,        \
        .value = text                                                                                                  \
    }
#define VARIABLE(name, text)                                                                                           \
    {                                                                                                                  \
        .base = PROTOBUF_C_MESSAGE_INIT(&macula__v1__maculaos_section__environment_entry__descriptor), .key = name,    \
        .value = text                                                                                                  \
    }

/* ---- hostname ---- */

static void hostname_from_nothing(void **state) {
    test_node *node = *state;
    put_file(node, "/proc/sys/kernel/hostname", "old\n");
    exercise(node, &confd_apply_hostname);
    assert_file(node, "/etc/hostname", "edge-7\n");
    assert_file(node, "/proc/sys/kernel/hostname", "edge-7\n");
    mac_autofree char *hosts = read_file(node, "/etc/hosts");
    assert_non_null(strstr(hosts, "127.0.0.1\tlocalhost\n"));
    assert_non_null(strstr(hosts, "127.0.1.1\tedge-7\n"));
}

static void hosts_is_left_to_whoever_writes_all_of_it(void **state) {
    test_node *node = *state;
    Macula__V1__WriteFile hosts = MACULA__V1__WRITE_FILE__INIT;
    Macula__V1__WriteFile *files[] = {&hosts};
    hosts.path = "/etc/hosts";
    node->document.write_files = files;
    node->document.n_write_files = 1;
    node->document.hostname = "edge-7";
    apply_well(node, &confd_apply_hostname);
    assert_null(read_file(node, "/etc/hosts")); /* write_files comes later */
    put_file(node, "/etc/hosts", "127.0.0.1 all.mine\n");
    node->document.hostname = "edge-8";
    exercise(node, &confd_apply_hostname);
    assert_file(node, "/etc/hosts", "127.0.0.1 all.mine\n");
    node->document.n_write_files = 0;
}

static void hostname_changes_only_its_own_line_of_hosts(void **state) {
    test_node *node = *state;
    put_file(node, "/proc/sys/kernel/hostname", "old\n");
    put_file(node, "/etc/hosts",
             "# mine\n127.0.0.1 localhost\n127.0.1.1 old old.lan\n10.0.0.1\tnas\n127.0.1.11 x\n\n"
             "127.0.1.1 twice\n::1 ip6-localhost");
    exercise(node, &confd_apply_hostname);
    assert_file(node, "/etc/hosts",
                "# mine\n127.0.0.1 localhost\n127.0.1.1\tedge-7\n10.0.0.1\tnas\n127.0.1.11 x\n\n::1 ip6-localhost\n");
}

static void hostname_drift_is_found(void **state) {
    test_node *node = *state;
    apply_well(node, &confd_apply_hostname);
    put_file(node, "/etc/hostname", "intruder\n");
    assert_true(has_finding(node, &confd_apply_hostname, "/etc/hostname"));
    assert_int_equal(count_findings(node, &confd_apply_hostname), 1);
    apply_well(node, &confd_apply_hostname);
    assert_int_equal(confd_sys_set_hostname(node->context.sys, "intruder"), 0);
    assert_true(has_finding(node, &confd_apply_hostname, "kernel"));
}

static void hostname_refuses_what_is_no_name(void **state) {
    static const char *const bad[] = {
        "a\nb", "a b", "-a",  "a-",
        "",     "a:b", "a/b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    test_node *node = *state;
    assert_true(is_accepted(node, &confd_apply_hostname));
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        node->document.hostname = (char *)(uintptr_t)bad[i];
        assert_true(is_refused(node, &confd_apply_hostname, "hostname"));
    }
}

static void hostname_survives_a_kill_at_every_file(void **state) {
    exercise_killed(*state, &confd_apply_hostname);
}

/* ---- timezone, keyboard, locale ---- */

static void timezone_links_the_zone(void **state) {
    test_node *node = *state;
    put_file(node, "/usr/share/zoneinfo/Europe/Berlin", "TZif");
    put_file(node, "/etc/localtime", "an old copy");
    node->section.timezone = "Europe/Berlin";
    assert_true(is_accepted(node, &confd_apply_timezone));
    exercise(node, &confd_apply_timezone);
    mac_autofree char *target = NULL;
    assert_int_equal(mac_fs_readlink(node->context.root, "/etc/localtime", &target), 0);
    assert_string_equal(target, "/usr/share/zoneinfo/Europe/Berlin");
    assert_file(node, "/etc/timezone", "Europe/Berlin\n");
    put_link(node, "/etc/localtime", "/usr/share/zoneinfo/UTC");
    assert_true(has_finding(node, &confd_apply_timezone, "/etc/localtime"));
}

static void timezone_without_a_database_is_a_note(void **state) {
    test_node *node = *state;
    node->section.timezone = "Mars/Olympus_Mons";
    start(node, &confd_apply_timezone);
    assert_null(node->error);
    assert_true(has_note(node, "tzdata"));
    keep(node);
    assert_no_file(node, "/etc/localtime");
    assert_int_equal(count_findings(node, &confd_apply_timezone), 0);
}

static void timezone_leads_nowhere_else(void **state) {
    static const char *const bad[] = {"../../etc/shadow", "/etc/shadow", "Europe/Berlin\nx", "", "A B"};
    test_node *node = *state;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        node->section.timezone = (char *)(uintptr_t)bad[i];
        assert_true(is_refused(node, &confd_apply_timezone, "tz database"));
    }
}

static void keyboard_keeps_the_other_lines(void **state) {
    test_node *node = *state;
    put_file(node, "/etc/default/keyboard", "# comment\nXKBMODEL=\"pc105\"\nXKBLAYOUT=us\nXKBVARIANT=\"dvorak\"\n");
    node->section.keyboard = "de-latin1-nodeadkeys";
    exercise(node, &confd_apply_keyboard);
    assert_file(node, "/etc/default/keyboard",
                "# comment\nXKBMODEL=\"pc105\"\nXKBLAYOUT=\"de\"\nXKBVARIANT=\"nodeadkeys\"\n");
    assert_file(node, "/etc/vconsole.conf", "KEYMAP=\"de-latin1-nodeadkeys\"\n");
    assert_true(mac_strings_contain(confd_sys_record_calls(node->context.sys), "run loadkeys -- de-latin1-nodeadkeys"));
    node->section.keyboard = "us";
    apply_well(node, &confd_apply_keyboard);
    assert_file(node, "/etc/default/keyboard", "# comment\nXKBMODEL=\"pc105\"\nXKBLAYOUT=\"us\"\n");
    node->section.keyboard = "us\"; reboot; \"";
    assert_true(is_refused(node, &confd_apply_keyboard, "key map"));
}

static void keyboard_is_kept_when_loadkeys_fails(void **state) {
    test_node *node = *state;
    node->section.keyboard = "fr";
    confd_sys_record_fail(node->context.sys, "run loadkeys", 1);
    start(node, &confd_apply_keyboard);
    assert_null(node->error);
    assert_true(has_note(node, "loadkeys failed"));
    keep(node);
    assert_file(node, "/etc/vconsole.conf", "KEYMAP=\"fr\"\n");
}

static void keyboard_without_loadkeys_is_a_note_but_for_us(void **state) {
    test_node *node = *state;
    confd_sys_record_fail(node->context.sys, "run loadkeys", -2);
    node->section.keyboard = "us";
    start(node, &confd_apply_keyboard);
    assert_null(node->error);
    assert_false(has_note(node, "loadkeys"));
    keep(node);
    node->section.keyboard = "fr";
    start(node, &confd_apply_keyboard);
    assert_null(node->error);
    assert_true(has_note(node, "there is no loadkeys here"));
    keep(node);
}

/* The warnings and errors of a check. Caller frees. */
static char *keyboard_problems(test_node *node, const char *layout) {
    mac_autoptr(mac_problems) problems = mac_problems_new();
    node->section.keyboard = (char *)(uintptr_t)layout;
    confd_apply_keyboard.check(&node->context, problems);
    return mac_problems_format(problems);
}

static void keyboard_is_one_of_the_images(void **state) {
    test_node *node = *state;
    mac_autofree char *nowhere = keyboard_problems(node, "zz");
    assert_null(strstr(nowhere, "zz")); /* no maps of an image: kbd knows */
    put_file(node, "/usr/share/maculaos/keymaps/de.bmap", "bkeymap");
    mac_autofree char *known = keyboard_problems(node, "de"), *unknown = keyboard_problems(node, "zz");
    assert_null(strstr(known, "key map"));
    assert_non_null(strstr(unknown, "there is no key map \"zz\""));
    assert_true(is_accepted(node, &confd_apply_keyboard));
}

static void locale_is_written_for_both_worlds(void **state) {
    test_node *node = *state;
    put_file(node, "/etc/locale.conf", "LC_TIME=C\nLANG='de_DE.UTF-8'\n");
    node->section.locale = "en_US.UTF-8";
    exercise(node, &confd_apply_locale);
    assert_file(node, "/etc/locale.conf", "LC_TIME=C\nLANG=\"en_US.UTF-8\"\n");
    assert_file(node, "/etc/default/locale", "LANG=\"en_US.UTF-8\"\n");
    node->section.locale = "en$(reboot)";
    assert_true(is_refused(node, &confd_apply_locale, "locale"));
}

/* ---- environment ---- */

static void environment_keeps_what_others_wrote(void **state) {
    test_node *node = *state;
    ENTRIES(Macula__V1__MaculaosSection__EnvironmentEntry, list, VARIABLE("NAME", "it's $HOME `x` \"q\""),
            VARIABLE("https_proxy", "http://proxy:3128"), VARIABLE("two", "a b"));
    node->section.environment = list;
    node->section.n_environment = MAC_ARRAY_SIZE(list);
    put_file(node, "/etc/environment", "PATH=/bin");
    exercise(node, &confd_apply_environment);
    mac_autofree char *pam = read_file(node, "/etc/environment");
    assert_true(mac_starts_with(pam, "PATH=/bin\n# ---"));
    assert_non_null(strstr(pam, "\nhttps_proxy=http://proxy:3128\n"));
    assert_non_null(strstr(pam, "\ntwo=\"a b\"\n"));
    mac_autofree char *command = mac_asprintf(
        ". %s/etc/profile.d/maculaos.sh; test \"$NAME\" = 'it'\\''s $HOME `x` \"q\"' && test \"$two\" = 'a b'",
        node->directory);
    assert_int_equal(system(command), 0);

    node->section.n_environment = 0;
    apply_well(node, &confd_apply_environment);
    assert_file(node, "/etc/environment", "PATH=/bin\n");
    assert_no_file(node, "/etc/profile.d/maculaos.sh");
}

static void environment_cannot_write_a_second_line(void **state) {
    test_node *node = *state;
    ENTRIES(Macula__V1__MaculaosSection__EnvironmentEntry, list, VARIABLE("A", "x\nLD_PRELOAD=/tmp/evil.so"));
    node->section.environment = list;
    node->section.n_environment = 1;
    assert_true(is_refused(node, &confd_apply_environment, "line break"));
    list[0]->value = "fine";
    assert_true(is_accepted(node, &confd_apply_environment));
    list[0]->key = "A=1;reboot;B";
    assert_true(is_refused(node, &confd_apply_environment, "names"));
}

static void environment_survives_a_kill_at_every_file(void **state) {
    test_node *node = *state;
    ENTRIES(Macula__V1__MaculaosSection__EnvironmentEntry, list, VARIABLE("A", "1"));
    node->section.environment = list;
    node->section.n_environment = 1;
    put_file(node, "/etc/environment", "B=2\n");
    exercise_killed(node, &confd_apply_environment);
}

/* ---- modules, sysctls ---- */

static void modules_are_loaded_with_parameters(void **state) {
    test_node *node = *state;
    static char *list[] = {"br-netfilter", "dummy numdummies=2", "overlay"};
    node->section.modules = list;
    node->section.n_modules = 3;
    put_file(node, "/sys/module/overlay/initstate", "live\n");
    assert_int_equal(count_findings(node, &confd_apply_modules), 2);
    apply_well(node, &confd_apply_modules);
    const mac_strings *calls = confd_sys_record_calls(node->context.sys);
    assert_int_equal(calls->count, 2);
    assert_string_equal(calls->items[0], "run modprobe -- br-netfilter");
    assert_string_equal(calls->items[1], "run modprobe -- dummy numdummies=2");
    assert_int_equal(count_findings(node, &confd_apply_modules), 0);
    apply_well(node, &confd_apply_modules);
    assert_int_equal(calls->count, 2);
}

static void a_module_that_fails_ends_a_change_but_not_a_boot(void **state) {
    test_node *node = *state;
    static char *list[] = {"nosuch", "overlay"};
    node->section.modules = list;
    node->section.n_modules = 2;
    confd_sys_record_fail(node->context.sys, "run modprobe -- nosuch", 1);
    start(node, &confd_apply_modules);
    assert_string_equal(node->error->path, "maculaos.modules[0]");
    keep(node);
    assert_true(has_finding(node, &confd_apply_modules, "overlay"));
    node->context.phase = CONFD_BOOT;
    start(node, &confd_apply_modules);
    assert_true(has_note(node, "nosuch"));
    keep(node);
    assert_false(has_finding(node, &confd_apply_modules, "overlay"));
}

static void modules_take_no_options_of_modprobe(void **state) {
    static char *const bad[] = {"-r", "--remove overlay", "overlay -C /tmp", "../x", "", "a\nb"};
    test_node *node = *state;
    static char *list[1];
    node->section.modules = list;
    node->section.n_modules = 1;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        list[0] = bad[i];
        assert_true(is_refused(node, &confd_apply_modules, "maculaos.modules[0]"));
    }
}

static void sysctls_are_set_and_come_back(void **state) {
    test_node *node = *state;
    ENTRIES(Macula__V1__MaculaosSection__SysctlsEntry, list, SYSCTL("kernel.printk", "4 4 1 7"),
            SYSCTL("net.ipv4.ip_forward", "1"), SYSCTL("net/ipv4/conf/eth0.7/forwarding", "1"));
    put_file(node, "/proc/sys/kernel/printk", "7 4 1 7\n");
    put_file(node, "/proc/sys/net/ipv4/ip_forward", "0\n");
    put_file(node, "/proc/sys/net/ipv4/conf/eth0.7/forwarding", "0\n");
    node->section.sysctls = list;
    node->section.n_sysctls = 3;
    assert_true(is_accepted(node, &confd_apply_sysctls));
    exercise(node, &confd_apply_sysctls);
    assert_file(node, "/proc/sys/kernel/printk", "4 4 1 7\n");
    assert_file(node, "/proc/sys/net/ipv4/conf/eth0.7/forwarding", "1\n");

    put_file(node, "/proc/sys/net/ipv4/ip_forward", "0\n");
    assert_true(has_finding(node, &confd_apply_sysctls, "net.ipv4.ip_forward"));
    apply_well(node, &confd_apply_sysctls);

    node->section.n_sysctls = 1; /* the others leave the document: their first values come back */
    exercise(node, &confd_apply_sysctls);
    assert_file(node, "/proc/sys/net/ipv4/ip_forward", "0\n");
    assert_file(node, "/proc/sys/kernel/printk", "4 4 1 7\n");
    put_file(node, "/proc/sys/net/ipv4/ip_forward", "2\n"); /* nobody's business any more */
    assert_int_equal(count_findings(node, &confd_apply_sysctls), 0);
}

static void sysctls_lead_nowhere_else(void **state) {
    static char *const bad[] = {"../../etc/passwd", "net..ipv4", ".net", "net.", "a/../../b", "a b", "", "a\nb"};
    test_node *node = *state;
    ENTRIES(Macula__V1__MaculaosSection__SysctlsEntry, list, SYSCTL("x", "1"));
    node->section.sysctls = list;
    node->section.n_sysctls = 1;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        list[0]->key = bad[i];
        assert_true(is_refused(node, &confd_apply_sysctls, "kernel parameter"));
    }
}

static bool has_run(const test_node *node, const char *line) {
    return mac_strings_contain(confd_sys_record_calls(node->context.sys), line);
}

/* ---- ntp_servers ---- */

static void ntp_servers_reach_a_chrony_that_runs_before_the_node(void **state) {
    test_node *node = *state;
    static char *list[] = {"0.pool.ntp.org"};
    node->context.phase = CONFD_BOOT;
    apply_well(node, &confd_apply_ntp);
    assert_false(has_run(node, "run chronyc reload sources"));
    node->section.ntp_servers = list;
    node->section.n_ntp_servers = 1;
    apply_well(node, &confd_apply_ntp);
    assert_true(has_run(node, "run chronyc reload sources"));
}

static void ntp_servers_are_given_to_chrony(void **state) {
    test_node *node = *state;
    static char *list[] = {"0.pool.ntp.org", "2001:db8::1"};
    node->section.ntp_servers = list;
    node->section.n_ntp_servers = 2;
    assert_true(is_accepted(node, &confd_apply_ntp));
    exercise(node, &confd_apply_ntp);
    assert_file(node, "/etc/chrony/sources.d/maculaos.sources",
                "server 0.pool.ntp.org iburst\nserver 2001:db8::1 iburst\n");
    assert_true(has_run(node, "run chronyc reload sources"));
    node->section.n_ntp_servers = 0;
    apply_well(node, &confd_apply_ntp);
    assert_no_file(node, "/etc/chrony/sources.d/maculaos.sources");
    node->section.n_ntp_servers = 1;
    list[0] = "pool.ntp.org\nallow all";
    assert_true(is_refused(node, &confd_apply_ntp, "host name"));
    list[0] = "pool.ntp.org key 1";
    assert_true(is_refused(node, &confd_apply_ntp, "host name"));
    list[0] = "0.pool.ntp.org";
}

/* ---- k3s ---- */

/* The last program that would have been run. */
static const char *last_run(const test_node *node) {
    const mac_strings *calls = confd_sys_record_calls(node->context.sys);
    return calls->count ? calls->items[calls->count - 1] : "";
}

static void k3s_arguments_become_its_configuration(void **state) {
    test_node *node = *state;
    static char *arguments[] = {"server",         "--disable=traefik", "--disable",       "servicelb",
                                "--with-node-id", "--kube-proxy-arg",  "ipvs-strict-arp", "-v=2"};
    static char *taints[] = {"dedicated=gpu:NoSchedule"};
    static Macula__V1__MaculaosSection__LabelsEntry label = MACULA__V1__MACULAOS_SECTION__LABELS_ENTRY__INIT;
    static Macula__V1__MaculaosSection__LabelsEntry *labels[] = {&label};
    label.key = "macula.io/role";
    label.value = "edge";
    node->section.k3s_args = arguments;
    node->section.n_k3s_args = MAC_ARRAY_SIZE(arguments);
    node->section.labels = labels;
    node->section.n_labels = 1;
    node->section.taints = taints;
    node->section.n_taints = 1;
    node->section.token = "se\"cret\nserver: evil";
    put_file(node, "/etc/init.d/k3s", "");
    put_file(node, "/usr/bin/k3s", "");
    assert_true(is_accepted(node, &confd_apply_k3s));
    exercise(node, &confd_apply_k3s);
    assert_file(node, "/etc/rancher/k3s/config.yaml",
                "# Written by MaculaOS from the configuration.\n"
                "disable:\n  - \"traefik\"\n  - \"servicelb\"\n"
                "with-node-id: true\n"
                "kube-proxy-arg: \"ipvs-strict-arp\"\n"
                "v: \"2\"\n"
                "node-label: \"macula.io/role=edge\"\n"
                "node-taint: \"dedicated=gpu:NoSchedule\"\n"
                "token: \"se\\\"cret\\u000aserver: evil\"\n");
    assert_mode(node, "/etc/rancher/k3s/config.yaml", 0600);
    assert_file(node, "/etc/rancher/k3s/role", "server\n");
    assert_file(node, "/etc/rancher/k3s/airgap", "");
    assert_true(has_run(node, "run rc-service k3s restart"));

    node->section.server_url = "https://10.0.0.1:6443";
    static char *none[] = {"--node-ip=10.0.0.2"};
    node->section.k3s_args = none;
    node->section.n_k3s_args = 1;
    exercise(node, &confd_apply_k3s);
    assert_file(node, "/etc/rancher/k3s/role", "agent\n");
    static char *last[] = {"--node-ip=10.0.0.2", "server"};
    node->section.k3s_args = last;
    node->section.n_k3s_args = 2;
    exercise(node, &confd_apply_k3s);
    assert_file(node, "/etc/rancher/k3s/role", "server\n");

    node->section = (Macula__V1__MaculaosSection)MACULA__V1__MACULAOS_SECTION__INIT;
    exercise(node, &confd_apply_k3s);
    assert_no_file(node, "/etc/rancher/k3s/config.yaml");
    assert_no_file(node, "/etc/rancher/k3s/airgap");
}

static void k3s_tokens_stay_out_of_everything_that_is_told(void **state) {
    test_node *node = *state;
    mac_seal *seal = NULL;
    assert_int_equal(mac_fs_mkdirs(node->context.root, "/var/lib/maculaos/identity", 0700), 0);
    assert_int_equal(mac_seal_open_key(node->context.root, "/var/lib/maculaos/identity/seal.key", true, &seal), 0);
    node->context.seal = seal;
    mac_autofree char *sealed = mac_seal_text(seal, "maculaos.token", "opensesame", 10);
    node->section.token = sealed;
    confd_autofindings findings = {0};
    assert_int_equal(confd_apply_k3s.inspect(&node->context, &findings), 0);
    for (size_t i = 0; i < findings.count; i++)
        assert_null(strstr(findings.items[i].expected, "opensesame"));
    start(node, &confd_apply_k3s);
    assert_null(node->error);
    assert_false(has_action(node, "opensesame"));
    keep(node);
    mac_autofree char *config = read_file(node, "/etc/rancher/k3s/config.yaml");
    assert_non_null(strstr(config, "token: \"opensesame\"\n"));

    mac_autofree char *moved = mac_seal_text(seal, "maculaos.password", "opensesame", 10);
    node->section.token = moved;
    apply_fails(node, &confd_apply_k3s, "cannot be opened");
    node->context.seal = NULL;
    mac_seal_free(seal);
}

static void k3s_refuses_what_is_no_option(void **state) {
    static char *const bad[] = {"install", "-x", "--", "--a\nb=c", "--Config=x", "--config=/tmp/x", "server extra"};
    test_node *node = *state;
    static char *list[1];
    node->section.k3s_args = list;
    node->section.n_k3s_args = 1;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bad); i++) {
        list[0] = bad[i];
        assert_true(is_refused(node, &confd_apply_k3s, "maculaos.k3s_args[0]"));
    }
}

static void k3s_that_does_not_start_is_taken_back(void **state) {
    test_node *node = *state;
    put_file(node, "/etc/init.d/k3s", "");
    put_file(node, "/usr/local/bin/k3s", "");
    node->section.server_url = "https://10.0.0.1:6443";
    confd_sys_record_fail(node->context.sys, "run rc-service k3s restart", 1);
    apply_fails(node, &confd_apply_k3s, "did not start");
    assert_no_file(node, "/etc/rancher/k3s/role");
    assert_string_equal(last_run(node), "run rc-service --ifstarted k3s stop"); /* as it was before */
}

static void k3s_starts_and_stops_while_the_node_runs(void **state) {
    test_node *node = *state;
    Macula__V1__K3sSection k3s = MACULA__V1__K3S_SECTION__INIT;
    put_file(node, "/etc/init.d/k3s", "");
    put_file(node, "/usr/bin/k3s", "");
    node->section.k3s = &k3s;
    apply_well(node, &confd_apply_k3s);
    assert_string_equal(last_run(node), "run rc-service k3s restart");
    k3s.enabled = false;
    apply_well(node, &confd_apply_k3s);
    assert_file(node, "/etc/rancher/k3s/role", "none\n");
    assert_string_equal(last_run(node), "run rc-service --ifstarted k3s stop");
    k3s.enabled = true;
    apply_well(node, &confd_apply_k3s);
    assert_string_equal(last_run(node), "run rc-service k3s restart");
    node->section.k3s = NULL;
    apply_well(node, &confd_apply_k3s);
    assert_string_equal(last_run(node), "run rc-service --ifstarted k3s stop");
}

static void k3s_is_left_to_others_where_it_is_none_of_our_services(void **state) {
    test_node *node = *state;
    put_file(node, "/usr/local/bin/k3s", "");
    node->section.server_url = "https://10.0.0.1:6443";
    apply_well(node, &confd_apply_k3s);
    assert_file(node, "/etc/rancher/k3s/role", "agent\n");
    assert_int_equal(confd_sys_record_calls(node->context.sys)->count, 0);
}

static void k3s_that_the_system_does_not_have_is_a_note(void **state) {
    test_node *node = *state;
    put_file(node, "/etc/init.d/k3s", "");
    node->section.server_url = "https://10.0.0.1:6443";
    start(node, &confd_apply_k3s);
    assert_null(node->error);
    assert_true(has_note(node, "this system has no k3s"));
    assert_int_equal(confd_sys_record_calls(node->context.sys)->count, 0);
    keep(node);
}

/* ---- all together ---- */

static void everything_at_once_and_back(void **state) {
    test_node *node = *state;
    ENTRIES(Macula__V1__MaculaosSection__SysctlsEntry, list, SYSCTL("vm.swappiness", "10"));
    put_file(node, "/proc/sys/vm/swappiness", "60\n");
    put_file(node, "/proc/sys/kernel/hostname", "old\n");
    node->section.sysctls = list;
    node->section.n_sysctls = 1;
    mac_autofree char *before = snapshot(node);
    start(node, NULL);
    assert_null(node->error);
    assert_int_equal(count_findings(node, NULL), 0);
    take_back(node);
    mac_autofree char *after = snapshot(node);
    assert_string_equal(after, before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, test_node_new, test_node_free)
        TEST(hostname_from_nothing),
        TEST(hosts_is_left_to_whoever_writes_all_of_it),
        TEST(hostname_changes_only_its_own_line_of_hosts),
        TEST(hostname_drift_is_found),
        TEST(hostname_refuses_what_is_no_name),
        TEST(hostname_survives_a_kill_at_every_file),
        TEST(timezone_links_the_zone),
        TEST(timezone_without_a_database_is_a_note),
        TEST(timezone_leads_nowhere_else),
        TEST(keyboard_keeps_the_other_lines),
        TEST(keyboard_is_kept_when_loadkeys_fails),
        TEST(keyboard_without_loadkeys_is_a_note_but_for_us),
        TEST(keyboard_is_one_of_the_images),
        TEST(locale_is_written_for_both_worlds),
        TEST(environment_keeps_what_others_wrote),
        TEST(environment_cannot_write_a_second_line),
        TEST(environment_survives_a_kill_at_every_file),
        TEST(modules_are_loaded_with_parameters),
        TEST(a_module_that_fails_ends_a_change_but_not_a_boot),
        TEST(modules_take_no_options_of_modprobe),
        TEST(sysctls_are_set_and_come_back),
        TEST(sysctls_lead_nowhere_else),
        TEST(ntp_servers_are_given_to_chrony),
        TEST(ntp_servers_reach_a_chrony_that_runs_before_the_node),
        TEST(k3s_arguments_become_its_configuration),
        TEST(k3s_tokens_stay_out_of_everything_that_is_told),
        TEST(k3s_refuses_what_is_no_option),
        TEST(k3s_that_does_not_start_is_taken_back),
        TEST(k3s_starts_and_stops_while_the_node_runs),
        TEST(k3s_is_left_to_others_where_it_is_none_of_our_services),
        TEST(k3s_that_the_system_does_not_have_is_a_note),
        TEST(everything_at_once_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
