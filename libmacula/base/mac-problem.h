/* What is wrong with a document or request, place by place, and the error that a caller of the bus is told.
 *
 * A check adds to a mac_problems and goes on, so that a person sees every mistake of a document at once. A mac_error is
 * one refusal: it becomes the body of an answer (macula.v1.Error) and, in the command line, an exit code. */
#ifndef MAC_PROBLEM_H
#define MAC_PROBLEM_H

#include "base/mac-base.h"
#include "macula/v1/error.pb-c.h"

/* At most so many problems are kept; the last one then says how many more there were. */
#define MAC_PROBLEMS_MAX 100

typedef enum mac_severity {
    MAC_PROBLEM_ERROR = MACULA__V1__PROBLEM__SEVERITY__error,     /* the document cannot be used */
    MAC_PROBLEM_WARNING = MACULA__V1__PROBLEM__SEVERITY__warning, /* it can, but somebody should change it */
    MAC_PROBLEM_NOTE = MACULA__V1__PROBLEM__SEVERITY__note,       /* worth knowing */
} mac_severity;

/* A place in a source text. file NULL: none; line 0: the whole file. Owned by whoever made it. */
typedef struct mac_place {
    const char *file;
    unsigned line;   /* from 1 */
    unsigned column; /* from 1, in characters */
} mac_place;

typedef struct mac_problem {
    mac_severity severity;
    char *file; /* may be NULL */
    unsigned line;
    unsigned column;
    char *path; /* may be NULL */
    char *message;
} mac_problem;

typedef struct mac_problems mac_problems;

mac_problems *mac_problems_new(void);
void mac_problems_free(mac_problems *problems);
MAC_DEFINE_AUTOPTR(mac_problems, mac_problems_free)

/* Adds one; everything is copied. place and path may be NULL. */
void mac_problems_add(mac_problems *problems, mac_severity severity, const mac_place *place, const char *path,
                      const char *format, ...) MAC_PRINTF(5, 6);
/* Copies all of `from`. */
void mac_problems_join(mac_problems *problems, const mac_problems *from);
/* Number of errors; number of all. */
size_t mac_problems_errors(const mac_problems *problems);
size_t mac_problems_count(const mac_problems *problems);
const mac_problem *mac_problems_get(const mac_problems *problems, size_t index);
/* One problem as "file:line:column: path: message" (parts that are missing are left out). Caller frees. */
char *mac_problem_format(const mac_problem *problem);
/* All, a line each. Caller frees. */
char *mac_problems_format(const mac_problems *problems);

/* As protobuf, for an answer: an array of *ret_count messages. Free with mac_problem_list_free. */
Macula__V1__Problem **mac_problems_to_list(const mac_problems *problems, size_t *ret_count);
void mac_problem_list_free(Macula__V1__Problem **list, size_t count);
void mac_problems_from_list(mac_problems *problems, Macula__V1__Problem *const *list, size_t count);

typedef struct mac_error {
    Macula__V1__ErrorCode code;
    char *message;
    char *path;                                   /* may be NULL */
    mac_problems *problems;                       /* may be NULL */
    uint64_t expected_revision, current_revision; /* of a CONFLICT; 0 = not said */
} mac_error;

mac_error *mac_error_new(Macula__V1__ErrorCode code, const char *path, const char *format, ...) MAC_PRINTF(3, 4);
/* INVALID with all problems; takes them. The message is the first one, and how many more there are. */
mac_error *mac_error_from_problems(mac_problems *problems);
/* From a negative errno: ENOSPC → EXHAUSTED, EACCES/EPERM/EROFS → INTERNAL with a remedy, others INTERNAL. */
mac_error *mac_error_from_errno(int negative_errno, const char *format, ...) MAC_PRINTF(2, 3);
mac_error *mac_error_copy(const mac_error *error);
void mac_error_free(mac_error *error);
MAC_DEFINE_AUTOPTR(mac_error, mac_error_free)

/* To and from the wire. mac_error_to_wire returns an owned message: free with macula__v1__error__free_unpacked. */
Macula__V1__Error *mac_error_to_wire(const mac_error *error);
mac_error *mac_error_from_wire(const Macula__V1__Error *wire);
/* HTTP-like number for the header Nats-Service-Error-Code. */
unsigned mac_error_http(Macula__V1__ErrorCode code);
/* Exit code of the command line. */
int mac_error_exit(Macula__V1__ErrorCode code);
const char *mac_error_name(Macula__V1__ErrorCode code);

#endif
