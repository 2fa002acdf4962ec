/* The server refused a publication or subscription: the refused request is found by its subject and ended at once,
 * instead of timing out. */
#include "bus-internal.h"

#include <string.h>

#include "log/mac-log.h"

bool bus_violation_parse(const char *text, bool *ret_publish, char **ret_subject) {
    const char *start = strchr(text, '"');
    if (!start || !strcasestr(text, "permissions violation"))
        return false;
    const char *end = strchr(start + 1, '"');
    if (!end || end == start + 1)
        return false;
    const char *publish = strcasestr(text, "publish");
    *ret_publish = publish && publish < start;
    *ret_subject = mac_strndup(start + 1, (size_t)(end - start - 1));
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

bool bus_violation_handle(mac_bus *bus, const char *text) {
    bool publish;
    mac_autofree char *subject = NULL;
    if (!bus_violation_parse(text, &publish, &subject))
        return false;
    const char *inbox = bus->calls.inbox;
    if (publish && bus_calls_refuse(bus, subject))
        return true;
    if (inbox && mac_starts_with(subject, inbox))
        bus_link_inbox_refused(bus, text);
    else if (is_own_inbox(bus, subject))
        mac_log_debug("inbox refused, another is in use", "subject=" MAC_LOG_Q("%s"), subject);
    else if (!bus->closing)
        tell(bus, subject, publish, text);
    return true;
}
