#include <string.h>

#include "confd-schema.h"
#include "test-confd-box.h"

/* ---- sources ---- */

static void sources_come_in_order(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_FRAGMENTS_DIR "/20-b.yaml", "b");
    box_write(box, CONFD_FRAGMENTS_DIR "/10-a.yaml", "a");
    box_write(box, CONFD_FRAGMENTS_DIR "/ignored.txt", "x");
    box_write(box, CONFD_FILE, "c");
    box_write(box, CONFD_SYSTEM_FILE, "s");
    setenv("MACULA_CMDLINE", "maculaos.keyboard=de", 1);
    confd_autosources sources = {0};
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_sources_read(box->root, problems, &sources);
    assert_int_equal(mac_problems_count(problems), 0);
    assert_int_equal(sources.count, 5);
    const char *expected[] = {"s", "c", "a", "b", "maculaos.keyboard=de"};
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(sources.items[i].text, expected[i]);
}

static void the_difference_names_every_source_that_changed(void **state) {
    confd_box *box = *state;
    confd_autosources recorded = {0}, found = {0};
    mac_autostrings names = {0};
    confd_sources_put(&recorded, CONFD_FILE, "a", 1, NULL);
    confd_sources_put(&recorded, CONFD_FRAGMENTS_DIR "/1.yaml", "same", 4, NULL);
    confd_sources_put(&recorded, CONFD_FRAGMENTS_DIR "/2.yaml", "gone", 4, NULL);
    confd_sources_put(&found, CONFD_FILE, "b", 1, NULL);
    confd_sources_put(&found, CONFD_FRAGMENTS_DIR "/1.yaml", "same", 4, NULL);
    confd_sources_put(&found, CONFD_FRAGMENTS_DIR "/3.yaml", "new", 3, NULL);
    confd_sources_difference(&recorded, &found, box->seal, &names);
    assert_int_equal(names.count, 3);
    assert_string_equal(names.items[0], CONFD_FILE);
    assert_string_equal(names.items[1], CONFD_FRAGMENTS_DIR "/2.yaml");
    assert_string_equal(names.items[2], CONFD_FRAGMENTS_DIR "/3.yaml");
}

static void a_file_that_is_too_large_is_named(void **state) {
    confd_box *box = *state;
    char *large = mac_malloc(CONFD_SOURCE_MAX + 2);
    memset(large, '#', CONFD_SOURCE_MAX + 1);
    large[CONFD_SOURCE_MAX + 1] = '\0';
    box_write(box, CONFD_FILE, large);
    free(large);
    confd_autosources sources = {0};
    mac_autoptr(mac_problems) problems = mac_problems_new();
    confd_sources_read(box->root, problems, &sources);
    mac_autofree char *text = mac_problems_format(problems);
    assert_contains(text, CONFD_FILE ": expected at most");
}

/* ---- merging ---- */

static void later_sources_win_key_by_key_and_lists_replace(void **state) {
    confd_box *box = *state;
    confd_autosources sources = {0};
    const char *system = "hostname: first\nmaculaos:\n  ntp_servers: [a.org, b.org]\n  timezone: Europe/Berlin\n"
                         "  labels: {x: '1', y: '2'}\n";
    const char *file = "hostname: second\nmaculaos:\n  ntp_servers: [c.org]\n  timezone: null\n  labels: {y: '3'}\n";
    confd_sources_put(&sources, CONFD_SYSTEM_FILE, system, strlen(system), NULL);
    box_sources(&sources, file);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(confd_document) document = NULL;
    assert_int_equal(confd_document_resolve(&sources, &box->names, problems, &document), 0);
    assert_value(
        document->tree, "",
        "{\"hostname\":\"second\",\"maculaos\":{\"labels\":{\"x\":\"1\",\"y\":\"3\"},\"ntp_servers\":[\"c.org\"]}}");
    assert_string_equal(document->message->hostname, "second");
    assert_string_equal(confd_document_origin(&sources, "maculaos.labels.x"), CONFD_SYSTEM_FILE);
    assert_string_equal(confd_document_origin(&sources, "maculaos.labels.y"), CONFD_FILE);
    assert_string_equal(confd_document_origin(&sources, "maculaos.timezone"), CONFD_FILE);
    assert_null(confd_document_origin(&sources, "maculaos.keyboard"));
}

