/* One installation from beginning to end: what is there, what is wanted, the questions, the checks, the writing. */
#ifndef INSTALL_RUN_H
#define INSTALL_RUN_H

#include "base/mac-base.h"
#include "install-medium.h"
#include "install-report.h"

typedef struct install_options {
    const char *disk, *image, *config, *medium; /* NULL: not given */
    uint64_t size;                              /* of the image; 0: not given */
    mac_strings set;
    bool yes, ask, if_silent, dry_run, list, json, reboot, power_off;
    install_progress progress;
} install_options;

/* Returns the exit code. */
int install_run(const install_options *options);

#endif
