/* The outbox: events survive kills of the server and of the process. */
#include "test-bus-node.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bus-internal.h"
#include "bus/mac-outbox.h"

typedef struct outbox_scene {
    test_node *node;
    char directory[64];
    char *path;
    mac_store *store;
    mac_outbox *outbox;
    unsigned heard, last;
} outbox_scene;

static void open_store(outbox_scene *scene) {
    const char *const migrations[] = {mac_outbox_schema};
    mac_error *error = NULL;
    assert_int_equal(mac_store_open(scene->path, migrations, 1, &scene->store, &error), 0);
}

static void on_event(const mac_event *event, void *data) {
    outbox_scene *scene = data;
    if (!event->is_protobuf)
        return;
    Macula__Test__Text *text = macula__test__text__unpack(NULL, event->length, event->data);
    assert_non_null(text);
    scene->heard++;
    scene->last = text->number;
    macula__test__text__free_unpacked(text, NULL);
}

static void kick_on_state(mac_bus *bus, mac_bus_state state, const mac_error *error, void *data) {
    (void)bus;
    (void)error;
    outbox_scene *scene = data;
    if (state == MAC_BUS_CONNECTED && scene->outbox)
        mac_outbox_kick(scene->outbox);
}

static mac_bus *publisher(outbox_scene *scene) {
    mac_bus *bus = mac_bus_new(&(mac_bus_options){.loop = &scene->node->loop,
                                                  .url = test_server_url(scene->node->server),
                                                  .name = "publisher",
                                                  .realm = TEST_REALM,
                                                  .on_state = kick_on_state,
                                                  .data = scene});
    mac_bus_start(bus);
    return bus;
}

static int setup(void **state) {
    outbox_scene *scene = mac_calloc(1, sizeof *scene);
    strcpy(scene->directory, "/tmp/macula-test-outbox-XXXXXX");
    assert_non_null(mkdtemp(scene->directory));
    scene->path = mac_asprintf("%s/store.db", scene->directory);
    open_store(scene);
    scene->node = test_node_new(NULL);
    scene->node->client = test_node_bus(scene->node, "listener", NULL, NULL);
    assert_int_equal(mac_bus_subscribe(scene->node->client, "macula.pub." TEST_REALM ".>", on_event, scene, NULL), 0);
    test_node_until_connected(scene->node, scene->node->client);
    scene->node->service = publisher(scene);
    scene->outbox = mac_outbox_new(scene->store, scene->node->service);
    *state = scene;
    return 0;
}

static int teardown(void **state) {
    outbox_scene *scene = *state;
    test_node_free(scene->node);
    mac_outbox_free(scene->outbox);
    mac_store_close(scene->store);
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(suffixes); i++) {
        mac_autofree char *path = mac_asprintf("%s%s", scene->path, suffixes[i]);
        unlink(path);
    }
    rmdir(scene->directory);
    free(scene->path);
    free(scene);
    return 0;
}

/* A change and its event in one transaction; returns the revision. */
static uint64_t add(outbox_scene *scene) {
    Macula__Test__Text event = MACULA__TEST__TEXT__INIT;
    assert_int_equal(mac_store_begin(scene->store), 0);
    uint64_t revision = mac_outbox_next_revision(scene->outbox);
    event.has_number = true;
    event.number = (uint32_t)revision;
    assert_int_equal(mac_outbox_add(scene->outbox, "thing.changed", &event.base), 0);
    assert_int_equal(mac_store_commit(scene->store), 0);
    return revision;
}

static void until_empty(outbox_scene *scene) {
    while (mac_outbox_count(scene->outbox) > 0)
        uv_run(&scene->node->loop, UV_RUN_ONCE);
}

static void events_are_published_in_order_and_then_deleted(void **state) {
    outbox_scene *scene = *state;
    for (unsigned i = 1; i <= 200; i++)
        assert_int_equal(add(scene), i);
    assert_int_equal(mac_outbox_count(scene->outbox), 200);
    mac_outbox_kick(scene->outbox); /* not connected yet: the connection kicks again */
    test_node_until_count(scene->node, &scene->heard, 200);
    assert_int_equal(scene->last, 200);
    until_empty(scene);
    assert_int_equal(scene->heard, 200);
}

