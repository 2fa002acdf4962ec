/* The keys for the configuration of the bus, from real files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor-keyring.h"

#define ADMIN SUPERVISOR_IDENTITY "/admin.nk"

typedef struct box {
    char directory[64];
    supervisor_host host;
    mac_strings names;
    supervisor_keyring *ring;
    const mac_nats_key *keys;
} box;

static int set_up(void **state) {
    box *b = mac_calloc(1, sizeof *b);
    strcpy(b->directory, "/tmp/macula-test-XXXXXX");
    assert_non_null(mkdtemp(b->directory));
    assert_int_equal(mac_root_open(b->directory, false, &b->host.root), 0);
    assert_int_equal(mac_fs_mkdirs(b->host.root, SUPERVISOR_IDENTITY, 0700), 0);
    mac_strings_add(&b->names, "confd");
    mac_strings_add(&b->names, "admin");
    b->ring = supervisor_keyring_new(&b->host, &b->names);
    *state = b;
    return 0;
}

static int tear_down(void **state) {
    box *b = *state;
    mac_autoptr(mac_root) system = NULL;
    mac_root_close(b->host.root);
    assert_int_equal(mac_root_open(NULL, false, &system), 0);
    assert_int_equal(mac_fs_remove_tree(system, b->directory), 0);
    supervisor_keyring_free(b->ring);
    mac_strings_deinit(&b->names);
    free(b);
    return 0;
}

/* The public key of `name` as the ring has it; caller frees. */
static char *public_of(box *b, const char *name) {
    assert_null(supervisor_keyring_get(b->ring, &b->keys));
    for (const mac_nats_key *key = b->keys; key->name; key++)
        if (strcmp(key->name, name) == 0)
            return mac_strdup(key->public_key);
    return NULL;
}

static void put_key(box *b, const char *path, char ret_public[MAC_NKEY_PUBLIC_SIZE]) {
    char *seed = NULL;
    assert_int_equal(mac_nkey_load(b->host.root, path, true, &seed, ret_public), 0);
    mac_nkey_seed_free(seed);
}

static void keys_are_made_and_stay(void **state) {
    box *b = *state;
    mac_autofree char *first = public_of(b, "admin"), *again = public_of(b, "admin"), *other = public_of(b, "confd");
    char on_disk[MAC_NKEY_PUBLIC_SIZE];
    put_key(b, ADMIN, on_disk);
    assert_string_equal(first, on_disk);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    mac_autofree char *workloads = public_of(b, MAC_NATS_WORKLOAD_KEY);
    assert_non_null(workloads);
}

static void a_key_that_was_replaced_is_the_new_one(void **state) {
    box *b = *state;
    mac_autofree char *before = public_of(b, "admin");
    char fresh[MAC_NKEY_PUBLIC_SIZE];
    put_key(b, "/new.nk", fresh);
    mac_autofree char *from = mac_root_path(b->host.root, "/new.nk"), *to = mac_root_path(b->host.root, ADMIN);
    assert_int_equal(rename(from, to), 0);
    mac_autofree char *after = public_of(b, "admin");
    assert_string_equal(after, fresh);
    assert_string_not_equal(after, before);
}

static void a_key_that_was_removed_is_made_anew(void **state) {
    box *b = *state;
    mac_autofree char *before = public_of(b, "admin");
    assert_int_equal(mac_fs_remove(b->host.root, ADMIN), 0);
    mac_autofree char *after = public_of(b, "admin");
    assert_string_not_equal(after, before);
}

static void a_damaged_key_is_named_until_it_is_mended(void **state) {
    box *b = *state;
    mac_autofree char *before = public_of(b, "admin");
    assert_non_null(before);
    assert_int_equal(mac_fs_write(b->host.root, ADMIN, "SU", 2, MAC_FS_PRIVATE), 0);
    for (int i = 0; i < 2; i++) {
        mac_error *error = supervisor_keyring_get(b->ring, &b->keys);
        assert_non_null(error);
        assert_non_null(strstr(error->message, "admin.nk"));
        mac_error_free(error);
    }
    assert_int_equal(mac_fs_remove(b->host.root, ADMIN), 0);
    mac_autofree char *after = public_of(b, "admin");
    assert_string_not_equal(after, before);
}

static void too_many_are_refused(void **state) {
    box *b = *state;
    for (int i = 0; i < MAC_NATS_SERVICES_MAX; i++) {
        mac_autofree char *name = mac_asprintf("service%d", i);
        mac_strings_add(&b->names, name);
    }
    mac_error *error = supervisor_keyring_get(b->ring, &b->keys);
    assert_non_null(error);
    assert_int_equal(error->code, MACULA__V1__ERROR_CODE__EXHAUSTED);
    mac_error_free(error);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_are_made_and_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_that_was_replaced_is_the_new_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_that_was_removed_is_made_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_key_is_named_until_it_is_mended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_are_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
