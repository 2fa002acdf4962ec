#include "firstboot-naming.h"

#include <string.h>

#define STATE(name) MACULA__V1__NET_NAMING__STATE__##name
#define LIMIT_MS 5000u

static void take(firstboot_naming *naming, const Macula__V1__NetNaming *told) {
    bool known = told && (told->state == STATE(announced) || told->state == STATE(conflict)) && told->host;
    bool none = told && (told->state == STATE(off) || told->state == STATE(failed));
    const char *host = known ? told->host : NULL;
    if (none == naming->none && mac_streq(host, naming->host))
        return;
    free(naming->host);
    naming->host = mac_strdup(host);
    naming->none = none;
    naming->on_change(naming->data);
}

/* Without an answer nothing is known that was not before: netd tells when it is there. */
static void on_status(const Macula__V1__NetStatus *status, void *data) {
    firstboot_naming *naming = data;
    naming->asking = false;
    if (naming->stopped)
        return;
    if (status)
        take(naming, status->naming);
    if (naming->again)
        firstboot_naming_look(naming);
}

void firstboot_naming_look(firstboot_naming *naming) {
    Macula__V1__NetStatusRequest request = MACULA__V1__NET_STATUS_REQUEST__INIT;
    naming->again = naming->asking;
    if (naming->asking || naming->stopped)
        return;
    naming->asking = true;
    macula__v1__net__status(&naming->net.base, &request, on_status, naming);
}

static void on_event(const mac_event *event, void *data) {
    (void)event;
    firstboot_naming_look(data);
}

int firstboot_naming_init(firstboot_naming *naming, mac_bus *bus, const char *realm, void (*on_change)(void *data),
                          void *data) {
    mac_autofree char *subject = mac_asprintf("macula.pub.%s.net.naming", realm);
    *naming = (firstboot_naming){.on_change = on_change, .data = data};
    mac_client_init(&naming->net, bus, &macula__v1__net__descriptor, NULL);
    naming->net.deadline_ms = LIMIT_MS;
    return mac_bus_subscribe(bus, subject, on_event, naming, &naming->events);
}

void firstboot_naming_stop(firstboot_naming *naming) {
    naming->stopped = true;
}

void firstboot_naming_deinit(firstboot_naming *naming) {
    if (naming->events)
        mac_bus_unsubscribe(naming->events);
    free(naming->host);
    *naming = (firstboot_naming){0};
}
