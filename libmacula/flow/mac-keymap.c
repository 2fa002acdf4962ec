#include "flow/mac-keymap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flow/mac-command.h"

#define LOAD_MS 10000

const char *mac_keymap_directory(void) {
    const char *other = getenv("MACULA_KEYMAPS");
    const char *directory = other ? other : MAC_KEYMAPS;
    return access(directory, F_OK) == 0 ? directory : NULL;
}

bool mac_keymap_possible(const char *name) {
    const char *directory = mac_keymap_directory();
    if (!directory)
        return true;
    mac_autofree char *path = mac_asprintf("%s/%s" MAC_KEYMAP_SUFFIX, directory, name);
    return !strchr(name, '/') && access(path, R_OK) == 0;
}

mac_error *mac_keymap_load(const char *name) {
    const char *argv[] = {"loadkeys", "--", name, NULL};
    mac_command_options options = {.argv = argv, .timeout_ms = LOAD_MS};
    mac_command_result result;
    if (!mac_keymap_directory() || !mac_keymap_possible(name))
        return NULL;
    int r = mac_command_run(&options, &result);
    if (r < 0)
        return mac_error_from_errno(r, "loadkeys cannot be started");
    mac_error *error = mac_command_error(argv[0], &result);
    free((char *)(uintptr_t)result.output);
    return error;
}
