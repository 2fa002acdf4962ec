#include "confd-manager.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "bus/mac-discover.h"
#include "confd-change.h"
#include "confd-edits.h"
#include "confd-pending.h"
#include "confd-power.h"
#include "confd-reset.h"
#include "confd-sys.h"
#include "confd-wish.h"
#include "log/mac-log.h"

#define LINK_RETRY_MS 50    /* between looks whether the bus is there, after a start */
#define LINK_LIMIT_MS 10000 /* then an interrupted change goes on without the other services */
#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

/* ---- small facts ---- */

uint64_t confd_boot_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t confd_manager_number(const confd_manager *manager) {
    return manager->generation ? manager->generation->number : 0;
}

confd_present confd_manager_present(const confd_manager *manager) {
    return (confd_present){.root = manager->root,
                           .seal = manager->seal,
                           .names = &manager->names,
                           .generation = manager->generation,
                           .document = manager->document,
                           .check = confd_check_document};
}

confd_context confd_manager_context(const confd_manager *manager, const confd_document *to, const confd_document *from,
                                    unsigned phase) {
    return (confd_context){.root = manager->root,
                           .sys = manager->sys,
                           .loop = manager->loop,
                           .seal = manager->seal,
                           .document = to->message,
                           .previous = from ? from->message : NULL,
                           .phase = phase};
}

/* ---- what is in force ---- */

int confd_manager_refresh(confd_manager *manager) {
    confd_autohead head = {0};
    confd_generation *generation = NULL;
    int result = manager->store ? confd_store_head(manager->store, &head) : 0;
    if (result == 0 && head.current)
        result = confd_store_load(manager->store, head.current, &generation);
    if (result < 0)
        mac_log_error("the generation in force cannot be read", "error=" MAC_LOG_Q("%s"), strerror(-result));
    if (!generation)
        return result;
    confd_generation_free(manager->generation);
    manager->generation = generation;
    return 0;
}

/* The resolved document for services that start: what they would have been told by Apply. The boot phase and every
 * start write it anew, so it is not worth waiting for the disk. */
static void write_resolved(confd_manager *manager) {
    size_t length = 0;
    struct stat status;
    if (!manager->store && mac_fs_stat(manager->root, CONFD_RESOLVED_FILE, &status) == 0)
        return; /* the last good one is better than what was made without the store */
    mac_autofree void *data = mac_codec_pack(&manager->document->message->base, &length);
    int result = mac_fs_mkdirs(manager->root, CONFD_RUN_DIR, 0755);
    if (result == 0)
        result = mac_fs_write(manager->root, CONFD_RESOLVED_FILE, data, length, MAC_FS_PRIVATE_AS(MAC_FS_RELAXED));
    if (result < 0)
        mac_log_error("the resolved configuration cannot be written",
                      "file=" CONFD_RESOLVED_FILE " error=" MAC_LOG_Q("%s"), strerror(-result));
}

confd_document *confd_manager_switch(confd_manager *manager, confd_document *document) {
    confd_document *before = manager->document;
    manager->document = document;
    free(mac_take(&manager->unusable));
    confd_manager_refresh(manager);
    write_resolved(manager);
    return before;
}

/* ---- opening ---- */

static char *find_boot_id(mac_root *root) {
    const char *given = getenv("MACULA_BOOT_ID"); /* tests: a power cut is a new boot id */
    char *text = NULL;
    size_t length = 0;
    if (given)
        return mac_strdup(given);
    mac_autoptr(mac_root) host = NULL;
    if (mac_fs_read(root, BOOT_ID_FILE, 64, &text, &length) < 0 &&
        (mac_root_open(NULL, false, &host) < 0 || mac_fs_read(host, BOOT_ID_FILE, 64, &text, &length) < 0))
        return mac_strdup("");
    text[strcspn(text, "\n")] = '\0';
    return text;
}

