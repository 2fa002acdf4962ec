/* --help, from the tables. */
#include <stdio.h>
#include <string.h>

#include "cli-command.h"
#include "cli-output.h"

#define WIDTH 88

/* Prints text wrapped at WIDTH, every line after `indent` spaces; line breaks in the text stay. */
static void wrap(const char *text, int indent) {
    int column = 0;
    while (*text) {
        size_t word = strcspn(text, " \n");
        if (column == 0) {
            printf("%*s", indent, "");
            column = indent;
        } else if (column + 1 + (int)word > WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (word) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)word, text);
        column += (int)word;
        text += word;
        if (*text == '\n') {
            putchar('\n');
            column = 0;
        }
        if (*text)
            text++;
    }
    putchar('\n');
}

static void options_print(const char *title, const cli_option *options) {
    if (!options || !options->name)
        return;
    printf("\n");
    cli_print(CLI_BOLD, "%s\n", title);
    for (const cli_option *option = options; option->name; option++) {
        char letter[8] = "    ";
        if (option->letter)
            snprintf(letter, sizeof letter, "-%c, ", option->letter);
        mac_autofree char *head = mac_asprintf("  %s--%s%s%s", letter, option->name, option->value ? " " : "",
                                               option->value ? option->value : "");
        printf("%-30s %s\n", head, option->help);
    }
}

static void summaries_print(const char *prefix) {
    for (const cli_command *command = cli_command_next(NULL); command; command = cli_command_next(command))
        if (!prefix || mac_starts_with(command->name, prefix))
            printf("  %-20s %s\n", command->name, command->summary);
}

static size_t summaries_count(const char *prefix) {
    size_t count = 0;
    for (const cli_command *command = cli_command_next(NULL); command; command = cli_command_next(command))
        count += mac_starts_with(command->name, prefix);
    return count;
}

void cli_help_all(void) {
    printf("maculaos %s: looks after a MaculaOS node\n\n", MACULA_VERSION);
    printf("usage: maculaos COMMAND [ARGUMENTS] [OPTIONS]\n\n");
    cli_print(CLI_BOLD, "Commands\n");
    summaries_print(NULL);
    options_print("Options of every command", cli_global_options);
    printf("      --version                the version\n");
    printf("\nExit codes: 0 ok, 1 failed, 2 usage, 3 nothing to do, 4 reboot required, 5 rejected, 6 denied,\n"
           "7 unreachable, 8 timed out and still running, 9 rolled back.\n\n"
           "Example:\n  maculaos config get hostname\n  maculaos COMMAND --help\n");
}

void cli_help_group(const char *group) {
    mac_autofree char *prefix = mac_asprintf("%s ", group);
    printf("usage: maculaos %s COMMAND\n\n", group);
    summaries_print(prefix);
    printf("\nExample:\n  maculaos %s COMMAND --help\n", group);
}

void cli_help_command(const cli_command *command) {
    printf("usage: maculaos %s%s%s [OPTIONS]\n\n", command->name, *command->arguments ? " " : "", command->arguments);
    wrap(command->summary, 0);
    if (command->details) {
        putchar('\n');
        wrap(command->details, 0);
    }
    mac_autofree char *below = mac_asprintf("%s ", command->name);
    if (summaries_count(below) > 0) {
        printf("\n");
        cli_print(CLI_BOLD, "Commands below it\n");
        summaries_print(below);
    }
    options_print("Options", command->options);
    options_print("Options of every command", cli_global_options);
    printf("\n");
    cli_print(CLI_BOLD, "Example\n");
    for (const char *line = command->example; *line;) {
        size_t length = strcspn(line, "\n");
        printf("  %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
}
