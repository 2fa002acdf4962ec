#include "cli-output.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli-command.h"
#include "codec/mac-codec.h"

enum { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_YAML };
enum { PROGRESS_NONE, PROGRESS_PLAIN, PROGRESS_LINE };

static struct {
    int format;
    int progress;
    bool progress_shown;
    bool json_printed;
    mac_buffer said; /* with -o json: the errors so far, a line each, for whoever reads no standard error */
} output;

void cli_output_init(const char *format, const char *progress) {
    output.format = mac_streq(format, "json") ? OUTPUT_JSON : mac_streq(format, "yaml") ? OUTPUT_YAML : OUTPUT_TEXT;
    if (mac_streq(progress, "none"))
        output.progress = PROGRESS_NONE;
    else if (mac_streq(progress, "plain"))
        output.progress = PROGRESS_PLAIN;
    else
        output.progress = isatty(2) ? PROGRESS_LINE : PROGRESS_NONE;
}

void cli_output_guess(int argc, char **argv) {
    for (int i = 1; i < argc && !mac_streq(argv[i], "--"); i++) {
        const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : "";
        bool json = mac_streq(word, "-ojson") || mac_streq(word, "--output=json") ||
                    ((mac_streq(word, "-o") || mac_streq(word, "--output")) && mac_streq(next, "json"));
        if (json)
            output.format = OUTPUT_JSON;
    }
}

bool cli_output_json(void) {
    return output.format == OUTPUT_JSON;
}

bool cli_output_yaml(void) {
    return output.format == OUTPUT_YAML;
}

bool cli_colour(int fd) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) && !(no_color && *no_color) && !mac_streq(term, "dumb");
}

static const char *style_code(cli_style style) {
    static const char *const codes[] = {"", "\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[31m"};
    return codes[style];
}

/* Texts come from files and other programs: what would move the cursor, or begin a line that we did not begin, is shown
 * as \n or \x1b. Whole texts keep their lines. */
static void put_safe(FILE *stream, const char *text, bool lines) {
    mac_autobuffer out = {0};
    while (*text) {
        size_t length = lines ? strcspn(text, "\n\t") : strlen(text);
        mac_buffer_escaped(&out, text, length);
        text += length;
        if (*text)
            mac_buffer_append(&out, text++, 1);
    }
    if (out.length)
        fwrite(out.data, 1, out.length, stream);
}

static void print_to(FILE *stream, cli_style style, const char *text, bool lines) {
    bool colour = style != CLI_PLAIN && cli_colour(fileno(stream));
    if (colour)
        fputs(style_code(style), stream);
    put_safe(stream, text, lines);
    if (colour)
        fputs("\033[0m", stream);
}

void cli_print(cli_style style, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    mac_autofree char *text = mac_vasprintf(format, arguments);
    va_end(arguments);
    size_t length = strlen(text);
    bool ends = length > 0 && text[length - 1] == '\n';
    if (ends)
        text[length - 1] = '\0';
    print_to(stdout, style, text, false);
    if (ends)
        putchar('\n');
}

void cli_print_text(const char *text) {
    put_safe(stdout, text, true);
    if (!mac_ends_with(text, "\n"))
        putchar('\n');
}

MAC_PRINTF(3, 0) static void say(cli_style style, const char *word, const char *format, va_list arguments) {
    mac_autofree char *text = mac_vasprintf(format, arguments);
    cli_progress_end();
    print_to(stderr, style, word, false);
    put_safe(stderr, text, false);
    putc('\n', stderr);
}

void cli_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (cli_output_json() && !output.json_printed) {
        mac_autofree char *text = mac_vasprintf(format, arguments);
        mac_buffer_printf(&output.said, "%s%s", output.said.length ? "; " : "", text);
    } else {
        say(CLI_RED, "maculaos: ", format, arguments);
    }
    va_end(arguments);
}

static Macula__V1__ErrorCode code_of_exit(int exit_code) {
    switch ((cli_exit)exit_code) {
    case CLI_USAGE:
        return MACULA__V1__ERROR_CODE__INVALID;
    case CLI_REJECTED:
        return MACULA__V1__ERROR_CODE__REJECTED;
    case CLI_DENIED:
        return MACULA__V1__ERROR_CODE__DENIED;
    case CLI_UNREACHABLE:
        return MACULA__V1__ERROR_CODE__UNAVAILABLE;
    case CLI_TIMED_OUT:
        return MACULA__V1__ERROR_CODE__TIMED_OUT;
    case CLI_ROLLED_BACK:
        return MACULA__V1__ERROR_CODE__ROLLED_BACK;
    case CLI_NOTHING_TO_DO:
        return MACULA__V1__ERROR_CODE__NOTHING_TO_DO;
    case CLI_OK:
    case CLI_FAILED:
    case CLI_REBOOT_REQUIRED:
    case CLI_DEGRADED:
    case CLI_UNWELL:
    case CLI_UNKNOWN:
        break;
    }
    return MACULA__V1__ERROR_CODE__INTERNAL;
}

