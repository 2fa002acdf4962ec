/* Names: from descriptors to subjects. */
#include "bus-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "crypto/mac-crypto.h"

#define CONTROL "Control"

/* "DriftFix" → "drift_fix" */
static void append_snake_case(mac_buffer *out, const char *name, size_t length) {
    char text[64]; /* a piece at a time: every typed call comes here */
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        if (name[i] >= 'A' && name[i] <= 'Z' && i > 0)
            text[used++] = '_';
        text[used++] = (char)tolower((unsigned char)name[i]);
        if (used >= sizeof text - 1) {
            mac_buffer_append(out, text, used);
            used = 0;
        }
    }
    mac_buffer_append(out, text, used);
}

static char *snake_case(const char *name, size_t length) {
    mac_buffer text = {0};
    append_snake_case(&text, name, length);
    return mac_buffer_take(&text);
}

bool mac_bus_is_control(const ProtobufCServiceDescriptor *descriptor) {
    return mac_ends_with(descriptor->short_name, CONTROL);
}

/* Of the short name, what both halves of a service share. */
static size_t service_name_length(const ProtobufCServiceDescriptor *descriptor) {
    return strlen(descriptor->short_name) - (mac_bus_is_control(descriptor) ? strlen(CONTROL) : 0);
}

char *mac_bus_service_name(const ProtobufCServiceDescriptor *descriptor) {
    return snake_case(descriptor->short_name, service_name_length(descriptor));
}

char *mac_bus_method_name(const ProtobufCMethodDescriptor *method) {
    return snake_case(method->name, strlen(method->name));
}

char *mac_bus_subject(const char *realm, const char *service, const char *method) {
    return mac_asprintf("macula.rpc.%s.%s%s%s", realm, service, method ? "." : "", method ? method : "");
}

const char *bus_method_subject(mac_bus *bus, const ProtobufCServiceDescriptor *service, const char *instance,
                               const ProtobufCMethodDescriptor *method) {
    mac_buffer *subject = &bus->subject;
    subject->length = 0;
    mac_buffer_text(subject, "macula.rpc.");
    mac_buffer_text(subject, bus->realm);
    mac_buffer_text(subject, ".");
    if (instance)
        mac_buffer_text(subject, instance);
    else
        append_snake_case(subject, service->short_name, service_name_length(service));
    mac_buffer_text(subject, ".");
    append_snake_case(subject, method->name, strlen(method->name));
    return subject->data;
}

bool mac_bus_is_inbox(const char *subject) {
    return subject && (mac_starts_with(subject, "_INBOX.") || mac_starts_with(subject, "_R_.") ||
                       mac_starts_with(subject, "_SVC."));
}

bool mac_bus_subject_matches(const char *pattern, const char *subject) {
    for (;;) {
        size_t wanted = strcspn(pattern, "."), found = strcspn(subject, ".");
        if (found == 0)
            return false;
        if (wanted == 1 && *pattern == '>')
            return pattern[1] == '\0';
        bool any = wanted == 1 && *pattern == '*';
        if (!any && (wanted != found || memcmp(pattern, subject, wanted) != 0))
            return false;
        if (!pattern[wanted] || !subject[found])
            return !pattern[wanted] && !subject[found];
        pattern += wanted + 1;
        subject += found + 1;
    }
}

void bus_random_name(char ret_name[23]) {
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t random[22];
    mac_random(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        ret_name[i] = letters[random[i] % 62];
    ret_name[22] = '\0';
}

void bus_rfc3339(int64_t unix_ms, char ret_text[32]) {
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm utc;
    char date[24];
    gmtime_r(&seconds, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(ret_text, 32, "%s.%03dZ", date, (int)(unix_ms % 1000));
}
