/* The rules and comments of the schema (proto/macula/v1/options.proto), generated from the .proto files. */
#ifndef MAC_SCHEMA_H
#define MAC_SCHEMA_H

#include "base/mac-problem.h"
#include "macula/v1/options.pb-c.h"

typedef struct mac_rule {
    const char *field; /* name in the .proto */
    const Macula__V1__FieldRule *rule; /* never NULL; all unset where the .proto says nothing */
    const char *comment; /* the .proto's comment; only in programs that link mac_schema_comments, else NULL */
} mac_rule;

/* The rule of a field; never NULL. */
const Macula__V1__FieldRule *mac_schema_rule(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field);
/* Which service applies a canonical path ("confd", "netd"), by the nearest rule upwards; NULL if none says. */
const char *mac_schema_service(const ProtobufCMessageDescriptor *type, const char *path);

/* Checks one text against a format; returns NULL when it fits, else what was expected ("a duration such as 30s, 5m, 2h"). */
const char *mac_format_check(Macula__V1__FieldRule__Format format, const char *text);

/* The values behind the formats. -EINVAL when the text is not one. */
int mac_value_duration(const char *text, uint64_t *ret_ms) MAC_MUST_USE;
int mac_value_size(const char *text, uint64_t *ret_bytes) MAC_MUST_USE;
int mac_value_percent(const char *text, double *ret_percent) MAC_MUST_USE;

#endif