static void a_revision_is_never_used_twice(void **state) {
    outbox_scene *scene = *state;
    assert_int_equal(mac_outbox_next_revision(scene->outbox), 1);
    add(scene);
    test_node_until_connected(scene->node, scene->node->service);
    until_empty(scene);
    mac_outbox_free(scene->outbox);
    mac_store_close(scene->store);
    open_store(scene);
    scene->outbox = mac_outbox_new(scene->store, scene->node->service);
    assert_int_equal(mac_outbox_next_revision(scene->outbox), 2);
    /* Rolled back: nobody has seen it. */
    Macula__Test__Text event = MACULA__TEST__TEXT__INIT;
    assert_int_equal(mac_store_begin(scene->store), 0);
    assert_int_equal(mac_outbox_add(scene->outbox, "thing.changed", &event.base), 0);
    assert_int_equal(mac_outbox_next_revision(scene->outbox), 3);
    mac_store_rollback(scene->store);
    assert_int_equal(mac_outbox_next_revision(scene->outbox), 2);
    assert_int_equal(mac_outbox_count(scene->outbox), 0);
}

static void events_wait_while_the_server_is_away(void **state) {
    outbox_scene *scene = *state;
    test_node_until_connected(scene->node, scene->node->service);
    for (unsigned round = 1; round <= 3; round++) {
        test_server_kill(scene->node->server);
        add(scene);
        mac_outbox_kick(scene->outbox); /* goes nowhere, and nobody says so */
        uv_run(&scene->node->loop, UV_RUN_NOWAIT);
        assert_int_equal(mac_outbox_count(scene->outbox), 1);
        test_server_again(scene->node->server);
        until_empty(scene);
        assert_true(mac_outbox_next_revision(scene->outbox) == round + 1);
    }
    /* The listener may have come back after the publisher: at most once for it. What the server had is what counts. */
}

static void another_process_publishes_what_a_dead_one_left(void **state) {
    outbox_scene *scene = *state;
    add(scene);
    mac_outbox_free(scene->outbox); /* died before it had a connection */
    mac_store_close(scene->store);
    open_store(scene);
    scene->outbox = mac_outbox_new(scene->store, scene->node->service);
    test_node_until_count(scene->node, &scene->heard, 1);
    until_empty(scene);
}

static void the_oldest_go_when_there_are_too_many(void **state) {
    outbox_scene *scene = *state;
    mac_outbox *silent = mac_outbox_new(scene->store, NULL);
    Macula__Test__Text event = MACULA__TEST__TEXT__INIT;
    assert_int_equal(mac_store_begin(scene->store), 0);
    for (unsigned i = 0; i < MAC_OUTBOX_MAX + 25; i++)
        assert_int_equal(mac_outbox_add(silent, "thing.changed", &event.base), 0);
    assert_int_equal(mac_store_commit(scene->store), 0);
    mac_outbox_kick(silent); /* without a bus: nothing */
    assert_int_equal(mac_outbox_count(silent), MAC_OUTBOX_MAX);
    assert_int_equal(mac_outbox_next_revision(silent), MAC_OUTBOX_MAX + 26);
    mac_outbox_free(silent);
}

static void a_store_that_cannot_delete_repeats_nothing_while_the_process_lives(void **state) {
    outbox_scene *scene = *state;
    add(scene);
    assert_int_equal(sqlite3_exec(mac_store_db(scene->store), "PRAGMA query_only = 1", NULL, NULL, NULL), SQLITE_OK);
    test_node_until_count(scene->node, &scene->heard, 1);
    test_answer flushed = {0};
    for (unsigned i = 0; i < 3; i++) {
        test_answer_clear(&flushed);
        mac_outbox_kick(scene->outbox);
        mac_bus_flush(scene->node->service, test_on_answer, &flushed);
        test_node_until(scene->node, &flushed.done);
    }
    test_answer_clear(&flushed);
    assert_int_equal(mac_outbox_count(scene->outbox), 1);
    assert_int_equal(sqlite3_exec(mac_store_db(scene->store), "PRAGMA query_only = 0", NULL, NULL, NULL), SQLITE_OK);
    add(scene);
    mac_outbox_kick(scene->outbox);
    until_empty(scene);
    test_node_until_count(scene->node, &scene->heard, 2);
    assert_int_equal(scene->heard, 2);
    assert_int_equal(scene->last, 2);
}