/* The node's own key and the key that seals secrets. Without them the boot goes on; a running confd needs both. */
static mac_error *open_keys(confd_manager *manager, bool boot) {
    char *seed = NULL;
    int result = mac_fs_mkdirs(manager->root, CONFD_IDENTITY_DIR, 0700);
    if (result == 0)
        result = mac_nkey_load(manager->root, CONFD_IDENTITY_DIR "/node.nk", true, &seed, manager->node_id);
    mac_nkey_seed_free(seed);
    const char *what = CONFD_IDENTITY_DIR "/node.nk";
    if (result == 0) {
        what = CONFD_IDENTITY_DIR "/seal.key";
        result = mac_seal_open_key(manager->root, what, true, &manager->seal);
    }
    if (result == 0)
        return NULL;
    if (!boot)
        return mac_error_from_errno(result, "%s cannot be read or made", what);
    mac_problems_add(manager->notes, MAC_PROBLEM_WARNING, &(mac_place){.file = what}, NULL,
                     "cannot be read or made: %s", strerror(-result));
    return NULL;
}

static mac_error *open_store(confd_manager *manager, bool boot) {
    mac_error *error = NULL;
    if (confd_store_open(manager->root, &manager->store, &error) == 0)
        return NULL;
    if (!boot)
        return error;
    mac_problems_add(manager->notes, MAC_PROBLEM_ERROR, &(mac_place){.file = CONFD_STORE_FILE}, NULL, "%s",
                     error->message);
    mac_error_free(error);
    return NULL;
}

mac_error *confd_manager_open(confd_manager *manager, bool boot) {
    manager->notes = mac_problems_new();
    manager->boot_id = find_boot_id(manager->root);
    manager->sys = confd_sys_new(manager->root, manager->loop);
    mac_error *error = open_keys(manager, boot);
    if (!error)
        error = open_store(manager, boot);
    if (error)
        return error;
    int result = confd_names_load(manager->root, manager->node_id, &manager->names);
    if (result < 0)
        mac_problems_add(manager->notes, MAC_PROBLEM_WARNING, NULL, NULL,
                         "the suffix of this node cannot be kept, it may be another one after the next boot: %s",
                         strerror(-result));
    confd_units_load(manager->notes, &manager->units);
    return NULL;
}

void confd_manager_close(confd_manager *manager) {
    confd_generation_free(manager->generation);
    confd_document_free(manager->document);
    confd_store_close(manager->store);
    mac_seal_free(manager->seal);
    if (manager->sys)
        confd_sys_free(manager->sys);
    confd_names_deinit(&manager->names);
    confd_units_deinit(&manager->units);
    mac_problems_free(manager->notes);
    confd_edits_deinit(manager);
    free(manager->unusable);
    free(manager->boot_id);
}

/* ---- after the start ---- */

static void on_start_applied(confd_change *change, const mac_error *error, void *data) {
    (void)data;
    confd_manager *manager = change->manager;
    mac_problems_join(manager->notes, change->notes);
    for (size_t i = 0; i < mac_problems_count(change->notes); i++) {
        mac_autofree char *text = mac_problem_format(mac_problems_get(change->notes, i));
        mac_log_warning("applied with a note", "note=" MAC_LOG_Q("%s"), text);
    }
    if (error && !manager->stopping) {
        /* A change that a crash interrupted cannot be finished: the configuration before it comes back. */
        mac_error *obstacle = confd_pending_revert(manager, NULL, error->message, NULL, NULL);
        if (obstacle)
            mac_log_error("the interrupted change can be neither finished nor taken back",
                          "reason=" MAC_LOG_Q("%s") " obstacle=" MAC_LOG_Q("%s"), error->message, obstacle->message);
        mac_error_free(obstacle);
    } else if (!error) {
        mac_log_info("configuration applied", "generation=%llu", (unsigned long long)confd_manager_number(manager));
        confd_pending_arm(manager);
        confd_watch_start(manager);
    }
    confd_wishes_go_on(manager);
}

/* The document that was in force before an interrupted change; NULL when there was none. */
static confd_document *document_before(confd_manager *manager, const confd_head *head) {
    mac_autoptr(confd_generation) before = NULL;
    mac_autoptr(mac_problems) ignored = mac_problems_new();
    confd_document *document = NULL;
    if (!head->applying || !head->came_from || confd_store_load(manager->store, head->came_from, &before) < 0 ||
        confd_document_from_tree(before->document, &manager->names, ignored, &document) < 0)
        return NULL;
    return document;
}

static void begin_start(confd_manager *manager) {
    confd_autohead head = {0};
    confd_document *before = confd_store_head(manager->store, &head) == 0 ? document_before(manager, &head) : NULL;
    confd_change_start(manager, before, head.came_from > head.current, on_start_applied, NULL);
}