static void print_error(const mac_error *error, int exit_code) {
    Macula__V1__Error *wire = mac_error_to_wire(error);
    json_t *tree = json_pack("{s:o, s:i}", "error", mac_codec_tree(&wire->base, 0), "exit_code", exit_code);
    cli_print_tree(tree);
    json_decref(tree);
    macula__v1__error__free_unpacked(wire, NULL);
}

void cli_output_end(int exit_code) {
    cli_progress_end();
    if (output.said.length && output.json_printed) {
        cli_error("%s", output.said.data);
    } else if (output.said.length) {
        mac_error *error = mac_error_new(code_of_exit(exit_code), NULL, "%s", output.said.data);
        print_error(error, exit_code);
        mac_error_free(error);
    }
    mac_buffer_deinit(&output.said);
}

void cli_warning(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(CLI_YELLOW, "warning: ", format, arguments);
    va_end(arguments);
}

void cli_note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(CLI_PLAIN, "note: ", format, arguments);
    va_end(arguments);
}

void cli_problems(const mac_problems *problems) {
    for (size_t i = 0; i < mac_problems_count(problems); i++) {
        const mac_problem *problem = mac_problems_get(problems, i);
        mac_autofree char *line = mac_problem_format(problem);
        cli_progress_end();
        print_to(stderr, problem->severity == MAC_PROBLEM_ERROR ? CLI_RED : CLI_YELLOW, line, false);
        putc('\n', stderr);
    }
}

/* What the message says beyond the first of the problems, which stand above it; NULL: nothing. */
static const char *rest_of_message(const mac_error *error) {
    for (size_t i = 0; i < mac_problems_count(error->problems); i++) {
        mac_autofree char *line = mac_problem_format(mac_problems_get(error->problems, i));
        if (!mac_starts_with(error->message, line))
            continue;
        const char *rest = error->message + strlen(line), *more = strstr(rest, " more)");
        if (mac_starts_with(rest, " (and ") && more)
            rest = more + strlen(" more)");
        rest += strspn(rest, "; ");
        return *rest ? rest : NULL;
    }
    return error->message;
}

int cli_fail(mac_error *error) {
    int code = mac_error_exit(error->code);
    if (cli_output_json()) {
        print_error(error, code);
    } else {
        if (mac_problems_count(error->problems) > 0)
            cli_problems(error->problems);
        const char *message = rest_of_message(error);
        bool names_path = !error->path || !message || strstr(message, error->path) || message != error->message;
        if (message)
            cli_error("%s%s%s", names_path ? "" : error->path, names_path ? "" : ": ", message);
    }
    mac_error_free(error);
    return code;
}

char *cli_json_text(const json_t *tree, size_t flags) {
    mac_autofree char *text = json_dumps(tree, flags | JSON_ENCODE_ANY);
    mac_autobuffer out = {0};
    const char *p = text ? text : "null";
    size_t left = strlen(p), size;
    for (; left; p += size, left -= size) {
        size = mac_printable(p, left);
        if (!size && (unsigned char)*p >= 0x7f) { /* valid UTF-8 of at most three bytes, see mac_printable */
            const unsigned char *u = (const unsigned char *)p;
            size = *u == 0x7f ? 1 : *u < 0xe0 ? 2 : 3;
            mac_buffer_printf(&out, "\\u%04x",
                              size == 1   ? *u
                              : size == 2 ? (*u & 0x1fu) << 6 | (u[1] & 0x3fu)
                                          : (*u & 0xfu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu));
        } else {
            size = size ? size : 1; /* else a line break between the values */
            mac_buffer_append(&out, p, size);
        }
    }
    return mac_buffer_take(&out);
}

void cli_print_tree(json_t *tree) {
    if (cli_output_yaml() || (!cli_output_json() && (json_is_object(tree) || json_is_array(tree)))) {
        mac_autofree char *text = mac_codec_to_yaml(tree, NULL);
        put_safe(stdout, text, true);
        return;
    }
    if (!cli_output_json() && json_is_string(tree)) {
        put_safe(stdout, json_string_value(tree), true);
        putchar('\n');
        return;
    }
    mac_autofree char *text = cli_json_text(tree, JSON_INDENT(2));
    puts(text);
    output.json_printed = true;
}

void cli_print_message(const ProtobufCMessage *message) {
    json_t *tree = mac_codec_tree(message, 0);
    cli_print_tree(tree);
    json_decref(tree);
}

