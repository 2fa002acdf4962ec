#include "install-tools.h"

#include <errno.h>
#include <string.h>

#include "flow/mac-command.h"

#define PATH "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
#define OUTPUT_MAX (4u << 20)

static mac_error *run(const char *const *argv, const char *input, int accepted, char **ret_output) {
    /* MKE2FS_DEVICE_… as a host may have set them would change what is made. */
    static const char *const environment[] = {PATH, "LC_ALL=C", "MKE2FS_SYNC=0", NULL};
    mac_command_options options = {.argv = argv,
                                   .environment = environment,
                                   .input = input,
                                   .input_length = input ? strlen(input) : 0,
                                   .output_max = OUTPUT_MAX};
    mac_command_result result;
    int started = mac_command_run(&options, &result);
    if (started < 0)
        return mac_error_new(MACULA__V1__ERROR_CODE__UNSUPPORTED, NULL, "%s cannot be started (%s): is it installed?",
                             argv[0], strerror(-started));
    mac_autofree char *output = (char *)(uintptr_t)result.output;
    if (!result.signal && !result.timed_out && !result.cancelled && result.exit_code <= accepted) {
        if (ret_output)
            *ret_output = output ? mac_take(&output) : mac_strdup("");
        return NULL;
    }
    return mac_command_error(argv[0], &result);
}

mac_error *install_tool(const char *const *argv, const char *input) {
    return run(argv, input, 0, NULL);
}

mac_error *install_tool_output(const char *const *argv, int accepted, char **ret_output) {
    return run(argv, NULL, accepted, ret_output);
}
