/* Parsing of the command line by the tables of cli-commands.c. Options may stand anywhere; -- ends them. */
#include <stdio.h>
#include <string.h>

#include "cli-command.h"
#include "cli-output.h"
#include "codec/mac-schema.h"

#define OPTIONS_MAX 32

struct cli_invocation {
    const cli_command *command;
    struct {
        const cli_option *option;
        const char *value;
    } given[OPTIONS_MAX];
    size_t given_count;
    const char **arguments;
    size_t argument_count;
};

const char *cli_option_value(const cli_invocation *invocation, const char *name) {
    for (size_t i = invocation->given_count; i-- > 0;)
        if (mac_streq(invocation->given[i].option->name, name))
            return invocation->given[i].value;
    return NULL;
}

bool cli_option_given(const cli_invocation *invocation, const char *name) {
    return cli_option_value(invocation, name) != NULL;
}

bool cli_option_number(const cli_invocation *invocation, const char *name, uint64_t least, uint64_t most,
                       uint64_t *ret) {
    const char *text = cli_option_value(invocation, name);
    if (!text)
        return true;
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    if (!*text || *end || text[0] == '-' || number < least || number > most) {
        mac_autofree char *upper = most >= CLI_NUMBER_MAX ? mac_strdup(" on, of at most 18 digits")
                                                          : mac_asprintf(" to %llu", (unsigned long long)most);
        cli_error("--%s: expected a whole number from %llu%s, found \"%s\"", name, (unsigned long long)least, upper,
                  text);
        return false;
    }
    *ret = number;
    return true;
}

bool cli_option_seconds(const cli_invocation *invocation, const char *name, uint32_t *ret) {
    const char *text = cli_option_value(invocation, name);
    uint64_t milliseconds;
    if (!text)
        return true;
    if (mac_value_duration(text, &milliseconds) < 0 || milliseconds < 1000 || milliseconds / 1000 > UINT32_MAX) {
        cli_error("--%s: expected a duration of at least one second such as 30s or 2m, found \"%s\"", name, text);
        return false;
    }
    *ret = (uint32_t)(milliseconds / 1000);
    return true;
}

size_t cli_argument_count(const cli_invocation *invocation) {
    return invocation->argument_count;
}

const char *cli_argument(const cli_invocation *invocation, size_t index) {
    return index < invocation->argument_count ? invocation->arguments[index] : NULL;
}

const cli_command *cli_invocation_command(const cli_invocation *invocation) {
    return invocation->command;
}

static const cli_option *option_in(const cli_option *table, const char *name, size_t length, char letter) {
    for (const cli_option *option = table; option && option->name; option++)
        if (letter ? option->letter == letter
                   : strlen(option->name) == length && memcmp(option->name, name, length) == 0)
            return option;
    return NULL;
}

const cli_option *cli_option_find(const cli_command *command, const char *name, size_t length, char letter) {
    const cli_option *option = command ? option_in(command->options, name, length, letter) : NULL;
    return option ? option : option_in(cli_global_options, name, length, letter);
}

const cli_command *cli_command_find(char *const *words, size_t count, size_t *ret_words) {
    for (size_t take = count < 2 ? count : 2; take > 0; take--) {
        mac_autofree char *name = take == 2 ? mac_asprintf("%s %s", words[0], words[1]) : mac_strdup(words[0]);
        for (const cli_command *command = cli_command_next(NULL); command; command = cli_command_next(command))
            if (mac_streq(command->name, name)) {
                *ret_words = take;
                return command;
            }
    }
    return NULL;
}

static bool group_exists(const char *word) {
    mac_autofree char *prefix = mac_asprintf("%s ", word);
    for (const cli_command *command = cli_command_next(NULL); command; command = cli_command_next(command))
        if (mac_starts_with(command->name, prefix))
            return true;
    return false;
}

static int option_take(cli_invocation *invocation, const cli_option *option, const char *shown, const char *value) {
    if (option->choices) {
        bool known = false;
        mac_autobuffer words = {0};
        for (const char *const *choice = option->choices; *choice; choice++) {
            known |= mac_streq(*choice, value);
            mac_buffer_printf(&words, "%s%s", words.length ? ", " : "", *choice);
        }
        if (!known) {
            cli_error("%s: expected one of %s, found \"%s\"", shown, words.data ? words.data : "", value);
            return CLI_USAGE;
        }
    }
    if (invocation->given_count == OPTIONS_MAX) {
        cli_error("too many options");
        return CLI_USAGE;
    }
    invocation->given[invocation->given_count].option = option;
    invocation->given[invocation->given_count++].value = value;
    return CLI_OK;
}

/* Parses argv[*index], which starts with a dash. */
static int option_parse(cli_invocation *invocation, int argc, char **argv, int *index) {
    const char *word = argv[*index];
    bool is_long = word[1] == '-';
    const char *equals = is_long ? strchr(word, '=') : NULL;
    size_t length = is_long ? (equals ? (size_t)(equals - word) : strlen(word)) - 2 : 1;
    const cli_option *option =
        cli_option_find(invocation->command, word + (is_long ? 2 : 1), length, is_long ? '\0' : word[1]);
    if (!option) {
        cli_error("unknown option %s; see: maculaos %s%s--help", word,
                  invocation->command ? invocation->command->name : "", invocation->command ? " " : "");
        return CLI_USAGE;
    }
    const char *value = equals ? equals + 1 : !is_long && word[2] ? word + 2 : NULL;
    if (!option->value) {
        if (value) {
            cli_error("--%s takes no value", option->name);
            return CLI_USAGE;
        }
        return option_take(invocation, option, word, "");
    }
    if (!value) {
        if (*index + 1 >= argc) {
            cli_error("--%s needs a value: --%s %s", option->name, option->name, option->value);
            return CLI_USAGE;
        }
        value = argv[++*index];
    }
    return option_take(invocation, option, word, value);
}

