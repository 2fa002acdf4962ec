#include "confd-drift.h"

#include <string.h>

#include "confd-answer.h"
#include "log/mac-log.h"

void confd_drift_find(confd_manager *manager, confd_findings *findings, mac_problems *problems) {
    confd_context context = confd_manager_context(manager, manager->document, manager->document, CONFD_RUNTIME);
    confd_inspect_all(&context, findings, problems);
}

Macula__V1__ConfigDrift *confd_drift_message(const confd_findings *findings) {
    Macula__V1__ConfigDrift *drift = mac_malloc(sizeof *drift);
    macula__v1__config_drift__init(drift);
    drift->items = mac_calloc(findings->count + 1, sizeof *drift->items);
    drift->n_items = findings->count;
    for (size_t i = 0; i < findings->count; i++) {
        const confd_finding *finding = &findings->items[i];
        Macula__V1__DriftItem *item = mac_malloc(sizeof *item);
        macula__v1__drift_item__init(item);
        item->path = mac_strdup(finding->path);
        item->what = mac_strdup(finding->what);
        item->expected = mac_strdup(finding->expected);
        item->found = mac_strdup(finding->found);
        drift->items[i] = item;
    }
    return drift;
}

static void digest_findings(const confd_findings *findings, char ret_digest[65]) {
    mac_autobuffer text = {0};
    for (size_t i = 0; i < findings->count; i++)
        mac_buffer_printf(&text, "%s\n%s\n%s\n", findings->items[i].path, findings->items[i].what,
                          findings->items[i].found);
    mac_sha256_hex(text.data ? text.data : "", text.length, ret_digest);
}

void confd_drift_report(confd_manager *manager, const confd_findings *findings) {
    char digest[65] = "";
    if (findings->count)
        digest_findings(findings, digest);
    bool news = findings->count && strcmp(digest, manager->watch.drift_digest) != 0;
    memcpy(manager->watch.drift_digest, digest, sizeof digest);
    if (!news)
        return;
    mac_autostrings paths = {0};
    mac_autoptr(mac_problems) problems = mac_problems_new();
    for (size_t i = 0; i < findings->count; i++) {
        const confd_finding *finding = &findings->items[i];
        if (!mac_strings_contain(&paths, finding->path))
            mac_strings_add(&paths, finding->path);
        mac_problems_add(problems, MAC_PROBLEM_WARNING, NULL, finding->path, "%s: expected %s, found %s", finding->what,
                         finding->expected, finding->found);
    }
    Macula__V1__ConfigEvent *event = confd_event_new("", "the node is not as its configuration says", &paths);
    event->has_generation = true;
    event->generation = confd_manager_number(manager);
    confd_event_add_problems(event, problems);
    int result = confd_store_event(manager->store, "config.drift", event);
    if (result < 0)
        mac_log_warning("an event cannot be stored", "topic=config.drift error=" MAC_LOG_Q("%s"), strerror(-result));
    macula__v1__config_event__free_unpacked(event, NULL);
}
