/* The NATS micro-service protocol (ADR-32): every tool of NATS finds the node's services and their statistics.
 *
 * $SRV.{PING,INFO,STATS} is answered once for each service of the process; $SRV.{…}.{name} and $SRV.{…}.{name}.{id} for
 * the one meant. */
#include "bus-internal.h"

#include <jansson.h>
#include <string.h>

#include "codec/mac-codec.h"
#include "log/mac-log.h"

static json_t *common(const bus_service *service, const char *type) {
    return json_pack("{ss+ ss ss ss s{ss}}", "type", "io.nats.micro.v1.", type, "name", service->micro_name, "id",
                     service->id, "version", MACULA_VERSION, "metadata", "realm", service->bus->realm);
}

static json_t *info_of(const bus_service *service) {
    json_t *info = common(service, "info_response"), *endpoints = json_array();
    for (size_t i = 0; i < service->method_count; i++) {
        const bus_method *method = service->methods[i];
        json_array_append_new(endpoints, json_pack("{ss ss ss s{ss}}", "name", method->name, "subject", method->subject,
                                                   "queue_group", BUS_QUEUE_GROUP, "metadata", "control",
                                                   method->control ? "true" : "false"));
    }
    json_object_set_new(info, "description", json_string(service->description));
    json_object_set_new(info, "endpoints", endpoints);
    return info;
}

static json_t *stats_of(const bus_service *service) {
    json_t *stats = common(service, "stats_response"), *endpoints = json_array();
    char started[32];
    bus_rfc3339(service->bus->started_ms, started);
    for (size_t i = 0; i < service->method_count; i++) {
        const bus_method *method = service->methods[i];
        uint64_t average = method->requests ? method->nanoseconds / method->requests : 0;
        json_array_append_new(
            endpoints, json_pack("{ss ss ss sI sI ss sI sI}", "name", method->name, "subject", method->subject,
                                 "queue_group", BUS_QUEUE_GROUP, "num_requests", (json_int_t)method->requests,
                                 "num_errors", (json_int_t)method->errors, "last_error",
                                 method->last_error ? method->last_error : "", "processing_time",
                                 (json_int_t)method->nanoseconds, "average_processing_time", (json_int_t)average));
    }
    json_object_set_new(stats, "started", json_string(started));
    json_object_set_new(stats, "endpoints", endpoints);
    return stats;
}

/* NULL for a verb that the protocol does not have. */
static json_t *answer_of(const bus_service *service, const char *verb, size_t length) {
    if (length == 4 && memcmp(verb, "PING", 4) == 0)
        return common(service, "ping_response");
    if (length == 4 && memcmp(verb, "INFO", 4) == 0)
        return info_of(service);
    if (length == 5 && memcmp(verb, "STATS", 5) == 0)
        return stats_of(service);
    return NULL;
}

static void answer(const bus_service *service, const bus_message *message) {
    const char *verb = message->subject + strlen("$SRV.");
    mac_autoptr(json_t) tree = answer_of(service, verb, strcspn(verb, "."));
    mac_autofree char *text = tree ? json_dumps(tree, JSON_COMPACT) : NULL;
    int r = text ? bus_send(service->bus, message->reply, NULL, text, strlen(text), NULL, 0) : 0;
    if (r < 0)
        mac_log_debug("an answer of the micro-service protocol could not be sent", "error=" MAC_LOG_Q("%s"),
                      strerror(-r));
}

static void on_all(bus_source *source, const bus_message *message, void *data) {
    (void)data;
    if (mac_bus_is_inbox(message->reply))
        for (const bus_service *service = source->bus->services; service; service = service->next)
            answer(service, message);
}

static void on_one(bus_source *source, const bus_message *message, void *data) {
    (void)source;
    if (mac_bus_is_inbox(message->reply))
        answer(data, message);
}

void bus_micro_serve(bus_service *service) {
    static const char *const all[] = {"$SRV.PING", "$SRV.INFO", "$SRV.STATS"};
    mac_bus *bus = service->bus;
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bus->micro_sources); i++)
        if (!bus->micro_sources[i])
            bus->micro_sources[i] = bus_source_new_serving(bus, all[i], NULL, on_all, NULL);
    mac_autofree char *by_name = mac_asprintf("$SRV.*.%s", service->micro_name);
    mac_autofree char *by_id = mac_asprintf("$SRV.*.%s.%s", service->micro_name, service->id);
    service->sources[BUS_SOURCE_MICRO] = bus_source_new_serving(bus, by_name, NULL, on_one, service);
    service->sources[BUS_SOURCE_MICRO_ID] = bus_source_new_serving(bus, by_id, NULL, on_one, service);
}

void bus_micro_deinit(mac_bus *bus) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(bus->micro_sources); i++)
        bus_source_free(bus->micro_sources[i]);
}
