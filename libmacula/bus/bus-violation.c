/* What cnats tells on its own thread: the server refused a publication or subscription.
 *
 * The thread gets a number, not a pointer, so it can do nothing wrong when it is late and the bus is gone. It puts a
 * copy of the text in a bounded list and wakes the loop; there the refused request is found by its subject and ended at
 * once, instead of timing out. */
#include "bus-internal.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "log/mac-log.h"

#define TEXT_MAX 255    /* cnats cuts it there */
#define POSTED_MAX 1024 /* beyond: forgotten; the request times out */

typedef struct posted {
    struct posted *next;
    char text[TEXT_MAX + 1];
} posted;

/* A bus that lives. */
typedef struct listener {
    struct listener *next;
    uintptr_t number;
    uv_async_t *wake;
    posted *first, *last;
    unsigned count;
} listener;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static listener *listeners;
static uintptr_t last_number;

static listener **find(uintptr_t number) {
    listener **link = &listeners;
    while (*link && (*link)->number != number)
        link = &(*link)->next;
    return link;
}

uintptr_t bus_violation_register(mac_bus *bus, uv_async_t *wake) {
    (void)bus;
    listener *added = mac_calloc(1, sizeof *added);
    pthread_mutex_lock(&lock);
    uintptr_t number = ++last_number;
    *added = (listener){.next = listeners, .number = number, .wake = wake};
    listeners = added;
    pthread_mutex_unlock(&lock);
    return number;
}

static posted *take_posted(uintptr_t number) {
    pthread_mutex_lock(&lock);
    listener *found = *find(number);
    posted *first = NULL;
    if (found) {
        first = mac_take(&found->first);
        found->last = NULL;
        found->count = 0;
    }
    pthread_mutex_unlock(&lock);
    return first;
}

void bus_violation_unregister(uintptr_t number) {
    posted *next;
    for (posted *item = take_posted(number); item; item = next) {
        next = item->next;
        free(item);
    }
    pthread_mutex_lock(&lock);
    listener **link = find(number), *found = *link;
    if (found)
        *link = found->next;
    pthread_mutex_unlock(&lock);
    free(found);
}

void bus_violation_handler(natsConnection *connection, natsSubscription *subscription, natsStatus status,
                           void *number) {
    (void)connection;
    (void)subscription;
    const char *text = status == NATS_NOT_PERMITTED ? nats_GetLastError(NULL) : NULL;
    if (!text)
        return; /* a slow consumer: bus-source.c sees it too */
    posted *item = mac_calloc(1, sizeof *item);
    snprintf(item->text, sizeof item->text, "%s", text);
    pthread_mutex_lock(&lock);
    listener *found = *find((uintptr_t)number);
    if (found && found->count < POSTED_MAX) {
        *(found->last ? &found->last->next : &found->first) = item;
        found->last = item;
        found->count++;
        item = NULL;
        uv_async_send(found->wake); /* under the lock: the handle is closed after bus_violation_unregister */
    }
    pthread_mutex_unlock(&lock);
    free(item);
}

bool bus_violation_parse(const char *text, bool *ret_publish, bool *ret_truncated, char **ret_subject) {
    const char *start = strchr(text, '"');
    if (!start || !strcasestr(text, "permissions violation"))
        return false;
    const char *end = strchr(start + 1, '"');
    size_t length = end ? (size_t)(end - start - 1) : strlen(start + 1);
    if (length == 0)
        return false;
    const char *publish = strcasestr(text, "publish");
    *ret_publish = publish && publish < start;
    *ret_truncated = !end;
    *ret_subject = mac_strndup(start + 1, length);
    return true;
}

static void tell(mac_bus *bus, const char *subject, bool publish, const char *text) {
    if (bus->on_violation)
        bus->on_violation(bus, subject, text, bus->violation_data);
    else
        mac_log_warning(publish ? "the server refused a publication" : "the server refused a subscription",
                        "subject=" MAC_LOG_Q("%s"), subject);
}

/* Of either kind. What is refused of one that is not ours any more came of trying it. */
static bool is_own_inbox(const mac_bus *bus, const char *subject) {
    const char *rest = strchr(subject, '.');
    if (!rest || (!mac_starts_with(subject, "_SVC.") && !mac_starts_with(subject, "_INBOX.")))
        return false;
    mac_autofree char *own = mac_asprintf(".%s.%s", bus->name, bus->nonce);
    return mac_starts_with(rest, own);
}

static void handle(mac_bus *bus, const char *text) {
    bool publish, truncated;
    mac_autofree char *subject = NULL;
    if (!bus_violation_parse(text, &publish, &truncated, &subject)) {
        tell(bus, "", false, text);
        return;
    }
    const char *inbox = bus->calls.inbox;
    if (publish && bus_calls_refuse(bus, subject, truncated))
        return;
    if (inbox && mac_starts_with(subject, inbox))
        bus_link_inbox_refused(bus, text);
    else if (is_own_inbox(bus, subject))
        mac_log_debug("inbox refused, another is in use", "subject=" MAC_LOG_Q("%s"), subject);
    else
        tell(bus, subject, publish, text);
}

void bus_violations_handle(mac_bus *bus) {
    posted *next;
    for (posted *item = take_posted(bus->violation_number); item; item = next) {
        next = item->next;
        if (!bus->closing)
            handle(bus, item->text);
        free(item);
    }
}