static void a_full_store_refuses_the_event_and_the_transaction_with_it(void **state) {
    outbox_scene *scene = *state;
    assert_int_equal(sqlite3_exec(mac_store_db(scene->store), "PRAGMA max_page_count = 20", NULL, NULL, NULL),
                     SQLITE_OK);
    Macula__Test__Text event = MACULA__TEST__TEXT__INIT;
    mac_autofree char *text = mac_calloc(1, 200001);
    memset(text, 'x', 200000);
    event.text = text;
    assert_int_equal(mac_store_begin(scene->store), 0);
    assert_int_equal(mac_outbox_add(scene->outbox, "thing.changed", &event.base), -ENOSPC);
    mac_store_rollback(scene->store);
    assert_int_equal(mac_outbox_count(scene->outbox), 0);
}

static void an_outbox_may_go_while_it_publishes(void **state) {
    outbox_scene *scene = *state;
    test_node_until_connected(scene->node, scene->node->service);
    add(scene);
    mac_outbox_kick(scene->outbox);
    mac_outbox_free(scene->outbox);
    scene->outbox = mac_outbox_new(scene->store, scene->node->service);
    add(scene);
    mac_outbox_kick(scene->outbox);
    test_node_close(scene->node, &scene->node->service); /* and the bus while it does */
    test_node_until_count(scene->node, &scene->heard, 2);
}

/* As if the server left so many PINGs without an answer that there is no room for another flush. */
static void fill(outbox_scene *scene) {
    scene->node->service->calls.pings += MAC_BUS_PENDING_MAX;
}

static void what_fails_beside_a_connection_is_tried_again_by_itself(void **state) {
    outbox_scene *scene = *state;
    test_node_until_connected(scene->node, scene->node->service);
    fill(scene);
    add(scene);
    mac_outbox_kick(scene->outbox);
    test_node_until_count(scene->node, &scene->heard, 2); /* published, not confirmed, published again */
    assert_int_equal(mac_outbox_count(scene->outbox), 1);
    scene->node->service->calls.pings -= MAC_BUS_PENDING_MAX;
    until_empty(scene); /* without another kick */
}

/* Neither pausing nor publishing: nothing that the bus would have to end. */
static void an_idle_outbox_outlives_its_bus(void **state) {
    outbox_scene *scene = *state;
    test_node_until_connected(scene->node, scene->node->service);
    add(scene);
    mac_outbox_kick(scene->outbox);
    until_empty(scene);
    test_node_close(scene->node, &scene->node->service);
    add(scene);
    mac_outbox_kick(scene->outbox);
    assert_int_equal(mac_outbox_count(scene->outbox), 1);
}

static void an_outbox_may_go_while_it_pauses(void **state) {
    outbox_scene *scene = *state;
    test_node_until_connected(scene->node, scene->node->service);
    fill(scene);
    for (unsigned i = 1; i <= 2; i++) {
        mac_outbox_free(scene->outbox);
        scene->outbox = mac_outbox_new(scene->store, scene->node->service);
        if (i == 1)
            add(scene);
        mac_outbox_kick(scene->outbox);
        test_node_until_count(scene->node, &scene->heard, i);
    }
    test_node_close(scene->node, &scene->node->service); /* and the bus */
    mac_outbox_kick(scene->outbox);
    assert_int_equal(mac_outbox_count(scene->outbox), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(events_are_published_in_order_and_then_deleted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revision_is_never_used_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(events_wait_while_the_server_is_away, setup, teardown),
        cmocka_unit_test_setup_teardown(another_process_publishes_what_a_dead_one_left, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_go_when_there_are_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_that_cannot_delete_repeats_nothing_while_the_process_lives, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_full_store_refuses_the_event_and_the_transaction_with_it, setup, teardown),
        cmocka_unit_test_setup_teardown(an_outbox_may_go_while_it_publishes, setup, teardown),
        cmocka_unit_test_setup_teardown(what_fails_beside_a_connection_is_tried_again_by_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(an_idle_outbox_outlives_its_bus, setup, teardown),
        cmocka_unit_test_setup_teardown(an_outbox_may_go_while_it_pauses, setup, teardown),
    };
    return cmocka_run_group_tests_name("the outbox", tests, NULL, NULL);
}
