#include "base/mac-problem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct mac_problems {
    mac_problem *items;
    size_t count;
    size_t errors;
    size_t dropped; /* beyond MAC_PROBLEMS_MAX */
};

mac_problems *mac_problems_new(void) {
    return mac_calloc(1, sizeof(mac_problems));
}

static void problem_deinit(mac_problem *problem) {
    free(problem->file);
    free(problem->path);
    free(problem->message);
}

void mac_problems_free(mac_problems *problems) {
    if (!problems)
        return;
    for (size_t i = 0; i < problems->count; i++)
        problem_deinit(&problems->items[i]);
    free(problems->items);
    free(problems);
}

#define MORE_SIZE 48 /* "and 18446744073709551615 more problems" */

/* One that is not kept: a hostile document has hundreds of thousands, so that it is only counted. */
static void problems_drop(mac_problems *problems) {
    mac_problem *last = &problems->items[MAC_PROBLEMS_MAX - 1];
    if (problems->dropped++ == 0) {
        problem_deinit(last);
        *last = (mac_problem){.message = mac_malloc(MORE_SIZE)};
    }
    last->severity = problems->errors ? MAC_PROBLEM_ERROR : MAC_PROBLEM_NOTE;
    snprintf(last->message, MORE_SIZE, "and %zu more problems", problems->dropped + 1);
}

void mac_problems_add(mac_problems *problems, mac_severity severity, const mac_place *place, const char *path,
                      const char *format, ...) {
    if (severity == MAC_PROBLEM_ERROR)
        problems->errors++;
    if (problems->count == MAC_PROBLEMS_MAX) {
        problems_drop(problems);
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    mac_problem problem = {.severity = severity,
                           .file = place ? mac_strdup(place->file) : NULL,
                           .line = place ? place->line : 0,
                           .column = place ? place->column : 0,
                           .path = path && *path ? mac_strdup(path) : NULL,
                           .message = mac_vasprintf(format, arguments)};
    va_end(arguments);
    problems->items = mac_realloc(problems->items, (problems->count + 1) * sizeof *problems->items);
    problems->items[problems->count++] = problem;
}

void mac_problems_join(mac_problems *problems, const mac_problems *from) {
    for (size_t i = 0; from && i < from->count; i++) {
        const mac_problem *p = &from->items[i];
        mac_place place = {p->file, p->line, p->column};
        mac_problems_add(problems, p->severity, &place, p->path, "%s", p->message);
    }
}

size_t mac_problems_errors(const mac_problems *problems) {
    return problems ? problems->errors : 0;
}

size_t mac_problems_count(const mac_problems *problems) {
    return problems ? problems->count : 0;
}

const mac_problem *mac_problems_get(const mac_problems *problems, size_t index) {
    return index < problems->count ? &problems->items[index] : NULL;
}

char *mac_problem_format(const mac_problem *problem) {
    mac_autobuffer text = {0};
    if (problem->file) {
        mac_buffer_text(&text, problem->file);
        if (problem->line)
            mac_buffer_printf(&text, ":%u:%u", problem->line, problem->column);
        mac_buffer_text(&text, ": ");
    }
    if (problem->severity != MAC_PROBLEM_ERROR)
        mac_buffer_text(&text, problem->severity == MAC_PROBLEM_WARNING ? "warning: " : "note: ");
    if (problem->path)
        mac_buffer_printf(&text, "%s: ", problem->path);
    mac_buffer_text(&text, problem->message);
    return mac_buffer_take(&text);
}

char *mac_problems_format(const mac_problems *problems) {
    mac_autobuffer text = {0};
    for (size_t i = 0; i < problems->count; i++) {
        mac_autofree char *line = mac_problem_format(&problems->items[i]);
        mac_buffer_printf(&text, "%s\n", line);
    }
    return mac_buffer_take(&text);
}

Macula__V1__Problem **mac_problems_to_list(const mac_problems *problems, size_t *ret_count) {
    size_t count = mac_problems_count(problems);
    Macula__V1__Problem **list = mac_calloc(count, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const mac_problem *from = &problems->items[i];
        Macula__V1__Problem *to = mac_malloc(sizeof *to);
        macula__v1__problem__init(to);
        to->file = mac_strdup(from->file);
        to->path = mac_strdup(from->path);
        to->message = mac_strdup(from->message);
        to->has_line = from->line > 0;
        to->line = from->line;
        to->has_column = from->column > 0;
        to->column = from->column;
        to->has_severity = true;
        to->severity = (Macula__V1__Problem__Severity)from->severity;
        list[i] = to;
    }
    *ret_count = count;
    return list;
}

void mac_problem_list_free(Macula__V1__Problem **list, size_t count) {
    for (size_t i = 0; i < count; i++)
        macula__v1__problem__free_unpacked(list[i], NULL);
    free(list);
}

void mac_problems_from_list(mac_problems *problems, Macula__V1__Problem *const *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        mac_place place = {list[i]->file, list[i]->line, list[i]->column};
        mac_problems_add(problems, (mac_severity)list[i]->severity, &place, list[i]->path, "%s",
                         list[i]->message ? list[i]->message : "");
    }
}

mac_error *mac_error_new(Macula__V1__ErrorCode code, const char *path, const char *format, ...) {
    mac_error *error = mac_calloc(1, sizeof *error);
    va_list arguments;
    va_start(arguments, format);
    error->message = mac_vasprintf(format, arguments);
    va_end(arguments);
    error->code = code;
    error->path = mac_strdup(path);
    return error;
}

