/* What is served: names, their methods, and the way from a subject to a handler.
 *
 * A name ("config") has two subscriptions in a queue group, the bare subject and everything below, and, if it has
 * …Control procedures, a third one at the denial desk macula.denied.{realm}.config.>: the server sends a workload's
 * call of such a procedure there, whatever it says, so that it can be answered and audited but never executed. */
#include "bus-internal.h"

#include <errno.h>
#include <string.h>

#include "log/mac-log.h"

/* ---- requests ---- */

static bus_method *find_method(const bus_service *service, const char *name) {
    for (size_t i = 0; i < service->method_count; i++)
        if (strcmp(service->methods[i]->name, name) == 0)
            return service->methods[i];
    return NULL;
}

static void fail_unknown(mac_request *request, const bus_service *service, const char *name) {
    mac_autobuffer known = {0};
    for (size_t i = 0; i < service->method_count; i++)
        mac_buffer_printf(&known, "%s%s", i ? ", " : "", service->methods[i]->name);
    mac_request_fail(request, MACULA__V1__ERROR_CODE__NOT_FOUND, NULL, "%s has no procedure “%.64s”; there are: %s",
                     service->name, mac_utf8_valid(name, strlen(name)) ? name : "?", known.data);
}

static void on_request(bus_source *source, const bus_message *message, void *data) {
    bus_service *service = data;
    const char *name = bus_method_part(message->subject, service->prefix);
    if (!name)
        name = "status"; /* the bare subject */
    bus_method *method = find_method(service, name);
    mac_request *request = bus_request_new(source->bus, message, method);
    if (!bus_request_accept_reply(request))
        return;
    if (method)
        bus_request_invoke(request);
    else
        fail_unknown(request, service, name);
}

/* At the denial desk: answered and audited, whatever the body says. */
void bus_deny(mac_bus *bus, const bus_message *message, const char *service) {
    mac_autofree char *desk = mac_asprintf("macula.denied.%s.%s", bus->realm, service);
    const char *name = bus_method_part(message->subject, desk);
    if (!name || strlen(name) > BUS_NAME_MAX || !mac_utf8_valid(name, strlen(name)))
        name = "?";
    mac_autofree char *procedure = mac_asprintf("%s.%s", service, name);
    mac_request *request = bus_request_new(bus, message, NULL);
    bus_audit(bus, service, procedure, mac_request_caller(request), NULL, true, MACULA__V1__ERROR_CODE__DENIED);
    if (bus_request_accept_reply(request))
        mac_request_fail(request, MACULA__V1__ERROR_CODE__DENIED, NULL,
                         "%s needs the admin key: run as root or give --key", procedure);
}

static void on_denied(bus_source *source, const bus_message *message, void *data) {
    const bus_service *service = data;
    bus_deny(source->bus, message, service->name);
}

static void on_plain(bus_source *source, const bus_message *message, void *data) {
    bus_plain *plain = data;
    mac_bus *bus = source->bus;
    mac_request *request = bus_request_new(bus, message, NULL);
    if (!bus_request_accept_reply(request))
        return;
    if (message->too_large)
        mac_request_fail(request, MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                         "the request has %zu bytes: at most %u are read", message->length, MAC_BUS_PAYLOAD_MAX);
    else if (bus_request_take_on(request))
        plain->handler(request, plain->data);
}

/* ---- registering ---- */

static bus_service *find_service(const mac_bus *bus, const char *name) {
    for (bus_service *service = bus->services; service; service = service->next)
        if (strcmp(service->name, name) == 0)
            return service;
    return NULL;
}

static void service_listen(bus_service *service) {
    mac_bus *bus = service->bus;
    mac_autofree char *below = mac_asprintf("%s.>", service->prefix);
    service->sources[BUS_SOURCE_BARE] =
        bus_source_new_serving(bus, service->prefix, BUS_QUEUE_GROUP, on_request, service);
    service->sources[BUS_SOURCE_BELOW] = bus_source_new_serving(bus, below, BUS_QUEUE_GROUP, on_request, service);
}