static void maps_come_to_the_services_in_one_order_however_they_were_written(void **state) {
    confd_box *box = *state;
    static const char *const texts[] = {
        "maculaos: {environment: {http_proxy: a, X: b, _y: c}, labels: {zeta: 'z', alpha: 'a'}}\n",
        "maculaos: {labels: {alpha: 'a', zeta: 'z'}, environment: {_y: c, X: b, http_proxy: a}}\n"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(texts); i++) {
        mac_autoptr(confd_document) document = box_document(box, texts[i]);
        const Macula__V1__MaculaosSection *section = document->message->maculaos;
        assert_int_equal(section->n_environment, 3);
        assert_string_equal(section->environment[0]->key, "X");
        assert_string_equal(section->environment[1]->key, "_y");
        assert_string_equal(section->environment[2]->key, "http_proxy");
        assert_string_equal(section->environment[2]->value, "a");
        assert_string_equal(section->labels[0]->key, "alpha");
        assert_string_equal(section->labels[1]->key, "zeta");
    }
}

static void problems_of_all_sources_are_reported_at_their_places(void **state) {
    confd_box *box = *state;
    confd_autosources sources = {0};
    const char *fragment = "maculaos:\n  timezon: UTC\n";
    box_sources(&sources, "hostname: -bad-\nmaculaos:\n  network:\n    interfaces:\n      eth0: {mtu: many}\n");
    confd_sources_put(&sources, CONFD_FRAGMENTS_DIR "/1.yaml", fragment, strlen(fragment), NULL);
    mac_autoptr(mac_problems) problems = mac_problems_new();
    mac_autoptr(confd_document) document = NULL;
    assert_int_equal(confd_document_resolve(&sources, &box->names, problems, &document), -22);
    mac_autofree char *text = mac_problems_format(problems);
    assert_contains(text, CONFD_FILE ":1:11: hostname: ");
    assert_contains(text, CONFD_FILE ":5:19: maculaos.network.interfaces.eth0.mtu: ");
    assert_contains(text, CONFD_FRAGMENTS_DIR "/1.yaml:2:3: maculaos.timezon: ");
    assert_contains(text, "timezone");
}

static void what_is_required_is_asked_of_the_whole(void **state) {
    confd_box *box = *state;
    mac_autofree char *text = box_problems(box, "write_files:\n- content: x\n");
    assert_contains(text, CONFD_FILE ":2:3: ");
    assert_contains(text, "path");
}

/* ---- old spellings ---- */

static void old_section_names_are_read_with_a_warning(void **state) {
    confd_box *box = *state;
    mac_autoptr(confd_document) document = box_document(box, "k3os:\n  ntp_servers: [a.org]\n");
    assert_value(document->tree, "maculaos.ntp_servers", "[\"a.org\"]");
    mac_autofree char *text = box_problems(box, "macula:\n  keyboard: de\n");
    assert_contains(text, CONFD_FILE ":1:1: warning: ");
    assert_contains(text, "maculaos");
}

static void keys_on_the_wrong_level_are_moved_with_their_places(void **state) {
    confd_box *box = *state;
    mac_autoptr(confd_document) document =
        box_document(box, "maculaos:\n  hostname: edge-7\nntp_servers: [a.org]\nk3s:\n  airgap: true\n");
    assert_value(document->tree, "hostname", "\"edge-7\"");
    assert_value(document->tree, "maculaos.ntp_servers", "[\"a.org\"]");
    assert_value(document->tree, "maculaos.k3s.airgap", "true");
    mac_autofree char *text = box_problems(box, "k3os:\n  hostname: edge_7\nmodules: [overlay]\nkeyboard: 'no!'\n");
    assert_contains(text, CONFD_FILE ":2:13: warning: k3os.hostname: deprecated: write hostname instead");
    assert_contains(text, CONFD_FILE ":2:13: hostname: ");
    assert_contains(text, CONFD_FILE ":3:10: warning: modules: deprecated: write maculaos.modules instead");
    assert_contains(text, CONFD_FILE ":4:11: maculaos.keyboard: ");
}

static void a_key_on_both_levels_is_an_error(void **state) {
    confd_box *box = *state;
    mac_autofree char *text = box_problems(box, "hostname: a\nmaculaos:\n  hostname: b\n");
    assert_contains(text, CONFD_FILE ":3:13: maculaos.hostname: the same key is set as hostname too");
}

static void moved_keys_find_a_section_where_there_was_none(void **state) {
    confd_box *box = *state;
    mac_autoptr(confd_document) document = box_document(box, "network:\n  dhcp: true\n");
    assert_value(document->tree, "maculaos.network.dhcp", "true");
}

/* ---- templates ---- */

static void templates_are_expanded_in_what_is_applied_only(void **state) {
    confd_box *box = *state;
    mac_autoptr(confd_document) document = box_document(
        box, "hostname: node-${RANDOM_SUFFIX}\nmaculaos:\n  environment: {A: '${HOSTNAME}.${NODE_ID}', B: '$${HOME}'}\n"
             "run_cmd: ['echo ${PATH}']\n");
    assert_value(document->tree, "hostname", "\"node-${RANDOM_SUFFIX}\"");
    assert_value(document->expanded, "hostname", "\"node-ab12\"");
    assert_value(document->expanded, "maculaos.environment", "{\"A\":\"node-ab12.UNODE\",\"B\":\"${HOME}\"}");
    assert_value(document->expanded, "run_cmd[0].command", "\"echo ${PATH}\"");
}