static const mac_problem *first_error(const mac_problems *problems) {
    for (size_t i = 0; i < problems->count; i++)
        if (problems->items[i].severity == MAC_PROBLEM_ERROR)
            return &problems->items[i];
    return problems->count ? &problems->items[0] : NULL;
}

mac_error *mac_error_from_problems(mac_problems *problems) {
    const mac_problem *first = first_error(problems);
    mac_autofree char *text = first ? mac_problem_format(first) : mac_strdup("invalid");
    size_t more = problems->errors > 1 ? problems->errors - 1 : 0;
    mac_error *error = more ? mac_error_new(MACULA__V1__ERROR_CODE__INVALID, first ? first->path : NULL,
                                            "%s (and %zu more)", text, more)
                            : mac_error_new(MACULA__V1__ERROR_CODE__INVALID, first ? first->path : NULL, "%s", text);
    error->problems = problems;
    return error;
}

mac_error *mac_error_from_errno(int negative_errno, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    mac_autofree char *what = mac_vasprintf(format, arguments);
    va_end(arguments);
    int number = negative_errno < 0 ? -negative_errno : negative_errno;
    if (number == ENOSPC || number == EDQUOT)
        return mac_error_new(MACULA__V1__ERROR_CODE__EXHAUSTED, NULL,
                             "%s: the disk is full; free some space and try again", what);
    if (number == EROFS)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                             "%s: the file system is read-only; check the data partition", what);
    if (number == EACCES || number == EPERM)
        return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL,
                             "%s: permission denied; check owner and mode of the state directory", what);
    return mac_error_new(MACULA__V1__ERROR_CODE__INTERNAL, NULL, "%s: %s", what, strerror(number));
}

mac_error *mac_error_copy(const mac_error *error) {
    mac_error *copy = mac_error_new(error->code, error->path, "%s", error->message);
    copy->expected_revision = error->expected_revision;
    copy->current_revision = error->current_revision;
    if (error->problems) {
        copy->problems = mac_problems_new();
        mac_problems_join(copy->problems, error->problems);
    }
    return copy;
}

void mac_error_free(mac_error *error) {
    if (!error)
        return;
    free(error->message);
    free(error->path);
    mac_problems_free(error->problems);
    free(error);
}

Macula__V1__Error *mac_error_to_wire(const mac_error *error) {
    Macula__V1__Error *wire = mac_malloc(sizeof *wire);
    macula__v1__error__init(wire);
    wire->code = error->code;
    wire->message = mac_strdup(error->message);
    wire->path = mac_strdup(error->path);
    if (error->problems)
        wire->details = mac_problems_to_list(error->problems, &wire->n_details);
    wire->has_expected_revision = error->expected_revision != 0;
    wire->expected_revision = error->expected_revision;
    wire->has_current_revision = error->current_revision != 0;
    wire->current_revision = error->current_revision;
    return wire;
}

mac_error *mac_error_from_wire(const Macula__V1__Error *wire) {
    mac_error *error = mac_error_new(wire->code, wire->path, "%s", wire->message ? wire->message : "no reason given");
    error->expected_revision = wire->expected_revision;
    error->current_revision = wire->current_revision;
    if (wire->n_details) {
        error->problems = mac_problems_new();
        mac_problems_from_list(error->problems, wire->details, wire->n_details);
    }
    return error;
}

static const struct {
    Macula__V1__ErrorCode code;
    const char *name;
    unsigned http;
    int exit;
} codes[] = {
    {MACULA__V1__ERROR_CODE__OK, "OK", 200, 0},
    {MACULA__V1__ERROR_CODE__INVALID, "INVALID", 400, 5},
    {MACULA__V1__ERROR_CODE__NOT_FOUND, "NOT_FOUND", 404, 1},
    {MACULA__V1__ERROR_CODE__CONFLICT, "CONFLICT", 409, 5},
    {MACULA__V1__ERROR_CODE__DENIED, "DENIED", 403, 6},
    {MACULA__V1__ERROR_CODE__REJECTED, "REJECTED", 422, 5},
    {MACULA__V1__ERROR_CODE__UNAVAILABLE, "UNAVAILABLE", 503, 7},
    {MACULA__V1__ERROR_CODE__TIMED_OUT, "TIMED_OUT", 504, 8},
    {MACULA__V1__ERROR_CODE__CANCELLED, "CANCELLED", 499, 1},
    {MACULA__V1__ERROR_CODE__EXHAUSTED, "EXHAUSTED", 429, 1},
    {MACULA__V1__ERROR_CODE__ROLLED_BACK, "ROLLED_BACK", 500, 9},
    {MACULA__V1__ERROR_CODE__INTERNAL, "INTERNAL", 500, 1},
    {MACULA__V1__ERROR_CODE__NOTHING_TO_DO, "NOTHING_TO_DO", 200, 3},
    {MACULA__V1__ERROR_CODE__UNSUPPORTED, "UNSUPPORTED", 501, 1},
};

unsigned mac_error_http(Macula__V1__ErrorCode code) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(codes); i++)
        if (codes[i].code == code)
            return codes[i].http;
    return 500;
}

int mac_error_exit(Macula__V1__ErrorCode code) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(codes); i++)
        if (codes[i].code == code)
            return codes[i].exit;
    return 1;
}

const char *mac_error_name(Macula__V1__ErrorCode code) {
    for (size_t i = 0; i < MAC_ARRAY_SIZE(codes); i++)
        if (codes[i].code == code)
            return codes[i].name;
    return "UNKNOWN";
}
