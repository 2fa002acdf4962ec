/* The audit event: one for each call of a …Control procedure, done, refused or denied. */
#include "bus-internal.h"

#include <errno.h>
#include <string.h>

#include "log/mac-log.h"
#include "macula/v1/audit.pb-c.h"

#define AUTHOR_MAX 256

static const void *member(const ProtobufCMessage *message, const char *name, ProtobufCType type) {
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
    if (!field || field->type != type || field->label == PROTOBUF_C_LABEL_REPEATED)
        return NULL;
    return *(const void *const *)((const char *)message + field->offset);
}

/* Who the caller says it is: `author` or `options.author`; NULL if the message has neither. */
static const char *author_of(const ProtobufCMessage *input) {
    if (!input)
        return NULL;
    const char *author = member(input, "author", PROTOBUF_C_TYPE_STRING);
    const ProtobufCMessage *options = author ? NULL : member(input, "options", PROTOBUF_C_TYPE_MESSAGE);
    if (options)
        author = member(options, "author", PROTOBUF_C_TYPE_STRING);
    return author;
}

void bus_audit(mac_bus *bus, const char *service, const char *procedure, const char *caller,
               const ProtobufCMessage *input, bool denied, Macula__V1__ErrorCode outcome) {
    const char *author = author_of(input);
    mac_autofree char *shortened = author && strlen(author) > AUTHOR_MAX ? mac_strndup(author, AUTHOR_MAX) : NULL;
    Macula__V1__AuditEvent event = MACULA__V1__AUDIT_EVENT__INIT;
    event.procedure = (char *)procedure;
    event.caller = (char *)caller;
    if (!shortened || mac_utf8_valid(shortened, strlen(shortened)))
        event.author = shortened ? shortened : (char *)author;
    event.has_denied = event.has_outcome = event.has_time_ms = true;
    event.denied = denied;
    event.outcome = outcome;
    event.time_ms = mac_unix_ms();
    mac_autofree char *topic = mac_asprintf("%s.audit", service);
    int r = mac_bus_publish(bus, topic, &event.base);
    if (r < 0) /* then at least the log knows */
        mac_log_warning("an audit event could not be published",
                        "procedure=%s caller=" MAC_LOG_Q("%s") " outcome=%s error=" MAC_LOG_Q("%s"), procedure, caller,
                        mac_error_name(outcome), strerror(-r));
}

void mac_bus_audit(mac_bus *bus, const char *procedure, const char *caller, Macula__V1__ErrorCode outcome) {
    mac_autofree char *service = mac_strndup(procedure, strcspn(procedure, "."));
    bus_audit(bus, service, procedure, caller, NULL, false, outcome);
}
