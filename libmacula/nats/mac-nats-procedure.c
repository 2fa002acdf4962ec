#include "nats/mac-nats-internal.h"

#include <ctype.h>
#include <string.h>

#include "macula/v1/config.pb-c.h"

char *mac_nats_snake(const char *camel) {
    mac_autobuffer snake = {0};
    for (const char *c = camel; *c; c++) {
        if (isupper((unsigned char)*c) && c != camel)
            mac_buffer_text(&snake, "_");
        char lower = (char)tolower((unsigned char)*c);
        mac_buffer_append(&snake, &lower, 1);
    }
    return mac_buffer_take(&snake);
}

bool mac_nats_is_control(const ProtobufCServiceDescriptor *descriptor) {
    return mac_ends_with(descriptor->short_name, "Control");
}

char *mac_nats_service_name(const ProtobufCServiceDescriptor *descriptor) {
    size_t length = strlen(descriptor->short_name);
    if (mac_nats_is_control(descriptor))
        length -= strlen("Control");
    mac_autofree char *stem = mac_strndup(descriptor->short_name, length);
    return mac_nats_snake(stem);
}

static mac_nats_procedure *add(mac_nats_procedure **list, size_t *count) {
    *list = mac_realloc(*list, (*count + 1) * sizeof **list);
    (*list)[*count] = (mac_nats_procedure){0};
    return &(*list)[(*count)++];
}

static void add_service(const char *realm, const ProtobufCServiceDescriptor *service, bool internal,
                        mac_nats_procedure **list, size_t *count) {
    mac_autofree char *name = mac_nats_service_name(service);
    bool control = mac_nats_is_control(service);
    for (unsigned i = 0; i < service->n_methods; i++) {
        /* The bare subject of a service is its Status. */
        if (!control && strcmp(service->methods[i].name, "Status") == 0)
            add(list, count)->subject = mac_asprintf("macula.rpc.%s.%s", realm, name);
        mac_autofree char *method = mac_nats_snake(service->methods[i].name);
        *add(list, count) = (mac_nats_procedure){
            .subject = mac_asprintf("macula.rpc.%s.%s%s.%s", realm, name, internal ? ".*" : "", method),
            .control = control,
            .internal = internal,
        };
    }
}

size_t mac_nats_procedures(const char *realm, mac_nats_procedure **ret_list) {
    mac_nats_procedure *list = NULL;
    size_t count = 0;
    for (size_t i = 0; mac_api_services[i]; i++)
        add_service(realm, mac_api_services[i], false, &list, &count);
    add_service(realm, &macula__v1__participant__descriptor, true, &list, &count);
    *ret_list = list;
    return count;
}

void mac_nats_procedures_free(mac_nats_procedure *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(list[i].subject);
    free(list);
}
