#include <errno.h>
#include <string.h>

#include "confd-schema.h"
#include "test-confd-box.h"

/* What is in force, made of the box's files. */
typedef struct in_force {
    confd_present present;
    confd_generation *generation;
    confd_document *document;
} in_force;

static in_force enforce(confd_box *box) {
    in_force force = {.present = {.root = box->root, .seal = box->seal, .names = &box->names}};
    confd_proposal *proposal = NULL;
    mac_error *error = confd_propose_disk(&force.present, &proposal);
    if (error)
        fail_msg("%s", error->message);
    force.generation = mac_calloc(1, sizeof *force.generation);
    force.generation->number = 1;
    confd_sources_copy(&proposal->sources, &force.generation->sources);
    for (size_t i = 0; i < proposal->sources.count; i++)
        if (confd_source_writable(proposal->sources.items[i].name))
            box_write(box, proposal->sources.items[i].name, proposal->sources.items[i].text);
    force.document = mac_take(&proposal->document);
    force.present.generation = force.generation;
    force.present.document = force.document;
    confd_proposal_free(proposal);
    return force;
}

static void force_end(in_force *force) {
    confd_generation_free(force->generation);
    confd_document_free(force->document);
}

#define assert_proposed(expression)                                                                                    \
    do {                                                                                                               \
        mac_error *error_ = expression;                                                                                \
        if (error_)                                                                                                    \
            fail_msg("%s", error_->message);                                                                           \
    } while (0)
#define assert_refused(expression, error_code, part)                                                                   \
    do {                                                                                                               \
        mac_autoptr(mac_error) error_ = expression;                                                                    \
        assert_non_null(error_);                                                                                       \
        assert_int_equal(error_->code, MACULA__V1__ERROR_CODE__##error_code);                                          \
        assert_contains(error_->message, part);                                                                        \
    } while (0)

static const char *text_of(const confd_proposal *proposal, const char *name) {
    const confd_source *source = confd_sources_get(&proposal->sources, name);
    return source ? source->text : NULL;
}

/* ---- the disk ---- */

static void files_as_recorded_are_no_change(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_FILE, "hostname: a\nmaculaos: {token: clear}\n");
    setenv("MACULA_CMDLINE", "maculaos.password=clear-password", 1);
    in_force force = enforce(box);
    mac_autoptr(confd_proposal) proposal = NULL;
    assert_proposed(confd_propose_disk(&force.present, &proposal));
    assert_int_equal(proposal->edited.count, 0);
    assert_int_equal(proposal->changed.count, 0);
    force_end(&force);
}

static void an_edit_on_disk_is_named(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_FILE, "hostname: a\n");
    in_force force = enforce(box);
    box_write(box, CONFD_FILE, "hostname: b\n");
    mac_autoptr(confd_proposal) proposal = NULL;
    assert_proposed(confd_propose_disk(&force.present, &proposal));
    assert_string_equal(proposal->message, "changed on disk: " CONFD_FILE);
    assert_int_equal(proposal->changed.count, 1);
    assert_string_equal(proposal->changed.items[0], "hostname");
    force_end(&force);
}

/* ---- a text ---- */

static void a_text_replaces_config_and_what_was_set_since(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_FILE, "hostname: a\n");
    box_write(box, CONFD_CHANGES_FILE, "maculaos: {keyboard: de}\n");
    box_write(box, CONFD_FRAGMENTS_DIR "/10-site.yaml", "maculaos: {locale: en_US.UTF-8}\n");
    in_force force = enforce(box);
    mac_autoptr(confd_proposal) proposal = NULL;
    const char *text = "# kept\nhostname: b\nmaculaos: {token: clear, locale: de_DE.UTF-8}\n";
    assert_proposed(confd_propose_text(&force.present, text, "new.yaml", false, &proposal));
    assert_contains(text_of(proposal, CONFD_FILE), "# kept\nhostname: b\nmaculaos: {token: \"sealed:v1:");
    assert_null(text_of(proposal, CONFD_CHANGES_FILE));
    assert_value(proposal->document->tree, "maculaos.keyboard", "(none)");
    mac_autofree char *notes = mac_problems_format(proposal->notes);
    assert_contains(notes, "maculaos.locale: is overruled by " CONFD_FRAGMENTS_DIR "/10-site.yaml");
    force_end(&force);
}

