/* The boot phase, and a store that cannot be read. */
#include "test-confd-service.h"

static const char *const no_units[] = {NULL};

static void the_boot_phase_applies_and_leaves_the_document(void **state) {
    (void)state;
    confd_node *node = node_new(no_units);
    box_write(node->box, CONFD_FILE, "hostname: booted\n");
    assert_int_equal(node_boot(node), 0);
    assert_file(node, "/etc/hostname", "booted\n");
    assert_int_equal(mac_fs_remove(node->box->root, CONFD_STORE_FILE), 0);
    if (mac_fs_remove(node->box->root, CONFD_STORE_FILE "-wal") == 0) /* it is kept when the last one was killed */
        assert_int_equal(mac_fs_remove(node->box->root, CONFD_STORE_FILE "-shm"), 0);
    box_write(node->box, CONFD_STORE_FILE, "this is no database, by any means");
    box_write(node->box, CONFD_FILE, "hostname: with-broken-store\n");
    box_write(node->box, "/run/macula/config.pb", "the last good one");
    assert_int_equal(node_boot(node), 1); /* the files are applied, but all is not well */
    assert_file(node, "/run/macula/config.pb", "the last good one");
    assert_file(node, "/etc/hostname", "with-broken-store\n");
    box_write(node->box, CONFD_SYSTEM_FILE, "hostname: of-the-image\n");
    box_write(node->box, CONFD_FILE, "hostname: [");
    assert_int_equal(node_boot(node), 1);
    assert_file(node, "/etc/hostname", "of-the-image\n");
    assert_int_equal(mac_fs_remove(node->box->root, CONFD_SYSTEM_FILE), 0);
    assert_int_equal(node_boot(node), 1); /* no defaults in place of what nobody can read */
    assert_file(node, "/etc/hostname", "of-the-image\n");
    assert_file(node, "/run/macula/config.pb", "the last good one");
    node_free(node);
}

static void options_that_the_node_refuses_are_left_out(void **state) {
    (void)state;
    confd_node *node = node_new(no_units);
    box_write(node->box, CONFD_FILE, "maculaos: {timezone: Etc/UTC}\n");
    setenv("MACULA_CMDLINE",
           "maculaos.timezon=x maculaos.timezone=Mars/X maculaos.password=$1$a maculaos.hostname=edge-7", 1);
    for (int boot = 0; boot < 2; boot++) { /* the second time they are those of the generation in force */
        assert_int_equal(node_boot(node), 0);
        assert_file(node, "/etc/hostname", "edge-7\n");
        assert_file(node, "/etc/timezone", "Etc/UTC\n");
    }
    node_start(node, NULL);
    assert_done(node, "config.status", "{}");
    assert_body(node, "generation", "1");
    mac_autofree char *said = json_dumps(json_object_get(node->body, "notes"), 0);
    assert_contains(said, "did you mean");
    assert_contains(said, "{\"file\": \"kernel command line\", \"path\": \"maculaos.timezone\", \"message\": "
                          "\"this node refused its value");
    assert_contains(said, "\"path\": \"maculaos.password\", \"message\": \"this node refused its value");
    assert_done(node, "config.set", "{\"path\":\"maculaos.keyboard\",\"value\":\"de\"}");
    node_stop(node);
    setenv("MACULA_CMDLINE", "maculaos.timezone=Mars/Y", 1);
    box_write(node->box, CONFD_FILE, "hostname: [");
    assert_int_equal(node_boot(node), 0);
    assert_file(node, "/etc/timezone", "Etc/UTC\n");
    node_free(node);
}

static void without_any_generation_they_are_left_out_too(void **state) {
    (void)state;
    confd_node *node = node_new(no_units);
    box_write(node->box, CONFD_FILE, "hostname: [");
    setenv("MACULA_CMDLINE", "maculaos.timezone=Mars/X maculaos.hostname=edge-7", 1);
    assert_int_equal(node_boot(node), 0);
    assert_file(node, "/etc/hostname", "edge-7\n");
    assert_file(node, "/etc/timezone", "UTC\n");
    node_free(node);
}

static void a_store_that_cannot_be_read_is_never_ready(void **state) {
    (void)state;
    const char *const damages[] = {"DROP TABLE head", "DELETE FROM head", "DELETE FROM generation",
                                   "UPDATE generation SET document = 'no json'"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(damages); i++) {
        confd_node *node = node_new(no_units);
        box_write(node->box, CONFD_FILE, "hostname: kept\n");
        node_start(node, NULL);
        node_stop(node);
        sqlite3 *db = NULL;
        mac_autofree char *path = mac_root_path(node->box->root, CONFD_STORE_FILE);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, damages[i], NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        box_write(node->box, "/run/macula/config.pb", "the last good one");
        assert_int_equal(node_start_and_fail(node), 1);
        assert_file(node, "/etc/hostname", "kept\n");
        assert_file(node, "/run/macula/config.pb", "the last good one");
        assert_int_equal(node_boot(node), 1);
        assert_file(node, "/etc/hostname", "kept\n");
        assert_file(node, "/run/macula/config.pb", "the last good one");
        node_free(node);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_boot_phase_applies_and_leaves_the_document),
        cmocka_unit_test(options_that_the_node_refuses_are_left_out),
        cmocka_unit_test(without_any_generation_they_are_left_out_too),
        cmocka_unit_test(a_store_that_cannot_be_read_is_never_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
