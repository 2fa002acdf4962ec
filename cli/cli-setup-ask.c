/* Questions on the terminal, as the fields of the set-up say. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

#include "cli-output.h"
#include "cli-setup.h"
#include "codec/mac-codec.h"
#include "crypto/mac-crypto.h"
#include "flow/mac-keymap.h"

#define SHOWN_MAX 15 /* of the matches of a search */
#define SHOWN_COLUMNS 72u
#define LINE_MAX_BYTES 8192
#define NOTHING "-" /* empties what stands there */

/* ---- answers ---- */

void cli_answers_set(cli_answers *answers, const char *name, const char *value) {
    for (size_t i = 0; i < answers->count; i++) {
        if (!mac_streq(answers->names[i], name))
            continue;
        mac_wipe(answers->values[i], strlen(answers->values[i]));
        free(answers->values[i]);
        answers->values[i] = mac_strdup(value);
        return;
    }
    answers->names = mac_realloc(answers->names, (answers->count + 1) * sizeof *answers->names);
    answers->values = mac_realloc(answers->values, (answers->count + 1) * sizeof *answers->values);
    answers->names[answers->count] = mac_strdup(name);
    answers->values[answers->count++] = mac_strdup(value);
}

const char *cli_answers_get(const cli_answers *answers, const char *name) {
    for (size_t i = 0; i < answers->count; i++)
        if (mac_streq(answers->names[i], name))
            return answers->values[i];
    return NULL;
}

void cli_answers_deinit(cli_answers *answers) {
    for (size_t i = 0; i < answers->count; i++) {
        mac_wipe(answers->values[i], strlen(answers->values[i]));
        free(answers->names[i]);
        free(answers->values[i]);
    }
    free(answers->names);
    free(answers->values);
    *answers = (cli_answers){0};
}

bool cli_setup_counts(const Macula__V1__FirstbootStep *step, const Macula__V1__FirstbootField *field,
                      const cli_answers *answers) {
    const char *equals = field->when ? strchr(field->when, '=') : NULL;
    if (!equals)
        return true;
    mac_autofree char *name = mac_strndup(field->when, (size_t)(equals - field->when));
    const char *value = cli_answers_get(answers, name);
    for (size_t i = 0; !value && i < step->n_fields; i++)
        if (mac_streq(step->fields[i]->name, name))
            value = step->fields[i]->value;
    return mac_streq(value, equals + 1);
}

/* ---- the terminal ---- */

/* Who leaves at a password gets a terminal that shows again what is typed. */
static struct termios terminal;
static volatile sig_atomic_t hidden;

static void on_leave(int number) {
    if (hidden)
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
    raise(number); /* SA_RESETHAND: it ends us as soon as we return */
}

void cli_setup_signals(void) {
    static const int leaving[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_leave, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < MAC_ARRAY_SIZE(leaving); i++)
        sigaction(leaving[i], &action, NULL);
}

static void begin_line(bool secret) {
    if (!secret || !isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &terminal) < 0)
        return;
    struct termios silent = terminal;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    hidden = 1;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
}

static void end_line(void) {
    if (!hidden)
        return;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal);
    hidden = 0;
    printf("\n");
}

bool cli_setup_line(const char *prompt, bool secret, char **ret_line) {
    char line[LINE_MAX_BYTES];
    begin_line(secret); /* first: what is typed at the prompt must count */
    cli_print(CLI_PLAIN, "%s", prompt);
    fflush(stdout);
    bool got = fgets(line, sizeof line, stdin) != NULL;
    end_line();
    if (!got) {
        printf("\n");
        return false;
    }
    line[strcspn(line, "\r\n")] = '\0';
    *ret_line = mac_strdup(line);
    mac_wipe(line, sizeof line);
    return true;
}

static bool contains(const char *text, const char *part) {
    return strcasestr(text, part) != NULL;
}