static void an_edit_keeps_what_was_set_since_but_for_the_keys_it_changes(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_FILE, "hostname: a\nmaculaos: {keyboard: us, locale: C.UTF-8}\n");
    box_write(box, CONFD_CHANGES_FILE, "maculaos: {keyboard: de, timezone: Europe/Berlin, locale: null}\n");
    in_force force = enforce(box);
    mac_autoptr(confd_proposal) proposal = NULL;
    assert_proposed(confd_propose_edit(&force.present, "hostname: b\nmaculaos: {keyboard: fr, locale: C.UTF-8}\n",
                                       "config.yaml", &proposal));
    assert_value(proposal->document->tree, "hostname", "\"b\"");
    assert_value(proposal->document->tree, "maculaos.keyboard", "\"fr\"");
    assert_value(proposal->document->tree, "maculaos.timezone", "\"Europe/Berlin\"");
    assert_value(proposal->document->tree, "maculaos.locale", "(none)");
    assert_null(strstr(text_of(proposal, CONFD_CHANGES_FILE), "keyboard"));
    mac_autofree char *notes = mac_problems_format(proposal->notes);
    assert_contains(notes, "maculaos.keyboard: config set or config patch had changed it, too");
    assert_null(strstr(notes, "timezone"));
    force_end(&force);
}

static void an_edit_of_a_comment_leaves_what_was_set_since_as_it_is(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_FILE, "hostname: a\n");
    box_write(box, CONFD_CHANGES_FILE, "# set\nhostname: a\nmaculaos: {keyboard: de}\n");
    in_force force = enforce(box);
    mac_autoptr(confd_proposal) proposal = NULL;
    assert_proposed(confd_propose_edit(&force.present, "# why\nhostname: a\n", "config.yaml", &proposal));
    assert_string_equal(text_of(proposal, CONFD_CHANGES_FILE), "# set\nhostname: a\nmaculaos: {keyboard: de}\n");
    assert_int_equal(proposal->changed.count, 0);
    force_end(&force);
}

static void an_edit_that_says_what_was_set_since_needs_no_changes_file(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_FILE, "hostname: a\n");
    box_write(box, CONFD_CHANGES_FILE, "maculaos: {token: clear}\n");
    in_force force = enforce(box);
    mac_autoptr(confd_proposal) proposal = NULL;
    assert_proposed(confd_propose_edit(&force.present, "hostname: a\nmaculaos: {token: other}\n", NULL, &proposal));
    assert_null(text_of(proposal, CONFD_CHANGES_FILE));
    assert_contains(text_of(proposal, CONFD_FILE), "token: \"sealed:v1:");
    force_end(&force);
}

static void setting_what_a_file_says_already_changes_no_text(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_FILE, "hostname: a\nmaculaos: {token: clear}\n");
    in_force force = enforce(box);
    const char *const patches[] = {"{\"hostname\": \"a\"}", "{\"maculaos\": {\"token\": \"clear\"}}"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(patches); i++) {
        mac_autoptr(confd_proposal) proposal = NULL;
        assert_proposed(confd_propose_patch(&force.present, patches[i], &proposal));
        assert_int_equal(proposal->edited.count, 0);
        assert_int_equal(proposal->changed.count, 0);
    }
    force_end(&force);
}

static void a_text_without_any_key_is_refused_and_empty_braces_are_not(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_FILE, "hostname: a\n");
    in_force force = enforce(box);
    const char *const empty[] = {"", "\n \n", "# all gone\n  # indeed", "---\n# nothing\n...\n"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(empty); i++) {
        mac_autoptr(confd_proposal) refused = NULL;
        assert_refused(confd_propose_text(&force.present, empty[i], NULL, false, &refused), INVALID,
                       "the document is empty; write {}");
        mac_autoptr(confd_proposal) checked = NULL; /* what Validate asks */
        assert_proposed(confd_propose_text(&force.present, empty[i], NULL, true, &checked));
        mac_autofree char *notes = mac_problems_format(checked->notes);
        assert_contains(notes, "the document is empty");
    }
    mac_autoptr(confd_proposal) proposal = NULL;
    assert_proposed(confd_propose_text(&force.present, "# gone\n{}\n", NULL, false, &proposal));
    assert_int_equal(json_object_size(proposal->document->tree), 0);
    force_end(&force);
}