/* Until the bus is there: for an interrupted change that concerns other services, and for events that wait. */
static void on_link_timer(uv_timer_t *timer) {
    confd_manager *manager = timer->data;
    bool connected = mac_bus_current_state(manager->bus) == MAC_BUS_CONNECTED;
    if (manager->change && (connected || confd_boot_ms() > manager->started_boot_ms + LINK_LIMIT_MS))
        confd_change_bus_seen(manager->change);
    if (!connected)
        return;
    mac_outbox_kick(confd_store_outbox(manager->store));
    if (mac_outbox_count(confd_store_outbox(manager->store)) == 0)
        uv_timer_stop(timer);
}

static void on_event_stored(void *data) {
    confd_manager *manager = data;
    if (!uv_is_active((uv_handle_t *)&manager->link_timer) && !manager->stopping)
        uv_timer_start(&manager->link_timer, on_link_timer, LINK_RETRY_MS, LINK_RETRY_MS);
}

static void init_timer(confd_manager *manager, uv_timer_t *timer) {
    uv_timer_init(manager->loop, timer);
    timer->data = manager;
    manager->handles++;
}

static mac_error *serve(confd_manager *manager) {
    int result = confd_methods_serve(manager);
    if (result == 0)
        result = confd_control_methods_serve(manager);
    if (result == 0)
        result = confd_node_methods_serve(manager);
    if (result == 0)
        result = mac_discover_serve(manager->bus);
    return result < 0 ? mac_error_from_errno(result, "the procedures cannot be served") : NULL;
}

mac_error *confd_manager_start(mac_service *service, void **ret_object) {
    confd_manager *manager = mac_calloc(1, sizeof *manager);
    manager->service = service;
    manager->loop = mac_service_loop(service);
    manager->bus = mac_service_bus(service);
    manager->root = mac_service_root(service);
    manager->realm = mac_service_realm(service);
    init_timer(manager, &manager->pending_timer);
    init_timer(manager, &manager->link_timer);
    init_timer(manager, &manager->watch_timer);
    init_timer(manager, &manager->power_timer);
    *ret_object = manager; /* also of a start that fails: free() takes it apart */
    mac_error *error = confd_manager_open(manager, false);
    if (!error)
        error = confd_start_load(manager);
    if (error)
        return error;
    confd_store_attach_bus(manager->store, manager->bus, on_event_stored, manager);
    confd_reset_tell(manager);
    error = serve(manager);
    if (error)
        return error;
    manager->started_boot_ms = confd_boot_ms();
    begin_start(manager);
    uv_timer_start(&manager->link_timer, on_link_timer, 0, LINK_RETRY_MS);
    confd_power_arm(manager);
    return NULL;
}

/* ---- the end ---- */

/* A change that runs is taken back first; its caller is told. */
static void on_stop_poll(uv_timer_t *timer) {
    confd_manager *manager = timer->data;
    if (manager->change || manager->watch.refresh || manager->hashing_count)
        return;
    uv_timer_stop(timer);
    mac_service_stopped(manager->service);
}

void confd_manager_stop(mac_service *service, void *object) {
    confd_manager *manager = object;
    manager->stopping = true;
    confd_pending_disarm(manager);
    confd_watch_stop(manager);
    confd_wishes_cancel(manager, "confd is about to end: try again in a moment");
    if (manager->change)
        confd_change_cancel(manager->change, "confd is about to end");
    if (!manager->change && !manager->watch.refresh && !manager->hashing_count) {
        mac_service_stopped(service);
        return;
    }
    uv_timer_start(&manager->link_timer, on_stop_poll, 10, 10);
}

static void on_handle_closed(uv_handle_t *handle) {
    confd_manager *manager = handle->data;
    if (--manager->handles == 0)
        free(manager);
}

/* The bus is gone when this is called; the handles close with the loop's last turns. */
void confd_manager_free(void *object) {
    confd_manager *manager = object;
    confd_manager_close(manager);
    uv_close((uv_handle_t *)&manager->pending_timer, on_handle_closed);
    uv_close((uv_handle_t *)&manager->link_timer, on_handle_closed);
    uv_close((uv_handle_t *)&manager->watch_timer, on_handle_closed);
    uv_close((uv_handle_t *)&manager->power_timer, on_handle_closed);
}
