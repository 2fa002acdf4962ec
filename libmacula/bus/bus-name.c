/* Names: from descriptors to subjects. */
#include "bus-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "crypto/mac-crypto.h"

#define CONTROL "Control"

/* "DriftFix" → "drift_fix" */
static char *snake_case(const char *name, size_t length) {
    mac_buffer text = {0};
    for (size_t i = 0; i < length; i++) {
        if (isupper((unsigned char)name[i]) && i > 0)
            mac_buffer_append(&text, "_", 1);
        char lower = (char)tolower((unsigned char)name[i]);
        mac_buffer_append(&text, &lower, 1);
    }
    return mac_buffer_take(&text);
}

bool mac_bus_is_control(const ProtobufCServiceDescriptor *descriptor) {
    return mac_ends_with(descriptor->short_name, CONTROL);
}

char *mac_bus_service_name(const ProtobufCServiceDescriptor *descriptor) {
    size_t length = strlen(descriptor->short_name);
    if (mac_bus_is_control(descriptor))
        length -= strlen(CONTROL);
    return snake_case(descriptor->short_name, length);
}

char *mac_bus_method_name(const ProtobufCMethodDescriptor *method) {
    return snake_case(method->name, strlen(method->name));
}

char *mac_bus_subject(const char *realm, const char *service, const char *method) {
    return mac_asprintf("macula.rpc.%s.%s%s%s", realm, service, method ? "." : "", method ? method : "");
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