static void problems_of_a_text_have_the_callers_file_name(void **state) {
    confd_box *box = *state;
    in_force force = enforce(box);
    mac_autoptr(confd_proposal) proposal = NULL;
    mac_autoptr(mac_error) error = confd_propose_text(
        &force.present, "hostnam: a\nmaculaos: {wifi: [{name: x, psk: short}]}\n", "my.yaml", false, &proposal);
    assert_non_null(error);
    mac_autofree char *text = mac_problems_format(error->problems);
    assert_contains(text, "my.yaml:1:1: hostnam: ");
    assert_contains(text, "my.yaml:2:");
    assert_contains(text, "wifi[0].");
    force_end(&force);
}

static void a_json_text_that_is_no_yaml_is_taken(void **state) {
    confd_box *box = *state;
    in_force force = enforce(box);
    mac_autoptr(confd_proposal) proposal = NULL;
    assert_proposed(confd_propose_text(&force.present,
                                       "{\n\t\"hostname\":\t\"edge-7\",\"maculaos\":{\"locale\":\"de_DE.UTF-8\"}}",
                                       NULL, false, &proposal));
    assert_value(proposal->document->tree, "hostname", "\"edge-7\"");
    force_end(&force);
}

static void an_edit_that_is_not_applied_yet_is_not_overwritten(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_FILE, "hostname: a\n");
    in_force force = enforce(box);
    box_write(box, CONFD_FILE, "hostname: by-hand\n");
    mac_autoptr(confd_proposal) proposal = NULL;
    assert_refused(confd_propose_text(&force.present, "hostname: b\n", NULL, false, &proposal), CONFLICT, CONFD_FILE);
    /* A patch does not touch that file. */
    assert_proposed(confd_propose_set(&force.present, "maculaos.keyboard", "de", &proposal));
    force_end(&force);
}

static void the_same_text_again_is_no_change(void **state) {
    confd_box *box = *state;
    const char *text = "maculaos: {token: clear, password: secret}\n";
    box_write(box, CONFD_FILE, text);
    in_force force = enforce(box);
    mac_autoptr(confd_proposal) proposal = NULL;
    assert_proposed(confd_propose_text(&force.present, text, NULL, false, &proposal));
    assert_int_equal(proposal->edited.count, 0);
    force_end(&force);
}

/* ---- patches ---- */

static void a_patch_is_kept_as_a_fragment_with_its_nulls(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_FILE, "hostname: a\nmaculaos: {keyboard: de, labels: {x: '1'}}\n");
    in_force force = enforce(box);
    mac_autoptr(confd_proposal) first = NULL;
    assert_proposed(confd_propose_patch(
        &force.present,
        "{\"hostname\":\"b\",\"maculaos\":{\"keyboard\":null,\"labels\":{\"y\":\"2\"},\"token\":\"clear\"}}", &first));
    const char *text = text_of(first, CONFD_CHANGES_FILE);
    assert_contains(text, "# Written by confd");
    assert_contains(text, "keyboard: null");
    assert_null(strstr(text, "clear"));
    assert_string_equal(text_of(first, CONFD_FILE), "hostname: a\nmaculaos: {keyboard: de, labels: {x: '1'}}\n");
    assert_value(first->document->tree, "maculaos.labels", "{\"x\":\"1\",\"y\":\"2\"}");
    assert_value(first->document->tree, "maculaos.keyboard", "(none)");
    assert_contains(first->message, "hostname");
    force_end(&force);
}

static void json_means_in_a_patch_what_it_means_as_a_document(void **state) {
    confd_box *box = *state;
    const char *const json =
        "{\"hostname\":5,\"maculaos\":{\"modules\":\"loop\",\"sysctls\":{\"net.a\":1,\"net.b\":1.10,\"net.c\":true}}}";
    in_force force = enforce(box);
    mac_autoptr(confd_proposal) document = NULL;
    mac_autoptr(confd_proposal) patch = NULL;
    mac_autoptr(confd_proposal) set = NULL;
    mac_autoptr(confd_proposal) word = NULL;
    assert_proposed(confd_propose_text(&force.present, json, NULL, false, &document));
    assert_proposed(confd_propose_patch(&force.present, json, &patch));
    assert_true(json_equal(document->document->tree, patch->document->tree));
    assert_proposed(confd_propose_set(&force.present, "maculaos.sysctls", "{\"net.a\":1,\"net.b\":1.10}", &set));
    assert_value(set->document->tree, "maculaos.sysctls", "{\"net.a\":\"1\",\"net.b\":\"1.10\"}");
    assert_proposed(confd_propose_set(&force.present, "maculaos.labels.x", "1.50", &word));
    assert_value(word->document->tree, "maculaos.labels.x", "\"1.50\"");
    force_end(&force);
}

