#include "upgrader-manager.h"

#include <string.h>
#include <time.h>

#include "log/mac-log.h"
#include "upgrader-job.h"
#include "upgrader-trial.h"

#define LINK_RETRY_MS 100
#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

uint64_t upgrader_boot_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static char *find_boot_id(void) {
    const char *given = getenv("MACULA_BOOT_ID"); /* tests: a power cut is a new boot id */
    char *text = NULL;
    mac_autoptr(mac_root) host = NULL;
    if (given)
        return mac_strdup(given);
    if (mac_root_open(NULL, false, &host) < 0 || mac_fs_read(host, BOOT_ID_FILE, 64, &text, NULL) < 0)
        return mac_strdup("");
    text[strcspn(text, "\n")] = '\0';
    return text;
}

void upgrader_manager_timer(upgrader_manager *manager, uv_timer_t *timer) {
    uv_timer_init(manager->loop, timer);
    timer->data = manager;
    manager->handles++;
}

/* ---- what waits for the bus ---- */

static void on_link_timer(uv_timer_t *timer) {
    upgrader_manager *manager = timer->data;
    if (mac_bus_current_state(manager->bus) != MAC_BUS_CONNECTED)
        return;
    uv_timer_stop(timer);
    upgrader_store_kick(manager->store);
    upgrader_trial_connected(manager);
    upgrader_job_connected(manager);
}

void upgrader_manager_kick(upgrader_manager *manager) {
    upgrader_store_kick(manager->store);
    if (mac_bus_current_state(manager->bus) != MAC_BUS_CONNECTED && !manager->stopping &&
        !uv_is_active((uv_handle_t *)&manager->link_timer))
        uv_timer_start(&manager->link_timer, on_link_timer, LINK_RETRY_MS, LINK_RETRY_MS);
}

/* ---- the start ---- */

static mac_error *serve(upgrader_manager *manager) {
    int result = upgrader_methods_serve(manager);
    if (result == 0)
        result = upgrader_control_methods_serve(manager);
    if (result == 0)
        result = upgrader_settings_serve(manager);
    return result < 0 ? mac_error_from_errno(result, "the procedures cannot be served") : NULL;
}

static void init_clients(upgrader_manager *manager) {
    mac_client_init(&manager->config, manager->bus, &macula__v1__config__descriptor, NULL);
    mac_client_init(&manager->config_control, manager->bus, &macula__v1__config_control__descriptor, NULL);
    mac_client_init(&manager->node_control, manager->bus, &macula__v1__node_control__descriptor, NULL);
    mac_client_init(&manager->health, manager->bus, &macula__v1__health__descriptor, NULL);
    manager->config_control.deadline_ms = 60000;
}

mac_error *upgrader_manager_start(mac_service *service, void **ret_object) {
    upgrader_manager *manager = mac_calloc(1, sizeof *manager);
    manager->service = service;
    manager->loop = mac_service_loop(service);
    manager->bus = mac_service_bus(service);
    manager->root = mac_service_root(service);
    manager->boot_id = find_boot_id();
    upgrader_manager_timer(manager, &manager->link_timer);
    upgrader_manager_timer(manager, &manager->auto_timer);
    upgrader_manager_timer(manager, &manager->job.retry);
    upgrader_manager_timer(manager, &manager->trial.timer);
    *ret_object = manager; /* also of a start that fails: free() takes it apart */
    mac_error *error = NULL;
    if (upgrader_store_open(manager->root, &manager->store, &error) < 0)
        return error;
    upgrader_store_attach_bus(manager->store, manager->bus);
    upgrader_settings_load(manager);
    init_clients(manager);
    error = serve(manager);
    if (error)
        return error;
    /* What a crash or a start of another version left, before anything new is done. */
    upgrader_trial_recover(manager);
    upgrader_job_recover(manager);
    uv_timer_start(&manager->link_timer, on_link_timer, 0, LINK_RETRY_MS);
    upgrader_auto_start(manager);
    return NULL;
}

/* ---- the end ---- */

void upgrader_manager_worker_ended(upgrader_manager *manager) {
    if (manager->stopping && !manager->job.worker && !manager->check.worker && !manager->questions)
        mac_service_stopped(manager->service);
}

/* A job is not cancelled by that: the next start goes on with it. */
void upgrader_manager_stop(mac_service *service, void *object) {
    upgrader_manager *manager = object;
    (void)service;
    manager->stopping = true;
    uv_timer_stop(&manager->link_timer);
    upgrader_auto_stop(manager);
    upgrader_job_stop(manager);
    upgrader_trial_stop(manager);
    if (manager->check.worker)
        mac_worker_cancel(manager->check.worker);
    upgrader_methods_stop(manager);
    upgrader_manager_worker_ended(manager);
}

static void on_handle_closed(uv_handle_t *handle) {
    upgrader_manager *manager = handle->data;
    if (--manager->handles == 0)
        free(manager);
}

void upgrader_manager_free(void *object) {
    upgrader_manager *manager = object;
    upgrader_store_close(manager->store);
    upgrader_job_deinit(&manager->job);
    upgrader_trial_deinit(&manager->trial);
    upgrader_settings_deinit(manager);
    free(manager->boot_id);
    free(manager->check_error);
    uv_close((uv_handle_t *)&manager->link_timer, on_handle_closed);
    uv_close((uv_handle_t *)&manager->auto_timer, on_handle_closed);
    uv_close((uv_handle_t *)&manager->job.retry, on_handle_closed);
    uv_close((uv_handle_t *)&manager->trial.timer, on_handle_closed);
}