static void a_template_that_is_the_default_reaches_the_services_expanded(void **state) {
    confd_box *box = *state;
    mac_autoptr(confd_document) document = box_document(box, "");
    assert_value(document->tree, "", "{}");
    assert_string_equal(document->message->hostname, "macula-ab12");
}

static void an_unknown_name_in_a_template_is_an_error_with_its_place(void **state) {
    confd_box *box = *state;
    mac_autofree char *text = box_problems(box, "maculaos:\n  environment:\n    A: x${SERIAL}\n");
    assert_contains(text, CONFD_FILE ":3:8: maculaos.environment.A: ");
    assert_contains(text, "${SERIAL}");
    mac_autofree char *cyclic = box_problems(box, "hostname: x-${HOSTNAME}\n");
    assert_contains(cyclic, CONFD_FILE ":1:11: hostname: ${HOSTNAME} cannot stand in the host name itself");
}

static void a_url_that_is_none_when_expanded_is_told_without_its_login(void **state) {
    confd_box *box = *state;
    const char *label = "a23456789b123456789c123456789d123456789e123456789f123456789g123"; /* as long as may be */
    mac_autofree char *config =
        mac_asprintf("hostname: %s\nmaculaos:\n  upgrade:\n    url: https://ann:open-sesame@${HOSTNAME}x/\n", label);
    mac_autofree char *text = box_problems(box, config), *shown = mac_asprintf("********@%sx/", label);
    assert_contains(text, CONFD_FILE ":4:10: maculaos.upgrade.url: expected a URL");
    assert_contains(text, shown);
    assert_null(strstr(text, "ann"));
    assert_null(strstr(text, "sesame"));
}

static void the_suffix_comes_from_the_first_permanent_card_and_stays(void **state) {
    confd_box *box = *state;
    assert_int_equal(mac_fs_remove(box->root, CONFD_STATE_DIR "/identity/suffix"), 0);
    const char *const cards[][4] = {{"eth1", "3", "0", "52:54:00:00:aa:03"},
                                    {"eth0", "2", "0", "52:54:00:00:be:ef"},
                                    {"br0", "1", "3", "52:54:00:00:00:01"}};
    for (size_t i = 0; i < 3; i++) {
        mac_autofree char *directory = mac_asprintf("/sys/class/net/%s/device", cards[i][0]);
        assert_int_equal(mac_fs_mkdirs(box->root, directory, 0755), 0);
        const char *const files[] = {"ifindex", "addr_assign_type", "address", "type"};
        const char *const texts[] = {cards[i][1], cards[i][2], cards[i][3], "1"};
        for (size_t k = 0; k < 4; k++) {
            mac_autofree char *path = mac_asprintf("/sys/class/net/%s/%s", cards[i][0], files[k]);
            box_write(box, path, texts[k]);
        }
    }
    confd_names names = {0};
    assert_int_equal(confd_names_load(box->root, "U", &names), 0);
    assert_string_equal(names.suffix, "beef");
    confd_names_deinit(&names);
    box_write(box, "/sys/class/net/eth0/address", "52:54:00:00:00:00");
    assert_int_equal(confd_names_load(box->root, "U", &names), 0);
    assert_string_equal(names.suffix, "beef");
    confd_names_deinit(&names);
}

#define BOX_TEST(name) cmocka_unit_test_setup_teardown(name, box_setup, box_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOX_TEST(sources_come_in_order),
        BOX_TEST(the_difference_names_every_source_that_changed),
        BOX_TEST(a_file_that_is_too_large_is_named),
        BOX_TEST(later_sources_win_key_by_key_and_lists_replace),
        BOX_TEST(maps_come_to_the_services_in_one_order_however_they_were_written),
        BOX_TEST(problems_of_all_sources_are_reported_at_their_places),
        BOX_TEST(what_is_required_is_asked_of_the_whole),
        BOX_TEST(old_section_names_are_read_with_a_warning),
        BOX_TEST(keys_on_the_wrong_level_are_moved_with_their_places),
        BOX_TEST(a_key_on_both_levels_is_an_error),
        BOX_TEST(moved_keys_find_a_section_where_there_was_none),
        BOX_TEST(templates_are_expanded_in_what_is_applied_only),
        BOX_TEST(a_template_that_is_the_default_reaches_the_services_expanded),
        BOX_TEST(an_unknown_name_in_a_template_is_an_error_with_its_place),
        BOX_TEST(a_url_that_is_none_when_expanded_is_told_without_its_login),
        BOX_TEST(the_suffix_comes_from_the_first_permanent_card_and_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