static void what_was_never_set_is_unset_without_a_trace(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_FILE, "hostname: a\n");
    in_force force = enforce(box);
    mac_autoptr(confd_proposal) first = NULL;
    mac_autoptr(confd_proposal) second = NULL;
    mac_autoptr(confd_proposal) third = NULL;
    mac_autoptr(confd_proposal) fourth = NULL;
    assert_proposed(confd_propose_set(&force.present, "maculaos.keyboard", NULL, &first));
    assert_int_equal(first->edited.count, 0);
    assert_int_equal(first->changed.count, 0);
    assert_null(text_of(first, CONFD_CHANGES_FILE));
    /* Beside what is set, it leaves no null that would remove what is written there later. */
    assert_proposed(confd_propose_patch(
        &force.present, "{\"maculaos\":{\"keyboard\":null,\"labels\":{\"x\":null,\"site\":\"north\"}}}", &second));
    assert_contains(text_of(second, CONFD_CHANGES_FILE), "site: north");
    assert_null(strstr(text_of(second, CONFD_CHANGES_FILE), "null\n"));
    force_end(&force);
    box_write(box, CONFD_CHANGES_FILE, "maculaos: {keyboard: de, locale: de_DE.UTF-8}\n");
    force = enforce(box);
    assert_proposed(confd_propose_set(&force.present, "maculaos.keyboard", NULL, &third));
    assert_int_equal(third->changed.count, 1);
    assert_null(strstr(text_of(third, CONFD_CHANGES_FILE), "keyboard"));
    assert_value(third->document->tree, "maculaos.keyboard", "(none)");
    assert_value(third->document->tree, "maculaos.locale", "\"de_DE.UTF-8\"");
    /* What another text says is removed by a null, and removed once. */
    assert_proposed(confd_propose_set(&force.present, "hostname", NULL, &fourth));
    assert_contains(text_of(fourth, CONFD_CHANGES_FILE), "hostname: null");
    box_write(box, CONFD_CHANGES_FILE, text_of(fourth, CONFD_CHANGES_FILE));
    force_end(&force);
    force = enforce(box);
    mac_autoptr(confd_proposal) again = NULL;
    assert_proposed(confd_propose_set(&force.present, "hostname", NULL, &again));
    assert_int_equal(again->edited.count, 0);
    force_end(&force);
}

static void patches_add_up(void **state) {
    confd_box *box = *state;
    in_force first = enforce(box);
    mac_autoptr(confd_proposal) one = NULL;
    mac_autoptr(confd_proposal) two = NULL;
    assert_proposed(confd_propose_patch(&first.present, "{\"hostname\":\"b\"}", &one));
    box_write(box, CONFD_CHANGES_FILE, text_of(one, CONFD_CHANGES_FILE));
    in_force second = enforce(box);
    assert_proposed(confd_propose_set(&second.present, "maculaos.timezone", "Europe/Berlin", &two));
    assert_value(two->document->tree, "", "{\"hostname\":\"b\",\"maculaos\":{\"timezone\":\"Europe/Berlin\"}}");
    force_end(&first);
    force_end(&second);
}

static void keys_of_a_group_that_was_removed_do_not_come_back_with_a_new_one(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_FILE, "maculaos: {environment: {A: a, B: b}, sysctls: {vm.swappiness: '1'}}\n");
    box_write(box, CONFD_CHANGES_FILE, "maculaos: {environment: null, timezone: Europe/Berlin}\n");
    in_force force = enforce(box);
    mac_autoptr(confd_proposal) proposal = NULL;
    assert_proposed(confd_propose_patch(&force.present, "{\"maculaos\":{\"environment\":{\"C\":\"c\"}}}", &proposal));
    json_t *tree = proposal->document->tree;
    mac_autofree char *environment = json_dumps(mac_tree_get(tree, "maculaos.environment"), JSON_COMPACT);
    assert_string_equal(environment, "{\"C\":\"c\"}");
    assert_string_equal(json_string_value(mac_tree_get(tree, "maculaos.timezone")), "Europe/Berlin");
    assert_non_null(mac_tree_get(tree, "maculaos.sysctls"));
    force_end(&force);
}

