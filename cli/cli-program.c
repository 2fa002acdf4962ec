#include "cli-program.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "cli-command.h"
#include "cli-output.h"

int cli_program_become(const char *name, const char *const *arguments) {
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0) {
        cli_error("cannot find the suite's programs: /proc is not mounted");
        return CLI_FAILED;
    }
    self[length] = '\0';
    char *slash = strrchr(self, '/');
    mac_autofree char *path = mac_asprintf("%.*s/%s", (int)(slash - self), self, name);
    const char *argv[16] = {name};
    size_t count = 1;
    while (*arguments && count < MAC_ARRAY_SIZE(argv) - 1)
        argv[count++] = *arguments++;
    execv(path, (char *const *)argv);
    cli_error("%s: %s; is the suite installed completely?", path, strerror(errno));
    return CLI_FAILED;
}