/* The command's words may follow global options: finds them, skipping the options and their values. */
static size_t words_before_options(int argc, char **argv, char **words, size_t most) {
    size_t count = 0;
    for (int i = 1; i < argc && count < most; i++) {
        if (mac_streq(argv[i], "--"))
            break;
        if (argv[i][0] == '-' && argv[i][1]) {
            bool is_long = argv[i][1] == '-';
            const cli_option *option = option_in(cli_global_options, argv[i] + 2, is_long ? strlen(argv[i] + 2) : 0,
                                                 is_long ? '\0' : argv[i][1]);
            if (option && option->value && (is_long || !argv[i][2]))
                i++;
            continue;
        }
        words[count++] = argv[i];
    }
    return count;
}

/* No command, or one that is not known: `option` is the first word with a dash. */
static int unknown_command(char *const *words, size_t count, const char *option) {
    bool help = !cli_output_json(), is_group = count > 0 && group_exists(words[0]);
    if (count == 0 && option && !cli_option_find(NULL, option + 2, strcspn(option + 2, "="), '\0') &&
        !cli_option_find(NULL, "", 0, option[1])) {
        cli_error("unknown option %s; see: maculaos --help", option);
        help = false;
    } else if (count == 0 && !help) {
        cli_error("a command is missing; see: maculaos --help");
    } else if (is_group && count > 1) {
        cli_error("unknown command: maculaos %s %s", words[0], words[1]);
    } else if (is_group && !help) {
        cli_error("a command is missing; see: maculaos %s --help", words[0]);
    } else if (count > 0 && !is_group) {
        cli_error("unknown command \"%s\"; see: maculaos --help", words[0]);
        help = false;
    }
    if (help && is_group)
        cli_help_group(words[0]);
    else if (help)
        cli_help_all();
    return CLI_USAGE;
}

/* --help, -h or the word help before all others: prints what it is asked for and sets the exit code. */
static bool help_wanted(int argc, char **argv, char *const *words, size_t count, int *ret_code) {
    bool asked = count > 0 && mac_streq(words[0], "help");
    size_t skip = asked, taken = 0;
    for (int i = 1; i < argc && !mac_streq(argv[i], "--"); i++)
        asked |= mac_streq(argv[i], "--help") || mac_streq(argv[i], "-h");
    if (!asked)
        return false;
    *ret_code = CLI_OK;
    const cli_command *command = cli_command_find(words + skip, count - skip, &taken);
    if (command && (taken == count - skip || !skip))
        cli_help_command(command);
    else if (count == skip)
        cli_help_all();
    else if (count == skip + 1 && group_exists(words[skip]))
        cli_help_group(words[skip]);
    else
        *ret_code = unknown_command(words + skip, count - skip, NULL);
    return true;
}

static int arguments_parse(cli_invocation *invocation, int argc, char **argv, size_t skip) {
    bool options_ended = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!options_ended && mac_streq(word, "--")) {
            options_ended = true;
        } else if (!options_ended && word[0] == '-' && word[1]) {
            int code = option_parse(invocation, argc, argv, &i);
            if (code != CLI_OK)
                return code;
        } else if (skip > 0) {
            skip--; /* a word of the command's own name */
        } else {
            invocation->arguments[invocation->argument_count++] = word;
        }
    }
    return CLI_OK;
}

static int arguments_check(const cli_invocation *invocation) {
    const cli_command *command = invocation->command;
    if (invocation->argument_count >= command->least && invocation->argument_count <= command->most)
        return CLI_OK;
    if (command->most == 0 && !strchr(command->name, ' ')) {
        cli_error("maculaos %s has no command %s; see: maculaos %s --help", command->name, invocation->arguments[0],
                  command->name);
        return CLI_USAGE;
    }
    cli_error("%s: maculaos %s%s%s",
              invocation->argument_count < command->least ? "an argument is missing" : "too many arguments",
              command->name, *command->arguments ? " " : "", command->arguments);
    return CLI_USAGE;
}

static int run(int argc, char **argv) {
    char *words[3] = {NULL};
    size_t count = words_before_options(argc, argv, words, 3), taken = 0;
    mac_autofree const char **arguments = mac_calloc((size_t)argc + 1, sizeof *arguments);
    cli_invocation invocation = {.command = cli_command_find(words, count, &taken), .arguments = arguments};
    int code;
    if (help_wanted(argc, argv, words, count, &code))
        return code;
    if (!invocation.command && count == 0 && argc > 1 && mac_streq(argv[1], "--version")) {
        printf("maculaos %s\n", MACULA_VERSION);
        return CLI_OK;
    }
    if (!invocation.command)
        return unknown_command(words, count, argc > 1 && argv[1][0] == '-' && argv[1][1] ? argv[1] : NULL);
    code = arguments_parse(&invocation, argc, argv, taken);
    if (code == CLI_OK)
        code = arguments_check(&invocation);
    if (code != CLI_OK)
        return code;
    cli_output_init(cli_option_value(&invocation, "output"), cli_option_value(&invocation, "progress"));
    return invocation.command->run(&invocation);
}

int cli_run(int argc, char **argv) {
    cli_output_guess(argc, argv);
    int code = run(argc, argv);
    cli_output_end(code);
    return code;
}
