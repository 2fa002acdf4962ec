#include "cli-program.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mac-program.h"
#include "cli-command.h"
#include "cli-output.h"

int cli_program_become(const char *name, const char *const *arguments) {
    mac_autofree char *path = mac_program_find(name);
    if (!path) {
        cli_error("cannot find the suite's programs: /proc is not mounted");
        return CLI_FAILED;
    }
    const char *argv[16] = {name};
    size_t count = 1;
    while (*arguments && count < MAC_ARRAY_SIZE(argv) - 1)
        argv[count++] = *arguments++;
    execv(path, (char *const *)argv);
    cli_error("%s: %s; is the suite installed completely?", path, strerror(errno));
    return CLI_FAILED;
}
