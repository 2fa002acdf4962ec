#include "supervisor-memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value of the line that begins with `name`, in KiB there. */
static bool read_field(pid_t pid, const char *file, const char *name, uint64_t *ret_bytes) {
    char path[64], line[256];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    FILE *stream = fopen(path, "re");
    if (!stream)
        return false;
    while (!found && fgets(line, sizeof line, stream)) {
        found = strncmp(line, name, strlen(name)) == 0;
        if (found)
            *ret_bytes = strtoull(line + strlen(name), NULL, 10) * 1024;
    }
    fclose(stream);
    return found;
}

bool supervisor_memory(pid_t pid, uint64_t *ret_bytes) {
    return read_field(pid, "smaps_rollup", "Pss:", ret_bytes) || read_field(pid, "status", "VmRSS:", ret_bytes);
}