static void what_wins_over_a_patch_is_named(void **state) {
    confd_box *box = *state;
    setenv("MACULA_CMDLINE", "maculaos.hostname=pinned maculaos.labels[a]=1", 1);
    box_write(box, CONFD_FRAGMENTS_DIR "/zz.yaml", "maculaos: {keyboard: us}\n");
    in_force force = enforce(box);
    mac_autoptr(confd_proposal) proposal = NULL;
    assert_refused(confd_propose_set(&force.present, "hostname", "other", &proposal), INVALID, "kernel command line");
    assert_refused(confd_propose_patch(&force.present, "{\"maculaos\":{\"keyboard\":\"de\"}}", &proposal), INVALID,
                   "zz.yaml");
    assert_refused(confd_propose_patch(&force.present, "{\"maculaos\":{\"labels\":{\"a\":null}}}", &proposal), INVALID,
                   "kernel command line");
    assert_proposed(confd_propose_set(&force.present, "maculaos.labels.b", "2", &proposal));
    force_end(&force);
}

static void a_patch_must_be_an_object_that_the_schema_knows(void **state) {
    confd_box *box = *state;
    in_force force = enforce(box);
    mac_autoptr(confd_proposal) proposal = NULL;
    assert_refused(confd_propose_patch(&force.present, "[]", &proposal), INVALID, "object");
    assert_refused(confd_propose_patch(&force.present, "{\"hostname\":", &proposal), INVALID, "patch");
    assert_refused(confd_propose_patch(&force.present, "{\"maculaos\":{\"timezon\":\"UTC\"}}", &proposal), INVALID,
                   "timezone");
    assert_refused(confd_propose_patch(&force.present, "{\"maculaos\":{\"token\":\"********\"}}", &proposal), INVALID,
                   "****");
    force_end(&force);
}

/* ---- one path ---- */

static void a_value_is_json_or_a_word(void **state) {
    confd_box *box = *state;
    in_force force = enforce(box);
    const char *const cases[][3] = {
        {"hostname", "edge-7", "\"edge-7\""},
        {"hostname", "\"edge-7\"", "\"edge-7\""},
        {"maculaos.labels.tier", "7", "\"7\""},
        {"maculaos.labels.on", "true", "\"true\""},
        {"maculaos.k3s.airgap", "true", "true"},
        {"maculaos.ntp_servers", "[\"a.org\"]", "[\"a.org\"]"},
        {"maculaos.ntpServers", "a.org", "[\"a.org\"]"},
        {"maculaos.sysctl[net.ipv4.ip_forward]", "1", "\"1\""},
        {"maculaos.network.interfaces.eth0.mtu", "1400", "1400"},
        {"maculaos.ntp_servers[0]", "b.org", "\"b.org\""},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        mac_autoptr(confd_proposal) proposal = NULL;
        assert_proposed(confd_propose_set(&force.present, cases[i][0], cases[i][1], &proposal));
        mac_autoptr(mac_problems) ignored = mac_problems_new();
        mac_autofree char *path = NULL;
        const ProtobufCFieldDescriptor *field;
        assert_int_equal(mac_path_resolve(CONFD_DOCUMENT, cases[i][0], ignored, &path, &field), 0);
        assert_value(proposal->document->tree, path, cases[i][2]);
    }
    mac_autoptr(confd_proposal) proposal = NULL;
    assert_refused(confd_propose_set(&force.present, "hostnam", "x", &proposal), INVALID, "hostname");
    assert_refused(confd_propose_set(&force.present, "maculaos.k3s.airgap", "perhaps", &proposal), INVALID, "airgap");
    force_end(&force);
}

