/* What proto/generate/schema-table.py writes: the rules and the comments of the .proto files as constant tables.
 *
 * The rules of the suite's own schema are linked into mac_codec. The comments are much text that only the command line
 * and the documentation want: they are in a library of their own, mac_schema_comments. */
#ifndef MAC_SCHEMA_TABLE_H
#define MAC_SCHEMA_TABLE_H

#include "macula/v1/options.pb-c.h"

/* The rules of one message that has any. */
typedef struct mac_schema_message {
    const char *name; /* full name: macula.v1.Document */
    unsigned count;
    const Macula__V1__FieldRule *const *rules; /* of each field in the order of the descriptor; NULL: none */
} mac_schema_message;

typedef struct mac_schema_table {
    const mac_schema_message *messages; /* sorted by name (strcmp) */
    size_t count;
} mac_schema_table;

/* What is said of a message, field, enum, enum value (macula.v1.Job.State.queued), service or method. */
typedef struct mac_schema_comment {
    const char *name;
    const char *text;    /* NULL: no comment */
    const char *example; /* of a field's rule; NULL: none */
} mac_schema_comment;

typedef struct mac_schema_comments {
    const mac_schema_comment *comments; /* as the files have them */
    const unsigned short *by_name;      /* indices into comments, sorted by name */
    size_t count;
} mac_schema_comments;

/* The suite's own schema. */
extern const mac_schema_table macula_schema_table;
extern const mac_schema_comments macula_schema_comments;

#endif
