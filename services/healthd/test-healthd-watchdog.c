/* What ends the feeding, how often, and when that is forgotten: with a clock that is a number, a watchdog that is only
 * written down, and starts of the machine that are a new manager over the same files. */
#include "test-bus-node.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "healthd-watchdog.h"

#define UNIX 1700000000000

static uint64_t now;

uint64_t healthd_boot_ms(void) {
    return now;
}

static struct {
    test_node *node;
    char *directory;
    healthd_manager manager;
    healthd_check *netd;
} scene;

static void machine_start(void) {
    healthd_manager *manager = &scene.manager;
    mac_autoptr(mac_problems) none = mac_problems_new();
    memset(manager, 0, sizeof *manager);
    now = 1000;
    assert_int_equal(mac_root_open(scene.directory, true, &manager->root), 0);
    assert_int_equal(mac_fs_mkdirs(manager->root, HEALTHD_DIRECTORY, 0700), 0);
    assert_int_equal(mac_fs_mkdirs(manager->root, "/run/macula", 0700), 0);
    manager->loop = &scene.node->loop;
    manager->bus = scene.node->client;
    manager->sys = healthd_sys_new(manager->root, manager->loop);
    manager->standing_boot = now;
    manager->plan = healthd_plan_new(NULL, none);
    scene.netd = healthd_plan_add_service(manager->plan, "netd");
    healthd_history_init(&manager->history, manager->root);
    healthd_kept_load(manager);
    manager->gate.state = HEALTHD_GATE_PASSED;
    uv_timer_init(manager->loop, &manager->timer);
    manager->timer.data = manager;
    for (size_t i = 0; i < manager->plan->count; i++)
        healthd_check_set(manager->plan->checks[i], true, "well", now, UNIX);
    healthd_watchdog_apply(manager);
    healthd_manager_consider(manager);
}

static void machine_stop(void) {
    healthd_manager *manager = &scene.manager;
    manager->stopping = true; /* the bus may yet answer it */
    uv_close((uv_handle_t *)&manager->timer, NULL);
    uv_run(manager->loop, UV_RUN_NOWAIT);
    healthd_sys_free(manager->sys);
    healthd_plan_free(manager->plan);
    healthd_gate_deinit(&manager->gate);
    mac_strings_deinit(&manager->reasons);
    free(manager->boot_id);
    free(manager->watchdog.why);
    free(manager->watchdog.mercy);
    free(manager->watchdog.device);
    mac_root_close(manager->root);
}

static int set_up(void **state) {
    (void)state;
    scene.node = test_node_new(NULL);
    scene.node->client = test_node_bus(scene.node, "healthd", NULL, NULL);
    test_node_until_connected(scene.node, scene.node->client);
    scene.directory = mac_asprintf("%s/root", test_server_directory(scene.node->server));
    machine_start();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    machine_stop();
    free(mac_take(&scene.directory));
    test_node_free(scene.node);
    return 0;
}

static void machine_restart(void) {
    machine_stop();
    machine_start();
}

static void after(uint64_t ms) {
    now += ms;
    healthd_manager_consider(&scene.manager);
}

static void netd_is(bool good) {
    healthd_check_set(scene.netd, good, good ? "ready" : "gave up", now, UNIX);
    healthd_manager_consider(&scene.manager);
}

static void break_netd_for_so_long(void) {
    netd_is(false);
    after(HEALTHD_STARVE_MS);
}

static bool is_fed(const char *because) {
    Macula__V1__HealthWatchdog said;
    healthd_watchdog_fill(&scene.manager, &said);
    if (because)
        assert_non_null(strstr(said.message, because));
    else
        assert_null(said.message);
    return said.fed;
}

