/* The man pages, from the tables: `maculaos man` prints maculaos(1), `maculaos man COMMAND` a page of its own,
 * `maculaos man --write DIR` writes all of them, for packages. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli-command.h"
#include "cli-output.h"

/* roff: backslashes and dashes are escaped, a leading dot or quote is not a request. */
static void roff(const char *text) {
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            putchar(*text);
        line_start = *text == '\n';
    }
    if (!line_start)
        putchar('\n');
}

static void options_roff(const cli_option *options) {
    for (const cli_option *option = options; option && option->name; option++) {
        printf(".TP\n");
        if (option->letter)
            printf("\\fB\\-%c\\fR, ", option->letter);
        printf("\\fB\\-\\-%s\\fR", option->name);
        if (option->value)
            printf(" \\fI%s\\fR", option->value);
        putchar('\n');
        roff(option->help);
    }
}

/* A page's name has no spaces: "maculaos-config-get". Caller frees. */
static char *page_title(const char *page) {
    char *title = mac_strdup(page);
    for (char *p = title; *p; p++)
        *p = *p == ' ' ? '-' : *p;
    return title;
}

static void header(const char *page) {
    mac_autofree char *title = page_title(page);
    printf(".TH \"%s\" 1 \"\" \"MaculaOS %s\" \"MaculaOS\"\n", title, MACULA_VERSION);
}

static void command_roff(const cli_command *command) {
    mac_autofree char *page = mac_asprintf("maculaos %s", command->name);
    mac_autofree char *title = page_title(page);
    header(page);
    printf(".SH NAME\n%s \\- ", title);
    roff(command->summary);
    printf(".SH SYNOPSIS\n.B %s\n%s [OPTIONS]\n", page, command->arguments);
    printf(".SH DESCRIPTION\n");
    roff(command->details ? command->details : command->summary);
    printf(".SH OPTIONS\n");
    options_roff(command->options);
    options_roff(cli_global_options);
    printf(".SH EXAMPLE\n.nf\n");
    roff(command->example);
    printf(".fi\n.SH SEE ALSO\n.BR maculaos (1)\n");
}

static void summary_roff(const cli_command *command) {
    printf(".TP\n\\fB%s\\fR %s\n", command->name, command->arguments);
    roff(command->summary);
}

static void overview_roff(void) {
    header("maculaos");
    printf(".SH NAME\nmaculaos \\- looks after a MaculaOS node\n.SH SYNOPSIS\n.B maculaos\nCOMMAND [ARGUMENTS] "
           "[OPTIONS]\n");
    printf(".SH COMMANDS\n");
    for (const cli_command *command = cli_command_next(NULL); command; command = cli_command_next(command))
        summary_roff(command);
    printf(".SH OPTIONS\n");
    options_roff(cli_global_options);
    printf(".SH EXIT STATUS\n0 ok, 1 failed, 2 usage, 3 nothing to do, 4 reboot required, 5 rejected, 6 denied, "
           "7 unreachable, 8 timed out and still running, 9 rolled back.\n");
    printf(".SH ENVIRONMENT\n.TP\n.B MACULA_ROOT\nRoot directory of the node.\n.TP\n.B MACULA_SERVER\nURL of the "
           "node's bus.\n"
           ".TP\n.B NO_COLOR\nNo colour, whatever its value.\n");
}

/* The commands that begin with this word; false when none does. */
static bool group_roff(const char *group) {
    mac_autofree char *prefix = mac_asprintf("%s ", group), *page = mac_asprintf("maculaos %s", group);
    mac_autofree char *title = page_title(page);
    bool any = false;
    for (const cli_command *command = cli_command_next(NULL); command; command = cli_command_next(command)) {
        if (!mac_starts_with(command->name, prefix))
            continue;
        if (!any) {
            header(page);
            printf(".SH NAME\n%s \\- commands of maculaos\n.SH SYNOPSIS\n.B %s\nCOMMAND [ARGUMENTS] "
                   "[OPTIONS]\n.SH COMMANDS\n",
                   title, page);
        }
        any = true;
        summary_roff(command);
    }
    if (any)
        printf(".SH SEE ALSO\n.BR maculaos (1)\n");
    return any;
}

/* One page as a file of its own; 0 or a negative errno. */
static int write_page(const char *directory, const cli_command *command) {
    mac_autofree char *page = command ? mac_asprintf("maculaos %s", command->name) : mac_strdup("maculaos");
    mac_autofree char *title = page_title(page);
    mac_autofree char *path = mac_asprintf("%s/%s.1", directory, title);
    if (!freopen(path, "w", stdout)) {
        int error = errno;
        cli_error("%s: %s; an existing directory that you may write to expected", path, strerror(error));
        return -error;
    }
    if (command)
        command_roff(command);
    else
        overview_roff();
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    cli_error("%s: %s", path, strerror(errno));
    return -EIO;
}

static int write_pages(const char *directory) {
    int result = write_page(directory, NULL);
    for (const cli_command *command = cli_command_next(NULL); result == 0 && command;
         command = cli_command_next(command))
        result = write_page(directory, command);
    return result < 0 ? CLI_FAILED : CLI_OK;
}

int cli_man_run(cli_invocation *invocation) {
    size_t count = cli_argument_count(invocation);
    if (cli_option_given(invocation, "write"))
        return write_pages(cli_option_value(invocation, "write"));
    if (count == 0) {
        overview_roff();
        return CLI_OK;
    }
    mac_autofree char *name = count == 2
                                  ? mac_asprintf("%s %s", cli_argument(invocation, 0), cli_argument(invocation, 1))
                                  : mac_strdup(cli_argument(invocation, 0));
    for (const cli_command *command = cli_command_next(NULL); command; command = cli_command_next(command))
        if (mac_streq(command->name, name)) {
            command_roff(command);
            return CLI_OK;
        }
    if (group_roff(name))
        return CLI_OK;
    cli_error("no command \"%s\"; see: maculaos --help", name);
    return CLI_USAGE;
}
