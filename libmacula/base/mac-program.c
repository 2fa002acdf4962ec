#include "mac-program.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "mac-base.h"

char *mac_program_directory(void) {
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0)
        return NULL;
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    return slash ? mac_strndup(path, (size_t)(slash - path)) : NULL;
}

/* The first of the places, relative to the directory, that can be reached so; NULL when none can. */
static char *first_of(const char *directory, const char *const *places, size_t count, const char *name, int mode) {
    for (size_t i = 0; i < count; i++) {
        mac_autofree char *path = mac_asprintf("%s/%s%s", directory, places[i], name);
        if (access(path, mode) == 0)
            return mac_take(&path);
    }
    return NULL;
}

char *mac_program_find(const char *name) {
    static const char *const places[] = {"", "../libexec/macula/"};
    const char *given = getenv("MACULA_LIBEXEC");
    if (strchr(name, '/'))
        return mac_strdup(name);
    if (given && *given)
        return mac_asprintf("%s/%s", given, name);
    mac_autofree char *directory = mac_program_directory();
    if (!directory)
        return NULL;
    char *found = first_of(directory, places, MAC_ARRAY_SIZE(places), name, X_OK);
    return found ? found : mac_asprintf("%s/%s", directory, name);
}

char *mac_program_units(void) {
    static const char *const places[] = {"../../lib/macula/units", "../lib/macula/units", "../units"};
    mac_autofree char *directory = mac_program_directory();
    return directory ? first_of(directory, places, MAC_ARRAY_SIZE(places), "", R_OK | X_OK) : NULL;
}