static bus_service *service_new(mac_bus *bus, const char *name, const char *description) {
    bus_service *service = mac_calloc(1, sizeof *service);
    char id[23];
    bus_random_name(id);
    *service = (bus_service){.bus = bus,
                             .next = bus->services,
                             .name = mac_strdup(name),
                             .micro_name = mac_strdup(name),
                             .id = mac_strdup(id),
                             .prefix = mac_bus_subject(bus->realm, name, NULL),
                             .description = mac_strdup(description ? description : "")};
    for (char *c = service->micro_name; *c; c++)
        if (*c == '.')
            *c = '-';
    bus->services = service;
    service_listen(service);
    bus_micro_serve(service);
    return service;
}

static bus_method *method_new(bus_service *owner, ProtobufCService *service, unsigned index) {
    const ProtobufCMethodDescriptor *descriptor = &service->descriptor->methods[index];
    char *name = mac_bus_method_name(descriptor);
    bus_method *method = mac_malloc(sizeof *method);
    *method = (bus_method){.owner = owner,
                           .service = service,
                           .descriptor = descriptor,
                           .index = index,
                           .name = name,
                           .procedure = mac_asprintf("%s.%s", owner->name, name),
                           .subject = mac_bus_subject(owner->bus->realm, owner->name, name),
                           .control = mac_bus_is_control(service->descriptor)};
    return method;
}

static bool served_already(const bus_service *owner, const ProtobufCServiceDescriptor *descriptor) {
    for (unsigned i = 0; i < descriptor->n_methods; i++) {
        mac_autofree char *name = mac_bus_method_name(&descriptor->methods[i]);
        if (find_method(owner, name))
            return true;
    }
    return false;
}

static void service_extend(bus_service *owner, ProtobufCService *service) {
    size_t count = service->descriptor->n_methods;
    owner->methods = mac_realloc(owner->methods, (owner->method_count + count) * sizeof *owner->methods);
    for (unsigned i = 0; i < count; i++)
        owner->methods[owner->method_count++] = method_new(owner, service, i);
    if (owner->has_control || !mac_bus_is_control(service->descriptor))
        return;
    owner->has_control = true;
    mac_autofree char *desk = mac_asprintf("macula.denied.%s.%s.>", owner->bus->realm, owner->name);
    owner->sources[BUS_SOURCE_DENIED] = bus_source_new_serving(owner->bus, desk, BUS_QUEUE_GROUP, on_denied, owner);
}

int mac_bus_serve(mac_bus *bus, ProtobufCService *service, const char *instance, const char *description) {
    mac_autofree char *own_name = instance ? NULL : mac_bus_service_name(service->descriptor);
    const char *name = instance ? instance : own_name;
    bus_service *owner = find_service(bus, name);
    if (owner && served_already(owner, service->descriptor))
        return -EEXIST;
    if (!owner)
        owner = service_new(bus, name, description);
    service_extend(owner, service);
    return 0;
}

int mac_bus_answer_subject(mac_bus *bus, const char *subject, void (*handler)(mac_request *request, void *data),
                           void *data) {
    for (bus_plain *plain = bus->plains; plain; plain = plain->next)
        if (strcmp(plain->subject, subject) == 0)
            return -EEXIST;
    bus_plain *plain = mac_calloc(1, sizeof *plain);
    *plain =
        (bus_plain){.bus = bus, .next = bus->plains, .subject = mac_strdup(subject), .handler = handler, .data = data};
    plain->source = bus_source_new_serving(bus, subject, BUS_QUEUE_GROUP, on_plain, plain);
    bus->plains = plain;
    return 0;
}

/* ---- the end ---- */

static void service_free(bus_service *service) {
    for (size_t i = 0; i < service->method_count; i++) {
        bus_method *method = service->methods[i];
        free(method->name);
        free(method->procedure);
        free(method->subject);
        free(method->last_error);
        free(method);
    }
    for (size_t i = 0; i < MAC_ARRAY_SIZE(service->sources); i++)
        bus_source_free(service->sources[i]);
    free(service->methods);
    free(service->name);
    free(service->micro_name);
    free(service->id);
    free(service->prefix);
    free(service->description);
    free(service);
}

void bus_services_deinit(mac_bus *bus) {
    bus_service *next_service;
    for (bus_service *service = mac_take(&bus->services); service; service = next_service) {
        next_service = service->next;
        service_free(service);
    }
    bus_plain *next_plain;
    for (bus_plain *plain = mac_take(&bus->plains); plain; plain = next_plain) {
        next_plain = plain->next;
        bus_source_free(plain->source);
        free(plain->subject);
        free(plain);
    }
}
