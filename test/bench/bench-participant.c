/* The smallest service there is: takes part in configuration changes by keeping one small file durably, as the services
 * do that render one. argv[1] is its name. Stands in for six of them in the benchmark of changes, and shows what a
 * service costs before it does anything. */
#include <stdio.h>
#include <string.h>

#include "macula/v1/config.pb-c.h"
#include "service/mac-service.h"

static mac_service *self;

static void participant_check(Macula__V1__Participant_Service *service, const Macula__V1__ParticipantRequest *input,
                              Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    (void)service;
    (void)input;
    Macula__V1__ParticipantAnswer answer = MACULA__V1__PARTICIPANT_ANSWER__INIT;
    closure(&answer, closure_data);
}

static void participant_apply(Macula__V1__Participant_Service *service, const Macula__V1__ParticipantRequest *input,
                              Macula__V1__ParticipantAnswer_Closure closure, void *closure_data) {
    (void)service;
    char text[64];
    int length = snprintf(text, sizeof text, "%llu\n", (unsigned long long)input->generation);
    mac_autofree char *path = mac_asprintf("/var/lib/maculaos/bench-%s", mac_bus_name(mac_service_bus(self)));
    if (mac_fs_write(mac_service_root(self), path, text, (size_t)length, MAC_FS_KEEP) < 0) {
        mac_request_fail(mac_request_from(closure_data), MACULA__V1__ERROR_CODE__INTERNAL, NULL, "cannot write");
        return;
    }
    Macula__V1__ParticipantAnswer answer = MACULA__V1__PARTICIPANT_ANSWER__INIT;
    closure(&answer, closure_data);
}

static mac_error *start(mac_service *service, void **ret_object) {
    static Macula__V1__Participant_Service participant = MACULA__V1__PARTICIPANT__INIT(participant_);
    *ret_object = self = service;
    mac_autofree char *instance = mac_asprintf("participant.%s", mac_bus_name(mac_service_bus(service)));
    if (mac_bus_serve(mac_service_bus(service), &participant.base, instance, "a service in a benchmark") < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "cannot serve %s", instance);
    return NULL;
}

static void free_nothing(void *object) {
    (void)object;
}

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    const mac_service_definition definition = {.name = argv[1],
                                               .description = "stands in for a service in a benchmark.",
                                               .start = start,
                                               .free = free_nothing};
    return mac_service_main(argc - 1, argv + 1, &definition);
}
