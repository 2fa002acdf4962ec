/* What a person or a script sees: text, tables and JSON on standard output, errors and progress on standard error. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>

#include "base/mac-problem.h"

/* From -o and --progress (may be NULL) and the terminal; colour only on a terminal and without NO_COLOR. */
void cli_output_init(const char *output, const char *progress);
/* Before the options are parsed: whether -o json stands there, so that mistakes in them are JSON, too. */
void cli_output_guess(int argc, char **argv);
/* The end of a command: with -o json what cli_error said is an answer in JSON, unless there has been one. */
void cli_output_end(int exit_code);
bool cli_output_json(void);
bool cli_output_yaml(void);
/* Whether standard output (1) or error (2) shows colour. */
bool cli_colour(int fd);

typedef enum cli_style { CLI_PLAIN, CLI_BOLD, CLI_DIM, CLI_GREEN, CLI_YELLOW, CLI_RED } cli_style;
/* Prints a styled line or a part of one: control characters of foreign texts, line breaks too, are shown escaped; only
 * a line break at its very end is one. */
void cli_print(cli_style style, const char *format, ...) MAC_PRINTF(2, 3);
/* A text of several lines, which are kept; ends the last one. */
void cli_print_text(const char *text);
/* "maculaos: …" in red on standard error; with -o json kept for cli_output_end. */
void cli_error(const char *format, ...) MAC_PRINTF(1, 2);
void cli_warning(const char *format, ...) MAC_PRINTF(1, 2);
/* What is good to know, on standard error. */
void cli_note(const char *format, ...) MAC_PRINTF(1, 2);

/* Says why a request failed, with every place of a document (and as JSON with -o json); returns the exit code. Takes
 * the error. */
int cli_fail(mac_error *error);
/* Problems of any severity, a line each, on standard error. */
void cli_problems(const mac_problems *problems);

/* A tree on standard output in the form asked for (JSON, or YAML-like text). */
void cli_print_tree(json_t *tree);
/* JSON without anything that a terminal takes as a command (jansson leaves DEL and U+0080 to U+009F as they are). flags
 * as of json_dumps. Caller frees. */
char *cli_json_text(const json_t *tree, size_t flags);
/* A message as JSON, for -o json. */
void cli_print_message(const ProtobufCMessage *message);

/* A table with aligned columns; headings are bold on a terminal. Cells are copied. */
typedef struct cli_table cli_table;
cli_table *cli_table_new(const char *const *headings); /* ends with NULL */
void cli_table_row(cli_table *table, const char *const *cells);
/* How a cell of the last row is shown on a terminal. */
void cli_table_style(cli_table *table, size_t column, cli_style style);
void cli_table_print(cli_table *table); /* and frees it */
void cli_table_free(cli_table *table);

/* As one word for the shell; caller frees. */
char *cli_quoted(const char *text);
/* Milliseconds since 1970 as local time "2026-03-01 14:05:09"; a span as "3 min"; callers free. */
char *cli_time(int64_t unix_ms);
char *cli_span(uint64_t seconds);

/* One line of progress, replaced on a terminal, a line each with plain, nothing with none. */
void cli_progress(const char *format, ...) MAC_PRINTF(1, 2);
void cli_progress_end(void);

/* Asks "question [y/N]" on the terminal; without one (or with --yes given) see the result: 1 yes, 0 no, -1 cannot ask.
 */
int cli_ask(const char *question);

#endif
