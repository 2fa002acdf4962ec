#include "base/mac-fault.h"

#ifdef MAC_FAULTS
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void mac_fault_point(const char *name) {
    static unsigned hits;
    const char *wanted = getenv("MACULA_FAULT"), *armed = getenv("MACULA_FAULT_ARMED");
    size_t length = strlen(name);
    if (!wanted || strncmp(wanted, name, length) != 0 || (wanted[length] != '\0' && wanted[length] != ':'))
        return;
    if (armed && access(armed, F_OK) != 0)
        return;
    unsigned long at = wanted[length] == ':' ? strtoul(wanted + length + 1, NULL, 10) : 1;
    if (++hits == at)
        kill(getpid(), SIGKILL);
}
#else
typedef int mac_fault_unused; /* a translation unit must declare something */
#endif
