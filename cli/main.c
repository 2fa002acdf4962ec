/* maculaos: the command line of a MaculaOS node. The commands stand in cli-commands.c. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>

#include "cli-command.h"

int main(int argc, char **argv) {
    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
    int code = cli_run(argc, argv);
    /* An answer that could not be written (a full disk behind >) is a failure, not a success. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == CLI_OK) {
        perror("maculaos: standard output");
        return CLI_FAILED;
    }
    return code;
}
