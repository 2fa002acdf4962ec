/* Shell completion for bash, zsh and fish, from the tables. */
#include <stdio.h>
#include <string.h>

#include "cli-command.h"
#include "cli-output.h"

static void option_words(const cli_option *options) {
    for (const cli_option *option = options; option && option->name; option++)
        printf("--%s ", option->name);
}

/* Prints the second words of a group, or nothing when the word is a command of its own. */
static void second_words(const char *group) {
    mac_autofree char *prefix = mac_asprintf("%s ", group);
    for (const cli_command *command = cli_command_next(NULL); command; command = cli_command_next(command))
        if (mac_starts_with(command->name, prefix))
            printf("%s ", command->name + strlen(prefix));
}

/* Calls `each` once for every distinct first word, in the order of the table. */
static void first_words(void (*each)(const char *word, bool group)) {
    mac_autostrings seen = {0};
    for (const cli_command *command = cli_command_next(NULL); command; command = cli_command_next(command)) {
        size_t length = strcspn(command->name, " ");
        mac_autofree char *word = mac_strndup(command->name, length);
        if (!mac_strings_contain(&seen, word)) {
            mac_strings_add(&seen, word);
            each(word, command->name[length] == ' ');
        }
    }
}

static void print_word(const char *word, bool group) {
    (void)group;
    printf("%s ", word);
}

static void bash_group(const char *word, bool group) {
    if (!group)
        return;
    printf("    %s) words=\"", word);
    second_words(word);
    printf("\" ;;\n");
}

static void bash_command_options(void) {
    for (const cli_command *command = cli_command_next(NULL); command; command = cli_command_next(command)) {
        printf("    \"%s\") words=\"", command->name);
        option_words(command->options);
        for (const char *const *word = command->words; word && *word; word++)
            printf("%s ", *word);
        printf("\"; files=%d ;;\n", command->completion == CLI_COMPLETE_FILE);
    }
}

static void bash_option_values(const cli_option *options) {
    for (const cli_option *option = options; option && option->name; option++) {
        if (!option->choices)
            continue;
        printf("    --%s) COMPREPLY=($(compgen -W \"", option->name);
        for (const char *const *choice = option->choices; *choice; choice++)
            printf("%s ", *choice);
        printf("\" -- \"$current\")); return ;;\n");
    }
}

static void bash(void) {
    printf("# bash completion for maculaos: source <(maculaos completion bash)\n_maculaos() {\n"
           "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words= files=0\n  case "
           "$previous in\n");
    bash_option_values(cli_global_options);
    printf("  esac\n  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words=\"");
    first_words(print_word);
    printf("\"\n  else\n  if [ \"$COMP_CWORD\" -eq 2 ]; then case ${COMP_WORDS[1]} in\n");
    first_words(bash_group);
    printf("  esac; fi\n  if [ -z \"$words\" ]; then case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n");
    bash_command_options();
    printf("  esac; fi\n  if [ -z \"$words\" ]; then case \"${COMP_WORDS[1]}\" in\n");
    bash_command_options();
    printf("  esac; fi\n  if [ \"${current#-}\" != \"$current\" ]; then words=\"$words ");
    option_words(cli_global_options);
    printf("\"; fi\n  fi\n  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
           "  if [ \"$files\" = 1 ]; then COMPREPLY+=($(compgen -f -- \"$current\")); fi\n}\ncomplete -F _maculaos "
           "maculaos\n");
}

static void zsh(void) {
    printf("#compdef maculaos\n# zsh completion for maculaos: maculaos completion zsh > \"${fpath[1]}/_maculaos\"\n"
           "autoload -U +X bashcompinit && bashcompinit\n");
    bash();
}

/* One line of fish; single quotes in the text are escaped. */
static void fish_line(const char *condition, const char *flag, const char *word, const char *help) {
    printf("complete -c maculaos -f -n '%s' %s '%s' -d '", condition, flag, word);
    for (const char *p = help; *p; p++) {
        if (*p == '\'')
            putchar('\\');
        putchar(*p);
    }
    printf("'\n");
}

static void fish_command(const cli_command *command) {
    const char *space = strchr(command->name, ' ');
    mac_autofree char *first = mac_strndup(command->name, strcspn(command->name, " "));
    mac_autofree char *inside = mac_asprintf("__fish_seen_subcommand_from %s", first);
    mac_autofree char *full =
        space ? mac_asprintf("%s; and __fish_seen_subcommand_from %s", inside, space + 1) : mac_strdup(inside);
    if (space)
        fish_line(inside, "-a", space + 1, command->summary);
    else
        fish_line("__fish_use_subcommand", "-a", command->name, command->summary);
    for (const cli_option *option = command->options; option && option->name; option++)
        fish_line(full, "-l", option->name, option->help);
    for (const char *const *word = command->words; word && *word; word++)
        fish_line(full, "-a", *word, "");
    if (command->completion == CLI_COMPLETE_FILE)
        printf("complete -c maculaos -F -n '%s'\n", full);
}

static void fish_group(const char *word, bool group) {
    mac_autobuffer help = {0};
    mac_autofree char *prefix = mac_asprintf("%s ", word);
    for (const cli_command *command = cli_command_next(NULL); group && command; command = cli_command_next(command))
        if (mac_starts_with(command->name, prefix))
            mac_buffer_printf(&help, "%s%s", help.length ? ", " : "", command->name + strlen(prefix));
    if (group)
        fish_line("__fish_use_subcommand", "-a", word, help.data);
}

static void fish(void) {
    printf("# fish completion for maculaos: maculaos completion fish > ~/.config/fish/completions/maculaos.fish\n");
    first_words(fish_group);
    for (const cli_command *command = cli_command_next(NULL); command; command = cli_command_next(command))
        fish_command(command);
    for (const cli_option *option = cli_global_options; option->name; option++)
        fish_line("true", "-l", option->name, option->help);
}

int cli_completion_run(cli_invocation *invocation) {
    const char *shell = cli_argument(invocation, 0);
    if (mac_streq(shell, "bash"))
        bash();
    else if (mac_streq(shell, "zsh"))
        zsh();
    else if (mac_streq(shell, "fish"))
        fish();
    else {
        cli_error("expected bash, zsh or fish, found \"%s\"", shell);
        return CLI_USAGE;
    }
    return CLI_OK;
}
