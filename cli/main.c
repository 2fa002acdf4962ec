/* maculaos: the command line of a MaculaOS node. The commands stand in cli-commands.c. */
#include <locale.h>
#include <signal.h>

#include "cli-command.h"

int main(int argc, char **argv) {
    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
    return cli_run(argc, argv);
}
