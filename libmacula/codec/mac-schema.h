/* The rules and comments of the schema (proto/macula/v1/options.proto), generated from the .proto files. */
#ifndef MAC_SCHEMA_H
#define MAC_SCHEMA_H

#include "base/mac-problem.h"
#include "codec/mac-schema-table.h"
#include "macula/v1/options.pb-c.h"

/* The rule of a field; never NULL: all unset where the .proto says nothing. Its member `example` is always NULL:
 * examples are with the comments. */
const Macula__V1__FieldRule *mac_schema_rule(const ProtobufCMessageDescriptor *type,
                                             const ProtobufCFieldDescriptor *field);
/* Which service applies a canonical path ("confd", "netd"), by the nearest rule upwards; NULL if none says. */
const char *mac_schema_service(const ProtobufCMessageDescriptor *type, const char *path);
/* When a canonical path takes effect, by the nearest rule upwards: *ret_count phases; NULL and 0 if none says. */
const Macula__V1__FieldRule__Phase *mac_schema_phases(const ProtobufCMessageDescriptor *type, const char *path,
                                                      size_t *ret_count);
/* Makes the rules of another schema known (the suite's own always are). The table must live as long as the program;
 * called before other threads use the codec. Adding a table twice does nothing. */
void mac_schema_add_table(const mac_schema_table *table);

/* The comment in the .proto: leading and trailing, lines joined by \n; NULL when there is none. To use these, link
 * mac_schema_comments: only programs that show documentation carry the text. */
const char *mac_schema_message_comment(const ProtobufCMessageDescriptor *type);
const char *mac_schema_field_comment(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field);
const char *mac_schema_enum_comment(const ProtobufCEnumDescriptor *type);
const char *mac_schema_value_comment(const ProtobufCEnumDescriptor *type, const char *value_name);
const char *mac_schema_service_comment(const ProtobufCServiceDescriptor *service);
const char *mac_schema_method_comment(const ProtobufCServiceDescriptor *service, const char *method_name);
/* The example of a field's rule, NULL if there is none. */
const char *mac_schema_field_example(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field);
/* Everything said under a full name (macula.v1.Document.hostname, macula.v1.Job.State.queued) in one table, or NULL.
 * macula_schema_comments.comments itself is in the order of the files. */
const mac_schema_comment *mac_schema_comment_find(const mac_schema_comments *comments, const char *full_name);
/* As mac_schema_add_table. */
void mac_schema_add_comments(const mac_schema_comments *comments);

/* Checks one text against a format; returns NULL when it fits, else what was expected ("a duration such as 30s, 5m,
 * 2h"). Each format of options.proto is documented there; the text is checked as it stands, without surrounding space.
 */
const char *mac_format_check(Macula__V1__FieldRule__Format format, const char *text);

/* The values behind the formats. -EINVAL when the text is not one. */

/* 250ms, 30s, 5m, 2h, 7d, 2w, or a bare number of seconds; a fraction is allowed (1.5h). At most 100 years. */
int mac_value_duration(const char *text, uint64_t *ret_ms) MAC_MUST_USE;
/* 512, 100K, 4G, 4GiB, 1.5T, 10MB: powers of 1024, at most 2^63-1. */
int mac_value_size(const char *text, uint64_t *ret_bytes) MAC_MUST_USE;
/* 0% to 100%, with a fraction (99.5%) and with or without the sign. */
int mac_value_percent(const char *text, double *ret_percent) MAC_MUST_USE;

#endif