/* Of a list of suggestions the one that is meant; NULL after having shown those that may be. */
static const char *search(const Macula__V1__FirstbootField *field, const char *text) {
    const char *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < field->n_options; i++) {
        if (strcasecmp(field->options[i], text) == 0)
            return field->options[i];
        if (contains(field->options[i], text) && count++ == 0)
            found = field->options[i];
    }
    if (count == 1)
        return found;
    size_t shown = 0;
    for (size_t i = 0; i < field->n_options && shown < SHOWN_MAX; i++)
        if (contains(field->options[i], text)) {
            cli_print(CLI_PLAIN, "    %s\n", field->options[i]);
            shown++;
        }
    if (count > shown)
        cli_print(CLI_DIM, "    and %zu more\n", count - shown);
    return NULL;
}

/* A number of the list, a word of it, or (where they are only suggestions) another word. */
static const char *choose(const Macula__V1__FirstbootField *field, const char *text) {
    bool only = field->kind == MACULA__V1__FIRSTBOOT_FIELD__KIND__choice;
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);
    if (only && *text && !*end && number >= 1 && number <= field->n_options)
        return field->options[number - 1];
    for (size_t i = 0; i < field->n_options; i++)
        if (mac_streq(field->options[i], text))
            return field->options[i];
    if (only || mac_streq(field->name, "timezone"))
        return only ? NULL : search(field, text);
    return text;
}

static bool ask_lines(const Macula__V1__FirstbootField *field, cli_answers *answers) {
    mac_autobuffer text = {0};
    const char *now = field->value ? field->value : "";
    for (const char *line = now; *line; line += strcspn(line, "\n"), line += *line == '\n')
        cli_print(CLI_PLAIN, "  [%.*s]\n", (int)strcspn(line, "\n"), line);
    cli_print(CLI_DIM, "  End with an empty line.\n");
    for (;;) {
        mac_autofree char *line = NULL;
        if (!cli_setup_line("  > ", false, &line))
            return false;
        if (!*line || mac_streq(line, NOTHING)) {
            cli_answers_set(answers, field->name, text.length ? text.data : *line ? "" : now);
            return true;
        }
        mac_buffer_printf(&text, "%s\n", line);
    }
}

static bool ask_secret(const Macula__V1__FirstbootField *field, cli_answers *answers) {
    for (;;) {
        mac_autofree char *first = NULL, *second = NULL;
        if (!cli_setup_line(field->value && *field->value ? "  (empty: as it is) " : "  ", true, &first))
            return false;
        if (*first && isatty(STDIN_FILENO) && !cli_setup_line("  once more: ", true, &second))
            return false;
        bool same = !second || mac_streq(first, second);
        if (same)
            cli_answers_set(answers, field->name, first);
        mac_wipe(first, strlen(first));
        if (second)
            mac_wipe(second, strlen(second));
        if (same)
            return true;
        cli_print(CLI_YELLOW, "  These are not the same.\n");
    }
}

static bool ask_check(const Macula__V1__FirstbootField *field, cli_answers *answers) {
    mac_autofree char *line = NULL;
    bool now = field->value && *field->value;
    if (!cli_setup_line(now ? "  [Y/n] " : "  [y/N] ", false, &line))
        return false;
    bool yes = *line ? *line == 'y' || *line == 'Y' : now;
    cli_answers_set(answers, field->name, yes ? "yes" : "");
    return true;
}

static void show_options(const Macula__V1__FirstbootField *field) {
    size_t column = 0;
    for (size_t i = 0; i < field->n_options; i++) {
        bool wraps = i > 0 && column + strlen(field->options[i]) + 1 > SHOWN_COLUMNS;
        cli_print(CLI_PLAIN, "%s%s", i == 0 ? "    " : wraps ? "\n    " : " ", field->options[i]);
        column = (wraps ? 0 : column) + strlen(field->options[i]) + 1;
    }
    cli_print(CLI_PLAIN, "\n");
}

/* A layout that is not here is asked for again; one that is holds for what is typed next, a password. */
static bool takes_layout(const Macula__V1__FirstbootField *field, const char *layout) {
    if (!mac_streq(field->name, "keyboard") || !*layout)
        return true;
    if (!mac_keymap_possible(layout)) {
        cli_print(CLI_YELLOW, "  There is no layout %s here, but these:\n", layout);
        show_options(field);
        return false;
    }
    mac_error *error = mac_keymap_load(layout);
    if (error)
        cli_print(CLI_YELLOW, "  The keyboard keeps the layout that it had until now: %s\n", error->message);
    mac_error_free(error);
    return true;
}

