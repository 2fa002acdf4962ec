/* Now and then: whether the node still is as its generation says (event config.drift), and ssh keys that come from
 * elsewhere. One timer, an hour; ten minutes while keys have never been fetched. */
#include "codec/mac-codec.h"
#include "confd-drift.h"
#include "confd-manager.h"
#include "log/mac-log.h"

#define WATCH_MS 3600000u
#define WATCH_SOON_MS 600000u
#define KEYS_EVERY 6 /* ticks of an hour */

static void on_keys(bool changed, const mac_problems *notes, void *data) {
    confd_manager *manager = data;
    manager->watch.refresh = NULL;
    protobuf_c_message_free_unpacked(mac_take(&manager->watch.document), NULL);
    for (size_t i = 0; i < mac_problems_count(notes); i++) {
        mac_autofree char *text = mac_problem_format(mac_problems_get(notes, i));
        mac_log_warning("ssh keys", "note=" MAC_LOG_Q("%s"), text);
    }
    if (changed)
        mac_log_info("ssh keys changed", NULL);
}

static void on_tick(uv_timer_t *timer);

static void start_timer(confd_manager *manager) {
    confd_context context = confd_manager_context(manager, manager->document, manager->document, CONFD_RUNTIME);
    uv_timer_start(&manager->watch_timer, on_tick, confd_ssh_keys_missing(&context) ? WATCH_SOON_MS : WATCH_MS, 0);
}

static void refresh_keys(confd_manager *manager) {
    confd_context context = confd_manager_context(manager, manager->document, manager->document, CONFD_RUNTIME);
    bool due = ++manager->watch.ticks % KEYS_EVERY == 0 || confd_ssh_keys_missing(&context);
    if (manager->change || manager->watch.refresh || !due)
        return;
    manager->watch.document = mac_codec_copy(&manager->document->message->base);
    context.document = context.previous = (Macula__V1__Document *)manager->watch.document;
    manager->watch.refresh = confd_ssh_keys_refresh(&context, on_keys, manager);
    if (!manager->watch.refresh)
        protobuf_c_message_free_unpacked(mac_take(&manager->watch.document), NULL);
}

static void on_tick(uv_timer_t *timer) {
    confd_manager *manager = timer->data;
    if (!manager->change) {
        confd_autofindings findings = {0};
        mac_autoptr(mac_problems) problems = mac_problems_new();
        confd_drift_find(manager, &findings, problems);
        confd_drift_report(manager, &findings);
    }
    refresh_keys(manager);
    start_timer(manager);
}

void confd_watch_start(confd_manager *manager) {
    start_timer(manager);
}

void confd_watch_stop(confd_manager *manager) {
    uv_timer_stop(&manager->watch_timer);
    if (manager->watch.refresh)
        confd_ssh_keys_refresh_cancel(manager->watch.refresh); /* on_keys still comes */
}
