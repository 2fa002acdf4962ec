/* What the installer says: to the person or script in front of it, and into the log that stays on the new disk.
 *
 * Results go to standard output, steps and errors to standard error. The log is kept in memory until the data partition
 * is made. Nobody passes a secret to any of these functions. One report a process. */
#ifndef INSTALL_REPORT_H
#define INSTALL_REPORT_H

#include <stdio.h>

#include "base/mac-problem.h"

typedef enum install_progress {
    INSTALL_PROGRESS_NONE,  /* --progress none: errors only */
    INSTALL_PROGRESS_PLAIN, /* a line for each step and each tenth of it */
    INSTALL_PROGRESS_LINE,  /* a terminal: one line that changes */
} install_progress;

void install_report_begin(install_progress progress);
/* A step begins, or something worth knowing: shown and logged. */
void install_report_step(const char *format, ...) MAC_PRINTF(1, 2);
/* Only logged. */
void install_report_log(const char *format, ...) MAC_PRINTF(1, 2);
/* How far the present step is; cheap enough to be called often. */
void install_report_done(uint64_t done, uint64_t total);
/* The log so far; borrowed. */
const char *install_report_text(void);
/* Says why it failed, with every place of a document; returns the exit code. Takes the error. */
int install_report_error(mac_error *error, bool json);

/* "4.0 GiB"; caller frees. */
char *install_size(uint64_t bytes);

#endif