static bool ask_line(const Macula__V1__FirstbootField *field, cli_answers *answers) {
    const char *now = field->value ? field->value : "";
    bool choice = field->kind == MACULA__V1__FIRSTBOOT_FIELD__KIND__choice;
    for (size_t i = 0; choice && i < field->n_options; i++)
        cli_print(CLI_PLAIN, "  %zu  %s%s%s\n", i + 1, field->options[i], i < field->n_option_labels ? ": " : "",
                  i < field->n_option_labels ? field->option_labels[i] : "");
    for (;;) {
        mac_autofree char *line = NULL, *prompt = *now ? mac_asprintf("  [%s] ", now) : mac_strdup("  ");
        if (!cli_setup_line(prompt, false, &line))
            return false;
        const char *chosen = !*line ? now : field->n_options > 0 ? choose(field, line) : line;
        if (!choice && mac_streq(line, NOTHING))
            chosen = "";
        if (chosen && !takes_layout(field, chosen))
            continue;
        if (chosen) {
            cli_answers_set(answers, field->name, chosen);
            return true;
        }
        if (choice)
            cli_print(CLI_YELLOW, "  Choose one by its number, 1 to %zu, or by its word.\n", field->n_options);
    }
}

bool cli_setup_ask(const Macula__V1__FirstbootField *field, cli_answers *answers) {
    cli_print(CLI_BOLD, "%s\n", field->label);
    if (field->hint && *field->hint)
        cli_print(CLI_DIM, "  %s\n", field->hint);
    switch (field->kind) {
    case MACULA__V1__FIRSTBOOT_FIELD__KIND__lines:
        return ask_lines(field, answers);
    case MACULA__V1__FIRSTBOOT_FIELD__KIND__password:
        return ask_secret(field, answers);
    case MACULA__V1__FIRSTBOOT_FIELD__KIND__check:
        return ask_check(field, answers);
    case MACULA__V1__FIRSTBOOT_FIELD__KIND__line:
    case MACULA__V1__FIRSTBOOT_FIELD__KIND__choice:
    case MACULA__V1__FIRSTBOOT_FIELD__KIND__suggested:
    case _MACULA__V1__FIRSTBOOT_FIELD__KIND_IS_INT_SIZE:
        break;
    }
    return ask_line(field, answers);
}

/* ---- what was answered ---- */

static const char *shown_value(const Macula__V1__FirstbootField *field) {
    bool is_set = field->value && *field->value;
    if (field->kind == MACULA__V1__FIRSTBOOT_FIELD__KIND__check)
        return is_set ? "yes" : "no";
    if (field->kind == MACULA__V1__FIRSTBOOT_FIELD__KIND__password)
        return is_set ? "set" : "not set";
    for (size_t i = 0; is_set && i < field->n_option_labels && i < field->n_options; i++)
        if (mac_streq(field->options[i], field->value))
            return field->option_labels[i];
    return is_set ? field->value : "not set";
}

static void review_field(const Macula__V1__FirstbootField *field) {
    const char *value = shown_value(field);
    size_t first = strcspn(value, "\n");
    cli_print(CLI_PLAIN, "  %s: %.*s\n", field->label, (int)first, value);
    for (const char *line = value + first; *line; line += strcspn(line, "\n"))
        if (*++line && *line != '\n')
            cli_print(CLI_PLAIN, "    %.*s\n", (int)strcspn(line, "\n"), line);
}

void cli_setup_review(const Macula__V1__FirstbootSteps *steps) {
    const cli_answers none = {0};
    cli_print(CLI_PLAIN, "\n");
    cli_print(CLI_BOLD, "--- Review ---\n");
    for (size_t i = 0; i < steps->n_steps; i++) {
        const Macula__V1__FirstbootStep *step = steps->steps[i];
        for (size_t j = 0; j < step->n_fields; j++)
            if (cli_setup_counts(step, step->fields[j], &none))
                review_field(step->fields[j]);
        for (size_t j = 0; j < step->n_warnings; j++)
            cli_print(CLI_YELLOW, "  %s\n", step->warnings[j]);
    }
}