static void items_of_lists_are_set_and_unset(void **state) {
    (void)state;
    mac_autoptr(json_t) tree = json_loads("{\"a\":{\"l\":[{\"x\":1},{\"x\":2,\"m\":[\"p\",\"q\"]}]}}", 0, NULL);
    mac_autoptr(json_t) value = json_string("new");
    const struct {
        const char *path;
        bool set;
        const char *expected; /* NULL: refused */
    } cases[] = {
        {"a.l[1].x", true, "{\"a\":{\"l\":[{\"x\":1},{\"m\":[\"p\",\"q\"],\"x\":\"new\"}]}}"},
        {"a.l[1].m[0]", true, "{\"a\":{\"l\":[{\"x\":1},{\"m\":[\"new\",\"q\"],\"x\":2}]}}"},
        {"a.l[1].m[2]", true, "{\"a\":{\"l\":[{\"x\":1},{\"m\":[\"p\",\"q\",\"new\"],\"x\":2}]}}"},
        {"a.l[2].x", true, "{\"a\":{\"l\":[{\"x\":1},{\"m\":[\"p\",\"q\"],\"x\":2},{\"x\":\"new\"}]}}"},
        {"a.l[0]", false, "{\"a\":{\"l\":[{\"m\":[\"p\",\"q\"],\"x\":2}]}}"},
        {"a.l[3]", true, NULL},
        {"a.l[2]", false, NULL},
        {"a[\"k[0]\"]", true, "{\"a\":{\"k[0]\":\"new\"}}"},
    };
    for (size_t i = 0; i < MAC_ARRAY_SIZE(cases); i++) {
        mac_autoptr(json_t) patch = NULL;
        int result = confd_patch_for(tree, cases[i].path, cases[i].set ? value : NULL, &patch);
        assert_int_equal(result < 0, cases[i].expected == NULL);
        if (cases[i].expected)
            assert_value(patch, "", cases[i].expected);
    }
}

/* ---- back ---- */

static void a_rollback_takes_the_texts_of_then_and_what_cannot_be_written_of_now(void **state) {
    confd_box *box = *state;
    box_write(box, CONFD_SYSTEM_FILE, "maculaos: {timezone: UTC}\n");
    box_write(box, CONFD_FILE, "hostname: a\n");
    in_force then = enforce(box);
    box_write(box, CONFD_SYSTEM_FILE, "maculaos: {timezone: Europe/Berlin}\n");
    box_write(box, CONFD_FILE, "hostname: b\n");
    box_write(box, CONFD_CHANGES_FILE, "maculaos: {keyboard: de}\n");
    in_force now = enforce(box);
    mac_autoptr(confd_proposal) proposal = NULL;
    box_write(box, CONFD_FILE, "hostname: not-applied\n");
    assert_proposed(confd_propose_rollback(&now.present, then.generation, &proposal));
    assert_value(proposal->document->tree, "", "{\"hostname\":\"a\",\"maculaos\":{\"timezone\":\"Europe/Berlin\"}}");
    assert_null(text_of(proposal, CONFD_CHANGES_FILE));
    mac_autofree char *notes = mac_problems_format(proposal->notes);
    assert_contains(notes, CONFD_FILE ": warning: an edit on the node that was not applied is replaced");
    force_end(&then);
    force_end(&now);
}

#define BOX_TEST(name) cmocka_unit_test_setup_teardown(name, box_setup, box_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOX_TEST(files_as_recorded_are_no_change),
        BOX_TEST(an_edit_on_disk_is_named),
        BOX_TEST(a_text_replaces_config_and_what_was_set_since),
        BOX_TEST(problems_of_a_text_have_the_callers_file_name),
        BOX_TEST(an_edit_keeps_what_was_set_since_but_for_the_keys_it_changes),
        BOX_TEST(an_edit_of_a_comment_leaves_what_was_set_since_as_it_is),
        BOX_TEST(an_edit_that_says_what_was_set_since_needs_no_changes_file),
        BOX_TEST(setting_what_a_file_says_already_changes_no_text),
        BOX_TEST(a_text_without_any_key_is_refused_and_empty_braces_are_not),
        BOX_TEST(a_json_text_that_is_no_yaml_is_taken),
        BOX_TEST(an_edit_that_is_not_applied_yet_is_not_overwritten),
        BOX_TEST(the_same_text_again_is_no_change),
        BOX_TEST(a_patch_is_kept_as_a_fragment_with_its_nulls),
        BOX_TEST(json_means_in_a_patch_what_it_means_as_a_document),
        BOX_TEST(what_was_never_set_is_unset_without_a_trace),
        BOX_TEST(patches_add_up),
        BOX_TEST(keys_of_a_group_that_was_removed_do_not_come_back_with_a_new_one),
        BOX_TEST(what_wins_over_a_patch_is_named),
        BOX_TEST(a_patch_must_be_an_object_that_the_schema_knows),
        BOX_TEST(a_value_is_json_or_a_word),
        cmocka_unit_test(items_of_lists_are_set_and_unset),
        BOX_TEST(a_rollback_takes_the_texts_of_then_and_what_cannot_be_written_of_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
