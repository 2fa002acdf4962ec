/* Standing in for a service that does not run.
 *
 * The server tells who asks for what nobody listens to so at once, with an empty message of status 503. It does not
 * tell a workload: to it an import counts as somebody who listens, so calls of a service that is down, also those that
 * would be denied, would wait for their time-out. Whoever stands in says what the server would have said, and at the
 * denial desk what the service would. In the queue group of the service, so that a request is answered once, by either.
 */
#include "bus-internal.h"

#include <string.h>

struct bus_absent {
    mac_bus *bus;
    bus_absent *next;
    char *name;
    bus_source *bare, *below, *desk;
};

static void on_request(bus_source *source, const bus_message *message, void *data) {
    (void)data;
    if (mac_bus_is_inbox(message->reply))
        (void)!bus_send_unserved(source->bus, message->reply); /* without a connection nobody waits any more */
}

static void on_denied(bus_source *source, const bus_message *message, void *data) {
    const bus_absent *absent = data;
    bus_deny(source->bus, message, absent->name);
}

static bus_absent **find(mac_bus *bus, const char *service) {
    bus_absent **link = &bus->absents;
    while (*link && strcmp((*link)->name, service) != 0)
        link = &(*link)->next;
    return link;
}

void mac_bus_stand_in(mac_bus *bus, const char *service) {
    if (bus->closing || *find(bus, service))
        return;
    bus_absent *absent = mac_calloc(1, sizeof *absent);
    mac_autofree char *bare = mac_bus_subject(bus->realm, service, NULL);
    mac_autofree char *below = mac_asprintf("%s.>", bare);
    mac_autofree char *desk = mac_asprintf("macula.denied.%s.%s.>", bus->realm, service);
    *absent = (bus_absent){.bus = bus, .next = bus->absents, .name = mac_strdup(service)};
    bus->absents = absent;
    absent->bare = bus_source_new(bus, bare, BUS_QUEUE_GROUP, on_request, absent);
    absent->below = bus_source_new(bus, below, BUS_QUEUE_GROUP, on_request, absent);
    absent->desk = bus_source_new(bus, desk, BUS_QUEUE_GROUP, on_denied, absent);
}

static void absent_free(bus_absent *absent) {
    bus_source_free(absent->bare);
    bus_source_free(absent->below);
    bus_source_free(absent->desk);
    free(absent->name);
    free(absent);
}

static void on_left(const mac_answer *answer, void *data) {
    (void)answer; /* without a connection nothing is under way either */
    absent_free(data);
}

/* What the server has sent by now is answered until it has heard of the end: nobody else gets those requests. */
void mac_bus_stand_down(mac_bus *bus, const char *service) {
    bus_absent **link = find(bus, service), *absent = *link;
    if (!absent)
        return;
    *link = absent->next;
    bus_source_end(absent->bare);
    bus_source_end(absent->below);
    bus_source_end(absent->desk);
    mac_bus_flush(bus, on_left, absent);
}

void bus_absents_deinit(mac_bus *bus) {
    while (bus->absents) {
        bus_absent *absent = bus->absents;
        bus->absents = absent->next;
        absent_free(absent);
    }
}