/* Where kept.json would be is a directory: nothing can be kept, also not by root. */
static void keeping(bool possible) {
    mac_autofree char *path = mac_asprintf("%s" HEALTHD_DIRECTORY "/kept.json", scene.directory);
    if (possible) {
        assert_int_equal(rmdir(path), 0);
        return;
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
}

static unsigned told(const char *to) {
    Macula__V1__HealthHistory *history = healthd_history_read(&scene.manager.history, 0, 100, NULL);
    unsigned count = 0;
    for (size_t i = 0; i < history->n_entries; i++)
        if (history->entries[i]->what == MACULA__V1__HEALTH_ENTRY__WHAT__watchdog)
            count += mac_streq(history->entries[i]->to, to);
    macula__v1__health_history__free_unpacked(history, NULL);
    return count;
}

static void what_stays_broken_for_five_minutes_ends_the_feeding(void **state) {
    (void)state;
    netd_is(false);
    assert_int_equal(scene.manager.turn_boot, now + HEALTHD_STARVE_MS);
    after(HEALTHD_STARVE_MS - 1);
    assert_true(is_fed(NULL));
    assert_int_equal(scene.manager.starved, 0);
    after(1);
    assert_false(is_fed("not fed any more, the machine restarts: service.netd: gave up"));
    assert_int_equal(scene.manager.meal_boot, 0);
    assert_int_equal(told("starving"), 1);
    after(1000);
    assert_int_equal(scene.manager.starved, 1); /* once, however often it is looked at */
    machine_restart();
    assert_int_equal(scene.manager.starved, 1);
}

static void what_is_well_again_in_time_is_no_reason(void **state) {
    (void)state;
    netd_is(false);
    after(HEALTHD_STARVE_MS - 1);
    netd_is(true);
    after(HEALTHD_STARVE_MS);
    assert_true(is_fed(NULL));
    assert_int_equal(scene.manager.starved, 0);
}

static void what_was_silenced_is_given_five_minutes_from_then_on(void **state) {
    (void)state;
    scene.netd->silent_until_boot = now + 2 * HEALTHD_STARVE_MS;
    scene.netd->is_silenced = true;
    netd_is(false);
    after(2 * HEALTHD_STARVE_MS);
    assert_int_equal(scene.manager.turn_boot, now + HEALTHD_STARVE_MS);
    after(HEALTHD_STARVE_MS - 1);
    assert_true(is_fed(NULL));
    after(1);
    assert_false(is_fed("restarts"));
}

/* A silence of netd as an earlier healthd has kept it, with two hours left of it then. */
static void start_with_silence(const char *boot_id, int64_t until_ms, uint64_t until_boot_ms) {
    mac_autofree char *kept = mac_asprintf(
        "{\"boot_id\": \"%s\", \"checks\": [{\"name\": \"service.netd\", \"silent_until_ms\": %lld, "
        "\"silent_until_boot_ms\": %llu, \"silent_left_ms\": %llu}]}",
        boot_id, (long long)until_ms, (unsigned long long)until_boot_ms, (unsigned long long)(2 * HEALTHD_HOUR_MS));
    assert_int_equal(
        mac_fs_write(scene.manager.root, HEALTHD_DIRECTORY "/kept.json", kept, strlen(kept), MAC_FS_PRIVATE), 0);
    machine_restart();
}

/* A clock without a battery stands three weeks back after a power cut. */
static void a_silence_that_is_kept_is_no_longer_than_it_was(void **state) {
    (void)state;
    start_with_silence("before", mac_unix_ms() + 21 * 24 * (int64_t)HEALTHD_HOUR_MS, 9000000000);
    assert_int_equal(scene.netd->silent_until_boot, now + 2 * HEALTHD_HOUR_MS);
    assert_true(scene.netd->is_silenced);
}

static void a_clock_that_was_set_does_not_end_a_silence(void **state) {
    (void)state;
    mac_autofree char *same = mac_strdup(scene.manager.boot_id);
    start_with_silence(same, 1, now + HEALTHD_HOUR_MS);
    assert_int_equal(scene.netd->silent_until_boot, now + HEALTHD_HOUR_MS);
}

static void after_three_starts_it_is_fed_all_the_same(void **state) {
    (void)state;
    for (unsigned start = 1; start <= HEALTHD_STARVE_TIMES; start++) {
        break_netd_for_so_long();
        assert_false(is_fed("restarts"));
        machine_restart();
        assert_int_equal(scene.manager.starved, start);
    }
    break_netd_for_so_long();
    assert_true(is_fed("not restarted any more: 3 starts in a row have not mended service.netd"));
    assert_int_equal(told("fed"), 1);
    after(HEALTHD_WELL_MS);
    assert_true(is_fed("not restarted any more"));
    assert_int_equal(told("fed"), 1); /* said once */
    netd_is(true);
    assert_true(is_fed(NULL));
}

/* Else the next start would read the old count, and so would each after it. */
static void a_restart_that_cannot_be_counted_is_not_made(void **state) {
    (void)state;
    keeping(false);
    break_netd_for_so_long();
    assert_true(is_fed("not restarted, though service.netd stays broken: such restarts cannot be counted (Is a dir"));
    assert_int_equal(scene.manager.starved, 0);
    assert_int_equal(scene.manager.turn_boot, now + HEALTHD_RETRY_MS);
    after(HEALTHD_RETRY_MS);
    assert_true(is_fed("cannot be counted"));
    assert_int_equal(told("fed"), 1);
    keeping(true);
    after(HEALTHD_RETRY_MS);
    assert_false(is_fed("restarts"));
    machine_restart();
    assert_int_equal(scene.manager.starved, 1);
}

static void a_count_that_cannot_be_read_may_have_been_the_last(void **state) {
    (void)state;
    keeping(false);
    machine_restart();
    keeping(true);
    break_netd_for_so_long();
    assert_true(is_fed("not restarted any more"));
    netd_is(true);
    after(HEALTHD_WELL_MS);
    assert_int_equal(scene.manager.starved, 0);
}

static void a_node_that_runs_from_memory_cannot_count_either(void **state) {
    (void)state;
    scene.manager.in_memory = true;
    break_netd_for_so_long();
    assert_true(is_fed("the node runs from memory"));
}

static void without_a_device_the_same_holds_for_the_restart_by_way_of_init(void **state) {
    (void)state;
    mac_autofree char *text = NULL;
    scene.manager.watchdog.open = scene.manager.watchdog.fed = false;
    keeping(false);
    break_netd_for_so_long();
    assert_int_equal(mac_fs_read(scene.manager.root, HEALTHD_RECORD, 4096, &text, NULL), 0);
    assert_null(strstr(text, "reboot"));
    keeping(true);
    after(HEALTHD_RETRY_MS);
    free(mac_take(&text));
    assert_int_equal(mac_fs_read(scene.manager.root, HEALTHD_RECORD, 4096, &text, NULL), 0);
    assert_non_null(strstr(text, "reboot service.netd"));
    machine_restart();
    assert_int_equal(scene.manager.starved, 1);
}

static void nothing_is_counted_where_nothing_would_restart_the_machine(void **state) {
    (void)state;
    scene.manager.watchdog.open = scene.manager.watchdog.fed = false;
    scene.manager.plan->watchdog.software = false;
    break_netd_for_so_long();
    assert_int_equal(scene.manager.starved, 0);
}

static void ten_minutes_as_a_node_forget_the_starts(void **state) {
    (void)state;
    break_netd_for_so_long();
    machine_restart();
    assert_int_equal(scene.manager.turn_boot, now + HEALTHD_WELL_MS);
    after(HEALTHD_WELL_MS - 1);
    assert_int_equal(scene.manager.starved, 1);
    after(1);
    assert_int_equal(scene.manager.starved, 0);
    machine_restart();
    assert_int_equal(scene.manager.starved, 0);
}

/* Else starts that are months apart would add up, and the protection would end one day. */
static void a_degraded_node_forgets_them_too(void **state) {
    (void)state;
    break_netd_for_so_long();
    machine_restart();
    healthd_check *space = healthd_plan_find(scene.manager.plan, "node.space");
    for (unsigned minute = 0; minute < 10; minute++) { /* also one that is degraded now and then */
        healthd_check_set(space, minute % 4 > 1, "91 % used", now, UNIX);
        after(60000);
    }
    assert_int_equal(scene.manager.state, HEALTHD_NODE(degraded));
    assert_int_equal(scene.manager.starved, 0);
}

static void a_failed_node_does_not_forget_them(void **state) {
    (void)state;
    break_netd_for_so_long();
    machine_restart();
    after(HEALTHD_WELL_MS / 2);
    netd_is(false);
    after(1000);
    netd_is(true); /* from here on anew */
    after(HEALTHD_WELL_MS - 1);
    assert_int_equal(scene.manager.starved, 1);
    after(1);
    assert_int_equal(scene.manager.starved, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_stays_broken_for_five_minutes_ends_the_feeding),
        TEST(what_is_well_again_in_time_is_no_reason),
        TEST(what_was_silenced_is_given_five_minutes_from_then_on),
        TEST(a_silence_that_is_kept_is_no_longer_than_it_was),
        TEST(a_clock_that_was_set_does_not_end_a_silence),
        TEST(after_three_starts_it_is_fed_all_the_same),
        TEST(a_restart_that_cannot_be_counted_is_not_made),
        TEST(a_count_that_cannot_be_read_may_have_been_the_last),
        TEST(a_node_that_runs_from_memory_cannot_count_either),
        TEST(without_a_device_the_same_holds_for_the_restart_by_way_of_init),
        TEST(nothing_is_counted_where_nothing_would_restart_the_machine),
        TEST(ten_minutes_as_a_node_forget_the_starts),
        TEST(a_degraded_node_forgets_them_too),
        TEST(a_failed_node_does_not_forget_them),
    };
    return cmocka_run_group_tests_name("healthd watchdog", tests, NULL, NULL);
}