struct cli_table {
    size_t columns;
    char ***rows; /* the first one holds the headings */
    cli_style **styles;
    size_t count;
};

cli_table *cli_table_new(const char *const *headings) {
    cli_table *table = mac_calloc(1, sizeof *table);
    while (headings[table->columns])
        table->columns++;
    cli_table_row(table, headings);
    return table;
}

static char *escaped(const char *text) {
    mac_buffer out = {0};
    mac_buffer_escaped(&out, text, strlen(text));
    return mac_buffer_take(&out);
}

void cli_table_row(cli_table *table, const char *const *cells) {
    char **row = mac_calloc(table->columns, sizeof *row);
    for (size_t i = 0; i < table->columns; i++)
        row[i] = escaped(cells[i] ? cells[i] : "");
    table->rows = mac_realloc(table->rows, (table->count + 1) * sizeof *table->rows);
    table->styles = mac_realloc(table->styles, (table->count + 1) * sizeof *table->styles);
    table->styles[table->count] = mac_calloc(table->columns, sizeof **table->styles);
    for (size_t i = 0; i < table->columns; i++)
        table->styles[table->count][i] = table->count == 0 ? CLI_BOLD : CLI_PLAIN;
    table->rows[table->count++] = row;
}

void cli_table_style(cli_table *table, size_t column, cli_style style) {
    table->styles[table->count - 1][column] = style;
}

/* Columns on the screen, counting each UTF-8 character as one. */
static size_t width(const char *text) {
    size_t columns = 0;
    for (; *text; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

void cli_table_print(cli_table *table) {
    mac_autofree size_t *widths = mac_calloc(table->columns, sizeof *widths);
    for (size_t r = 0; r < table->count; r++)
        for (size_t c = 0; c < table->columns; c++)
            if (width(table->rows[r][c]) > widths[c])
                widths[c] = width(table->rows[r][c]);
    for (size_t r = 0; r < table->count; r++) {
        for (size_t c = 0; c < table->columns; c++) {
            bool last = c + 1 == table->columns;
            print_to(stdout, table->styles[r][c], table->rows[r][c], false);
            if (!last)
                printf("%*s", (int)(widths[c] - width(table->rows[r][c]) + 2), "");
        }
        putchar('\n');
    }
    cli_table_free(table);
}

void cli_table_free(cli_table *table) {
    for (size_t r = 0; r < table->count; r++) {
        for (size_t c = 0; c < table->columns; c++)
            free(table->rows[r][c]);
        free(table->rows[r]);
        free(table->styles[r]);
    }
    free(table->rows);
    free(table->styles);
    free(table);
}

char *cli_quoted(const char *text) {
    mac_buffer out = {0};
    mac_buffer_text(&out, "'");
    for (; *text; text++)
        mac_buffer_append(&out, *text == '\'' ? "'\\''" : text, *text == '\'' ? 4 : 1);
    mac_buffer_text(&out, "'");
    return mac_buffer_take(&out);
}

char *cli_time(int64_t unix_ms) {
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;
    char text[64];
    localtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
    return mac_strdup(text);
}

char *cli_span(uint64_t seconds) {
    if (seconds < 120)
        return mac_asprintf("%llu s", (unsigned long long)seconds);
    if (seconds < 7200)
        return mac_asprintf("%llu min", (unsigned long long)seconds / 60);
    if (seconds < 172800)
        return mac_asprintf("%llu h %llu min", (unsigned long long)seconds / 3600,
                            (unsigned long long)seconds / 60 % 60);
    return mac_asprintf("%llu days %llu h", (unsigned long long)seconds / 86400,
                        (unsigned long long)seconds / 3600 % 24);
}

void cli_progress(const char *format, ...) {
    if (output.progress == PROGRESS_NONE)
        return;
    va_list arguments;
    va_start(arguments, format);
    mac_autofree char *text = mac_vasprintf(format, arguments);
    va_end(arguments);
    if (output.progress == PROGRESS_LINE)
        fputs("\r\033[K", stderr);
    put_safe(stderr, text, false);
    if (output.progress == PROGRESS_PLAIN)
        putc('\n', stderr);
    output.progress_shown = output.progress == PROGRESS_LINE;
    fflush(stderr);
}

void cli_progress_end(void) {
    if (output.progress_shown)
        fputs("\r\033[K", stderr);
    output.progress_shown = false;
}

int cli_ask(const char *question) {
    if (!isatty(0) || !isatty(2))
        return -1;
    fprintf(stderr, "%s [y/N] ", question);
    char answer[16];
    if (!fgets(answer, sizeof answer, stdin))
        return 0;
    return tolower((unsigned char)answer[0]) == 'y';
}
