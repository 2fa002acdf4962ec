/* The command line as tables: one cli_command a command, from which parsing, --help, shell completion and the man pages
 * all come. A command's function gets what was parsed and returns an exit code (cli_exit). */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "base/mac-base.h"

typedef enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOTHING_TO_DO = 3,
    CLI_REBOOT_REQUIRED = 4,
    CLI_REJECTED = 5,
    CLI_DENIED = 6,
    CLI_UNREACHABLE = 7,
    CLI_TIMED_OUT = 8,
    CLI_ROLLED_BACK = 9,
    /* what `health` tells besides 0: the request itself succeeded */
    CLI_DEGRADED = 10,
    CLI_UNWELL = 11,
    CLI_UNKNOWN = 12,
} cli_exit;

typedef struct cli_option {
    const char *name;  /* without dashes; NULL ends a table */
    char letter;       /* 0: none */
    const char *value; /* what its value is called in the help (FILE); NULL: a switch */
    const char *help;
    const char *const *choices; /* the only values allowed, for completion too; may be NULL */
} cli_option;

typedef enum cli_completion {
    CLI_COMPLETE_NOTHING,
    CLI_COMPLETE_FILE,
    CLI_COMPLETE_WORDS,      /* the command's `words` */
    CLI_COMPLETE_KEYS,       /* of the configuration */
    CLI_COMPLETE_PROCEDURES, /* of the API */
} cli_completion;

typedef struct cli_invocation cli_invocation;

typedef struct cli_command {
    const char *name;      /* "config get"; NULL ends a table */
    const char *arguments; /* "[PATH]", for the usage line; "" for none */
    unsigned least, most;  /* how many arguments it takes */
    const char *summary;   /* one line */
    const char *details;   /* paragraphs for --help and the man page; may be NULL */
    const char *example;   /* lines as typed at a prompt, each with "# …" where it needs a word */
    const cli_option *options;
    int (*run)(cli_invocation *invocation);
    cli_completion completion;
    const char *const *words;
    bool without_node; /* needs no running node */
} cli_command;

/* A table a group, each ended by a command without name; none is empty. */
extern const cli_command cli_commands_config[], cli_commands_node[], cli_commands_health[], cli_commands_upgrade[];
/* The one after `command` in the order of the help; NULL: the first. NULL after the last. */
const cli_command *cli_command_next(const cli_command *command);
extern const cli_option cli_global_options[];
/* The command that words begin with: two of them ("config get") before one ("call"); *ret_words says how many were
 * taken. NULL: none. */
const cli_command *cli_command_find(char *const *words, size_t count, size_t *ret_words);
/* An option of the command (may be NULL) or a global one, by its letter, or by its name where the letter is 0. */
const cli_option *cli_option_find(const cli_command *command, const char *name, size_t length, char letter);

/* What was given for an option of the command or a global one; NULL when it was not. A switch given is "". */
const char *cli_option_value(const cli_invocation *invocation, const char *name);
bool cli_option_given(const cli_invocation *invocation, const char *name);
/* The largest number that cli_option_number is asked for where there is no bound of its own. */
#define CLI_NUMBER_MAX 999999999999999999u
/* A number in a range: true and *ret, or false after having said what is wrong. Untouched when not given. */
bool cli_option_number(const cli_invocation *invocation, const char *name, uint64_t least, uint64_t most,
                       uint64_t *ret);
/* A duration in seconds, likewise. */
bool cli_option_seconds(const cli_invocation *invocation, const char *name, uint32_t *ret);
size_t cli_argument_count(const cli_invocation *invocation);
const char *cli_argument(const cli_invocation *invocation, size_t index); /* NULL beyond the last */
const cli_command *cli_invocation_command(const cli_invocation *invocation);

/* Parses the command line, runs the command, returns the exit code. */
int cli_run(int argc, char **argv);

/* cli-help.c, cli-completion.c, cli-candidates.c, cli-man.c: made from the tables. */
void cli_help_all(void);
void cli_help_group(const char *group);
void cli_help_command(const cli_command *command);
int cli_completion_run(cli_invocation *invocation);
int cli_candidates_run(cli_invocation *invocation);
int cli_man_run(cli_invocation *invocation);

#endif
